//! The figures as somebody reads them.

use std::{fmt, time::Duration};

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::{super::meters::Machine, Beside, Figures, Latency, Loaded, OpenLoop};

impl Figures {
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
        let beside = [("beside a long transaction", &self.pinned), ("after many orders", &self.after)];
        for (name, Beside { measured, empty }) in beside.into_iter().filter_map(|(name, seen)| Some((name, seen.as_ref()?))) {
            table.add_row(row(name, measured.in_flight, measured.latency, Some(measured)));
            table.add_row(row("an empty one in turns with it", empty.in_flight, empty.latency, Some(empty)));
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
        let by_turn: Vec<_> = self.ratio_to_dbos_by_turn.iter().map(|ratio| format!("{ratio:.1}")).collect();
        table.add_row(["turn by turn".to_owned(), String::new(), by_turn.join(", ")]);
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
