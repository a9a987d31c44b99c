-- How the shipment of each order stands: one document, as the domain knows it.
create table shipments (
    order_id   uuid        primary key,
    shipment   jsonb       not null,
    -- For people and for the audit.
    state      text        not null generated always as (shipment ->> 'state') stored,
    changed_at timestamptz not null default clock_timestamp()
);
