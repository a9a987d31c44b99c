//! One batch, one transaction, few round trips.

use std::ops::Range;

use saga::{
    Context,
    batch::{decide, decide_unseen, wanted},
};
use sqlx::{PgConnection, Postgres, pool::PoolConnection};

use super::{
    claims::{Claimed, look, moved_deadlines, open},
    committer::Batch,
    effects::{Effects, Written},
    writing::{Beside, Writing},
};
use crate::{
    failpoint::{self, Boundary},
    postgres::{Class, class, is_denied, spanned},
    service::Service,
};

/// Why a transaction failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The world: again, all of it.
    Retry(String),
    /// The world, and nobody but an operator can change it: again, and an alarm.
    Denied(String),
    /// The data: an input is not to be taken.
    Poison(String),
    /// A panic: in a reaction, or behind the commit.
    Panic(String),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        if is_denied(&error) {
            return Self::Denied(error.to_string());
        }
        match class(&error) {
            Class::Retry => Self::Retry(error.to_string()),
            Class::Poison => Self::Poison(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Retry(error.to_string())
    }
}

/// In a transaction that somebody's swallowed error has aborted, COMMIT answers ROLLBACK, and sqlx does not look. Nothing
/// else can be said in such a transaction: so something else is said first, and fails.
const COMMIT: &str = "select 1; commit";

/// A committer's connection.
pub(super) struct Held {
    pub(super) conn: PoolConnection<Postgres>,
    /// What it knows by name: see [`Opening`](super::Opening).
    pub(super) prepared: Vec<&'static str>,
}

impl Held {
    pub(super) fn new(mut conn: PoolConnection<Postgres>) -> Self {
        // Whoever got it from the pool would not know what it knows.
        conn.close_on_drop();
        Self { conn, prepared: Vec::new() }
    }
}

/// Takes that part of the batch. `looked_up`: whether the claims are asked for first. Nearly all that comes is new, so it is
/// decided as if it were, and its claims tell when they are written. None: something of it was taken before, or would be
/// refused, which may be a repeat; all of it was taken back, and is to be looked up.
///
/// When this fails the connection is to be closed: what became of it is known by the claims.
pub(super) async fn take<S: Service>(
    held: &mut Held,
    batch: &Batch<S>,
    range: Range<usize>,
    ctx: &Context,
    looked_up: bool,
) -> Result<Option<Effects<S>>, Fault> {
    let arrived = &batch.arrived[range.clone()];
    let mut opening = open(held, arrived);
    let mut claimed = if looked_up { look(opening.opened().await?, batch, range.clone()).await? } else { Claimed::default() };
    let mut records = wanted(arrived);
    S::load(&mut opening, &mut records).await?;
    let conn = opening.opened().await?;
    Boundary::Claim.before().reached().await?;
    moved_deadlines(conn, arrived, &mut claimed).await?;
    failpoint::verb(arrived);
    let verdicts = if looked_up {
        Some(decide(&mut records, arrived, &claimed.before, ctx))
    } else {
        decide_unseen(&mut records, arrived, &claimed.before, ctx)
    };
    let Some(verdicts) = verdicts else { return taken_back(conn).await };
    let effects = Effects::of(batch, range, verdicts, &claimed, ctx.now)?;
    let mut writing = Writing::default();
    S::save(&mut writing, &records);
    let beside = if looked_up { Beside::AnyClaims } else { Beside::NewClaims };
    match effects.write(conn, writing, beside).await? {
        Written::All => {}
        Written::Before if looked_up => return Err(Fault::Retry("something was taken since it was looked up".to_owned())),
        Written::Before => return taken_back(conn).await,
    }
    Boundary::Claim.after().reached().await?;
    Boundary::Commit.before().reached().await?;
    spanned("commit", sqlx::raw_sql(COMMIT).execute(conn)).await?;
    Boundary::Commit.after().reached().await?;
    Ok(Some(effects))
}

async fn taken_back<S: Service>(conn: &mut PgConnection) -> Result<Option<Effects<S>>, Fault> {
    spanned("rollback", sqlx::raw_sql("rollback").execute(conn)).await?;
    Ok(None)
}
