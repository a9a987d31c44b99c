//! A stack with what tests say things with; started when the first test needs it, audited when it is closed.

use std::{
    collections::HashSet,
    sync::{
        Arc, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use ensemble::{Options, Part, Service, Stack, audit, record, stack::Addresses};
use libtest_mimic::{Failed, Trial};
use tests::{Broker, Customer, Operator, Partner, eventually};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Mutex,
};
use uuid::Uuid;

/// A running stack, and everybody who speaks to it.
pub(crate) struct World {
    pub(crate) customer: Customer,
    pub(crate) gateway: Partner,
    pub(crate) carrier: Partner,
    pub(crate) addresses: Addresses,
    /// For who kills and starts parts.
    pub(crate) stack: Mutex<Stack>,
    forged: std::sync::Mutex<HashSet<String>>,
}

impl World {
    pub(crate) async fn start(options: Options) -> anyhow::Result<Arc<Self>> {
        // A key with a stored error is looked up once the partner cannot lag any more: sooner here than at a real one.
        let options = options.set(Service::Payment, "GATEWAY_LAG", "300ms").set(Service::Shipping, "CARRIER_LAG", "300ms");
        let stack = Stack::start(options).await?;
        let customer = Customer::at(stack.order_url(), stack.url(Service::Inventory), stack.url(Service::Shipping));
        let (gateway, carrier) = (Partner::at(stack.gateway_url()), Partner::at(stack.carrier_url()));
        let addresses = stack.addresses().clone();
        Ok(Arc::new(Self { customer, gateway, carrier, addresses, stack: Mutex::new(stack), forged: Default::default() }))
    }

    /// Who looks after that service.
    pub(crate) fn operator(&self, service: Service) -> Operator {
        Operator::at(self.addresses.admin_url(service))
    }

    /// The broker, by hand.
    pub(crate) async fn broker(&self) -> anyhow::Result<Broker> {
        Broker::at(&self.addresses.nats_url()).await
    }

    /// Whether that service says that it is ready.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) async fn is_ready(&self, service: Service) -> anyhow::Result<()> {
        let answer = reqwest::get(format!("{}/readyz", self.addresses.admin_url(service))).await?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "{service} is not ready: {status} {}", answer.text().await?);
        Ok(())
    }

    /// Waits until that service says that it is not.
    pub(crate) async fn stops_being_ready(&self, service: Service, patience: Duration) -> anyhow::Result<()> {
        eventually(&format!("{service} to notice"), patience, || async {
            if self.is_ready(service).await.is_ok() { Err("it is ready") } else { Ok(()) }
        })
        .await
    }

    /// A text that nobody else uses.
    pub(crate) fn tag(&self) -> String {
        format!("t{}", Uuid::now_v7().simple())
    }

    /// An Idempotency-Key that nobody else uses, as it stands in the header.
    pub(crate) fn key(&self) -> String {
        format!("\"{}\"", Uuid::now_v7())
    }

    /// Says that a test did something to that order which no reaction allows: it is not replayed.
    pub(crate) fn forged(&self, order: &str) {
        self.forged.lock().unwrap_or_else(PoisonError::into_inner).insert(order.to_owned());
    }

    /// Audits the six invariants over the four databases and the partners' ledgers, replays all that was done, then stops and
    /// removes everything.
    pub(crate) async fn close(self: Arc<Self>) -> anyhow::Result<()> {
        let Self { stack, forged, .. } = Arc::into_inner(self).context("somebody still uses the stack")?;
        let stack = stack.into_inner();
        let found = audit::at_rest(stack.addresses()).await;
        let replayed = replay(stack.addresses(), &forged.into_inner().unwrap_or_else(PoisonError::into_inner)).await;
        let logged = logs(&stack).await;
        let stopped = stack.finish().await;
        found.and_then(audit::Report::must_be_clean).and(replayed).and(logged).and(stopped)
    }
}

/// Fails with the first transition that the reactions do not allow.
async fn replay(addresses: &Addresses, forged: &HashSet<String>) -> anyhow::Result<()> {
    let mut read = record::record(addresses).await?;
    anyhow::ensure!(read.left_out == 0, "{} orders are still under way", read.left_out);
    read.recording.orders.retain(|order, _| !forged.contains(&order.to_string()));
    println!("{}", record::conform(&read.recording)?);
    Ok(())
}

/// Alarms that some test asks for.
const PLANNED: [&str; 10] = [
    // `crash`, `expiry`: who was away is asked again.
    "an order has asked again for a compensation",
    // `crash`: the client meets a broker that was killed.
    "async_nats::connector",
    // `partners::row_22_a_compensation_is_never_given_up`
    "the gateway will not let go of a hold",
    // `forgetful`: streams are deleted, and disks lost.
    "the stream is gone: it is made anew",
    // `crash`: an answer meets a database that was killed, and is asked for again.
    "the database is away",
    // `dead_letters`: what nobody can take, on purpose.
    "a dead letter",
    "an input cannot be taken",
    // `restored`: databases that are older than they were.
    "the database has lost what was committed",
    // `revoked`: what a service may do is taken away and given back.
    "does not permit it",
    // `failpoints`: a panic that was asked for.
    "failpoint ",
];

/// Keeps what the programs logged, below `target/e2e`; an error among it that no test had planned is a failure.
async fn logs(stack: &Stack) -> anyhow::Result<()> {
    let folder = ensemble::root().join("target/e2e").join(stack.order_url().rsplit(':').next().unwrap_or_default());
    std::fs::create_dir_all(&folder)?;
    let mut errors = Vec::new();
    for part in Part::ALL.into_iter().filter(|part| part.is_ours()) {
        let log = stack.logs(part).await?;
        let unplanned =
            |line: &&str| line.contains(r#""level":"ERROR""#) && !PLANNED.iter().any(|planned| line.contains(planned));
        errors.extend(log.lines().filter(unplanned).map(str::to_owned));
        std::fs::write(folder.join(format!("{part}.log")), log)?;
    }
    anyhow::ensure!(errors.is_empty(), "errors were logged:\n{}", errors.join("\n"));
    Ok(())
}

/// The stack of the tests that share one. It is closed after the last of them, and not with those of others at the end: whatever
/// stands by idle takes its part of the machine.
pub(crate) struct Shared {
    options: fn() -> Options,
    begun: OnceLock<Result<Begun, String>>,
    /// How many tests have not ended; those that a filter leaves out never do.
    to_come: AtomicUsize,
    /// What closing it found.
    closed: OnceLock<Result<(), String>>,
}

/// What runs it, and the stack until it is closed.
type Begun = (Runtime, std::sync::Mutex<Option<Arc<World>>>);

impl Shared {
    pub(crate) fn of(options: fn() -> Options) -> Arc<Self> {
        Arc::new(Self { options, begun: OnceLock::new(), to_come: AtomicUsize::new(0), closed: OnceLock::new() })
    }

    pub(crate) fn started(&self) -> bool {
        self.begun.get().is_some()
    }

    fn run<F: Future<Output = anyhow::Result<()>>>(&self, test: impl FnOnce(Arc<World>) -> F) -> anyhow::Result<()> {
        let ended = self.run_one(test);
        if self.to_come.fetch_sub(1, Ordering::AcqRel) == 1 {
            // What it finds is told at the end.
            drop(self.close());
        }
        ended
    }

    fn run_one<F: Future<Output = anyhow::Result<()>>>(&self, test: impl FnOnce(Arc<World>) -> F) -> anyhow::Result<()> {
        let begun = self.begun.get_or_init(|| {
            let runtime = runtime().map_err(|error| format!("{error:#}"))?;
            let world = runtime.block_on(World::start((self.options)())).map_err(|error| format!("{error:#}"))?;
            Ok((runtime, std::sync::Mutex::new(Some(world))))
        });
        let (runtime, world) = begun.as_ref().map_err(|error| anyhow::anyhow!("the stack did not start: {error}"))?;
        let world = world.lock().ok().and_then(|world| world.clone()).context("the stack is closed")?;
        runtime.block_on(test(world))
    }

    /// What closing it finds, or has found.
    pub(crate) fn close(&self) -> anyhow::Result<()> {
        let closed = self.closed.get_or_init(|| self.close_now().map_err(|error| format!("{error:#}")));
        closed.clone().map_err(anyhow::Error::msg)
    }

    fn close_now(&self) -> anyhow::Result<()> {
        let Some(Ok((runtime, world))) = self.begun.get() else { anyhow::bail!("the stack never ran") };
        let world = world.lock().ok().and_then(|mut world| world.take()).context("the stack is closed")?;
        runtime.block_on(world.close())
    }
}

/// The tests of one module on the shared stack.
pub(crate) struct Trials {
    shared: Arc<Shared>,
    module: &'static str,
    trials: Vec<Trial>,
}

impl Trials {
    pub(crate) fn on(shared: &Arc<Shared>, module: &'static str) -> Self {
        Self { shared: shared.clone(), module, trials: Vec::new() }
    }

    pub(crate) fn add<F>(&mut self, name: &str, test: impl FnOnce(Arc<World>) -> F + Send + 'static)
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let shared = self.shared.clone();
        shared.to_come.fetch_add(1, Ordering::AcqRel);
        self.trials.push(Trial::test(format!("{}::{name}", self.module), move || told(shared.run(test))));
    }

    pub(crate) fn all(self) -> Vec<Trial> {
        self.trials
    }
}

/// A test with a stack of its own.
pub(crate) fn alone<F>(name: &str, options: fn() -> Options, test: impl FnOnce(Arc<World>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = anyhow::Result<()>>,
{
    Trial::test(name.to_owned(), move || {
        told(runtime().and_then(|runtime| {
            runtime.block_on(async {
                let world = World::start(options()).await?;
                test(world.clone()).await?;
                world.close().await
            })
        }))
    })
}

pub(crate) fn told(outcome: anyhow::Result<()>) -> Result<(), Failed> {
    outcome.map_err(|error| Failed::from(format!("{error:#}")))
}

pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
