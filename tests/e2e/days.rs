//! Partitions, a day each: one that is missing, one that nobody needs any more, one that somebody reads, and what comes later.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ensemble::{Options, Service};
use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use tests::{Basket, Placed, eventually};
use uuid::Uuid;

use crate::{
    repeated::quiet,
    world::{Shared, Trials, World},
};

const SOON: Duration = Duration::from_secs(30);
const DAY_MS: i128 = 24 * 60 * 60 * 1000;

/// Whatever is given up goes at once.
pub(crate) fn options() -> Options {
    Options::default().set_all("PARTITIONS_INTERVAL", "200ms")
}

pub(crate) fn trials(days: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(days, "days");
    trials.add("row_30_partitions_are_made_a_week_ahead_and_a_missing_one_before_it_is_needed", made);
    trials.add("row_30_a_day_is_kept_for_an_open_saga_and_its_drop_waits_for_a_reader", dropped);
    trials.add("row_30_what_comes_when_its_day_has_gone_has_no_second_effect", late);
    trials.add("row_30_who_was_born_beyond_the_week_is_a_dead_letter", future);
    trials.add("row_30_orders_flow_beside_a_transaction_that_pins_the_horizon", pinned);
    trials.add("row_30_orders_go_on_when_the_partition_of_today_is_missing", missing);
    trials.all()
}

async fn owner(world: &World, service: Service) -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect(&world.addresses.owner_database_url(service)).await?)
}

/// The days with partitions, from today on, each with the table of its claims.
async fn days(db: &mut PgConnection) -> anyhow::Result<Vec<(i32, i64)>> {
    let days = "select day, ('chassis.claims_' || chassis.name_of_day(day))::regclass::oid::bigint from chassis.days
        where day >= extract(epoch from clock_timestamp())::bigint / 86400 order by day";
    Ok(sqlx::query_as(days).fetch_all(db).await?)
}

async fn made(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let mut db = owner(&world, Service::Order).await?;
    let before = days(&mut db).await?;
    ensure!(before.len() == 8, "today and a week: {before:?}");
    db.execute("delete from chassis.days where day = (select max(day) from chassis.days)").await?;
    let (world, before) = (&world, &before);
    eventually("the last day to be made again", SOON, || async move {
        let now = days(&mut owner(world, Service::Order).await?).await?;
        ensure!(now.len() == 8 && now[7].0 == before[7].0 && now[7].1 != before[7].1, "{now:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    let ahead = world.operator(Service::Order).metric("ensemble_partitions_ahead").await?;
    ensure!(ahead == 7.0, "{ahead} days ahead");
    Ok(())
}

/// The same order, born so many days later.
fn reborn(order: &Placed, days: i128) -> anyhow::Result<Uuid> {
    let id: Uuid = order.id.parse()?;
    let birth = i128::try_from(id.as_u128() >> 80)? + days * DAY_MS;
    Ok(Uuid::from_u128((u128::try_from(birth)? << 80) | (id.as_u128() & ((1 << 80) - 1))))
}

/// What ids about that order begin with.
fn birth(id: &str) -> &str {
    &id[..13]
}

/// An order that ends at once, for nobody has acted.
async fn out_of_stock(world: &World, sku: &str) -> anyhow::Result<Placed> {
    world.customer.stocks(sku, 1).await?;
    let (order, screen) = world.customer.orders(&Basket::of(sku, 2)).await?;
    screen.must_be("rejected", "out_of_stock")?;
    Ok(order)
}

/// Such an order, and the same 30 days older in the databases of those who know of it. To the
/// order service it stands open as long as its row says so.
async fn long_ago(world: &World, sku: &str) -> anyhow::Result<(Placed, Uuid)> {
    let order = out_of_stock(world, sku).await?;
    quiet(world).await?;
    let old = reborn(&order, -30)?;
    for (service, own) in [
        (
            Service::Order,
            "insert into orders select $2, replace(purchase::text, $3, $4)::jsonb, customer_id, 'confirmed'
            from orders where order_id = $1",
        ),
        (
            Service::Inventory,
            "insert into reservations (order_id, reservation) select $2, replace(reservation::text, $3, $4)::jsonb
            from reservations where order_id = $1",
        ),
    ] {
        let mut db = owner(world, service).await?;
        let mut transaction = db.begin().await?;
        transaction.execute(sqlx::query("select chassis.make_day($1)").bind(day(old)?)).await?;
        let claims = "insert into chassis.claims select (jsonb_populate_record(null::chassis.claims,
                replace(to_jsonb(c)::text, $3, $4)::jsonb || jsonb_build_object('taken_at', taken_at - interval '30 days'))).*
            from chassis.claims as c where saga = $1 and $2::uuid is not null";
        let outbox = "insert into chassis.outbox select (jsonb_populate_record(null::chassis.outbox,
                replace(to_jsonb(o)::text, $3, $4)::jsonb || jsonb_build_object('said_at', said_at - interval '30 days'))).*
            from chassis.outbox as o where saga = $1 and $2::uuid is not null";
        for copy in [claims, outbox, own] {
            let born = old.to_string();
            let copy = sqlx::query(copy).bind(order.id.parse::<Uuid>()?).bind(old).bind(birth(&order.id)).bind(birth(&born));
            let copied = copy.execute(&mut *transaction).await?.rows_affected();
            ensure!(copied > 0, "{service} knows nothing of {}", order.id);
        }
        transaction.commit().await?;
    }
    Ok((order, old))
}

fn day(id: Uuid) -> anyhow::Result<i32> {
    Ok(i32::try_from((id.as_u128() >> 80) / u128::try_from(DAY_MS)?)?)
}

/// Whether the partition of claims of that day is there, and whether it is being detached.
async fn partition(db: &mut PgConnection, id: Uuid) -> anyhow::Result<Option<bool>> {
    let look = "select coalesce(inhdetachpending, false) from pg_class left join pg_inherits on inhrelid = oid
        where relnamespace = 'chassis'::regnamespace and relname = 'claims_' || chassis.name_of_day($1)";
    Ok(sqlx::query_scalar(look).bind(day(id)?).fetch_optional(db).await?)
}

async fn is_gone(world: &World, service: Service, id: Uuid) -> anyhow::Result<()> {
    eventually("the day to be dropped", SOON, || async move {
        let found = partition(&mut owner(world, service).await?, id).await?;
        ensure!(found.is_none(), "its partition is there; detaching: {found:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// The order has ended, now that somebody says so.
async fn has_ended(db: &mut PgConnection, id: Uuid) -> anyhow::Result<()> {
    sqlx::query("update orders set status = 'rejected' where order_id = $1").bind(id).execute(db).await?;
    Ok(())
}

async fn dropped(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let (_, old) = long_ago(&world, "SCARCE-1").await?;
    let mut db = owner(&world, Service::Order).await?;
    // Inventory has nothing under way there.
    is_gone(&world, Service::Inventory, old).await?;
    let operator = world.operator(Service::Order);
    eventually("the day to be held", SOON, || async {
        let held = operator.metric("ensemble_partitions_held").await?;
        ensure!(held == 1.0, "{held} are held");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    ensure!(partition(&mut db, old).await? == Some(false), "an open saga keeps its day");

    let mut reading = owner(&world, Service::Order).await?;
    let mut reader = reading.begin_with("begin isolation level repeatable read").await?;
    let seen = "select count(*) from chassis.claims";
    let before: i64 = sqlx::query_scalar(seen).fetch_one(&mut *reader).await?;
    has_ended(&mut db, old).await?;
    eventually("the drop to wait", SOON, || async {
        let found = partition(&mut owner(&world, Service::Order).await?, old).await?;
        ensure!(found == Some(true), "detaching: {found:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    let meanwhile = try_join_all((0..8).map(|_| async { world.customer.orders(&Basket::of("TEA-001", 1)).await })).await?;
    meanwhile.iter().try_for_each(|(_, screen)| screen.must_be("confirmed", ""))?;
    ensure!(partition(&mut db, old).await? == Some(true), "it waits for its reader");
    let after: i64 = sqlx::query_scalar(seen).fetch_one(&mut *reader).await?;
    ensure!(before == after, "the reader saw {before} claims, and then {after}");
    reader.commit().await?;
    is_gone(&world, Service::Order, old).await
}

async fn late(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let (order, old) = long_ago(&world, "SCARCE-2").await?;
    let mut db = owner(&world, Service::Order).await?;
    has_ended(&mut db, old).await?;
    is_gone(&world, Service::Order, old).await?;
    is_gone(&world, Service::Inventory, old).await?;
    let state = async || {
        let product = world.customer.sees_product("SCARCE-2").await?;
        let screen = world.customer.placed(old.to_string()).screen().await?;
        anyhow::Ok((product, screen.0["status"].clone(), screen.0["reason"].clone()))
    };
    let before = state().await?;
    let broker = world.broker().await?;
    let born = old.to_string();
    for _ in 0..2 {
        for stream in ["ORDER", "INVENTORY"] {
            let said = broker.about(stream, &order.id).await?;
            ensure!(!said.is_empty(), "nothing is said in {stream}");
            broker.repeat_as(stream, said, birth(&order.id), birth(&born)).await?;
        }
    }
    quiet(&world).await?;
    ensure!(before == state().await?, "{before:?}");
    for service in [Service::Order, Service::Inventory] {
        let mut db = owner(&world, service).await?;
        let claims = "select count(*) filter (where late), count(*), count(distinct id) from chassis.claims where saga = $1";
        let claims: (i64, i64, i64) = sqlx::query_as(claims).bind(old).fetch_one(&mut db).await?;
        ensure!(claims.0 > 0 && claims.0 == claims.1 && claims.1 == claims.2, "{service}: {claims:?}");
    }
    Ok(())
}

async fn future(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let order = out_of_stock(&world, "SCARCE-3").await?;
    let broker = world.broker().await?;
    let said = broker.about("ORDER", &order.id).await?;
    let to_come = reborn(&order, 30)?.to_string();
    broker.repeat_as("ORDER", said, birth(&order.id), birth(&to_come)).await?;
    let inventory = world.operator(Service::Inventory);
    let letter = eventually("a dead letter", SOON, || async {
        let dead = inventory.sees("dead-letters").await?;
        let letter = dead["items"].as_array().and_then(|items| items.iter().find(|item| item["saga"] == json!(to_come)));
        letter.cloned().with_context(|| format!("{dead:#}"))
    })
    .await?;
    let reason = letter["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("no partition"), "{letter:#}");
    let id = letter["id"].as_str().context("a dead letter has an id")?;
    inventory.does(&format!("dead-letters/{id}/discard"), Some(json!({"note": "born too late"}))).await?;
    world.customer.orders(&Basket::of("TEA-001", 1)).await?.1.must_be("confirmed", "")
}

async fn pinned(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let mut pins = Vec::new();
    for service in Service::ALL {
        let mut db = owner(&world, service).await?;
        db.execute("begin isolation level repeatable read").await?;
        db.execute("select count(*) from chassis.outbox").await?;
        pins.push(db);
    }
    for _ in 0..4 {
        let orders = try_join_all((0..25).map(|_| async { world.customer.orders(&Basket::of("TEA-001", 1)).await })).await?;
        orders.iter().try_for_each(|(_, screen)| screen.must_be("confirmed", ""))?;
    }
    for service in Service::ALL {
        let world = &world;
        eventually("nothing to be pending", SOON, || async move {
            let mut db = owner(world, service).await?;
            let sizes =
                "select count(*), pg_total_relation_size('chassis.outbox_pending') + pg_total_relation_size('chassis.deadlines')
                + pg_total_relation_size('chassis.intents') from chassis.outbox_pending";
            let row = sqlx::query(sizes).fetch_one(&mut db).await?;
            let (pending, bytes): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            // What cannot be cleared away is some rows for each order, and no more.
            ensure!(pending == 0 && bytes < 4 << 20, "{service}: {pending} pending, {bytes} bytes");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
    }
    for mut pin in pins {
        pin.execute("commit").await?;
    }
    Ok(())
}

/// The last of them: what is born today is late from here on.
async fn missing(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let placed = try_join_all((0..8).map(|_| async { world.customer.places(&Basket::of("TEA-001", 1)).await })).await?;
    for service in Service::ALL {
        let mut db = owner(&world, service).await?;
        db.execute("delete from chassis.days where day = extract(epoch from clock_timestamp())::bigint / 86400").await?;
    }
    let meanwhile = try_join_all((0..8).map(|_| async { world.customer.places(&Basket::of("TEA-001", 1)).await })).await?;
    for order in placed.into_iter().chain(meanwhile) {
        let id = order.id.parse()?;
        order.comes_to_rest().await?.must_be("confirmed", "")?;
        for service in Service::ALL {
            is_gone(&world, service, id).await?;
        }
    }
    let (order, screen) = world.customer.orders(&Basket::of("TEA-001", 1)).await?;
    screen.must_be("confirmed", "")?;
    let mut db = owner(&world, Service::Order).await?;
    let claims = "select count(*) filter (where late), count(*) from chassis.claims where saga = $1";
    let claims: (i64, i64) = sqlx::query_as(claims).bind(order.id.parse::<Uuid>()?).fetch_one(&mut db).await?;
    ensure!(claims.0 > 0 && claims.0 == claims.1, "{claims:?}");
    ensure!(days(&mut db).await?.len() == 7, "a day that has begun without its partitions stays late");
    Ok(())
}
