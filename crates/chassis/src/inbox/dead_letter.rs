//! What nobody could take: kept with its code, its reason and its original bytes until somebody replays or discards it.

use events::{SagaId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{
    PgPool, Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::reading::{Letter, storable};
use crate::failpoint::Boundary;

crate::statements! {
    /// One that was replayed and died again is dead again; one that was discarded, or set aside, stays so.
    BURY = "insert into chassis.dead_letters (id, saga, type, code, reason, chain, subject, headers, body)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (id) do update set state = 'dead', code = excluded.code, reason = excluded.reason, chain = excluded.chain,
            attempts = chassis.dead_letters.attempts + 1, settled_at = null
        where chassis.dead_letters.state = 'replayed'";

    IN_VAIN = "update chassis.dead_letters set attempts = attempts + 1, code = $2, reason = $3, chain = $4 where id = $1";

    COUNT = "select count(*) from chassis.dead_letters where state = 'dead'";

    LIST = "select id, buried_at, json_build_object('id', id, 'saga', saga, 'type', type, 'code', code, 'reason', reason,
            'attempts', attempts, 'subject', subject, 'buried_at', buried_at, 'state', state, 'note', note,
            'settled_at', settled_at) as shown
        from chassis.dead_letters
        where state = $1 and (buried_at, id) > ($2, $3) and ($5::text is null or type = $5)
            and ($6::timestamptz is null or buried_at >= $6)
        order by buried_at, id limit $4";

    OF_SAGA = "select json_build_object('id', id, 'type', type, 'code', code, 'reason', reason, 'attempts', attempts,
            'buried_at', buried_at, 'state', state, 'note', note)
        from chassis.dead_letters where saga = $1 order by buried_at, id";

    FIND = "select saga, state, code, reason, chain, attempts, note, buried_at, settled_at, subject, headers, body
        from chassis.dead_letters where id = $1";

    SETTLE = "update chassis.dead_letters set state = $2, note = coalesce($3, note), settled_at = clock_timestamp()
        where id = $1 and state in ('dead', 'set_aside')";

    /// Whatever it was: it has taken effect.
    REPLAYED = "update chassis.dead_letters set state = 'replayed', settled_at = clock_timestamp() where id = $1";
}

/// Why something waits or is dead: a code that never changes, and what was found this time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    pub(crate) text: String,
    /// What led to it, down to the root.
    pub(crate) chain: Vec<String>,
}

impl Reason {
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), chain: Vec::new() }
    }

    /// That error, with its sources.
    pub(crate) fn of(code: &'static str, error: &dyn std::error::Error) -> Self {
        let chain = std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string).collect();
        Self { code, text: error.to_string(), chain }
    }

    /// Binds code, reason and chain.
    pub(super) fn bound_to<'q>(&self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> {
        let chain: Vec<String> = self.chain.iter().map(|error| storable(error)).collect();
        query.bind(self.code).bind(storable(&self.text)).bind(chain)
    }
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
    /// Set aside with a note: nobody need look at it now, and it can still be replayed or discarded.
    SetAside,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
            Self::SetAside => "set_aside",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "replayed" => Self::Replayed,
            "discarded" => Self::Discarded,
            "set_aside" => Self::SetAside,
            _ => Self::Dead,
        }
    }
}

/// Keeps it. Committed when this returns: it may be acknowledged.
pub(crate) async fn bury(pool: &PgPool, id: Uuid, saga: Option<SagaId>, letter: &Letter, why: &Reason) -> sqlx::Result<()> {
    Boundary::Bury.before().reached().await?;
    letter.bound_to(BURY, id, saga, why).execute(pool).await?;
    Ok(Boundary::Bury.after().reached().await?)
}

/// It was replayed, and still cannot be taken.
pub(crate) async fn in_vain(pool: &PgPool, id: Uuid, why: &Reason) -> sqlx::Result<()> {
    why.bound_to(sqlx::query(IN_VAIN).bind(id)).execute(pool).await?;
    Ok(())
}

/// How many are dead.
pub(crate) async fn count(pool: &PgPool) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

/// Where something stands in a list, oldest first: microseconds since 1970, then its id.
pub(crate) type Place = (i64, Uuid);

/// One, as lists show it.
#[derive(Serialize, Debug)]
#[serde(transparent)]
pub(crate) struct Listed {
    shown: Value,
    #[serde(skip)]
    pub(crate) place: Place,
}

impl Listed {
    /// From the columns `id` and `shown`, and the one of its moment.
    pub(crate) fn of(row: &PgRow, moment: &str) -> sqlx::Result<Self> {
        let at = Timestamp::from(row.try_get::<OffsetDateTime, _>(moment)?);
        Ok(Self { shown: row.try_get("shown")?, place: (at.micros(), row.try_get("id")?) })
    }
}

/// Which are wanted.
#[derive(Default, Deserialize, Debug)]
pub(crate) struct Wanted {
    #[serde(default)]
    state: State,
    /// Of that type alone.
    #[serde(default, rename = "type")]
    ty: Option<String>,
    /// Buried then or later.
    #[serde(default)]
    since: Option<Timestamp>,
}

/// Those, oldest first, behind that place.
pub(crate) async fn list(pool: &PgPool, wanted: &Wanted, after: Option<Place>, most: i64) -> sqlx::Result<Vec<Listed>> {
    let (at, id) = after.unwrap_or((0, Uuid::nil()));
    sqlx::query(LIST)
        .bind(wanted.state.word())
        .bind(OffsetDateTime::from(Timestamp::from_micros(at)))
        .bind(id)
        .bind(most)
        .bind(&wanted.ty)
        .bind(wanted.since.map(OffsetDateTime::from))
        .try_map(|row: PgRow| Listed::of(&row, "buried_at"))
        .fetch_all(pool)
        .await
}

/// Those of one saga.
pub(crate) async fn of_saga(pool: &PgPool, saga: SagaId) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar(OF_SAGA).bind(saga.0).fetch_all(pool).await
}

/// One, whole.
#[derive(Serialize, Debug)]
pub(crate) struct Dead {
    pub(crate) id: Uuid,
    pub(crate) saga: Option<SagaId>,
    pub(crate) state: State,
    pub(crate) code: String,
    pub(crate) reason: String,
    /// What led to the reason, down to the root.
    pub(crate) chain: Vec<String>,
    pub(crate) attempts: i32,
    pub(crate) note: Option<String>,
    pub(crate) buried_at: Timestamp,
    pub(crate) settled_at: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) letter: Letter,
}

/// The one of that id.
pub(crate) async fn find(pool: &PgPool, id: Uuid) -> sqlx::Result<Option<Dead>> {
    let dead = |row: PgRow| {
        Ok(Dead {
            id,
            saga: row.try_get::<Option<Uuid>, _>("saga")?.map(SagaId::from),
            state: State::of(&row.try_get::<String, _>("state")?),
            code: row.try_get("code")?,
            reason: row.try_get("reason")?,
            chain: row.try_get("chain")?,
            attempts: row.try_get("attempts")?,
            note: row.try_get("note")?,
            buried_at: row.try_get::<OffsetDateTime, _>("buried_at")?.into(),
            settled_at: row.try_get::<Option<OffsetDateTime>, _>("settled_at")?.map(Timestamp::from),
            letter: Letter::stored(&row)?,
        })
    };
    sqlx::query(FIND).bind(id).try_map(dead).fetch_optional(pool).await
}

/// An operator has decided; false when that was too late.
pub(crate) async fn settle(pool: &PgPool, id: Uuid, state: State, note: Option<&str>) -> sqlx::Result<bool> {
    let settled = sqlx::query(SETTLE).bind(id).bind(state.word()).bind(note.map(storable)).execute(pool).await?;
    Ok(settled.rows_affected() > 0)
}

/// It went through the door again, and that is committed.
pub(crate) async fn replayed(pool: &PgPool, id: Uuid) -> sqlx::Result<()> {
    sqlx::query(REPLAYED).bind(id).execute(pool).await?;
    Ok(())
}
