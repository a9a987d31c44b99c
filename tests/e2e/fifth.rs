//! The fifth service of CONTRIBUTING.md, beside a whole stack: nothing was changed for it.

use std::{process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tests::{Basket, Program, eventually};

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "fifth");
    trials.add("a_newcomers_service_earns_and_takes_back", loyalty);
    trials.all()
}

async fn loyalty(world: Arc<World>) -> anyhow::Result<()> {
    let superuser = world.addresses.superuser_url();
    let mut db = PgConnection::connect(&superuser).await?;
    sqlx::query(AssertSqlSafe("create database loyalty")).execute(&mut db).await?;
    db.close().await?;
    let (database, _) = superuser.rsplit_once('/').context("a database's URL ends in its name")?;
    let (http, admin) = (Program::free_port()?, Program::free_port()?);
    let mut service = Command::new(built()?);
    service
        .env("DATABASE_URL", format!("{database}/loyalty"))
        .env("NATS_URL", world.addresses.nats_url())
        .env("HTTP_ADDR", format!("127.0.0.1:{http}"))
        .env("ADMIN_ADDR", format!("127.0.0.1:{admin}"));
    let _running = Program::start(&mut service, "loyalty.log")?;

    let mut basket = Basket::of("TEA-001", 3);
    basket.0["customer_id"] = json!(world.tag());
    let (placed, screen) = world.customer.orders(&basket).await?;
    let due = screen.0["total"]["amount"].as_i64().unwrap_or_default() / 100;
    let url = format!("http://127.0.0.1:{http}/v1/points/{}", basket.0["customer_id"].as_str().unwrap_or_default());
    let url = &url;
    let points_are = |wanted: i64| async move {
        eventually("the points", Duration::from_secs(30), || async {
            let answer: Value =
                reqwest::get(url).await.map_err(|error| error.to_string())?.json().await.map_err(|error| error.to_string())?;
            if answer["points"] == wanted { Ok(()) } else { Err(answer.to_string()) }
        })
        .await
    };
    ensure!(due > 0, "{:#}", screen.0);
    points_are(due).await?;
    placed.cancel().await?;
    points_are(0).await
}

fn built() -> anyhow::Result<std::path::PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let done = Command::new(cargo).args(["build", "--quiet", "--bin", "loyalty"]).current_dir(ensemble::root()).status()?;
    ensure!(done.success(), "the recipe of CONTRIBUTING.md does not build");
    Ok(Program::built("loyalty"))
}
