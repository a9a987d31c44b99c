//! Those that are compared, each on a stack of its own, and all open at once: what is measured goes from one to the next in
//! turns, because a machine that is shared with others is not as fast at one moment as it is at another.

use std::{sync::Arc, time::Duration};

use super::{
    Settings,
    closed_loop::{Run, closed_loop},
    customers::Customers,
    dbos::{Dbos, Running},
    figures::Loaded,
    meters::{Meters, Reading},
};
use crate::{Options, Part, Profile, Stack, Talk};

/// So often each load is taken up again, each time for its part of the time.
const TURNS: u32 = 3;

/// One of them, open for orders.
pub(super) struct Shop {
    name: &'static str,
    pub(super) stack: Stack,
    pub(super) customers: Arc<Customers>,
    meters: Meters,
    /// Whoever takes the orders, where the stack has no services.
    workflow: Option<Running>,
}

impl Shop {
    /// Ensemble as it is.
    pub(super) async fn ensemble(name: &'static str) -> anyhow::Result<Self> {
        Self::of(name, options()).await
    }

    /// One transaction for each message, nothing published from memory, a relay that polls every 100 ms: what a textbook shows.
    pub(super) async fn textbook() -> anyhow::Result<Self> {
        let textbook = options().set_all("BATCH_MAX", "1").set_all("PUBLISH_FROM_MEMORY", "false");
        Self::of("textbook", textbook.set_all("SWEEP_INTERVAL", "100ms")).await
    }

    /// The workflow, on a PostgreSQL that is set as ours is.
    pub(super) async fn dbos(program: &Dbos) -> anyhow::Result<Self> {
        let stack = Stack::start(options().parts([Part::Postgres, Part::Partners])).await?;
        let workflow = program.start(&stack).await?;
        let customers = Customers::at(workflow.url())?;
        Self::open("dbos", stack, customers, Some(workflow)).await
    }

    async fn of(name: &'static str, options: Options) -> anyhow::Result<Self> {
        let stack = Stack::start(options).await?;
        let customers = Customers::of(&stack).await?;
        Self::open(name, stack, customers, None).await
    }

    async fn open(name: &'static str, stack: Stack, customers: Customers, workflow: Option<Running>) -> anyhow::Result<Self> {
        let meters = Meters::of(&stack).await?;
        Ok(Self { name, stack, customers: Arc::new(customers), meters, workflow })
    }

    /// Without those that run in containers; one that was killed meanwhile is another process by now.
    pub(super) fn processes(&self) -> anyhow::Result<Vec<(&'static str, i32)>> {
        let parts = Part::ALL.into_iter().filter_map(|part| Some((part.name(), self.stack.process_id(part)?)));
        let mut processes: Vec<_> = parts.collect();
        if let Some(workflow) = &self.workflow {
            processes.push(("dbos", workflow.process_id()?));
        }
        Ok(processes)
    }

    async fn turn(&mut self, in_flight: usize, time: Duration, talk: &Talk) -> anyhow::Result<(Run, Reading)> {
        let step = talk.step(self.name);
        let processes = self.processes()?;
        let before = self.meters.read(&processes).await?;
        let run = closed_loop(&self.customers, in_flight, time, &step).await?;
        let cost = self.meters.read(&processes).await?.since(&before);
        step.done(&format!("{in_flight} in flight: {:.0} sagas/s", run.per_second()));
        Ok((run, cost))
    }

    /// The workflow first, for it still commits after its last answer.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        if let Some(workflow) = self.workflow {
            tokio::time::timeout(Duration::from_secs(30), workflow.stop()).await??;
        }
        self.stack.finish().await
    }
}

/// Each of these shops under the same load, one after the other and then again: nobody has the machine's better moments alone.
pub(super) async fn take_turns<const SHOPS: usize>(
    mut shops: [&mut Shop; SHOPS],
    in_flight: usize,
    settings: &Settings,
    talk: &Talk,
) -> anyhow::Result<[Loaded; SHOPS]> {
    let mut turns = [const { Vec::new() }; SHOPS];
    for _ in 0..TURNS {
        for (shop, turns) in shops.iter_mut().zip(&mut turns) {
            turns.push(shop.turn(in_flight, settings.time() / TURNS, talk).await?);
        }
    }
    let loaded = turns.iter().map(|turns| Loaded::of(in_flight, turns)).collect::<anyhow::Result<Vec<_>>>()?;
    // One for each shop.
    loaded.try_into().map_err(|_| anyhow::anyhow!("a shop has been left out"))
}

fn options() -> Options {
    // Logs of what goes well would measure the disk. What PostgreSQL counts besides, it counts for every setting.
    Options::default()
        .profile(Profile::Release)
        .set_all("RUST_LOG", "warn")
        .set(Part::Partners, "RUST_LOG", "warn")
        .postgres("shared_preload_libraries", "pg_stat_statements")
        .postgres("track_commit_timestamp", "on")
}
