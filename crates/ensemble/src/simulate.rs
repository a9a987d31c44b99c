//! Many orders at once, by chance: progress on stderr, what was found and what was visited on stdout.

use std::{num::NonZeroUsize, ops::Range, panic, thread::available_parallelism, time::Instant};

use choreography::simulate::{self, Report};
use clap::Args;

use crate::Talk;

/// What to simulate.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// How many schedules of faults.
    #[arg(long, default_value_t = 100_000)]
    pub schedules: u64,
    /// What they are drawn from: the same seed gives the same schedules.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// How many orders each has.
    #[arg(long, default_value_t = 20)]
    pub orders: usize,
    /// Only the schedule of that number, told in full.
    #[arg(long)]
    pub only: Option<u64>,
    /// On so many threads [default: one for each core]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// Simulates, and prints what it finds. Gives whether all is well.
pub fn run(settings: &Settings, talk: &Talk) -> bool {
    let report = match settings.only {
        Some(only) => {
            anstream::print!("{}", simulate::transcript(&simulate::Settings::new(settings.orders), settings.seed, only));
            quietly(settings, only..only + 1, talk)
        }
        None => {
            let report = quietly(settings, 0..settings.schedules, talk);
            if report.failure.is_none() {
                anstream::println!("\n{}\n\nnever visited:", report.coverage);
                report.coverage.never().iter().for_each(|pair| anstream::println!("  {pair}"));
            }
            report
        }
    };
    report.failure.is_none()
}

/// The schedules alone, without what was visited: for `ensemble check`.
pub fn quietly(settings: &Settings, schedules: Range<u64>, talk: &Talk) -> Report {
    let (begun, all) = (Instant::now(), schedules.end - schedules.start);
    let threads = settings.threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let cast = simulate::Settings::new(settings.orders);
    let progress = talk.progress("simulate", all);
    // A service that panics is a finding, told with its timeline; while it is made small it panics some hundred times.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let report = simulate::run(&cast, settings.seed, schedules, threads, &|done| progress.at(done));
    panic::set_hook(hook);
    drop(progress);
    let seconds = begun.elapsed().as_secs_f64();
    anstream::println!(
        "seed {}: {} schedules of {} orders, {seconds:.1} s; {:.0} schedules and {:.0} whole sagas in a second, on {threads} threads",
        settings.seed,
        report.schedules,
        settings.orders,
        report.schedules as f64 / seconds,
        report.sagas as f64 / seconds,
    );
    if let Some(failure) = &report.failure {
        anstream::println!("\n{failure}\n{}", failure.mermaid());
        let (seed, orders, only) = (failure.seed, settings.orders, failure.schedule);
        anstream::println!("Again: `ensemble simulate --seed {seed} --orders {orders} --only {only}`");
    }
    report
}
