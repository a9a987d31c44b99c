//! What an input would bring about now, by the real `react` over the real rows, and without a commit.

use std::{collections::HashSet, time::Duration};

use saga::{
    Because, Calls as _, Context,
    batch::{Arrived, Taken, Verdict},
};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;
use uuid::Uuid;

use super::{now, opening::Opening, transaction::Fault, writing::Writing};
use crate::service::Service;

crate::statements! {
    CLAIMED = "select exists (select from chassis.claims where id = $1)";
}

/// What an operator waits for. Its locks are others' as long as it lasts.
const DRY_RUN_MAX: Duration = Duration::from_secs(5);

/// What would come of an input.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub(crate) struct Foretold {
    /// `take`, `repeat`, `ignore`, `park`, `bury`, `refuse`.
    pub(crate) outcome: &'static str,
    /// In words: `would emit thing.made.v1`.
    pub(crate) says: String,
    /// The types of the events that it would say.
    pub(crate) events: Vec<&'static str>,
    /// The calls that it would ask of the partner.
    pub(crate) calls: Vec<&'static str>,
    /// Why nothing would leave the house.
    pub(crate) because: Option<Because>,
}

/// Loads, decides, and takes all of it back. In a task that nothing cancels, on a connection that is closed unless it is known
/// to be outside the transaction again.
pub(crate) async fn dry_run<S: Service>(pool: &PgPool, arrived: Arrived<S>, patience: Duration) -> sqlx::Result<Foretold> {
    let mut conn = pool.acquire().await?;
    let run = async move {
        let run = async {
            let foretold = foretell(&mut conn, arrived, patience).await;
            sqlx::raw_sql("rollback").execute(&mut *conn).await?;
            foretold
        };
        let ended = timeout(DRY_RUN_MAX, run).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        if ended.is_err() {
            drop(conn.detach());
        }
        ended
    };
    match tokio::spawn(run).await {
        Ok(ended) => ended,
        // The connection went down with the task.
        Err(panicked) => Ok(Foretold::bury(format!("its reaction panics: {panicked}"))),
    }
}

async fn foretell<S: Service>(conn: &mut PgConnection, arrived: Arrived<S>, patience: Duration) -> sqlx::Result<Foretold> {
    sqlx::raw_sql("begin").execute(&mut *conn).await?;
    let mut opening = Opening::begun(conn);
    let claim = arrived.claim.id();
    let before = if sqlx::query_scalar(CLAIMED).bind(claim).fetch_one(opening.opened().await?).await? {
        HashSet::from([claim])
    } else {
        HashSet::<Uuid>::new()
    };
    let arrived = [arrived];
    let mut records = saga::batch::wanted(&arrived);
    S::load(&mut opening, &mut records).await?;
    let ctx = Context { now: now(), patience };
    let verdict = saga::batch::decide(&mut records, &arrived, &before, &ctx).pop();
    // The rows are written too, so that what the database refuses is foretold, and taken back with the rest.
    let mut writing = Writing::default();
    S::save(&mut writing, &records);
    match writing.run(opening.opened().await?).await.map_err(Fault::from) {
        Err(Fault::Poison(why) | Fault::Panic(why)) => Ok(Foretold::bury(why)),
        Err(Fault::Retry(why) | Fault::Denied(why)) => Err(sqlx::Error::Protocol(why)),
        Ok(_) => Ok(verdict.map_or_else(|| Foretold::bury("nothing was decided".to_owned()), Foretold::of)),
    }
}

impl Foretold {
    fn of<S: Service>(verdict: Verdict<S>) -> Self {
        match verdict {
            Verdict::Taken(taken) => Self::take(&taken),
            Verdict::Repeated => Self::plain("repeat", "would do nothing: it has taken effect before"),
            Verdict::NotYet(because) => {
                Self { because: Some(because), ..Self::plain("park", "would wait: what it stands on has not come") }
            }
            Verdict::Contradiction(because) => Self {
                because: Some(because),
                ..Self::plain("bury", "would stay a dead letter: it cannot be true beside what is known")
            },
            Verdict::Refused(problem) => Self::plain("refuse", &format!("would be refused: {}", problem.detail)),
        }
    }

    fn take<S: Service>(taken: &Taken<S>) -> Self {
        let events: Vec<_> = taken.outbox.iter().map(|said| said.event.info().ty).collect();
        let calls: Vec<_> = taken.intents.iter().map(|intent| intent.call.name()).collect();
        let deeds: Vec<String> = events
            .iter()
            .map(|ty| format!("emit {ty}"))
            .chain(calls.iter().map(|call| format!("ask the partner to {call}")))
            .collect();
        let says = match (deeds.is_empty(), taken.because) {
            (false, _) => format!("would {}", deeds.join(" and ")),
            (true, Some(because)) => format!("would do nothing: {}", in_words(because)),
            (true, None) => "would change what is stored, and say nothing".to_owned(),
        };
        Self { outcome: "take", says, events, calls, because: taken.because }
    }

    pub(crate) fn plain(outcome: &'static str, says: &str) -> Self {
        Self { outcome, says: says.to_owned(), events: Vec::new(), calls: Vec::new(), because: None }
    }

    pub(crate) fn bury(why: String) -> Self {
        Self::plain("bury", &format!("would stay a dead letter: {why}"))
    }
}

const fn in_words(because: Because) -> &'static str {
    match because {
        Because::AlreadyDone => "it is done already",
        Because::UnderWay => "an answer that is on its way decides",
        Because::Tombstone => "it was undone before it came",
        Because::Ended => "the saga has ended",
        Because::Known => "it tells nothing new",
        Because::TooEarly => "what must have come before has not come",
        Because::Confirmed => "this compensation has confirmed before",
        Because::ConfirmsLater => "a call that is under way leads to its confirmation",
        Because::Recorded => "it is written down for the timeline, no more",
        Because::Contradiction => "it cannot be true beside what is known",
    }
}
