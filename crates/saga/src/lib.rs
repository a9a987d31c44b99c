//! What a participant of a saga is, without anything that runs it.
//!
//! A service is one pure, total function from an input (a command, an event, a partner's answer, a deadline) and the
//! rows that it touches to an outcome: events to say, calls to ask, or nothing for a named reason. This crate owns the
//! form of that function ([`reactions!`]), what may come out of it ([`Outcome`]), the rows it works on ([`Records`]),
//! and the rules by which a batch of inputs is taken ([`batch`]). It promises that what compiles cannot say what it
//! did not declare, nor forget how a step is undone. It knows no I/O, no clock and no randomness: the chassis runs it
//! in transactions, the tests in tables ([`table`], [`mod@trials`]), the checker in every order there is.

mod declaration;
mod finding;
mod outcome;
mod parking;
mod participant;
mod reactions;
mod records;
mod ways;
mod whole;

pub mod attention;
pub mod batch;
pub mod examples;
pub mod explore;
pub mod owed;
pub mod table;
pub mod trials;

pub use declaration::{Declaration, Door, Kind, Row, StepDecl};
pub use finding::{Finding, Rule};
pub use outcome::{
    Because, Decision, Effects, Fault, Outcome, Problem, Receipt, Reply, Wake, ask, confirmed, confirms_later, contradiction,
    not_yet, nothing, reply, say,
};
pub use parking::{Parked, park};
pub use participant::{
    Answered, Asks, Calls, Claim, Command, Context, Deadline, Forward, Inputs, Participant, Request, Says, Step, Undo, Undoable,
};
pub use records::{Records, Table};
pub use whole::{closed, findings, sound};

/// What the macros of this crate name.
#[doc(hidden)]
pub mod again {
    pub use events::{Event, EventData, OfOrder, OrderId};
    pub use serde;
}
