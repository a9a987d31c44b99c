//! The gauges that are read from tables, now and then: what is parked, what is dead, what needs a person.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    inbox::{dead_letter, parked},
    telemetry::Metrics,
};

const LOOK: Duration = Duration::from_secs(5);

crate::statements! {
    /// As far as this participant knows: try 3 and more of a call, or a dead letter.
    NEEDING_ATTENTION = "select count(*) from (
            select saga from chassis.intents where tries >= 3
            union
            select saga from chassis.dead_letters where state = 'dead' and saga is not null
        ) as sagas";
}

/// Until `stop`.
pub(crate) async fn run(pool: PgPool, metrics: Metrics, stop: CancellationToken) {
    loop {
        if let Err(error) = look(&pool, &metrics).await {
            tracing::debug!(%error, "the gauges stay as they are");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(LOOK) => {}
        }
    }
}

async fn look(pool: &PgPool, metrics: &Metrics) -> sqlx::Result<()> {
    metrics.set_parked(parked::count(pool).await?);
    metrics.set_dead_letters(dead_letter::count(pool).await?);
    let attention: i64 = sqlx::query_scalar(NEEDING_ATTENTION).fetch_one(pool).await?;
    metrics.set_sagas_needing_attention(attention.unsigned_abs());
    Ok(())
}
