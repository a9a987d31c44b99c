//! The whole world as a state machine, searched from end to end.
//!
//! *What is real.* The four domains, by their production functions: `saga::examples::attempt` wants, loads, decides and
//! writes as the chassis does. Nothing here repeats a rule of the dance. *What is modelled:* the network, the partners, the
//! customer, the warehouse, the clock.
//!
//! - A message, once said, waits until it is taken: in any order, after any delay. A crash between commit and publish is such
//!   a delay; a crash after the publish, or before the ack, is a repeat. With claims a repeat meets its claim and changes
//!   nothing, so each message is taken once; without claims it may be taken any number of times before it is gone (`repeats.rs`).
//! - One service may be a version ahead of its readers: what they do not know yet is parked, and taken once they are updated.
//! - A partner executes a call at some moment, or declines, or stores an error; the answer is taken at some later moment. All
//!   between the two is the ambiguous window: a timeout, a lost answer, a crash of the caller, a look-up that lags.
//! - Cancel, dispatch and the lapse of what is held come at any moment; the deadline as often as the [`Settings`] say.
//!
//! *Why an explorer of our own* and not the stateright crate: a state here is 64 bits (numbers of what was met before), and a
//! reaction is computed once for each state of its service and then looked up; that makes the production functions as fast
//! as a table. On top come the cycle check, the reachability of a rest, and counterexamples in the words of this project.

mod batches;
mod explore;
mod graph;
mod pair;
mod part;
mod repeats;
mod replay;
mod settings;
mod snapshot;
mod states;
mod trace;
mod universe;
mod versions;
mod world;

use std::ops::ControlFlow;

pub use replay::replay;
pub use settings::{Channel, Settings};
pub use trace::Counterexample;

/// How far a search is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Visited or waiting to be; of two orders, what each can have come to.
    pub states: usize,
    /// In steps from the first state; of two orders, the histories of the shelves.
    pub depth: u32,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    /// In which world.
    pub settings: Settings,
    /// How many there are, or were visited.
    pub states: usize,
    /// From state to state; of two orders, those of each alone.
    pub steps: u64,
    /// In steps from the first state; of two orders, how many steps a way can have at most.
    pub depth: u32,
    /// How many different fates one order can have, the shelves aside.
    pub fates: usize,
    /// There are no more states.
    pub complete: bool,
    /// What is wrong.
    pub counterexample: Option<Counterexample>,
}

/// Searches that world, and checks: what must hold always ([`crate::always`]) in every state; the six invariants wherever
/// nothing happens by itself any more; for one order also that there is no cycle without progress, and that from every state a
/// rest is reached when faults stop. Of two orders, that neither comes back to where it was: so every way ends at a rest. It ends at the first thing that is wrong, or when `watch` breaks.
pub fn check(settings: Settings, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Report {
    if settings.orders == 2 { pair::Pairs::new(settings).run(watch) } else { explore::Search::new(settings).run(watch) }
}
