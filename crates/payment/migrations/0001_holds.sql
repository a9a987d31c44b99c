-- How the money of each order stands: one document, as the domain knows it.
create table holds (
    order_id   uuid        primary key,
    hold       jsonb       not null,
    -- For people and for the audit.
    state      text        not null generated always as (hold ->> 'state') stored,
    changed_at timestamptz not null default clock_timestamp()
);
