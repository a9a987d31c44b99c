//! What is wrong with the choreography, found before anything runs: by its declarations, by a search through its states, and by
//! many orders under random faults.

use std::{ops::ControlFlow, time::Instant};

use choreography::{
    checks,
    model::{self, Channel, Settings},
};

use crate::{Talk, simulate};

/// Where the search of one order ends whose events may come again.
const REPEATED_MAX: usize = 1_000_000;
/// Where the search of two orders ends.
const LAST_PIECE_MAX: usize = 3_000_000;

/// Small schedules, and many: what goes wrong does so among few orders.
const SIMULATED: simulate::Settings = simulate::Settings { schedules: 100_000, seed: 7, orders: 3, only: None, threads: None };

/// Checks the declarations, then searches every world, then simulates, and prints what it finds. Gives whether all is well.
pub fn run(talk: &Talk) -> bool {
    let findings = checks::check();
    findings.iter().for_each(|finding| anstream::println!("{finding}"));
    let declared = findings.is_empty();
    let well = worlds().into_iter().map(|settings| search(settings, talk)).filter(|well| !well).count() == 0;
    let simulated = simulate::quietly(&SIMULATED, 0..SIMULATED.schedules, talk).failure.is_none();
    declared && well && simulated
}

/// One after the other: what one order can meet, then one lost message on each channel, then what is too large to end.
fn worlds() -> Vec<Settings> {
    let healed = Channel::all().into_iter().filter(|channel| *channel != Channel::FATAL);
    let mut worlds = vec![Settings::one_order(), Settings::nothing_there()];
    worlds.extend(healed.map(Settings::losing));
    worlds.extend([Settings::repeated(REPEATED_MAX), Settings::last_piece(LAST_PIECE_MAX)]);
    worlds
}

fn search(settings: Settings, talk: &Talk) -> bool {
    let begun = Instant::now();
    let step = talk.step(&settings.to_string());
    let report = model::check(settings, &mut |progress| {
        step.now(&format!("{} states, {} deep", progress.states, progress.depth));
        ControlFlow::Continue(())
    });
    let seconds = begun.elapsed().as_secs_f64();
    let extent = match &report.counterexample {
        Some(_) => "something is wrong",
        None if report.complete => "all visited",
        None => "not all visited",
    };
    anstream::println!("{}: {} states, {} deep, {extent}, {seconds:.1} s", report.settings, report.states, report.depth);
    if let Some(found) = &report.counterexample {
        anstream::println!("\n{found}\n{}\n{}", found.mermaid(), found.test());
    }
    report.counterexample.is_none()
}
