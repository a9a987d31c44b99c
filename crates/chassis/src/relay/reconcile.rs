//! Whether the stream still holds what was acknowledged, asked by the leader: at each look whether it is the stream that it
//! was, and page by page, all the time, whether every id is there. What is missing goes back on the pending list under its
//! next generation, and the sweep publishes it.
//!
//! A look costs two small requests. Reading everything is for when something is in doubt: another stream of the same name,
//! an end before its end, a hole, another message where one was, an acknowledgement that does not hold.

use std::time::Duration;

use async_nats::jetstream::stream::{self, Info};
use events::{EventId, Timestamp};
use saga::owed::stream::{Footing, doubt, published};
use sqlx::{PgPool, Row as _, postgres::PgRow, types::time::OffsetDateTime};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Marks;
use crate::{
    broker::{Broker, BrokerError, Unseen, nanos},
    commit::now,
    lease::Lease,
    postgres::spanned,
    restored::Intake,
    telemetry::Metrics,
};

mod pass;

pub(super) use pass::STATEMENTS as PASS_STATEMENTS;
use pass::{Pass, Span};

/// What was acknowledged before the stream lost it is struck off within this, and is then missing where it was pending.
const STRUCK_OFF_WITHIN: Duration = Duration::from_secs(6);
/// What was said so long ago is acknowledged or pending, unless the broker or the database is away. The slow pass leaves what
/// is younger to the next one; the pass at the start goes back so far behind what was known.
const UNDER_WAY: Duration = Duration::from_secs(60);
/// How many go back on the list in one statement.
const PUT_BACK_MAX: usize = 4096;

crate::statements! {
    KNOWN = "select created, first, first_at, last, last_id, gaps, seen_at, doubts from chassis.footings where stream = $1";

    /// Every write of this leader names its token: of one whose term has ended nothing is written.
    REMEMBER = "insert into chassis.footings as f (stream, created, first, first_at, last, last_id, gaps, seen_at)
        select $1, $2, $3, $4, $5, $6, $7, $8
        where exists (select from chassis.leases where job = 'reconcile' and token = $10 and expires > clock_timestamp())
        on conflict (stream) do update set created = excluded.created, first = excluded.first, first_at = excluded.first_at,
            last = excluded.last, last_id = excluded.last_id, gaps = excluded.gaps, seen_at = excluded.seen_at,
            doubts = f.doubts - $9";

    DOUBT = "update chassis.footings set doubts = doubts + 1 where stream = $1";

    PUT_BACK = "with lost as (
            select id from unnest($1::uuid[]) as l (id)
            where exists (select from chassis.leases where job = 'reconcile' and token = $2 and expires > clock_timestamp())
              and not exists (select from chassis.outbox_pending as p where p.id = l.id)
        ), generation as (
            insert into chassis.outbox_generation as g (id, n) select id, 1 from lost order by id
            on conflict (id) do update set n = g.n + 1
        )
        insert into chassis.outbox_pending (id) select id from lost order by id on conflict (id) do nothing";
}

/// A look failed. *Retry*, at the next.
#[derive(thiserror::Error, Debug)]
pub(super) enum Broken {
    #[error(transparent)]
    Unseen(#[from] Unseen),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the database: {0}")]
    Store(#[from] sqlx::Error),
    #[error("the stream has gone")]
    NoStream,
}

/// The one who looks.
pub(crate) struct Reconciler {
    pub(crate) lease: Lease,
    pub(crate) broker: Broker,
    pub(crate) pool: PgPool,
    pub(crate) marks: Marks,
    /// Told of what the stream holds and nobody here has said.
    pub(crate) intake: Intake,
    pub(crate) metrics: Metrics,
    pub(crate) settings: super::Settings,
}

/// What the leader has begun.
#[derive(Default)]
struct Round {
    /// Under which token; none before this replica leads.
    token: Option<i64>,
    slow: Option<Pass>,
    /// Look again at what was said since then, once its time has come.
    again: Option<(Instant, Timestamp)>,
    /// As last compared with its declaration.
    config: Option<stream::Config>,
}

/// What was known, when, and how often a replica has doubted it since.
struct Known {
    footing: Footing,
    seen_at: Timestamp,
    doubts: i64,
}

impl Reconciler {
    /// Until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Some(stream) = self.broker.own() else { return stop.cancelled().await };
        let mut round = Round::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(self.settings.reconcile_interval) => {}
            }
            // Without a stream there is nothing to look at; it is being made.
            if !self.broker.may_publish() {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look(&stream, &mut round) => if let Err(error) = looked {
                    round.slow = None;
                    tracing::warn!(%error, "whether the stream holds what was said cannot be told now");
                }
            }
        }
    }

    async fn look(&self, stream: &str, round: &mut Round) -> Result<(), Broken> {
        let connects = self.broker.connects();
        let Some(info) = self.broker.stream(stream).await? else {
            self.broker.lost_stream();
            return Ok(());
        };
        self.look_at_marks(stream, &info).await?;
        let Some(token) = self.lease.held() else {
            *round = Round::default();
            return Ok(());
        };
        if round.config.as_ref() != Some(&info.config) {
            self.broker.mend_stream(&info).await?;
            round.config = Some(info.config.clone());
        }
        let now_is = self.footing(stream, &info).await?;
        let known = sqlx::query(KNOWN).bind(stream).try_map(known).fetch_optional(&self.pool).await?;
        let doubts = known.as_ref().map_or(0, |known| known.doubts);
        if self.is_in_doubt(stream, known.as_ref(), &now_is).await? {
            *round = Round { config: round.config.take(), token: Some(token), ..Round::default() };
            // A replica may strike off only now what was acknowledged before.
            round.again = Some((Instant::now() + STRUCK_OFF_WITHIN, now().before(UNDER_WAY)));
            self.compare(stream, token, self.span(self.oldest(), &info)).await?;
        } else if round.token != Some(token) {
            *round = Round { config: round.config.take(), token: Some(token), ..Round::default() };
            // Who led before saw the stream at that moment; what was acknowledged since then stands behind that end.
            let since = known.map_or(Timestamp::from_micros(0), |known| known.seen_at.before(UNDER_WAY));
            self.compare(stream, token, self.span(since.max(self.oldest()), &info)).await?;
        } else if let Some((_, since)) = round.again.take_if(|(at, _)| Instant::now() >= *at) {
            self.compare(stream, token, self.span(since, &info)).await?;
        } else {
            self.go_on(stream, token, round, &info).await?;
        }
        // Else half of what was seen may be of another life of the server.
        if connects == self.broker.connects() {
            self.remember(stream, token, &now_is, doubts).await?;
        }
        Ok(())
    }

    /// What this process was told is in the stream: is it? Any replica may find that it is not, and the leader acts on it.
    async fn look_at_marks(&self, stream: &str, info: &Info) -> Result<(), Broken> {
        for (connects, mark) in self.marks.all() {
            let stands = mark.sequence < info.state.first_sequence
                || self.broker.id_at(stream, mark.sequence).await?.as_deref().and_then(published) == Some(mark.id);
            if !stands {
                tracing::warn!(sequence = mark.sequence, event = %mark.id, "the stream does not hold what was acknowledged");
                sqlx::query(DOUBT).bind(stream).execute(&self.pool).await?;
            }
            self.marks.looked_at(connects, mark, stands, self.broker.connects());
        }
        Ok(())
    }

    async fn is_in_doubt(&self, stream: &str, known: Option<&Known>, now_is: &Footing) -> Result<bool, Broken> {
        let Some(known) = known else { return Ok(true) };
        let there = self.broker.id_at(stream, known.footing.last).await?;
        let doubt = doubt(&known.footing, now_is, there.as_deref(), self.oldest());
        if let Some(why) = doubt {
            tracing::warn!(stream, why = why.code(), "the stream may have lost something: all of it is compared with the outbox");
        }
        Ok(doubt.is_some() || known.doubts > 0)
    }

    async fn footing(&self, stream: &str, info: &Info) -> Result<Footing, Broken> {
        let state = &info.state;
        Ok(Footing {
            created: nanos(info.created),
            first: state.first_sequence,
            first_at: state.first_timestamp.into(),
            last: state.last_sequence,
            last_id: self.broker.id_at(stream, state.last_sequence).await?,
            gaps: state.deleted_count.unwrap_or(0),
        })
    }

    /// What was said before this may have left the stream by its age.
    fn oldest(&self) -> Timestamp {
        now().before(self.broker.kept_for())
    }

    fn span(&self, since: Timestamp, info: &Info) -> Span {
        // The clock of another replica may be ahead.
        Span { since, until: now().after(UNDER_WAY), last: info.state.last_sequence }
    }

    /// Compares that span at once.
    async fn compare(&self, stream: &str, token: i64, span: Span) -> Result<(), Broken> {
        let missing = Pass::begin(&self.broker, &self.intake, stream, span).await?.run(&self.broker, &self.pool, stream).await?;
        self.put_back(stream, token, &missing).await
    }

    /// The slow pass: a window at each look, through everything and then again.
    async fn go_on(&self, stream: &str, token: i64, round: &mut Round, info: &Info) -> Result<(), Broken> {
        let mut pass = match round.slow.take() {
            Some(pass) => pass,
            None => {
                let span = Span { since: self.oldest(), until: now().before(UNDER_WAY), last: info.state.last_sequence };
                Pass::begin(&self.broker, &self.intake, stream, span).await?
            }
        };
        match pass.step(&self.broker, &self.pool, stream, self.settings.reconcile_window as usize).await? {
            None => round.slow = Some(pass),
            Some(missing) => {
                pass.close(&self.broker).await;
                self.put_back(stream, token, &missing).await?;
            }
        }
        Ok(())
    }

    async fn put_back(&self, stream: &str, token: i64, missing: &[EventId]) -> Result<(), Broken> {
        for page in missing.chunks(PUT_BACK_MAX) {
            let ids: Vec<Uuid> = page.iter().map(|id| id.0).collect();
            let put_back = sqlx::query(PUT_BACK).bind(ids).bind(token).execute(&self.pool);
            let events = spanned("insert chassis.outbox_pending", put_back).await?.rows_affected();
            tracing::warn!(stream, events, "events were gone from the stream: they are published again");
            self.metrics.put_back(events);
        }
        Ok(())
    }

    async fn remember(&self, stream: &str, token: i64, footing: &Footing, doubts: i64) -> Result<(), Broken> {
        let Footing { created, first, first_at, last, last_id, gaps } = footing;
        sqlx::query(REMEMBER)
            .bind(stream)
            .bind(created)
            .bind(first.cast_signed())
            .bind(OffsetDateTime::from(*first_at))
            .bind(last.cast_signed())
            .bind(last_id)
            .bind(gaps.cast_signed())
            .bind(OffsetDateTime::from(now()))
            .bind(doubts)
            .bind(token)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

fn known(row: PgRow) -> sqlx::Result<Known> {
    let count = |column| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let time = |column| row.try_get::<OffsetDateTime, _>(column).map(Timestamp::from);
    let footing = Footing {
        created: row.try_get("created")?,
        first: count("first")?,
        first_at: time("first_at")?,
        last: count("last")?,
        last_id: row.try_get("last_id")?,
        gaps: count("gaps")?,
    };
    Ok(Known { footing, seen_at: time("seen_at")?, doubts: row.try_get("doubts")? })
}
