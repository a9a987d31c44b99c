//! The front door: HTTP in, JSON out, and every answer of a mutation kept with its effect.
//!
//! A service names its routes and what each one commands; everything else a careful API does is done here, once:
//! [`app`] lists the layers in their order. What a handler meets: [`Command`] for every mutation, [`Path`] and [`Query`]
//! that refuse as a [`Problem`], [`Prefer`], [`Page`], [`IfMatch`].

use std::{net::SocketAddr, time::Duration};

use axum::{BoxError, Router, error_handling::HandleErrorLayer, middleware::from_fn, serve::ListenerExt as _};
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use clap::Args;
use opentelemetry_instrumentation_tower::http::server::LayerBuilder as Counted;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{config::About, telemetry::Metrics};

mod command;
mod idempotency;
mod problem;
mod validate;

mod auth;
mod extract;
mod finish;
mod limits;
mod openapi;
mod paging;
mod prefer;
mod revision;

pub mod sse;

pub use auth::Principal;
pub use command::{Answer, Command, Commands, NoFields, NotTaken, Taken};
pub use extract::{Path, Query};
pub use paging::Page;
pub use prefer::Prefer;
pub use problem::{Problem, ProblemPage};
pub use revision::{IfMatch, Revision};

/// The API.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Where the API listens, such as 0.0.0.0:8080.
    #[arg(long, env = "HTTP_ADDR", default_value = "127.0.0.1:8080")]
    pub http_addr: SocketAddr,
    /// How long a request may take, beside what it asks to wait for, such as 10s.
    #[arg(long, env = "REQUEST_DEADLINE", default_value = "10s", value_parser = crate::config::duration)]
    pub request_deadline: Duration,
    /// How many requests may be under way; more are turned away with 503.
    #[arg(long, env = "REQUESTS_MAX", default_value_t = 2048)]
    pub requests_max: usize,
    /// The largest body of a request, in bytes.
    #[arg(long, env = "REQUEST_BYTES_MAX", default_value_t = 256 * 1024)]
    pub request_bytes_max: usize,
}

/// The routes of a service with all that surrounds them, in the order in which a request meets it. `problems` explains
/// what only this service refuses.
pub fn app(
    about: &About,
    routes: OpenApiRouter,
    problems: &'static [ProblemPage],
    settings: &Settings,
    metrics: &Metrics,
) -> Router {
    let shed = metrics.clone();
    let too_many = move |_: BoxError| {
        shed.shed("in_flight");
        std::future::ready(limits::too_many())
    };
    // Its own spans would double those of the next layer.
    let counted = Counted::builder().with_tracing(false).build().expect("a layer whose every part has a default");
    let layers = ServiceBuilder::new()
        // An id for this request: the client's or a new one, echoed in the answer.
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        // Rate, errors, duration by route. Outside the span, whose context it would replace by the client's.
        .layer(counted)
        // The span, a child of the client's when it sends `traceparent`.
        .layer(OtelAxumLayer::default())
        // `traceresponse`, security headers, and every error as a problem document.
        .layer(from_fn(finish::finish))
        // A panic is our fault, and this request's only.
        .layer(CatchPanicLayer::custom(limits::panicked))
        // More than this many at once: 503, before any work is done.
        .layer(HandleErrorLayer::new(too_many))
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::new(settings.requests_max))
        // Longer than the deadline: 504. What it commanded may still take effect; its key tells.
        .layer(axum::middleware::from_fn_with_state(settings.request_deadline, limits::deadline))
        // Here who asks is found out (401) and how often they may (429). Until then everybody is `anonymous`: see `auth`.
        // More than this many bytes: 413, without reading them.
        .layer(RequestBodyLimitLayer::new(settings.request_bytes_max))
        // Keys whose first request has not been answered yet: 409.
        .layer(axum::Extension(idempotency::InProgress::default()));
    openapi::described(about, routes).merge(problem::pages(problems)).fallback(problem::unknown_route).layer(layers)
}

/// Serves until `stop`, then finishes the requests that are under way.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> std::io::Result<()> {
    let listener = listener.tap_io(|tcp| {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "answers may wait for more to send");
        }
    });
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[cfg(test)]
mod tests;
