-- The chassis' own tables, the same in every service. Ids begin with the saga's birth, so every index grows at its end.

-- What has taken effect by the doors of events, answers and deadlines. The proof, and with the outbox the log: a saga's
-- timeline is read from the two. Written first, as a lock against whoever has the same id in hand; what became of it follows.
create table chassis.claims (
    id        uuid        primary key,
    door      text        not null,
    saga      uuid,
    type      text        not null,
    source    text        not null,
    happened  timestamptz not null,
    causation uuid,
    trace_id  uuid,
    -- SHA-256 of what came: the same id with other content is an alarm.
    content   bytea,
    -- Why nothing left the house, if nothing did.
    because   text,
    taken_at  timestamptz not null
) with (fillfactor = 85);
create index claims_saga on chassis.claims (saga) where saga is not null;

-- The same for the door of commands, with the answer that a repeat is given. Kept for 24 hours.
create table chassis.requests (
    id          uuid        primary key,
    -- SHA-256 of the canonical body: the same key with another body is a mistake of the client.
    fingerprint bytea       not null,
    saga        uuid,
    type        text        not null,
    source      text        not null,
    happened    timestamptz not null,
    trace_id    uuid,
    because     text,
    status      integer,
    -- Text, not jsonb: any string of JSON fits.
    body        text,
    taken_at    timestamptz not null
) with (fillfactor = 70);
create index requests_saga on chassis.requests (saga) where saga is not null;
create index requests_taken_at on chassis.requests using brin (taken_at);

-- Every event that was ever said. Never updated.
create table chassis.outbox (
    id          uuid        primary key,
    saga        uuid,
    type        text        not null,
    body        text        not null,
    causation   uuid,
    traceparent text,
    tracestate  text,
    said_at     timestamptz not null
);
create index outbox_saga on chassis.outbox (saga) where saga is not null;

-- What is not known to be in the stream. Rows come and go all the time: vacuum often, for a long dead tail slows the sweep.
create table chassis.outbox_pending (
    id    uuid        primary key,
    since timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);

-- How often a row was put back on the list after the stream had lost it: behind the broker's dedup id.
create table chassis.outbox_generation (
    id uuid    primary key,
    n  integer not null
);

-- What is still to be asked of a partner, or still to be answered. Its id is the claim of its answer.
create table chassis.intents (
    id          uuid        primary key,
    saga        uuid        not null,
    call        json        not null,
    causation   uuid        not null,
    traceparent text,
    tracestate  text,
    asked_at    timestamptz not null,
    -- Under this key.
    tries       integer     not null default 0,
    last_error  text,
    -- Its key holds a stored error: ask what became of it, not again.
    look_up     boolean     not null default false,
    -- The next try, and until then a lease of whoever has it in hand.
    due         timestamptz not null
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create index intents_saga on chassis.intents (saga);
create index intents_due on chassis.intents (due);

-- Moments at which a saga that stands still becomes an input. A saga has at most one of each name.
create table chassis.deadlines (
    saga uuid        not null,
    name text        not null,
    at   timestamptz not null,
    primary key (saga, name)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create index deadlines_at on chassis.deadlines (at);

-- Deliveries that came before what they stand on, or in a version that is not known yet.
create table chassis.parked (
    id        uuid        primary key,
    saga      uuid,
    type      text,
    code      text        not null,
    reason    text        not null,
    subject   text        not null,
    headers   bytea       not null,
    body      bytea       not null,
    tries     integer     not null default 1,
    parked_at timestamptz not null default clock_timestamp(),
    due       timestamptz not null
);
create index parked_due on chassis.parked (due);
create index parked_saga on chassis.parked (saga) where saga is not null;

-- Deliveries that nobody could take, until somebody replays or discards them.
create table chassis.dead_letters (
    id         uuid        primary key,
    saga       uuid,
    type       text,
    code       text        not null,
    reason     text        not null,
    subject    text        not null,
    headers    bytea       not null,
    body       bytea       not null,
    state      text        not null default 'dead',
    note       text,
    buried_at  timestamptz not null default clock_timestamp(),
    settled_at timestamptz
);
create index dead_letters_state on chassis.dead_letters (state, buried_at, id);
create index dead_letters_saga on chassis.dead_letters (saga) where saga is not null;

-- Who leads which job. `token` grows with every new holder: what an old one still sends is known by it.
create table chassis.leases (
    job     text        primary key,
    holder  text        not null,
    token   bigint      not null,
    expires timestamptz not null
);
