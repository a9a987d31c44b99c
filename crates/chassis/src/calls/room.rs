//! From intent to call to answer.
//!
//! 1. A reaction commits an intent, `due` a moment ahead. Right after the commit it is handed here in memory and called.
//! 2. Whatever was not handed on, or was lost with the replica that had it, becomes due and is found by the sweep of
//!    some replica, which moves `due` ahead by a lease.
//! 3. An answer goes through the door; the same transaction removes the intent. No answer: a note in the row, `due` after
//!    a backoff. Nothing is ever given up.
//!
//! When two replicas call for the same intent, both send the same key, and the second answer meets the first one's claim.

use std::{sync::Arc, time::Duration};

use clap::Args;
use saga::{Calls as _, Claim, Participant, attention::TRIES_ALARMING};
use sqlx::PgPool;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{
    Backoff, CALLS_MAX,
    intents::{self, Held, Note},
    next::{Ask, Next, after_call, after_look_up},
};
use crate::{
    commit::{Asked, Door, Error, HANDED_FOR, Incoming, Settled},
    failpoint::Boundary,
    restored::Intake,
    service::{Failure, Partner, Service},
    shutdown::Shutdown,
    telemetry,
};

/// A try that takes longer, however many exchanges it makes, has brought no answer. Well within [`HANDED_FOR`], the time that
/// a replica has an intent to itself, whether it was handed to it or found due.
const TRY_MAX: Duration = Duration::from_secs(12);
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// How often due intents are looked for.
const SWEEP: Duration = Duration::from_millis(250);
/// As long as there are some: places become free as calls end.
const SWEEP_AGAIN: Duration = Duration::from_millis(25);
/// How long the end of the service waits for calls that are under way.
const FINISH_MAX: Duration = Duration::from_secs(3);
/// How many notes are written in one statement.
const NOTES_MAX: usize = 256;
/// Before what was never sent (circuit open, bulkhead full, connection refused) is tried again. It costs the partner
/// nothing, and an intent that waited for minutes would sleep through the partner's recovery.
const SOON: Backoff = Backoff { first: Duration::from_millis(250), most: Duration::from_secs(2) };

/// How partners are called.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// The longest wait between two tries of a call that brings no answer, such as 30s.
    #[arg(long, env = "CALL_BACKOFF_MAX", default_value = "30s", value_parser = crate::config::duration)]
    pub call_backoff_max: Duration,
}

/// The room, shared by its tasks.
pub(crate) struct Room<S: Service> {
    pub(crate) door: Door<S>,
    pub(crate) pool: PgPool,
    pub(crate) partner: Box<dyn Partner<S>>,
    pub(crate) settings: Settings,
    pub(crate) intake: Intake,
}

/// Intents on their way from the doors' commits.
type Fresh<S> = mpsc::Receiver<Asked<<S as Participant>::Call>>;

/// Starts to call. When the service ends: first no more calls, then, when no door commits any more, what was handed here and
/// not begun is given back.
pub(crate) fn start<S: Service>(room: Room<S>, fresh: Fresh<S>, shutdown: &Shutdown) {
    let (pool, intake) = (room.pool.clone(), shutdown.intake());
    let (leave, left) = oneshot::channel();
    shutdown.spawn_taker("calls", async move {
        // Nobody takes it only when the service has ended without order.
        let _ = leave.send(run(room, fresh, intake).await);
    });
    shutdown.spawn_worker("calls not begun", async move {
        if let Ok(fresh) = left.await {
            give_back::<S>(&pool, fresh).await;
        }
    });
}

/// Until the last sender, a door, has gone. Nobody needs to wait for what this replica would have done.
async fn give_back<S: Service>(pool: &PgPool, mut fresh: Fresh<S>) {
    let mut ids = Vec::new();
    while let Some(asked) = fresh.recv().await {
        ids.push(asked.id);
    }
    if !ids.is_empty()
        && let Err(error) = intents::due_now(pool, &ids).await
    {
        tracing::info!(%error, "calls that were not begun become due by themselves");
    }
}

/// Calls until `stop`, then waits for the calls that are under way.
async fn run<S: Service>(room: Room<S>, mut fresh: Fresh<S>, stop: CancellationToken) -> Fresh<S> {
    let (notes, written) = mpsc::channel(NOTES_MAX);
    let writer = tokio::spawn(write_notes(room.pool.clone(), written));
    let (places, tasks) = (Arc::new(Semaphore::new(CALLS_MAX)), TaskTracker::new());
    let backoff = Backoff { first: BACKOFF_FIRST, most: room.settings.call_backoff_max };
    let caller = Arc::new(Caller { room, backoff, notes });
    let mut next_sweep = Instant::now();
    let begin = |held, place| tasks.spawn(caller.clone().carry_out(held, place));
    loop {
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Ok(place) = places.clone().acquire_owned() => place,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // First, for else a steady stream of fresh ones would keep those that were lost waiting for ever.
            () = sleep_until(next_sweep) => {
                drop(place);
                let due = caller.due(&places).await;
                let wait = if due.is_empty() { SWEEP } else { SWEEP_AGAIN };
                due.into_iter().for_each(|(held, place)| drop(begin(held, place)));
                next_sweep = Instant::now() + wait;
            }
            // The sender lives as long as the door, which this room holds.
            Some(Asked { id, call, trace, at }) = fresh.recv() => {
                if call.attempt() > 1 {
                    // The key before it has just burned: not at once again, and not in a place that others need.
                    let wait = caller.backoff.wait(call.attempt() - 1);
                    caller.notes.send(Note { id, tries: 0, error: "the key before was burned".into(), ask: Ask::Call, wait }).await.ok();
                } else if at.elapsed() + TRY_MAX < HANDED_FOR {
                    begin(Held { id, call, trace, tries: 0, ask: Ask::Call }, place);
                }
                // Else it may soon be found due by another replica: it is left to the sweep.
            }
        }
    }
    finish(tasks, caller, writer).await;
    fresh
}

/// What takes too long is left behind: it is repeated, under the same key.
async fn finish<S: Service>(tasks: TaskTracker, caller: Arc<Caller<S>>, writer: JoinHandle<()>) {
    tasks.close();
    drop(caller);
    let finished = timeout(FINISH_MAX, async {
        tasks.wait().await;
        writer.await
    });
    if finished.await.is_err() {
        tracing::info!("calls under way are left behind; another replica repeats them, or this one when it is back");
    }
}

/// Those that wait while one statement is under way go into the next.
async fn write_notes(pool: PgPool, mut notes: mpsc::Receiver<Note>) {
    let mut some = Vec::new();
    while notes.recv_many(&mut some, NOTES_MAX).await > 0 {
        if let Err(error) = intents::note(&pool, &some).await {
            // Their lease runs out, and they are tried again all the same.
            tracing::warn!(%error, notes = some.len(), "failed calls could not be noted");
        }
        some.clear();
    }
}

struct Caller<S: Service> {
    room: Room<S>,
    backoff: Backoff,
    notes: mpsc::Sender<Note>,
}

impl<S: Service> Caller<S> {
    /// Those that are due, each with a place: no more than there are places.
    async fn due(&self, places: &Arc<Semaphore>) -> Vec<(Held<S::Call>, OwnedSemaphorePermit)> {
        if !self.room.intake.asks() {
            return Vec::new();
        }
        let free = std::iter::from_fn(|| places.clone().try_acquire_owned().ok()).collect::<Vec<_>>();
        let most = i64::try_from(free.len()).unwrap_or(i64::MAX);
        match intents::take_due(&self.room.pool, most, HANDED_FOR).await {
            Ok(due) => due.into_iter().zip(free).collect(),
            Err(error) => {
                tracing::warn!(%error, "due calls could not be looked for");
                Vec::new()
            }
        }
    }

    async fn carry_out(self: Arc<Self>, held: Held<S::Call>, _place: OwnedSemaphorePermit) {
        let span = tracing::info_span!(
            "intent",
            otel.name = held.call.name(),
            correlation_id = %held.call.saga(),
            ensemble.call.id = %held.id,
            ensemble.call.tries = held.tries,
        );
        telemetry::child_of(&span, &held.trace);
        async {
            match self.ask(&held).await {
                Next::Take(answer) => self.take(held, answer).await,
                Next::Burned => {
                    let answer = self.room.partner.burned(&held.call);
                    tracing::warn!(
                        attempt = held.call.attempt(),
                        "a key holds a stored error and nothing was executed under it: it is burned"
                    );
                    self.take(held, answer).await;
                }
                Next::AfterBackoff(ask, error) => {
                    let wait = self.backoff.wait(held.tries + 1);
                    self.note(&held, ask, error, wait).await;
                }
                Next::Soon(ask, error) => {
                    let wait = SOON.wait(held.tries + 1);
                    self.note(&held, ask, error, wait).await;
                }
                Next::AfterLag(error) => self.note(&held, Ask::LookUp, error, self.room.partner.lag_bound()).await,
            }
        }
        .instrument(span)
        .await;
    }

    async fn ask(&self, held: &Held<S::Call>) -> Next<S::Input> {
        let (partner, call) = (&self.room.partner, &held.call);
        let late = |_| Failure::InDoubt(format!("no answer within {TRY_MAX:?}"));
        match held.ask {
            Ask::Call => after_call(timeout(TRY_MAX, self.call(call)).await.map_err(late).flatten()),
            Ask::LookUp => after_look_up(timeout(TRY_MAX, partner.look_up(call)).await.map_err(late).flatten()),
        }
    }

    async fn call(&self, call: &S::Call) -> Result<S::Input, Failure> {
        Boundary::Call.before().reached().await.map_err(|error| Failure::NotSent(error.to_string()))?;
        let answer = self.room.partner.call(call, &call.key()).await?;
        Boundary::Call.after().reached().await.map_err(|error| Failure::InDoubt(error.to_string()))?;
        Ok(answer)
    }

    /// Takes the answer through the door. What the door does not take is asked again, under the same key.
    async fn take(&self, held: Held<S::Call>, answer: S::Input) {
        let taken = async {
            Boundary::Answer.before().reached().await.map_err(|_| Error::Away)?;
            let answer = Incoming::now(Claim::Answer(held.id), "partner", telemetry::current(), answer);
            let settled = self.room.door.take(answer).await?;
            Boundary::Answer.after().reached().await.map_err(|_| Error::Away)?;
            Ok(settled)
        };
        let error = match taken.await {
            Ok(Settled::Taken { .. } | Settled::Repeated(_)) => return,
            Err(Error::Stopping) => return,
            Err(error @ (Error::Full { .. } | Error::Away | Error::Restored(_) | Error::Poison(_))) => error.to_string(),
            Ok(settled @ (Settled::NotYet(_) | Settled::Contradiction(_) | Settled::OtherBody | Settled::Refused(_))) => {
                format!("the answer does not fit: {settled:?}")
            }
        };
        if !self.room.intake.asks() {
            // The database is older than the call. If it still has to be asked for, it is.
            return tracing::warn!(call = held.call.name(), %error, "an answer met a database that is in doubt");
        }
        tracing::error!(call = held.call.name(), %error, "an answer cannot be taken");
        let wait = self.backoff.wait(held.tries + 1);
        self.note(&held, held.ask, error, wait).await;
    }

    async fn note(&self, held: &Held<S::Call>, ask: Ask, error: String, wait: Duration) {
        let tries = held.tries.saturating_add(1);
        if tries >= TRIES_ALARMING && (tries == TRIES_ALARMING || tries.is_power_of_two()) {
            tracing::warn!(tries, %error, call = held.call.name(), "a partner has not answered; the call is repeated until it does");
        } else {
            tracing::info!(tries, %error, call = held.call.name(), "a partner has not answered");
        }
        let note = Note { id: held.id, tries, error, ask, wait };
        // It fails only when the writer panicked; the lease then brings the intent back.
        let _ = self.notes.send(note).await;
    }
}
