//! Takes what waits at a door, batch by batch, until the service ends.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use saga::{Context, Inputs as _, batch::Arrived};
use sqlx::PgPool;
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::{
    About, Asked, Error, Incoming, Settled, Watchers,
    door::{Kind, Waiting},
    effects::Effects,
    now,
    transaction::{Fault, Held, take},
};
use crate::{
    admin::Denied,
    calls::Backoff,
    relay::Outlet,
    service::Service,
    telemetry::{self, Metrics, Wait},
};

/// A transaction that takes longer hangs on a connection that nobody answers on: its end is unknown, and it is done again.
const TRANSACTION_MAX: Duration = Duration::from_secs(20);
/// So long what only takes note waits for company: longer than a saga takes, so that a step of the saga comes along.
const COMPANY: Duration = Duration::from_millis(100);
/// After so many at once the door is busy, and whoever comes next waits a moment for company, too: so long for each of those, which
/// is about what they took, and the transactions are half as many. Behind fewer nobody waits.
const BUSY: usize = 4;
const BUSY_COMPANY: Duration = Duration::from_micros(400);
const BUSY_COMPANY_MAX: Duration = Duration::from_millis(8);
/// Repeats come in swarms: for so long after one, all that comes is looked up before it is decided.
const REPEATS_FOR: Duration = Duration::from_secs(1);
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(10), most: Duration::from_secs(2) };

type Answer = oneshot::Sender<Result<Settled, Error>>;

/// What waits together. Shared with the task of its transaction, so that it survives a panic there.
pub(super) struct Batch<S: Service> {
    pub(super) arrived: Vec<Arrived<S>>,
    pub(super) about: Vec<About>,
}

/// What a committer keeps from one batch to the next.
#[derive(Default)]
struct Kept {
    conn: Option<Held>,
    /// When something was last decided as if it were new, and could not be written as such.
    repeat: Option<Instant>,
}

/// Where what was committed goes on from memory. All of it may be dropped: the tables know, and their sweeps look.
pub(crate) struct Handoff<S: Service> {
    pub(crate) outlet: Outlet,
    pub(crate) asked: mpsc::Sender<Asked<S::Call>>,
    pub(crate) watchers: Watchers,
}

/// The one who takes what waits at one door.
pub(crate) struct Committer<S: Service> {
    pub(crate) kind: Kind,
    pub(crate) queue: mpsc::Receiver<Waiting<S>>,
    pub(crate) pool: PgPool,
    pub(crate) settings: super::Settings,
    pub(crate) handoff: Handoff<S>,
    pub(crate) metrics: Metrics,
    /// What the database does not permit any more.
    pub(crate) denied: Denied,
    /// Cancelled when nothing more comes: what waits is still taken.
    pub(crate) work: CancellationToken,
}

impl<S: Service> Committer<S> {
    /// Until nothing more comes and all that waited is taken.
    pub(crate) async fn run(mut self) {
        let most = usize::from(self.settings.batch_max);
        let (mut waiting, mut kept, mut last) = (Vec::with_capacity(most), Kept::default(), 0);
        loop {
            let came = tokio::select! {
                biased;
                came = self.queue.recv_many(&mut waiting, most) => came,
                () = self.work.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            };
            if came == 0 {
                // Also when nobody comes by this door: a service may have no partner.
                return self.work.cancelled().await;
            }
            self.gather(&mut waiting, most, last).await;
            last = waiting.len();
            self.take(waiting.drain(..), &mut kept).await;
        }
    }

    /// Nobody waits for what only takes note, and alone it costs as much as a step of the saga: it rides with the next one.
    /// Where many came at once, others are about to.
    async fn gather(&mut self, waiting: &mut Vec<Waiting<S>>, most: usize, last: usize) {
        if last >= BUSY && waiting.len() < most {
            let took = BUSY_COMPANY * u32::try_from(last).unwrap_or(u32::MAX);
            sleep(took.min(BUSY_COMPANY_MAX)).await;
            while waiting.len() < most
                && let Ok(one) = self.queue.try_recv()
            {
                waiting.push(one);
            }
        }
        let Some(until) = waiting.first().map(|first| first.since + COMPANY) else { return };
        let mut looked = 0;
        while waiting.len() < most && waiting[looked..].iter().all(takes_note) {
            looked = waiting.len();
            tokio::select! {
                biased;
                came = self.queue.recv_many(waiting, most - looked) => if came == 0 { return },
                () = self.work.cancelled() => return,
                () = sleep_until(until.into()) => return,
            }
        }
    }

    async fn take(&self, waiting: impl Iterator<Item = Waiting<S>>, kept: &mut Kept) {
        let start = Instant::now();
        let mut oldest = start;
        let (mut batch, mut answers) = (Batch { arrived: Vec::new(), about: Vec::new() }, Vec::new());
        for Waiting { incoming: Incoming { arrived, about }, since, answer } in waiting {
            self.metrics.waited(Wait::Inbox, start - since);
            oldest = oldest.min(since);
            batch.arrived.push(arrived);
            batch.about.push(about);
            answers.push(Some(answer));
        }
        let (batch, whole) = (Arc::new(batch), 0..answers.len());
        let mut parts = vec![whole];
        while let Some(part) = parts.pop() {
            let span = self.span(&batch, part.clone());
            match self.until_it_ends(&batch, part.clone(), oldest, kept).instrument(span).await {
                Ok(effects) => self.hand_on(effects, &mut answers[part], start),
                Err(Error::Poison(_)) if part.len() > 1 => {
                    // Last in, first out: in the order in which they came.
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Err(error) => {
                    if let Error::Poison(why) = &error {
                        let one = &batch.arrived[part.start];
                        let saga = one.saga().map(|saga| saga.to_string());
                        tracing::error!(correlation_id = saga, claim = %one.claim.id(), "an input cannot be taken: {why}");
                    }
                    for answer in answers[part].iter_mut().filter_map(Option::take) {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// Again and again while the world fails: a command for as long as somebody waits, anything else until the service ends.
    async fn until_it_ends(
        &self,
        batch: &Arc<Batch<S>>,
        part: Range<usize>,
        oldest: Instant,
        kept: &mut Kept,
    ) -> Result<Effects<S>, Error> {
        let lately = kept.repeat.is_some_and(|repeat| repeat.elapsed() < REPEATS_FOR);
        let (mut failures, mut panicked, mut looked_up) = (0_u32, false, lately);
        loop {
            let sure = std::mem::replace(&mut looked_up, true);
            let why = match self.once(batch, part.clone(), sure, &mut kept.conn).await {
                Ok(Some(effects)) => return Ok(effects),
                Ok(None) => {
                    kept.repeat = Some(Instant::now());
                    continue;
                }
                // A repeat, decided as if it were none, may well be impossible.
                Err(Fault::Poison(_)) if !sure => {
                    kept.repeat = Some(Instant::now());
                    continue;
                }
                Err(Fault::Poison(why)) => return Err(Error::Poison(why)),
                Err(Fault::Panic(why)) if panicked => return Err(Error::Poison(why)),
                // It may have struck behind the commit: again, once, and the claims tell.
                Err(Fault::Panic(why)) => {
                    panicked = true;
                    why
                }
                Err(Fault::Denied(why)) => {
                    self.denied.tell(&why);
                    why
                }
                Err(Fault::Retry(why)) => why,
            };
            failures += 1;
            if failures.is_power_of_two() {
                tracing::warn!(door = self.kind.name(), failures, "a transaction is done again: {why}");
            }
            if self.kind == Kind::Commands && oldest.elapsed() >= self.settings.command_patience {
                return Err(Error::Away);
            }
            tokio::select! {
                () = self.work.cancelled() => return Err(Error::Stopping),
                () = sleep(BACKOFF.wait(failures)) => {}
            }
        }
    }

    /// In a task of its own, which nothing cancels and whose panic is seen. Its connection is kept for the next batch, or
    /// closed: none goes back to the pool inside a transaction.
    async fn once(
        &self,
        batch: &Arc<Batch<S>>,
        part: Range<usize>,
        looked_up: bool,
        kept: &mut Option<Held>,
    ) -> Result<Option<Effects<S>>, Fault> {
        let mut held = match kept.take() {
            Some(held) => held,
            None => Held::new(self.pool.acquire().await?),
        };
        let (batch, ctx) = (batch.clone(), Context { now: now(), patience: self.settings.patience });
        let transaction = async move {
            let taken = timeout(TRANSACTION_MAX, take(&mut held, &batch, part, &ctx, looked_up)).await;
            let taken = taken.unwrap_or_else(|_| Err(Fault::Retry(format!("no end within {TRANSACTION_MAX:?}"))));
            let kept = if taken.is_ok() {
                Some(held)
            } else {
                drop(held.conn.detach());
                None
            };
            (taken, kept)
        };
        match tokio::spawn(transaction.in_current_span()).await {
            Ok((taken, conn)) => {
                *kept = conn;
                taken
            }
            Err(panicked) => Err(Fault::Panic(format!("its reaction panicked: {}", said_in(panicked)))),
        }
    }

    fn hand_on(&self, effects: Effects<S>, answers: &mut [Option<Answer>], start: Instant) {
        effects.alarm();
        let mut came_out = Vec::new();
        for (saga, event) in effects.outcomes() {
            self.metrics.saga_ended(event, effects.now.since(saga.born()));
            came_out.push((saga, event.clone()));
        }
        let Effects { settled, said, asked, sagas, .. } = effects;
        self.handoff.outlet.offer(said);
        for asked in asked {
            // Full: it is due later, and found by the sweep.
            let _ = self.handoff.asked.try_send(asked);
        }
        let took = start.elapsed();
        for (answer, settled) in answers.iter_mut().zip(settled) {
            self.metrics.waited(Wait::Handler, took);
            if let Some(answer) = answer.take() {
                // Nobody may be waiting any more.
                let _ = answer.send(Ok(settled));
            }
        }
        self.handoff.watchers.wake(sagas, came_out);
    }

    /// The batch's own span, linked to each input's; none where none of those is recorded.
    fn span(&self, batch: &Batch<S>, part: Range<usize>) -> Span {
        let recorded = |about: &&About| about.trace.traceparent.as_deref().is_some_and(|parent| parent.ends_with("-01"));
        let mut recorded = batch.about[part.clone()].iter().filter(recorded).peekable();
        if recorded.peek().is_none() {
            return Span::none();
        }
        let span = tracing::info_span!(
            "commit",
            otel.name = format!("commit {}", self.kind.name()),
            ensemble.door = self.kind.name(),
            messaging.batch.message_count = part.len(),
        );
        recorded.for_each(|about| telemetry::linked_to(&span, &about.trace));
        span
    }
}

fn takes_note<S: Service>(waiting: &Waiting<S>) -> bool {
    S::DECLARATION.takes_note(waiting.incoming.arrived.input.row())
}

fn said_in(panicked: tokio::task::JoinError) -> String {
    match panicked.try_into_panic() {
        Ok(said) => match (said.downcast_ref::<String>(), said.downcast_ref::<&str>()) {
            (Some(said), _) => said.clone(),
            (None, Some(said)) => (*said).to_owned(),
            (None, None) => "it says nothing".to_owned(),
        },
        Err(cancelled) => cancelled.to_string(),
    }
}
