//! The fourth door: the clock. What a saga set for later becomes an input when its moment has come.
//!
//! The claim names saga, deadline and the moment that it was set for, so that it takes effect once, however many replicas
//! look; one of them looks at a time, by a lease. The transaction of the effect removes the row, unless the effect set it anew.

use std::time::Duration;

use events::{SagaId, Timestamp};
use futures_util::{StreamExt as _, stream};
use saga::{Claim, Inputs as _};
use sqlx::{PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    commit::{Door, Error, Incoming, Settled},
    lease::Lease,
    restored::Intake,
    service::Service,
    telemetry,
};

/// How often passed deadlines are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How many are taken at a time.
const BATCH: i64 = 512;
/// One that cannot be taken comes again after so long, as another moment: it must not stand before the others for ever.
const POSTPONED: Duration = Duration::from_secs(60);

crate::statements! {
    DUE = "select saga, name, at from chassis.deadlines where at <= clock_timestamp() order by at, saga, name limit $1";

    POSTPONE = "update chassis.deadlines set at = clock_timestamp() + make_interval(secs => $4)
        where saga = $1 and name = $2 and at = $3";
}

/// A deadline that has passed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Due {
    saga: SagaId,
    name: String,
    at: Timestamp,
}

async fn due(pool: &PgPool) -> sqlx::Result<Vec<Due>> {
    let due = |row: PgRow| {
        Ok(Due {
            saga: SagaId::from(row.try_get::<Uuid, _>("saga")?),
            name: row.try_get("name")?,
            at: row.try_get::<OffsetDateTime, _>("at")?.into(),
        })
    };
    sqlx::query(DUE).bind(BATCH).try_map(due).fetch_all(pool).await
}

async fn postpone(pool: &PgPool, due: &Due) -> sqlx::Result<()> {
    let at = OffsetDateTime::from(due.at);
    sqlx::query(POSTPONE).bind(due.saga.0).bind(&due.name).bind(at).bind(POSTPONED.as_secs_f64()).execute(pool).await?;
    Ok(())
}

/// What becomes of passed deadlines. One replica looks at a time.
pub(crate) struct Clock<S: Service> {
    /// For deadlines.
    pub(crate) door: Door<S>,
    pub(crate) pool: PgPool,
    pub(crate) lease: Lease,
    pub(crate) intake: Intake,
}

impl<S: Service> Clock<S> {
    /// Until `stop`, then ends with what is in hand.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = self.lease.wait() => {}
            }
            let wait = self.look().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "passed deadlines could not be looked for");
                LOOK
            });
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// Takes what has passed, then looks again: at once when there may be more.
    async fn look(&self) -> sqlx::Result<Duration> {
        // In an older database everything is overdue that has been done since.
        if !self.intake.is_open() {
            return Ok(LOOK);
        }
        let due = due(&self.pool).await?;
        let more = due.len() == BATCH as usize;
        stream::iter(due).for_each_concurrent(None, |due| self.take(due)).await;
        Ok(if more { Duration::ZERO } else { LOOK })
    }

    async fn take(&self, due: Due) {
        let span = tracing::info_span!("deadline", otel.name = format!("deadline {}", due.name), correlation_id = %due.saga);
        async {
            let Some((name, input)) = input::<S>(&due) else {
                // Of a version before or behind this one: another replica may know it.
                tracing::warn!(deadline = due.name, "a deadline has passed that this version does not know");
                return self.put_off(&due).await;
            };
            let claim = Claim::Deadline { saga: due.saga, name, at: due.at };
            let settled = self.door.take(Incoming::now(claim, "clock", telemetry::current(), input)).await;
            if !self.intake.is_open() {
                return;
            }
            match settled {
                Ok(Settled::Taken { .. } | Settled::Repeated(_)) => {}
                Ok(settled @ (Settled::NotYet(_) | Settled::Contradiction(_) | Settled::OtherBody | Settled::Refused(_))) => {
                    tracing::error!(?settled, "a deadline's verb did not take it");
                    self.put_off(&due).await;
                }
                Err(error @ Error::Poison(_)) => {
                    tracing::error!(%error, "a deadline cannot be taken");
                    self.put_off(&due).await;
                }
                Err(error @ (Error::Full { .. } | Error::Away | Error::Stopping | Error::Restored(_))) => {
                    tracing::warn!(%error, "a deadline is taken later");
                }
            }
        }
        .instrument(span)
        .await;
    }

    async fn put_off(&self, due: &Due) {
        if let Err(error) = postpone(&self.pool, due).await {
            tracing::warn!(%error, "a deadline could not be put off");
        }
    }
}

/// The deadline as an input, under the name by which the table knows it.
fn input<S: Service>(due: &Due) -> Option<(&'static str, S::Input)> {
    let row = S::DECLARATION.rows.iter().find(|row| row.door == saga::Door::Deadline && row.input == due.name)?;
    Some((row.input, S::Input::due(&due.name, due.saga)?))
}
