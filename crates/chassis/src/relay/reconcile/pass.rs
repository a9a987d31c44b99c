//! One pass over what was said beside what the stream holds: both are read in their own order, a page at a time.

use std::time::Duration;

use events::{EventId, Timestamp};
use futures_util::TryStreamExt as _;
use saga::owed::stream::Comparison;
use sqlx::{PgPool, types::time::OffsetDateTime};
use uuid::Uuid;

use super::Broken;
use crate::{
    broker::{Broker, Headers, Held},
    restored::{Intake, unknown},
};

/// A page of headers, where nobody is to be spared.
pub(super) const PAGE: usize = 8192;
/// The broker's clock may be so far behind that of whoever said something.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(60);

crate::statements! {
    /// What is still pending is not known to be in the stream, and nobody expects it there.
    ACKNOWLEDGED = "select id from chassis.outbox as o where said_at >= $1 and said_at < $2
        and not exists (select from chassis.outbox_pending as p where p.id = o.id)";
}

/// Which part of both is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// What was said since then,
    pub(super) since: Timestamp,
    /// and before then.
    pub(super) until: Timestamp,
    /// The stream's end when it began.
    pub(super) last: u64,
}

/// A pass under way.
#[derive(Debug)]
pub(super) struct Pass {
    headers: Headers,
    comparison: Comparison,
    intake: Intake,
    /// What was said before this has been read.
    said_until: Timestamp,
    span: Span,
    /// Everything that was said has been read, and the stream's end is where it was after that.
    last_is_final: bool,
    at: u64,
}

impl Pass {
    pub(super) async fn begin(broker: &Broker, intake: &Intake, stream: &str, span: Span) -> Result<Self, Broken> {
        let headers = broker.headers(stream, span.since.before(CLOCKS_APART_MAX)).await?;
        let (comparison, said_until) = (Comparison::default(), span.since);
        let intake = intake.clone();
        Ok(Self { headers, comparison, intake, said_until, span, last_is_final: false, at: 0 })
    }

    /// Reads at most `most` messages, and what was said meanwhile. At the end: what the stream does not hold.
    pub(super) async fn step(
        &mut self,
        broker: &Broker,
        pool: &PgPool,
        stream: &str,
        most: usize,
    ) -> Result<Option<Vec<EventId>>, Broken> {
        // What is missed here was acknowledged while the pass went on, and is looked for without sparing anybody.
        let page = self.headers.next(if self.last_is_final { PAGE } else { most }).await?;
        for held in &page {
            self.at = held.sequence;
            if let Some(event) = held.event {
                self.comparison.hold(event);
            }
        }
        self.look_for_strangers(pool, &page).await?;
        let at_end = self.headers.at_end() || self.at >= self.span.last;
        let stored = page.last().map_or(self.said_until, |held| held.stored_at);
        self.read_said(pool, if at_end { self.span.until } else { stored.min(self.span.until) }).await?;
        if !at_end {
            return Ok(None);
        }
        if self.comparison.adds_up() || self.last_is_final {
            return Ok(Some(self.comparison.missing()));
        }
        // An event that was acknowledged before it was read above may stand behind the end of before.
        let info = broker.stream(stream).await?.ok_or(Broken::NoStream)?;
        self.span.last = info.state.last_sequence;
        self.last_is_final = true;
        self.headers.look_again().await?;
        Ok((self.headers.at_end() || self.at >= self.span.last).then(|| self.comparison.missing()))
    }

    /// The server need not keep its reader any longer.
    pub(super) async fn close(self, broker: &Broker) {
        self.headers.close(broker).await;
    }

    /// To the end.
    pub(super) async fn run(mut self, broker: &Broker, pool: &PgPool, stream: &str) -> Result<Vec<EventId>, Broken> {
        loop {
            if let Some(missing) = self.step(broker, pool, stream, PAGE).await? {
                self.close(broker).await;
                return Ok(missing);
            }
        }
    }

    /// Whatever was said was committed before: what the outbox does not know, it has lost.
    async fn look_for_strangers(&self, pool: &PgPool, page: &[Held]) -> sqlx::Result<()> {
        let derived = page.iter().filter(|held| held.is_derived).filter_map(|held| Some(held.said?.0));
        if let Some(stranger) = unknown(pool, &derived.collect::<Vec<_>>()).await?.first() {
            self.intake.accuse(EventId(*stranger));
        }
        Ok(())
    }

    async fn read_said(&mut self, pool: &PgPool, until: Timestamp) -> sqlx::Result<()> {
        if until <= self.said_until {
            return Ok(());
        }
        let said = sqlx::query_scalar::<_, Uuid>(ACKNOWLEDGED);
        let mut said = said.bind(OffsetDateTime::from(self.said_until)).bind(OffsetDateTime::from(until)).fetch(pool);
        while let Some(id) = said.try_next().await? {
            self.comparison.say(EventId(id));
        }
        self.said_until = until;
        Ok(())
    }
}
