//! Errors as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) documents. Their `type` is a page that this service serves.

use std::borrow::Cow;

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use problem_details::ProblemDetails;
use saga::Fault;
use serde::Serialize;

/// A kind of problem, with the page that its `type` leads to.
#[derive(Clone, Copy, Debug)]
pub struct ProblemPage {
    /// The last part of its `type`: `idempotency-key-missing`.
    pub slug: &'static str,
    /// HTTP's.
    pub status: u16,
    /// The slug in words.
    pub title: &'static str,
    /// When it comes, and what to do about it.
    pub text: &'static str,
}

const fn page(slug: &'static str, status: u16, title: &'static str, text: &'static str) -> ProblemPage {
    ProblemPage { slug, status, title, text }
}

pub(super) const BAD_REQUEST: ProblemPage =
    page("bad-request", 400, "Bad request", "A part of the request cannot be understood; `detail` says which.");
pub(super) const MALFORMED_JSON: ProblemPage =
    page("malformed-json", 400, "Malformed JSON", "The body is not JSON in UTF-8. `detail` says where reading stopped.");
pub(super) const KEY_MISSING: ProblemPage = page(
    "idempotency-key-missing",
    400,
    "Idempotency-Key is missing",
    "Every POST needs the header `Idempotency-Key`: a quoted string of your choice, such as a UUID, the same one when you \
     send the same request again. The request then takes effect once, and every repeat gets the first answer \
     (draft-ietf-httpapi-idempotency-key-header). Example: `Idempotency-Key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\"`.",
);
pub(super) const KEY_MALFORMED: ProblemPage = page(
    "idempotency-key-malformed",
    400,
    "Idempotency-Key is malformed",
    "The header `Idempotency-Key` is a structured-field string (RFC 9651): in double quotes, 1 to 255 visible ASCII \
     characters, and only one of it.",
);
pub(super) const NOT_FOUND: ProblemPage =
    page("not-found", 404, "Not found", "There is nothing here. `/docs` lists what there is.");
pub(super) const METHOD_NOT_ALLOWED: ProblemPage =
    page("method-not-allowed", 405, "Method not allowed", "This exists, but not for that method. `Allow` lists those it has.");
pub(super) const IN_PROGRESS: ProblemPage = page(
    "request-in-progress",
    409,
    "The first request with this key is in progress",
    "Another request with the same `Idempotency-Key` has not been answered yet. Send it again after `Retry-After` seconds: it \
     gets the first one's answer.",
);
pub(super) const PRECONDITION_FAILED: ProblemPage = page(
    "precondition-failed",
    412,
    "It has changed meanwhile",
    "The entity tag in `If-Match` is not the current one. Read it again, then decide again.",
);
pub(super) const TOO_LARGE: ProblemPage = page("body-too-large", 413, "Body too large", "The body is larger than is accepted.");
pub(super) const UNSUPPORTED_MEDIA_TYPE: ProblemPage =
    page("unsupported-media-type", 415, "Unsupported media type", "The body must be sent as `Content-Type: application/json`.");
pub(super) const INVALID: ProblemPage = page(
    "invalid-body",
    422,
    "The body is not as described",
    "`errors` names every field at fault by its JSON pointer (RFC 6901). `/docs` says what each may hold.",
);
pub(super) const KEY_REUSED: ProblemPage = page(
    "idempotency-key-reused",
    422,
    "Idempotency-Key was used for another body",
    "A request with the same key and another body was answered before. A new request needs a new key.",
);
pub(super) const PRECONDITION_REQUIRED: ProblemPage = page(
    "precondition-required",
    428,
    "If-Match is missing",
    "A change of this needs `If-Match` with the entity tag that was read, so that nobody's change is lost.",
);
pub(super) const INTERNAL: ProblemPage = page(
    "internal-error",
    500,
    "Internal error",
    "This is our fault. `trace_id` finds what happened. A repeat under the same key is safe.",
);
pub(super) const OVERLOADED: ProblemPage = page(
    "overloaded",
    503,
    "Too much to do",
    "The service has more to do than it can. Send the request again after `Retry-After` seconds; under the same key it \
     takes effect once.",
);
pub(super) const UNAVAILABLE: ProblemPage = page(
    "unavailable",
    503,
    "Something this needs is away",
    "What this service stands on does not answer. Send the request again after `Retry-After` seconds, under the same key.",
);
pub(super) const RESTORED: ProblemPage = page(
    "database-restored",
    503,
    "The database has lost something",
    "The database of this service is older than what it has said: it was restored, or lost its last seconds. Nothing is taken \
     until that is put right (`ensemble reconcile`); `detail` says what was found. Send the request again later, under the same \
     key: if it had taken effect before, it is answered as then.",
);
pub(super) const DEADLINE: ProblemPage = page(
    "deadline-passed",
    504,
    "It took too long",
    "The answer was not there in time. What the request asked for may have happened: send it again under the same key to learn it.",
);

/// Those of every service.
const PAGES: [ProblemPage; 18] = [
    BAD_REQUEST,
    MALFORMED_JSON,
    KEY_MISSING,
    KEY_MALFORMED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    IN_PROGRESS,
    PRECONDITION_FAILED,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID,
    KEY_REUSED,
    PRECONDITION_REQUIRED,
    INTERNAL,
    OVERLOADED,
    UNAVAILABLE,
    RESTORED,
    DEADLINE,
];

/// Why a request is refused, on its way to becoming a problem document.
#[derive(Clone, PartialEq, Debug)]
pub struct Problem(Box<Content>);

#[derive(Clone, PartialEq, Debug)]
struct Content {
    status: StatusCode,
    slug: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: String,
    errors: Vec<Fault>,
    headers: HeaderMap,
}

/// RFC 9457's extension members.
#[derive(Serialize)]
struct Members {
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

impl Problem {
    /// Of that kind; its page is the detail until [`Self::saying`] says more.
    pub fn of(page: &ProblemPage) -> Self {
        Self(Box::new(Content {
            status: StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            slug: page.slug.into(),
            title: page.title.into(),
            detail: page.text.to_owned(),
            errors: Vec::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// What a bare status means here; one that has no page is named after itself.
    pub fn of_status(status: StatusCode) -> Self {
        if let Some(page) = PAGES.iter().find(|page| page.status == status.as_u16()) {
            return Self::of(page);
        }
        Self(Box::new(Content {
            status,
            slug: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            detail: String::new(),
            errors: Vec::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::of(&NOT_FOUND).saying(detail)
    }

    /// Our fault: logged here, once, and told without its reason.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let reasons: Vec<String> =
            std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string).collect();
        tracing::error!(%error, because = reasons.join(": "), "a request failed");
        Self::of(&INTERNAL)
    }

    /// Something that this service stands on is away for now: logged here, told as 503.
    pub fn unavailable(error: &dyn std::error::Error) -> Self {
        tracing::warn!(%error, "a request met something that is away");
        Self::of(&UNAVAILABLE).retry_after(1)
    }

    /// What is wrong this time.
    #[must_use]
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// These fields are at fault.
    #[must_use]
    pub fn at(mut self, errors: Vec<Fault>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The same request may succeed after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    /// The answer carries that header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// HTTP's.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Each field at fault.
    pub fn errors(&self) -> &[Fault] {
        &self.0.errors
    }

    /// The answer, naming the request. Of the headers so far only those stay that describe no body.
    pub(super) fn document(self, path: &str, trace_id: Option<String>, so_far: &HeaderMap) -> Response {
        let Content { status, slug, title, detail, errors, headers } = *self.0;
        let mut details = ProblemDetails::new()
            .with_type(uri(&if slug.contains(':') { slug.into_owned() } else { format!("/problems/{slug}") }))
            .with_status(status)
            .with_title(title)
            .with_extensions(Members { trace_id, errors });
        if !detail.is_empty() {
            details = details.with_detail(detail);
        }
        if !path.is_empty() {
            details = details.with_instance(uri(path));
        }
        let mut response = details.into_response();
        let kept = so_far.iter().filter(|(name, _)| **name != header::CONTENT_TYPE && **name != header::CONTENT_LENGTH);
        for (name, value) in kept.chain(&headers) {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}

/// A path or a `type` as a URI; what is none (nothing that a request line can hold) becomes the root.
fn uri(text: &str) -> Uri {
    text.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

impl From<saga::Problem> for Problem {
    fn from(refused: saga::Problem) -> Self {
        Self(Box::new(Content {
            status: StatusCode::from_u16(refused.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY),
            slug: refused.slug.into(),
            title: refused.title.into(),
            detail: refused.detail,
            errors: refused.errors,
            headers: HeaderMap::new(),
        }))
    }
}

/// Whatever no route knows.
pub(super) async fn unknown_route() -> Problem {
    Problem::of(&NOT_FOUND)
}

/// The pages that `type`s lead to.
pub(super) fn pages(own: &'static [ProblemPage]) -> Router {
    let all = || own.iter().chain(&PAGES);
    let index = move || async move { all().map(|page| format!("/problems/{}: {}\n", page.slug, page.title)).collect::<String>() };
    let one = move |super::Path(slug): super::Path<String>| async move {
        all()
            .find(|page| page.slug == slug)
            .map(|page| format!("{} ({})\n\n{}\n", page.title, page.status, page.text))
            .ok_or_else(|| Problem::of(&NOT_FOUND))
    };
    Router::new().route("/problems", get(index)).route("/problems/{slug}", get(one))
}
