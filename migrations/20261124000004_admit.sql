-- Admission: idempotency key, minute, day, queue, credits and the job, decided together for a batch of requests.
--
-- Purses are locked in order, so that two batches cannot deadlock. Every statement of this function sees what was
-- committed before it, so that after the lock on the purse a twin's key is visible. Requests of a purse are decided in
-- the order they came; a refused one changes nothing. Outcomes: ADMITTED, REPLAYED, IDEMPOTENCY_MISMATCH,
-- REQUESTS_PER_MINUTE, DAILY_LIMIT, QUEUE_FULL, INSUFFICIENT_CREDITS. The other columns are the purse as the request
-- left it; retry_after is in seconds; waits tells that it has no place yet.

create function admit(
    p_now timestamptz, p_account bigint[], p_mode text[], p_generation uuid[], p_key text[], p_scope text[],
    p_fingerprint bytea[], p_cost bigint[], p_type text[], p_provider text[], p_model text[], p_route text[],
    p_upstream text[], p_asked jsonb[], p_prompt text[], p_options jsonb[], p_adjustments jsonb[], p_labels jsonb[],
    p_webhook text[], p_estimated integer[], p_traceparent text[]
) returns table (
    o_item integer, o_outcome text, o_generation uuid, o_per_minute integer, o_level double precision, o_daily integer,
    o_day_count integer, o_available bigint, o_waiting integer, o_retry_after double precision, o_waits boolean
) language plpgsql as $$
declare
    account bigint;
    its_mode text;
    p purse;
    items integer[];
    found_generation uuid;
    found_fingerprint bytea;
    admitted integer[] := '{}';
    stages text[] := '{}';
    today date := (p_now at time zone 'UTC')::date;
begin
    for account, its_mode, items in
        select r.account_id, r.mode, array_agg(r.item::integer order by r.item)
        from unnest(p_account, p_mode) with ordinality r (account_id, mode, item)
        group by 1, 2 order by 1, 2
    loop
        select * into strict p from purse where purse.account_id = account and purse.mode = its_mode for update;
        p.minute_level := greatest(0, p.minute_level
            - greatest(0, extract(epoch from p_now - p.minute_at)::double precision) * p.per_minute / 60);
        p.minute_at := greatest(p.minute_at, p_now);
        if p.day < today then
            p.day := today;
            p.day_count := 0;
        end if;
        foreach o_item in array items loop
            o_outcome := 'ADMITTED';
            o_generation := p_generation[o_item];
            o_retry_after := null;
            o_waits := false;
            if p_key[o_item] is not null then
                select i.generation_id, i.fingerprint into found_generation, found_fingerprint from idempotency i
                where i.account_id = account and i.mode = its_mode and i.key = p_key[o_item] and i.scope = p_scope[o_item]
                    and i.expires_at > p_now;
                if found then
                    o_outcome := case when found_fingerprint = p_fingerprint[o_item] then 'REPLAYED' else 'IDEMPOTENCY_MISMATCH' end;
                    o_generation := found_generation;
                end if;
            end if;
            if o_outcome = 'ADMITTED' then
                if p.minute_level + 1 > p.per_minute + 1e-6 then
                    o_outcome := 'REQUESTS_PER_MINUTE';
                    o_retry_after := (p.minute_level + 1 - p.per_minute) * 60 / p.per_minute;
                elsif p.day_count >= p.daily then
                    o_outcome := 'DAILY_LIMIT';
                    o_retry_after := extract(epoch from (today + 1)::timestamp at time zone 'UTC' - p_now);
                elsif p.running >= p.concurrent and p.waiting >= p.queued then
                    o_outcome := 'QUEUE_FULL';
                elsif p.available < p_cost[o_item] then
                    o_outcome := 'INSUFFICIENT_CREDITS';
                else
                    p.minute_level := p.minute_level + 1;
                    p.day_count := p.day_count + 1;
                    p.available := p.available - p_cost[o_item];
                    p.held := p.held + p_cost[o_item];
                    admitted := admitted || o_item;
                    if p.running < p.concurrent then
                        p.running := p.running + 1;
                        stages := stages || 'ready'::text;
                    else
                        p.waiting := p.waiting + 1;
                        o_waits := true;
                        stages := stages || 'waiting'::text;
                    end if;
                    if p_key[o_item] is not null then
                        insert into idempotency (account_id, mode, key, scope, fingerprint, generation_id, expires_at)
                        values (account, its_mode, p_key[o_item], p_scope[o_item], p_fingerprint[o_item], o_generation, p_now + interval '24 hours')
                        on conflict on constraint idempotency_pkey do update
                        set fingerprint = excluded.fingerprint, generation_id = excluded.generation_id, expires_at = excluded.expires_at;
                    end if;
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
        update purse set available = p.available, held = p.held, minute_level = p.minute_level, minute_at = p.minute_at,
            day = p.day, day_count = p.day_count, running = p.running, waiting = p.waiting
        where purse.account_id = account and purse.mode = its_mode;
    end loop;

    if cardinality(admitted) = 0 then
        return;
    end if;
    insert into ledger_transfer (account_id, mode, reference, kind, amount, at)
    select p_account[n], p_mode[n], p_generation[n], 'hold', p_cost[n], p_now from unnest(admitted) n;
    insert into generation (account_id, generation_id, mode, type, provider, model, route, upstream, asked, prompt, options,
        adjustments, labels, webhook_url, credit_cost, estimated_seconds, traceparent, created_at)
    select p_account[n], p_generation[n], p_mode[n], p_type[n], p_provider[n], p_model[n], p_route[n], p_upstream[n],
        p_asked[n], p_prompt[n], p_options[n], p_adjustments[n], p_labels[n], p_webhook[n], p_cost[n], p_estimated[n], p_traceparent[n], p_now
    from unnest(admitted) n;
    insert into job (generation_id, account_id, mode, stage, due_at, upstream)
    select p_generation[a.n], p_account[a.n], p_mode[a.n], a.stage, case when a.stage = 'ready' then p_now end, p_upstream[a.n]
    from unnest(admitted, stages) a (n, stage);
end
$$;
