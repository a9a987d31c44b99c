//! The bulkhead: calls to one dependency take no more than their compartment, so that a slow one sinks nobody else.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tower::{BoxError, limit::GlobalConcurrencyLimitLayer};

use super::client::{Failure, NotSent};

/// The layer, and what tells how many calls are under way.
pub(super) fn bulkhead(calls_max: usize) -> (GlobalConcurrencyLimitLayer, impl Fn() -> u64 + Send + Sync + 'static) {
    let places = Arc::new(Semaphore::new(calls_max));
    let layer = GlobalConcurrencyLimitLayer::with_semaphore(places.clone());
    (layer, move || calls_max.saturating_sub(places.available_permits()) as u64)
}

/// What comes out of `load_shed`: a failure of the call, or none of it was begun.
pub(super) fn failure(error: BoxError) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => *failure,
        Err(_) => Failure::NotSent(NotSent::BulkheadFull),
    }
}
