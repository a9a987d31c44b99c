//! What was measured, and what it comes to beside the baselines.

mod tables;

use serde::Serialize;

use super::{
    Settings,
    alone::Alone,
    closed_loop::Run,
    fault::Fault,
    meters::{ByProcess, Machine, Reading},
    samples::Latency,
};

/// One load in a closed loop.
#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    /// How many orders were under way at once.
    pub in_flight: usize,
    /// Whole sagas per second, from the first request until the last order was confirmed.
    pub sagas_per_second: f64,
    /// The same, turn by turn: how far this machine's speed moved meanwhile.
    pub sagas_per_second_by_turn: Vec<f64>,
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
    /// All turns of a load, each with what it cost.
    pub(super) fn of(in_flight: usize, turns: &[(Run, Reading)]) -> anyhow::Result<Self> {
        let runs = || turns.iter().map(|(run, _)| run);
        let sagas = runs().map(|run| run.samples.len()).sum::<usize>() as f64;
        let per_saga = |spent: fn(&Reading) -> f64| turns.iter().map(|(_, cost)| spent(cost)).sum::<f64>() / sagas;
        let mut cpu_ms_per_saga = ByProcess::new();
        for (name, ms) in turns.iter().flat_map(|(_, cost)| &cost.cpu_ms) {
            *cpu_ms_per_saga.entry(name).or_default() += ms / sagas;
        }
        Ok(Self {
            in_flight,
            sagas_per_second: sagas / runs().map(|run| run.time.as_secs_f64()).sum::<f64>(),
            sagas_per_second_by_turn: runs().map(Run::per_second).collect(),
            latency: Latency::of(runs().flat_map(|run| &run.samples))?,
            statements_per_saga: per_saga(|cost| cost.statements as f64),
            wal_bytes_per_saga: per_saga(|cost| cost.wal_bytes as f64),
            cpu_ms_per_saga,
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

/// One load at Ensemble, and the same at another that is empty and undisturbed, in turns.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    /// What this is about.
    pub measured: Loaded,
    /// The other.
    pub empty: Loaded,
}

impl Beside {
    fn ratio(&self) -> f64 {
        self.measured.sagas_per_second / self.empty.sagas_per_second
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

/// All loads.
pub(super) struct Loads {
    pub(super) some: Loaded,
    pub(super) most: Loaded,
    pub(super) textbook: Loaded,
    pub(super) dbos: Loaded,
    pub(super) open_loop: OpenLoop,
    pub(super) pinned: Option<Beside>,
    pub(super) after: Option<Beside>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Whole sagas per second with the most under way, from the request to `confirmed`.
    pub sagas_per_second: f64,
    /// Beside the same saga as a workflow of dbos.
    pub ratio_to_dbos: f64,
    /// The same, turn by turn.
    pub ratio_to_dbos_by_turn: Vec<f64>,
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
    pub pinned: Option<Beside>,
    /// Ensemble after many orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Beside>,
    /// How long each load lasted, in seconds.
    pub seconds: u64,
    /// What it was measured on.
    pub machine: Machine,
}

impl Figures {
    pub(super) fn of(settings: &Settings, alone: Alone, loads: Loads, rss_at_rest_mib: ByProcess, rss_mib: ByProcess) -> Self {
        let Loads { some, most, textbook, dbos, open_loop, pinned, after } = loads;
        let by_turn = most.sagas_per_second_by_turn.iter().zip(&dbos.sagas_per_second_by_turn);
        let (commit, published) = (alone.commit.p50_ms, alone.commit_to_published.p50_ms);
        Self {
            sagas_per_second: most.sagas_per_second,
            ratio_to_dbos: most.sagas_per_second / dbos.sagas_per_second,
            ratio_to_dbos_by_turn: by_turn.map(|(ours, theirs)| ours / theirs).collect(),
            ratio_to_textbook: most.sagas_per_second / textbook.sagas_per_second,
            alone_p50_ms: alone.ensemble.p50_ms,
            alone_p50_ratio_to_dbos: alone.ensemble.p50_ms / alone.dbos.p50_ms,
            alone_p50_ratio_to_commit: alone.ensemble.p50_ms / commit,
            commit_p50_ms: commit,
            commit_to_published_p50_ms: published,
            commit_to_published_ratio_to_commit: published / commit,
            ratio_after_1m: after.as_ref().map(Beside::ratio),
            ratio_while_pinned: pinned.as_ref().map(Beside::ratio),
            rss_at_rest_mib,
            rss_mib,
            ensemble: Measured { alone: Some(alone.ensemble), loaded: vec![some, most] },
            textbook: Measured { alone: None, loaded: vec![textbook] },
            dbos: Measured { alone: Some(alone.dbos), loaded: vec![dbos] },
            open_loop,
            pinned,
            after,
            seconds: settings.seconds,
            machine: Machine::here(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::samples::Sample, *};

    fn latency(p50_ms: f64) -> Latency {
        Latency { p50_ms, p99_ms: p50_ms, p99_9_ms: p50_ms }
    }

    fn loaded(sagas_per_second: f64) -> Loaded {
        Loaded {
            in_flight: 500,
            sagas_per_second,
            sagas_per_second_by_turn: vec![sagas_per_second],
            latency: latency(6.0),
            statements_per_saga: 9.0,
            wal_bytes_per_saga: 2048.0,
            cpu_ms_per_saga: ByProcess::from([("order", 0.5)]),
        }
    }

    fn figures() -> Figures {
        let alone = Alone { ensemble: latency(6.0), dbos: latency(3.0), commit: latency(0.5), commit_to_published: latency(2.0) };
        let beside = |sagas_per_second| Some(Beside { measured: loaded(sagas_per_second), empty: loaded(1000.0) });
        let loads = Loads {
            some: loaded(800.0),
            most: loaded(900.0),
            textbook: loaded(100.0),
            dbos: loaded(300.0),
            open_loop: OpenLoop { rate: 540.0, latency: latency(7.0), fault: None },
            pinned: beside(950.0),
            after: beside(900.0),
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
        let resident = |mib| ByProcess::from([("order", mib)]);
        Figures::of(&settings, alone, loads, resident(20.0), resident(30.0))
    }

    #[test]
    fn a_load_is_all_of_its_turns() {
        let turn = |orders, millis, cpu| {
            let time = Duration::from_millis(millis);
            let samples = vec![Sample { at: time, took: time }; orders];
            let cost = Reading { statements: 60, wal_bytes: 600, cpu_ms: ByProcess::from([("order", cpu)]) };
            (Run { time, samples }, cost)
        };
        let loaded = Loaded::of(5, &[turn(10, 500, 30.0), turn(30, 500, 30.0)]).expect("they fit");
        assert_eq!((loaded.sagas_per_second, loaded.sagas_per_second_by_turn), (40.0, vec![20.0, 60.0]));
        assert_eq!((loaded.statements_per_saga, loaded.wal_bytes_per_saga), (3.0, 30.0));
        assert_eq!(loaded.cpu_ms_per_saga["order"], 1.5);
    }

    #[test]
    fn ratios_are_ours_beside_theirs() {
        let figures = figures();
        assert_eq!((figures.ratio_to_dbos, figures.ratio_to_textbook), (3.0, 9.0));
        assert_eq!((figures.alone_p50_ratio_to_dbos, figures.alone_p50_ratio_to_commit), (2.0, 12.0));
        assert_eq!((figures.commit_to_published_ratio_to_commit, figures.ratio_after_1m), (4.0, Some(0.9)));
        assert_eq!(figures.ratio_to_dbos_by_turn, [3.0]);
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
