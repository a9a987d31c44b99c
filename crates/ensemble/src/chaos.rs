//! Everything goes wrong at once, as a seed has it: kill -9, SIGSTOP, restarts, a broker that forgets, links that swallow or
//! are slow, partners that misbehave, events that come again; under a steady load of orders of every fate. Then it is quiet,
//! and everything must add up, and be what the reactions allow.
//!
//! - `plan`: what goes wrong, and when. Pure: the same seed, the same schedule.
//! - `act`: carries it out.
//! - `load`: who orders meanwhile.
//! - `heal`: whether all is well again, and how long that took.
//!
//! A seed brings the same faults at the same times to the same orders. What these meet there is up to the machine.

mod act;
mod heal;
mod load;
mod plan;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::Instant;

use crate::{Options, Part, Profile, Service, Stack, Talk, audit, record, workspace};
use act::Injected;
use heal::Watcher;
use plan::Plan;

/// So long after the last fault nothing is under way any more.
pub const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// Orders in a minute, unless it is said how many.
const PER_MINUTE: f64 = 300.0;

/// What is to be gone through.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// What faults and orders are drawn from [default: another each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// For how long things go wrong.
    #[arg(long, default_value_t = 1.0, value_parser = minutes)]
    pub minutes: f64,
    /// How many orders are placed meanwhile [default: 300 a minute]
    #[arg(long)]
    pub orders: Option<u32>,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "a number of minutes, such as 1 or 2.5".to_owned())?;
    if (0.2..=600.0).contains(&minutes) { Ok(minutes) } else { Err("from 0.2 to 600".to_owned()) }
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What it was drawn from.
    pub seed: u64,
    /// For how long things went wrong.
    pub minutes: f64,
    /// How many orders were placed.
    pub orders: u32,
    /// What went wrong, in the order in which it began.
    pub faults: Vec<Fault>,
    /// How many orders ended how.
    pub ends: BTreeMap<String, usize>,
    /// From the end of the last fault until nothing was under way and everything added up; absent if that did not come.
    pub quiet_after_seconds: Option<f64>,
    /// What does not add up.
    pub findings: Vec<String>,
    /// How to go through the same again.
    pub again: String,
    /// Where what the parts have said is kept; only when something was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<PathBuf>,
}

/// A fault that was injected. Seconds count from when the load began.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// What.
    pub what: String,
    /// From when.
    pub began_seconds: f64,
    /// Until when.
    pub ended_seconds: f64,
    /// How long after its end all four services were ready; absent where they were not before everything had healed.
    pub ready_after_seconds: Option<f64>,
    /// What did not go as planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Outcome {
    /// Whether everything added up, in time.
    pub fn is_well(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Goes through it, on a stack of its own, which is gone when this returns.
///
/// # Errors
/// When the stack does not start, a fault cannot be injected, or somebody interrupts; what does not add up is no error.
pub async fn run(settings: &Settings, talk: &Talk) -> anyhow::Result<Outcome> {
    let seed = settings.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let time = Duration::from_secs_f64(settings.minutes * 60.0);
    let orders = settings.orders.unwrap_or((settings.minutes * PER_MINUTE) as u32);
    let plan = Plan::draw(seed, time);
    let again = format!("ensemble chaos --seed {seed} --minutes {} --orders {orders}", settings.minutes);
    talk.say(&format!("{again}: {} faults", plan.0.len()));

    let mut stack = Stack::start(options()?).await?;
    let went = tokio::select! {
        went = go_through(&plan, seed, orders, time, &mut stack, talk) => Some(went),
        _ = tokio::signal::ctrl_c() => None,
    };
    let Some(went) = went else {
        talk.say("interrupted: the stack is taken down");
        let _ = stack.finish().await;
        anyhow::bail!("interrupted; the same again: `{again}`");
    };
    let Went { faults, ends, quiet_after, findings } = match went {
        Ok(went) => went,
        Err(error) => {
            let kept = kept_logs(&stack, seed).await;
            let logs = kept.map_or_else(|lost| format!("{lost:#}"), |kept| kept.display().to_string());
            let _ = stack.finish().await;
            return Err(error.context(format!("`{again}`; logs: {logs}")));
        }
    };
    let logs = if findings.is_empty() { None } else { Some(kept_logs(&stack, seed).await?) };
    stack.finish().await?;
    let quiet_after_seconds = quiet_after.map(|after| after.as_secs_f64());
    Ok(Outcome { seed, minutes: settings.minutes, orders, faults, ends, quiet_after_seconds, findings, again, logs })
}

fn options() -> anyhow::Result<Options> {
    let options = Options::default().profile(Profile::asked_for()?).cables();
    // The broker forgets ids as soon as it may, and a stored error of a partner is looked up soon: neither must matter. Some
    // orders wait longer than they may, and expire while everything else goes wrong.
    let options = options.set_all("STREAM_DEDUP_WINDOW", "100ms").set(Service::Order, "EXPIRES_AFTER", "30s");
    Ok(options.set(Service::Payment, "GATEWAY_LAG", "2s").set(Service::Shipping, "CARRIER_LAG", "2s"))
}

struct Went {
    faults: Vec<Fault>,
    ends: BTreeMap<String, usize>,
    quiet_after: Option<Duration>,
    findings: Vec<String>,
}

async fn go_through(plan: &Plan, seed: u64, orders: u32, time: Duration, stack: &mut Stack, talk: &Talk) -> anyhow::Result<Went> {
    let customer = load::customers(stack).await?;
    let watcher = Watcher::of(stack.addresses().clone());
    let progress = talk.progress("chaos", orders.into());
    let placing = tokio::spawn(load::orders(customer.clone(), seed, orders, time, progress));
    let injected = act::carry_out(plan, stack, talk).await?;
    let last_fault = Instant::now();

    let step = talk.step("quiet");
    step.now("waiting until every part is ready");
    let mut findings: Vec<String> =
        heal::everybody_is_ready(stack).await.err().map(|error| format!("{error:#}")).into_iter().collect();
    step.now("waiting until every order is accepted");
    let accepted = placing.await.context("the load panicked")?;
    step.now("waiting until everything adds up");
    let report = audit::at_rest(stack.addresses()).await.context("the audit cannot be made")?;
    let after = last_fault.elapsed();
    findings.extend(report.violations.iter().map(audit::in_words));
    step.now("replaying what was done");
    let done = record::record(stack.addresses()).await?.recording;
    findings.extend(record::conform(&done).err().map(|found| found.to_string()));
    let mut ends = BTreeMap::new();
    match accepted {
        Err(error) => findings.push(format!("{error:#}")),
        Ok(accepted) => match heal::ends(&customer, &accepted).await {
            Ok(counted) => ends = counted,
            Err(error) => findings.push(format!("{error:#}")),
        },
    }
    let quiet_after = findings.is_empty().then_some(after);
    if quiet_after.is_some_and(|after| after > QUIET_WITHIN) {
        findings.push(format!("it was quiet {:.1} s after the last fault, and not within {QUIET_WITHIN:?}", after.as_secs_f64()));
    }
    step.done(&format!("{} orders, {} events, {} findings", report.orders, report.events, findings.len()));
    Ok(Went { faults: injected.into_iter().map(|one| told(one, &watcher)).collect(), ends, quiet_after, findings })
}

fn told(one: Injected, watcher: &Watcher) -> Fault {
    Fault {
        what: one.fault.to_string(),
        began_seconds: one.began.as_secs_f64(),
        ended_seconds: one.ended.as_secs_f64(),
        ready_after_seconds: watcher.ready_after(one.ended).map(|after| after.as_secs_f64()),
        note: one.note,
    }
}

/// What the parts have said, kept beyond the stack.
async fn kept_logs(stack: &Stack, seed: u64) -> anyhow::Result<PathBuf> {
    let folder = workspace::workshop().join(format!("chaos/{seed}"));
    std::fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
    for part in Part::ALL {
        std::fs::write(folder.join(format!("{part}.log")), stack.logs(part).await?)?;
    }
    Ok(folder)
}
