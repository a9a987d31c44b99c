-- A claim and a request are written once by now, with what became of them: the room that they left on each page for a second
-- time stood empty.
alter table chassis.claims_late set (fillfactor = 100);
alter table chassis.requests set (fillfactor = 100);

-- Makes the partitions of a day; false if they are there. Nobody waits for it: a table is made, then attached. A day of which
-- something is late already stays late: in its partition that claim would not be found. So does one that was given up, until
-- its tables are gone.
create or replace function chassis.make_day(day integer) returns boolean language plpgsql set search_path = pg_catalog as $$
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
    execute format('create table chassis.%I (like chassis.claims_late including all)', claims);
    execute format('alter table chassis.claims_by_day attach partition chassis.%I for values from (%L) to (%L)', claims, first, until);
    execute format('create table chassis.%I (like chassis.outbox_late including all)', outbox);
    execute format('alter table chassis.outbox_by_day attach partition chassis.%I for values from (%L) to (%L)', outbox, first, until);
    return true;
end $$;
