//! How fast, and how heavy: real processes, compiled for release, asked over HTTP, beside baselines of the same run.
//!
//! - *Bare commit*: one row into a table of the same PostgreSQL, one at a time, between the orders that are measured alone.
//! - *Textbook*: the same programs with one transaction for each message and a relay that polls.
//! - *dbos*: the same saga as a workflow of the `dbos` crate, in `bench/dbos`, asking the same partners.
//!
//! Absolute figures belong to the machine; the ratios are what counts.

mod baselines;
mod closed_loop;
mod customers;
mod dbos;
mod fault;
mod figures;
mod history;
mod idle;
mod meters;
mod open_loop;
mod pin;
mod plot;
mod samples;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;

pub use fault::Fault;
pub use figures::{Figures, Loaded, Measured, OpenLoop};
pub use meters::Machine;
pub use samples::Latency;

use crate::{Options, Part, Profile, Stack, Talk, audit};
use baselines::BareCommits;
use closed_loop::closed_loop;
use customers::Customers;
use figures::Usual;
use meters::{Meters, processes};
use samples::Sample;

/// How many customers a shop has on a usual day.
const SOME: usize = 100;
/// Bare commits between the orders that are measured alone, each time so many of both: a machine is not as fast at one moment as
/// it is at another, and both are to meet the same moments.
const COMMITS_AT_A_TIME: usize = 50;
const ORDERS_AT_A_TIME: usize = 15;
/// The rate of the open loop, of what the closed loop reached: busy, and not yet a queue.
const OF_THE_MOST: f64 = 0.6;

/// How much is measured.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// How many orders are under way at once, at most; 1 and 100 are measured besides.
    #[arg(long, default_value_t = 500)]
    in_flight: usize,
    /// How long each load lasts, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many orders are measured alone.
    #[arg(long, default_value_t = 300)]
    alone: usize,
    /// How many orders come each second in the open loop [default: 60 % of what the closed loop reached]
    #[arg(long)]
    rate: Option<f64>,
    /// Kills this part in the middle of the open loop, and starts it again a second later.
    #[arg(long, value_name = "PART")]
    kill: Option<Part>,
    /// Measures again after so many orders have ended, such as 1000000; to write them takes some minutes.
    #[arg(long, value_name = "ORDERS")]
    after: Option<u32>,
    /// Measures again while a transaction in each database keeps what it has seen, as a dump does; for as long as `--seconds` says.
    #[arg(long)]
    pin: bool,
    /// Where the picture of latency over time goes.
    #[arg(long, value_name = "FILE", default_value = "target/ensemble/bench.svg")]
    plot: PathBuf,
}

/// Measures: the usual setting, then the textbook's, then dbos.
///
/// # Errors
/// When a stack does not start, an order does not confirm, or the audit afterwards finds something.
pub async fn run(settings: &Settings, talk: &Talk) -> anyhow::Result<Figures> {
    let program = dbos::build(talk).await?;
    let usual = usual(settings, talk).await?;
    picture(settings, &usual.samples, talk)?;
    let textbook = baselines::textbook(settings, talk).await?;
    let dbos = baselines::dbos(&program, settings, talk).await?;
    Ok(Figures::of(settings, usual, textbook, dbos))
}

/// Everything that is measured of Ensemble as it is.
async fn usual(settings: &Settings, talk: &Talk) -> anyhow::Result<Usual> {
    let mut stack = Stack::start(options()).await?;
    let mut meters = Meters::of(&stack, processes(&stack)).await?;
    let rss_at_rest_mib = meters.resident()?;
    let customers = Arc::new(Customers::of(&stack).await?);
    customers.warm_up().await?;

    let step = talk.step("alone");
    let (alone, commit) = alone_beside_commits(&stack, &customers, settings.alone).await?;
    let commit_to_published = idle::commit_to_published(&stack, settings.alone).await?;
    step.done(&format!("p50 {:.1} ms; published {:.2} ms after a commit", alone.p50_ms, commit_to_published.p50_ms));
    let some = closed_loop_with_cost("some", &customers, &mut meters, SOME, settings, talk).await?;
    let most = closed_loop_with_cost("most", &customers, &mut meters, settings.in_flight, settings, talk).await?;
    let rss_mib = meters.resident()?;

    let rate = settings.rate.unwrap_or(most.sagas_per_second * OF_THE_MOST);
    let (samples, fault) = open_loop_with_fault(&mut stack, &customers, rate, settings, talk).await?;
    let open_loop = OpenLoop { rate, latency: Latency::of(&samples)?, fault };
    let step = talk.step("audit");
    let report = audit::at_rest(stack.addresses()).await?;
    step.done(&format!("{} orders", report.orders));
    report.must_be_clean()?;

    let pinned = if settings.pin { Some(pinned(&stack, &customers, settings, talk).await?) } else { None };
    let after = match settings.after {
        Some(orders) => Some(after(&stack, &customers, orders, settings, talk).await?),
        None => None,
    };
    stack.finish().await?;
    let measured = Measured { alone: Some(alone), loaded: vec![some, most] };
    Ok(Usual { measured, rss_at_rest_mib, rss_mib, commit, commit_to_published, open_loop, samples, pinned, after })
}

/// One order after the other, and how long a bare commit takes meanwhile.
async fn alone_beside_commits(stack: &Stack, customers: &Customers, orders: usize) -> anyhow::Result<(Latency, Latency)> {
    let mut bare = BareCommits::begin(stack).await?;
    let (mut alone, mut commits) = (Vec::new(), Vec::new());
    while alone.len() < orders {
        commits.extend(bare.some(COMMITS_AT_A_TIME).await?);
        alone.extend(customers.alone(ORDERS_AT_A_TIME.min(orders - alone.len())).await?);
    }
    bare.end().await?;
    Ok((Latency::of_times(alone)?, Latency::of_times(commits)?))
}

/// Orders at their own rate, and the fault in their midst, if one is asked for.
async fn open_loop_with_fault(
    stack: &mut Stack,
    customers: &Arc<Customers>,
    rate: f64,
    settings: &Settings,
    talk: &Talk,
) -> anyhow::Result<(Vec<Sample>, Option<Fault>)> {
    let step = talk.step("open loop");
    let time = Duration::from_secs(settings.seconds);
    let Some(part) = settings.kill else {
        let samples = open_loop::open_loop(customers, rate, time, &step).await?;
        step.done(&format!("{rate:.0} orders a second"));
        return Ok((samples, None));
    };
    // As long before the kill as without one, and twice as long after it.
    let whole = time * 3;
    let orders = open_loop::open_loop(customers, rate, whole, &step);
    let (samples, _) = tokio::try_join!(orders, fault::strike(stack, part, time))?;
    let fault = fault::seen(part, time, &samples, whole)?;
    step.done(&fault.to_string());
    Ok((samples, Some(fault)))
}

/// The greatest load once more, while nothing that is deleted or updated can be cleared away.
async fn pinned(stack: &Stack, customers: &Customers, settings: &Settings, talk: &Talk) -> anyhow::Result<Loaded> {
    let pin = pin::Pin::set(stack).await?;
    // A part that was killed is another process by now.
    let mut meters = Meters::of(stack, processes(stack)).await?;
    let loaded = closed_loop_with_cost("pinned", customers, &mut meters, settings.in_flight, settings, talk).await?;
    pin.lift().await?;
    Ok(loaded)
}

/// The greatest load once more, on a system that is not empty.
///
/// There is no audit behind it: the partners' ledgers know nothing of orders that were only written down.
async fn after(stack: &Stack, customers: &Customers, orders: u32, settings: &Settings, talk: &Talk) -> anyhow::Result<Loaded> {
    history::write(stack, customers, orders, talk).await?;
    customers.warm_up().await?;
    // A part that was killed is another process by now.
    let mut meters = Meters::of(stack, processes(stack)).await?;
    closed_loop_with_cost("after", customers, &mut meters, settings.in_flight, settings, talk).await
}

/// A closed loop, with what it costs.
async fn closed_loop_with_cost(
    name: &str,
    customers: &Customers,
    meters: &mut Meters,
    in_flight: usize,
    settings: &Settings,
    talk: &Talk,
) -> anyhow::Result<Loaded> {
    let step = talk.step(name);
    let before = meters.read().await?;
    let run = closed_loop(customers, in_flight, Duration::from_secs(settings.seconds), &step).await?;
    let cost = meters.read().await?.since(&before);
    let loaded = Loaded::of(in_flight, &run, &cost)?;
    step.done(&format!("{in_flight} in flight: {:.0} sagas/s", loaded.sagas_per_second));
    Ok(loaded)
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

fn picture(settings: &Settings, samples: &[Sample], talk: &Talk) -> anyhow::Result<()> {
    let path = &settings.plot;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("could not create {}", dir.display()))?;
    }
    std::fs::write(path, plot::draw(samples)?).with_context(|| format!("could not write {}", path.display()))?;
    talk.say(&format!("latency over time is drawn in {}", path.display()));
    Ok(())
}
