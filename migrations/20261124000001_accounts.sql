-- Accounts, their API keys, their purses and webhook secrets.

create table account (
    account_id bigint generated always as identity primary key,
    name text not null constraint account_name_unique unique
        constraint account_name_sane check (char_length(name) between 1 and 200),
    plan text not null constraint account_plan_known check (plan in ('free', 'starter', 'pro', 'enterprise')),
    -- Numbers agreed with this account instead of its plan's; null: the plan's.
    per_minute integer constraint account_per_minute_positive check (per_minute > 0),
    concurrent integer constraint account_concurrent_positive check (concurrent > 0),
    daily integer constraint account_daily_positive check (daily > 0),
    queued integer constraint account_queued_not_negative check (queued >= 0),
    created_at timestamptz not null
);

-- Only the hash of a key is kept; the prefix names it in lists.
create table api_key (
    api_key_id bigint generated always as identity primary key,
    account_id bigint not null constraint api_key_account references account,
    mode text not null constraint api_key_mode_known check (mode in ('test', 'live')),
    hash bytea not null constraint api_key_hash_unique unique,
    prefix text not null constraint api_key_prefix_unique unique,
    created_at timestamptz not null,
    revoked_at timestamptz
);
create index api_key_of_account on api_key (account_id);

-- What admission reads and writes in one step: credits, counters and the limits in force. One row for each mode.
-- The checks make an overdrawn account impossible whatever a statement does. Half of each page stays free, so that
-- updates stay on their page and touch no index.
create table purse (
    account_id bigint not null constraint purse_account references account,
    mode text not null constraint purse_mode_known check (mode in ('test', 'live')),
    available bigint not null default 0 constraint purse_available_not_negative check (available >= 0),
    held bigint not null default 0 constraint purse_held_not_negative check (held >= 0),
    -- Generations counted against the minute; drains at per_minute / 60 a second.
    minute_level double precision not null default 0 constraint purse_minute_level_not_negative check (minute_level >= 0),
    minute_at timestamptz not null,
    -- Generations counted against the day (UTC).
    day date not null,
    day_count integer not null default 0 constraint purse_day_count_not_negative check (day_count >= 0),
    -- Jobs that hold one of the plan's places, and jobs that wait for one.
    running integer not null default 0 constraint purse_running_not_negative check (running >= 0),
    waiting integer not null default 0 constraint purse_waiting_not_negative check (waiting >= 0),
    per_minute integer not null,
    concurrent integer not null,
    daily integer, -- null: unlimited
    queued integer not null,
    primary key (account_id, mode)
) with (fillfactor = 50);

create table webhook_secret (
    webhook_secret_id bigint generated always as identity,
    account_id bigint not null constraint webhook_secret_account references account,
    secret text not null,
    created_at timestamptz not null,
    expires_at timestamptz, -- null: the current one
    primary key (account_id, webhook_secret_id)
);
-- One secret at a time is the current one.
create unique index webhook_secret_current on webhook_secret (account_id) where expires_at is null;
