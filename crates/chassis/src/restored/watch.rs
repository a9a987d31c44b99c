//! Keeps the intake as it should be: settles doubts, and follows what other replicas and operators have found and done.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Intake, Standing,
    evidence::{self, Unsettled},
};
use crate::broker::Broker;

/// Before a doubt is looked into again that could not be settled.
const AGAIN: Duration = Duration::from_millis(250);

crate::statements! {
    STOPPED = "select why, phase from chassis.restored";

    STOP = "insert into chassis.restored (why) values ($1) on conflict do nothing";

    PROCEED = "update chassis.restored set phase = $1";

    OPEN = "delete from chassis.restored";
}

/// How far it is put right, as the table has it.
pub(super) const RETAKES: &str = "retakes";
pub(super) const FOLLOWS: &str = "follows";

/// The one who does, in each replica.
pub(crate) struct Watch {
    pub(crate) intake: Intake,
    pub(crate) broker: Broker,
    pub(crate) pool: PgPool,
    /// How often it looks while nothing is in doubt.
    pub(crate) interval: Duration,
}

impl Watch {
    /// Until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut failures = 0_u32;
        loop {
            match look(&self.intake, &self.broker, &self.pool).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::info!(%error, "whether the database has lost something cannot be told yet");
                    }
                }
            }
            let in_doubt = matches!(self.intake.standing(), Standing::InDoubt(_));
            let wait = if in_doubt { AGAIN } else { self.interval };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
                () = self.intake.until_in_doubt(), if !in_doubt => {}
            }
        }
    }
}

/// Looks where the database stands, what is written down about it, and whether it has lost something where that is in doubt.
pub(super) async fn look(intake: &Intake, broker: &Broker, pool: &PgPool) -> Result<(), Unsettled> {
    let mut conn = pool.acquire().await?;
    intake.meets(&mut conn).await;
    let from = intake.standing();
    let stopped: Option<(String, String)> = sqlx::query_as(STOPPED).fetch_optional(&mut *conn).await?;
    drop(conn);
    let to = match stopped {
        Some((why, phase)) => match phase.as_str() {
            RETAKES => Standing::Retakes(why),
            FOLLOWS => Standing::Follows(why),
            _ => Standing::Stopped(why),
        },
        None if from == Standing::Open => Standing::Open,
        // Also where it stood still: whoever opened it again has put it right, or the row has gone with another restoration.
        None => match evidence::find(intake, broker, pool).await? {
            None => Standing::Open,
            Some(why) => {
                sqlx::query(STOP).bind(&why).execute(pool).await?;
                Standing::Stopped(why)
            }
        },
    };
    tell(&from, &to);
    intake.settle(&from, to);
    Ok(())
}

fn tell(from: &Standing, to: &Standing) {
    match (from, to) {
        (Standing::Stopped(_) | Standing::Retakes(_) | Standing::Follows(_), Standing::Open) => {
            tracing::info!("the database is put right: all is open")
        }
        (Standing::InDoubt(doubts), Standing::Open) if *doubts > 0 => tracing::info!("the database has lost nothing"),
        (Standing::InDoubt(_) | Standing::Open, Standing::Stopped(why) | Standing::Retakes(why) | Standing::Follows(why)) => {
            tracing::error!(why, "the database has lost what was committed: nothing is taken until `ensemble reconcile`");
        }
        (_, _) => {}
    }
}

/// It is put right so far.
pub(super) async fn proceed(pool: &PgPool, phase: &'static str) -> sqlx::Result<()> {
    sqlx::query(PROCEED).bind(phase).execute(pool).await.map(drop)
}

/// It is put right.
pub(super) async fn open(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query(OPEN).execute(pool).await.map(drop)
}
