//! Connections that break while a transaction ends, and requests that nobody waits for: a second replica of the order
//! service whose way to Postgres leads through a proxy.

use std::{process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ensemble::{Options, Service};
use libtest_mimic::Trial;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tests::{Basket, Blow, Customer, Program, Proxy, eventually};
use uuid::Uuid;

use crate::world::{World, alone};

pub(crate) fn trials() -> Vec<Trial> {
    let usual = Options::default;
    vec![
        alone("unknown_commits::row_17_a_commit_whose_end_nobody_knows_takes_effect_once", usual, cut_at_the_commit),
        alone("unknown_commits::row_17_a_commit_that_answers_rollback_is_a_failure", usual, answered_rollback),
        alone("unknown_commits::row_17_a_request_cancelled_anywhere_leaves_no_transaction_open", usual, cancelled),
    ]
}

/// A replica behind a proxy.
pub(crate) struct Replica {
    _program: Program,
    proxy: Proxy,
    pub(crate) customer: Customer,
}

impl Replica {
    pub(crate) async fn start(world: &World) -> anyhow::Result<Self> {
        let addresses = &world.addresses;
        let proxy = Proxy::before(format!("127.0.0.1:{}", addresses.ports.postgres)).await?;
        let direct = addresses.database_url(Service::Order);
        let proxied = direct.replace(&format!(":{}/", addresses.ports.postgres), &format!(":{}/", proxy.address.port()));
        ensure!(proxied != direct, "the database's URL has no port to replace");
        let free = || anyhow::Ok(format!("127.0.0.1:{}", Program::free_port()?));
        let (http, admin) = (free()?, free()?);
        let mut order = Command::new(Program::built("order"));
        order
            .env("DATABASE_URL", proxied)
            .env("DATABASE_OWNER_URL", addresses.owner_database_url(Service::Order))
            .env("NATS_URL", addresses.nats_url())
            .env("HTTP_ADDR", &http)
            .env("ADMIN_ADDR", &admin)
            .env("INVENTORY_URL", addresses.url(Service::Inventory))
            .env("PAYMENT_URL", addresses.url(Service::Payment))
            .env("SHIPPING_URL", addresses.url(Service::Shipping));
        let program = Program::start(&mut order, "replica.log")?;
        let order = format!("http://{http}");
        let customer = Customer::at(order, addresses.url(Service::Inventory), addresses.url(Service::Shipping));
        let replica = Self { _program: program, proxy, customer };
        eventually("the replica", Duration::from_secs(30), || async {
            reqwest::get(format!("http://{admin}/readyz")).await?.error_for_status()
        })
        .await?;
        Ok(replica)
    }

    /// An order whose commit meets that blow: its first answer, and the answer to the same key again.
    async fn orders(&self, blow: Blow) -> anyhow::Result<[(StatusCode, Value); 2]> {
        let key = Uuid::now_v7().to_string();
        self.proxy.arm(blow);
        let mut answers = Vec::new();
        for _ in 0..2 {
            let answer = self.customer.post(&Basket::of("TEA-001", 1).0, &key).await?;
            answers.push((answer.status(), answer.json().await?));
        }
        ensure!(!self.proxy.is_armed(), "{blow:?}: no commit came by");
        let second = answers.pop().context("two answers")?;
        Ok([answers.pop().context("two answers")?, second])
    }
}

/// The stack's own replica hears nothing, so that no other commit comes by: only the requests of the test.
async fn alone_at_the_proxy(world: &World) -> anyhow::Result<Replica> {
    let replica = Replica::start(world).await?;
    let (_, screen) = world.customer.orders(&Basket::of("TEA-001", 1)).await?;
    screen.must_be("confirmed", "")?;
    Ok(replica)
}

async fn cut_at_the_commit(world: Arc<World>) -> anyhow::Result<()> {
    let replica = alone_at_the_proxy(&world).await?;
    // Of `Q`, length and text: nothing, the letter, the head, all but the end. Of the answer: nothing, within and between its
    // four messages, and all but the byte that says "not in a transaction".
    let before = [0, 1, 5, usize::MAX].map(Blow::CutBefore);
    let after = [0, 1, 5, 33, 34, 45, 46, 58, 59, 72, usize::MAX].map(Blow::CutAfter);
    for blow in before.into_iter().chain(after) {
        let [(status, body), (again, same)] = replica.orders(blow).await?;
        ensure!(status == StatusCode::ACCEPTED && again == StatusCode::ACCEPTED, "{blow:?}: {status} {body:#} {again} {same:#}");
        ensure!(body["id"] == same["id"], "{blow:?}: one key made two orders");
        let id = body["id"].as_str().unwrap_or_default();
        rests(&world, id).await.with_context(|| format!("{blow:?}"))?;
    }
    Ok(())
}

async fn answered_rollback(world: Arc<World>) -> anyhow::Result<()> {
    let replica = alone_at_the_proxy(&world).await?;
    // It is done again at once, so the first answer is true, and so is the second.
    let [(status, accepted), (again, repeated)] = replica.orders(Blow::FailBefore).await?;
    ensure!(status == StatusCode::ACCEPTED, "{status} {accepted:#}");
    ensure!(again == StatusCode::ACCEPTED && repeated["id"] == accepted["id"], "{again} {repeated:#}, after {accepted:#}");
    rests(&world, accepted["id"].as_str().unwrap_or_default()).await?;
    // The closing audit would find an event that was said and never kept; here: nobody has heard of another order.
    let mut db = PgConnection::connect(&world.addresses.database_url(Service::Inventory)).await?;
    let heard: i64 = sqlx::query_scalar("select count(*) from reservations").fetch_one(&mut db).await?;
    ensure!(heard == 2, "inventory has heard of {heard} orders, and two were placed");
    Ok(db.close().await?)
}

async fn rests(world: &World, id: &str) -> anyhow::Result<()> {
    eventually("the order to be confirmed", Duration::from_secs(60), || async {
        let request = world.customer.request(reqwest::Method::GET, &format!("/v1/orders/{id}"));
        let screen: Value = request.send().await?.error_for_status()?.json().await?;
        ensure!(screen["status"] == "confirmed", "{screen:#}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// The client goes away after every length of time in which anything happens.
async fn cancelled(world: Arc<World>) -> anyhow::Result<()> {
    let mut keys = Vec::new();
    for tenth_ms in 0..150 {
        let key = Uuid::now_v7().to_string();
        let order = Basket::of("TEA-001", 1);
        let wait = Duration::from_micros(tenth_ms * 100);
        let posted = tokio::time::timeout(wait, world.customer.post(&order.0, &key)).await;
        let listed = world.customer.request(reqwest::Method::GET, "/v1/orders?limit=200").send();
        let listed = tokio::time::timeout(wait, listed).await;
        drop((posted, listed));
        keys.push(key);
    }
    let mut db = PgConnection::connect(&world.addresses.superuser_url()).await?;
    let standing = "select count(*) from pg_stat_activity where datname = 'order' and state like 'idle in transaction%'
        and state_change < clock_timestamp() - interval '1 s'";
    let standing: i64 = sqlx::query_scalar(standing).fetch_one(&mut db).await?;
    ensure!(standing == 0, "{standing} connections stand in a transaction");
    db.close().await?;
    // Whatever became of each: the same key again is one order, and it comes to rest.
    for key in keys {
        let answer = world.customer.post(&Basket::of("TEA-001", 1).0, &key).await?;
        let (status, body): (_, Value) = (answer.status(), answer.json().await?);
        ensure!(status == StatusCode::ACCEPTED, "{status} {body:#}");
        rests(&world, body["id"].as_str().unwrap_or_default()).await?;
    }
    Ok(())
}
