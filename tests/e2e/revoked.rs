//! What a service may do is taken away while it runs: it says so, gives an alarm, skips nothing, and goes on when it may again.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ensemble::{Options, Service, stack::guard};
use libtest_mimic::Trial;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::{Basket, Placed, eventually};

use crate::world::{World, alone};

const SOON: Duration = Duration::from_secs(30);

/// Nothing is to end because it waited for a permission.
fn patient() -> Options {
    Options::default().set(Service::Order, "EXPIRES_AFTER", "10m")
}

pub(crate) fn trials() -> Vec<Trial> {
    let guarded = || patient().guarded();
    vec![
        alone("revoked::row_32_a_privilege_at_the_database_is_taken_away_and_given_back", patient, at_the_database),
        alone("revoked::row_32_a_permission_at_the_broker_is_taken_away_and_given_back", guarded, at_the_broker),
    ]
}

/// Payment says that it is not permitted `what`; the others are ready, and the log has an alarm about it.
async fn is_told(world: &World, dependency: &str, what: &str) -> anyhow::Result<()> {
    let url = format!("{}/readyz?verbose", world.addresses.admin_url(Service::Payment));
    let url = &url;
    eventually(&format!("payment to say what {dependency} does not permit"), SOON, || async move {
        let said: Value = reqwest::get(url).await?.json().await?;
        let asked = said["dependencies"].as_array().context("it has dependencies")?.iter().find(|one| one["name"] == dependency);
        let reason = asked.and_then(|one| one["reason"].as_str()).unwrap_or_default();
        ensure!(reason.contains("not permitted") && reason.contains(what), "{said:#}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    for service in [Service::Order, Service::Inventory, Service::Shipping] {
        world.is_ready(service).await?;
    }
    let log = world.stack.lock().await.logs(Service::Payment).await?;
    let alarm = |line: &str| line.contains(r#""level":"ERROR""#) && line.contains("does not permit it") && line.contains(what);
    let alarms = log.lines().filter(|line| alarm(line)).count();
    ensure!(alarms == 1, "{alarms} alarms about one thing");
    Ok(())
}

async fn one_confirmed(world: &World, basket: &Basket) -> anyhow::Result<()> {
    world.customer.orders(basket).await?.1.must_be("confirmed", "").map(drop)
}

/// What waited goes on by itself, and the service is ready.
async fn goes_on(world: &World, waited: Placed) -> anyhow::Result<()> {
    waited.comes_to_rest().await?.must_be("confirmed", "")?;
    eventually("payment to be ready again", SOON, || world.is_ready(Service::Payment)).await
}

async fn at_the_database(world: Arc<World>) -> anyhow::Result<()> {
    let basket = Basket::of("TEA-001", 1);
    one_confirmed(&world, &basket).await?;
    let mut owner = PgConnection::connect(&world.addresses.owner_database_url(Service::Payment)).await?;
    owner.execute("revoke insert on chassis.outbox from payment").await?;
    let waits = world.customer.places(&basket).await?;
    is_told(&world, "postgres", "permission denied for table outbox").await?;
    let screen = waits.screen().await?;
    ensure!(!screen.timeline().iter().any(|ty| ty == "payment.authorized"), "it is not permitted: {:#}", screen.0);
    owner.execute("grant insert on chassis.outbox to payment").await?;
    owner.close().await?;
    goes_on(&world, waits).await
}

async fn at_the_broker(world: Arc<World>) -> anyhow::Result<()> {
    let basket = Basket::of("TEA-001", 1);
    one_confirmed(&world, &basket).await?;
    let (all, own) = (guard::authorization(), "            \"ensemble.payment.>\"\n");
    ensure!(all.matches(own).count() == 1, "payment alone may publish there:\n{all}");
    world.stack.lock().await.permit(&all.replace(own, ""))?;
    let waits = world.customer.places(&basket).await?;
    is_told(&world, "nats", "ensemble.payment.authorized").await?;
    world.stack.lock().await.permit(&all)?;
    goes_on(&world, waits).await
}
