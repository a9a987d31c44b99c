//! What every answer gets on its way out.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use opentelemetry::trace::TraceContextExt as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::Problem;
use crate::telemetry;

/// [W3C Trace Context level 2](https://w3c.github.io/trace-context/#traceresponse-header).
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Headers of every answer that does not say otherwise: an API's answers are data, never a page that does something.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// So much of a body hyper still takes when nobody has read it.
const DRAINED_BYTES: u64 = 8 * 1024;

/// `traceresponse`, security headers, and every error as a problem document that names its request.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    let hangs_up = may_stay_unread(&request);

    let mut response = next.run(request).await;
    if let Some(problem) = problem_of(&mut response) {
        response = problem.document(&path, span.is_valid().then(|| span.trace_id().to_string()), response.headers());
        if hangs_up {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    let headers = response.headers_mut();
    if span.is_valid()
        && let Ok(value) = HeaderValue::from_str(&telemetry::header(&span))
    {
        headers.insert(TRACERESPONSE, value);
    }
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    response
}

/// Refused before its body was read, a request ends its connection: hyper closes rather than take the rest. Unless the answer
/// says so, the client sends its next request there, and loses it.
fn may_stay_unread(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let unknown = headers.contains_key(header::TRANSFER_ENCODING);
    request.version() <= Version::HTTP_11 && (unknown || length.is_some_and(|length| length > DRAINED_BYTES))
}

/// The problem that a handler answered with, or one made of a bare error status of axum or a layer.
fn problem_of(response: &mut Response) -> Option<Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Some(problem);
    }
    let status = response.status();
    (status.is_client_error() || status.is_server_error()).then(|| Problem::of_status(status))
}

/// So that a problem is one even where nothing finishes it: on the admin port, in a handler's own test.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.clone().document("", None, &HeaderMap::new());
        response.extensions_mut().insert(self);
        response
    }
}
