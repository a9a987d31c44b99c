//! The program in `bench/dbos`: built apart, for nothing else needs it, and run on a stack's PostgreSQL and partners.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use sqlx::{Connection as _, PgConnection};
use tokio::process::Child;

use crate::{
    Stack, Talk, root,
    stack::{command::command, wait},
    workspace::workshop,
};

const DATABASE: &str = "create database dbos_saga";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// It, built.
pub(super) struct Dbos(PathBuf);

/// Builds it; the first time takes some minutes.
pub(super) async fn build(talk: &Talk) -> anyhow::Result<Dbos> {
    let step = talk.step("build");
    step.now("cargo build, the dbos baseline");
    let target = workshop().join("dbos");
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]).arg(root().join("bench/dbos/Cargo.toml"));
    cargo.arg("--target-dir").arg(&target);
    let built = cargo.stdout(Stdio::null()).status().await.context("could not run cargo: is it in the path?")?;
    ensure!(built.success(), "cargo build of bench/dbos failed");
    step.done("the dbos baseline is built");
    Ok(Dbos(target.join("release/dbos-saga")))
}

impl Dbos {
    /// In a database of its own.
    pub(super) async fn start(&self, stack: &Stack) -> anyhow::Result<Running> {
        let mut db = PgConnection::connect(&stack.addresses().superuser_url()).await?;
        sqlx::query(DATABASE).execute(&mut db).await?;
        db.close().await?;
        let addresses = stack.addresses();
        let superuser = addresses.superuser_url();
        let (server, _) = superuser.rsplit_once('/').context("a database has a name")?;
        // Of the services, none runs in this stack: their ports are free.
        let url = stack.order_url();
        let child = command(&self.0)
            .env("DATABASE_URL", format!("{server}/dbos_saga"))
            .env("HTTP_ADDR", url.trim_start_matches("http://"))
            .env("GATEWAY_URL", addresses.gateway_url())
            .env("GATEWAY_KEY", addresses.secrets.gateway_key())
            .env("CARRIER_URL", addresses.carrier_url())
            .env("CARRIER_KEY", addresses.secrets.carrier_key())
            .spawn()
            .context("could not start the dbos baseline")?;
        let running = Running { child, url };
        wait::until(Instant::now() + READY_WITHIN, || async {
            let answer = wait::client().get(format!("{}/readyz", running.url)).send().await;
            answer.map(drop).map_err(|error| format!("the dbos baseline is not ready: {error}"))
        })
        .await?;
        Ok(running)
    }
}

/// It, at work. Dropped, it is killed.
pub(super) struct Running {
    child: Child,
    url: String,
}

impl Running {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn process_id(&self) -> anyhow::Result<i32> {
        Ok(i32::try_from(self.child.id().context("the dbos baseline has ended")?)?)
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("could not stop the dbos baseline")
    }
}
