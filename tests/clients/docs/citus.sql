-- Stands for Citus: nothing is spread, but what it would refuse is refused. Undone at the end of the session, which is
-- a transaction.
begin;

create table spread (relation regclass primary key, by text);

create function foreign_keys_lead_to_every_node(relation regclass) returns void language plpgsql as $$
declare
    bad text;
begin
    select c.conname into bad from pg_constraint c
    where c.conrelid = $1 and c.contype = 'f' and not exists (
        select from spread s where s.relation = c.confrelid and s.by is null);
    if found then
        raise exception 'the foreign key % leads to a table that is not on every node', bad;
    end if;
end
$$;

-- Unique keys hold the column that rows are spread by, no trigger is one for each statement, and others are allowed
-- only when asked for.
create function create_distributed_table(relation regclass, by text, colocate_with regclass default null) returns void
language plpgsql as $$
declare
    bad text;
begin
    if colocate_with is not null and not exists (select from spread s where s.relation = colocate_with and s.by = $2) then
        raise exception '% is not spread by %', colocate_with, by;
    end if;
    select i.indexrelid::regclass into bad from pg_index i
    where i.indrelid = $1 and (i.indisunique or i.indisexclusion) and not exists (
        select from pg_attribute a where a.attrelid = $1 and a.attname = $2 and a.attnum = any (i.indkey));
    if found then
        raise exception 'the unique key % does not hold %', bad, by;
    end if;
    perform foreign_keys_lead_to_every_node($1);
    select t.tgname into bad from pg_trigger t where t.tgrelid = $1 and not t.tgisinternal;
    if found then
        raise exception 'the trigger % is there already', bad;
    end if;
    insert into spread values ($1, $2);
end
$$;

create function create_reference_table(relation regclass) returns void language plpgsql as $$
begin
    perform foreign_keys_lead_to_every_node($1);
    insert into spread values ($1, null);
end
$$;

create function no_trigger_for_each_statement() returns event_trigger language plpgsql as $$
begin
    if exists (select from pg_trigger t join spread s on s.relation = t.tgrelid
            where not t.tgisinternal and (t.tgtype & 1 = 0 or current_setting('citus.enable_unsafe_triggers', true) is distinct from 'on')) then
        raise exception 'such a trigger is not allowed on a table that is spread';
    end if;
end
$$;
create event trigger no_trigger_for_each_statement on ddl_command_end when tag in ('CREATE TRIGGER')
    execute function no_trigger_for_each_statement();
