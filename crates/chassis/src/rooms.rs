//! From settings to a running service, and to its end.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use events::TraceContext;
use futures_util::future::join_all;
use sqlx::PgPool;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

use crate::{
    House,
    admin::{self, Health},
    broker::Broker,
    calls,
    commit::{self, Asked, Committer, Door, Handoff, Incoming, Kind, Settled, Watchers, door},
    config::{self, About, Config},
    deadline::Clock,
    edge,
    inbox::{self, Inbox},
    lease::{self, Lease, lease},
    partitions::{READER_PATIENCE, Upkeep},
    postgres::{Pools, migrate, owner},
    relay::{self, Backlog, Marks, Reconciler, Sweep},
    restored::{self, Intake},
    service::{Partner, Service},
    shutdown::{End, Shutdown},
    telemetry::{self, Metrics},
};

/// How many intents may wait to be called from memory; what does not fit is found when it is due.
const ASKED_MAX: usize = 4096;

pub(crate) fn run<S: Service>() -> ExitCode {
    let about =
        About { service: S::DECLARATION.service, does: S::DOES, version: env!("CARGO_PKG_VERSION"), defaults: S::DEFAULTS };
    let config = match config::load::<S::Settings>(&about) {
        Ok(config) => config,
        Err(stop) => return stop.exit(&about),
    };
    match serve::<S>(about, config) {
        Ok(code) => code,
        Err(error) => {
            // Logging may not have begun.
            eprintln!("{}: {error:#}", about.service);
            ExitCode::FAILURE
        }
    }
}

fn serve<S: Service>(about: About, config: Config<S::Settings>) -> anyhow::Result<ExitCode> {
    config.failpoint.arm();
    // It fails only when somebody was first, and then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os(WORKER_THREADS).is_none() {
        runtime.worker_threads(workers());
    }
    let runtime = runtime.enable_all().build().context("the runtime cannot start")?;
    // Within the runtime: exporting spans needs one.
    let telemetry = runtime.block_on(async { telemetry::start(about.service, &config.telemetry) })?;
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    let end = runtime.block_on(live::<S>(about, config, telemetry.metrics.clone()));
    telemetry.flush();
    match end? {
        End::Orderly => Ok(ExitCode::SUCCESS),
        End::Hasty => {
            eprintln!("{}: ended with something in hand; it is in the database", about.service);
            Ok(ExitCode::SUCCESS)
        }
        End::Fault(task) => anyhow::bail!("the task `{task}` ended by itself"),
    }
}

/// What tokio itself reads.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

/// A thread for every two cores: a service waits for its database most of the time, and threads that look for work wake each
/// other, on cores that the database needs.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// Starts, and ends when told to, also in the middle of starting.
async fn live<S: Service>(about: About, config: Config<S::Settings>, metrics: Metrics) -> anyhow::Result<End> {
    let shutdown = Shutdown::default();
    let settings = config.shutdown.clone();
    let mut end = std::pin::pin!(shutdown.run(&settings));
    tokio::select! {
        end = &mut end => return Ok(end),
        started = start::<S>(about, config, metrics, &shutdown) => started?,
    }
    tracing::info!("ready");
    Ok(end.await)
}

async fn start<S: Service>(
    about: About,
    config: Config<S::Settings>,
    metrics: Metrics,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let health = Health::new(shutdown.draining());
    let starting = health.starting();
    let (api, operators) = (bind("HTTP_ADDR", config.edge.http_addr).await?, bind("ADMIN_ADDR", config.admin.admin_addr).await?);
    let intake = Intake::new(metrics.clone());
    let pools = Pools::new(about.service, &config.postgres, &intake)?;
    let broker = Broker::connect(const { &S::DECLARATION }, &config.broker, config.relay.publish_window, metrics.clone()).await?;
    pools.probed_by(&health);
    broker.probed_by(&health);
    intake.probed_by(&health);
    let desk = admin::operators::Slot::<S>::default();
    let router = admin::router(health, metrics.clone(), admin::operators::routes(desk.clone()));
    shutdown.spawn_worker("admin", served(admin::serve(operators, router, shutdown.work())));
    migrate(&config.postgres, S::migrations, config.partitions.retention).await?;
    pools.open().await;
    keep_partitions::<S>(&config, &pools, &metrics, shutdown)?;

    let rooms = open_doors::<S>(&config, &pools, &broker, &intake, &metrics, shutdown);
    seed(&rooms.doors, &config.own).await?;
    let house = House {
        door: rooms.doors.commands.clone(),
        pool: pools.reads.clone(),
        log: commit::log::Asking::new(pools.log.clone(), about.service),
        settings: Arc::new(config.own.clone()),
        metrics: metrics.clone(),
        watchers: rooms.watchers,
        draining: shutdown.draining(),
    };
    let app = edge::app(&about, S::routes(house), S::PROBLEMS, &config.edge, &metrics);
    shutdown.spawn_taker("api", served(edge::serve(api, app, shutdown.intake())));
    shutdown.spawn_taker("attention", admin::attention::run::<S>(pools.background.clone(), metrics.clone(), shutdown.intake()));
    let partner = S::partner(&config.own, &metrics).context("no client can be made for the partner")?;
    keep_time(&rooms.doors, &pools, config.lease, &intake, &metrics, shutdown);
    call(&rooms.doors, &pools, partner, rooms.asked, &config.calls, &intake, shutdown);
    let inbox = Arc::new(Inbox {
        door: rooms.doors.events.clone(),
        pool: pools.background.clone(),
        broker: broker.clone(),
        metrics: metrics.clone(),
        settings: config.inbox.clone(),
        patience: config.commit.patience,
        intake,
        paused: watch::Sender::new(false),
        acknowledging: inbox::Acknowledging::default(),
    });
    // It is filled once, here.
    let _ = desk.set(inbox.clone());
    inbox::prepare(&inbox).await;
    inbox::start(&inbox, (rooms.reconciling, config.relay.reconcile_interval), shutdown);
    drop(starting);
    Ok(())
}

/// Makes partitions ahead, and drops those whose sagas have ended.
fn keep_partitions<S: Service>(
    config: &Config<S::Settings>,
    pools: &Pools,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.partitions.retention > config.broker.stream_age_max,
        "RETENTION is wrong: it should be longer than STREAM_AGE_MAX, for what the stream still holds may come again"
    );
    let (lease, strive) = lease("partitions", config.lease, pools.background.clone(), metrics.clone(), shutdown.intake());
    shutdown.spawn_taker("partitions lease", strive);
    let upkeep = Upkeep {
        lease,
        owner: owner(&config.postgres)?.options([("lock_timeout", READER_PATIENCE)]),
        pool: pools.background.clone(),
        metrics: metrics.clone(),
        settings: config.partitions.clone(),
    };
    shutdown.spawn_taker("partitions", upkeep.run::<S>(shutdown.intake()));
    Ok(())
}

/// What has passed goes through the door of deadlines.
fn keep_time<S: Service>(
    doors: &Doors<S>,
    pools: &Pools,
    settings: lease::Settings,
    intake: &Intake,
    metrics: &Metrics,
    shutdown: &Shutdown,
) {
    let (lease, strive) = lease("deadlines", settings, pools.background.clone(), metrics.clone(), shutdown.intake());
    shutdown.spawn_taker("deadlines lease", strive);
    let clock = Clock { door: doors.deadlines.clone(), pool: pools.background.clone(), lease, intake: intake.clone() };
    shutdown.spawn_taker("clock", clock.run(shutdown.intake()));
}

/// Intents become calls, and answers go through their door.
fn call<S: Service>(
    doors: &Doors<S>,
    pools: &Pools,
    partner: Option<Box<dyn Partner<S>>>,
    asked: mpsc::Receiver<Asked<S::Call>>,
    settings: &calls::Settings,
    intake: &Intake,
    shutdown: &Shutdown,
) {
    let Some(partner) = partner else { return };
    let room = calls::Room {
        door: doors.answers.clone(),
        pool: pools.background.clone(),
        partner,
        settings: settings.clone(),
        intake: intake.clone(),
    };
    calls::start(room, asked, shutdown);
}

/// The four doors.
struct Doors<S: Service> {
    commands: Door<S>,
    events: Door<S>,
    answers: Door<S>,
    deadlines: Door<S>,
}

/// What stands behind the doors once they are open.
struct Rooms<S: Service> {
    doors: Doors<S>,
    watchers: Watchers,
    asked: mpsc::Receiver<Asked<S::Call>>,
    /// Who looks at what the broker may have forgotten: the own stream, and the durables on the others'.
    reconciling: Lease,
}

/// Starts the committers, and the relay behind them.
fn open_doors<S: Service>(
    config: &Config<S::Settings>,
    pools: &Pools,
    broker: &Broker,
    intake: &Intake,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Rooms<S> {
    let background = &pools.background;
    let watch = restored::Watch {
        intake: intake.clone(),
        broker: broker.clone(),
        pool: background.clone(),
        interval: config.relay.reconcile_interval,
    };
    shutdown.spawn_taker("restored", watch.run(shutdown.intake()));

    let backlog = Backlog::new(config.relay.backlog_max);
    shutdown.spawn_taker("backlog", backlog.clone().count(background.clone(), metrics.clone(), shutdown.intake()));

    let marks = Marks::default();
    let (outlet, publisher) =
        relay::outlet(&config.relay, broker.clone(), pools.publisher.clone(), marks.clone(), metrics.clone());
    shutdown.spawn_worker("publish", publisher.run::<S>());

    shutdown.spawn_taker("stream", broker.clone().keep_stream(shutdown.intake()));

    let reconciling = reconcile(config, background, broker, marks, (intake, metrics), shutdown);

    let (lease, strive) = lease("sweep", config.lease, background.clone(), metrics.clone(), shutdown.intake());
    shutdown.spawn_taker("sweep lease", strive);
    let sweep =
        Sweep { lease, outlet: outlet.clone(), broker: broker.clone(), pool: background.clone(), settings: config.relay.clone() };
    shutdown.spawn_taker("sweep", sweep.run(shutdown.intake()));

    shutdown.spawn_taker("forget", commit::forget(background.clone(), shutdown.intake()));

    let (watchers, (asked, to_call)) = (Watchers::default(), mpsc::channel(ASKED_MAX));
    let open = |kind: Kind| {
        let (door, queue) = door(kind, config.commit.queue_max as usize, backlog.clone(), intake.clone(), metrics.clone());
        let committer = Committer {
            kind,
            queue,
            pool: pools.door(kind),
            settings: config.commit.clone(),
            handoff: Handoff { outlet: outlet.clone(), asked: asked.clone(), watchers: watchers.clone() },
            metrics: metrics.clone(),
            denied: pools.denied.clone(),
            work: shutdown.work(),
        };
        shutdown.spawn_worker(kind.name(), committer.run());
        door
    };
    let doors = Doors {
        commands: open(Kind::Commands),
        events: open(Kind::Events),
        answers: open(Kind::Answers),
        deadlines: open(Kind::Deadlines),
    };
    Rooms { doors, watchers, asked: to_call, reconciling }
}

/// Starts to compare the own stream with the outbox; the lease is for the durables, too.
fn reconcile<A: clap::Args>(
    config: &Config<A>,
    pool: &PgPool,
    broker: &Broker,
    marks: Marks,
    (intake, metrics): (&Intake, &Metrics),
    shutdown: &Shutdown,
) -> Lease {
    let (lease, strive) = lease("reconcile", config.lease, pool.clone(), metrics.clone(), shutdown.intake());
    shutdown.spawn_taker("reconcile lease", strive);
    let reconciler = Reconciler {
        lease: lease.clone(),
        broker: broker.clone(),
        pool: pool.clone(),
        marks,
        intake: intake.clone(),
        metrics: metrics.clone(),
        settings: config.relay.clone(),
    };
    shutdown.spawn_taker("reconcile", reconciler.run(shutdown.intake()));
    lease
}

/// What is to be there from the start; its claims make it take effect once.
async fn seed<S: Service>(doors: &Doors<S>, settings: &S::Settings) -> anyhow::Result<()> {
    let seeds = S::seed(settings).into_iter();
    let taken = seeds.map(|one| doors.events.take(Incoming::now(one.claim, "seed", TraceContext::default(), one.input)));
    for settled in join_all(taken).await {
        match settled.context("what is to be there from the start cannot be taken")? {
            Settled::Taken { .. } | Settled::Repeated(_) => {}
            other => tracing::error!(?other, "something that is to be there from the start was not taken"),
        }
    }
    Ok(())
}

async fn bind(variable: &str, addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("{variable}: cannot listen on {addr}"))
}

async fn served(serving: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "a listener broke");
    }
}
