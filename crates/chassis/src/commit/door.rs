//! What stands before a committer: a short queue, and somebody who waits for the answer.

use std::time::{Duration, Instant};

use saga::{Claim, Receipt};
use tokio::sync::{mpsc, oneshot};

use super::{Error, Incoming, Settled};
use crate::{edge, relay::Backlog, restored::Intake, service::Service, telemetry, telemetry::Metrics};

/// Which door: each has a queue, a committer and connections of its own, so that none can starve another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Commands,
    Events,
    Answers,
    Deadlines,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Commands, Self::Events, Self::Answers, Self::Deadlines];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Events => "events",
            Self::Answers => "answers",
            Self::Deadlines => "deadlines",
        }
    }
}

/// One of the four doors. Cheap to clone.
pub struct Door<S: Service> {
    kind: Kind,
    queue: mpsc::Sender<Waiting<S>>,
    backlog: Backlog,
    intake: Intake,
    metrics: Metrics,
}

/// An input that waits for its batch, with whoever waits for it.
#[derive(Debug)]
pub(crate) struct Waiting<S: Service> {
    pub(crate) incoming: Incoming<S>,
    pub(crate) since: Instant,
    pub(crate) answer: oneshot::Sender<Result<Settled, Error>>,
}

/// A door of that kind, and what comes through it.
pub(crate) fn door<S: Service>(
    kind: Kind,
    queue_max: usize,
    backlog: Backlog,
    intake: Intake,
    metrics: Metrics,
) -> (Door<S>, mpsc::Receiver<Waiting<S>>) {
    let (queue, waiting) = mpsc::channel(queue_max);
    (Door { kind, queue, backlog, intake, metrics }, waiting)
}

impl<S: Service> Door<S> {
    /// Takes one input, in a batch with whatever else waits, and tells what became of it once that is committed. It goes
    /// on when nobody waits for it any more.
    ///
    /// # Errors
    /// See [`Error`]. A command is turned away where there is too much to do; by the other doors one waits.
    pub async fn take(&self, incoming: Incoming<S>) -> Result<Settled, Error> {
        self.enter(incoming).await?.await.unwrap_or(Err(Error::Stopping))
    }

    /// As [`take`](Self::take), and returns as soon as it stands in the queue: whoever enters next is decided after it.
    pub(crate) async fn enter(&self, incoming: Incoming<S>) -> Result<oneshot::Receiver<Result<Settled, Error>>, Error> {
        let (answer, settled) = oneshot::channel();
        let waiting = Waiting { incoming, since: Instant::now(), answer };
        match self.kind {
            Kind::Commands => self.take_if_there_is_room(waiting)?,
            Kind::Events | Kind::Answers | Kind::Deadlines => {
                self.queue.send(waiting).await.map_err(|_| Error::Stopping)?;
            }
        }
        Ok(settled)
    }

    fn take_if_there_is_room(&self, waiting: Waiting<S>) -> Result<(), Error> {
        if let Some(why) = self.intake.refuses() {
            self.metrics.shed("restored");
            return Err(Error::Restored(why));
        }
        if self.backlog.is_full() {
            self.metrics.shed("backlog");
            return Err(Error::Full { retry_after: Duration::from_secs(5) });
        }
        self.queue.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                self.metrics.shed("queue");
                Error::Full { retry_after: Duration::from_secs(1) }
            }
            mpsc::error::TrySendError::Closed(_) => Error::Stopping,
        })
    }
}

impl<S: Service> Clone for Door<S> {
    fn clone(&self) -> Self {
        Self {
            kind: self.kind,
            queue: self.queue.clone(),
            backlog: self.backlog.clone(),
            intake: self.intake.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

impl<S: Service> edge::Commands<S::Input> for Door<S> {
    async fn take(&self, claim: Claim, input: S::Input) -> Result<edge::Taken, edge::NotTaken> {
        match Self::take(self, Incoming::now(claim, "http", telemetry::current(), input)).await {
            Ok(Settled::Taken { receipt, .. }) => Ok(edge::Taken::Now(receipt.unwrap_or_else(silent))),
            Ok(Settled::Repeated(receipt)) => Ok(edge::Taken::Before(receipt.unwrap_or_else(silent))),
            Ok(Settled::OtherBody) => Ok(edge::Taken::OtherBody),
            Ok(Settled::Refused(problem)) => Ok(edge::Taken::Refused(problem)),
            Ok(settled @ (Settled::NotYet(_) | Settled::Contradiction(_))) => {
                tracing::error!(?settled, "a command's verb may take or refuse, nothing else");
                Err(edge::NotTaken::Failed)
            }
            Err(Error::Full { retry_after }) => Err(edge::NotTaken::Full { retry_after: retry_after.as_secs() }),
            Err(Error::Restored(why)) => Err(edge::NotTaken::Restored(why)),
            Err(Error::Away | Error::Stopping) => Err(edge::NotTaken::Away),
            Err(Error::Poison(_)) => Err(edge::NotTaken::Failed),
        }
    }
}

/// What a command is told whose verb gives no answer.
fn silent() -> Receipt {
    Receipt { status: 200, body: serde_json::Value::Null }
}
