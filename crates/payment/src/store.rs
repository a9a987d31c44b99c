//! Payment's table.

use chassis::{Opening, Writing, document};
use events::OrderId;
use sqlx::{PgPool, types::Json};

use crate::domain::{Hold, Holds};

chassis::statements! {
    /// Not locked: who loads has their sagas to itself, by name.
    LOAD = "select order_id, hold from holds where order_id = any($1::uuid[])";

    SAVE = "insert into holds (order_id, hold) select * from unnest($1::uuid[], $2::jsonb[])
            on conflict (order_id) do update set hold = excluded.hold, changed_at = clock_timestamp()";

    READ = "select hold from holds where order_id = $1";
}

pub(crate) async fn load(opening: &mut Opening<'_>, holds: &mut Holds) -> sqlx::Result<()> {
    document::load(opening, LOAD, &mut holds.holds).await
}

pub(crate) fn save(writing: &mut Writing, holds: &Holds) {
    document::save(writing, SAVE, &holds.holds);
}

pub(crate) async fn read(pool: &PgPool, order: OrderId) -> sqlx::Result<Option<Hold>> {
    let found: Option<(Json<Hold>,)> = sqlx::query_as(READ).bind(order.0).fetch_optional(pool).await?;
    Ok(found.map(|(Json(hold),)| hold))
}
