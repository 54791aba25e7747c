-- What all processes measured of the routes: success and speed, recent runs counting more; and which circuits are open.

create table route_health (
    route text primary key,
    -- The share of runs that succeeded.
    success double precision not null constraint route_health_success_share check (success between 0 and 1),
    -- The seconds a successful run took; null until one did.
    seconds double precision constraint route_health_seconds_positive check (seconds >= 0),
    -- What choices go by: `seconds`, without its small movements.
    steady_seconds double precision,
    updated_at timestamptz not null
) with (fillfactor = 50);

-- A circuit for each kind of trouble, so that a full queue does not hide a rejected key.
create table circuit (
    route text not null,
    class text not null constraint circuit_class_known check (class in ('busy', 'down', 'account')),
    -- Refusals in a row.
    failures integer not null,
    last_failure_at timestamptz not null,
    -- Times it was opened lately; each time it stays open for longer.
    opened integer not null default 0,
    -- Until then nothing is sent; after it one probe is, which moves it on. null: closed.
    open_until timestamptz,
    primary key (route, class)
) with (fillfactor = 50);
