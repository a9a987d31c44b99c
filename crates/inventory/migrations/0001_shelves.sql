-- What is set aside for each order: one document, as the domain knows it.
create table reservations (
    order_id    uuid        primary key,
    reservation jsonb       not null,
    -- For people and for the audit.
    state       text        not null generated always as (reservation ->> 'state') stored,
    changed_at  timestamptz not null default clock_timestamp()
);

-- Every product with its counts.
create table stock (
    sku      text    primary key,
    name     text    not null,
    amount   bigint  not null,
    currency text    not null,
    on_hand  integer not null,
    reserved integer not null,
    sold     integer not null,
    received integer not null,
    -- Grows with every change by an operator, not with orders.
    version  bigint  not null,
    -- The domain never goes below zero nor loses a unit; were it wrong, the database would not follow it.
    constraint stock_not_below_zero check (on_hand >= 0 and reserved >= 0 and sold >= 0),
    constraint stock_adds_up check (on_hand + reserved + sold = received)
) with (fillfactor = 70);
