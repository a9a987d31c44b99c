//! What is to go wrong, said over HTTP: rules with a scope, a kind and a count.
//!
//! A rule strikes a call that its scope covers until its `times` are used up. Rules live in memory
//! and end with the process: a restarted partner is a well-behaved one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use problem_details::ProblemDetails;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Partner};

/// Rules at most: an intake that is filled by mistake must not eat the machine.
const RULES_MAX: usize = 1_000;
/// No fault delays anything for longer, in milliseconds.
const DELAY_MS_MAX: u64 = 600_000;

/// What a caller can want from a partner. `get` and `search` exist at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Authorize,
    Capture,
    Cancel,
    Refund,
    ListRefunds,
    Book,
    CancelBooking,
    Get,
    Search,
}

impl Operation {
    /// The word of the fault API and of the ledger's history.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
            Self::ListRefunds => "list_refunds",
            Self::Book => "book",
            Self::CancelBooking => "cancel_booking",
            Self::Get => "get",
            Self::Search => "search",
        }
    }
}

/// What is known of a call, for rules to single it out.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) operation: Operation,
    pub(crate) order_id: Option<String>,
    pub(crate) payment_method_tag: Option<String>,
    pub(crate) ship_to_name: Option<String>,
}

/// Which calls a rule is for: those that agree in everything said here. Empty: every call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    operation: Option<Operation>,
    order_id: Option<String>,
    payment_method_tag: Option<String>,
    ship_to_name: Option<String>,
}

impl Scope {
    fn covers(&self, facts: &Facts) -> bool {
        fn agrees<T: PartialEq>(wanted: &Option<T>, known: &Option<T>) -> bool {
            wanted.is_none() || wanted == known
        }
        agrees(&self.operation, &Some(facts.operation))
            && agrees(&self.order_id, &facts.order_id)
            && agrees(&self.payment_method_tag, &facts.payment_method_tag)
            && agrees(&self.ship_to_name, &facts.ship_to_name)
    }
}

/// What goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    /// The call is executed that much later, also when the caller has hung up by then.
    Latency { ms: u64 },
    /// 500 before anything was done; not stored under the key.
    #[serde(rename = "error_5xx")]
    Error5xx,
    /// 503 before anything was done; not stored.
    Unavailable,
    /// 429 before anything was done; not stored.
    TooManyRequests,
    /// The connection is closed before anything was done.
    Refuse,
    /// Executed, committed, and then the connection is closed without an answer.
    AnswerLost,
    /// A 500 is stored under the key and replayed ever after; the call was executed, or not.
    #[serde(rename = "stored_500")]
    Stored500 { executed: bool },
    /// The call is declined with this code, in the words of the partner.
    Decline { code: String },
    /// The capture is declined: `decline` with `generic_decline`, for captures only.
    CaptureFails,
    /// The authorization ends that long after it was given.
    AuthorizationLapses { ms: u64 },
    /// Search does not see what is younger than this.
    LookupLags { ms: u64 },
    /// The partner breaks its contract: a repeated key is executed again.
    KeyForgotten,
}

/// At which point of a call a rule strikes, and how.
pub(crate) enum Strike {
    Before(Before),
    KeyForgotten,
    Executing(Executing),
    AnswerLost,
    LookupLags(Duration),
}

/// Before anything was done.
pub(crate) enum Before {
    Wait(Duration),
    Close,
    Answer(StatusCode),
}

/// While the call is executed for the first time; a replay is out of reach.
pub(crate) enum Executing {
    Stored500 { executed: bool },
    Decline { code: String },
    LapsesAfter(Duration),
}

impl Kind {
    fn strike(&self, operation: Operation) -> Option<Strike> {
        use Operation::{Authorize, Capture, Search};
        let only = |wanted: Operation, strike| (operation == wanted).then_some(strike);
        match self {
            Self::Latency { ms } => Some(Strike::Before(Before::Wait(Duration::from_millis(*ms)))),
            Self::Refuse => Some(Strike::Before(Before::Close)),
            Self::Error5xx => Some(Strike::Before(Before::Answer(StatusCode::INTERNAL_SERVER_ERROR))),
            Self::Unavailable => Some(Strike::Before(Before::Answer(StatusCode::SERVICE_UNAVAILABLE))),
            Self::TooManyRequests => Some(Strike::Before(Before::Answer(StatusCode::TOO_MANY_REQUESTS))),
            Self::AnswerLost => Some(Strike::AnswerLost),
            Self::KeyForgotten => Some(Strike::KeyForgotten),
            Self::Stored500 { executed } => Some(Strike::Executing(Executing::Stored500 { executed: *executed })),
            Self::Decline { code } => Some(Strike::Executing(Executing::Decline { code: code.clone() })),
            Self::CaptureFails => {
                let code = "generic_decline".into();
                only(Capture, Strike::Executing(Executing::Decline { code }))
            }
            Self::AuthorizationLapses { ms } => {
                let after = Duration::from_millis(*ms);
                only(Authorize, Strike::Executing(Executing::LapsesAfter(after)))
            }
            Self::LookupLags { ms } => only(Search, Strike::LookupLags(Duration::from_millis(*ms))),
        }
    }
}

/// One rule as it is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    scope: Scope,
    kind: Kind,
    /// Strikes at most; without it there is no end.
    times: Option<u32>,
    /// The share of covered calls that is struck, 0 to 1; without it all are.
    rate: Option<f64>,
}

/// One field at fault (RFC 6901 pointer).
#[derive(Debug, Serialize)]
struct FieldError {
    pointer: &'static str,
    detail: String,
}

impl Rule {
    /// Everything that is wrong with the rule at this partner, all at once.
    fn errors(&self, partner: &Partner) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut unless = |fine: bool, pointer, detail: &str| {
            if !fine {
                errors.push(FieldError { pointer, detail: detail.into() });
            }
        };
        let scope = &self.scope;
        let words: Vec<_> = partner.operations.iter().map(|operation| operation.word()).collect();
        let known = scope.operation.is_none_or(|wanted| partner.operations.contains(&wanted));
        unless(known, "/scope/operation", &format!("this partner's operations are {}", words.join(", ")));
        let takes_cards = partner.operations.contains(&Operation::Authorize);
        unless(
            takes_cards || scope.payment_method_tag.is_none(),
            "/scope/payment_method_tag",
            "the carrier sees no payment method",
        );
        unless(!takes_cards || scope.ship_to_name.is_none(), "/scope/ship_to_name", "the card gateway sees no address");
        unless(self.times != Some(0), "/times", "must be at least 1");
        unless(self.rate.is_none_or(|rate| (0.0..=1.0).contains(&rate)), "/rate", "must be from 0 to 1");
        match &self.kind {
            Kind::Latency { ms } | Kind::AuthorizationLapses { ms } | Kind::LookupLags { ms } => {
                let detail = format!("ms must be at most {DELAY_MS_MAX}");
                unless(*ms <= DELAY_MS_MAX, "/kind", &detail);
            }
            Kind::Decline { code } => {
                let slug = code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let detail = "code must be 1 to 64 of a-z and _";
                unless(slug && (1..=64).contains(&code.len()), "/kind/decline/code", detail);
            }
            Kind::Error5xx
            | Kind::Unavailable
            | Kind::TooManyRequests
            | Kind::Refuse
            | Kind::AnswerLost
            | Kind::Stored500 { .. }
            | Kind::CaptureFails
            | Kind::KeyForgotten => {}
        }
        let of_cards = matches!(self.kind, Kind::CaptureFails | Kind::AuthorizationLapses { .. });
        unless(takes_cards || !of_cards, "/kind", "only the card gateway can do that");
        errors
    }
}

/// A rule in force, and how often it has struck.
#[derive(Clone, Debug, Serialize)]
struct Posted {
    id: u64,
    #[serde(flatten)]
    rule: Rule,
    struck: u32,
}

#[derive(Default)]
struct Board {
    last_id: u64,
    rules: BTreeMap<u64, Posted>,
}

/// The rules in force at one partner.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Board>>);

impl Faults {
    /// What strikes this call at the point that `pick` asks for, in the order of the rules.
    /// A strike counts only if it is picked.
    pub(crate) fn take<T>(&self, facts: &Facts, pick: impl Fn(Strike) -> Option<T>) -> Vec<T> {
        let mut board = self.board();
        let mut taken = Vec::new();
        for Posted { id, rule, struck } in board.rules.values_mut() {
            let left = rule.times.is_none_or(|times| *struck < times);
            if !left || !rule.scope.covers(facts) {
                continue;
            }
            let Some(picked) = rule.kind.strike(facts.operation).and_then(&pick) else { continue };
            if rule.rate.is_some_and(|rate| !rand::rng().random_bool(rate)) {
                continue;
            }
            *struck += 1;
            tracing::info!(rule = *id, kind = ?rule.kind, operation = facts.operation.word(), "fault");
            taken.push(picked);
        }
        taken
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().expect("nothing panics while it holds the board")
    }
}

/// `/faults`, the same at both partners.
pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/faults", get(list).post(create).delete(clear)).route("/faults/{id}", delete(remove))
}

async fn create(State(desk): State<Arc<Desk>>, body: Bytes) -> Response {
    let rule: Rule = match serde_json::from_slice(&body) {
        Ok(rule) => rule,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()).into_response(),
    };
    let errors = rule.errors(desk.partner);
    if !errors.is_empty() {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "The rule was not taken.")
            .with_extensions(HashMap::from([("errors", errors)]))
            .into_response();
    }
    let mut board = desk.faults.board();
    if board.rules.len() >= RULES_MAX {
        let detail = format!("There are {RULES_MAX} rules already: DELETE /faults first.");
        return problem(StatusCode::CONFLICT, &detail).into_response();
    }
    board.last_id += 1;
    let posted = Posted { id: board.last_id, rule, struck: 0 };
    board.rules.insert(posted.id, posted.clone());
    let location = format!("/faults/{}", posted.id);
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(posted)).into_response()
}

async fn list(State(desk): State<Arc<Desk>>) -> Json<Vec<Posted>> {
    Json(desk.faults.board().rules.values().cloned().collect())
}

async fn clear(State(desk): State<Arc<Desk>>) -> StatusCode {
    desk.faults.board().rules.clear();
    StatusCode::NO_CONTENT
}

async fn remove(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Response {
    let removed = id.parse().ok().and_then(|id: u64| desk.faults.board().rules.remove(&id));
    match removed {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => problem(StatusCode::NOT_FOUND, "There is no such rule.").into_response(),
    }
}

/// A problem answer (RFC 9457), for the doors that are ours and not the partner's.
pub(crate) fn problem(status: StatusCode, detail: &str) -> ProblemDetails {
    ProblemDetails::from_status_code(status).with_detail(detail)
}
