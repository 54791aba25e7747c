-- Generations (wide, one row each, kept) and jobs (narrow, one row for each unfinished generation).

-- The primary key serves the look-up by id and the list of an account, newest first: ids are ordered by time. Partitions
-- are months of id time, so that retention drops a partition instead of deleting rows.
create table generation (
    account_id bigint not null,
    generation_id uuid not null,
    mode text not null constraint generation_mode_known check (mode in ('test', 'live')),
    type text not null constraint generation_type_known check (type in ('VIDEO', 'IMAGE', 'AUDIO', 'AVATAR')),
    status text not null default 'PENDING'
        constraint generation_status_known check (status in ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    provider text not null,
    model text not null,
    route text not null,
    upstream text not null,
    -- What is JSON here is told as it came and never searched: text is cheaper to write and to read.
    asked json not null,
    prompt text,
    options json not null,
    adjustments json not null,
    attempts json not null default '[]',
    labels json,
    webhook_url text,
    credit_cost bigint not null constraint generation_cost_positive check (credit_cost > 0),
    estimated_seconds integer not null,
    assets json,
    metadata json,
    error_code text,
    error_reason text,
    error_message text,
    error_retryable boolean,
    -- The trace that its request belongs to, where traces are sent: the form of W3C Trace Context.
    traceparent text,
    created_at timestamptz not null,
    started_at timestamptz,
    completed_at timestamptz,
    constraint generation_key primary key (account_id, generation_id),
    constraint generation_ends_once check ((status in ('COMPLETED', 'FAILED', 'CANCELLED')) = (completed_at is not null)),
    constraint generation_result_when_completed check ((status = 'COMPLETED') = (assets is not null)),
    constraint generation_error_when_failed check ((status = 'FAILED') = (error_code is not null))
) partition by range (generation_id);

-- The smallest id of a moment: a version 7 uuid begins with its milliseconds.
create function generation_id_floor(moment timestamptz) returns uuid language sql immutable strict as $$
    select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- Ids outside the months made so far (a clock that is far off, months without a running service) find a place here.
create table generation_other partition of generation default;

-- Makes the partitions of a month and the months after it, where they are missing. A month that has rows in the default
-- partition stays there.
create function make_generation_partitions(first_month date, months integer) returns void language plpgsql as $$
declare
    month timestamptz;
    partition text;
    first_id uuid;
    next_id uuid;
begin
    -- Several processes do this at once.
    perform pg_advisory_xact_lock(hashtextextended('generation partitions', 0));
    for n in 0 .. months - 1 loop
        month := (date_trunc('month', first_month::timestamp) + make_interval(months => n)) at time zone 'UTC';
        partition := 'generation_' || to_char(month at time zone 'UTC', 'YYYY_MM');
        first_id := generation_id_floor(month);
        next_id := generation_id_floor((month at time zone 'UTC' + interval '1 month') at time zone 'UTC');
        if to_regclass(partition) is null
                and not exists (select from generation_other where generation_id >= first_id and generation_id < next_id) then
            execute format('create table %I partition of generation for values from (%L) to (%L) with (fillfactor = 85)',
                partition, first_id, next_id);
        end if;
    end loop;
end
$$;
select make_generation_partitions((now() at time zone 'UTC')::date, 3);

-- Drops the partitions that ended before the months kept, with the deliveries of their generations, unless something in
-- them is still under way.
create function drop_generation_partitions(now timestamptz, months integer) returns void language plpgsql as $$
declare
    partition text;
    next_id uuid;
begin
    perform pg_advisory_xact_lock(hashtextextended('generation partitions', 0));
    for partition in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'generation'::regclass and c.relname ~ '^generation_\d{4}_\d{2}$'
            and to_date(right(c.relname, 7), 'YYYY_MM') < date_trunc('month', (now at time zone 'UTC') - make_interval(months => months))
        order by c.relname
    loop
        next_id := generation_id_floor((to_date(right(partition, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC');
        if not exists (select from job where generation_id < next_id) then
            delete from delivery where generation_id < next_id;
            delete from delivery_attempt where generation_id < next_id;
            execute format('drop table %I', partition);
        end if;
    end loop;
end
$$;

-- What workers read and write. A row is deleted when its generation has ended and nothing is left to tell the upstream.
create table job (
    generation_id uuid primary key,
    account_id bigint not null,
    mode text not null,
    -- waiting: for one of the plan's places. ready: to be submitted. submitting: the intent is durable, the answer is not
    -- known. running: the upstream has it. storing: the results are known and being copied. stopping: the generation has
    -- ended, the upstream is still to be told.
    stage text not null constraint job_stage_known
        check (stage in ('waiting', 'ready', 'submitting', 'running', 'storing', 'stopping')),
    -- When it wants attention. While a worker has it, when the lease ends.
    due_at timestamptz constraint job_due_unless_waiting check ((stage = 'waiting') = (due_at is null)),
    lease uuid,
    upstream text not null,
    handle text constraint job_handle_once_running check (handle is not null or stage <> 'running'),
    submits integer not null default 0,
    failures integer not null default 0,
    progress smallint not null default 0 constraint job_progress_percent check (progress between 0 and 100),
    submitted_at timestamptz,
    -- Until then a refusal that is not about the request is tried again; set by the first one.
    patience_until timestamptz,
    deadline_at timestamptz,
    outputs json
) with (fillfactor = 70);
-- Claims read what is due at an upstream, oldest first, and no more than there is room for.
create index job_due on job (upstream, due_at) where due_at is not null;
-- The upstreams that jobs are to be taken to: one step of the index for each, however many jobs it has.
create function upstreams_with_work() returns setof text language sql stable as $$
    with recursive present as (
        (select upstream from job where due_at is not null and upstream > '' order by upstream limit 1)
        union all
        select (select j.upstream from job j where j.due_at is not null and j.upstream > p.upstream order by j.upstream limit 1)
        from present p where p.upstream is not null
    )
    select upstream from present where upstream is not null
$$;
-- The next of an account to get a place, and the position in its queue.
create index job_waiting on job (account_id, mode, generation_id) where stage = 'waiting';

-- A key and what it made, for 24 hours. The scope tells several generations of one request apart.
create table idempotency (
    account_id bigint not null,
    mode text not null,
    key text not null,
    scope text not null,
    fingerprint bytea not null,
    generation_id uuid not null,
    expires_at timestamptz not null,
    primary key (account_id, mode, key, scope)
);
-- Keys expire in the order in which they came: a summary of each stretch of pages is enough to find those that did.
create index idempotency_expiry on idempotency using brin (expires_at) with (autosummarize = on);

-- The outbox: one delivery for each ended generation with a webhook URL.
create table delivery (
    generation_id uuid primary key,
    account_id bigint not null,
    url text not null,
    -- null: delivered, or given up.
    due_at timestamptz,
    lease uuid,
    attempts integer not null default 0,
    -- Attempts since it was last asked for; the place in the retry schedule.
    round integer not null default 0,
    delivered boolean not null default false,
    last_status integer,
    created_at timestamptz not null
) with (fillfactor = 85);
create index delivery_due on delivery (due_at) where due_at is not null;

create table delivery_attempt (
    generation_id uuid not null,
    attempt integer not null,
    at timestamptz not null,
    duration_ms integer not null,
    status integer,
    outcome text not null, -- the start of the body, or why there is none
    primary key (generation_id, attempt)
);
