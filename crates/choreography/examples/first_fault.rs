//! Asks everything that this crate can ask, cheapest first, and stops at the first thing that is wrong. One line of JSON
//! tells what it is; `cargo ensemble mutants` reads it. Whether a committed table would have changed stands beside it.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use choreography::{
    SERVICES, catalog, checks,
    model::{self, Channel, Counterexample, Settings},
    simulate,
};
use saga::{Participant, examples::Examples, table};
use serde_json::json;

/// A world that was finite may become one without end; no search goes further than this.
const STATES_MAX: usize = 2_500_000;

/// Schedules of three orders each, as `just check` has them at its end, and far fewer.
const SCHEDULES: u64 = 20_000;

fn main() {
    // A panic of a reaction is a finding, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    let findings = [checks::check(), catalog::check()].concat();
    // The way to a panic tells more than that there is one.
    let (panics, plain): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| finding.starts_with(checks::PANICS));
    let declared = |finding| (Some("declarations"), String::new(), finding, Vec::new());
    let searched = |found: Counterexample| (Some("model"), found.settings.to_string(), found.what, found.steps);
    let (by, world, what, steps) = (plain.into_iter().next().map(declared))
        .or_else(|| worlds().into_iter().find_map(search).map(searched))
        .or_else(simulated)
        .or_else(|| panics.into_iter().next().map(declared))
        .unwrap_or_default();
    println!("{}", json!({ "by": by, "world": world, "what": what, "steps": steps, "table": table_differs() }));
}

/// The small worlds first; what needs two orders, a loss or a repeat is asked once one order alone has stood it.
fn worlds() -> Vec<Settings> {
    let calm = Settings { deadline: None, lapse: false, burns: false, ..Settings::one_order() };
    let undisturbed = Settings { deadline: None, ..Settings::one_order() };
    let mut worlds = vec![Settings::nothing_there(), calm, undisturbed, Settings::repeated(), Settings::last_piece()];
    let healed = Channel::all().into_iter().filter(|channel| *channel != Channel::FATAL);
    worlds.extend(healed.map(Settings::losing));
    worlds.push(Settings::one_order());
    worlds.extend(SERVICES.iter().map(|service| Settings::ahead(service.service)));
    worlds.push(Settings::last_piece_repeated());
    worlds
}

fn search(settings: Settings) -> Option<Counterexample> {
    let mut watch = |progress: model::Progress| {
        if progress.states < STATES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    model::check(settings, &mut watch).counterexample
}

/// What no search through the states of one order or two can see: several lines, batches, what is put back on the way.
fn simulated() -> Option<(Option<&'static str>, String, String, Vec<String>)> {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let failure = simulate::run(&simulate::Settings::new(3), 7, 0..SCHEDULES, threads, &|_| ()).failure?;
    let steps = failure.to_string().lines().skip(3).map(str::to_owned).collect();
    Some((Some("simulator"), format!("seed 7, schedule {}", failure.schedule), failure.what, steps))
}

/// Whether the committed table of one of the services is not its table any more.
fn table_differs() -> bool {
    differs(&order::examples::examples(), include_str!("../../order/src/domain.table.txt"))
        || differs(&inventory::examples::examples(), include_str!("../../inventory/src/domain.table.txt"))
        || differs(&payment::examples::examples(), include_str!("../../payment/src/domain.table.txt"))
        || differs(&shipping::examples::examples(), include_str!("../../shipping/src/domain.table.txt"))
}

fn differs<P: Participant>(examples: &Examples<P>, committed: &str) -> bool {
    let table = catch_unwind(AssertUnwindSafe(|| table::table(examples)));
    !matches!(table, Ok(Ok(table)) if table::unchanged(committed, &table).is_ok())
}
