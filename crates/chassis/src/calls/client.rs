//! An HTTP client that knows what a failure means: nothing was sent, or nobody can tell.
//!
//! One stack for every dependency: retry, if asked for, around bulkhead, around circuit breaker, around timeout, around
//! one exchange. Every exchange is a CLIENT span whose context goes along.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{Request, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt as _, retry::Policy, timeout::error::Elapsed, util::BoxCloneSyncService,
};
use tower_resilience_circuitbreaker::CircuitBreakerConfigError;
use tracing::{Instrument as _, Span, field::Empty};

use super::{Backoff, Breaker, CALLS_MAX, breaker, bulkhead};
use crate::{
    service,
    telemetry::{self, Metrics},
};

/// How one dependency is called.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Its name, in metrics, spans and logs.
    pub dependency: &'static str,
    /// What paths are joined to.
    pub base_url: Url,
    /// How long one exchange may take, from the first byte of the request to the last of the answer.
    pub timeout: Duration,
    /// How many may be under way.
    pub calls_max: usize,
    /// How often one request may be sent: 1 is no retry. Only what may be sent twice, such as what carries an
    /// idempotency key, may have more.
    pub tries: u32,
    /// Between the tries.
    pub backoff: Backoff,
    /// When to leave it alone.
    pub breaker: Breaker,
    /// The largest answer, in bytes.
    pub answer_bytes_max: usize,
}

impl ClientConfig {
    /// For that dependency there: 10 s, 64 calls at once, no retry, 1 MiB.
    pub fn new(dependency: &'static str, base_url: Url) -> Self {
        Self {
            dependency,
            base_url,
            timeout: Duration::from_secs(10),
            calls_max: CALLS_MAX,
            tries: 1,
            backoff: Backoff { first: Duration::from_millis(50), most: Duration::from_secs(1) },
            breaker: Breaker::default(),
            answer_bytes_max: 1024 * 1024,
        }
    }
}

/// Why a client cannot be made.
#[derive(thiserror::Error, Debug)]
pub enum ClientError {
    /// TLS, mostly.
    #[error("cannot make an HTTP client")]
    Http(#[source] reqwest::Error),
    /// A threshold that makes no sense.
    #[error("cannot make a circuit breaker")]
    Breaker(#[source] CircuitBreakerConfigError),
}

/// An answer, whole. A 5xx is one, too: what it means is the caller's to know.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// HTTP's.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Response {
    /// Its body, as JSON of that form.
    ///
    /// # Errors
    /// When it is of another form: what came of the call is then in doubt.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, service::Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| service::Failure::InDoubt(format!("the partner's answer cannot be read: {error}")))
    }
}

/// No answer.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The request did not leave: nothing can have come of it.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// The request may have arrived, and may have had its effect.
    #[error("in doubt: {0}")]
    InDoubt(InDoubt),
}

/// Why a request did not leave.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotSent {
    /// No connection: refused, no such host, TLS.
    #[error("no connection")]
    Unreachable,
    /// The circuit breaker holds calls back.
    #[error("circuit open")]
    CircuitOpen,
    /// Too many calls are under way.
    #[error("bulkhead full")]
    BulkheadFull,
    /// It is no request that can be sent: our mistake.
    #[error("malformed")]
    Malformed,
}

/// Why nobody can tell what came of a request.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
pub enum InDoubt {
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke before the answer was whole.
    #[error("connection broke")]
    Broken,
    /// The answer is larger than is accepted.
    #[error("answer too large")]
    TooLarge,
}

impl Failure {
    /// A word for metrics and spans.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotSent(NotSent::Unreachable) => "unreachable",
            Self::NotSent(NotSent::CircuitOpen) => "circuit_open",
            Self::NotSent(NotSent::BulkheadFull) => "bulkhead_full",
            Self::NotSent(NotSent::Malformed) => "malformed",
            Self::InDoubt(InDoubt::Timeout) => "timeout",
            Self::InDoubt(InDoubt::Broken) => "broken",
            Self::InDoubt(InDoubt::TooLarge) => "too_large",
        }
    }
}

/// Calls one dependency. Cheap to clone; clones share breaker and bulkhead.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: Url,
    stack: BoxCloneSyncService<Request, Response, Failure>,
    metrics: Metrics,
}

impl Client {
    /// With its own breaker, bulkhead and connections, and gauges of both.
    pub fn new(config: ClientConfig, metrics: &Metrics) -> Result<Self, ClientError> {
        let ClientConfig { dependency, base_url, timeout, calls_max, tries, backoff, breaker, answer_bytes_max } = config;
        let http = connections(&base_url, timeout, calls_max).map_err(ClientError::Http)?;
        let (circuit, circuit_state) = breaker::breaker(dependency, breaker).map_err(ClientError::Breaker)?;
        let (places, in_use) = bulkhead::bulkhead(calls_max);
        let exchange = Exchange { http: http.clone(), dependency, answer_bytes_max, metrics: metrics.clone() };
        let stack = ServiceBuilder::new()
            .layer(BoxCloneSyncService::layer())
            .retry(Again { tries, tried: 0, backoff })
            .map_err(bulkhead::failure)
            .load_shed()
            .layer(places)
            .map_err(breaker::failure)
            .layer(circuit)
            .map_err(timed_out)
            .timeout(timeout)
            .service(exchange);
        metrics.probe(move |metrics| {
            metrics.set_circuit_state(dependency, circuit_state());
            metrics.set_bulkhead_in_use(dependency, in_use());
        });
        Ok(Self { http, base_url, stack, metrics: metrics.clone() })
    }

    /// A request to that path, to be filled, built and [sent](Self::send).
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base_url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url.set_query(query);
        self.http.request(method, url)
    }

    /// Sends it through the stack.
    pub async fn send(&self, request: Request) -> Result<Response, Failure> {
        let answer = self.stack.clone().oneshot(request).await;
        if let Err(failure @ Failure::NotSent(NotSent::CircuitOpen | NotSent::BulkheadFull)) = answer {
            self.metrics.shed(failure.label());
        }
        answer
    }
}

fn connections(base_url: &Url, timeout: Duration, calls_max: usize) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent("ensemble")
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(timeout.min(Duration::from_secs(2)))
        .pool_max_idle_per_host(calls_max)
        .tcp_keepalive(Duration::from_secs(15));
    let host = base_url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    // Where no TLS is spoken no certificate need be found and kept.
    let builder = if base_url.scheme() == "https" { builder } else { builder.tls_certs_only([]) };
    // A proxy for the outside cannot reach what is inside.
    if local { builder.no_proxy().build() } else { builder.build() }
}

fn timed_out(error: BoxError) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => *failure,
        Err(error) => {
            debug_assert!(error.is::<Elapsed>(), "an exchange fails with a Failure: {error}");
            Failure::InDoubt(InDoubt::Timeout)
        }
    }
}

/// One request and its whole answer.
#[derive(Clone)]
struct Exchange {
    http: reqwest::Client,
    dependency: &'static str,
    answer_bytes_max: usize,
    metrics: Metrics,
}

impl Service<Request> for Exchange {
    type Response = Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let span = span(self.dependency, &request);
        let context = span.in_scope(telemetry::current);
        for (name, value) in [("traceparent", context.traceparent), ("tracestate", context.tracestate)] {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        let this = self.clone();
        // Its drop is what records an exchange that ran out of time: the future is then dropped, not finished.
        let mut record = Record {
            exchange: self.clone(),
            method: request.method().clone(),
            span: span.clone(),
            since: Instant::now(),
            outcome: None,
        };
        Box::pin(
            async move {
                let answer = this.carry_out(request).await;
                record.end(&answer);
                answer
            }
            .instrument(span),
        )
    }
}

impl Exchange {
    async fn carry_out(&self, request: Request) -> Result<Response, Failure> {
        let mut response = self.http.execute(request).await.map_err(|error| failure(&error))?;
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + part.len() > self.answer_bytes_max {
                return Err(Failure::InDoubt(InDoubt::TooLarge));
            }
            body.extend_from_slice(&part);
        }
        Ok(Response { status: response.status(), headers: std::mem::take(response.headers_mut()), body: body.freeze() })
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        Failure::NotSent(NotSent::Malformed)
    } else if error.is_connect() {
        Failure::NotSent(NotSent::Unreachable)
    } else if error.is_timeout() {
        Failure::InDoubt(InDoubt::Timeout)
    } else {
        Failure::InDoubt(InDoubt::Broken)
    }
}

/// [Semantic conventions for HTTP client spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/). The path is
/// left out: it may hold what no trace should.
fn span(dependency: &'static str, request: &Request) -> Span {
    tracing::info_span!(
        "call",
        otel.name = format!("{} {dependency}", request.method()),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = %request.method(),
        server.address = request.url().host_str(),
        server.port = request.url().port_or_known_default(),
        http.response.status_code = Empty,
        error.r#type = Empty,
        ensemble.dependency = dependency,
    )
}

/// What is told of an exchange when it is over, however it ends.
struct Record {
    exchange: Exchange,
    method: Method,
    span: Span,
    since: Instant,
    outcome: Option<Result<StatusCode, Failure>>,
}

impl Record {
    fn end(&mut self, answer: &Result<Response, Failure>) {
        self.outcome = Some(answer.as_ref().map(|response| response.status).map_err(|failure| *failure));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or(Err(Failure::InDoubt(InDoubt::Timeout)));
        let took = self.since.elapsed();
        match outcome {
            Ok(status) => {
                self.span.record("http.response.status_code", status.as_u16());
                if status.is_client_error() || status.is_server_error() {
                    self.span.record("error.type", status.as_str());
                    self.span.record("otel.status_code", "ERROR");
                }
                self.exchange.metrics.called(self.exchange.dependency, self.method.as_str(), status.as_str(), took);
            }
            Err(failure) => {
                self.span.record("error.type", failure.label());
                self.span.record("otel.status_code", "ERROR");
                self.exchange.metrics.called(self.exchange.dependency, self.method.as_str(), failure.label(), took);
            }
        }
    }
}

/// Sends the same request again, key and all, while that can help.
#[derive(Clone)]
struct Again {
    tries: u32,
    tried: u32,
    backoff: Backoff,
}

impl Policy<Request, Response, Failure> for Again {
    type Future = tokio::time::Sleep;

    fn retry(&mut self, _: &mut Request, outcome: &mut Result<Response, Failure>) -> Option<Self::Future> {
        self.tried += 1;
        let helps = match outcome {
            Ok(response) => response.status.is_server_error() || response.status == StatusCode::TOO_MANY_REQUESTS,
            Err(Failure::NotSent(NotSent::Unreachable) | Failure::InDoubt(InDoubt::Timeout | InDoubt::Broken)) => true,
            // The first two ask to be left alone: how long is the caller's to decide.
            Err(Failure::NotSent(NotSent::CircuitOpen | NotSent::BulkheadFull | NotSent::Malformed)) => false,
            Err(Failure::InDoubt(InDoubt::TooLarge)) => false,
        };
        (helps && self.tried < self.tries).then(|| tokio::time::sleep(self.backoff.wait(self.tried)))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        if self.tries > 1 { request.try_clone() } else { None }
    }
}

#[cfg(test)]
mod tests;
