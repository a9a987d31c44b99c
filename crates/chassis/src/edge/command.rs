//! The one extractor of every mutation: who, under which key, with which valid body; and the one way to carry it out.
//!
//! ```text
//! async fn rename(State(house): State<House>, name: Command<NewName>) -> Result<Answer, Problem> {
//!     name.submit(&house.door, |name| Input::Rename(name.into())).await
//! }
//! ```

use std::future::Future;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts as _, OriginalUri, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use saga::{Claim, Receipt};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::{
    Principal, Problem,
    idempotency::{InProgress, key_of, scope},
    problem::{IN_PROGRESS, INTERNAL, KEY_REUSED, OVERLOADED, RESTORED, TOO_LARGE, UNAVAILABLE, UNSUPPORTED_MEDIA_TYPE},
    validate,
};
use crate::failpoint::Boundary;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The door that commands go through, to be decided and committed.
pub trait Commands<I>: Send + Sync {
    /// Takes one input under its claim. It goes on when nobody waits for it any more.
    fn take(&self, claim: Claim, input: I) -> impl Future<Output = Result<Taken, NotTaken>> + Send;
}

/// What became of a command.
#[derive(Clone, PartialEq, Debug)]
pub enum Taken {
    /// It took effect, and this is its answer.
    Now(Receipt),
    /// It took effect before, and this was its answer.
    Before(Receipt),
    /// Another body took effect under this key.
    OtherBody,
    /// It was refused, and nothing was kept.
    Refused(saga::Problem),
}

/// Why nothing became of a command, as far as is known. The same key may be tried again.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum NotTaken {
    /// There is too much to do: the queue or the outbox is full.
    #[error("there is too much to do")]
    Full {
        /// When to try again, in seconds.
        retry_after: u64,
    },
    /// The database has lost something, and nothing is taken until it is put right.
    #[error("{0}")]
    Restored(String),
    /// The database is away, or the commit is in doubt.
    #[error("the database is away")]
    Away,
    /// Our fault; logged where it happened.
    #[error("taking it failed")]
    Failed,
}

/// A body without fields, for a command that its path says whole. No body at all is one, too.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// A mutation that has been read and found valid, under its key.
#[derive(Debug)]
pub struct Command<T> {
    /// What was sent.
    pub body: T,
    claim: Claim,
    key: [u8; 32],
    in_progress: InProgress,
}

impl<T> Command<T> {
    /// Takes effect through `door`, once, however often it comes: the answer of a repeat is that of the first.
    pub async fn submit<I>(self, door: &impl Commands<I>, input: impl FnOnce(T) -> I) -> Result<Answer, Problem> {
        let Some(_turn) = self.in_progress.enter(self.key) else {
            return Err(Problem::of(&IN_PROGRESS).retry_after(1));
        };
        let taken = async {
            Boundary::Command.before().reached().await.map_err(|_| NotTaken::Away)?;
            let taken = door.take(self.claim, input(self.body)).await?;
            Boundary::Command.after().reached().await.map_err(|_| NotTaken::Away)?;
            Ok(taken)
        };
        match taken.await {
            Ok(Taken::Now(receipt)) => Ok(Answer::new(receipt, false)),
            Ok(Taken::Before(receipt)) => Ok(Answer::new(receipt, true)),
            Ok(Taken::OtherBody) => Err(Problem::of(&KEY_REUSED)),
            Ok(Taken::Refused(problem)) => Err(problem.into()),
            Err(NotTaken::Full { retry_after }) => Err(Problem::of(&OVERLOADED).retry_after(retry_after)),
            Err(NotTaken::Restored(why)) => Err(Problem::of(&RESTORED).saying(why).retry_after(5)),
            Err(NotTaken::Away) => Err(Problem::of(&UNAVAILABLE).retry_after(1)),
            Err(NotTaken::Failed) => Err(Problem::of(&INTERNAL)),
        }
    }
}

impl<S, T> FromRequest<S> for Command<T>
where
    S: Send + Sync,
    T: DeserializeOwned + ToSchema + 'static,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Ok(principal) = Principal::from_request_parts(&mut parts, state).await;
        let key = key_of(&parts.method, &parts.headers)?;
        let path = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0).path();
        let key = match key {
            Some(key) => scope(&principal, &parts.method, path, &key),
            // A PUT is idempotent by itself; its claim is of this one request.
            None => rand::random(),
        };
        let in_progress = parts.extensions.get::<InProgress>().cloned().unwrap_or_default();
        let typed = json_type(&parts.headers);
        let bytes = Bytes::from_request(Request::from_parts(parts, body), state).await.map_err(unread)?;
        if !bytes.is_empty() && !typed {
            return Err(Problem::of(&UNSUPPORTED_MEDIA_TYPE));
        }
        let (body, fingerprint) = validate::read(&bytes)?;
        Ok(Self { body, claim: Claim::Request { key, fingerprint }, key, in_progress })
    }
}

/// `application/json`, or a type whose suffix says that it is JSON.
fn json_type(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|essence| essence.trim().to_ascii_lowercase());
    essence.is_some_and(|essence| {
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

fn unread(rejection: axum::extract::rejection::BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::of(&TOO_LARGE),
        _ => Problem::of_status(StatusCode::BAD_REQUEST).saying("The body broke off before its end."),
    }
}

/// The answer to a command: what its claim keeps, and whether it is a repeat.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// Status and body, as they were committed with the effect.
    pub receipt: Receipt,
    /// The command had taken effect before.
    pub replayed: bool,
    location: Option<HeaderValue>,
}

impl Answer {
    fn new(receipt: Receipt, replayed: bool) -> Self {
        Self { receipt, replayed, location: None }
    }

    /// What was made is found there.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.location = HeaderValue::from_str(path).ok();
        self
    }

    /// With that status and body in place of those that the claim keeps: a fresher look at the same thing.
    #[must_use]
    pub fn showing(mut self, receipt: Receipt) -> Self {
        self.receipt = receipt;
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.receipt.status).unwrap_or(StatusCode::OK);
        let mut response = (status, Json(self.receipt.body)).into_response();
        if let Some(location) = self.location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        if self.replayed {
            response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
