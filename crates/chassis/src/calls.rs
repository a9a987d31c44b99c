//! Calls to other processes.

mod backoff;
mod breaker;
mod bulkhead;
mod client;

pub use backoff::Backoff;
pub use breaker::Breaker;
pub use client::{Client, ClientConfig, ClientError, Failure, InDoubt, NotSent, Response};
