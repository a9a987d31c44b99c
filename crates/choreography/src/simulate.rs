//! Many orders at once, by chance: the production functions of the four domains, under the chassis' own rules, through
//! schedules of faults that are drawn from a seed.
//!
//! *What is real.* The domains; how a batch is taken (`saga::batch`), with its claims; what a sweep and a reconciler decide
//! (`saga::owed`); when an input that came too early is tried again (`saga::park`). *What is simulated:* people, partners,
//! clock, and a broker that repeats, delays, reorders, forgets its tail or all, and remembers what it should have forgotten.
//!
//! A schedule has two phases. In the first anything may go wrong, and what must hold always is asked after each batch. Then
//! faults stop: every order must come to rest, and the six invariants are asked.
//!
//! The same seed gives the same bytes, on every machine, on however many threads. What fails is made smaller, act by act:
//! acts name what they are about by ids that derive from their causes, so that one can be left out and the others still mean
//! the same.

mod act;
mod actor;
mod chance;
mod coverage;
mod dice;
mod happens;
mod judge;
mod seat;
mod shrink;
mod story;
mod world;

use std::{
    fmt::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

pub(crate) use actor::place;
pub use actor::{Actor, Books, Wish};
pub use coverage::Coverage;
pub use dice::Dice;
use inventory::Inventory;
use order::Order;
use payment::Payment;
use shipping::Shipping;

use act::Act;
use chance::{Healing, Schedule};
use seat::{Seat, Simulated};
use story::Narrator;
use world::World;

/// Schedules that a thread runs before it looks around.
const CHUNK: u64 = 16;

/// Rules of the chassis that can be switched off, to see what they are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// What has taken effect once does not again.
    pub claims: bool,
    /// What is owed to a stream is published.
    pub sweep: bool,
    /// What a stream has lost is put back.
    pub reconcile: bool,
}

/// Who takes part, in how many orders, under which rules.
#[derive(Clone)]
pub struct Settings {
    /// Of one schedule.
    pub orders: usize,
    /// All on, unless one is tried out.
    pub rules: Rules,
    cast: Vec<fn() -> Box<dyn Seat>>,
}

impl Settings {
    /// The four services, and so many orders in each schedule.
    pub fn new(orders: usize) -> Self {
        let rules = Rules { claims: true, sweep: true, reconcile: true };
        let none = Self { orders: orders.max(1), rules, cast: Vec::new() };
        none.with::<Order>().with::<Inventory>().with::<Payment>().with::<Shipping>()
    }

    /// And this one; in place of the one of that name, if there is one.
    #[must_use]
    pub fn with<P: Actor>(mut self) -> Self {
        let seat: fn() -> Box<dyn Seat> = || Box::new(Simulated::<P>::new());
        let same = |known: &fn() -> Box<dyn Seat>| known().declaration().service == P::DECLARATION.service;
        match self.cast.iter_mut().find(|known| same(known)) {
            Some(known) => *known = seat,
            None => self.cast.push(seat),
        }
        self
    }

    fn products(&self) -> usize {
        1 + self.orders / 3
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("orders", &self.orders).field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// What came of many schedules.
#[derive(Clone, Debug)]
pub struct Report {
    /// That have run.
    pub schedules: u64,
    /// Orders that were accepted, each a whole saga: it came to rest.
    pub sagas: u64,
    /// Of all schedules, when all is well.
    pub coverage: Coverage,
    /// The first schedule that went wrong, made small.
    pub failure: Option<Failure>,
}

/// A schedule at whose end something is wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which seed.
    pub seed: u64,
    /// Which schedule of it.
    pub schedule: u64,
    /// What is wrong.
    pub what: String,
    /// How many acts there were, and how many are left.
    pub acts: (usize, usize),
    steps: Vec<(String, Vec<String>)>,
    arrows: String,
    services: Vec<&'static str>,
}

/// Runs these schedules of that seed on so many threads, and ends at the first that goes wrong. `watch` is told how many have run.
pub fn run(
    settings: &Settings,
    seed: u64,
    schedules: std::ops::Range<u64>,
    threads: usize,
    watch: &(dyn Fn(u64) + Sync),
) -> Report {
    let (next, done, failed) = (AtomicU64::new(schedules.start), AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        let mut world = World::new(settings);
        let mut sagas = 0;
        loop {
            let first = next.fetch_add(CHUNK, Ordering::Relaxed);
            // All before the first failure still run, so that it is the first whatever the threads do.
            if first >= schedules.end.min(failed.load(Ordering::Relaxed)) {
                break (world.coverage, sagas);
            }
            for schedule in first..(first + CHUNK).min(schedules.end) {
                if attempt(&mut world, seed, schedule, &mut Vec::new()).is_err() {
                    failed.fetch_min(schedule, Ordering::Relaxed);
                    world = World { coverage: world.coverage.clone(), ..World::new(settings) };
                }
                sagas += world.ordered.len() as u64;
                watch(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        }
    };
    let results: Vec<(Coverage, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let mut coverage = World::new(settings).coverage;
    results.iter().for_each(|(visited, _)| coverage.add(visited));
    let failed = failed.into_inner();
    let failure = (failed < u64::MAX).then(|| shrink::failure(settings, seed, failed));
    let sagas = results.iter().map(|(_, sagas)| sagas).sum();
    Report { schedules: done.into_inner(), sagas, coverage, failure }
}

/// Everything that happens in one schedule, in words: the same for the same seed.
pub fn transcript(settings: &Settings, seed: u64, schedule: u64) -> String {
    let mut world = World::new(settings);
    world.narrator = Some(Narrator::default());
    let end = attempt(&mut world, seed, schedule, &mut Vec::new());
    let narrator = world.narrator.take().unwrap_or_default();
    let mut text = timeline(&narrator.steps);
    for order in &world.ordered {
        let stands: Vec<String> = world.seats.iter().map(|seat| seat.show(*order)).collect();
        let _ = writeln!(text, "order {}: {}", world::number(*order), stands.join(" | "));
    }
    let _ = writeln!(text, "{}", end.err().unwrap_or_else(|| "all is well".to_owned()));
    text
}

fn timeline(steps: &[(String, Vec<String>)]) -> String {
    let mut text = String::new();
    for ((words, outcomes), number) in steps.iter().zip(1..) {
        let _ = writeln!(text, "{number:>3}. {words}");
        for outcome in outcomes {
            let _ = writeln!(text, "       {outcome}");
        }
    }
    text
}

/// One schedule, from beginning to rest. Gives what happened, as far as it went, in `acts`. A panic of a service is a finding.
fn attempt(world: &mut World, seed: u64, schedule: u64, acts: &mut Vec<Act>) -> Result<(), String> {
    let mut dice = Dice::new(seed, schedule);
    guarded(world, |world| {
        world.begin(&mut dice);
        let mut schedule = Schedule::new(dice, world.settings.orders);
        while let Some(act) = schedule.next(world) {
            let happened = world.happens(&act);
            acts.push(act);
            happened?;
        }
        heal(world)
    })
}

/// Faults stop: every order must come to rest.
fn heal(world: &mut World) -> Result<(), String> {
    let mut healing = Healing::default();
    while let Some(act) = healing.next(world) {
        world.happens(&act)?;
    }
    judge::at_rest(world)
}

fn guarded(world: &mut World, run: impl FnOnce(&mut World) -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| run(world))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("a service panics: {}", text.unwrap_or_default()))
    })
}

impl Failure {
    /// As a Mermaid sequence diagram.
    pub fn mermaid(&self) -> String {
        let mut text = String::from("sequenceDiagram\n");
        let people = ["person"].into_iter().chain(self.services.iter().copied()).chain(["partner"]);
        for who in people {
            let _ = writeln!(text, "  participant {who}");
        }
        text.push_str(&self.arrows);
        let _ = writeln!(text, "  Note over person,partner: {}", self.what.replace([';', '#'], ","));
        text
    }
}

/// The timeline.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}\n(seed {}, schedule {}; {} acts of {} matter)\n",
            self.what, self.seed, self.schedule, self.acts.1, self.acts.0
        )?;
        f.write_str(&timeline(&self.steps))
    }
}
