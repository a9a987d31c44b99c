-- The broker may forget. What follows is how its streams and durables were when they were last known to be sound.

-- The reconciler reads what was said since a moment; rows arrive in that order, so a summary of each stretch is enough.
create index outbox_said_at on chassis.outbox using brin (said_at) with (pages_per_range = 16, autosummarize = on);

-- The own stream: as it was when all that it should hold was known to be there.
create table chassis.footings (
    stream   text        primary key,
    -- Its identity: nanoseconds since 1970.
    created  bigint      not null,
    first    bigint      not null,
    first_at timestamptz not null,
    last     bigint      not null,
    last_id  text,
    gaps     bigint      not null,
    seen_at  timestamptz not null,
    -- How often a replica has found something gone that was acknowledged to it, and nobody has looked since.
    doubts   bigint      not null default 0
) with (fillfactor = 50);

-- The durables on the streams of others, as the reader knows them.
create table chassis.durables (
    name           text   primary key,
    -- Identities: nanoseconds since 1970.
    stream_created bigint not null,
    created        bigint not null,
    server         text   not null
) with (fillfactor = 50);

-- Up to where everything has been taken, and what stands there; a few of them, thinned out with their distance.
create table chassis.positions (
    durable  text   not null,
    sequence bigint not null,
    id       text   not null,
    primary key (durable, sequence)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
