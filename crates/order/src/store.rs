//! Order's tables.

use std::sync::Arc;

use chassis::{House, Opening, Writing, commit::log::Entry};
use events::{Currency, Money, OrderId, Sku};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use crate::{
    domain::{Orders, Product, Purchase},
    screen::{Status, status},
};

chassis::statements! {
    /// Not locked: who loads has their sagas to itself, by name.
    LOAD_ORDERS = "select order_id, purchase from orders where order_id = any($1::uuid[])";

    SAVE_ORDERS = "insert into orders (order_id, purchase, customer_id, status)
            select * from unnest($1::uuid[], $2::jsonb[], $3::text[], $4::text[])
            on conflict (order_id) do update set purchase = excluded.purchase, status = excluded.status";

    /// Not locked: every order reads prices, and the write below keeps the newest whoever comes last.
    LOAD_CATALOG = "select sku, amount, currency, version from catalog where sku = any($1::text[])";

    /// The newest version holds, whoever comes last.
    SAVE_CATALOG = "insert into catalog (sku, amount, currency, version)
            select * from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
            on conflict (sku) do update
                set amount = excluded.amount, currency = excluded.currency, version = excluded.version
                where catalog.version < excluded.version";

    TOLD = chassis::with_log!("select purchase from orders where order_id = asked.saga");

    READ = "select purchase from orders where order_id = $1";

    /// A confirmed order may still be cancelled.
    OPEN = "select exists (select from orders where order_id >= $1 and order_id < $2
            and status in ('placed', 'confirmed', 'compensating'))";

    STATUS = "select order_id as saga, status as seen from orders where order_id = any($1::uuid[])";

    LIST = "select order_id, purchase from orders
            where ($1::text is null or customer_id = $1) and ($2::text is null or status = $2)
                and ($3::uuid is null or order_id < $3)
            order by order_id desc limit $4";
}

pub(crate) async fn load(opening: &mut Opening<'_>, orders: &mut Orders) -> sqlx::Result<()> {
    chassis::document::load(opening, LOAD_ORDERS, &mut orders.orders).await?;
    let skus: Vec<String> = orders.catalog.missing().into_iter().map(|sku| sku.0).collect();
    if skus.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, i64, String, i64)> =
        sqlx::query_as(LOAD_CATALOG).bind(skus).fetch_all(opening.opened().await?).await?;
    let products: sqlx::Result<Vec<_>> = rows.into_iter().map(product).collect();
    orders.catalog.fill(products?);
    Ok(())
}

fn product((sku, amount, currency, version): (String, i64, String, i64)) -> sqlx::Result<(Sku, Option<Product>)> {
    let unreadable = |column: &str, source: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::ColumnDecode {
        index: column.into(),
        source,
    };
    let code = Currency::from_code(&currency).ok_or_else(|| unreadable("currency", format!("`{currency}` is none").into()))?;
    let version = u64::try_from(version).map_err(|error| unreadable("version", error.into()))?;
    Ok((Sku(sku), Some(Product { price: Money::new(amount, code), version })))
}

pub(crate) fn save(writing: &mut Writing, orders: &Orders) {
    save_orders(writing, orders);
    save_catalog(writing, orders);
}

fn save_orders(writing: &mut Writing, orders: &Orders) {
    let changed: Vec<(&OrderId, &Purchase)> =
        orders.orders.changed().filter_map(|(id, purchase)| Some((id, purchase.as_ref()?))).collect();
    if changed.is_empty() {
        return;
    }
    let ids: Vec<Uuid> = changed.iter().map(|(id, _)| id.0).collect();
    let purchases: Vec<Json<&Purchase>> = changed.iter().map(|(_, purchase)| Json(*purchase)).collect();
    let customers: Vec<&str> = changed.iter().map(|(_, purchase)| purchase.customer_id.0.as_str()).collect();
    let statuses: Vec<&str> = changed.iter().map(|(_, purchase)| status(&purchase.standing).as_str()).collect();
    writing.add(SAVE_ORDERS).bind(ids).bind(purchases).bind(customers).bind(statuses);
}

fn save_catalog(writing: &mut Writing, orders: &Orders) {
    let changed: Vec<(&Sku, &Product)> =
        orders.catalog.changed().filter_map(|(sku, product)| Some((sku, product.as_ref()?))).collect();
    if changed.is_empty() {
        return;
    }
    let skus: Vec<&str> = changed.iter().map(|(sku, _)| sku.0.as_str()).collect();
    let amounts: Vec<i64> = changed.iter().map(|(_, product)| product.price.amount).collect();
    let currencies: Vec<&str> = changed.iter().map(|(_, product)| product.price.currency.code()).collect();
    let versions: Vec<i64> = changed.iter().map(|(_, product)| i64::try_from(product.version).unwrap_or(i64::MAX)).collect();
    writing.add(SAVE_CATALOG).bind(skus).bind(amounts).bind(currencies).bind(versions);
}

/// The order with what has happened to it here, if there is one.
pub(crate) async fn told(
    house: &House<crate::Order>,
    order: OrderId,
) -> Result<Option<(Purchase, Vec<Entry>)>, Arc<sqlx::Error>> {
    house.told(TOLD, order).await
}

/// The order, if there is one.
pub(crate) async fn read(pool: &PgPool, order: OrderId) -> sqlx::Result<Option<Purchase>> {
    let found: Option<(Json<Purchase>,)> = sqlx::query_as(READ).bind(order.0).fetch_optional(pool).await?;
    Ok(found.map(|(Json(purchase),)| purchase))
}

/// Whether one of those born between these has not ended.
pub(crate) async fn has_open_between(pool: &PgPool, first: OrderId, until: OrderId) -> sqlx::Result<bool> {
    sqlx::query_scalar(OPEN).bind(first.0).bind(until.0).fetch_one(pool).await
}

/// How it stands, if there is such an order.
pub(crate) async fn standing(house: &House<crate::Order>, order: OrderId) -> Result<Option<Status>, Arc<sqlx::Error>> {
    house.seen(STATUS, order).await
}

/// Which orders are listed: the youngest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    pub(crate) customer_id: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) before: Option<OrderId>,
    pub(crate) limit: usize,
}

pub(crate) async fn list(pool: &PgPool, which: Listed) -> sqlx::Result<Vec<(OrderId, Purchase)>> {
    let Listed { customer_id, status, before, limit } = which;
    let rows: Vec<(Uuid, Json<Purchase>)> = sqlx::query_as(LIST)
        .bind(customer_id)
        .bind(status)
        .bind(before.map(|id| id.0))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        // Planned anew for the filters that are given: one plan for all of them would serve none.
        .persistent(false)
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|(id, Json(purchase))| (OrderId(id), purchase)).collect())
}
