with idem as (
    insert into idempotency (account_id, key, generation_id) values ($1, $2, $3)
    on conflict (account_id, key) do nothing returning generation_id
), acct as (
    update accounts a set balance = balance - $4, held = held + $4, queued = queued + 1,
        tokens = least(minute_limit, tokens + extract(epoch from now() - tokens_at)::float8 * minute_limit / 60) - 1,
        tokens_at = now(), day = current_date,
        day_count = case when day = current_date then day_count else 0 end + 1
    where a.id = $1 and exists (select 1 from idem) and balance >= $4 and queued < queue_limit
        and least(minute_limit, tokens + extract(epoch from now() - tokens_at)::float8 * minute_limit / 60) >= 1
        and case when day = current_date then day_count else 0 end < day_limit
    returning a.id, a.balance
), led as (
    insert into ledger (account_id, book, amount, generation_id)
    select acct.id, b.book, b.sign * $4, $3 from acct, (values (1::int2, -1), (2::int2, 1)) b (book, sign)
), made as (
    insert into generations (id, account_id, type, provider, credit_cost, input, options, webhook_url)
    select $3, acct.id, $5, $6, $4, $7, $8, $9 from acct returning id
)
select case
    when exists (select 1 from made) then $3
    when exists (select 1 from idem) then refuse('REFUSED')
    else (select i.generation_id from idempotency i where i.account_id = $1 and i.key = $2)
end as id, now()::text as created_at
