//! The command line, and the library that starts a stack.
//!
//! A stack is the whole of Ensemble on one machine: PostgreSQL with the four databases, NATS, the partners and the
//! four services. It is written once and used by `ensemble up`, by the tests and by the measurements: whoever can
//! start one knows where everything is, with which secrets, and can kill, pause and restart each part.
//!
//! This crate owns `deploy/` (images, compose, what the servers are told). It speaks to the services over HTTP as
//! anybody would, and knows nothing of how they work inside.

mod part;
pub mod stack;

pub mod ahead;
pub mod audit;
pub mod bench;
pub mod chaos;
pub mod check;
pub mod customer;

pub mod dead_letters;
pub mod declared;
pub mod defences;
pub mod demo;
pub mod doctor;
pub mod mutants;
pub mod reconcile;
pub mod record;
pub mod report;
pub mod simulate;

mod plant;
mod talk;
mod workspace;

pub use part::{Part, Service, UnknownPart};
pub use stack::{Options, Stack};
pub use talk::{Step, Talk};
pub use workspace::{Profile, root, target};
