//! How fast, and how heavy: real processes, compiled for release, asked over HTTP, beside two baselines of the same run.
//!
//! - *Bare commit*: one row into a table of the same PostgreSQL, one at a time.
//! - *Textbook*: the same programs with one transaction for each message and a relay that polls.
//!
//! Absolute figures belong to the machine; the ratios are what counts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, stream};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::{Options, Part, Profile, Service, Stack, Talk, audit};

/// How much is measured.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Settings {
    /// How many orders are under way at once.
    #[arg(long, default_value_t = 500)]
    in_flight: usize,
    /// How long each setting is loaded, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many orders are measured alone.
    #[arg(long, default_value_t = 300)]
    alone: usize,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Whole sagas per second, from the request to `confirmed`.
    pub sagas_per_second: f64,
    /// Beside the textbook setting.
    pub ratio_to_textbook: f64,
    /// The textbook setting itself.
    pub textbook_sagas_per_second: f64,
    /// From request to `confirmed` under load, in milliseconds.
    pub loaded_p50_ms: f64,
    /// As above.
    pub loaded_p99_ms: f64,
    /// From request to `confirmed`, one order at a time, in milliseconds.
    pub alone_p50_ms: f64,
    /// A bare one-row commit, in milliseconds.
    pub commit_p50_ms: f64,
    /// The former beside the latter.
    pub alone_p50_ratio_to_commit: f64,
    /// Resident memory of each of our programs at rest, before any order, in MiB.
    pub rss_at_rest_mib: BTreeMap<&'static str, f64>,
    /// The same after the load.
    pub rss_after_load_mib: BTreeMap<&'static str, f64>,
    /// CPU that each of our programs spent on a saga under load, in milliseconds.
    pub cpu_ms_per_saga: BTreeMap<&'static str, f64>,
    /// How many orders were under way at once.
    pub in_flight: usize,
}

/// One setting under load.
struct Load {
    per_second: f64,
    latency: Histogram<u64>,
    sagas: usize,
}

/// Measures: the usual setting, then the textbook's.
///
/// # Errors
/// When a stack does not start, an order does not confirm, or the audit afterwards finds something.
pub async fn run(settings: Settings, talk: &Talk) -> anyhow::Result<Figures> {
    let stack = Stack::start(options()).await?;
    let rss_at_rest_mib = resident(&stack)?;
    let commit = bare_commits(&stack).await?;
    let client = Client::new(&stack)?;
    client.warm_up().await?;
    let step = talk.step("one order at a time");
    let alone = client.alone(settings.alone).await?;
    step.done(&format!("p50 {:.1} ms", p(&alone, 50.0)));

    let step = talk.step("the usual setting under load");
    let before = cpu(&stack)?;
    let usual = client.load(settings).await?;
    let after = cpu(&stack)?;
    step.done(&format!("{:.0} sagas/s", usual.per_second));
    let cpu_ms_per_saga = after.iter().map(|(part, ms)| (*part, (ms - before[part]) / usual.sagas as f64)).collect();
    let rss_after_load_mib = resident(&stack)?;
    audit::at_rest(stack.addresses()).await?.must_be_clean()?;
    stack.finish().await?;

    let step = talk.step("the textbook's setting under load");
    let stack = Stack::start(textbook(options())).await?;
    let client = Client::new(&stack)?;
    client.warm_up().await?;
    let textbook = client.load(settings).await?;
    step.done(&format!("{:.0} sagas/s", textbook.per_second));
    stack.finish().await?;

    Ok(Figures {
        sagas_per_second: usual.per_second,
        ratio_to_textbook: usual.per_second / textbook.per_second,
        textbook_sagas_per_second: textbook.per_second,
        loaded_p50_ms: p(&usual.latency, 50.0),
        loaded_p99_ms: p(&usual.latency, 99.0),
        alone_p50_ms: p(&alone, 50.0),
        commit_p50_ms: p(&commit, 50.0),
        alone_p50_ratio_to_commit: p(&alone, 50.0) / p(&commit, 50.0),
        rss_at_rest_mib,
        rss_after_load_mib,
        cpu_ms_per_saga,
        in_flight: settings.in_flight,
    })
}

fn options() -> Options {
    // Logs of what goes well would measure the disk.
    Options::default().profile(Profile::Release).set_all("RUST_LOG", "warn").set(Part::Partners, "RUST_LOG", "warn")
}

/// One transaction for each message, nothing published from memory, a relay that polls every 100 ms: what a textbook shows.
fn textbook(options: Options) -> Options {
    options.set_all("BATCH_MAX", "1").set_all("PUBLISH_FROM_MEMORY", "false").set_all("SWEEP_INTERVAL", "100ms")
}

struct Client {
    http: reqwest::Client,
    orders: String,
    products: String,
}

impl Client {
    fn new(stack: &Stack) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1024).build()?;
        Ok(Self { http, orders: format!("{}/v1/orders", stack.order_url()), products: stack.url(Service::Inventory) })
    }

    /// One order, until it is confirmed.
    async fn order(&self) -> anyhow::Result<Duration> {
        let body = json!({
            "customer_id": "c-1", "currency": "EUR", "lines": [{"sku": "TEA-001", "quantity": 1}], "payment_method": "pm_card_visa",
            "ship_to": {"name": "Ada", "street": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"}
        });
        let key = format!("\"{}\"", Uuid::now_v7());
        let started = Instant::now();
        let request = self.http.post(&self.orders).header("Idempotency-Key", key).header("Prefer", "wait=30").json(&body);
        let answer = request.send().await?;
        let status = answer.status();
        let screen: serde_json::Value = answer.json().await?;
        ensure!(status == 201 && screen["status"] == "confirmed", "not confirmed: {status} {screen:#}");
        Ok(started.elapsed())
    }

    /// Puts enough on the shelf, waits until the catalog has arrived, and warms what is cold.
    async fn warm_up(&self) -> anyhow::Result<()> {
        let url = format!("{}/v1/products/TEA-001/adjustments", self.products);
        let adjust = self.http.post(url).header("Idempotency-Key", format!("\"{}\"", Uuid::now_v7()));
        adjust.json(&json!({"delta": 2_000_000, "reason": "bench"})).send().await?.error_for_status()?;
        let started = Instant::now();
        while let Err(error) = self.order().await {
            ensure!(started.elapsed() < Duration::from_secs(20), "the first order is not confirmed: {error:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.closed_loop(32, Duration::from_secs(2)).await.map(drop)
    }

    async fn alone(&self, orders: usize) -> anyhow::Result<Histogram<u64>> {
        let mut latency = Histogram::new(3)?;
        for _ in 0..orders {
            latency.record(micros(self.order().await?))?;
        }
        Ok(latency)
    }

    async fn load(&self, settings: Settings) -> anyhow::Result<Load> {
        self.closed_loop(settings.in_flight, Duration::from_secs(settings.seconds)).await
    }

    /// Each of `in_flight` customers orders again as soon as the last order is confirmed.
    async fn closed_loop(&self, in_flight: usize, time: Duration) -> anyhow::Result<Load> {
        let (started, done) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let customers = stream::iter(0..in_flight).map(|_| {
            let done = done.clone();
            async move {
                let mut seen = Vec::new();
                while started.elapsed() < time {
                    let took = self.order().await?;
                    // What ends after the time is not counted: the load is falling by then.
                    if started.elapsed() < time {
                        done.fetch_add(1, Ordering::Relaxed);
                        seen.push(micros(took));
                    }
                }
                Ok::<_, anyhow::Error>(seen)
            }
        });
        let mut latency = Histogram::new(3)?;
        let mut customers = customers.buffer_unordered(in_flight);
        while let Some(seen) = customers.next().await {
            for micros in seen? {
                latency.record(micros)?;
            }
        }
        let sagas = done.load(Ordering::Relaxed);
        Ok(Load { per_second: sagas as f64 / time.as_secs_f64(), latency, sagas })
    }
}

async fn bare_commits(stack: &Stack) -> anyhow::Result<Histogram<u64>> {
    let mut db = PgConnection::connect(&stack.addresses().owner_database_url(Service::Order)).await?;
    sqlx::query("create table bare (id bigint generated always as identity primary key, body text not null)")
        .execute(&mut db)
        .await?;
    let mut latency = Histogram::new(3)?;
    for n in 0..1100 {
        let started = Instant::now();
        sqlx::query("insert into bare (body) values ('one row')").execute(&mut db).await?;
        if n >= 100 {
            latency.record(micros(started.elapsed()))?;
        }
    }
    sqlx::query("drop table bare").execute(&mut db).await?;
    db.close().await?;
    Ok(latency)
}

fn programs(stack: &Stack) -> impl Iterator<Item = (&'static str, i32)> {
    let parts = Part::ALL.into_iter().filter(|part| part.is_ours());
    parts.filter_map(|part| Some((part.name(), stack.process_id(part)?)))
}

/// MiB.
fn resident(stack: &Stack) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    programs(stack)
        .map(|(name, pid)| {
            let status =
                std::fs::read_to_string(format!("/proc/{pid}/status")).context("only Linux says how much memory is in use")?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has a VmRSS")?;
            let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
            Ok((name, kib / 1024.0))
        })
        .collect()
}

/// Milliseconds of user and system time so far. A tick is 10 ms on Linux.
fn cpu(stack: &Stack) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    programs(stack)
        .map(|(name, pid)| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let (_, fields) = stat.rsplit_once(") ").context("a stat line has a name in parentheses")?;
            let ticks: f64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
            Ok((name, ticks * 10.0))
        })
        .collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// That percentile in milliseconds.
fn p(latency: &Histogram<u64>, percentile: f64) -> f64 {
    latency.value_at_percentile(percentile) as f64 / 1000.0
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY).set_header(["", "measured", "beside", "ratio"]);
        let row = |what: &str, value: String, beside: String, ratio: String| [what.to_owned(), value, beside, ratio];
        table.add_row(row(
            &format!("whole sagas, {} in flight", self.in_flight),
            format!("{:.0}/s", self.sagas_per_second),
            format!("textbook {:.0}/s", self.textbook_sagas_per_second),
            format!("{:.1} x", self.ratio_to_textbook),
        ));
        let loaded = format!("p50 {:.0} ms, p99 {:.0} ms", self.loaded_p50_ms, self.loaded_p99_ms);
        table.add_row(row("request to confirmed, loaded", loaded, String::new(), String::new()));
        table.add_row(row(
            "request to confirmed, alone",
            format!("p50 {:.1} ms", self.alone_p50_ms),
            format!("one-row commit {:.3} ms", self.commit_p50_ms),
            format!("{:.0} x", self.alone_p50_ratio_to_commit),
        ));
        for (name, mib) in &self.rss_at_rest_mib {
            let loaded = self.rss_after_load_mib.get(name).copied().unwrap_or_default();
            let cpu = self.cpu_ms_per_saga.get(name).copied().unwrap_or_default();
            table.add_row(row(
                &format!("memory of {name} at rest"),
                format!("{mib:.0} MiB"),
                format!("after load {loaded:.0} MiB"),
                format!("{cpu:.2} ms CPU a saga"),
            ));
        }
        table.fmt(f)
    }
}
