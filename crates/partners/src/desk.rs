//! The desk where every call arrives, the same at both partners: who is asking, what goes wrong
//! first, has this key been answered already, execute, keep the answer, what goes wrong last.
//! It knows neither cards nor parcels.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use headers::{Authorization, authorization::Credentials};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    faults::{self, Before, Executing, Facts, Faults, Operation, Strike, problem},
    ledger::{Books, Ledger, LedgerError, Pages, Record, StoredAnswer},
    server::Unanswered,
};

/// Records in one page of `/ledger`.
const PAGE_MAX: usize = 10_000;
/// The largest request.
const BODY_BYTES_MAX: usize = 64 << 10;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What differs between the partners' desks.
pub(crate) struct Partner {
    pub(crate) name: &'static str,
    pub(crate) operations: &'static [Operation],
    /// The partner's own words for trouble that is not about its business.
    pub(crate) word: fn(Trouble) -> Reply,
}

/// Trouble that every partner can meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Unauthorized,
    NoSuchRoute,
    KeyUnusable,
    KeyInUse,
    KeyReused,
    TooManyRequests,
    Internal,
    Unavailable,
}

/// A status and a JSON body.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    replayed: bool,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("answers are plain data");
        Self { status, body, replayed: false }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        let mut response = (self.status, [(header::CONTENT_TYPE, json)], self.body).into_response();
        let headers = response.headers_mut();
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// How a call ends for the caller.
enum Ending {
    Answered(Reply),
    Unanswered,
}

impl IntoResponse for Ending {
    fn into_response(self) -> Response {
        match self {
            Self::Answered(reply) => reply.into_response(),
            Self::Unanswered => {
                let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
                response.extensions_mut().insert(Unanswered);
                response
            }
        }
    }
}

/// An idempotency key with the fingerprint of the request that brought it.
pub(crate) struct Key {
    value: String,
    fingerprint: [u8; 32],
}

impl Key {
    /// The key of a request whose canonical content is `content`; no header, no key.
    pub(crate) fn of(headers: &HeaderMap, path: &str, content: &[u8]) -> Result<Option<Self>, Trouble> {
        let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let value = value.to_str().map_err(|_| Trouble::KeyUnusable)?;
        if value.is_empty() || value.len() > 255 {
            return Err(Trouble::KeyUnusable);
        }
        let fingerprint = Sha256::new().chain_update(path).chain_update([0]).chain_update(content);
        Ok(Some(Self { value: value.into(), fingerprint: fingerprint.finalize().into() }))
    }
}

/// What an effect is executed under.
pub(crate) struct Circumstances {
    pub(crate) now: OffsetDateTime,
    pub(crate) key: Option<String>,
    /// It is to be declined with this code.
    pub(crate) decline: Option<String>,
    /// An authorization is to end that soon.
    pub(crate) lapses_after: Option<Duration>,
}

/// A partner's desk.
pub(crate) struct Desk {
    pub(crate) partner: &'static Partner,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    credentials: [HeaderValue; 2],
    keys_in_use: Mutex<HashSet<String>>,
    stop: CancellationToken,
    calls: TaskTracker,
}

/// Marks a key as being executed until it is dropped.
struct InUse {
    desk: Arc<Desk>,
    key: Option<String>,
}

impl InUse {
    fn claim(desk: &Arc<Desk>, key: Option<&Key>) -> Option<Self> {
        let key = key.map(|key| key.value.clone());
        let fresh = key.as_ref().is_none_or(|key| desk.keys_in_use().insert(key.clone()));
        fresh.then(|| Self { desk: Arc::clone(desk), key })
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.desk.keys_in_use().remove(key);
        }
    }
}

impl Desk {
    pub(crate) fn new(
        partner: &'static Partner,
        credential: &SecretString,
        ledger: Ledger,
        stop: CancellationToken,
        calls: TaskTracker,
    ) -> Result<Self, headers::Error> {
        let bearer = Authorization::bearer(credential.expose_secret()).map_err(|_| headers::Error::invalid())?;
        let basic = Authorization::basic(credential.expose_secret(), "");
        let credentials = [bearer.0.encode(), basic.0.encode()];
        let (faults, keys_in_use) = (Faults::default(), Mutex::default());
        Ok(Self { partner, ledger, faults, credentials, keys_in_use, stop, calls })
    }

    /// Answers a mutation: executes `effect` unless its key was answered before, and keeps the
    /// answer under the key in the transaction of the effect.
    ///
    /// It runs on when the caller hangs up: a call that timed out can land late, as in life.
    pub(crate) async fn write(
        self: &Arc<Self>,
        facts: Facts,
        key: Option<Key>,
        effect: impl FnOnce(&Books<'_>, &Circumstances) -> Result<Reply, LedgerError> + Send + 'static,
    ) -> Response {
        let Some(in_use) = InUse::claim(self, key.as_ref()) else {
            return self.word(Trouble::KeyInUse).into_response();
        };
        let desk = Arc::clone(self);
        let call = self.calls.spawn(async move {
            let _in_use = in_use;
            if let Some(ending) = desk.before(&facts).await {
                return ending;
            }
            let (partner, faults, known) = (desk.partner, desk.faults.clone(), facts.clone());
            let change = desk.ledger.write(move |books| execute_once(books, partner, &faults, &known, key, effect));
            let reply = desk.reply_or_trouble(change.await);
            desk.after(&facts, reply)
        });
        match call.await {
            Ok(ending) => ending.into_response(),
            Err(_) => self.word(Trouble::Internal).into_response(),
        }
    }

    /// Answers a question. `look` is told the time after which everything is still unseen.
    pub(crate) async fn read(
        &self,
        facts: Facts,
        look: impl FnOnce(&Pages, OffsetDateTime) -> Result<Reply, LedgerError>,
    ) -> Response {
        if let Some(ending) = self.before(&facts).await {
            return ending.into_response();
        }
        let lags = self.faults.take(&facts, |strike| match strike {
            Strike::LookupLags(lag) => Some(lag),
            _ => None,
        });
        let lag = lags.into_iter().max().unwrap_or_default();
        let looked = self.ledger.read().and_then(|pages| look(&pages, pages.now - lag));
        self.after(&facts, self.reply_or_trouble(looked)).into_response()
    }

    async fn before(&self, facts: &Facts) -> Option<Ending> {
        let strikes = self.faults.take(facts, |strike| match strike {
            Strike::Before(before) => Some(before),
            _ => None,
        });
        for strike in strikes {
            match strike {
                Before::Wait(delay) => tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = self.stop.cancelled() => return Some(Ending::Unanswered),
                },
                Before::Close => return Some(Ending::Unanswered),
                Before::Answer(status) => {
                    let trouble = match status {
                        StatusCode::TOO_MANY_REQUESTS => Trouble::TooManyRequests,
                        StatusCode::SERVICE_UNAVAILABLE => Trouble::Unavailable,
                        _ => Trouble::Internal,
                    };
                    return Some(Ending::Answered(self.word(trouble)));
                }
            }
        }
        None
    }

    fn after(&self, facts: &Facts, reply: Reply) -> Ending {
        let lost = self.faults.take(facts, |strike| match strike {
            Strike::AnswerLost => Some(()),
            _ => None,
        });
        if lost.is_empty() { Ending::Answered(reply) } else { Ending::Unanswered }
    }

    pub(crate) fn word(&self, trouble: Trouble) -> Reply {
        (self.partner.word)(trouble)
    }

    pub(crate) fn reply_or_trouble(&self, result: Result<Reply, LedgerError>) -> Reply {
        result.unwrap_or_else(|error| {
            tracing::error!(%error, partner = self.partner.name, "the ledger failed");
            self.word(Trouble::Internal)
        })
    }

    fn keys_in_use(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.keys_in_use.lock().expect("nothing panics while it holds the keys")
    }
}

/// The heart of idempotency, inside the transaction.
fn execute_once(
    books: &Books<'_>,
    partner: &Partner,
    faults: &Faults,
    facts: &Facts,
    key: Option<Key>,
    effect: impl FnOnce(&Books<'_>, &Circumstances) -> Result<Reply, LedgerError>,
) -> Result<Reply, LedgerError> {
    if let Some(key) = &key
        && let Some(stored) = books.answer(partner.name, &key.value)?
        && faults.take(facts, |strike| matches!(strike, Strike::KeyForgotten).then_some(())).is_empty()
    {
        if stored.fingerprint != key.fingerprint {
            return Ok((partner.word)(Trouble::KeyReused));
        }
        let status = StatusCode::from_u16(stored.status).expect("only statuses are stored");
        return Ok(Reply { status, body: stored.body, replayed: true });
    }

    let mut circumstances =
        Circumstances { now: books.now, key: key.as_ref().map(|key| key.value.clone()), decline: None, lapses_after: None };
    let mut stored_500 = None;
    for strike in faults.take(facts, |strike| match strike {
        Strike::Executing(executing) => Some(executing),
        _ => None,
    }) {
        match strike {
            Executing::Stored500 { executed } => stored_500 = Some(executed),
            Executing::Decline { code } => circumstances.decline = Some(code),
            Executing::LapsesAfter(after) => circumstances.lapses_after = Some(after),
        }
    }
    let reply = match stored_500 {
        None => effect(books, &circumstances)?,
        Some(executed) => {
            if executed {
                effect(books, &circumstances)?;
            }
            (partner.word)(Trouble::Internal)
        }
    };
    if let Some(Key { value, fingerprint }) = key {
        let (status, body) = (reply.status.as_u16(), reply.body.clone());
        books.keep_answer(partner.name, &value, &StoredAnswer { fingerprint, status, body })?;
    }
    Ok(reply)
}

/// A partner's port: its `api` behind its key, and beside it what no real partner has.
pub(crate) fn open<T: Record>(desk: Arc<Desk>, api: Router<Arc<Desk>>) -> Router {
    api.method_not_allowed_fallback(no_such_route)
        .fallback(no_such_route)
        .layer(middleware::from_fn_with_state(Arc::clone(&desk), authenticate))
        .route("/livez", get(async || "ok"))
        .route("/ledger", get(page::<T>))
        .route("/ledger/{order_id}", get(of_order::<T>))
        .merge(faults::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(desk)
}

/// Lets only holders of the partner's key pass.
async fn authenticate(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    if shown.is_some_and(|shown| desk.credentials.contains(shown)) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
    (challenge, desk.word(Trouble::Unauthorized)).into_response()
}

async fn no_such_route(State(desk): State<Arc<Desk>>) -> Reply {
    desk.word(Trouble::NoSuchRoute)
}

#[derive(Deserialize)]
struct Turn {
    after: Option<String>,
    limit: Option<usize>,
}

/// A page of the ledger, in the order of creation.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    /// What to ask for as `after`; null on the last page.
    next: Option<String>,
}

async fn page<T: Record>(State(desk): State<Arc<Desk>>, turn: Result<Query<Turn>, QueryRejection>) -> Response {
    let turn = match turn {
        Ok(Query(turn)) => turn,
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, &error.body_text()).into_response();
        }
    };
    let limit = turn.limit.unwrap_or(1_000).clamp(1, PAGE_MAX);
    let ledger = desk.ledger.clone();
    // Thousands of records are decoded: not on a thread that serves calls.
    let listed = tokio::task::spawn_blocking(move || -> Result<Reply, LedgerError> {
        let (items, more) = ledger.read()?.page::<T>(turn.after.as_deref(), limit)?;
        let next = items.last().filter(|_| more).map(|last| last.id().to_owned());
        Ok(Reply::new(StatusCode::OK, &Page { items, next }))
    });
    desk.reply_or_trouble(listed.await.unwrap_or(Err(LedgerError::NotWritten))).into_response()
}

async fn of_order<T: Record>(State(desk): State<Arc<Desk>>, Path(order_id): Path<String>) -> Reply {
    let listed = desk.ledger.read().and_then(|pages| pages.of_order::<T>(&order_id));
    desk.reply_or_trouble(listed.map(|items| Reply::new(StatusCode::OK, &Page { items, next: None })))
}
