//! What happened to a saga here. The claims and the outbox are the log; nothing else is written down for it.

mod asking;

pub(crate) use asking::Asking;

use events::{SagaId, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    PgPool, Row as _,
    postgres::PgRow,
    types::{Json, time::OffsetDateTime},
};
use uuid::Uuid;

/// What came, and what came of it: of saga `asked.saga`. What was said, this service said.
#[doc(hidden)]
#[macro_export]
macro_rules! entries {
    () => {
        "select id, door, type, source, happened, causation, trace_id, because, taken_at, true as published, 0 as place
            from chassis.claims
            where id between chassis.first_of(asked.saga) and chassis.last_of(asked.saga) and saga = asked.saga
        union all
        select id, 'command', type, source, happened, null, trace_id, because, taken_at, true, 0
            from chassis.requests where saga = asked.saga
        union all
        select o.id, 'said', o.type, null, o.said_at, o.causation,
               nullif(replace(substr(o.traceparent, 4, 32), '-', ''), '')::uuid, null, o.said_at,
               not exists (select from chassis.outbox_pending as p where p.id = o.id), 1
            from chassis.outbox as o
            where o.id between chassis.first_of(asked.saga) and chassis.last_of(asked.saga) and o.saga = asked.saga"
    };
}

/// The statement that gives rows of the service's own with the logs of the same sagas, for [`House::told`](crate::House::told).
/// `$row` selects one column, a JSON document, of saga `asked.saga`.
///
/// ```
/// const TOLD: &str = chassis::with_log!("select hold from holds where order_id = asked.saga");
/// assert!(TOLD.contains("from holds"));
/// ```
#[macro_export]
macro_rules! with_log {
    ($row:literal) => {
        concat!(
            "select asked.saga, case when row_number() over (partition by asked.saga order by taken_at, place, happened, id) = 1
                then (",
            $row,
            ") end as own, log.* from unnest($1::uuid[]) as asked (saga) left join lateral (",
            $crate::entries!(),
            ") as log on true order by asked.saga, taken_at, place, happened, id"
        )
    };
}

crate::statements! {
    /// What came, then what came of it. What shared a transaction came in the order in which it happened elsewhere.
    OF_SAGA = concat!("select log.* from (values ($1::uuid)) as asked (saga) cross join lateral (", crate::entries!(),
        ") as log order by taken_at, place, happened, id");
}

/// Something that came, or that was said.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Entry {
    /// The event's, or the claim's.
    pub id: Uuid,
    /// `command`, `event`, `answer`, `deadline`, or `said`.
    pub door: String,
    /// The event's type, or the name of the command, call or deadline.
    #[serde(rename = "type")]
    pub ty: String,
    /// Who said it.
    pub source: String,
    /// When it happened there.
    pub happened: Timestamp,
    /// What led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation: Option<Uuid>,
    /// The trace that it belongs to: 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Why nothing left the house, if nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// When it took effect here.
    pub taken_at: Timestamp,
    /// It is known to be in the stream, as far as it belongs there.
    pub published: bool,
}

/// In the order in which it took effect. `service` is whose log this is.
///
/// # Errors
/// What the database says.
pub async fn of(pool: &PgPool, service: &str, saga: SagaId) -> sqlx::Result<Vec<Entry>> {
    sqlx::query(OF_SAGA).bind(saga.0).try_map(|row| entry(&row, service)).fetch_all(pool).await
}

/// One row of what [`with_log!`](macro@crate::with_log) gives for each entry; where there is no entry, one with the own row.
fn own_and_entries<R>(rows: &[PgRow], service: &str) -> sqlx::Result<Option<(R, Vec<Entry>)>>
where
    R: DeserializeOwned + Send + Unpin + 'static,
{
    let Some(first) = rows.first() else { return Ok(None) };
    let Some(Json(own)) = first.try_get::<Option<Json<R>>, _>("own")? else { return Ok(None) };
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        // A row whose log has gone stands beside nothing.
        if row.try_get::<Option<Uuid>, _>("id")?.is_some() {
            entries.push(entry(row, service)?);
        }
    }
    Ok(Some((own, entries)))
}

fn entry(row: &PgRow, service: &str) -> sqlx::Result<Entry> {
    let time = |column| row.try_get::<OffsetDateTime, _>(column).map(Timestamp::from);
    Ok(Entry {
        id: row.try_get("id")?,
        door: row.try_get("door")?,
        ty: row.try_get("type")?,
        source: row.try_get::<Option<String>, _>("source")?.unwrap_or_else(|| service.to_owned()),
        happened: time("happened")?,
        causation: row.try_get("causation")?,
        trace_id: row.try_get::<Option<Uuid>, _>("trace_id")?.map(|id| id.simple().to_string()),
        because: row.try_get("because")?,
        taken_at: time("taken_at")?,
        published: row.try_get("published")?,
    })
}
