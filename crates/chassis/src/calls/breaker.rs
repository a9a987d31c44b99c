//! The circuit breaker: a dependency that fails is left alone for a while, then tried with a few calls.
//!
//! The only file that knows the library behind it.

use std::time::Duration;

use tower_resilience_circuitbreaker::{
    CircuitBreakerConfigError, CircuitBreakerError, CircuitBreakerLayer, CircuitState, FnClassifier,
};

use super::client::{Failure, NotSent, Response};

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Breaker {
    /// It looks at the last so many calls,
    pub window: usize,
    /// once there are so many,
    pub calls_min: usize,
    /// and opens when this share of them failed, or
    pub failed_share: f64,
    /// It then refuses every call for so long, and lets
    pub open_for: Duration,
    /// so many through to see.
    pub probes: usize,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { window: 20, calls_min: 10, failed_share: 0.5, open_for: Duration::from_secs(2), probes: 2 }
    }
}

type Outcome = Result<Response, Failure>;
type Circuit = CircuitBreakerLayer<FnClassifier<fn(&Outcome) -> bool>>;

/// The layer, and what tells the circuit's state: 0 closed, 1 half open, 2 open.
pub(super) fn breaker(
    dependency: &'static str,
    settings: Breaker,
) -> Result<(Circuit, impl Fn() -> u64 + Send + Sync + 'static), CircuitBreakerConfigError> {
    let (layer, handle) = CircuitBreakerLayer::builder()
        .name(dependency)
        .sliding_window_size(settings.window)
        .minimum_number_of_calls(settings.calls_min)
        .failure_rate_threshold(settings.failed_share)
        .wait_duration_in_open(settings.open_for)
        .permitted_calls_in_half_open(settings.probes)
        .on_state_transition(move |from, to| tracing::warn!(dependency, ?from, ?to, "circuit"))
        .failure_classifier(is_failure as fn(&Outcome) -> bool)
        .build_with_handle()?;
    let state = move || match handle.state() {
        CircuitState::Closed => 0,
        CircuitState::HalfOpen => 1,
        CircuitState::Open => 2,
    };
    Ok((layer, state))
}

/// A dependency fails when it does not answer or says that it fails. What it says of the request is no failure of its own,
/// nor is an error that it keeps under a key and gives again: it did answer.
fn is_failure(outcome: &Outcome) -> bool {
    match outcome {
        Ok(response) => response.status.is_server_error() && !response.headers.contains_key("idempotent-replayed"),
        Err(Failure::NotSent(NotSent::Malformed)) => false,
        Err(Failure::NotSent(_) | Failure::InDoubt(_)) => true,
    }
}

pub(super) fn failure(error: CircuitBreakerError<Failure>) -> Failure {
    match error {
        CircuitBreakerError::OpenCircuit => Failure::NotSent(NotSent::CircuitOpen),
        CircuitBreakerError::Inner(failure) => failure,
    }
}
