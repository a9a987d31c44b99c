//! One batch, one transaction, few round trips.

use std::ops::Range;

use saga::Context;
use sqlx::{PgConnection, types::time::OffsetDateTime};

use super::{
    claims::{claim, moved_deadlines},
    committer::Batch,
    effects::Effects,
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

/// Takes that part of the batch. When this fails the connection is to be closed: what became of it is known by the claims.
pub(super) async fn take<S: Service>(
    conn: &mut PgConnection,
    batch: &Batch<S>,
    range: Range<usize>,
    ctx: &Context,
) -> Result<Effects<S>, Fault> {
    let arrived = &batch.arrived[range.clone()];
    let now = OffsetDateTime::from(ctx.now);
    spanned("begin", sqlx::raw_sql("begin").execute(&mut *conn)).await?;
    Boundary::Claim.before().reached().await?;
    let mut claimed = claim(conn, batch, range.clone(), now).await?;
    Boundary::Claim.after().reached().await?;
    let mut records = saga::batch::wanted(arrived);
    S::load(conn, &mut records).await?;
    moved_deadlines(conn, batch, range.clone(), &mut claimed).await?;
    failpoint::verb(arrived);
    let verdicts = saga::batch::decide(&mut records, arrived, &claimed.before, ctx);
    let effects = Effects::of(batch, range, verdicts, &claimed, ctx.now)?;
    S::save(conn, &records).await?;
    effects.write(conn).await?;
    Boundary::Commit.before().reached().await?;
    spanned("commit", sqlx::raw_sql(COMMIT).execute(conn)).await?;
    Boundary::Commit.after().reached().await?;
    Ok(effects)
}
