-- The end of generations, a batch at a time: status, credits, webhook outbox and the next waiting jobs, all or nothing.
--
-- p_lease: what the worker holds; null for a caller's cancel, which needs none. p_stop: when the upstream is still to be
-- told, the moment for it (now, where it is known what the upstream calls the job); the job then stays as 'stopping'. An
-- item that has ended already, or whose lease was lost, changes nothing and is not returned.

-- Gives a purse's free places to its waiting jobs, oldest first. The caller has locked it.
create function promote(p_now timestamptz, p_account bigint, p_mode text) returns void language plpgsql as $$
declare
    places integer;
    promoted integer;
begin
    select least(w.waiting, w.concurrent - w.running) into strict places
    from purse w where w.account_id = p_account and w.mode = p_mode;
    if places <= 0 then
        return;
    end if;
    with next as (
        select j.generation_id from job j
        where j.account_id = p_account and j.mode = p_mode and j.stage = 'waiting'
        order by j.generation_id limit places for update
    )
    update job set stage = 'ready', due_at = p_now from next where job.generation_id = next.generation_id;
    get diagnostics promoted = row_count;
    update purse set running = running + promoted, waiting = waiting - promoted
    where account_id = p_account and mode = p_mode;
end
$$;

create function settle(
    p_now timestamptz, p_account bigint[], p_mode text[], p_generation uuid[], p_lease uuid[], p_status text[],
    p_assets text[], p_metadata text[], p_error_code text[], p_error_reason text[], p_error_message text[],
    p_error_retryable boolean[], p_attempts text[], p_stop timestamptz[]
) returns table (o_item integer) language plpgsql as $$
declare
    p record;
begin
    -- In order, so that two batches cannot deadlock.
    perform from purse w
    where (w.account_id, w.mode) in (select * from unnest(p_account, p_mode))
    order by w.account_id, w.mode for update;
    return query
    with held as (
        select u.item::integer as n, j.generation_id, j.account_id, j.mode, j.stage, j.submitted_at,
            p_stop[u.item] is not null and j.stage not in ('waiting', 'ready') as stops
        from unnest(p_generation, p_account, p_lease) with ordinality u (generation_id, account_id, lease, item)
        join job j on j.generation_id = u.generation_id and j.account_id = u.account_id
        where j.stage <> 'stopping' and (u.lease is null or j.lease = u.lease)
        order by j.generation_id for update of j
    ), first as (
        select distinct on (h.generation_id) * from held h order by h.generation_id, h.n
    ), ended as (
        update generation g set status = p_status[f.n], assets = p_assets[f.n]::json, metadata = p_metadata[f.n]::json,
            error_code = p_error_code[f.n], error_reason = p_error_reason[f.n], error_message = p_error_message[f.n],
            error_retryable = p_error_retryable[f.n],
            attempts = case
                when p_attempts[f.n] is not null then p_attempts[f.n]::json
                when g.attempts -> -1 ->> 'outcome' = 'ACCEPTED' then jsonb_set(jsonb_set(g.attempts::jsonb,
                    '{-1,outcome}', to_jsonb(p_status[f.n])), '{-1,endedAt}', to_jsonb(p_now))::json
                else g.attempts end,
            completed_at = p_now,
            started_at = coalesce(g.started_at, f.submitted_at)
        from first f
        where g.account_id = f.account_id and g.generation_id = f.generation_id and g.status in ('PENDING', 'PROCESSING')
        returning f.n, f.generation_id, f.account_id, f.mode, f.stage, f.stops, g.status = 'COMPLETED' as completed,
            g.credit_cost, g.webhook_url
    ), gone as (
        delete from job j using ended e where j.generation_id = e.generation_id and not e.stops
    ), stopping as (
        update job j set stage = 'stopping', lease = null, failures = 0,
            due_at = case when j.handle is null then p_stop[e.n] else p_now end
        from ended e where j.generation_id = e.generation_id and e.stops
    ), booked as (
        insert into ledger_transfer (account_id, mode, reference, kind, amount, at)
        select e.account_id, e.mode, e.generation_id, case when e.completed then 'capture' else 'release' end,
            e.credit_cost, p_now
        from ended e
    ), told as (
        insert into delivery (generation_id, account_id, url, due_at, created_at)
        select e.generation_id, e.account_id, e.webhook_url, p_now, p_now from ended e where e.webhook_url is not null
    ), freed as (
        select e.account_id, e.mode, sum(e.credit_cost)::bigint as spent,
            coalesce(sum(e.credit_cost) filter (where not e.completed), 0)::bigint as released,
            count(*) filter (where e.stage = 'waiting') as waited, count(*) filter (where e.stage <> 'waiting') as ran
        from ended e group by e.account_id, e.mode
    ), paid as (
        update purse w set held = w.held - s.spent, available = w.available + s.released,
            waiting = w.waiting - s.waited, running = w.running - s.ran
        from freed s where w.account_id = s.account_id and w.mode = s.mode
    )
    select e.n from ended e;
    for p in
        select w.account_id, w.mode from purse w
        where (w.account_id, w.mode) in (select * from unnest(p_account, p_mode))
            and w.waiting > 0 and w.running < w.concurrent
        order by w.account_id, w.mode
    loop
        perform promote(p_now, p.account_id, p.mode);
    end loop;
end
$$;

-- Gives free places to waiting jobs after the plan changed.
create function promote_waiting(p_now timestamptz, p_account bigint) returns void language plpgsql as $$
declare
    its_mode text;
begin
    for its_mode in select w.mode from purse w where w.account_id = p_account order by w.mode for update loop
        perform promote(p_now, p_account, its_mode);
    end loop;
end
$$;
