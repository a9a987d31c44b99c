//! Publishing, pipelined: many are on their way at once, and those that have arrived are struck off together.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{
    HeaderMap,
    jetstream::{
        context::{PublishAckFuture, PublishError, PublishErrorKind},
        message::PublishMessage,
        publish::PublishAck,
    },
};
use events::{EventId, Timestamp};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use saga::owed;
use sqlx::PgPool;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::marks::{Mark, Marks};
use crate::{
    broker::{Broker, Unseen},
    commit::{Said, envelope, now},
    failpoint::Boundary,
    postgres::spanned,
    service::Service,
    telemetry::{self, Metrics, Wait},
};

/// How many events may wait to be published from memory; what does not fit is left to the sweep.
const QUEUE_MAX: usize = 16_384;
/// So long what has arrived waits for company before it is struck off: nobody waits for that, and alone it costs as much as
/// a step of the saga.
const COMPANY: Duration = Duration::from_millis(50);
/// So many are struck off at once, whatever else may arrive.
const COMPANY_MAX: usize = 512;

crate::statements! {
    STRIKE_OFF = "delete from chassis.outbox_pending where id = any($1::uuid[])";

    NEXT_GENERATION = "insert into chassis.outbox_generation as g (id, n) values ($1, 1)
        on conflict (id) do update set n = g.n + 1";
}

/// The way to the publisher. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Outlet {
    queue: mpsc::Sender<Said>,
    in_hand: InHand,
    from_memory: bool,
}

/// The events that the publisher has, so that the sweep leaves them to it.
#[derive(Clone, Debug, Default)]
struct InHand(Arc<Mutex<HashSet<EventId>>>);

/// The one who publishes.
pub(crate) struct Publisher {
    queue: mpsc::Receiver<Said>,
    in_hand: InHand,
    broker: Broker,
    pool: PgPool,
    window: usize,
    marks: Marks,
    metrics: Metrics,
}

/// An outlet, and the publisher behind it.
pub(crate) fn outlet(
    settings: &super::Settings,
    broker: Broker,
    pool: PgPool,
    marks: Marks,
    metrics: Metrics,
) -> (Outlet, Publisher) {
    let (send, queue) = mpsc::channel(QUEUE_MAX);
    let in_hand = InHand::default();
    (
        Outlet { queue: send, in_hand: in_hand.clone(), from_memory: settings.publish_from_memory },
        Publisher { queue, in_hand, broker, pool, window: settings.publish_window as usize, marks, metrics },
    )
}

impl Outlet {
    /// What has just been committed. Dropped where there is no room: it is on the pending list.
    pub(crate) fn offer(&self, said: Vec<Said>) {
        if !self.from_memory {
            return;
        }
        for one in said {
            let id = one.id;
            self.in_hand.ids().insert(id);
            if self.queue.try_send(one).is_err() {
                self.in_hand.ids().remove(&id);
            }
        }
    }

    /// What the sweep found; waits for room.
    pub(super) async fn send(&self, said: Said) {
        let id = said.id;
        self.in_hand.ids().insert(id);
        if self.queue.send(said).await.is_err() {
            self.in_hand.ids().remove(&id);
        }
    }

    /// Whether the publisher has it.
    pub(super) fn has(&self, id: EventId) -> bool {
        self.in_hand.ids().contains(&id)
    }
}

impl InHand {
    fn ids(&self) -> MutexGuard<'_, HashSet<EventId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, ids: &[Uuid]) {
        let mut held = self.ids();
        for id in ids {
            held.remove(&EventId(*id));
        }
    }
}

/// How one publish ended.
struct Sent {
    id: EventId,
    said_at: Timestamp,
    ended: Result<(), NotSent>,
}

/// One publish, until it is known how it ended.
struct Sending {
    id: EventId,
    said_at: Timestamp,
    /// Before it was sent.
    connects: u64,
    broker: Broker,
    pool: PgPool,
    marks: Marks,
}

/// Why an event is not known to be in the stream. *Retry*: the sweep does.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The broker's memory of ids outlives what they stood for: a purge, a lost tail, a message that was never stored.
    #[error("acknowledged as a duplicate of something that is not in the stream")]
    Nowhere,
    /// Whether that is so could not be asked.
    #[error(transparent)]
    Unseen(#[from] Unseen),
    #[error("its next generation could not be stored: {0}")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    World(#[from] std::io::Error),
}

/// Failures come by the thousand, and are told once a moment.
#[derive(Default)]
struct Failures {
    count: u64,
    told: Option<Instant>,
}

impl Failures {
    const MOMENT: Duration = Duration::from_secs(1);

    fn tell(&mut self, id: EventId, error: &NotSent) {
        self.count += 1;
        if self.told.is_none_or(|told| told.elapsed() >= Self::MOMENT) {
            tracing::warn!(events = self.count, last = %id, %error, "events did not reach the stream: the sweep tries again");
            *self = Self { count: 0, told: Some(Instant::now()) };
        }
    }
}

impl Publisher {
    /// Until the last outlet is dropped and all that was on its way has ended.
    pub(crate) async fn run<S: Service>(mut self) {
        let mut sending = FuturesUnordered::new();
        let (mut arrived, mut first_arrived) = (Vec::<Uuid>::new(), Instant::now());
        let mut striking: OptionFuture<BoxFuture<'static, ()>> = None.into();
        let (mut open, mut idle) = (true, true);
        let mut failures = Failures::default();
        loop {
            // While one statement is under way the next gathers.
            let alone = arrived.len() < COMPANY_MAX && (open || !sending.is_empty()) && first_arrived.elapsed() < COMPANY;
            if idle && !arrived.is_empty() && !alone {
                striking = Some(self.strike_off(std::mem::take(&mut arrived)).boxed()).into();
                idle = false;
            }
            if !open && sending.is_empty() && idle {
                return;
            }
            tokio::select! {
                Some(()) = &mut striking, if !idle => idle = true,
                Some(sent) = sending.next(), if !sending.is_empty() => {
                    if arrived.is_empty() {
                        first_arrived = Instant::now();
                    }
                    self.settle(sent, &mut arrived, &mut failures);
                }
                () = sleep_until(first_arrived + COMPANY), if idle && !arrived.is_empty() => {}
                next = self.queue.recv(), if open && sending.len() < self.window => match next {
                    Some(said) => sending.extend(self.send::<S>(said).await),
                    None => open = false,
                },
            }
        }
    }

    /// Gives it to the broker; what is returned ends with its acknowledgement. None when there is nobody to give it to.
    async fn send<S: Service>(&self, said: Said) -> Option<BoxFuture<'static, Sent>> {
        let (id, said_at) = (said.id, said.said_at);
        if !self.broker.may_publish() {
            // Nothing may pile up in the client: it would go out late, and be dropped on the way.
            self.in_hand.release(&[id.0]);
            return None;
        }
        let subject = subject(&said.ty);
        let span = span(&said, &subject);
        let sending = Sending {
            id,
            said_at,
            connects: self.broker.connects(),
            broker: self.broker.clone(),
            pool: self.pool.clone(),
            marks: self.marks.clone(),
        };
        let publish = PublishMessage::build().headers(headers::<S>(&said)).payload(said.body);
        let sent = async {
            Boundary::Publish.before().reached().await?;
            Ok(self.broker.jetstream().send_publish(subject, publish).await?)
        };
        match sent.instrument(span.clone()).await {
            Ok(ack) => Some(sending.acknowledged(ack).instrument(span).boxed()),
            Err(error) => Some(std::future::ready(Sent { id, said_at, ended: Err(error) }).boxed()),
        }
    }

    fn settle(&self, sent: Sent, arrived: &mut Vec<Uuid>, failures: &mut Failures) {
        match sent.ended {
            Ok(()) => {
                self.metrics.waited(Wait::Outbox, now().since(sent.said_at));
                arrived.push(sent.id.0);
            }
            Err(error) => {
                self.in_hand.release(&[sent.id.0]);
                if matches!(&error, NotSent::Publish(error) if error.kind() == PublishErrorKind::StreamNotFound) {
                    self.broker.lost_stream();
                }
                failures.tell(sent.id, &error);
            }
        }
    }

    fn strike_off(&self, ids: Vec<Uuid>) -> impl Future<Output = ()> + Send + use<> {
        let (pool, in_hand) = (self.pool.clone(), self.in_hand.clone());
        async move {
            let struck = async {
                Boundary::StrikeOff.before().reached().await?;
                let struck = sqlx::query(STRIKE_OFF).bind(&ids).execute(&pool);
                spanned("delete chassis.outbox_pending", struck).await?;
                Ok::<_, sqlx::Error>(Boundary::StrikeOff.after().reached().await?)
            };
            if let Err(error) = struck.await {
                tracing::warn!(%error, events = ids.len(), "events were not struck off: they are published again");
            }
            in_hand.release(&ids);
        }
    }
}

impl Sending {
    async fn acknowledged(self, ack: PublishAckFuture) -> Sent {
        let ended = self.is_in_the_stream(ack).await;
        Sent { id: self.id, said_at: self.said_at, ended }
    }

    async fn is_in_the_stream(&self, ack: PublishAckFuture) -> Result<(), NotSent> {
        let ack = ack.await?;
        Boundary::Publish.after().reached().await?;
        if ack.duplicate {
            return self.is_there(&ack).await;
        }
        self.marks.set(self.connects, Mark { sequence: ack.sequence, id: self.id });
        Ok(())
    }

    /// What the broker calls a duplicate is looked up. If it is not there it is published under its next generation, by the
    /// sweep: under this one the broker would swallow it again.
    async fn is_there(&self, ack: &PublishAck) -> Result<(), NotSent> {
        let there = self.broker.id_at(&ack.stream, ack.sequence).await?;
        if there.as_deref().and_then(owed::stream::published) == Some(self.id) {
            return Ok(());
        }
        sqlx::query(NEXT_GENERATION).bind(self.id.0).execute(&self.pool).await?;
        Err(NotSent::Nowhere)
    }
}

/// `ensemble.payment.authorized` for `payment.authorized.v1`; by the text, for a sweep may meet a type of a newer version.
fn subject(ty: &str) -> String {
    let name = ty.rsplit_once(".v").map_or(ty, |(name, _)| name);
    events::subject(name)
}

fn headers<S: Service>(said: &Said) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in envelope::<S>(said).headers() {
        headers.insert(name, value);
    }
    let id = owed::stream::published_as(said.id, said.generation);
    headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
    headers
}

/// A PRODUCER span, where traces are recorded: it ends with the acknowledgement.
fn span(said: &Said, subject: &str) -> Span {
    if !said.trace.traceparent.as_deref().is_some_and(|parent| parent.ends_with("-01")) {
        return Span::none();
    }
    let span = tracing::info_span!(
        "send",
        otel.name = format!("send {subject}"),
        otel.kind = "producer",
        messaging.system = "nats",
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = subject,
        messaging.message.id = %said.id,
        messaging.message.conversation_id = said.saga.map(|saga| saga.to_string()),
    );
    telemetry::child_of(&span, &said.trace);
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_the_type_without_its_version() {
        assert_eq!(subject("payment.authorized.v1"), "ensemble.payment.authorized");
        assert_eq!(subject("some.very.new.v12"), "ensemble.some.very.new");
    }
}
