//! From the broker to the door: pull, read, take, and acknowledge only what is committed.
//!
//! Every delivery ends in one of three ways, and each is in the database before its acknowledgement: it took effect (now or
//! before), it is parked, or it is a dead letter. While the database is away nothing ends, nothing is acknowledged, and no
//! more is pulled than was in hand.

use std::{pin::pin, sync::Arc, time::Duration};

use async_nats::jetstream::{AckKind, Message};
use clap::Args;
use events::SagaId;
use saga::{Claim, batch::Arrived};
use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, field::Empty};
use uuid::Uuid;

use crate::{
    broker::Broker,
    calls::Backoff,
    commit::{Door, Error, Foretold, Incoming, Settled, dry_run},
    failpoint::Boundary,
    lease::Lease,
    restored::Intake,
    service::Service,
    shutdown::Shutdown,
    telemetry::{self, Metrics, Wait},
};

mod acknowledging;
pub(crate) mod dead_letter;
mod durable;
pub(crate) mod parked;
mod parking;
mod pull;
mod reading;
mod watching;

pub(crate) use acknowledging::Acknowledging;
pub(crate) use dead_letter::Reason;
pub(crate) use durable::is_as_known;
pub(crate) use reading::{Heard, Letter, Unread, read};

/// Between two tries of what is parked, and of what the database did not take.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(30) };

/// So often the broker is told that a message is still in hand: well within its ack wait.
const KEPT_ALIVE: Duration = Duration::from_secs(10);

/// For another replica, and only once this one has no request at the broker any more: else it comes back here.
const GIVEN_BACK: AckKind = AckKind::Nak(Some(Duration::from_millis(500)));

/// What is heard.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How many messages of each event may be in hand: no more than are done in a quarter of the broker's ack wait.
    #[arg(long, env = "INBOX_IN_HAND_MAX", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub inbox_in_hand_max: u16,
    /// How long a message that came too early may wait before it is a dead letter, such as 10m.
    #[arg(long, env = "PARK_DEADLINE", default_value = "10m", value_parser = crate::config::duration)]
    pub park_deadline: Duration,
}

/// Takes what is heard. Shared by the consumers, the parked room and the operators' replay.
pub(crate) struct Inbox<S: Service> {
    /// For events.
    pub(crate) door: Door<S>,
    pub(crate) pool: PgPool,
    pub(crate) broker: Broker,
    pub(crate) metrics: Metrics,
    pub(crate) settings: Settings,
    /// How long a saga may stand still: what a dry run decides with.
    pub(crate) patience: Duration,
    /// While it hears nothing, neither does this.
    pub(crate) intake: Intake,
    /// While true this replica pulls nothing.
    pub(crate) paused: watch::Sender<bool>,
    pub(crate) acknowledging: Acknowledging,
}

/// All statements of this room.
pub(crate) const STATEMENTS: &[crate::Statements] = &[durable::STATEMENTS, parked::STATEMENTS, dead_letter::STATEMENTS];

/// Waits for the streams and makes the durables, each as soon as the stream that it is on exists.
pub(crate) async fn prepare<S: Service>(inbox: &Inbox<S>) {
    inbox.broker.until_there().await;
    inbox.intake.until_hears_is(true).await;
    for event in inbox.broker.heard() {
        let name = inbox.broker.durable_name(event);
        let ready = || async {
            let is = durable::have(&inbox.broker, &inbox.pool, event).await?;
            inbox.mend(event, &name, &is).await
        };
        inbox.broker.until_done(ready).await;
    }
}

/// Makes all durables anew where this database knows the readers to have stood.
///
/// # Errors
/// When the broker does not do it, in words.
pub(crate) async fn stand_back<S: Service>(inbox: &Inbox<S>) -> Result<(), String> {
    for event in inbox.broker.heard() {
        durable::make_anew(&inbox.broker, &inbox.pool, event).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Starts to hear what the declaration says, to watch where the durables stand, and to try again what is parked.
/// The lease says which replica watches, the duration how often.
pub(crate) fn start<S: Service>(inbox: &Arc<Inbox<S>>, watch: (Lease, Duration), shutdown: &Shutdown) {
    shutdown.spawn_taker("durables", watching::run(inbox.clone(), watch, shutdown.intake()));
    for event in inbox.broker.heard() {
        shutdown.spawn_taker(event.name, pull::run(inbox.clone(), event, shutdown.intake()));
    }
    shutdown.spawn_taker("parked", parking::run(inbox.clone(), shutdown.intake()));
}

/// How a message ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It took effect, now or before, or it is not for us.
    Done(Done),
    /// It came too early.
    NotYet(Reason),
    /// Nobody can take it.
    Dead(Reason),
}

/// How a message is done.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    /// It took effect.
    Taken,
    /// It had taken effect before.
    Repeated,
    /// It is not for this service.
    Ignored,
}

/// The world is in the way: nothing has become of the message, as far as is known. *Retry.*
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotNow {
    #[error("the door: {0}")]
    Door(#[source] Error),
    #[error("the database: {0}")]
    Store(#[from] sqlx::Error),
}

impl<S: Service> Inbox<S> {
    /// Waits until messages may be taken: neither an operator nor a database in doubt is in the way.
    async fn until_it_may_hear(&self) {
        // It fails only when the sender is gone, and that is here.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
        self.intake.until_hears_is(true).await;
    }

    /// Waits until they may not.
    async fn until_it_may_not_hear(&self) {
        let mut paused = self.paused.subscribe();
        tokio::select! {
            _ = paused.wait_for(|paused| *paused) => {}
            () = self.intake.until_hears_is(false) => {}
        }
    }

    /// Sees one delivery to its end and acknowledges it. Without an end it stays unacknowledged, and the broker gives it
    /// to somebody again.
    async fn deliver(&self, message: Message, destination: &'static str, stop: CancellationToken) {
        let began = Instant::now();
        self.count(&message, destination);
        let heard = read::<S::Input>(|name| header(&message, name), &message.payload);
        let span = span::<S>(&message, heard.as_ref().ok(), destination);
        let end = self.kept_alive(&message, self.end(&message, &heard, &stop).instrument(span.clone())).await;
        let (how, error) = match end {
            Some(End::Done(_)) => (AckKind::Ack, None),
            Some(End::NotYet(why) | End::Dead(why)) => (AckKind::Ack, Some(why.code)),
            None => (GIVEN_BACK, Some("stopped")),
        };
        if let Some(error) = error {
            span.record("error.type", error);
        }
        self.metrics.processed(destination, error, began.elapsed());
        match Boundary::Ack.before().reached().await {
            Ok(()) => self.acknowledging.send(message, how).await,
            Err(error) => tracing::debug!(%error, "a message is not acknowledged: it comes again and its claim drops it"),
        }
    }

    /// As long as it is in hand the broker need not give it to another. Where that is lost it does, harmlessly.
    async fn kept_alive(&self, message: &Message, end: impl Future<Output = Option<End>>) -> Option<End> {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                end = &mut end => return end,
                () = sleep(KEPT_ALIVE) => drop(message.ack_with(AckKind::Progress).await),
            }
        }
    }

    fn count(&self, message: &Message, destination: &'static str) {
        let Ok(info) = message.info() else { return };
        if info.delivered > 1 {
            self.metrics.redelivered(destination);
        }
        let published = OffsetDateTime::from_unix_timestamp_nanos(info.published.unix_timestamp_nanos());
        let waited = published.ok().and_then(|published| Duration::try_from(OffsetDateTime::now_utc() - published).ok());
        self.metrics.waited(Wait::Broker, waited.unwrap_or_default());
    }

    /// Tries until there is an end, and it is committed. None when told to stop before.
    async fn end(&self, message: &Message, heard: &Result<Heard<S::Input>, Unread>, stop: &CancellationToken) -> Option<End> {
        for tries in 1.. {
            if !self.intake.hears() {
                return None;
            }
            match self.try_to_end(message, heard).await {
                Ok(end) => return Some(end),
                Err(error) => tracing::warn!(%error, tries, "a message cannot be taken now"),
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = sleep(BACKOFF.wait(tries)) => {}
            }
        }
        None
    }

    async fn try_to_end(&self, message: &Message, heard: &Result<Heard<S::Input>, Unread>) -> Result<End, NotNow> {
        let end = self.take(heard).await?;
        if let (Some(why), false) = (self.intake.refuses(), self.intake.hears()) {
            // It is older than the message, or may be: whatever it makes of it, the message comes again.
            return Err(NotNow::Door(Error::Restored(why)));
        }
        match &end {
            End::Done(_) => {}
            End::NotYet(why) => {
                let (id, saga, letter) = kept(message, heard);
                tracing::info!(code = why.code, "a message came too early: it is parked");
                parked::park(&self.pool, id, saga, &letter, why, BACKOFF.wait(1)).await?;
            }
            End::Dead(why) => {
                let (id, saga, letter) = kept(message, heard);
                // Without the reason, which may quote what no log should hold.
                tracing::error!(code = why.code, dead_letter = %id, "a message cannot be taken: a dead letter");
                dead_letter::bury(&self.pool, id, saga, &letter, why).await?;
            }
        }
        Ok(end)
    }

    /// What would come of it now, without a commit.
    pub(crate) async fn foretell(&self, heard: &Result<Heard<S::Input>, Unread>) -> sqlx::Result<Foretold> {
        let heard = match heard {
            Ok(heard) => heard,
            Err(unread) => return Ok(unread.foretold()),
        };
        let arrived = Arrived { claim: Claim::Event(heard.envelope.id), input: heard.input.clone() };
        dry_run::<S>(&self.pool, arrived, self.patience).await
    }

    /// Takes what was heard through the door, once.
    pub(crate) async fn take(&self, heard: &Result<Heard<S::Input>, Unread>) -> Result<End, NotNow> {
        let heard = match heard {
            Ok(heard) => heard,
            Err(unread) => return Ok(unread.end()),
        };
        let Heard { envelope, content, input } = heard;
        match self.door.take(Incoming::event(envelope.clone(), *content, telemetry::current(), input.clone())).await {
            Ok(settled) => Ok(end_of(settled)),
            Err(Error::Poison(text)) => Ok(End::Dead(Reason::new("poison", text))),
            Err(error @ (Error::Full { .. } | Error::Away | Error::Stopping | Error::Restored(_))) => Err(NotNow::Door(error)),
        }
    }
}

fn end_of(settled: Settled) -> End {
    match settled {
        Settled::Taken { .. } => End::Done(Done::Taken),
        Settled::Repeated(_) => End::Done(Done::Repeated),
        Settled::NotYet(because) => End::NotYet(Reason::new("too_early", format!("what it stands on has not come: {because:?}"))),
        Settled::Contradiction(_) => End::Dead(Reason::new("contradiction", "it cannot be true beside what is known")),
        Settled::OtherBody => End::Dead(Reason::new("other_content", "another event took effect under the same id")),
        Settled::Refused(problem) => End::Dead(Reason::new("refused", problem.detail)),
    }
}

fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

/// What is kept of a message that did not take effect, and under which id: its event's, if that can be read.
fn kept<I>(message: &Message, heard: &Result<Heard<I>, Unread>) -> (Uuid, Option<SagaId>, Letter) {
    let letter = Letter::of(message);
    if let Ok(Heard { envelope, .. }) = heard {
        return (envelope.id.0, envelope.saga, letter);
    }
    let saga = letter.header("ce-correlationid").and_then(|id| id.parse().ok());
    let id = match (letter.header("ce-id").and_then(|id| id.parse().ok()), message.info()) {
        (Some(id), _) => id,
        (None, Ok(info)) => letter.id_in(info.stream, info.stream_sequence),
        (None, Err(_)) => letter.id_in("", 0),
    };
    (id, saga, letter)
}

/// [Semantic conventions for messaging spans](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/).
fn span<S: Service>(message: &Message, heard: Option<&Heard<S::Input>>, destination: &'static str) -> Span {
    let span = tracing::info_span!(
        "process",
        otel.name = format!("process {destination}"),
        otel.kind = "consumer",
        messaging.system = "nats",
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = destination,
        messaging.destination.template = destination,
        messaging.message.id = header(message, "ce-id"),
        messaging.message.conversation_id = header(message, "ce-correlationid"),
        messaging.consumer.group.name = S::DECLARATION.service,
        correlation_id = header(message, "ce-correlationid"),
        error.r#type = Empty,
    );
    if let Some(Heard { envelope, .. }) = heard {
        telemetry::child_of(&span, &envelope.trace);
    }
    span
}
