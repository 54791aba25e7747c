-- The end of generations, a batch at a time: status, credits, webhook outbox and the next waiting job, all or nothing.
--
-- p_lease: what the worker holds; null for a caller's cancel, which needs none. p_stop: when the upstream is still to be
-- told, the moment for it (now, where it is known what the upstream calls the job); the job then stays as 'stopping'. An
-- item that has ended already, or whose lease was lost, changes nothing and is not returned.

create function settle(
    p_now timestamptz, p_account bigint[], p_mode text[], p_generation uuid[], p_lease uuid[], p_status text[],
    p_assets jsonb[], p_metadata jsonb[], p_error_code text[], p_error_reason text[], p_error_message text[],
    p_error_retryable boolean[], p_attempts jsonb[], p_stop timestamptz[]
) returns table (o_item integer) language plpgsql as $$
declare
    account bigint;
    its_mode text;
    p purse;
    items integer[];
    was_stage text;
    submitted timestamptz;
    cost bigint;
    hook text;
    next_job uuid;
begin
    for account, its_mode, items in
        select r.account_id, r.mode, array_agg(r.item::integer order by r.item)
        from unnest(p_account, p_mode) with ordinality r (account_id, mode, item)
        group by 1, 2 order by 1, 2
    loop
        select * into strict p from purse where purse.account_id = account and purse.mode = its_mode for update;
        foreach o_item in array items loop
            select j.stage, j.submitted_at into was_stage, submitted from job j
            where j.generation_id = p_generation[o_item] and j.account_id = account and j.stage <> 'stopping'
                and (p_lease[o_item] is null or j.lease = p_lease[o_item])
            for update;
            continue when not found;
            update generation g set status = p_status[o_item], assets = p_assets[o_item], metadata = p_metadata[o_item],
                error_code = p_error_code[o_item], error_reason = p_error_reason[o_item],
                error_message = p_error_message[o_item], error_retryable = p_error_retryable[o_item],
                attempts = case
                    when p_attempts[o_item] is not null then p_attempts[o_item]
                    when g.attempts -> -1 ->> 'outcome' = 'ACCEPTED' then jsonb_set(jsonb_set(g.attempts,
                        '{-1,outcome}', to_jsonb(p_status[o_item])), '{-1,endedAt}', to_jsonb(p_now))
                    else g.attempts end,
                completed_at = p_now,
                started_at = coalesce(g.started_at, submitted)
            where g.account_id = account and g.generation_id = p_generation[o_item]
                and g.status in ('PENDING', 'PROCESSING')
            returning g.credit_cost, g.webhook_url into cost, hook;
            continue when not found;
            if p_stop[o_item] is null or was_stage in ('waiting', 'ready') then
                delete from job j where j.generation_id = p_generation[o_item];
            else
                update job j set stage = 'stopping', lease = null, failures = 0,
                    due_at = case when j.handle is null then p_stop[o_item] else p_now end
                where j.generation_id = p_generation[o_item];
            end if;
            insert into ledger_transfer (account_id, mode, reference, kind, amount, at)
            values (account, its_mode, p_generation[o_item],
                case when p_status[o_item] = 'COMPLETED' then 'capture' else 'release' end, cost, p_now);
            p.held := p.held - cost;
            if p_status[o_item] <> 'COMPLETED' then
                p.available := p.available + cost;
            end if;
            if was_stage = 'waiting' then
                p.waiting := p.waiting - 1;
            else
                p.running := p.running - 1;
            end if;
            if hook is not null then
                insert into delivery (generation_id, account_id, url, due_at, created_at)
                values (p_generation[o_item], account, hook, p_now, p_now);
            end if;
            while p.waiting > 0 and p.running < p.concurrent loop
                select j.generation_id into next_job from job j
                where j.account_id = account and j.mode = its_mode and j.stage = 'waiting'
                order by j.generation_id limit 1 for update;
                exit when not found;
                update job set stage = 'ready', due_at = p_now where generation_id = next_job;
                p.waiting := p.waiting - 1;
                p.running := p.running + 1;
            end loop;
            return next;
        end loop;
        update purse set available = p.available, held = p.held, running = p.running, waiting = p.waiting
        where purse.account_id = account and purse.mode = its_mode;
    end loop;
end
$$;

-- Gives free places to waiting jobs after the plan changed.
create function promote_waiting(p_now timestamptz, p_account bigint) returns void language plpgsql as $$
declare
    p purse;
    promoted integer;
begin
    for p in select * from purse where purse.account_id = p_account order by mode for update loop
        with next as (
            select j.generation_id from job j
            where j.account_id = p.account_id and j.mode = p.mode and j.stage = 'waiting'
            order by j.generation_id limit greatest(0, p.concurrent - p.running) for update
        )
        update job set stage = 'ready', due_at = p_now from next where job.generation_id = next.generation_id;
        get diagnostics promoted = row_count;
        update purse set running = purse.running + promoted, waiting = purse.waiting - promoted
        where purse.account_id = p.account_id and purse.mode = p.mode;
    end loop;
end
$$;
