//! Inventory's tables.

use chassis::{Opening, Writing, document};
use events::{Currency, Money, OrderId, Sku};
use saga::Table;
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow, types::Json};

use crate::domain::{Reservation, Shelves, Stock};

chassis::statements! {
    /// Not locked: who loads has their sagas to itself, by name.
    LOAD_RESERVATIONS = "select order_id, reservation from reservations where order_id = any($1::uuid[])";

    SAVE_RESERVATIONS = "insert into reservations (order_id, reservation) select * from unnest($1::uuid[], $2::jsonb[])
            on conflict (order_id) do update set reservation = excluded.reservation, changed_at = clock_timestamp()";

    READ_RESERVATION = "select reservation from reservations where order_id = $1";

    /// Locks in key order: a product is every saga's, and a hot one is waited for, never deadlocked on.
    LOAD_STOCK = "select sku, name, amount, currency, on_hand, reserved, sold, received, version
            from stock where sku = any($1::text[]) order by sku for update";

    SAVE_STOCK = "insert into stock (sku, name, amount, currency, on_hand, reserved, sold, received, version)
            select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::int[], $7::int[], $8::int[], $9::bigint[])
            on conflict (sku) do update set name = excluded.name, amount = excluded.amount, currency = excluded.currency,
                on_hand = excluded.on_hand, reserved = excluded.reserved, sold = excluded.sold, received = excluded.received,
                version = excluded.version";

    READ_STOCK = "select sku, name, amount, currency, on_hand, reserved, sold, received, version from stock where sku = $1";

    LIST_STOCK = "select sku, name, amount, currency, on_hand, reserved, sold, received, version
            from stock where sku > $1 order by sku limit $2";
}

pub(crate) async fn load(opening: &mut Opening<'_>, shelves: &mut Shelves) -> sqlx::Result<()> {
    document::load(opening, LOAD_RESERVATIONS, &mut shelves.reservations).await?;
    shelves.reach();
    load_stock(opening.opened().await?, &mut shelves.stock).await
}

pub(crate) fn save(writing: &mut Writing, shelves: &Shelves) {
    document::save(writing, SAVE_RESERVATIONS, &shelves.reservations);
    save_stock(writing, &shelves.stock);
}

pub(crate) async fn read_reservation(pool: &PgPool, order: OrderId) -> sqlx::Result<Option<Reservation>> {
    let found: Option<(Json<Reservation>,)> = sqlx::query_as(READ_RESERVATION).bind(order.0).fetch_optional(pool).await?;
    Ok(found.map(|(Json(reservation),)| reservation))
}

pub(crate) async fn read_stock(pool: &PgPool, sku: &str) -> sqlx::Result<Option<(Sku, Stock)>> {
    sqlx::query(READ_STOCK).bind(sku).try_map(product).fetch_optional(pool).await
}

/// The products behind that one, in order of their SKU.
pub(crate) async fn list_stock(pool: &PgPool, after: &str, limit: usize) -> sqlx::Result<Vec<(Sku, Stock)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sqlx::query(LIST_STOCK).bind(after).bind(limit).try_map(product).fetch_all(pool).await
}

async fn load_stock(conn: &mut PgConnection, stock: &mut Table<Sku, Option<Stock>>) -> sqlx::Result<()> {
    let skus: Vec<String> = stock.missing().into_iter().map(|sku| sku.0).collect();
    if skus.is_empty() {
        return Ok(());
    }
    let found = sqlx::query(LOAD_STOCK).bind(skus).try_map(product).fetch_all(conn).await?;
    stock.fill(found.into_iter().map(|(sku, product)| (sku, Some(product))));
    Ok(())
}

fn save_stock(writing: &mut Writing, stock: &Table<Sku, Option<Stock>>) {
    let changed: Vec<(&Sku, &Stock)> = stock.changed().filter_map(|(sku, product)| Some((sku, product.as_ref()?))).collect();
    if changed.is_empty() {
        return;
    }
    // Counts stay below what an `int` holds, for what was received does: see `RECEIVED_MAX`.
    let counts = |count: fn(&Stock) -> u32| changed.iter().map(|(_, product)| count(product).cast_signed()).collect::<Vec<i32>>();
    writing
        .add(SAVE_STOCK)
        .bind(changed.iter().map(|(sku, _)| sku.0.as_str()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, product)| product.name.as_str()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, product)| product.price.amount).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, product)| product.price.currency.code()).collect::<Vec<_>>())
        .bind(counts(|product| product.on_hand))
        .bind(counts(|product| product.reserved))
        .bind(counts(|product| product.sold))
        .bind(counts(|product| product.received))
        .bind(changed.iter().map(|(_, product)| product.version.cast_signed()).collect::<Vec<_>>());
}

fn product(row: PgRow) -> sqlx::Result<(Sku, Stock)> {
    let count = |name| row.try_get::<i32, _>(name).map(i32::cast_unsigned);
    let code: String = row.try_get("currency")?;
    let currency = Currency::from_code(&code).ok_or_else(|| sqlx::Error::Decode(format!("`{code}` is no currency").into()))?;
    let stock = Stock {
        name: row.try_get("name")?,
        price: Money::new(row.try_get("amount")?, currency),
        on_hand: count("on_hand")?,
        reserved: count("reserved")?,
        sold: count("sold")?,
        received: count("received")?,
        version: row.try_get::<i64, _>("version")?.cast_unsigned(),
    };
    Ok((Sku(row.try_get("sku")?), stock))
}
