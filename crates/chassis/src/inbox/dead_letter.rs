//! What nobody could take: kept with its code, its reason and its original bytes until somebody replays or discards it.

use events::{SagaId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::reading::{Letter, storable};

crate::statements! {
    /// One that was replayed and died again is dead again; one that was discarded stays so.
    BURY = "insert into chassis.dead_letters (id, saga, type, code, reason, subject, headers, body)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (id) do update set state = 'dead', code = excluded.code, reason = excluded.reason, settled_at = null
        where chassis.dead_letters.state = 'replayed'";

    COUNT = "select count(*) from chassis.dead_letters where state = 'dead'";

    LIST = "select id, buried_at, json_build_object('id', id, 'saga', saga, 'type', type, 'code', code, 'reason', reason,
            'subject', subject, 'buried_at', buried_at, 'state', state, 'note', note, 'settled_at', settled_at) as shown
        from chassis.dead_letters
        where state = $1 and (buried_at, id) > ($2, $3) order by buried_at, id limit $4";

    OF_SAGA = "select json_build_object('id', id, 'type', type, 'code', code, 'reason', reason, 'buried_at', buried_at,
            'state', state, 'note', note)
        from chassis.dead_letters where saga = $1 order by buried_at, id";

    FIND = "select saga, state, code, reason, note, buried_at, subject, headers, body from chassis.dead_letters where id = $1";

    SETTLE = "update chassis.dead_letters set state = $2, note = coalesce($3, note), settled_at = clock_timestamp() where id = $1";
}

/// Why something waits or is dead: a code that never changes, and what was found this time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// What an operator has made of a dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Nothing yet.
    #[default]
    Dead,
    /// It went through the door again, and had its effect or a named nothing.
    Replayed,
    /// It never will.
    Discarded,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "replayed" => Self::Replayed,
            "discarded" => Self::Discarded,
            _ => Self::Dead,
        }
    }
}

/// Keeps it. Committed when this returns: it may be acknowledged.
pub(crate) async fn bury(pool: &PgPool, id: Uuid, saga: Option<SagaId>, letter: &Letter, why: &Reason) -> sqlx::Result<()> {
    sqlx::query(BURY)
        .bind(id)
        .bind(saga.map(|saga| saga.0))
        .bind(letter.ty())
        .bind(why.code)
        .bind(storable(&why.text))
        .bind(storable(&letter.subject))
        .bind(letter.headers_as_json())
        .bind(letter.body.as_ref())
        .execute(pool)
        .await?;
    Ok(())
}

/// How many are dead.
pub(crate) async fn count(pool: &PgPool) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

/// Where a dead letter stands in the list, oldest first: microseconds since 1970, then its id.
pub(crate) type Place = (i64, Uuid);

/// One, as lists show it.
#[derive(Serialize, Debug)]
#[serde(transparent)]
pub(crate) struct Listed {
    shown: Value,
    #[serde(skip)]
    pub(crate) place: Place,
}

/// Those in that state, oldest first, behind that place.
pub(crate) async fn list(pool: &PgPool, state: State, after: Option<Place>, most: i64) -> sqlx::Result<Vec<Listed>> {
    let (at, id) = after.unwrap_or((0, Uuid::nil()));
    sqlx::query(LIST)
        .bind(state.word())
        .bind(OffsetDateTime::from(Timestamp::from_micros(at)))
        .bind(id)
        .bind(most)
        .try_map(|row: PgRow| {
            let at = Timestamp::from(row.try_get::<OffsetDateTime, _>("buried_at")?);
            Ok(Listed { shown: row.try_get("shown")?, place: (at.micros(), row.try_get("id")?) })
        })
        .fetch_all(pool)
        .await
}

/// Those of one saga.
pub(crate) async fn of_saga(pool: &PgPool, saga: SagaId) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar(OF_SAGA).bind(saga.0).fetch_all(pool).await
}

/// One, whole.
#[derive(Debug)]
pub(crate) struct Dead {
    pub(crate) saga: Option<SagaId>,
    pub(crate) state: State,
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) note: Option<String>,
    pub(crate) buried_at: Timestamp,
    pub(crate) letter: Letter,
}

/// The one of that id.
pub(crate) async fn find(pool: &PgPool, id: Uuid) -> sqlx::Result<Option<Dead>> {
    let dead = |row: PgRow| {
        Ok(Dead {
            saga: row.try_get::<Option<Uuid>, _>("saga")?.map(SagaId::from),
            state: State::of(&row.try_get::<String, _>("state")?),
            code: row.try_get("code")?,
            reason: row.try_get("reason")?,
            note: row.try_get("note")?,
            buried_at: row.try_get::<OffsetDateTime, _>("buried_at")?.into(),
            letter: Letter::stored(&row)?,
        })
    };
    sqlx::query(FIND).bind(id).try_map(dead).fetch_optional(pool).await
}

/// An operator has decided.
pub(crate) async fn settle(pool: &PgPool, id: Uuid, state: State, note: Option<&str>) -> sqlx::Result<()> {
    sqlx::query(SETTLE).bind(id).bind(state.word()).bind(note.map(storable)).execute(pool).await?;
    Ok(())
}
