//! Entity tags: a row's version, so that nobody overwrites what they have not seen
//! ([RFC 9110 §13.1](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1)).

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{AppendHeaders, IntoResponse, Response},
};

use super::{
    Problem,
    problem::{BAD_REQUEST, PRECONDITION_FAILED, PRECONDITION_REQUIRED},
};

/// The version of a row. As part of an answer it is its `ETag`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revision(pub u64);

impl axum::response::IntoResponseParts for Revision {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: axum::response::ResponseParts) -> Result<axum::response::ResponseParts, Self::Error> {
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.0)) {
            parts.headers_mut().insert(header::ETAG, tag);
        }
        Ok(parts)
    }
}

/// What `If-Match` asks for. Extracting it refuses what is none of our tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IfMatch {
    /// The header is not there.
    Absent,
    /// `*`: whatever there is.
    Any,
    /// That version.
    Revision(Revision),
}

impl IfMatch {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get(header::IF_MATCH) else { return Ok(Self::Absent) };
        let text = value.to_str().unwrap_or_default().trim();
        let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match (text, tag.and_then(|tag| tag.parse().ok())) {
            ("*", _) => Ok(Self::Any),
            (_, Some(revision)) => Ok(Self::Revision(Revision(revision))),
            (_, None) if tag.is_some() => Err(Self::failed()),
            (_, None) => Err(Problem::of(&BAD_REQUEST).saying("If-Match holds one entity tag, as ETag gave it.")),
        }
    }

    /// The version that was seen; 428 when the client does not say.
    pub fn required(self) -> Result<Option<Revision>, Problem> {
        match self {
            Self::Absent => Err(Problem::of(&PRECONDITION_REQUIRED)),
            Self::Any => Ok(None),
            Self::Revision(revision) => Ok(Some(revision)),
        }
    }

    /// The answer when the version that was seen is not the current one.
    pub fn failed() -> Problem {
        Problem::of(&PRECONDITION_FAILED)
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(&parts.headers)
    }
}

impl Revision {
    /// 304 when `If-None-Match` names this version, else the answer with its `ETag`.
    pub fn answer(self, headers: &HeaderMap, answer: impl IntoResponse) -> Response {
        let tag = format!("\"{}\"", self.0);
        let known = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag));
        if known {
            (axum::http::StatusCode::NOT_MODIFIED, AppendHeaders([(header::ETAG, tag)])).into_response()
        } else {
            (self, answer).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_one_of_our_tags_or_refused() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(value));
            IfMatch::of(&headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(read("\"7\""), Ok(IfMatch::Revision(Revision(7))));
        assert_eq!(read("*"), Ok(IfMatch::Any));
        assert_eq!(read("\"somebody-else's\""), Err(412));
        assert_eq!(read("7"), Err(400));
        assert_eq!(IfMatch::Absent.required().map_err(|problem| problem.status().as_u16()), Err(428));
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"3\", W/\"7\""));
        assert_eq!(Revision(7).answer(&headers, "body").status(), 304);
        let fresh = Revision(8).answer(&headers, "body");
        assert_eq!((fresh.status().as_u16(), &fresh.headers()[header::ETAG]), (200, &HeaderValue::from_static("\"8\"")));
    }
}
