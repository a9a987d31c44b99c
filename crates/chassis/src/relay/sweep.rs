//! What is still owed to the stream: whatever has been pending for longer than a moment.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use events::{EventId, SagaId, Timestamp, TraceContext};
use saga::owed::{self, Pending};
use sqlx::{PgPool, Row as _, postgres::PgRow, types::time::OffsetDateTime};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Outlet;
use crate::{broker::Broker, commit::Said, lease::Lease, postgres::spanned};

/// How many are read at a time: of the list, and of what they say.
const PAGE: usize = 1024;
/// For so long the publisher may be busy with one page before the sweep looks anew.
const PAGE_MAX: Duration = Duration::from_secs(10);

crate::statements! {
    /// Of a leader whose term has ended nothing is swept: its token is not the last, or its time is over.
    PENDING = "select id, since, clock_timestamp() as now from chassis.outbox_pending
        where exists (select from chassis.leases where job = 'sweep' and token = $1 and expires > clock_timestamp())
        order by id limit $2";

    READ = "select o.id, o.saga, o.type, o.body, o.causation, o.traceparent, o.tracestate, o.said_at, coalesce(g.n, 0) as generation
        from unnest($1::uuid[]) with ordinality as wanted (id, place)
        join chassis.outbox as o using (id)
        left join chassis.outbox_generation as g using (id)
        order by wanted.place";
}

/// The one who looks.
pub(crate) struct Sweep {
    pub(crate) lease: Lease,
    pub(crate) outlet: Outlet,
    pub(crate) broker: Broker,
    pub(crate) pool: PgPool,
    pub(crate) settings: super::Settings,
}

impl Sweep {
    /// Until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(self.settings.sweep_interval) => {}
            }
            let token = tokio::select! {
                () = stop.cancelled() => return,
                token = self.lease.wait() => token,
            };
            // Without a stream every look would find the same.
            if !self.broker.may_publish() {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep(token) => match swept {
                    Ok(0) => {}
                    Ok(count) => tracing::debug!(count, "pending events were published"),
                    Err(error) => tracing::warn!(%error, "the pending events cannot be read"),
                }
            }
        }
    }

    async fn sweep(&self, token: i64) -> sqlx::Result<usize> {
        let pending = sqlx::query_as::<_, (Uuid, OffsetDateTime, OffsetDateTime)>(PENDING).bind(token).bind(self.most());
        let pending = spanned("select chassis.outbox_pending", pending.fetch_all(&self.pool)).await?;
        let Some(now) = pending.first().map(|(_, _, now)| Timestamp::from(*now)) else { return Ok(0) };
        let pending = pending.into_iter().map(|(id, since, _)| Pending { id: EventId(id), since: since.into() });
        let owed = owed::to_publish(pending, now, self.settings.moment(), |id| self.outlet.has(id));
        for page in owed.chunks(PAGE) {
            let ids: Vec<Uuid> = page.iter().map(|id| id.0).collect();
            let said = spanned("select chassis.outbox", sqlx::query(READ).bind(ids).try_map(said).fetch_all(&self.pool)).await?;
            let sent = async {
                for one in said {
                    self.outlet.send(one).await;
                }
            };
            if timeout(PAGE_MAX, sent).await.is_err() {
                break;
            }
        }
        Ok(owed.len())
    }

    /// Enough that those which the publisher has in hand cannot hide all others.
    fn most(&self) -> i64 {
        i64::from(self.settings.publish_window) + 16_384 + 4_096
    }
}

fn said(row: PgRow) -> sqlx::Result<Said> {
    Ok(Said {
        id: EventId(row.try_get("id")?),
        saga: row.try_get::<Option<Uuid>, _>("saga")?.map(SagaId::from),
        ty: Cow::Owned(row.try_get("type")?),
        body: Bytes::from(row.try_get::<String, _>("body")?),
        causation: row.try_get("causation")?,
        trace: TraceContext { traceparent: row.try_get("traceparent")?, tracestate: row.try_get("tracestate")? },
        said_at: row.try_get::<OffsetDateTime, _>("said_at")?.into(),
        generation: row.try_get("generation")?,
    })
}
