-- What order keeps. The chassis keeps its own tables in its own schema.

create table orders (
    -- A UUIDv7: sorts by birth, which is the order of the list.
    order_id    uuid primary key,
    -- The whole of it: what was ordered, and how it stands.
    purchase    jsonb not null,
    -- Told out of `purchase` at every write, for the list to find it by.
    customer_id text not null,
    status      text not null,

    constraint orders_status_known
        check (status in ('placed', 'confirmed', 'dispatched', 'compensating', 'rejected', 'cancelled'))
)
-- An order is updated some five times in its first second: room on the page keeps that off the primary key.
with (fillfactor = 50);

create index orders_by_customer on orders (customer_id, order_id desc);
create index orders_by_status on orders (status, order_id desc);

-- Order's own copy of what inventory announces. It may lag; it can be rebuilt.
create table catalog (
    sku      text primary key,
    -- Minor units of the currency.
    amount   bigint not null,
    -- ISO 4217.
    currency text not null,
    -- Of the owner's row: an older one never replaces a newer one.
    version  bigint not null
);
