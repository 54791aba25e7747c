-- Credits as a double-entry ledger. A row is a transfer between two books, so the sum of all entries is zero at every
-- moment by construction. Rows are immutable; a hold is closed once, by a capture or a release.

create table ledger_transfer (
    -- No foreign key: who writes a transfer holds the lock on its purse, which has one; a second look at the account
    -- would lock that row as well, for every transfer.
    account_id bigint not null,
    mode text not null constraint ledger_transfer_mode_known check (mode in ('test', 'live')),
    reference uuid not null, -- the generation, or an id of its own for a top-up
    kind text not null constraint ledger_transfer_kind_known check (kind in ('top-up', 'hold', 'capture', 'release')),
    amount bigint not null constraint ledger_transfer_amount_positive check (amount > 0),
    at timestamptz not null,
    closes boolean not null generated always as (kind in ('capture', 'release')) stored,
    -- A reference is opened once and closed once: nothing is charged twice.
    constraint ledger_transfer_once primary key (account_id, reference, closes)
);

create function ledger_is_immutable() returns trigger language plpgsql as $$
begin
    raise exception 'ledger rows are immutable' using errcode = 'restrict_violation';
end
$$;
create trigger ledger_transfer_immutable before update or delete or truncate on ledger_transfer
    for each statement execute function ledger_is_immutable();

-- Nothing is captured or released that was not held, in the same purse and of the same amount. A foreign key could not
-- tell a hold from a top-up without another index, and would lock the hold's row.
create function ledger_closes_a_hold() returns trigger language plpgsql as $$
begin
    if not exists (select from ledger_transfer h where h.account_id = new.account_id and h.reference = new.reference
            and not h.closes and h.kind = 'hold' and h.mode = new.mode and h.amount = new.amount) then
        raise exception 'only what is held is captured or released' using errcode = 'foreign_key_violation';
    end if;
    return new;
end
$$;
create trigger ledger_transfer_closes_a_hold before insert on ledger_transfer
    for each row when (new.kind in ('capture', 'release')) execute function ledger_closes_a_hold();

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
