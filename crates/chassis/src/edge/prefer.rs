//! `Prefer` ([RFC 7240](https://www.rfc-editor.org/rfc/rfc7240)): `wait=N`, rather later and finished than at once and accepted;
//! `return=minimal`, rather the outcome than all that is known.

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
    /// Whether what the client asks anyway is enough: how it stands, and no more.
    pub minimal: bool,
}

impl Prefer {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let preferences: Vec<(&str, &str)> = preferences
            .flat_map(|value| value.split([',', ';']))
            .filter_map(|preference| preference.trim().split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            .collect();
        // Of one that comes twice the first counts (section 2).
        let first =
            |wanted: &str| preferences.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value);
        let wait = first("wait").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        Self { wait: wait.map(|wait| wait.min(WAIT_MAX)), minimal: first("return") == Some("minimal") }
    }

    /// Waits for `happens` as long as is preferred; none when it did not happen by then, or the service is stopping.
    pub async fn wait_for<T>(&self, happens: impl Future<Output = T>, stopping: &CancellationToken) -> Option<T> {
        tokio::select! {
            happened = tokio::time::timeout(self.wait?, happens) => happened.ok(),
            () = stopping.cancelled() => None,
        }
    }

    /// Says in the answer which preferences were honoured.
    pub fn applied(&self, mut response: Response) -> Response {
        let wait = self.wait.map(|wait| format!("wait={}", wait.as_secs()));
        let minimal = self.minimal.then(|| "return=minimal".to_owned());
        let applied = wait.into_iter().chain(minimal).collect::<Vec<_>>().join(", ");
        if !applied.is_empty()
            && let Ok(value) = HeaderValue::from_str(&applied)
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
        let prefer = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(value));
            Prefer::of(&headers)
        };
        let read = |value| prefer(value).wait.map(|wait| wait.as_secs());
        assert_eq!(read("wait=10"), Some(10));
        assert_eq!(read("respond-async, Wait = \"5\""), Some(5));
        assert_eq!(read("wait=3600"), Some(30));
        for ignored in ["wait", "wait=", "wait=soon", "wait=-1", "waiting=5", ""] {
            assert_eq!(read(ignored), None, "{ignored}");
        }
        assert_eq!(prefer("return=minimal, wait=5"), Prefer { wait: Some(Duration::from_secs(5)), minimal: true });
        for whole in ["return=representation, return=minimal", "return", "minimal", "wait=5"] {
            assert!(!prefer(whole).minimal, "{whole}");
        }
    }
}
