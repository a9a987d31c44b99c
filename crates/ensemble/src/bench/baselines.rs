//! What Ensemble is compared with, in the same run on the same machine.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::{
    Settings, closed_loop_with_cost,
    customers::Customers,
    dbos::Dbos,
    figures::Measured,
    meters::{Meters, processes},
    options,
    samples::Latency,
};
use crate::{Options, Part, Service, Stack, Talk};

const TABLE: &str = "create table bare (id bigint generated always as identity primary key, body text not null)";
const ONE_ROW: &str = "insert into bare (body) values ('one row')";
const NO_TABLE: &str = "drop table bare";
/// What went before still goes on, and the first that follow wait for it.
const SLOWER_AT_FIRST: usize = 20;

/// One row at a time, each in a transaction of its own.
pub(super) struct BareCommits(PgConnection);

impl BareCommits {
    pub(super) async fn begin(stack: &Stack) -> anyhow::Result<Self> {
        let mut db = PgConnection::connect(&stack.addresses().owner_database_url(Service::Order)).await?;
        sqlx::query(TABLE).execute(&mut db).await?;
        Ok(Self(db))
    }

    /// How long each of so many took.
    pub(super) async fn some(&mut self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        for n in 0..SLOWER_AT_FIRST + count {
            let started = Instant::now();
            sqlx::query(ONE_ROW).execute(&mut self.0).await?;
            if n >= SLOWER_AT_FIRST {
                times.push(started.elapsed());
            }
        }
        Ok(times)
    }

    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        sqlx::query(NO_TABLE).execute(&mut self.0).await?;
        Ok(self.0.close().await?)
    }
}

/// One transaction for each message, nothing published from memory, a relay that polls every 100 ms: what a textbook shows.
fn textbook_options() -> Options {
    options().set_all("BATCH_MAX", "1").set_all("PUBLISH_FROM_MEMORY", "false").set_all("SWEEP_INTERVAL", "100ms")
}

/// The textbook's setting under the greatest load.
pub(super) async fn textbook(settings: &Settings, talk: &Talk) -> anyhow::Result<Measured> {
    let stack = Stack::start(textbook_options()).await?;
    let customers = Customers::of(&stack).await?;
    customers.warm_up().await?;
    let mut meters = Meters::of(&stack, processes(&stack)).await?;
    let most = closed_loop_with_cost("textbook", &customers, &mut meters, settings.in_flight, settings, talk).await?;
    stack.finish().await?;
    Ok(Measured { alone: None, loaded: vec![most] })
}

/// The workflow, alone and under the greatest load, on a PostgreSQL that is set as ours is.
pub(super) async fn dbos(program: &Dbos, settings: &Settings, talk: &Talk) -> anyhow::Result<Measured> {
    let stack = Stack::start(options().parts([Part::Postgres, Part::Partners])).await?;
    let running = program.start(&stack).await?;
    let customers = Customers::at(running.url())?;
    customers.warm_up().await?;

    let step = talk.step("dbos alone");
    let alone = Latency::of_times(customers.alone(settings.alone).await?)?;
    step.done(&format!("p50 {:.1} ms", alone.p50_ms));
    let mut processes = processes(&stack);
    processes.push(("dbos", running.process_id()?));
    let mut meters = Meters::of(&stack, processes).await?;
    let most = closed_loop_with_cost("dbos", &customers, &mut meters, settings.in_flight, settings, talk).await?;
    // What it still commits after its last answer.
    tokio::time::timeout(Duration::from_secs(30), running.stop()).await??;
    stack.finish().await?;
    Ok(Measured { alone: Some(alone), loaded: vec![most] })
}
