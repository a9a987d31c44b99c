//! Whether everything adds up: the six invariants over the four databases and the partners' own ledgers.
//!
//! This and nothing else reads other services' tables, and it only reads.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use choreography::{Booking, Charge, Claimed, Published, Snapshot, Unfinished, Violation, violations};
use events::{Currency, EventId, OrderId, Sku};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::{Service, stack::Addresses};

/// How long what is still under way may take to be finished: what a killed replica had in hand comes back within that.
const QUIET_WITHIN: Duration = Duration::from_secs(90);

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// How many orders there are.
    pub orders: usize,
    /// How many events were said.
    pub events: usize,
    /// Everything that does not add up.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Passes when all adds up.
    ///
    /// # Errors
    /// When it does not: the whole report.
    pub fn must_be_clean(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.violations.is_empty(), "the audit found:\n{self}");
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Violation { invariant, order, what } in &self.violations {
            let order = order.map_or_else(|| "-".to_owned(), |order| order.to_string());
            writeln!(f, "{:<52} {order:<36} {what}", invariant.means())?;
        }
        write!(f, "{} orders, {} events, {} violations", self.orders, self.events, self.violations.len())
    }
}

/// Waits until nothing is under way any more, at most a minute and a half, then says what does not add up.
///
/// # Errors
/// When a database or a ledger cannot be read.
pub async fn at_rest(addresses: &Addresses) -> anyhow::Result<Report> {
    let started = Instant::now();
    loop {
        let snapshot = snapshot(addresses).await?;
        let (orders, events) = (snapshot.orders.len(), snapshot.published.len());
        let report = Report { orders, events, violations: violations(&snapshot) };
        if report.violations.is_empty() || started.elapsed() > QUIET_WITHIN {
            return Ok(report);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn snapshot(addresses: &Addresses) -> anyhow::Result<Snapshot> {
    let mut all = Snapshot::default();
    for service in Service::ALL {
        let url = addresses.database_url(service);
        let mut db = PgConnection::connect(&url).await.with_context(|| format!("cannot reach the database of {service}"))?;
        states(service, &mut db, &mut all).await.with_context(|| format!("cannot read what {service} keeps"))?;
        log(service, &mut db, &mut all).await.with_context(|| format!("cannot read the log of {service}"))?;
        db.close().await?;
    }
    all.charges = ledger(&addresses.gateway_url()).await?.iter().map(charge).collect();
    all.bookings = ledger(&addresses.carrier_url()).await?.iter().map(booking).collect();
    Ok(all)
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

const PUBLISHED: &str = "select id, type, saga, encode(sha256(convert_to(body, 'UTF8')), 'hex') from chassis.outbox";
const CLAIMED: &str = "select id, encode(content, 'hex') from chassis.claims where door = 'event'";
const DEAD: &str = "select id, saga from chassis.dead_letters where state = 'dead'";
const UNFINISHED: &str = "
    select 'an event to publish: ' || outbox.type, saga from chassis.outbox_pending join chassis.outbox using (id)
    union all select 'a call to a partner: ' || coalesce(last_error, 'under way'), saga from chassis.intents
    union all select 'a parked event: ' || reason, saga from chassis.parked";

async fn log(service: Service, db: &mut PgConnection, all: &mut Snapshot) -> sqlx::Result<()> {
    let name = service.name();
    let order = |saga: Option<Uuid>| saga.map(OrderId);
    let published: Vec<(Uuid, String, Option<Uuid>, String)> = sqlx::query_as(PUBLISHED).fetch_all(&mut *db).await?;
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
    let unfinished: Vec<(String, Option<Uuid>)> = sqlx::query_as(UNFINISHED).fetch_all(&mut *db).await?;
    all.unfinished.extend(unfinished.into_iter().map(|(what, saga)| Unfinished { service: name, what, order: order(saga) }));
    Ok(())
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
