//! Calls to other processes: to a service's partner, each behind a durable intent, and whatever else a service asks.

mod backoff;
mod breaker;
mod bulkhead;
mod client;
mod next;
mod room;

pub(crate) mod intents;

pub use backoff::Backoff;
pub use breaker::Breaker;
pub use client::{Client, ClientConfig, ClientError, Failure, InDoubt, NotSent, Response};
pub use intents::Waiting;
pub use room::Settings;

pub(crate) use room::{Room, start};

/// How many calls to one dependency may be under way, unless its client is told otherwise.
const CALLS_MAX: usize = 64;
