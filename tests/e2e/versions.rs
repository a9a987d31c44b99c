//! Row 28: this version beside the next, as replicas of one service, and as speaker and readers of one event; there, and back
//! again. The programs of the next are built of this source with the changes of `tests/ahead.toml`.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use ensemble::{
    Options, Service, Stack, Talk, ahead,
    dead_letters::{self, Desk, State, Which},
    stack::Replica,
};
use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use sqlx::{Connection as _, PgConnection};
use tests::{Basket, Customer, Placed, eventually};
use uuid::Uuid;

use crate::{
    dead_letters::{about, forge, headers},
    replicas::{empty, migrations, paced},
    world::{World, alone},
};

const SOON: Duration = Duration::from_secs(60);
/// Between two orders.
const PACE: Duration = Duration::from_millis(200);

/// Who hears what payment says in the next version.
const READERS: [Service; 2] = [Service::Shipping, Service::Order];

/// The programs of the next version.
type Next = HashMap<Service, PathBuf>;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("versions::row_28_two_versions_start_at_once_on_nothing", patient, at_once),
        alone("versions::row_28_the_next_version_comes_under_load_before_its_readers", patient, there),
        alone("versions::row_28_what_the_next_version_said_is_not_lost_by_a_rollback", soon_given_up, back),
    ]
}

/// Nothing is to end because it waited for an update.
fn patient() -> Options {
    Options::default().set(Service::Order, "EXPIRES_AFTER", "10m").postgres("max_connections", "400")
}

fn soon_given_up() -> Options {
    patient().set_all("PARK_DEADLINE", "3s")
}

async fn next() -> anyhow::Result<Next> {
    ahead::build(&[Service::Payment, Service::Shipping, Service::Order]).await
}

fn program(next: &Next, service: Service) -> anyhow::Result<PathBuf> {
    next.get(&service).cloned().with_context(|| format!("{service} was not built"))
}

/// One more of that service, in that program; it does not run yet.
fn beside(stack: &mut Stack, service: Service, program: PathBuf) -> anyhow::Result<Replica> {
    let own = stack.program(service)?;
    stack.runs(service, program);
    let replica = stack.replica(service);
    stack.runs(service, own);
    replica
}

/// All of that service runs that program from now on, which its replicas do not notice.
async fn rolled(stack: &mut Stack, service: Service, program: PathBuf) -> anyhow::Result<()> {
    let mut replica = beside(stack, service, program.clone())?;
    replica.start().await?;
    stack.runs(service, program);
    stack.restart(service).await?;
    replica.stop().await
}

async fn count(world: &World, service: Service, of: &'static str) -> anyhow::Result<i64> {
    let mut db = PgConnection::connect(&world.addresses.database_url(service)).await?;
    let counted = sqlx::query_scalar(of).fetch_one(&mut db).await?;
    db.close().await?;
    Ok(counted)
}

const SAID_BY_THIS: &str = "select count(*) from chassis.outbox where type = 'payment.authorized.v1'";
const SAID_BY_NEXT: &str = "select count(*) from chassis.outbox where type = 'payment.authorized.v2'";

/// What the next version did is no transition of this one, whose reactions replay the stack when it is closed.
async fn done_by_next_is_not_replayed(world: &World) -> anyhow::Result<()> {
    let mut db = PgConnection::connect(&world.addresses.database_url(Service::Payment)).await?;
    let done: Vec<Uuid> = sqlx::query_scalar(
        "select distinct saga from chassis.outbox
         where type = 'payment.authorized.v2' or type = 'payment.captured.v1' and body::jsonb ? 'receipt'",
    )
    .fetch_all(&mut db)
    .await?;
    db.close().await?;
    ensure!(!done.is_empty(), "the next version did nothing");
    done.iter().for_each(|order| world.forged(&order.to_string()));
    Ok(())
}

async fn are_confirmed(orders: &[Placed]) -> anyhow::Result<()> {
    for screen in try_join_all(orders.iter().map(Placed::comes_to_rest)).await? {
        screen.must_be("confirmed", "")?;
    }
    Ok(())
}

async fn at_once(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    let next = next().await?;
    for reader in READERS {
        stack.runs(reader, program(&next, reader)?);
        stack.restart(reader).await?;
    }
    let before = migrations(&world).await?;
    stack.stop(Service::Payment).await?;
    empty(&world).await?;
    let this = stack.program(Service::Payment)?;
    let mut replicas = Vec::new();
    for program in [program(&next, Service::Payment)?, this, program(&next, Service::Payment)?] {
        let mut replica = beside(&mut stack, Service::Payment, program)?;
        replica.launch()?;
        replicas.push(replica);
    }
    for replica in &replicas {
        replica.wait_until_ready().await?;
    }
    migrated_once(&world, before.len()).await?;

    let orders = eventually("both versions to speak", SOON, async || {
        let basket = Basket::of("TEA-001", 1);
        let orders = try_join_all((0..8).map(|_| world.customer.places(&basket))).await?;
        are_confirmed(&orders).await?;
        let said = (count(&world, Service::Payment, SAID_BY_THIS).await?, count(&world, Service::Payment, SAID_BY_NEXT).await?);
        ensure!(said.0 > 0 && said.1 > 0, "{said:?}");
        Ok::<_, anyhow::Error>(orders)
    })
    .await?;
    are_confirmed(&orders).await?;
    for replica in &replicas {
        replica.stop().await?;
    }
    // Whoever starts on what the next version has made does not refuse it.
    stack.start_part(Service::Payment).await?;
    are_confirmed(&[world.customer.places(&Basket::of("TEA-001", 1)).await?]).await?;
    done_by_next_is_not_replayed(&world).await
}

/// Each migration of this version, and the one that the next has beyond.
async fn migrated_once(world: &World, before: usize) -> anyhow::Result<()> {
    let ran = migrations(world).await?;
    ensure!(ran.len() == before + 1 && ran.values().all(|times| *times == 1), "not each once, of {before} and one: {ran:?}");
    Ok(())
}

/// Orders at their own pace until it is enough; each is sent again under its key until it is accepted.
async fn load(customer: &Customer, enough: &AtomicBool) -> anyhow::Result<Vec<Placed>> {
    paced(PACE, enough, || {
        let customer = customer.clone();
        async move { customer.places(&Basket::of("TEA-001", 1)).await }
    })
    .await
}

async fn there(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    let next = next().await?;
    let enough = AtomicBool::new(false);
    let changes = async {
        let changed = changes(&world, &mut stack, &next).await;
        enough.store(true, Ordering::Relaxed);
        changed
    };
    let (replicas, placed) = tokio::join!(changes, load(&world.customer, &enough));
    let (replicas, placed) = (replicas?, placed?);
    are_confirmed(&placed).await?;
    for (written, rows) in [
        ("by this version", "select count(*) from holds where written_by is null"),
        ("by the next", "select count(*) from holds where written_by = '0.2.0'"),
    ] {
        ensure!(count(&world, Service::Payment, rows).await? > 0, "no row was written {written}");
    }
    for reader in READERS {
        eventually(&format!("nothing to wait at {reader}"), SOON, async || {
            let waits = count(&world, reader, "select count(*) from chassis.parked").await?;
            ensure!(waits == 0, "{waits} wait");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    for replica in &replicas {
        replica.stop().await?;
    }
    // The speaker is behind, alone: its readers have not forgotten its version.
    are_confirmed(&[world.customer.places(&Basket::of("TEA-001", 1)).await?]).await?;
    once_more_as_before(&world, placed.first().context("orders were placed")?).await?;
    done_by_next_is_not_replayed(&world).await
}

/// Payment goes ahead, then its readers follow.
async fn changes(world: &World, stack: &mut Stack, next: &Next) -> anyhow::Result<Vec<Replica>> {
    let before = migrations(world).await?;
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let mut replica = beside(stack, Service::Payment, program(next, Service::Payment)?)?;
        replica.launch()?;
        replicas.push(replica);
    }
    for replica in &replicas {
        replica.wait_until_ready().await?;
    }
    migrated_once(world, before.len()).await?;

    for reader in READERS {
        const WAITS: &str = "select count(*) from chassis.parked where type = 'payment.authorized.v2' and code = 'unknown_type'";
        eventually(&format!("what {reader} does not know to wait there"), SOON, async || {
            ensure!(count(world, reader, WAITS).await? > 0, "nothing waits");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    let more_than_known = eventually("a field that its readers do not know", SOON, async || captured_with_more(world).await);
    let order = world.customer.placed(more_than_known.await?.to_string());
    order.shows("confirmed", |screen| screen.status() == "confirmed").await?;
    stack.restart(Service::Payment).await.context("this version does not start on the tables of the next")?;

    for reader in READERS {
        rolled(stack, reader, program(next, reader)?).await?;
    }
    Ok(replicas)
}

/// An order whose money this version held, and the next one took.
async fn captured_with_more(world: &World) -> anyhow::Result<Uuid> {
    let mut db = PgConnection::connect(&world.addresses.database_url(Service::Payment)).await?;
    let found: Option<Uuid> = sqlx::query_scalar(
        "select saga from chassis.outbox as captured where type = 'payment.captured.v1' and body::jsonb ? 'receipt'
         and exists (select from chassis.outbox where saga = captured.saga and type = 'payment.authorized.v1') limit 1",
    )
    .fetch_optional(&mut db)
    .await?;
    db.close().await?;
    found.context("there is none")
}

/// The stream holds an event as it was written once: its golden file, about an order of today.
async fn once_more_as_before(world: &World, order: &Placed) -> anyhow::Result<()> {
    const TYPE: &str = "payment.authorized.v1";
    let golden = ensemble::root().join(format!("crates/events/golden/{TYPE}.json"));
    let written = std::fs::read_to_string(golden)?.replace("019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071", &order.id);
    ensure!(written.contains(&order.id), "the golden file is about another order");
    let id = about(order)?;
    world.forged(&order.id);
    forge(world, "ensemble.payment.authorized", headers(TYPE, id, &order.id), written.into_bytes().leak()).await?;
    for reader in READERS {
        let path = format!("sagas/{}", order.id);
        let operator = world.operator(reader);
        eventually(&format!("{reader} to read it"), SOON, async || {
            let saga = operator.sees(&path).await?;
            let claimed = |claims: &Vec<serde_json::Value>| claims.iter().any(|claim| claim["id"] == id.to_string());
            ensure!(saga["claims"].as_array().is_some_and(claimed), "{saga:#}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    let bookings = world.carrier.ledger_of(&order.id).await?;
    ensure!(bookings.len() == 1, "it was booked again: {bookings:?}");
    order.screen().await?.must_be("confirmed", "")
}

async fn back(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    let (this, next) = (stack.program(Service::Payment)?, next().await?);
    stack.runs(Service::Payment, program(&next, Service::Payment)?);
    stack.restart(Service::Payment).await?;
    // So that what the next version says is in the stream, and unread, when it is taken back.
    stack.stop(Service::Shipping).await?;
    let basket = Basket::of("TEA-001", 1);
    let orders = try_join_all((0..4).map(|_| world.customer.places(&basket))).await?;
    eventually("the next version to have spoken", SOON, async || {
        let said = count(&world, Service::Payment, SAID_BY_NEXT).await?;
        let pending = count(&world, Service::Payment, "select count(*) from chassis.outbox_pending").await?;
        ensure!(said == 4 && pending == 0, "{said} were said, {pending} are not in the stream");
        Ok::<_, anyhow::Error>(())
    })
    .await?;

    stack.runs(Service::Payment, this);
    stack.restart(Service::Payment).await?;
    stack.start_part(Service::Shipping).await?;
    for reader in READERS {
        are_dead_letters(&world, reader, orders.len()).await?;
    }
    are_confirmed(&[world.customer.places(&basket).await?]).await.context("this version does not go on after a rollback")?;
    let [given_up, kept @ ..] = &orders[..] else { anyhow::bail!("no order was placed") };
    ensure!(given_up.cancel().await?.status() == 202, "not accepted");
    given_up.comes_to_rest().await?.must_be("cancelled", "customer_request")?;

    for reader in READERS {
        rolled(&mut stack, reader, program(&next, reader)?).await?;
    }
    let (talk, which) = (Talk::silent(), Which::all);
    let replay = Desk::Replay { which: which(), rate: 1000, stop_after: 1, yes: true };
    let replayed = dead_letters::ask(&replay, &world.addresses, &talk).await?;
    ensure!(replayed.len() == 2 * orders.len() && replayed.iter().all(|one| one.well), "{replayed:?}");
    are_confirmed(kept).await?;
    given_up.screen().await?.must_be("cancelled", "customer_request")?;
    let bookings = world.carrier.ledger_of(&given_up.id).await?;
    ensure!(bookings.is_empty(), "what was given up was booked: {bookings:?}");
    let left = dead_letters::ask(&Desk::List { which: which(), state: State::Dead }, &world.addresses, &talk).await?;
    ensure!(left.is_empty(), "{left:?}");
    done_by_next_is_not_replayed(&world).await
}

/// Each says why, under the code that never changes.
async fn are_dead_letters(world: &World, reader: Service, wanted: usize) -> anyhow::Result<()> {
    let operator = world.operator(reader);
    eventually(&format!("what {reader} does not know to be given up"), SOON, async || {
        let listed = operator.sees("dead-letters?type=payment.authorized.v2").await?;
        let items = listed["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        ensure!(items.len() == wanted && items.iter().all(|item| item["code"] == "unknown_type"), "{listed:#}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
