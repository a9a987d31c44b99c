//! What keeps one request from harming the others.

use std::{any::Any, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{
    Prefer, Problem,
    problem::{DEADLINE, INTERNAL, OVERLOADED},
};

/// The deadline of every request: so long, and what it asks to wait for on top.
pub(super) async fn deadline(State(most): State<Duration>, request: Request, next: Next) -> Response {
    let most = most + Prefer::of(request.headers()).wait.unwrap_or_default();
    match tokio::time::timeout(most, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::of(&DEADLINE).into_response(),
    }
}

/// The answer to one request too many.
pub(super) fn too_many() -> Problem {
    Problem::of(&OVERLOADED).retry_after(1)
}

/// The answer to a request whose handler panicked.
pub(super) fn panicked(what: Box<dyn Any + Send>) -> Response {
    let said = what.downcast_ref::<&str>().copied().or_else(|| what.downcast_ref::<String>().map(String::as_str));
    tracing::error!(said, "a handler panicked");
    Problem::of(&INTERNAL).into_response()
}
