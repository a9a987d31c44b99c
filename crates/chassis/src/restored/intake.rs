//! Whether anything may be taken, as this process knows.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use events::EventId;
use saga::owed::database::{Place, doubt};
use sqlx::{PgConnection, Row as _};
use tokio::{sync::watch, time::Instant};

use crate::{admin::Health, telemetry::Metrics};

crate::statements! {
    /// What any role may ask. The log's name begins with the timeline, in hexadecimal.
    PLACE = "select (pg_control_system()).system_identifier as system,
            (select oid::bigint from pg_database where datname = current_database()) as database,
            left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline,
            (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint as flushed";
}

/// What may be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Nothing, until it is known whether the database has lost something: at the start, and when it may be another. The
    /// number grows, so that what was found out about an older doubt does not settle a newer one.
    InDoubt(u64),
    /// Everything.
    Open,
    /// Nothing: it has lost something, and this is why one knows.
    Stopped(String),
    /// What an operator hands in; partners are asked again.
    Retakes(String),
    /// What was lost is heard again, too; no commands yet, and no deadline passes.
    Follows(String),
}

/// The gate before all doors. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Intake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    standing: watch::Sender<Standing>,
    /// As the last connection found it, and when it was told.
    place: Mutex<Option<(Place, Instant)>>,
    /// What the reconciler has found in the stream, and not in the outbox.
    accused: Mutex<Option<EventId>>,
    metrics: Metrics,
}

impl Intake {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let standing = watch::Sender::new(Standing::InDoubt(0));
        Self(Arc::new(Inner { standing, place: Mutex::default(), accused: Mutex::default(), metrics }))
    }

    pub(crate) fn standing(&self) -> Standing {
        self.0.standing.borrow().clone()
    }

    /// Why commands are turned away; none when they are not.
    pub(crate) fn refuses(&self) -> Option<String> {
        match &*self.0.standing.borrow() {
            Standing::Open => None,
            Standing::InDoubt(_) => Some("Whether its database is as it was is being looked at.".to_owned()),
            Standing::Stopped(why) | Standing::Retakes(why) | Standing::Follows(why) => {
                Some(format!("Its database has lost what had been committed: {why}. Nothing is taken until that is put right."))
            }
        }
    }

    /// Whether deadlines may pass.
    pub(crate) fn is_open(&self) -> bool {
        *self.0.standing.borrow() == Standing::Open
    }

    /// Whether partners are asked.
    pub(crate) fn asks(&self) -> bool {
        matches!(&*self.0.standing.borrow(), Standing::Open | Standing::Retakes(_) | Standing::Follows(_))
    }

    /// Whether events are heard.
    pub(crate) fn hears(&self) -> bool {
        hears(&self.0.standing.borrow())
    }

    /// Waits until that is so, or not.
    pub(crate) fn until_hears_is(&self, wanted: bool) -> impl Future<Output = ()> + Send + use<> {
        let mut standing = self.0.standing.subscribe();
        // It fails only when the sender is gone, and then there is nothing left to hear.
        async move { drop(standing.wait_for(|standing| hears(standing) == wanted).await) }
    }

    /// Waits until there is a doubt to be settled.
    pub(super) async fn until_in_doubt(&self) {
        let mut standing = self.0.standing.subscribe();
        drop(standing.wait_for(|standing| matches!(standing, Standing::InDoubt(_))).await);
    }

    /// So it stands, if it stood at `from` until now. Whether that is so.
    pub(super) fn settle(&self, from: &Standing, to: Standing) -> bool {
        let stopped = matches!(to, Standing::Stopped(_) | Standing::Retakes(_) | Standing::Follows(_));
        let settled = self.0.standing.send_if_modified(|standing| {
            let as_before = standing == from && *standing != to;
            if as_before {
                *standing = to;
            }
            as_before
        });
        if settled {
            self.0.metrics.set_intake_stopped(stopped);
        }
        settled
    }

    /// Looks where the database stands, on a connection that was just made. Whoever may not ask for it is let go on.
    pub(crate) async fn meets(&self, conn: &mut PgConnection) {
        let asked = Instant::now();
        match sqlx::query(PLACE).persistent(false).try_map(place).fetch_one(conn).await {
            Ok(place) => self.found_at(place, asked),
            Err(error) => tracing::debug!(%error, "where the database stands cannot be told"),
        }
    }

    pub(super) fn found_at(&self, place: Place, asked: Instant) {
        let mut known = self.0.place.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two that ask at once the later answer may tell of an earlier moment.
        if known.is_some_and(|(_, told)| told > asked) {
            return;
        }
        let before = known.replace((place, Instant::now()));
        drop(known);
        let Some(why) = before.and_then(|(before, _)| doubt(&before, &place)) else { return };
        tracing::warn!(why = why.code(), "the database may be another: nothing is taken until it is known what it has lost");
        self.doubt();
    }

    /// The stream holds an event that the outbox does not know.
    pub(crate) fn accuse(&self, event: EventId) {
        *self.0.accused.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
        self.doubt();
    }

    pub(super) fn accused(&self) -> Option<EventId> {
        *self.0.accused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready only while nothing is in doubt.
    pub(crate) fn probed_by(&self, health: &Health) {
        let intake = self.clone();
        health.depends_on("intake", move || std::future::ready(intake.refuses().map_or(Ok(()), Err)));
    }

    fn doubt(&self) {
        self.0.standing.send_if_modified(|standing| match standing {
            Standing::InDoubt(doubts) => {
                *doubts += 1;
                true
            }
            Standing::Open => {
                *standing = Standing::InDoubt(1);
                true
            }
            Standing::Stopped(_) | Standing::Retakes(_) | Standing::Follows(_) => false,
        });
    }
}

fn hears(standing: &Standing) -> bool {
    match standing {
        Standing::Open | Standing::Follows(_) => true,
        Standing::InDoubt(_) | Standing::Stopped(_) | Standing::Retakes(_) => false,
    }
}

pub(super) fn place(row: sqlx::postgres::PgRow) -> sqlx::Result<Place> {
    let timeline: String = row.try_get("timeline")?;
    Ok(Place {
        system: row.try_get("system")?,
        database: row.try_get("database")?,
        timeline: i64::from_str_radix(&timeline, 16).map_err(|error| sqlx::Error::Decode(error.into()))?,
        flushed: row.try_get("flushed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_out_about_an_older_doubt_does_not_settle_a_newer_one() {
        let intake = Intake::new(Metrics::detached());
        let place = Place { system: 1, database: 2, timeline: 1, flushed: 10 };
        intake.found_at(place, Instant::now());
        let first = intake.standing();
        assert!(!intake.hears() && !intake.is_open() && intake.refuses().is_some());
        intake.found_at(Place { database: 3, ..place }, Instant::now());
        assert!(!intake.settle(&first, Standing::Open), "a doubt came meanwhile");
        assert!(intake.settle(&intake.standing(), Standing::Open));
        assert!(intake.hears() && intake.is_open() && intake.refuses().is_none());

        let asked = Instant::now();
        intake.found_at(Place { database: 3, flushed: 12, ..place }, Instant::now());
        intake.found_at(Place { database: 3, flushed: 11, ..place }, asked);
        assert!(intake.is_open(), "it was asked before");
        intake.found_at(Place { database: 3, flushed: 9, ..place }, Instant::now());
        assert!(!intake.hears());
        assert!(intake.settle(&intake.standing(), Standing::Follows("it is older".into())));
        assert!(intake.hears() && !intake.is_open() && intake.refuses().is_some_and(|why| why.contains("it is older")));
    }
}
