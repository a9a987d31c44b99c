//! How much has been committed and is not known to be in the stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Metrics;

/// So old the count may be.
const COUNT_AGE_MAX: Duration = Duration::from_secs(1);

crate::statements! {
    COUNT = "select count(*), coalesce(extract(epoch from clock_timestamp() - min(since)), 0)::float8 from chassis.outbox_pending";
}

/// The count, as of a moment ago. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Backlog {
    pending: Arc<AtomicU64>,
    most: u64,
}

impl Backlog {
    pub(crate) fn new(most: u64) -> Self {
        Self { pending: Arc::default(), most }
    }

    /// Whether it is time to turn commands away.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.load(Ordering::Relaxed) >= self.most
    }

    /// Keeps the count until `stop`.
    pub(crate) async fn count(self, pool: PgPool, metrics: Metrics, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match sqlx::query_as::<_, (i64, f64)>(COUNT).fetch_one(&pool).await {
                Ok((pending, oldest)) => {
                    self.pending.store(pending.unsigned_abs(), Ordering::Relaxed);
                    metrics.set_outbox(pending.unsigned_abs(), Duration::try_from_secs_f64(oldest).unwrap_or_default());
                }
                Err(error) => tracing::debug!(%error, "the pending events cannot be counted"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(COUNT_AGE_MAX) => {}
            }
        }
    }
}
