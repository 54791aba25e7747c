-- Credits as a double-entry ledger. A row is a transfer between two books, so the sum of all entries is zero at every
-- moment by construction. Rows are immutable; a hold is closed once, by a capture or a release.

create table ledger_transfer (
    account_id bigint not null constraint ledger_transfer_account references account,
    mode text not null constraint ledger_transfer_mode_known check (mode in ('test', 'live')),
    reference uuid not null, -- the generation, or an id of its own for a top-up
    kind text not null constraint ledger_transfer_kind_known check (kind in ('top-up', 'hold', 'capture', 'release')),
    amount bigint not null constraint ledger_transfer_amount_positive check (amount > 0),
    at timestamptz not null,
    closes boolean not null generated always as (kind in ('capture', 'release')) stored,
    -- What a closing transfer closes; see the foreign key.
    opening boolean generated always as (case when kind in ('capture', 'release') then false end) stored,
    -- A reference is opened once and closed once: nothing is charged twice.
    constraint ledger_transfer_once primary key (account_id, reference, closes),
    -- Nothing is captured or released that was not held.
    constraint ledger_transfer_closes_a_hold foreign key (account_id, reference, opening)
        references ledger_transfer (account_id, reference, closes)
);

create function ledger_is_immutable() returns trigger language plpgsql as $$
begin
    raise exception 'ledger rows are immutable' using errcode = 'restrict_violation';
end
$$;
create trigger ledger_transfer_immutable before update or delete on ledger_transfer
    for each statement execute function ledger_is_immutable();

-- The two entries of each transfer.
create view ledger_entry as
select t.account_id, t.mode, t.reference, t.kind, b.book, b.sign * t.amount as amount, t.at
from ledger_transfer t
join (values
    ('top-up', 'funding', -1), ('top-up', 'available', 1),
    ('hold', 'available', -1), ('hold', 'held', 1),
    ('capture', 'held', -1), ('capture', 'spent', 1),
    ('release', 'held', -1), ('release', 'available', 1)
) b (kind, book, sign) on b.kind = t.kind;
