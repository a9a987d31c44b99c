//! Loyalty's table.

use chassis::{Opening, Writing, document};
use sqlx::PgPool;

use crate::domain::Cards;

chassis::statements! {
    LOAD = "select order_id, card from cards where order_id = any($1::uuid[])";

    SAVE = "insert into cards (order_id, card) select * from unnest($1::uuid[], $2::jsonb[])
            on conflict (order_id) do update set card = excluded.card";

    POINTS = "select coalesce(sum((card ->> 'points')::bigint), 0)::bigint from cards
            where card ->> 'customer_id' = $1 and state = 'earned'";
}

pub(crate) async fn load(opening: &mut Opening<'_>, cards: &mut Cards) -> sqlx::Result<()> {
    document::load(opening, LOAD, &mut cards.cards).await
}

pub(crate) fn save(writing: &mut Writing, cards: &Cards) {
    document::save(writing, SAVE, &cards.cards);
}

pub(crate) async fn points(pool: &PgPool, customer: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar(POINTS).bind(customer).fetch_one(pool).await
}
