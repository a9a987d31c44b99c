//! What the four services keep, each change one statement that may be repeated: dbos runs a step at least once.

use serde_json::Value;
use sqlx::{PgPool, postgres::PgPoolOptions, types::Json};
use uuid::Uuid;

/// Connections for the work itself, and as many again for the checkpoints of dbos.
pub(crate) const CONNECTIONS: u32 = 24;

/// The same products as Ensemble's, and enough of each.
const CATALOG: &str = include_str!("../../../crates/inventory/catalog.json");

const TABLES: &str = "
    create table orders (order_id uuid primary key, purchase jsonb not null, status text not null) with (fillfactor = 50);
    create table reservations (order_id uuid primary key, sku text not null, quantity integer not null, state text not null)
        with (fillfactor = 50);
    create table stock (sku text primary key, amount bigint not null, on_hand integer not null, reserved integer not null,
        sold integer not null, check (on_hand >= 0)) with (fillfactor = 70);
    create table holds (order_id uuid primary key, charge text, state text not null) with (fillfactor = 50);
    create table shipments (order_id uuid primary key, booking text, state text not null);";

const SHELVES: &str = "insert into stock
    select product ->> 'sku', (product -> 'price' ->> 'amount')::bigint, 100000000, 0, 0 from jsonb_array_elements($1) product";

const PLACE: &str = "with placed as (insert into orders values ($1, $2, 'placed') on conflict (order_id) do nothing)
    select amount * $4 from stock where sku = $3";

/// True as well if it was reserved before.
const RESERVE: &str = "with had as (select from reservations where order_id = $1),
    taken as (update stock set on_hand = on_hand - $3, reserved = reserved + $3
        where sku = $2 and on_hand >= $3 and not exists (select from had) returning sku),
    kept as (insert into reservations select $1, $2, $3, 'held' from taken)
    select exists (select from had) or exists (select from taken)";

const RELEASE: &str = "with freed as (update reservations set state = 'released' where order_id = $1 and state = 'held'
        returning sku, quantity)
    update stock set on_hand = on_hand + quantity, reserved = reserved - quantity from freed where stock.sku = freed.sku";

const COMMIT: &str = "with sold as (update reservations set state = 'sold' where order_id = $1 and state = 'held'
        returning sku, quantity)
    update stock set sold = sold + quantity, reserved = reserved - quantity from sold where stock.sku = sold.sku";

const HOLD: &str = "insert into holds values ($1, $2, case when $2 is null then 'declined' else 'authorized' end)
    on conflict (order_id) do nothing";

const SHIP: &str = "insert into shipments values ($1, $2, case when $2 is null then 'refused' else 'booked' end)
    on conflict (order_id) do nothing";

const CAPTURED: &str = "update holds set state = 'captured' where order_id = $1";

const END: &str = "update orders set status = $2 where order_id = $1";

pub(crate) async fn open(url: &str) -> anyhow::Result<PgPool> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    sqlx::query(SHELVES).bind(Json(serde_json::from_str::<Value>(CATALOG)?)).execute(&pool).await?;
    Ok(pool)
}

/// What the order comes to.
pub(crate) async fn place(db: &PgPool, order: Uuid, body: &Value) -> sqlx::Result<i64> {
    let (sku, quantity) = line(body);
    sqlx::query_scalar(PLACE).bind(order).bind(Json(body)).bind(sku).bind(quantity).fetch_one(db).await
}

/// Whether there was enough.
pub(crate) async fn reserve(db: &PgPool, order: Uuid, body: &Value) -> sqlx::Result<bool> {
    let (sku, quantity) = line(body);
    sqlx::query_scalar(RESERVE).bind(order).bind(sku).bind(quantity).fetch_one(db).await
}

pub(crate) async fn release(db: &PgPool, order: Uuid) -> sqlx::Result<()> {
    sqlx::query(RELEASE).bind(order).execute(db).await.map(drop)
}

pub(crate) async fn commit(db: &PgPool, order: Uuid) -> sqlx::Result<()> {
    sqlx::query(COMMIT).bind(order).execute(db).await.map(drop)
}

pub(crate) async fn hold(db: &PgPool, order: Uuid, charge: Option<&str>) -> sqlx::Result<()> {
    sqlx::query(HOLD).bind(order).bind(charge).execute(db).await.map(drop)
}

pub(crate) async fn ship(db: &PgPool, order: Uuid, booking: Option<&str>) -> sqlx::Result<()> {
    sqlx::query(SHIP).bind(order).bind(booking).execute(db).await.map(drop)
}

pub(crate) async fn captured(db: &PgPool, order: Uuid) -> sqlx::Result<()> {
    sqlx::query(CAPTURED).bind(order).execute(db).await.map(drop)
}

pub(crate) async fn end(db: &PgPool, order: Uuid, status: &str) -> sqlx::Result<()> {
    sqlx::query(END).bind(order).bind(status).execute(db).await.map(drop)
}

/// The bench orders one product at a time.
fn line(body: &Value) -> (&str, i32) {
    let line = &body["lines"][0];
    let quantity = line["quantity"].as_i64().and_then(|quantity| i32::try_from(quantity).ok());
    (line["sku"].as_str().unwrap_or_default(), quantity.unwrap_or_default())
}
