//! Replicas of one service share its database and its durables: they come and go under load behind HAProxy, a leader among
//! them hangs, and all of them start at once on an empty database.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use ensemble::{Options, Service, Stack, stack::Replica};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tests::{Basket, Customer, Operator, eventually, eventually_paced};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use crate::world::{World, alone};

/// Between two orders.
const PACE: Duration = Duration::from_millis(100);
/// Whoever waits asks again and again: more of them would take from a slow machine what it needs to get well.
const UNDER_WAY_MAX: usize = 64;
/// Before a request that was turned away is sent again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often one replica of each service dies in its loop.
const CRASHES: usize = 2;
/// A lease is 5 s.
const FOLLOWED: Duration = Duration::from_secs(15);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("replicas::row_29_from_one_to_three_and_back_under_load", options, come_and_go),
        alone("replicas::row_19_and_28_all_start_at_once_on_nothing_and_one_follows_a_leader_that_hangs", options, at_once),
    ]
}

/// Nothing is to end because it waited for who was killed.
fn options() -> Options {
    Options::default().set(Service::Order, "EXPIRES_AFTER", "10m").postgres("max_connections", "400")
}

async fn come_and_go(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    let mut orders = [stack.replica(Service::Order)?, stack.replica(Service::Order)?];
    let mut payments = [stack.replica(Service::Payment)?, stack.replica(Service::Payment)?];
    let balancer = stack.balancer(Service::Order, &orders).await?;
    let url = |service| world.addresses.url(service);
    let customer = Customer::at(balancer.url(), url(Service::Inventory), url(Service::Shipping));
    customer.places(&Basket::of("TEA-001", 1)).await.context("HAProxy does not pass orders on")?;

    let enough = AtomicBool::new(false);
    let changes = async {
        let changed = changes(&mut stack, &mut orders, &mut payments).await;
        enough.store(true, Ordering::Relaxed);
        changed
    };
    let (changed, placed) = tokio::join!(changes, load(&customer, &enough));
    changed?;
    let placed = placed?;
    ensure!(placed.len() > 50, "only {} orders were placed", placed.len());
    let rests = stream::iter(placed.iter().map(|id| world.customer.placed(id))).map(async |order| order.comes_to_rest().await);
    let screens: Vec<_> = rests.buffer_unordered(32).try_collect().await?;
    for screen in screens {
        screen.must_be("confirmed", "")?;
    }
    Ok(())
}

async fn changes(stack: &mut Stack, orders: &mut [Replica], payments: &mut [Replica]) -> anyhow::Result<()> {
    for replica in orders.iter_mut().chain(payments.iter_mut()) {
        replica.start().await?;
    }
    // A rolling restart of everything.
    for replica in orders.iter_mut().chain(payments.iter_mut()) {
        replica.stop().await?;
        replica.start().await?;
    }
    for service in Service::ALL {
        stack.restart(service).await?;
    }
    for _ in 0..CRASHES {
        for replica in [&mut orders[0], &mut payments[0]] {
            replica.kill().await?;
            replica.start().await?;
        }
    }
    for replica in orders.iter().chain(payments.iter()) {
        replica.stop().await?;
    }
    Ok(())
}

/// Orders at their own pace until it is enough. Each is sent again under its key while the answer is a 503; nothing else may
/// go wrong.
pub(crate) async fn load(customer: &Customer, enough: &AtomicBool) -> anyhow::Result<Vec<String>> {
    paced(PACE, enough, || {
        let customer = customer.clone();
        async move { accepted(&customer).await }
    })
    .await
}

/// One order after each such time until it is enough, whatever becomes of those before, while they are not too many.
pub(crate) async fn paced<T, F>(pace: Duration, enough: &AtomicBool, order: impl Fn() -> F) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let (mut pace, mut under_way, mut ended) = (interval(pace), JoinSet::new(), Vec::new());
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !enough.load(Ordering::Relaxed) {
        pace.tick().await;
        while let Some(order) = under_way.try_join_next() {
            ended.push(order??);
        }
        if under_way.len() < UNDER_WAY_MAX {
            under_way.spawn(order());
        }
    }
    while let Some(order) = under_way.join_next().await {
        ended.push(order??);
    }
    Ok(ended)
}

async fn accepted(customer: &Customer) -> anyhow::Result<String> {
    let (basket, key) = (Basket::of("TEA-001", 1), Uuid::now_v7().to_string());
    eventually_paced("an order to be accepted", Duration::from_secs(60), AGAIN, || async {
        let answer = customer.post(&basket.0, &key).await;
        let answer = match answer {
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => return Err("503".to_owned()),
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error.context("the balancer does not answer"))),
        };
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        // While the first try is in hand elsewhere its repeat is asked to wait.
        if status == StatusCode::CONFLICT {
            return Err(body.to_string());
        }
        Ok(match body["id"].as_str() {
            Some(id) if status.is_success() => Ok(id.to_owned()),
            _ => Err(anyhow::anyhow!("{status} {body:#}")),
        })
    })
    .await?
}

/// Of both schemas' migrations, how often each ran.
pub(crate) async fn migrations(world: &World) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut db = PgConnection::connect(&world.addresses.owner_database_url(Service::Payment)).await?;
    let histories: Vec<(String, String)> =
        sqlx::query_as("select schemaname::text, tablename::text from pg_tables where tablename like '%migrations'")
            .fetch_all(&mut db)
            .await?;
    let mut ran = BTreeMap::new();
    for (schema, table) in histories {
        let all = format!("select '{schema}.{table}/' || version, count(*) from {schema}.{table} where success group by version");
        ran.extend(sqlx::query_as::<_, (String, i64)>(sqlx::AssertSqlSafe(all)).fetch_all(&mut db).await?);
    }
    Ok(ran)
}

async fn at_once(world: Arc<World>) -> anyhow::Result<()> {
    let stack = world.stack.lock().await;
    let before = migrations(&world).await?;
    ensure!(before.len() > 3, "{before:?}");
    stack.stop(Service::Payment).await?;
    empty(&world).await?;
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let mut replica = stack.replica(Service::Payment)?;
        replica.launch()?;
        replicas.push(replica);
    }
    for replica in &replicas {
        replica.wait_until_ready().await?;
    }
    ensure!(migrations(&world).await? == before, "not each migration once: {:?}", migrations(&world).await?);
    world.customer.places(&Basket::of("TEA-001", 1)).await?.comes_to_rest().await?.must_be("confirmed", "")?;

    // One leads; it hangs; another follows, and what the first had in hand is done.
    let leader = leads(&replicas).await?;
    replicas[leader].pause()?;
    let others: Vec<&Replica> = replicas.iter().enumerate().filter(|(at, _)| *at != leader).map(|(_, other)| other).collect();
    eventually("another to lead", FOLLOWED, async || leads(others.iter().copied()).await).await?;
    world.customer.places(&Basket::of("TEA-001", 1)).await?.comes_to_rest().await?.must_be("confirmed", "")?;
    replicas[leader].resume()?;
    eventually("who hung to lead no more", FOLLOWED, async || {
        ensure!(!is_leader(&replicas[leader]).await?, "it leads");
        Ok(())
    })
    .await?;
    leads(others).await?;
    // Who ends in good order is followed at once; the stack's own comes back, to be audited with the others.
    for replica in &replicas {
        replica.stop().await?;
    }
    drop(stack);
    world.stack.lock().await.start_part(Service::Payment).await
}

/// Everything that payment has ever made is gone, as on its first day.
pub(crate) async fn empty(world: &World) -> anyhow::Result<()> {
    let server: PgConnectOptions = world.addresses.superuser_url().parse()?;
    let mut db = PgConnection::connect_with(&server.database("payment")).await?;
    sqlx::raw_sql(
        "drop schema chassis cascade; drop schema public cascade;
         create schema chassis authorization payment_owner; create schema public authorization payment_owner;
         grant usage on schema public, chassis to payment",
    )
    .execute(&mut db)
    .await?;
    Ok(())
}

async fn is_leader(replica: &Replica) -> anyhow::Result<bool> {
    Ok(Operator::at(replica.admin_url()).metric(r#"ensemble_lease_held{job="sweep"}"#).await? > 0.0)
}

/// The place of the one that leads.
async fn leads<'r>(replicas: impl IntoIterator<Item = &'r Replica>) -> anyhow::Result<usize> {
    let mut leaders = Vec::new();
    for (at, replica) in replicas.into_iter().enumerate() {
        if is_leader(replica).await? {
            leaders.push(at);
        }
    }
    match *leaders {
        [leader] => Ok(leader),
        _ => anyhow::bail!("{} lead", leaders.len()),
    }
}
