-- Claims and outbox are partitioned by id, which begins with the saga's birth: a partition for each day. A whole day is dropped
-- when every saga born in it has ended. `late` holds whatever is about a day that has no partition: one that was dropped, and
-- what has no birth. Which of the two it is stands in the row, for a key is unique only beside what partitions by.

-- The days that have their partitions, counted since 1970-01-01 UTC. What is not here is late.
create table chassis.days (
    day integer primary key
);

-- What was there before stays where it is, and is late from now on.
alter table chassis.claims rename to claims_late;
alter table chassis.claims_late add column late boolean not null default true;
alter table chassis.claims_late alter column late drop default;
alter table chassis.claims_late drop constraint claims_pkey;
alter table chassis.claims_late add primary key (id, late);

create table chassis.claims (like chassis.claims_late, primary key (id, late)) partition by list (late);
alter table chassis.claims attach partition chassis.claims_late for values in (true);
create table chassis.claims_by_day partition of chassis.claims for values in (false) partition by range (id);

alter table chassis.outbox rename to outbox_late;
alter table chassis.outbox_late add column late boolean not null default true;
alter table chassis.outbox_late alter column late drop default;
alter table chassis.outbox_late drop constraint outbox_pkey;
alter table chassis.outbox_late add primary key (id, late);
alter index chassis.outbox_said_at rename to outbox_late_said_at;

create table chassis.outbox (like chassis.outbox_late, primary key (id, late)) partition by list (late);
create index outbox_said_at on chassis.outbox using brin (said_at) with (pages_per_range = 16, autosummarize = on);
alter table chassis.outbox attach partition chassis.outbox_late for values in (true);
create table chassis.outbox_by_day partition of chassis.outbox for values in (false) partition by range (id);

-- The first id of a day.
create function chassis.first_of_day(day integer) returns uuid language sql immutable parallel safe
    return (overlay(lpad(to_hex(day * 86400000::bigint), 12, '0') placing '-' from 9 for 0) || '-0000-0000-000000000000')::uuid;

-- 20261126, as the partitions of that day are called.
create function chassis.name_of_day(day integer) returns text language sql stable parallel safe
    return to_char(date '1970-01-01' + day, 'YYYYMMDD');

-- Makes the partitions of a day; false if they are there. Nobody waits for it: a table is made, then attached. A day of which
-- something is late already stays late: in its partition that claim would not be found. So does one that was given up, until
-- its tables are gone.
create function chassis.make_day(day integer) returns boolean language plpgsql set search_path = pg_catalog as $$
declare
    first uuid := chassis.first_of_day(make_day.day);
    until uuid := chassis.first_of_day(make_day.day + 1);
    claims text := 'claims_' || chassis.name_of_day(make_day.day);
    outbox text := 'outbox_' || chassis.name_of_day(make_day.day);
begin
    if exists (select from chassis.claims_late where id >= first and id < until)
        or exists (select from chassis.outbox_late where id >= first and id < until) then
        return false;
    end if;
    -- Of two replicas that start at once the second waits here for the first.
    insert into chassis.days values (make_day.day) on conflict do nothing;
    if not found then
        return false;
    end if;
    if to_regclass('chassis.' || claims) is not null or to_regclass('chassis.' || outbox) is not null then
        delete from chassis.days as made where made.day = make_day.day;
        return false;
    end if;
    execute format('create table chassis.%I (like chassis.claims_late including all) with (fillfactor = 50)', claims);
    execute format('alter table chassis.claims_by_day attach partition chassis.%I for values from (%L) to (%L)', claims, first, until);
    execute format('create table chassis.%I (like chassis.outbox_late including all)', outbox);
    execute format('alter table chassis.outbox_by_day attach partition chassis.%I for values from (%L) to (%L)', outbox, first, until);
    return true;
end $$;

-- Drops what was the partition of a day, and is detached. A transaction may have been under way when the day was given up: what
-- it wrote there since then goes on as late. Returns how many rows that were.
create function chassis.drop_detached(name text, since timestamptz) returns bigint language plpgsql set search_path = pg_catalog as $$
declare
    moved bigint;
begin
    if name like 'claims\_%' then
        execute format('insert into chassis.claims
            (id, late, door, saga, type, source, happened, causation, trace_id, content, because, taken_at)
            select id, true, door, saga, type, source, happened, causation, trace_id, content, because, taken_at
            from chassis.%I where taken_at >= $1 on conflict do nothing', name) using since;
    else
        execute format('insert into chassis.outbox (id, late, saga, type, body, causation, traceparent, tracestate, said_at)
            select id, true, saga, type, body, causation, traceparent, tracestate, said_at from chassis.%I as said
            where said_at >= $1 or exists (select from chassis.outbox_pending as pending where pending.id = said.id)
            on conflict do nothing', name) using since;
    end if;
    get diagnostics moved = row_count;
    execute format('drop table chassis.%I', name);
    return moved;
end $$;
