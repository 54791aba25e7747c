-- Admission: idempotency key, minute, day, queue, credits and the job, decided together for a batch of requests.
--
-- Purses are locked in order, so that two batches cannot deadlock. Every statement of this function sees what was
-- committed before it, so that after the lock on the purse a twin's key is visible. Requests are decided in the order
-- they came, on copies of the purses, and what they change is written at the end for all of them; a refused one changes
-- nothing. Outcomes: ADMITTED, REPLAYED, IDEMPOTENCY_MISMATCH,
-- REQUESTS_PER_MINUTE, DAILY_LIMIT, QUEUE_FULL, INSUFFICIENT_CREDITS. The other columns are the purse as the request
-- left it; retry_after is in seconds; waits tells that it has no place yet.

create function admit(
    p_now timestamptz, p_account bigint[], p_mode text[], p_generation uuid[], p_key text[], p_scope text[],
    p_fingerprint bytea[], p_cost bigint[], p_type text[], p_provider text[], p_model text[], p_route text[],
    p_upstream text[], p_asked text[], p_prompt text[], p_options text[], p_adjustments text[], p_labels text[],
    p_webhook text[], p_estimated integer[], p_traceparent text[]
) returns table (
    o_item integer, o_outcome text, o_generation uuid, o_per_minute integer, o_level double precision, o_daily integer,
    o_day_count integer, o_available bigint, o_waiting integer, o_retry_after double precision, o_waits boolean
) language plpgsql as $$
declare
    purses purse[];
    p purse;
    r record;
    changed bigint[] := '{}';
    admitted bigint[] := '{}';
    waiting bigint[] := '{}';
    -- By the first item with a key: the item that was admitted under it.
    made bigint[] := '{}';
    today date := (p_now at time zone 'UTC')::date;
begin
    select array_agg(l.locked order by (l.locked).account_id, (l.locked).mode) into purses from (
        select w as locked from purse w
        where (w.account_id, w.mode) in (select * from unnest(p_account, p_mode))
        order by w.account_id, w.mode for update
    ) l;
    for r in
        select q.*, i.generation_id as kept, i.fingerprint as kept_fingerprint,
            dense_rank() over (order by q.account_id, q.mode) as place,
            min(q.item) over (partition by q.account_id, q.mode, q.key, q.scope) as first
        from unnest(p_account, p_mode, p_generation, p_key, p_scope, p_fingerprint, p_cost) with ordinality
            q (account_id, mode, generation_id, key, scope, fingerprint, cost, item)
        -- Lateral, so that each key is looked up by itself: a planner that saw the table empty would read all of it.
        left join lateral (
            select k.generation_id, k.fingerprint from idempotency k
            where k.account_id = q.account_id and k.mode = q.mode and k.key = q.key and k.scope = q.scope
                and k.expires_at > p_now
            limit 1
        ) i on true
        order by q.item
    loop
        p := purses[r.place];
        if p.account_id is distinct from r.account_id then
            raise exception 'account % has no purse', r.account_id;
        end if;
        p.minute_level := greatest(0, p.minute_level
            - greatest(0, extract(epoch from p_now - p.minute_at)::double precision) * p.per_minute / 60);
        p.minute_at := greatest(p.minute_at, p_now);
        if p.day < today then
            p.day := today;
            p.day_count := 0;
        end if;
        o_item := r.item;
        o_outcome := 'ADMITTED';
        o_generation := r.generation_id;
        o_retry_after := null;
        o_waits := false;
        if r.kept is not null then
            o_outcome := case when r.kept_fingerprint = r.fingerprint then 'REPLAYED' else 'IDEMPOTENCY_MISMATCH' end;
            o_generation := r.kept;
        elsif r.key is not null and made[r.first] is not null then
            o_outcome := case when p_fingerprint[made[r.first]] = r.fingerprint then 'REPLAYED' else 'IDEMPOTENCY_MISMATCH' end;
            o_generation := p_generation[made[r.first]];
        elsif p.minute_level + 1 > p.per_minute + 1e-6 then
            o_outcome := 'REQUESTS_PER_MINUTE';
            o_retry_after := (p.minute_level + 1 - p.per_minute) * 60 / p.per_minute;
        elsif p.day_count >= p.daily then
            o_outcome := 'DAILY_LIMIT';
            o_retry_after := extract(epoch from (today + 1)::timestamp at time zone 'UTC' - p_now);
        elsif p.running >= p.concurrent and p.waiting >= p.queued then
            o_outcome := 'QUEUE_FULL';
        elsif p.available < r.cost then
            o_outcome := 'INSUFFICIENT_CREDITS';
        else
            p.minute_level := p.minute_level + 1;
            p.day_count := p.day_count + 1;
            p.available := p.available - r.cost;
            p.held := p.held + r.cost;
            if p.running < p.concurrent then
                p.running := p.running + 1;
            else
                p.waiting := p.waiting + 1;
                o_waits := true;
                waiting := waiting || r.item;
            end if;
            admitted := admitted || r.item;
            changed := changed || r.place;
            purses[r.place] := p;
            if r.key is not null then
                made[r.first] := r.item;
            end if;
        end if;
        o_per_minute := p.per_minute;
        o_level := p.minute_level;
        o_daily := p.daily;
        o_day_count := p.day_count;
        o_available := p.available;
        o_waiting := p.waiting;
        return next;
    end loop;

    if cardinality(admitted) = 0 then
        return;
    end if;
    update purse set available = n.available, held = n.held, minute_level = n.minute_level, minute_at = n.minute_at,
        day = n.day, day_count = n.day_count, running = n.running, waiting = n.waiting
    from unnest(purses) with ordinality n
    where n.ordinality = any (changed) and purse.account_id = n.account_id and purse.mode = n.mode;
    insert into idempotency (account_id, mode, key, scope, fingerprint, generation_id, expires_at)
    select p_account[n], p_mode[n], p_key[n], p_scope[n], p_fingerprint[n], p_generation[n], p_now + interval '24 hours'
    from unnest(admitted) n where p_key[n] is not null
    on conflict (account_id, mode, key, scope) do update
    set fingerprint = excluded.fingerprint, generation_id = excluded.generation_id, expires_at = excluded.expires_at;
    insert into ledger_transfer (account_id, mode, reference, kind, amount, at)
    select p_account[n], p_mode[n], p_generation[n], 'hold', p_cost[n], p_now from unnest(admitted) n;
    insert into generation (account_id, generation_id, mode, type, provider, model, route, upstream, asked, prompt, options,
        adjustments, labels, webhook_url, credit_cost, estimated_seconds, traceparent, created_at)
    select p_account[n], p_generation[n], p_mode[n], p_type[n], p_provider[n], p_model[n], p_route[n], p_upstream[n],
        p_asked[n]::json, p_prompt[n], p_options[n]::json, p_adjustments[n]::json, p_labels[n]::json, p_webhook[n],
        p_cost[n], p_estimated[n], p_traceparent[n], p_now
    from unnest(admitted) n;
    insert into job (generation_id, account_id, mode, stage, due_at, upstream)
    select p_generation[n], p_account[n], p_mode[n], case when n = any (waiting) then 'waiting' else 'ready' end,
        case when n = any (waiting) then null else p_now end, p_upstream[n]
    from unnest(admitted) n;
end
$$;
