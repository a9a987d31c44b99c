//! One durable consumer: a stream of messages that is rebuilt whenever anything about it is in doubt.

use std::{pin::pin, sync::Arc, time::Duration};

use async_nats::jetstream::consumer::{PullConsumer, pull};
use events::EventInfo;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{
    sync::Semaphore,
    task::unconstrained,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{GIVEN_BACK, Inbox, durable};
use crate::{calls::Backoff, service::Service};

/// The server ends a pull request that has brought nothing for so long; the client then makes another.
const EXPIRES: Duration = Duration::from_secs(30);
/// The server says so often that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often the consumer is asked how far behind it is.
const LOOK: Duration = Duration::from_secs(10);
/// Something waits, and nothing has come for so long: the stream has stalled.
const STALLED: Duration = Duration::from_secs(30);
const ROUND_TRIPS_MAX: u32 = 16;
/// Soon, for a durable that was made anew is there already; and each try is two small requests.
const AGAIN: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(2) };

/// Why pulling stopped.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the consumer cannot be had: {0}")]
    Consumer(#[source] anyhow::Error),
    #[error("the stream of messages broke: {0}")]
    Messages(#[source] anyhow::Error),
    #[error("the stream of messages ended")]
    Ended,
    #[error("{pending} messages wait, and none has come for {STALLED:?}")]
    Stalled { pending: u64 },
}

/// Pulls until `stop`, then waits for what is in hand.
pub(super) async fn run<S: Service>(inbox: Arc<Inbox<S>>, event: &'static EventInfo, stop: CancellationToken) {
    let reader = Reader {
        destination: events::subject(event.name).leak(),
        places: Arc::new(Semaphore::new(inbox.settings.inbox_in_hand_max.into())),
        tasks: TaskTracker::new(),
        inbox,
        event,
        stop,
    };
    let mut broken = 0;
    while reader.may_pull().await {
        let since = Instant::now();
        if let Err(error) = reader.pull().await {
            // Long enough to say that the last rebuild had helped.
            broken = if since.elapsed() > STALLED { 1 } else { broken + 1 };
            tracing::warn!(%error, consumer = event.name, "pulling begins anew");
            tokio::select! {
                () = reader.stop.cancelled() => {}
                () = sleep(AGAIN.wait(broken)) => {}
            }
        }
    }
    reader.tasks.close();
    reader.tasks.wait().await;
}

struct Reader<S: Service> {
    inbox: Arc<Inbox<S>>,
    event: &'static EventInfo,
    /// The subject: a handful in a process, for ever.
    destination: &'static str,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<S: Service> Reader<S> {
    /// Waits while nothing may be taken; false once nothing more may be taken.
    async fn may_pull(&self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = self.inbox.until_it_may_hear() => true,
        }
    }

    /// Until `stop` or a pause, or until something is wrong.
    async fn pull(&self) -> Result<(), Broken> {
        let consumer = durable::have(&self.inbox.broker, &self.inbox.pool, self.event).await;
        let consumer = consumer.map_err(|error| Broken::Consumer(error.into()))?;
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(self.inbox.settings.inbox_in_hand_max.into())
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| Broken::Messages(error.into()))?;
        let (mut look, mut quiet_since) = (interval(LOOK), Instant::now());
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut paused = pin!(self.inbox.until_it_may_not_hear());
        loop {
            let place = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Ok(place) = self.places.clone().acquire_owned() => place,
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = &mut paused => break,
                _ = look.tick() => {
                    let pending = self.look(&consumer).await?;
                    if pending > 0 && quiet_since.elapsed() >= STALLED {
                        return Err(Broken::Stalled { pending });
                    }
                }
                message = messages.next() => {
                    quiet_since = Instant::now();
                    let message = message.ok_or(Broken::Ended)?.map_err(|error| Broken::Messages(error.into()))?;
                    let (inbox, destination, stop) = (self.inbox.clone(), self.destination, self.stop.clone());
                    // It is large, and a task is moved some times before it runs.
                    self.tasks.spawn(Box::pin(async move {
                        inbox.deliver(message, destination, stop).await;
                        drop(place);
                    }));
                }
            }
        }
        self.give_back(&consumer, messages).await;
        Ok(())
    }

    /// What was pulled and not begun would else wait for its ack deadline before another replica is given it. Round trip by
    /// round trip, until nothing was on its way; then the stream is dropped, and the server sends no more.
    async fn give_back(&self, consumer: &PullConsumer, mut messages: pull::Stream) {
        for _ in 0..ROUND_TRIPS_MAX {
            let (arrived, mut given_back) = (self.look(consumer).await.is_ok(), 0);
            while let Some(Some(Ok(message))) = unconstrained(messages.next()).now_or_never() {
                // When it is lost, the message comes to another replica all the same, later.
                let _ = message.ack_with(GIVEN_BACK).await;
                given_back += 1;
            }
            if given_back == 0 || !arrived {
                return;
            }
        }
    }

    /// How many messages the consumer has not been given yet.
    async fn look(&self, consumer: &PullConsumer) -> Result<u64, Broken> {
        let info = consumer.get_info().await.map_err(|error| Broken::Consumer(error.into()))?;
        self.inbox.metrics.set_consumer_lag(&info.name, info.num_pending + info.num_ack_pending as u64);
        Ok(info.num_pending)
    }
}
