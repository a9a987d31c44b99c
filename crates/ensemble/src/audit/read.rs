//! Everything that is known of all orders, from four databases and two ledgers.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use choreography::{Booking, Charge, Claimed, Published, Snapshot, Unfinished};
use events::{Currency, EventId, OrderId, Sku};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::Settled;
use crate::{Service, stack::Addresses};

/// Each database is read as it is at one moment.
pub(crate) const AT_ONE_MOMENT: &str = "begin isolation level repeatable read, read only";

/// The whole, without what is about no order and younger than `grace`; and what operators have decided.
pub(super) async fn everything(addresses: &Addresses, grace: Duration) -> anyhow::Result<(Snapshot, Vec<Settled>)> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.saturating_sub(LOGGED_FOR).as_millis();
    let mut all = Snapshot { logged_since_ms: u64::try_from(since)?, ..Snapshot::default() };
    let mut decided = Vec::new();
    for service in Service::ALL {
        let mut db = database(addresses, service).await?;
        let mut moment = db.begin_with(AT_ONE_MOMENT).await?;
        states(service, &mut moment, &mut all).await.with_context(|| format!("cannot read what {service} keeps"))?;
        log(service, &mut moment, grace, &mut all).await.with_context(|| format!("cannot read the log of {service}"))?;
        decided.extend(settled(service, &mut moment).await.with_context(|| format!("cannot read {service}'s dead letters"))?);
        moment.commit().await?;
        db.close().await?;
    }
    all.settled = decided.iter().map(|letter| (letter.service, EventId(letter.id))).collect();
    all.charges = ledger(&addresses.gateway_url()).await?.iter().map(charge).collect();
    all.bookings = ledger(&addresses.carrier_url()).await?.iter().map(booking).collect();
    Ok((all, decided))
}

const TOUCHED: &str = "
    with period as (select clock_timestamp() - make_interval(secs => $1) as since)
    select saga from chassis.outbox, period where saga is not null and said_at > since
    union select saga from chassis.claims, period where saga is not null and taken_at > since
    union select saga from chassis.requests, period where saga is not null and taken_at > since";

/// The orders to which something happened within that time, anywhere.
pub(crate) async fn touched(addresses: &Addresses, within: Duration) -> anyhow::Result<BTreeSet<OrderId>> {
    let mut all = BTreeSet::new();
    for service in Service::ALL {
        let mut db = database(addresses, service).await?;
        let sagas = sqlx::query_scalar::<_, Uuid>(TOUCHED).bind(within.as_secs_f64()).fetch_all(&mut db);
        all.extend(sagas.await.with_context(|| format!("cannot read the log of {service}"))?.into_iter().map(OrderId));
        db.close().await?;
    }
    Ok(all)
}

pub(crate) async fn database(addresses: &Addresses, service: Service) -> anyhow::Result<PgConnection> {
    let url = addresses.database_url(service);
    PgConnection::connect(&url).await.with_context(|| format!("cannot reach the database of {service}"))
}

async fn states(service: Service, db: &mut PgConnection, all: &mut Snapshot) -> sqlx::Result<()> {
    match service {
        Service::Order => {
            all.orders.extend(documents(db, "select order_id, purchase from orders").await?);
            let accepted = "select saga from chassis.requests where status = 202 and type = 'PlaceOrder'";
            all.accepted.extend(sqlx::query_scalar::<_, Uuid>(accepted).fetch_all(db).await?.into_iter().map(OrderId));
        }
        Service::Inventory => {
            all.reservations.extend(documents(db, "select order_id, reservation from reservations").await?);
            all.stock.extend(sqlx::query("select * from stock").try_map(stock).fetch_all(db).await?);
        }
        Service::Payment => all.holds.extend(documents(db, "select order_id, hold from holds").await?),
        Service::Shipping => all.shipments.extend(documents(db, "select order_id, shipment from shipments").await?),
    }
    Ok(())
}

async fn documents<T>(db: &mut PgConnection, sql: &'static str) -> sqlx::Result<Vec<(OrderId, T)>>
where
    T: DeserializeOwned + Send + Unpin + 'static,
{
    let rows: Vec<(Uuid, Json<T>)> = sqlx::query_as(sql).fetch_all(db).await?;
    Ok(rows.into_iter().map(|(id, Json(row))| (OrderId(id), row)).collect())
}

fn stock(row: PgRow) -> sqlx::Result<(Sku, inventory::Stock)> {
    let count = |name| row.try_get::<i32, _>(name).map(i32::cast_unsigned);
    let code: String = row.try_get("currency")?;
    let currency = Currency::from_code(&code).ok_or_else(|| sqlx::Error::Decode(format!("`{code}` is no currency").into()))?;
    let stock = inventory::Stock {
        name: row.try_get("name")?,
        price: events::Money::new(row.try_get("amount")?, currency),
        on_hand: count("on_hand")?,
        reserved: count("reserved")?,
        sold: count("sold")?,
        received: count("received")?,
        version: row.try_get::<i64, _>("version")?.cast_unsigned(),
    };
    Ok((Sku(row.try_get("sku")?), stock))
}

/// What was said before is dropped some time, by one service sooner than by another.
const LOGGED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

const PUBLISHED: &str = "select id, type, saga, encode(sha256(convert_to(body, 'UTF8')), 'hex') from chassis.outbox
    where said_at > to_timestamp($2::bigint / 1000)
        and (saga is not null or said_at < clock_timestamp() - make_interval(secs => $1))";
const CLAIMED: &str = "select id, encode(content, 'hex') from chassis.claims where door = 'event'";
const DEAD: &str = "select id, saga from chassis.dead_letters where state = 'dead'";
const UNFINISHED: &str = "
    select 'an event to publish: ' || outbox.type, saga from chassis.outbox_pending join chassis.outbox using (id)
        where saga is not null or since < clock_timestamp() - make_interval(secs => $1)
    union all select 'a call to a partner: ' || coalesce(last_error, 'under way'), saga from chassis.intents
    union all select 'a parked event: ' || reason, saga from chassis.parked
        where saga is not null or parked_at < clock_timestamp() - make_interval(secs => $1)";
const SETTLED: &str =
    "select id, saga, state, note from chassis.dead_letters where state in ('discarded', 'set_aside') order by id";

async fn log(service: Service, db: &mut PgConnection, grace: Duration, all: &mut Snapshot) -> sqlx::Result<()> {
    let name = service.name();
    let order = |saga: Option<Uuid>| saga.map(OrderId);
    let published: Vec<(Uuid, String, Option<Uuid>, String)> =
        sqlx::query_as(PUBLISHED).bind(grace.as_secs_f64()).bind(all.logged_since_ms.cast_signed()).fetch_all(&mut *db).await?;
    all.published.extend(published.into_iter().map(|(id, ty, saga, content_hash)| Published {
        id: EventId(id),
        ty,
        order: order(saga),
        content_hash,
    }));
    let claimed: Vec<(Uuid, Option<String>)> = sqlx::query_as(CLAIMED).fetch_all(&mut *db).await?;
    all.claimed
        .extend(claimed.into_iter().map(|(id, hash)| ((name, EventId(id)), Claimed { content_hash: hash.unwrap_or_default() })));
    let dead: Vec<(Uuid, Option<Uuid>)> = sqlx::query_as(DEAD).fetch_all(&mut *db).await?;
    all.dead_letters.extend(dead.into_iter().map(|(id, saga)| ((name, EventId(id)), order(saga))));
    let unfinished: Vec<(String, Option<Uuid>)> =
        sqlx::query_as(UNFINISHED).bind(grace.as_secs_f64()).fetch_all(&mut *db).await?;
    all.unfinished.extend(unfinished.into_iter().map(|(what, saga)| Unfinished { service: name, what, order: order(saga) }));
    Ok(())
}

async fn settled(service: Service, db: &mut PgConnection) -> sqlx::Result<Vec<Settled>> {
    let letters: Vec<(Uuid, Option<Uuid>, String, Option<String>)> = sqlx::query_as(SETTLED).fetch_all(db).await?;
    let of_its_own = |(id, order, decision, note)| Settled { service: service.name(), id, order, decision, note };
    Ok(letters.into_iter().map(of_its_own).collect())
}

/// All pages of a partner's ledger.
async fn ledger(url: &str) -> anyhow::Result<Vec<Value>> {
    let http = reqwest::Client::new();
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page: Value = http
            .get(format!("{url}/ledger"))
            .query(&[("after", after.as_str()), ("limit", "10000")][usize::from(after.is_empty())..])
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        all.extend(page["items"].as_array().cloned().context("a ledger has items")?);
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return Ok(all),
        }
    }
}

fn charge(item: &Value) -> Charge {
    let amount = |name: &str| item[name].as_i64().unwrap_or_default();
    let currency = item["currency"].as_str().and_then(|code| Currency::from_code(&code.to_uppercase()));
    let held = if item["status"] == "requires_capture" { amount("amount") } else { 0 };
    Charge {
        id: item["id"].as_str().unwrap_or_default().to_owned(),
        order: item["order_id"].as_str().and_then(|id| id.parse().ok()),
        held,
        taken: amount("amount_received"),
        refunded: amount("amount_refunded"),
        currency,
    }
}

fn booking(item: &Value) -> Booking {
    Booking { order: item["reference"].as_str().and_then(|id| id.parse().ok()), stands: item["status"] == "booked" }
}
