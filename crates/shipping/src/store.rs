//! Shipping's table.

use chassis::{Opening, Writing, document};
use events::OrderId;
use sqlx::{PgPool, types::Json};

use crate::domain::{Shipment, Shipments};

chassis::statements! {
    /// Not locked: who loads has their sagas to itself, by name.
    LOAD = "select order_id, shipment from shipments where order_id = any($1::uuid[])";

    SAVE = "insert into shipments (order_id, shipment) select * from unnest($1::uuid[], $2::jsonb[])
            on conflict (order_id) do update set shipment = excluded.shipment, changed_at = clock_timestamp()";

    READ = "select shipment from shipments where order_id = $1";
}

pub(crate) async fn load(opening: &mut Opening<'_>, shipments: &mut Shipments) -> sqlx::Result<()> {
    document::load(opening, LOAD, &mut shipments.shipments).await
}

pub(crate) fn save(writing: &mut Writing, shipments: &Shipments) {
    document::save(writing, SAVE, &shipments.shipments);
}

pub(crate) async fn read(pool: &PgPool, order: OrderId) -> sqlx::Result<Option<Shipment>> {
    let found: Option<(Json<Shipment>,)> = sqlx::query_as(READ).bind(order.0).fetch_optional(pool).await?;
    Ok(found.map(|(Json(shipment),)| shipment))
}
