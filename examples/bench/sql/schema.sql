-- The smallest schema on which one statement can admit a generation. pgbench and the bare server share it.
create table accounts (
    id bigint primary key,
    balance bigint not null check (balance >= 0),
    held bigint not null default 0,
    minute_limit integer not null,
    tokens double precision not null,
    tokens_at timestamptz not null default now(),
    day date not null default current_date,
    day_count integer not null default 0,
    day_limit integer not null,
    queued integer not null default 0,
    queue_limit integer not null
) with (fillfactor = 50);
create table generations (
    id uuid primary key,
    account_id bigint not null,
    status text not null default 'PENDING',
    type text not null,
    provider text not null,
    model text not null default 'm1',
    progress smallint not null default 0,
    url text,
    credit_cost bigint not null,
    input jsonb not null,
    options jsonb,
    metadata jsonb,
    webhook_url text,
    run_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    completed_at timestamptz
) with (fillfactor = 85);
create index generations_by_account on generations (account_id, id);
create index generations_due on generations (run_at) where status = 'PENDING';
create table idempotency (
    account_id bigint not null,
    key text not null,
    generation_id uuid not null,
    expires_at timestamptz not null default now() + interval '24 hours',
    primary key (account_id, key)
);
-- Two rows a hold: from the free balance (1) to the held one (2).
create table ledger (
    id bigint generated always as identity primary key,
    account_id bigint not null,
    book smallint not null,
    amount bigint not null,
    generation_id uuid not null,
    at timestamptz not null default now()
);
create index ledger_by_generation on ledger (generation_id);
create function refuse(why text) returns uuid language plpgsql as $$
begin
    raise exception '%', why using errcode = 'P0001';
end
$$;
insert into accounts (id, balance, minute_limit, tokens, day_limit, queue_limit)
select n, 1000000000000, 100000000, 100000000, 2000000000, 2000000000 from generate_series(1, 1000) n;
insert into generations (id, account_id, status, type, provider, progress, url, credit_cost, input, options, metadata, completed_at)
select lpad(to_hex(n), 32, '0')::uuid, n % 1000 + 1, 'COMPLETED', 'IMAGE', 'flux-dev', 100,
    'http://127.0.0.1/media/' || md5(n::text) || '.png', 5, '{"text": "a red boat on a lake at dawn"}',
    '{"aspectRatio": "16:9", "seed": 7}', '{"width": 1024, "height": 576, "format": "png"}', now()
from generate_series(1, :finished) n;
vacuum analyze;
