//! The operators' port: three probes, the metrics, and a slot for what else a room offers to operators.
//!
//! It listens apart from the API, so that an overloaded API can still be probed and nobody outside reaches it.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use clap::Args;
use serde::Serialize;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::telemetry::Metrics;

pub(crate) mod attention;
mod denied;
pub(crate) mod operators;
pub(crate) mod restored;

pub(crate) use denied::Denied;

/// All statements of this room.
pub(crate) const STATEMENTS: &[crate::Statements] = &[operators::STATEMENTS, attention::STATEMENTS];

/// A dependency that has not answered by then counts as away.
const CHECK_MAX: Duration = Duration::from_secs(1);
/// So long an answer about the dependencies is given again: a storm of probes must not become one on the database.
const CHECK_AGE_MAX: Duration = Duration::from_secs(1);

/// Probes, metrics and what operators do.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Where probes, metrics and operators' endpoints listen; keep it from the outside, such as 127.0.0.1:9080.
    #[arg(long, env = "ADMIN_ADDR", default_value = "127.0.0.1:9080")]
    pub admin_addr: SocketAddr,
}

type Check = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What the probes answer from. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    draining: CancellationToken,
    starting: AtomicUsize,
    checks: Mutex<Vec<(&'static str, Arc<Check>)>>,
    // Async, so that probes that come together wait for one check and share it.
    last: tokio::sync::Mutex<Option<(Instant, Vec<Dependency>)>>,
}

/// What is known of a dependency; part of `/readyz?verbose`.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Dependency {
    /// Its name.
    pub name: &'static str,
    /// Whether it answers.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    dependencies: Vec<Dependency>,
}

/// A part that is being started. When the last one is dropped the service has started, for good.
#[must_use = "the part counts as started when this is dropped"]
pub struct Starting(Arc<Inner>);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.starting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Health {
    /// Not ready any more once `draining` is cancelled.
    pub fn new(draining: CancellationToken) -> Self {
        let (starting, checks, last) = (AtomicUsize::new(0), Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { draining, starting, checks, last }))
    }

    /// Holds `/startupz` and `/readyz` back until what is returned is dropped.
    pub fn starting(&self) -> Starting {
        self.0.starting.fetch_add(1, Ordering::AcqRel);
        Starting(self.0.clone())
    }

    /// Ready only while `check` succeeds; its error is the reason, in words that hold no secret.
    pub fn depends_on<F>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let check: Check = Box::new(move || Box::pin(check()));
        self.0.checks.lock().unwrap_or_else(PoisonError::into_inner).push((name, Arc::new(check)));
    }

    fn started(&self) -> bool {
        self.0.starting.load(Ordering::Acquire) == 0
    }

    async fn readiness(&self) -> Readiness {
        let reason = if self.0.draining.is_cancelled() {
            Some("draining")
        } else if !self.started() {
            Some("starting")
        } else {
            None
        };
        let dependencies = self.dependencies().await;
        Readiness { ready: reason.is_none() && dependencies.iter().all(|one| one.ready), reason, dependencies }
    }

    async fn dependencies(&self) -> Vec<Dependency> {
        let mut last = self.0.last.lock().await;
        if let Some((when, known)) = &*last
            && when.elapsed() < CHECK_AGE_MAX
        {
            return known.clone();
        }
        let checks = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = futures_util::future::join_all(checks.into_iter().map(|(name, check)| async move {
            let reason = match tokio::time::timeout(CHECK_MAX, check()).await {
                Ok(answer) => answer.err(),
                Err(_) => Some(format!("no answer within {CHECK_MAX:?}")),
            };
            Dependency { name, ready: reason.is_none(), reason }
        }))
        .await;
        *last = Some((Instant::now(), now.clone()));
        now
    }
}

/// The probes and the metrics, and `more`: what rooms offer to operators.
pub fn router(health: Health, metrics: Metrics, more: Router) -> Router {
    let probes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .with_state(health);
    let metrics = Router::new().route("/metrics", get(render)).with_state(metrics);
    probes.merge(metrics).merge(more)
}

/// Serves until `stop`: as long as anybody may want to know.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn readyz(State(health): State<Health>, RawQuery(query): RawQuery) -> Response {
    let readiness = health.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")));
    if verbose {
        return (status, Json(readiness)).into_response();
    }
    let away = readiness.dependencies.iter().filter(|one| !one.ready).map(|one| one.name);
    let reasons: Vec<&str> = readiness.reason.into_iter().chain(away).collect();
    let text = if readiness.ready { "ok\n".to_owned() } else { format!("not ready: {}\n", reasons.join(", ")) };
    (status, text).into_response()
}

async fn startupz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.started() { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "starting\n") }
}

async fn render(State(metrics): State<Metrics>) -> Response {
    match metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be shown");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt as _;

    use super::*;

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_probes_tell_alive_started_and_ready_apart() {
        let draining = CancellationToken::new();
        let health = Health::new(draining.clone());
        let up = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, count) = (up.clone(), asked.clone());
        health.depends_on("database", move || {
            count.fetch_add(1, Ordering::Relaxed);
            let answer = answer.load(Ordering::Relaxed);
            async move { answer.then_some(()).ok_or_else(|| "connection refused".to_owned()) }
        });
        let starting = health.starting();
        let router = router(health, Metrics::detached(), Router::new());

        assert_eq!(get(&router, "/livez").await.0, 200);
        assert_eq!(get(&router, "/startupz").await.0, 503);
        assert_eq!(get(&router, "/readyz").await, (503, "not ready: starting, database\n".to_owned()));
        drop(starting);
        assert_eq!(get(&router, "/startupz").await.0, 200);
        let (status, verbose) = get(&router, "/readyz?verbose").await;
        let verbose: serde_json::Value = serde_json::from_str(&verbose).unwrap();
        assert_eq!((status, &verbose["dependencies"][0]["reason"]), (503, &"connection refused".into()));
        assert_eq!(asked.load(Ordering::Relaxed), 1, "asked once within a second");

        up.store(true, Ordering::Relaxed);
        tokio::time::advance(CHECK_AGE_MAX).await;
        assert_eq!(get(&router, "/readyz").await, (200, "ok\n".to_owned()));
        draining.cancel();
        assert_eq!(get(&router, "/readyz").await, (503, "not ready: draining\n".to_owned()));
        assert_eq!(get(&router, "/livez").await.0, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dependency_that_hangs_is_away_and_the_others_are_not() {
        let health = Health::new(CancellationToken::new());
        health.depends_on("stuck", std::future::pending);
        health.depends_on("fine", || async { Ok(()) });
        let router = router(health, Metrics::detached(), Router::new());
        assert_eq!(get(&router, "/readyz").await, (503, "not ready: stuck\n".to_owned()));
    }

    #[tokio::test]
    async fn the_metrics_are_there() {
        let metrics = Metrics::detached();
        metrics.set_parked(3);
        let router = router(Health::new(CancellationToken::new()), metrics, Router::new());
        assert!(get(&router, "/metrics").await.1.contains("ensemble_parked 3"));
    }
}
