//! Server-sent events: what has happened so far, then what happens.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Often enough that no proxy takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event of a stream.
#[derive(Clone, Debug)]
pub struct Frame<T> {
    /// What a client that comes back says it has seen.
    pub id: String,
    /// Its type.
    pub name: &'static str,
    /// Its data, as JSON.
    pub data: T,
}

/// `Last-Event-ID`: what a client that comes back has seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LastEventId(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned)))
    }
}

/// Sends the frames until they end, or the service stops: a stream must not keep it from ending.
pub fn respond<T: Serialize + Send + 'static>(
    frames: impl Stream<Item = Frame<T>> + Send + 'static,
    stop: CancellationToken,
) -> Response {
    let events = frames.map(|frame| Event::default().id(frame.id).event(frame.name).json_data(frame.data));
    Sse::new(events.take_until(stop.cancelled_owned())).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
