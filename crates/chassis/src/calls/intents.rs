//! The table of what is still to be asked of a partner, or still to be answered.
//!
//! A row is written with the state that wants it, and deleted with the state that its answer makes. In between nothing
//! is written as long as all goes well: the replica that commits it calls from memory, and until `due` nobody else begins.

use std::time::Duration;

use events::{CallId, SagaId, Timestamp, TraceContext};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgPool, Row as _, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::next::Ask;

crate::statements! {
    /// `due` is the next try and the lease in one: whoever finds one due moves it ahead, and so has it to himself until then.
    TAKE_DUE = "update chassis.intents set due = clock_timestamp() + make_interval(secs => $2)
        where id in (
            select id from chassis.intents where due <= clock_timestamp() order by due, id limit $1 for update skip locked
        )
        returning id, call, traceparent, tracestate, tries, look_up";

    NOTE = "update chassis.intents as intent
        set tries = note.tries, last_error = note.error, look_up = note.look_up,
            due = clock_timestamp() + make_interval(secs => note.wait)
        from (
            select * from unnest($1::uuid[], $2::int[], $3::text[], $4::bool[], $5::float8[])
                as note (id, tries, error, look_up, wait)
            order by id
        ) as note
        where intent.id = note.id";

    DUE_NOW = "update chassis.intents set due = clock_timestamp()
        where id in (select id from chassis.intents where id = any($1) order by id for update)";

    WAITING = "select intent.call, intent.tries, intent.last_error, intent.due, dead.code
        from (select) as one
        left join (
            select * from chassis.intents where id between chassis.first_of($1) and chassis.last_of($1) and saga = $1 order by id limit 1
        ) as intent on true
        left join (
            select code from chassis.dead_letters where saga = $1 and state = 'dead' order by buried_at, id limit 1
        ) as dead on true
        where intent.id is not null or dead.code is not null";

    OF_SAGA = "select json_build_object('id', id, 'call', call, 'tries', tries, 'last_error', last_error, 'due', due, 'looking_up', look_up)
        from chassis.intents where id between chassis.first_of($1) and chassis.last_of($1) and saga = $1 order by id";
}

/// An intent that this replica has to itself for a while.
#[derive(Clone, Debug)]
pub(crate) struct Held<C> {
    pub(crate) id: CallId,
    pub(crate) call: C,
    /// Of the reaction that wants it.
    pub(crate) trace: TraceContext,
    /// How often this key was tried.
    pub(crate) tries: u32,
    pub(crate) ask: Ask,
}

/// What is to be remembered of a try that brought no answer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Note {
    pub(crate) id: CallId,
    pub(crate) tries: u32,
    pub(crate) error: String,
    pub(crate) ask: Ask,
    /// From now on.
    pub(crate) wait: Duration,
}

/// Those that are due, at most so many; nobody else is given them before `lease` is over.
pub(crate) async fn take_due<C: saga::Calls>(pool: &PgPool, most: i64, lease: Duration) -> sqlx::Result<Vec<Held<C>>> {
    let rows = sqlx::query(TAKE_DUE).bind(most).bind(lease.as_secs_f64()).fetch_all(pool).await?;
    rows.iter().map(held).collect()
}

fn held<C: saga::Calls>(row: &PgRow) -> sqlx::Result<Held<C>> {
    let Json(call) = row.try_get::<Json<C>, _>("call")?;
    Ok(Held {
        id: CallId(row.try_get("id")?),
        call,
        trace: TraceContext { traceparent: row.try_get("traceparent")?, tracestate: row.try_get("tracestate")? },
        tries: u32::try_from(row.try_get::<i32, _>("tries")?).unwrap_or(u32::MAX),
        ask: if row.try_get("look_up")? { Ask::LookUp } else { Ask::Call },
    })
}

/// Remembers tries that brought no answer, and when each is tried again.
pub(crate) async fn note(pool: &PgPool, notes: &[Note]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = notes.iter().map(|note| note.id.0).collect();
    let tries: Vec<i32> = notes.iter().map(|note| i32::try_from(note.tries).unwrap_or(i32::MAX)).collect();
    let errors: Vec<String> = notes.iter().map(|note| note.error.replace('\0', "\u{FFFD}")).collect();
    let look_ups: Vec<bool> = notes.iter().map(|note| note.ask == Ask::LookUp).collect();
    let waits: Vec<f64> = notes.iter().map(|note| note.wait.as_secs_f64()).collect();
    sqlx::query(NOTE).bind(ids).bind(tries).bind(errors).bind(look_ups).bind(waits).execute(pool).await?;
    Ok(())
}

/// Makes them due now, for any replica; how many of them there are.
pub(crate) async fn due_now(pool: &PgPool, ids: &[CallId]) -> sqlx::Result<u64> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    Ok(sqlx::query(DUE_NOW).bind(ids).execute(pool).await?.rows_affected())
}

/// What a saga waits for here: part of a service's answer to "how does this order stand".
#[derive(Clone, PartialEq, Serialize, ToSchema, Debug)]
pub struct Waiting {
    /// The call that has not been answered: `AuthorizeCard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// How often it was tried under its key, without counting what is under way.
    pub tries: u32,
    /// Why the last try brought no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_try: Option<Timestamp>,
    /// The code of a message about it that nobody could take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<String>,
}

/// What it waits for; none when for nothing.
pub(crate) async fn waiting<C: saga::Calls>(pool: &PgPool, saga: SagaId) -> sqlx::Result<Option<Waiting>> {
    let waiting = |row: PgRow| {
        let tries = row.try_get::<Option<i32>, _>("tries")?.map_or(0, i32::unsigned_abs);
        let due: Option<OffsetDateTime> = row.try_get("due")?;
        Ok(Waiting {
            call: row.try_get::<Option<Json<C>>, _>("call")?.map(|Json(call)| call.name().to_owned()),
            tries,
            last_error: row.try_get("last_error")?,
            // Before the first try has failed, `due` is when somebody else would begin: nothing that one waits for.
            next_try: due.filter(|_| tries > 0).map(Timestamp::from),
            dead_letter: row.try_get("code")?,
        })
    };
    sqlx::query(WAITING).bind(saga.0).try_map(waiting).fetch_optional(pool).await
}

/// Those of one saga, as operators see them.
pub(crate) async fn of_saga(pool: &PgPool, saga: SagaId) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar(OF_SAGA).bind(saga.0).fetch_all(pool).await
}
