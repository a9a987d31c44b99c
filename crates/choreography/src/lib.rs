//! The four declarations together: what no single service can see.
//!
//! This crate owns the rules about the whole. Here stands that the four fit together (a const assertion: an event without
//! a reader, or a failure that reaches no undo, does not compile), the six invariants that hold over all four services at
//! rest, whether a recorded run is what the reactions allow, and what is made from the declarations: picture, AsyncAPI
//! document, the broker's permissions. It promises nothing about how they run: it does no I/O, and knows the services by
//! their declarations and their states.

pub mod always;
pub mod asyncapi;
pub mod catalog;
pub mod checks;
pub mod conform;
pub mod graph;

mod invariants;
pub mod model;
pub mod nats;
pub mod partners;
pub mod simulate;
mod snapshot;

pub use invariants::{Invariant, Violation, violations};
pub use snapshot::{Booking, Charge, Claimed, Published, Snapshot, Unfinished};

use saga::{Declaration, Participant};

/// All services, in the order in which an order meets them.
pub const SERVICES: [Declaration; 4] = [
    <order::Order as Participant>::DECLARATION,
    <inventory::Inventory as Participant>::DECLARATION,
    <payment::Payment as Participant>::DECLARATION,
    <shipping::Shipping as Participant>::DECLARATION,
];

const _: () = saga::closed(events::Event::ALL, &SERVICES);
