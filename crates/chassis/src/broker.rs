//! The broker: one connection for ever, the service's own stream, and its consumers on the streams of others.
//!
//! The stream is a fast carrier, the outboxes are the record: what is configured here is made anew wherever it is missing.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::{
    Client, ConnectOptions, Event as ClientEvent, ServerAddr,
    connection::State,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        context::ContextBuilder,
        stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use clap::Args;
use events::{Event, EventInfo, subject};
use saga::Declaration;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{admin::Health, calls::Backoff};

/// Where the broker is, and how the service's stream is kept there.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// The NATS server, or several with commas between, such as nats://user:password@127.0.0.1:4222.
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", hide_env_values = true)]
    pub nats_url: SecretString,
    /// How long the stream keeps an event; the outbox keeps it longer.
    #[arg(long, env = "STREAM_AGE_MAX", default_value = "7d", value_parser = crate::config::duration)]
    pub stream_age_max: Duration,
    /// How large the stream may grow, in bytes; well under the disk.
    #[arg(long, env = "STREAM_BYTES_MAX", default_value_t = 960 * 1024 * 1024)]
    pub stream_bytes_max: i64,
    /// How long the broker remembers an event's id to drop a repeat; nothing that must be right rests on it.
    #[arg(long, env = "STREAM_DEDUP_WINDOW", default_value = "2m", value_parser = crate::config::duration)]
    pub stream_dedup_window: Duration,
    /// How many copies of the stream a cluster keeps.
    #[arg(long, env = "STREAM_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub stream_replicas: u8,
}

/// A peer that has gone without a word is noticed after two of these.
const PING: Duration = Duration::from_secs(5);
const RECONNECT: Backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(2) };
/// So long a request to JetStream, or a publish, is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// What a replica had in hand when it was killed comes to another after so long: before an order that waits for it is given
/// up. What is in hand for longer is kept alive by the inbox.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How many deliveries of one event may be under way at all replicas together.
const ACK_PENDING_MAX: i64 = 8192;

/// The broker did not do it. *Retry.*
#[derive(thiserror::Error, Debug)]
pub(crate) enum BrokerError {
    #[error("the stream {name} cannot be had: {source}")]
    Stream { name: String, source: jetstream::context::CreateStreamError },
    #[error("the consumer {name} cannot be had: {source}")]
    Consumer { name: String, source: stream::ConsumerError },
}

/// The connection and what hangs on it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    client: Client,
    jetstream: jetstream::Context,
    declaration: &'static Declaration,
    settings: Settings,
    /// The own stream is there, as far as is known.
    stream: watch::Sender<bool>,
}

impl Broker {
    /// Begins to connect, and goes on for ever: a broker that is away is waited for.
    pub(crate) async fn connect(
        declaration: &'static Declaration,
        settings: &Settings,
        publish_window: u32,
    ) -> anyhow::Result<Self> {
        let servers: Result<Vec<ServerAddr>, _> =
            settings.nats_url.expose_secret().split(',').map(|url| url.trim().parse()).collect();
        let client = ConnectOptions::new()
            .name(declaration.service)
            // Answers come where nobody else may listen: `ensemble permissions`.
            .custom_inbox_prefix(format!("_INBOX.{}", declaration.service))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PING)
            .reconnect_delay_callback(|tries| RECONNECT.wait(u32::try_from(tries).unwrap_or(u32::MAX)))
            .event_callback(tell)
            .connect(servers.context("NATS_URL is wrong")?)
            .await
            .context("NATS_URL is wrong")?;
        let jetstream = ContextBuilder::new()
            .timeout(ANSWER_MAX)
            .max_ack_inflight(publish_window as usize)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self { client, jetstream, declaration, settings: settings.clone(), stream: watch::Sender::new(false) })
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Whether there is a stream to publish to at this moment, as far as is known.
    pub(crate) fn may_publish(&self) -> bool {
        self.is_connected() && *self.stream.borrow()
    }

    /// The broker says that the own stream is not there: [`keep_stream`](Self::keep_stream) makes it anew.
    pub(crate) fn lost_stream(&self) {
        if self.stream.send_replace(false) {
            tracing::error!("the stream is gone: it is made anew");
        }
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Ready only while connected.
    pub(crate) fn probed_by(&self, health: &Health) {
        let broker = self.clone();
        health.depends_on("nats", move || {
            let answer = if broker.is_connected() { Ok(()) } else { Err("not connected".to_owned()) };
            std::future::ready(answer)
        });
    }

    /// Makes the stream that this service alone publishes to, at the start and whenever it is gone, until `stop`. It waits for
    /// nobody, so that services may start in any order.
    pub(crate) async fn keep_stream(self, stop: CancellationToken) {
        let mut there = self.stream.subscribe();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = there.wait_for(|there| !there) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.until_done(|| self.own_stream()) => drop(self.stream.send_replace(true)),
            }
        }
    }

    /// Waits for the own stream, then makes the consumers, each as soon as the stream that it is on exists.
    pub(crate) async fn prepare(&self) {
        // The sender lives in `self`.
        let _ = self.stream.subscribe().wait_for(|there| *there).await;
        for event in self.heard() {
            self.until_done(|| self.consumer(event)).await;
        }
    }

    async fn until_done<T, F: Future<Output = Result<T, BrokerError>>>(&self, attempt: impl Fn() -> F) {
        let mut failures = 0_u32;
        while let Err(error) = attempt().await {
            failures += 1;
            if failures.is_power_of_two() {
                tracing::info!(%error, "waiting for the broker");
            }
            sleep(RECONNECT.wait(failures)).await;
        }
    }

    /// The events that this service hears.
    pub(crate) fn heard(&self) -> impl Iterator<Item = &'static EventInfo> {
        let declaration = self.declaration;
        let heard = move |event: &&EventInfo| declaration.hears().any(|ty| ty == event.ty);
        Event::ALL.iter().copied().filter(heard)
    }

    /// Makes it, or brings it up to date. Who says nothing has none.
    async fn own_stream(&self) -> Result<(), BrokerError> {
        let (name, subjects) = (stream_of(self.declaration.service), subjects(self.declaration.service));
        if subjects.is_empty() {
            return Ok(());
        }
        let config = stream::Config {
            name: name.clone(),
            description: Some(format!("What {} says.", self.declaration.service)),
            subjects,
            retention: RetentionPolicy::Limits,
            // Full is full: the outbox keeps what does not fit, and commands are turned away.
            discard: DiscardPolicy::New,
            max_age: self.settings.stream_age_max,
            max_bytes: self.settings.stream_bytes_max,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            duplicate_window: self.settings.stream_dedup_window,
            storage: StorageType::File,
            num_replicas: self.settings.stream_replicas.into(),
            ..stream::Config::default()
        };
        match self.jetstream.create_or_update_stream(config).await {
            Ok(_) => Ok(()),
            Err(source) => Err(BrokerError::Stream { name, source }),
        }
    }

    /// This service's durable consumer of that event, made or brought up to date. One for each event, so that permissions
    /// can be exact.
    pub(crate) async fn consumer(&self, event: &'static EventInfo) -> Result<PullConsumer, BrokerError> {
        let name = format!("{}-{}", self.declaration.service, event.name.replace('.', "_"));
        let config = pull::Config {
            durable_name: Some(name.clone()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // Attempts are counted in Postgres, where they can be seen.
            max_deliver: -1,
            max_ack_pending: ACK_PENDING_MAX,
            filter_subject: subject(event.name),
            ..pull::Config::default()
        };
        let made = self.jetstream.create_consumer_on_stream(config, stream_of(event.owner)).await;
        made.map_err(|source| BrokerError::Consumer { name, source })
    }
}

/// `PAYMENT`.
fn stream_of(service: &str) -> String {
    service.to_uppercase()
}

/// `ensemble.stock.>` for each noun that the service owns.
fn subjects(service: &str) -> Vec<String> {
    let nouns = Event::ALL.iter().filter(|event| event.owner == service).filter_map(|event| event.name.split('.').next());
    let mut subjects: Vec<String> = nouns.map(|noun| format!("{}.>", subject(noun))).collect();
    subjects.sort();
    subjects.dedup();
    subjects
}

async fn tell(event: ClientEvent) {
    match event {
        ClientEvent::Connected => tracing::info!("connected to the broker"),
        ClientEvent::Closed | ClientEvent::Draining => tracing::debug!("the connection to the broker ends"),
        ClientEvent::Disconnected | ClientEvent::LameDuckMode => tracing::warn!("the broker is going or gone: {event}"),
        ClientEvent::SlowConsumer(_) | ClientEvent::ServerError(_) | ClientEvent::ClientError(_) => {
            tracing::warn!("the broker connection: {event}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_publishes_below_its_own_nouns_and_no_two_share_one() {
        let owners: std::collections::BTreeSet<&str> = Event::ALL.iter().map(|event| event.owner).collect();
        let mut all: Vec<String> = owners.iter().flat_map(|owner| subjects(owner)).collect();
        for event in Event::ALL {
            let noun = event.name.split('.').next().unwrap();
            assert!(subjects(event.owner).contains(&format!("ensemble.{noun}.>")), "{}", event.name);
        }
        let before = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), before);
    }
}
