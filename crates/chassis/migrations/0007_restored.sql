-- At most one row: this database is older than what the service has said, and nothing is taken until that is put right.
create table chassis.restored (
    only_one boolean     primary key default true check (only_one),
    found_at timestamptz not null default clock_timestamp(),
    why      text        not null,
    -- How far it is put right: `stopped`, `retakes` (an operator hands in what had been heard, and partners are asked again),
    -- `follows` (what else had been heard since is heard again).
    phase    text        not null default 'stopped',

    constraint restored_phase_known check (phase in ('stopped', 'retakes', 'follows'))
);
