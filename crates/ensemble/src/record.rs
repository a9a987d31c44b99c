//! A run as it was written down: the claims and outboxes of the four databases, in a file, for `ensemble conform` to replay.
//!
//! Like the audit, it reads other services' tables, and it only reads.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
pub use choreography::conform::conform;
use choreography::conform::{Conforms, Finding, Log, Recording, Said, Taken};
use events::{OrderId, Timestamp};
use serde_json::Value;
use sqlx::{
    Connection as _, PgConnection,
    types::{Json, time::OffsetDateTime},
};
use uuid::Uuid;

use crate::{Service, Talk, audit, stack::Addresses};

/// Requests are kept for 24 hours: of an order that was born before, nothing may tell any more why it was placed.
const RECORDED: &str = "make_interval(hours => 23)";

/// A transaction may have begun so long before it shows.
const TRANSACTION_MAX: Duration = Duration::from_secs(20);

/// What was read.
#[derive(Debug)]
pub struct Read {
    /// Each order's log at every service.
    pub recording: Recording,
    /// How many orders were under way meanwhile, and may have been read by half: they are left out.
    pub left_out: usize,
}

/// Waits until nothing is under way, at most as long as the audit does, then reads the log of every order of the last 23 hours.
///
/// # Errors
/// When a database or a ledger cannot be read.
pub async fn record(addresses: &Addresses) -> anyhow::Result<Read> {
    let rests = audit::at_rest(addresses).await?.violations.is_empty();
    let began = Instant::now();
    let mut recording = Recording::default();
    for service in Service::ALL {
        let mut db = audit::database(addresses, service).await?;
        let mut moment = db.begin_with(audit::AT_ONE_MOMENT).await?;
        read(service, &mut moment, &mut recording).await.with_context(|| format!("cannot read the log of {service}"))?;
        moment.commit().await?;
        db.close().await?;
    }
    let oldest = young(addresses).await?;
    recording.orders.retain(|order, _| order.0 >= oldest);
    let before = if rests { Duration::ZERO } else { TRANSACTION_MAX };
    let under_way = audit::touched(addresses, began.elapsed() + before).await?;
    let all = recording.orders.len();
    recording.orders.retain(|order, _| !under_way.contains(order));
    Ok(Read { left_out: all - recording.orders.len(), recording })
}

async fn young(addresses: &Addresses) -> anyhow::Result<Uuid> {
    let mut db = audit::database(addresses, Service::Order).await?;
    let sql = format!("select (extract(epoch from clock_timestamp() - {RECORDED}) * 1000)::bigint");
    let birth: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut db).await?;
    db.close().await?;
    Ok(Uuid::from_u128(u128::from(birth.unsigned_abs()) << 80))
}

type Claim = (Uuid, Uuid, String, String, Option<String>, OffsetDateTime);
type Event = (Uuid, Uuid, String, Json<Value>, Option<Uuid>);

const TAKEN: &str = "
    select saga, id, door, type, because, taken_at from chassis.claims where saga is not null
    union all select saga, id, 'command', type, because, taken_at from chassis.requests where saga is not null";
const SAID: &str = "select saga, id, type, body::json, causation from chassis.outbox where saga is not null";

const fn rows(service: Service) -> &'static str {
    match service {
        Service::Order => "select order_id, purchase from orders",
        Service::Inventory => "select order_id, reservation from reservations",
        Service::Payment => "select order_id, hold from holds",
        Service::Shipping => "select order_id, shipment from shipments",
    }
}

/// Claims, outbox and rows, which are of one moment.
async fn read(service: Service, db: &mut PgConnection, recording: &mut Recording) -> sqlx::Result<()> {
    let mut log = |saga: Uuid, add: &mut dyn FnMut(&mut Log)| {
        add(recording.orders.entry(OrderId(saga)).or_default().entry(service.name().to_owned()).or_default());
    };
    let taken: Vec<Claim> = sqlx::query_as(TAKEN).fetch_all(&mut *db).await?;
    for (saga, id, door, ty, because, at) in taken {
        let taken = Taken { id, door, ty, because, taken_at: Timestamp::from(at) };
        log(saga, &mut |log| log.taken.push(taken.clone()));
    }
    let said: Vec<Event> = sqlx::query_as(SAID).fetch_all(&mut *db).await?;
    for (saga, id, ty, Json(body), causation) in said {
        let said = Said { id, ty, body, causation };
        log(saga, &mut |log| log.said.push(said.clone()));
    }
    let states: Vec<(Uuid, Json<Value>)> = sqlx::query_as(rows(service)).fetch_all(db).await?;
    for (saga, Json(state)) in states {
        log(saga, &mut |log| log.state = Some(state.clone()));
    }
    Ok(())
}

/// Reads what is up and writes it to that file, whole or not at all.
///
/// # Errors
/// When a database cannot be read, or the file not written.
pub async fn run(addresses: &Addresses, output: &Path, talk: &Talk) -> anyhow::Result<()> {
    talk.say("waiting until nothing is under way, then reading the four databases");
    let Read { recording, left_out } = record(addresses).await?;
    let cannot = || format!("cannot write {}", output.display());
    let mut beside = output.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&beside).with_context(cannot)?);
    serde_json::to_writer(&mut file, &recording)?;
    file.flush().with_context(cannot)?;
    std::fs::rename(&beside, output).with_context(cannot)?;
    let under_way = if left_out == 0 { String::new() } else { format!("; {left_out} orders still under way are left out") };
    talk.say(&format!("{} orders are recorded in {}{under_way}", recording.orders.len(), output.display()));
    Ok(())
}

/// Replays the recordings; gives the first finding, if there is one.
///
/// # Errors
/// When a file cannot be read, or is no recording.
pub fn replay(files: &[PathBuf]) -> anyhow::Result<Result<Conforms, Box<Finding>>> {
    let mut all = Conforms::default();
    for file in files {
        let name = file.display();
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
        let recording: Recording = serde_json::from_slice(&bytes).with_context(|| format!("{name} is no recording"))?;
        match conform(&recording) {
            Ok(conforms) => {
                all.orders += conforms.orders;
                all.transitions += conforms.transitions;
            }
            Err(finding) => return Ok(Err(finding)),
        }
    }
    Ok(Ok(all))
}
