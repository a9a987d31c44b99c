//! The fifth service of CONTRIBUTING.md, beside a whole stack: nothing was changed for it. It dies, fails and waits at every
//! boundary that it has, and its points are right all the same.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use chassis::failpoint::{Boundary, Failpoint};
use futures_util::future::try_join;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tests::{
    Basket, Placed, Program,
    crash_points::{self, Restarted},
    eventually,
};
use tokio::time::sleep;

use crate::world::{Shared, Trials, World};

/// What was in hand of who died comes again after half a minute.
const PATIENCE: Duration = Duration::from_secs(60);
/// So often somebody orders while the crash points are walked.
const AGAIN: Duration = Duration::from_millis(500);

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "fifth");
    trials.add("a_newcomers_service_earns_and_takes_back_whatever_becomes_of_it", loyalty);
    trials.all()
}

/// The service, started again and again.
struct Loyalty {
    command: Command,
    running: Program,
}

impl Loyalty {
    /// With a database of its own; and where it shows points.
    async fn beside(world: &World) -> anyhow::Result<(Self, String)> {
        let superuser = world.addresses.superuser_url();
        let mut db = PgConnection::connect(&superuser).await?;
        sqlx::query(AssertSqlSafe("create database loyalty")).execute(&mut db).await?;
        db.close().await?;
        let (database, _) = superuser.rsplit_once('/').context("a database's URL ends in its name")?;
        let (http, admin) = (Program::free_port()?, Program::free_port()?);
        let mut command = Command::new(built()?);
        command
            .env("DATABASE_URL", format!("{database}/loyalty"))
            .env("NATS_URL", world.addresses.nats_url())
            .env("HTTP_ADDR", format!("127.0.0.1:{http}"))
            .env("ADMIN_ADDR", format!("127.0.0.1:{admin}"));
        let running = Program::start(&mut command, "loyalty.log")?;
        Ok((Self { command, running }, format!("http://127.0.0.1:{http}/v1/points")))
    }
}

impl Restarted for Loyalty {
    async fn start(&mut self, failpoints: &str) -> anyhow::Result<()> {
        self.running.kill();
        self.running = Program::start(self.command.env("FAILPOINTS", failpoints), "loyalty.log")?;
        Ok(())
    }

    async fn has_ended(&self) -> bool {
        self.running.has_ended()
    }

    async fn log(&self) -> anyhow::Result<String> {
        Ok(self.running.log()?)
    }
}

async fn loyalty(world: Arc<World>) -> anyhow::Result<()> {
    let (mut service, url) = Loyalty::beside(&world).await?;
    let mut basket = Basket::of("TEA-001", 3);
    basket.0["customer_id"] = json!(world.tag());
    let url = format!("{url}/{}", basket.0["customer_id"].as_str().unwrap_or_default());
    let (placed, screen) = world.customer.orders(&basket).await?;
    let due = screen.0["total"]["amount"].as_i64().unwrap_or_default() / 100;
    ensure!(due > 0, "{:#}", screen.0);
    points_are(due, &url).await?;

    let has = [Boundary::Claim, Boundary::Commit, Boundary::Ack, Boundary::Lease];
    let failpoints: Vec<Failpoint> = has.into_iter().flat_map(|boundary| [boundary.before(), boundary.after()]).collect();
    let walked = AtomicBool::new(false);
    let walk = async {
        let ended = crash_points::walk(&mut service, &failpoints).await;
        walked.store(true, Relaxed);
        ended
    };
    let ((), more) = try_join(walk, ordering(&world, &basket, &walked)).await?;
    for order in &more {
        order.comes_to_rest().await?.must_be("confirmed", "")?;
    }
    points_are(due * (1 + i64::try_from(more.len())?), &url).await?;
    for order in more.iter().chain([&placed]) {
        order.cancel().await?;
    }
    points_are(0, &url).await
}

/// Again and again, until all is walked.
async fn ordering(world: &World, basket: &Basket, walked: &AtomicBool) -> anyhow::Result<Vec<Placed>> {
    let mut orders = Vec::new();
    while !walked.load(Relaxed) {
        orders.push(world.customer.places(basket).await?);
        sleep(AGAIN).await;
    }
    Ok(orders)
}

async fn points_are(wanted: i64, url: &str) -> anyhow::Result<()> {
    eventually("the points", PATIENCE, || async {
        let answer: Value = reqwest::get(url).await?.json().await?;
        ensure!(answer["points"] == wanted, "{wanted} are due: {answer}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}

fn built() -> anyhow::Result<std::path::PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let done = Command::new(cargo).args(["build", "--quiet", "--bin", "loyalty"]).current_dir(ensemble::root()).status()?;
    ensure!(done.success(), "the recipe of CONTRIBUTING.md does not build");
    Ok(Program::built("loyalty"))
}
