//! What operators see and do: the same in every service, because it is about what the chassis keeps.
//!
//! | | |
//! |---|---|
//! | `GET /admin/sagas/{id}` | this participant's own truth about a saga |
//! | `GET /admin/attention` | the sagas that need a person here, and why |
//! | `GET /admin/pending` | what is committed and not known to be in the stream |
//! | `GET /admin/dead-letters?state=` | what nobody could take; `type=` and `since=` narrow; `replayed`, `discarded` and `set_aside` are states, too |
//! | `GET /admin/dead-letters/{id}` | one, with its original headers and bytes |
//! | `POST /admin/dead-letters/{id}/dry-run` | what the real reaction would do with it now, without a commit |
//! | `POST /admin/dead-letters/{id}/replay` | through the door again: once more or a thousand times, its claim lets it in once |
//! | `POST /admin/dead-letters/{id}/discard` | it never will; `{"note": "why"}` |
//! | `POST /admin/dead-letters/{id}/park` | nobody need look at it now; `{"note": "why"}`, which is required |
//! | `GET /admin/outbox?since=` | what was said since then, oldest first, and whether it is known to be in the stream |
//! | `/admin/restored…` | a database that has lost something: [`super::restored`] |
//! | `POST /admin/intents/{id}/retry-now` | do not wait for the backoff |
//! | `GET /admin/consumer`, `POST /admin/consumer/{pause,resume}` | whether this replica takes messages |

use std::sync::{Arc, OnceLock};

use axum::{
    Json, Router,
    body::Bytes,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use events::{CallId, SagaId, Timestamp, TraceContext};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;
use tracing::Instrument as _;
use uuid::Uuid;

use super::attention;
use crate::{
    calls::intents,
    edge::{Page, Path, Problem, Query},
    inbox::{
        End, Inbox, NotNow, dead_letter,
        dead_letter::{Listed, Place},
        parked, read,
    },
    service::Service,
    telemetry,
};

crate::statements! {
    /// In the order in which it took effect here.
    CLAIMS = "select json_build_object('id', id, 'door', door, 'type', type, 'source', source, 'happened', happened,
            'causation', causation, 'trace_id', replace(trace_id::text, '-', ''), 'because', because, 'taken_at', taken_at)
        from (
            select id, door, type, source, happened, causation, trace_id, because, taken_at from chassis.claims
                where id between chassis.first_of($1) and chassis.last_of($1) and saga = $1
            union all
            select id, 'command', type, source, happened, null, trace_id, because, taken_at from chassis.requests where saga = $1
        ) as claims order by taken_at, id";

    OUTBOX = "select json_build_object('id', said.id, 'type', said.type, 'data', said.body::json, 'causation', said.causation,
            'said_at', said.said_at, 'published', pending.id is null)
        from chassis.outbox as said left join chassis.outbox_pending as pending on pending.id = said.id
        where said.id between chassis.first_of($1) and chassis.last_of($1) and said.saga = $1 order by said.said_at, said.id";

    OUTBOX_SINCE = "select said.id, said.said_at, json_build_object('id', said.id, 'type', said.type, 'saga', said.saga,
            'said_at', said.said_at, 'published', pending.id is null) as shown
        from chassis.outbox as said left join chassis.outbox_pending as pending on pending.id = said.id
        where said.said_at >= $1 and (said.said_at, said.id) > ($2, $3) order by said.said_at, said.id limit $4";

    DEADLINES = "select json_build_object('name', name, 'at', at) from chassis.deadlines where saga = $1 order by at, name";

    PENDING = "select json_build_object('count', count(*), 'oldest', min(since)) from chassis.outbox_pending";

    PENDING_FIRST = "select json_build_object('id', pending.id, 'type', said.type, 'saga', said.saga, 'since', pending.since)
        from chassis.outbox_pending as pending left join chassis.outbox as said on said.id = pending.id
        order by pending.since, pending.id limit 100";
}

/// Where the inbox is put once its doors are open: probes are answered before.
pub(crate) type Slot<S> = Arc<OnceLock<Arc<Inbox<S>>>>;

/// The routes, for [`super::router`]. Until the slot is filled they answer 503.
pub(crate) fn routes<S: Service>(slot: Slot<S>) -> Router {
    Router::new()
        .route("/admin/sagas/{id}", get(saga::<S>))
        .route("/admin/attention", get(needing::<S>))
        .route("/admin/pending", get(pending::<S>))
        .route("/admin/outbox", get(outbox::<S>))
        .route("/admin/dead-letters", get(dead_letters::<S>))
        .route("/admin/dead-letters/{id}", get(show::<S>))
        .route("/admin/dead-letters/{id}/dry-run", post(dry_run::<S>))
        .route("/admin/dead-letters/{id}/park", post(park::<S>))
        .route("/admin/dead-letters/{id}/replay", post(replay::<S>))
        .route("/admin/dead-letters/{id}/discard", post(discard::<S>))
        .route("/admin/intents/{id}/retry-now", post(retry_now::<S>))
        .route("/admin/consumer", get(consumer::<S>))
        .route("/admin/consumer/pause", post(pause::<S>))
        .route("/admin/consumer/resume", post(resume::<S>))
        .with_state(slot.clone())
        .merge(super::restored::routes(slot))
}

pub(super) struct Desk<S: Service>(pub(super) Arc<Inbox<S>>);

impl<S: Service> FromRequestParts<Slot<S>> for Desk<S> {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, slot: &Slot<S>) -> Result<Self, Problem> {
        let starting = || Problem::of_status(StatusCode::SERVICE_UNAVAILABLE).saying("The service is starting.").retry_after(1);
        slot.get().cloned().map(Self).ok_or_else(starting)
    }
}

fn away(error: sqlx::Error) -> Problem {
    Problem::unavailable(&error)
}

async fn saga<S: Service>(Desk(inbox): Desk<S>, Path(saga): Path<SagaId>) -> Result<Json<Value>, Problem> {
    let pool = &inbox.pool;
    // What waits is read first: what takes effect meanwhile is then seen twice, and never not at all.
    let (intents, parked, dead) =
        tokio::try_join!(intents::of_saga(pool, saga), parked::of_saga(pool, saga), dead_letter::of_saga(pool, saga))
            .map_err(away)?;
    let (claims, outbox, deadlines) =
        tokio::try_join!(objects(pool, CLAIMS, saga), objects(pool, OUTBOX, saga), objects(pool, DEADLINES, saga))
            .map_err(away)?;
    let state = S::state(pool, saga).await.map_err(away)?;
    if state.is_none() && [&claims, &outbox, &deadlines, &intents, &parked, &dead].iter().all(|rows| rows.is_empty()) {
        return Err(Problem::not_found(format!("{} has never heard of this saga.", S::DECLARATION.service)));
    }
    Ok(Json(json!({
        "service": S::DECLARATION.service,
        "id": saga,
        "state": state,
        "claims": claims,
        "outbox": outbox,
        "intents": intents,
        "deadlines": deadlines,
        "parked": parked,
        "dead_letters": dead,
    })))
}

async fn objects(pool: &PgPool, statement: &'static str, saga: SagaId) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar(statement).bind(saga.0).fetch_all(pool).await
}

async fn needing<S: Service>(Desk(inbox): Desk<S>) -> Result<Json<Value>, Problem> {
    let usual = attention::usual(&inbox.pool).await.map_err(away)?;
    let mut needing = attention::needing::<S>(&inbox.pool, &usual).await.map_err(away)?;
    let count = needing.len();
    needing.truncate(100);
    Ok(Json(json!({"count": count, "first": needing})))
}

async fn pending<S: Service>(Desk(inbox): Desk<S>) -> Result<Json<Value>, Problem> {
    let mut pending: Value = sqlx::query_scalar(PENDING).fetch_one(&inbox.pool).await.map_err(away)?;
    let first: Vec<Value> = sqlx::query_scalar(PENDING_FIRST).fetch_all(&inbox.pool).await.map_err(away)?;
    pending["first"] = first.into();
    Ok(Json(pending))
}

#[derive(Deserialize)]
struct Since {
    since: Timestamp,
}

async fn outbox<S: Service>(
    Desk(inbox): Desk<S>,
    Query(Since { since }): Query<Since>,
    page: Page<Place>,
) -> Result<Response, Problem> {
    let (at, id) = page.after.unwrap_or((since.micros(), Uuid::nil()));
    let said = sqlx::query(OUTBOX_SINCE)
        .bind(OffsetDateTime::from(since))
        .bind(OffsetDateTime::from(Timestamp::from_micros(at)))
        .bind(id)
        .bind(i64::try_from(page.to_load()).unwrap_or(i64::MAX))
        .try_map(|row| Listed::of(&row, "said_at"));
    let found = said.fetch_all(&inbox.pool).await.map_err(away)?;
    Ok(page.answer(found, |one| one.place))
}

async fn dead_letters<S: Service>(
    Desk(inbox): Desk<S>,
    Query(wanted): Query<dead_letter::Wanted>,
    page: Page<Place>,
) -> Result<Response, Problem> {
    let most = i64::try_from(page.to_load()).unwrap_or(i64::MAX);
    let found = dead_letter::list(&inbox.pool, &wanted, page.after, most).await.map_err(away)?;
    Ok(page.answer(found, |one| one.place))
}

async fn found<S: Service>(inbox: &Inbox<S>, id: Uuid) -> Result<dead_letter::Dead, Problem> {
    let dead = dead_letter::find(&inbox.pool, id).await.map_err(away)?;
    dead.ok_or_else(|| Problem::not_found("There is no dead letter of that id."))
}

async fn show<S: Service>(Desk(inbox): Desk<S>, Path(id): Path<Uuid>) -> Result<Json<Value>, Problem> {
    let dead = found(&inbox, id).await?;
    let letter = &dead.letter;
    let mut shown = json!(dead);
    shown["subject"] = letter.subject.as_str().into();
    shown["headers"] = json!(letter.headers);
    match std::str::from_utf8(&letter.body) {
        Ok(text) => shown["body"] = text.into(),
        Err(_) => shown["body_base64"] = BASE64_STANDARD.encode(&letter.body).into(),
    }
    Ok(Json(shown))
}

async fn dry_run<S: Service>(Desk(inbox): Desk<S>, Path(id): Path<Uuid>) -> Result<Json<Value>, Problem> {
    let letter = found(&inbox, id).await?.letter;
    let heard = read::<S::Input>(|name| letter.header(name), &letter.body);
    let foretold = inbox.foretell(&heard).await.map_err(away)?;
    let mut shown = json!(foretold);
    shown["id"] = json!(id);
    Ok(Json(shown))
}

async fn replay<S: Service>(Desk(inbox): Desk<S>, Path(id): Path<Uuid>) -> Result<Json<Value>, Problem> {
    let letter = found(&inbox, id).await?.letter;
    let heard = read::<S::Input>(|name| letter.header(name), &letter.body);
    let span = tracing::info_span!("replay", otel.name = format!("process {}", letter.subject), dead_letter = %id);
    telemetry::child_of(&span, &TraceContext::read(letter.header("traceparent"), letter.header("tracestate")));
    let end = inbox.take(&heard).instrument(span).await.map_err(|error| match error {
        NotNow::Door(error) => Problem::unavailable(&error),
        NotNow::Store(error) => away(error),
    })?;
    match end {
        End::Done(done) => {
            tracing::info!(dead_letter = %id, ?done, "an operator replayed a dead letter");
            dead_letter::replayed(&inbox.pool, id).await.map_err(away)?;
            Ok(Json(json!({"id": id, "outcome": done})))
        }
        End::NotYet(why) | End::Dead(why) => {
            dead_letter::in_vain(&inbox.pool, id, &why).await.map_err(away)?;
            let detail = format!("{}: {}. It stays a dead letter.", why.code, why.text);
            Err(saga::Problem::new(409, "still-dead", "It still cannot be taken", detail).into())
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Remark {
    note: Option<String>,
}

impl Remark {
    fn of(body: &Bytes) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let malformed = |error: serde_json::Error| Problem::of_status(StatusCode::BAD_REQUEST).saying(error.to_string());
        serde_json::from_slice(body).map_err(malformed)
    }
}

async fn discard<S: Service>(Desk(inbox): Desk<S>, Path(id): Path<Uuid>, body: Bytes) -> Result<Json<Value>, Problem> {
    let Remark { note } = Remark::of(&body)?;
    settle(&inbox, id, dead_letter::State::Discarded, note.as_deref()).await
}

async fn park<S: Service>(Desk(inbox): Desk<S>, Path(id): Path<Uuid>, body: Bytes) -> Result<Json<Value>, Problem> {
    let missing = || Problem::of_status(StatusCode::BAD_REQUEST).saying("A note is required: who parks it, and until when.");
    let note = Remark::of(&body)?.note.filter(|note| !note.trim().is_empty()).ok_or_else(missing)?;
    settle(&inbox, id, dead_letter::State::SetAside, Some(&note)).await
}

/// One that has taken effect, or never will, is past deciding.
async fn settle<S: Service>(
    inbox: &Inbox<S>,
    id: Uuid,
    state: dead_letter::State,
    note: Option<&str>,
) -> Result<Json<Value>, Problem> {
    let was = found(inbox, id).await?.state;
    if !dead_letter::settle(&inbox.pool, id, state, note).await.map_err(away)? {
        let detail = format!("It is {was:?} already.");
        return Err(saga::Problem::new(409, "already-settled", "It has been settled", detail).into());
    }
    tracing::info!(dead_letter = %id, ?state, "an operator settled a dead letter");
    Ok(Json(json!({"id": id, "outcome": state})))
}

async fn retry_now<S: Service>(Desk(inbox): Desk<S>, Path(id): Path<CallId>) -> Result<Response, Problem> {
    if intents::due_now(&inbox.pool, &[id]).await.map_err(away)? > 0 {
        Ok((StatusCode::ACCEPTED, Json(json!({"id": id}))).into_response())
    } else {
        Err(Problem::not_found("No call of that id waits for an answer."))
    }
}

async fn consumer<S: Service>(Desk(inbox): Desk<S>) -> Json<Value> {
    Json(json!({"paused": *inbox.paused.borrow()}))
}

async fn pause<S: Service>(Desk(inbox): Desk<S>) -> Json<Value> {
    tracing::warn!("an operator paused this replica: it takes no messages");
    inbox.paused.send_replace(true);
    Json(json!({"paused": true}))
}

async fn resume<S: Service>(Desk(inbox): Desk<S>) -> Json<Value> {
    tracing::info!("an operator resumed this replica");
    inbox.paused.send_replace(false);
    Json(json!({"paused": false}))
}
