//! What was measured, and what it comes to beside the baselines.

use std::{fmt, time::Duration};

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::{
    Settings,
    closed_loop::Run,
    fault::Fault,
    meters::{ByProcess, Machine, Reading},
    samples::{Latency, Sample},
};

/// One load in a closed loop.
#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    /// How many orders were under way at once.
    pub in_flight: usize,
    /// Whole sagas per second, from the request to `confirmed`.
    pub sagas_per_second: f64,
    /// How long each took.
    #[serde(flatten)]
    pub latency: Latency,
    /// Statements that PostgreSQL ran for a saga: each is a round trip.
    pub statements_per_saga: f64,
    /// Bytes that PostgreSQL wrote ahead for a saga.
    pub wal_bytes_per_saga: f64,
    /// CPU that each process spent on a saga, in milliseconds.
    pub cpu_ms_per_saga: ByProcess,
}

impl Loaded {
    pub(super) fn of(in_flight: usize, run: &Run, cost: &Reading) -> anyhow::Result<Self> {
        let sagas = run.confirmed.max(1) as f64;
        Ok(Self {
            in_flight,
            sagas_per_second: run.samples.len() as f64 / run.time.as_secs_f64(),
            latency: Latency::of(&run.samples)?,
            statements_per_saga: cost.statements as f64 / sagas,
            wal_bytes_per_saga: cost.wal_bytes as f64 / sagas,
            cpu_ms_per_saga: cost.cpu_ms.iter().map(|(name, ms)| (*name, ms / sagas)).collect(),
        })
    }
}

/// One setting, or one program.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// One order at a time; not of the textbook's setting, whose relay alone takes longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alone: Option<Latency>,
    /// In closed loops; the last has the most under way.
    pub loaded: Vec<Loaded>,
}

impl Measured {
    fn most(&self) -> f64 {
        self.loaded.last().map_or(0.0, |loaded| loaded.sagas_per_second)
    }

    fn alone_p50_ms(&self) -> f64 {
        self.alone.map_or(f64::NAN, |alone| alone.p50_ms)
    }
}

/// Orders that came at their own rate. Latency is from the moment at which an order was due.
#[derive(Clone, Debug, Serialize)]
pub struct OpenLoop {
    /// Orders per second.
    pub rate: f64,
    /// How long each took.
    #[serde(flatten)]
    pub latency: Latency,
    /// What was killed meanwhile, and what that did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// All of Ensemble in its usual setting, before it is compared.
pub(super) struct Usual {
    pub(super) measured: Measured,
    pub(super) rss_at_rest_mib: ByProcess,
    pub(super) rss_mib: ByProcess,
    pub(super) commit: Latency,
    pub(super) commit_to_published: Latency,
    pub(super) open_loop: OpenLoop,
    pub(super) samples: Vec<Sample>,
    pub(super) pinned: Option<Loaded>,
    pub(super) after: Option<Loaded>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Whole sagas per second with the most under way, from the request to `confirmed`.
    pub sagas_per_second: f64,
    /// Beside the same saga as a workflow of dbos.
    pub ratio_to_dbos: f64,
    /// Beside the textbook's setting.
    pub ratio_to_textbook: f64,
    /// From request to `confirmed`, one order at a time, in milliseconds.
    pub alone_p50_ms: f64,
    /// Beside dbos.
    pub alone_p50_ratio_to_dbos: f64,
    /// Beside a bare one-row commit.
    pub alone_p50_ratio_to_commit: f64,
    /// A bare one-row commit, in milliseconds.
    pub commit_p50_ms: f64,
    /// From the commit of a transaction until its event is in the stream, when idle, in milliseconds.
    pub commit_to_published_p50_ms: f64,
    /// Beside a bare one-row commit.
    pub commit_to_published_ratio_to_commit: f64,
    /// Sagas per second after many orders (a million, by its name) beside those on an empty system; with `--after` alone.
    pub ratio_after_1m: Option<f64>,
    /// Sagas per second while a long transaction keeps what it has seen, beside those without one; with `--pin` alone.
    pub ratio_while_pinned: Option<f64>,
    /// Resident memory of each process at rest, before any order, in MiB.
    pub rss_at_rest_mib: ByProcess,
    /// The same after the loads.
    pub rss_mib: ByProcess,
    /// Ensemble as it is.
    pub ensemble: Measured,
    /// The same programs as a textbook would have them.
    pub textbook: Measured,
    /// The same saga as a workflow of dbos.
    pub dbos: Measured,
    /// Ensemble, when orders come at their own rate.
    pub open_loop: OpenLoop,
    /// Ensemble beside a long transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Loaded>,
    /// Ensemble after many orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Loaded>,
    /// How long each load lasted, in seconds.
    pub seconds: u64,
    /// What it was measured on.
    pub machine: Machine,
}

impl Figures {
    pub(super) fn of(settings: &Settings, usual: Usual, textbook: Measured, dbos: Measured) -> Self {
        let most = usual.measured.most();
        let alone_p50_ms = usual.measured.alone_p50_ms();
        let (commit, published) = (usual.commit.p50_ms, usual.commit_to_published.p50_ms);
        Self {
            sagas_per_second: most,
            ratio_to_dbos: most / dbos.most(),
            ratio_to_textbook: most / textbook.most(),
            alone_p50_ms,
            alone_p50_ratio_to_dbos: alone_p50_ms / dbos.alone_p50_ms(),
            alone_p50_ratio_to_commit: alone_p50_ms / commit,
            commit_p50_ms: commit,
            commit_to_published_p50_ms: published,
            commit_to_published_ratio_to_commit: published / commit,
            ratio_after_1m: usual.after.as_ref().map(|after| after.sagas_per_second / most),
            ratio_while_pinned: usual.pinned.as_ref().map(|pinned| pinned.sagas_per_second / most),
            rss_at_rest_mib: usual.rss_at_rest_mib,
            rss_mib: usual.rss_mib,
            ensemble: usual.measured,
            textbook,
            dbos,
            open_loop: usual.open_loop,
            pinned: usual.pinned,
            after: usual.after,
            seconds: settings.seconds,
            machine: Machine::here(),
        }
    }

    fn loads(&self) -> Table {
        let mut table = framed(&["closed loop", "in flight", "sagas/s", "p50", "p99", "p99.9 ms", "statements", "WAL KiB"]);
        let settings = [("Ensemble", &self.ensemble), ("textbook", &self.textbook), ("dbos", &self.dbos)];
        for (name, measured) in settings {
            if let Some(alone) = measured.alone {
                table.add_row(row(name, 1, alone, None));
            }
            for loaded in &measured.loaded {
                table.add_row(row(name, loaded.in_flight, loaded.latency, Some(loaded)));
            }
        }
        if let Some(pinned) = &self.pinned {
            table.add_row(row("beside a long transaction", pinned.in_flight, pinned.latency, Some(pinned)));
        }
        if let Some(after) = &self.after {
            table.add_row(row("after many orders", after.in_flight, after.latency, Some(after)));
        }
        right_from(&mut table, 1);
        table
    }

    fn processes(&self) -> Table {
        let mut table = framed(&["process", "at rest MiB", "after load MiB", "CPU ms per saga"]);
        let most = self.ensemble.loaded.last();
        for (name, at_rest) in &self.rss_at_rest_mib {
            let after = self.rss_mib.get(name).copied().unwrap_or_default();
            let cpu = most.and_then(|most| most.cpu_ms_per_saga.get(name)).copied().unwrap_or_default();
            table.add_row([(*name).to_owned(), format!("{at_rest:.0}"), format!("{after:.0}"), format!("{cpu:.2}")]);
        }
        right_from(&mut table, 1);
        table
    }

    fn ratios(&self) -> Table {
        let mut table = framed(&["beside the baselines", "measured", "ratio"]);
        let ms = |value: f64| format!("{value:.2} ms");
        let times = |value: f64| format!("{value:.1} x");
        table.add_row([
            "sagas per second, to dbos".to_owned(),
            format!("{:.0}", self.sagas_per_second),
            times(self.ratio_to_dbos),
        ]);
        table.add_row(["sagas per second, to the textbook".to_owned(), String::new(), times(self.ratio_to_textbook)]);
        table.add_row(["one order alone, to dbos".to_owned(), ms(self.alone_p50_ms), times(self.alone_p50_ratio_to_dbos)]);
        table.add_row([
            "one order alone, to a bare commit".to_owned(),
            ms(self.commit_p50_ms),
            times(self.alone_p50_ratio_to_commit),
        ]);
        table.add_row([
            "commit to published, to a bare commit".to_owned(),
            ms(self.commit_to_published_p50_ms),
            times(self.commit_to_published_ratio_to_commit),
        ]);
        if let Some(ratio) = self.ratio_after_1m {
            table.add_row(["sagas per second after many orders".to_owned(), String::new(), format!("{ratio:.2} x")]);
        }
        if let Some(ratio) = self.ratio_while_pinned {
            table.add_row(["sagas per second beside a long transaction".to_owned(), String::new(), format!("{ratio:.2} x")]);
        }
        right_from(&mut table, 1);
        table
    }
}

fn framed(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header.iter().copied());
    table
}

/// Figures are read from their last digit.
fn right_from(table: &mut Table, first: usize) {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn row(name: &str, in_flight: usize, latency: Latency, cost: Option<&Loaded>) -> Vec<Cell> {
    let cost = |of: fn(&Loaded) -> f64, decimals| cost.map_or(String::new(), |loaded| format!("{:.decimals$}", of(loaded)));
    let cells = [
        name.to_owned(),
        in_flight.to_string(),
        cost(|loaded| loaded.sagas_per_second, 0),
        format!("{:.1}", latency.p50_ms),
        format!("{:.1}", latency.p99_ms),
        format!("{:.1}", latency.p99_9_ms),
        cost(|loaded| loaded.statements_per_saga, 1),
        cost(|loaded| loaded.wal_bytes_per_saga / 1024.0, 1),
    ];
    cells.into_iter().map(Cell::new).collect()
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, memory_gib, kernel } = &self.machine;
        let load = Duration::from_secs(self.seconds);
        writeln!(f, "{cpu}, {cores} cores, {memory_gib:.0} GiB, Linux {kernel}; each load {load:?}\n")?;
        writeln!(f, "{}\n\n{}\n\n{}\n", self.loads(), self.ratios(), self.processes())?;
        let OpenLoop { rate, latency, fault } = &self.open_loop;
        write!(
            f,
            "open loop, {rate:.0} orders a second: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
            latency.p50_ms, latency.p99_ms, latency.p99_9_ms
        )?;
        fault.as_ref().map_or(Ok(()), |fault| write!(f, "; {fault}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(sagas_per_second: f64, p50_ms: f64) -> Measured {
        let latency = Latency { p50_ms, p99_ms: p50_ms, p99_9_ms: p50_ms };
        let cpu_ms_per_saga = ByProcess::from([("order", 0.5)]);
        let loaded = Loaded {
            in_flight: 500,
            sagas_per_second,
            latency,
            statements_per_saga: 9.0,
            wal_bytes_per_saga: 2048.0,
            cpu_ms_per_saga,
        };
        Measured { alone: Some(latency), loaded: vec![loaded] }
    }

    fn figures() -> Figures {
        let latency = |p50_ms| Latency { p50_ms, p99_ms: p50_ms, p99_9_ms: p50_ms };
        let usual = Usual {
            measured: measured(900.0, 6.0),
            rss_at_rest_mib: ByProcess::from([("order", 20.0)]),
            rss_mib: ByProcess::from([("order", 30.0)]),
            commit: latency(0.5),
            commit_to_published: latency(2.0),
            open_loop: OpenLoop { rate: 540.0, latency: latency(7.0), fault: None },
            samples: vec![],
            pinned: measured(855.0, 6.0).loaded.pop(),
            after: measured(810.0, 6.0).loaded.pop(),
        };
        let settings = Settings {
            in_flight: 500,
            seconds: 10,
            alone: 300,
            rate: None,
            kill: None,
            after: Some(1_000_000),
            pin: true,
            plot: "p".into(),
        };
        Figures::of(&settings, usual, measured(100.0, 9.0), measured(300.0, 3.0))
    }

    #[test]
    fn ratios_are_ours_beside_theirs() {
        let figures = figures();
        assert_eq!((figures.ratio_to_dbos, figures.ratio_to_textbook), (3.0, 9.0));
        assert_eq!((figures.alone_p50_ratio_to_dbos, figures.alone_p50_ratio_to_commit), (2.0, 12.0));
        assert_eq!((figures.commit_to_published_ratio_to_commit, figures.ratio_after_1m), (4.0, Some(0.9)));
        assert_eq!(figures.ratio_while_pinned, Some(0.95));
    }

    #[test]
    fn the_object_has_what_its_readers_look_for() {
        let object = serde_json::to_value(figures()).expect("plain values");
        let wanted = [
            "sagas_per_second",
            "ratio_to_dbos",
            "ratio_to_textbook",
            "alone_p50_ms",
            "alone_p50_ratio_to_dbos",
            "alone_p50_ratio_to_commit",
            "commit_to_published_ratio_to_commit",
            "ratio_after_1m",
            "ratio_while_pinned",
        ];
        for name in wanted {
            assert!(object[name].is_f64(), "{name} in {object:#}");
        }
        assert_eq!(object["rss_mib"]["order"], 30.0);
    }

    #[test]
    fn the_table_names_every_setting() {
        let text = figures().to_string();
        for word in ["Ensemble", "textbook", "dbos", "after many orders", "order", "open loop, 540 orders a second"] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
    }
}
