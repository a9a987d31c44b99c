create table cards (
    order_id uuid  primary key,
    card     jsonb not null,
    state    text  not null generated always as (card ->> 'state') stored
);
create index cards_customer on cards ((card ->> 'customer_id'));
