//! `Prefer: wait=N` ([RFC 7240](https://www.rfc-editor.org/rfc/rfc7240)): rather later and finished than at once and accepted.

use std::{convert::Infallible, future::Future, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::Response,
};
use tokio_util::sync::CancellationToken;

/// Nobody waits longer, whatever they prefer.
const WAIT_MAX: Duration = Duration::from_secs(30);
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What the client prefers. A preference that is not understood is none: the standard forbids to refuse it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prefer {
    /// How long to wait for the end; at most 30 s.
    pub wait: Option<Duration>,
}

impl Prefer {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let wait = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split([',', ';']))
            .filter_map(|preference| preference.trim().split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
            .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok());
        Self { wait: wait.map(Duration::from_secs).map(|wait| wait.min(WAIT_MAX)) }
    }

    /// Waits for `happens` as long as is preferred; none when it did not happen by then, or the service is stopping.
    pub async fn wait_for<T>(&self, happens: impl Future<Output = T>, stopping: &CancellationToken) -> Option<T> {
        tokio::select! {
            happened = tokio::time::timeout(self.wait?, happens) => happened.ok(),
            () = stopping.cancelled() => None,
        }
    }

    /// Says in the answer that the preference was honoured.
    pub fn applied(&self, mut response: Response) -> Response {
        if let Some(wait) = self.wait
            && let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
        {
            response.headers_mut().insert(PREFERENCE_APPLIED, value);
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_standard_allows_and_ignores_the_rest() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(value));
            Prefer::of(&headers).wait.map(|wait| wait.as_secs())
        };
        assert_eq!(read("wait=10"), Some(10));
        assert_eq!(read("respond-async, Wait = \"5\""), Some(5));
        assert_eq!(read("wait=3600"), Some(30));
        for ignored in ["wait", "wait=", "wait=soon", "wait=-1", "waiting=5", ""] {
            assert_eq!(read(ignored), None, "{ignored}");
        }
    }
}
