//! How fast, and how heavy: real processes, compiled for release, asked over HTTP, beside baselines of the same run.
//!
//! - *Bare commit*: one row into a table of the same PostgreSQL, one at a time, between the orders that are measured alone.
//! - *Textbook*: the same programs with one transaction for each message and a relay that polls.
//! - *dbos*: the same saga as a workflow of the `dbos` crate, in `bench/dbos`, asking the same partners.
//!
//! Absolute figures belong to the machine; the ratios are what counts.

mod alone;
mod bare_commits;
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
mod shop;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

pub use fault::Fault;
pub use figures::{Beside, Figures, Loaded, Measured, OpenLoop};
pub use meters::Machine;
pub use samples::Latency;

use crate::{Part, Talk, audit};
use alone::Alone;
use figures::Loads;
use samples::Sample;
use shop::{Shop, take_turns};

/// How many customers a shop has on a usual day.
const SOME: usize = 100;
/// The rate of the open loop, of what the closed loop reached: busy, and not yet a queue.
const OF_THE_MOST: f64 = 0.6;

/// How much is measured.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// How many orders are under way at once, at most; 1 and 100 are measured besides.
    #[arg(long, default_value_t = 500)]
    in_flight: usize,
    /// How long each load lasts, in seconds; a closed loop in three turns.
    #[arg(long, default_value_t = 30)]
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

impl Settings {
    const fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Measures Ensemble and its baselines in turns, then what Ensemble alone is asked.
///
/// # Errors
/// When a stack does not start, an order does not confirm, or the audit afterwards finds something.
pub async fn run(settings: &Settings, talk: &Talk) -> anyhow::Result<Figures> {
    let program = dbos::build(talk).await?;
    let mut ours = Shop::ensemble("Ensemble").await?;
    let rss_at_rest_mib = meters::resident(&ours.processes()?)?;
    let (mut textbook, mut dbos) = (Shop::textbook().await?, Shop::dbos(&program).await?);
    for shop in [&ours, &textbook, &dbos] {
        shop.customers.warm_up().await?;
    }
    let alone = Alone::measure(&ours, &dbos, settings.alone, talk).await?;
    let [some] = take_turns([&mut ours], SOME, settings, talk).await?;
    let [most, textbook_most, dbos_most] =
        take_turns([&mut ours, &mut textbook, &mut dbos], settings.in_flight, settings, talk).await?;
    let rss_mib = meters::resident(&ours.processes()?)?;
    textbook.close().await?;
    dbos.close().await?;

    let open_loop = open_loop_and_audit(&mut ours, most.sagas_per_second, settings, talk).await?;
    let pinned = if settings.pin { Some(pinned(&mut ours, settings, talk).await?) } else { None };
    let after = match settings.after {
        Some(orders) => Some(after(&mut ours, orders, settings, talk).await?),
        None => None,
    };
    ours.close().await?;
    let loads = Loads { some, most, textbook: textbook_most, dbos: dbos_most, open_loop, pinned, after };
    Ok(Figures::of(settings, alone, loads, rss_at_rest_mib, rss_mib))
}

/// Orders at their own rate, and the fault in their midst, if one is asked for; then the audit of all that was ordered.
async fn open_loop_and_audit(ours: &mut Shop, most: f64, settings: &Settings, talk: &Talk) -> anyhow::Result<OpenLoop> {
    let rate = settings.rate.unwrap_or(most * OF_THE_MOST);
    let (samples, fault) = open_loop_with_fault(ours, rate, settings, talk).await?;
    picture(settings, &samples, talk)?;
    let step = talk.step("audit");
    let report = audit::at_rest(ours.stack.addresses()).await?;
    step.done(&format!("{} orders", report.orders));
    report.must_be_clean()?;
    Ok(OpenLoop { rate, latency: Latency::of(&samples)?, fault })
}

async fn open_loop_with_fault(
    ours: &mut Shop,
    rate: f64,
    settings: &Settings,
    talk: &Talk,
) -> anyhow::Result<(Vec<Sample>, Option<Fault>)> {
    let step = talk.step("open loop");
    let Some(part) = settings.kill else {
        let samples = open_loop::open_loop(&ours.customers, rate, settings.time(), &step).await?;
        step.done(&format!("{rate:.0} orders a second"));
        return Ok((samples, None));
    };
    // As long before the kill as without one, and twice as long after it.
    let whole = settings.time() * 3;
    let orders = open_loop::open_loop(&ours.customers, rate, whole, &step);
    let (samples, _) = tokio::try_join!(orders, fault::strike(&mut ours.stack, part, settings.time()))?;
    let fault = fault::seen(part, settings.time(), &samples, whole)?;
    step.done(&fault.to_string());
    Ok((samples, Some(fault)))
}

/// The greatest load once more, while nothing that is deleted or updated can be cleared away.
async fn pinned(ours: &mut Shop, settings: &Settings, talk: &Talk) -> anyhow::Result<Beside> {
    let pin = pin::Pin::set(&ours.stack).await?;
    let beside = beside_another(ours, settings, talk).await?;
    pin.lift().await?;
    Ok(beside)
}

/// The greatest load once more, on a system that is not empty.
///
/// There is no audit behind it: the partners' ledgers know nothing of orders that were only written down.
async fn after(ours: &mut Shop, orders: u32, settings: &Settings, talk: &Talk) -> anyhow::Result<Beside> {
    history::write(&ours.stack, &ours.customers, orders, talk).await?;
    ours.customers.warm_up().await?;
    beside_another(ours, settings, talk).await
}

/// In turns with another Ensemble, to which nothing has happened.
async fn beside_another(ours: &mut Shop, settings: &Settings, talk: &Talk) -> anyhow::Result<Beside> {
    let mut empty = Shop::ensemble("an empty one").await?;
    empty.customers.warm_up().await?;
    let [measured, empty_one] = take_turns([ours, &mut empty], settings.in_flight, settings, talk).await?;
    empty.close().await?;
    Ok(Beside { measured, empty: empty_one })
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
