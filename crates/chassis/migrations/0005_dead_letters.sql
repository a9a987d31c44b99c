-- How often it was tried in vain, replays included; and what led to the reason, from the outermost error to its root.
alter table chassis.dead_letters add column attempts integer not null default 1;
alter table chassis.dead_letters add column chain text[] not null default '{}';
alter table chassis.parked add column chain text[] not null default '{}';
