//! What came too early, or in a version that nobody here knows yet. It waits in a table and not in the broker, where it
//! would hold a slot that others need.

use std::time::Duration;

use events::{SagaId, Timestamp};
use serde_json::Value;
use sqlx::{PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{dead_letter::Reason, reading::Letter};
use crate::failpoint::Boundary;

crate::statements! {
    PARK = "insert into chassis.parked (id, saga, type, code, reason, chain, subject, headers, body, due)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + make_interval(secs => $10))
        on conflict (id) do nothing";

    /// `due` is the next try and the lease in one: whoever finds one due moves it ahead, and so has it to himself until then.
    TAKE_DUE = "update chassis.parked set due = clock_timestamp() + make_interval(secs => $2)
        where id in (
            select id from chassis.parked where due <= clock_timestamp() order by due, id limit $1 for update skip locked
        )
        returning id, subject, headers, body, parked_at, tries, clock_timestamp() as now";

    PUT_BACK = "update chassis.parked set tries = tries + 1, due = $2, code = $3, reason = $4, chain = $5 where id = $1";

    REMOVE = "delete from chassis.parked where id = $1";

    /// In one statement, so that it is always in one of the two.
    BURY = "with gone as (delete from chassis.parked where id = $1 returning *)
        insert into chassis.dead_letters (id, saga, type, code, reason, chain, attempts, subject, headers, body)
        select id, saga, type, $2, $3, $4, tries + 1, subject, headers, body from gone
        on conflict (id) do update set state = 'dead', code = excluded.code, reason = excluded.reason, chain = excluded.chain,
            attempts = chassis.dead_letters.attempts + excluded.attempts, settled_at = null
        where chassis.dead_letters.state = 'replayed'";

    OF_SAGA = "select json_build_object('id', id, 'type', type, 'code', code, 'reason', reason, 'parked_at', parked_at,
                                 'tries', tries, 'next_try', due)
        from chassis.parked where saga = $1 order by parked_at, id";

    COUNT = "select count(*) from chassis.parked";
}

/// One that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    /// Its event's id.
    pub(crate) id: Uuid,
    pub(crate) letter: Letter,
    pub(crate) since: Timestamp,
    /// How often it was tried, the delivery included.
    pub(crate) tries: u32,
    /// By the database's clock.
    pub(crate) now: Timestamp,
}

/// Parks it for the first time; it is due after `wait`. Committed when this returns: it may be acknowledged.
pub(crate) async fn park(
    pool: &PgPool,
    id: Uuid,
    saga: Option<SagaId>,
    letter: &Letter,
    why: &Reason,
    wait: Duration,
) -> sqlx::Result<()> {
    Boundary::Park.before().reached().await?;
    letter.bound_to(PARK, id, saga, why).bind(wait.as_secs_f64()).execute(pool).await?;
    Ok(Boundary::Park.after().reached().await?)
}

/// Those that are due, at most so many; nobody else is given them before `lease` is over.
pub(crate) async fn take_due(pool: &PgPool, most: i64, lease: Duration) -> sqlx::Result<Vec<Parked>> {
    sqlx::query(TAKE_DUE).bind(most).bind(lease.as_secs_f64()).try_map(parked).fetch_all(pool).await
}

fn parked(row: PgRow) -> sqlx::Result<Parked> {
    Ok(Parked {
        id: row.try_get("id")?,
        letter: Letter::stored(&row)?,
        since: row.try_get::<OffsetDateTime, _>("parked_at")?.into(),
        tries: u32::try_from(row.try_get::<i32, _>("tries")?).unwrap_or(u32::MAX),
        now: row.try_get::<OffsetDateTime, _>("now")?.into(),
    })
}

/// It still came too early: it is due again then.
pub(crate) async fn put_back(pool: &PgPool, id: Uuid, due: Timestamp, why: &Reason) -> sqlx::Result<()> {
    let due = OffsetDateTime::from(due);
    why.bound_to(sqlx::query(PUT_BACK).bind(id).bind(due)).execute(pool).await?;
    Ok(())
}

/// It has taken effect.
pub(crate) async fn remove(pool: &PgPool, id: Uuid) -> sqlx::Result<()> {
    sqlx::query(REMOVE).bind(id).execute(pool).await?;
    Ok(())
}

/// Nobody tries it again by themselves.
pub(crate) async fn bury(pool: &PgPool, id: Uuid, why: &Reason) -> sqlx::Result<()> {
    Boundary::Bury.before().reached().await?;
    why.bound_to(sqlx::query(BURY).bind(id)).execute(pool).await?;
    Ok(Boundary::Bury.after().reached().await?)
}

/// How many wait.
pub(crate) async fn count(pool: &PgPool) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

/// Those of one saga, as operators see them.
pub(crate) async fn of_saga(pool: &PgPool, saga: SagaId) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar(OF_SAGA).bind(saga.0).fetch_all(pool).await
}
