//! HTTP/1.1 on one listener, with what `axum::serve` cannot do: hang up without an answer.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long open connections may take to finish once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// As an extension of a response: close the connection instead of sending it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("closed without an answer, as a fault rule asked")]
pub(crate) struct Unanswered;

/// Serves until `stop`, then drains.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: they come back as connections close.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Only a hint: without it answers are merely later.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = router.clone().oneshot(request.map(Body::new));
            async move {
                let response = answer.await.unwrap_or_else(|never: Infallible| match never {});
                match response.extensions().get::<Unanswered>() {
                    Some(unanswered) => Err(*unanswered),
                    None => Ok(response),
                }
            }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still busy after {DRAIN:?}");
    }
}
