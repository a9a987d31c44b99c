//! The broker: one connection for ever, the service's own stream, and its consumers on the streams of others.
//!
//! The stream is a fast carrier, the outboxes are the record: what is configured here is made anew wherever it is missing, and
//! brought back to what is declared wherever it has drifted.

use std::{fmt::Display, time::Duration};

use anyhow::Context as _;
use async_nats::{
    Client, ConnectOptions, Event as ClientEvent, ServerAddr, ServerError,
    connection::State,
    jetstream::{
        self,
        consumer::{self, AckPolicy, DeliverPolicy, IntoConsumerConfig as _, PullConsumer, pull},
        context::{ContextBuilder, CreateStreamErrorKind},
        stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use clap::Args;
use events::{EventInfo, nouns, subject};
use percent_encoding::percent_decode_str;
use saga::Declaration;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{Denied, Health},
    calls::Backoff,
    telemetry::Metrics,
};

mod drift;
mod look;

pub(crate) use drift::{Drift, listed};
pub(crate) use look::{Headers, Held, Unseen, nanos};

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

/// A peer that has gone without a word is noticed with the third of these that it does not answer: within 15 s, and sooner than
/// the server gives the connection up.
const PING: Duration = Duration::from_secs(4);
const RECONNECT: Backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(2) };
/// So long a request to JetStream, or a publish, is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// What a replica had in hand when it was killed comes to another after so long: before an order that waits for it is given
/// up. What is in hand for longer is kept alive by the inbox.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How many deliveries of one event may be under way at all replicas together.
const ACK_PENDING_MAX: i64 = 8192;
/// What is older than the stream's age less this may already have left it.
const EXPIRY_MARGIN: Duration = Duration::from_secs(3600);

/// The broker did not do it. *Retry.*
#[derive(thiserror::Error, Debug)]
pub(crate) enum BrokerError {
    #[error("the stream {name} cannot be had: {source}")]
    Stream { name: String, source: jetstream::context::CreateStreamError },
    #[error("the consumer {name} cannot be had: {source}")]
    Consumer { name: String, source: stream::ConsumerError },
    #[error("the stream {0} is not there")]
    NoStream(String),
    #[error(transparent)]
    Unseen(#[from] Unseen),
}

/// The connection and what hangs on it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    client: Client,
    jetstream: jetstream::Context,
    declaration: &'static Declaration,
    settings: Settings,
    metrics: Metrics,
    /// The own stream is there, as far as is known.
    stream: watch::Sender<bool>,
    denied: Denied,
}

impl Broker {
    /// Begins to connect, and goes on for ever: a broker that is away is waited for.
    pub(crate) async fn connect(
        declaration: &'static Declaration,
        settings: &Settings,
        publish_window: u32,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let servers: Result<Vec<ServerAddr>, _> =
            settings.nats_url.expose_secret().split(',').map(|url| url.trim().parse()).collect();
        let denied = Denied::by("nats");
        let told = denied.clone();
        let servers = servers.context("NATS_URL is wrong")?;
        let mut options = ConnectOptions::new();
        // The client leaves what the URL says of them unread.
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        if let Some((user, password)) = servers.iter().find_map(|server| Some((server.username()?, server.password()?))) {
            options = options.user_and_password(decoded(user), decoded(password));
        }
        let client = options
            .name(declaration.service)
            // Answers come where nobody else may listen: `ensemble permissions`.
            .custom_inbox_prefix(events::inbox(declaration.service))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PING)
            .reconnect_delay_callback(|tries| RECONNECT.wait(u32::try_from(tries).unwrap_or(u32::MAX)))
            .event_callback(move |event| {
                tell(&told, &event);
                std::future::ready(())
            })
            .connect(servers)
            .await
            .context("NATS_URL is wrong")?;
        let jetstream = ContextBuilder::new()
            .timeout(ANSWER_MAX)
            .max_ack_inflight(publish_window as usize)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let stream = watch::Sender::new(false);
        Ok(Self { client, jetstream, declaration, settings: settings.clone(), metrics, stream, denied })
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

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Ready only while connected, and permitted what it does.
    pub(crate) fn probed_by(&self, health: &Health) {
        let broker = self.clone();
        health.depends_on("nats", move || {
            let answer = if broker.is_connected() { broker.denied.check() } else { Err("not connected".to_owned()) };
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

    /// Waits for the own stream.
    pub(crate) async fn until_there(&self) {
        // The sender lives in `self`.
        let _ = self.stream.subscribe().wait_for(|there| *there).await;
    }

    /// Tries until it is done.
    pub(crate) async fn until_done<T, E: Display, F: Future<Output = Result<T, E>>>(&self, attempt: impl Fn() -> F) {
        let mut failures = 0_u32;
        while let Err(error) = attempt().await {
            failures += 1;
            if failures.is_power_of_two() {
                tracing::info!(%error, "waiting for the broker");
            }
            sleep(RECONNECT.wait(failures)).await;
        }
    }

    /// The events that this service hears, one for each durable.
    pub(crate) fn heard(&self) -> impl Iterator<Item = &'static EventInfo> {
        self.declaration.durables()
    }

    /// Whether it hears that type of event, version and all.
    pub(crate) fn hears(&self, ty: &str) -> bool {
        self.declaration.is_heard(ty)
    }

    /// The own stream's name; none for who says nothing.
    pub(crate) fn own(&self) -> Option<String> {
        let service = self.declaration.service;
        (!nouns(service).is_empty()).then(|| events::stream(service))
    }

    /// For how long the own stream surely keeps an event.
    pub(crate) fn kept_for(&self) -> Duration {
        self.settings.stream_age_max.saturating_sub(EXPIRY_MARGIN.min(self.settings.stream_age_max / 10))
    }

    /// Makes it, or brings it back to what is declared. Who says nothing has none.
    async fn own_stream(&self) -> Result<(), BrokerError> {
        let Some(name) = self.own() else { return Ok(()) };
        match self.stream(&name).await? {
            Some(info) => self.mend_stream(&info).await,
            None => match self.jetstream.create_stream(self.declared_stream()).await {
                Ok(_) => Ok(()),
                Err(source) => Err(BrokerError::Stream { name, source }),
            },
        }
    }

    /// Reports where the own stream is otherwise than declared, and brings it back where nothing is lost by it.
    ///
    /// # Errors
    /// When the broker does not answer. What it refuses is told, and stays as it is.
    pub(crate) async fn mend_stream(&self, info: &stream::Info) -> Result<(), BrokerError> {
        let mut declared = self.declared_stream();
        let drifts = drift::of_stream(&info.config, &declared);
        if drifts.is_empty() {
            return Ok(());
        }
        self.report(&info.config.name, &drifts);
        if i64::try_from(info.state.bytes).is_ok_and(|bytes| declared.max_bytes >= 0 && bytes > declared.max_bytes) {
            tracing::error!(stream = info.config.name, "it holds more bytes than are declared: raise STREAM_BYTES_MAX");
            declared.max_bytes = info.config.max_bytes;
        }
        match self.jetstream.update_stream(&declared).await {
            Ok(_) => Ok(()),
            Err(refused) if matches!(refused.kind(), CreateStreamErrorKind::JetStream(_)) => {
                let drifts = listed(&drifts);
                tracing::error!(
                    stream = info.config.name,
                    %refused,
                    "it cannot be brought back to what is declared ({drifts}): delete it, and it is made anew from the outbox"
                );
                Ok(())
            }
            Err(source) => Err(BrokerError::Stream { name: declared.name, source }),
        }
    }

    /// Somebody has changed it by hand, or it is of another version.
    pub(crate) fn report(&self, name: &str, drifts: &[Drift]) {
        tracing::warn!(name, "otherwise than declared: {}", listed(drifts));
        for drift in drifts {
            self.metrics.drifted(name, drift.what);
        }
    }

    fn declared_stream(&self) -> stream::Config {
        let service = self.declaration.service;
        stream::Config {
            name: events::stream(service),
            description: Some(format!("What {service} says.")),
            subjects: subjects(service),
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
        }
    }

    /// The name of this service's durable for that event.
    pub(crate) fn durable_name(&self, event: &EventInfo) -> String {
        events::durable(self.declaration.service, event)
    }

    fn declared_durable(&self, event: &EventInfo, begin: DeliverPolicy) -> pull::Config {
        pull::Config {
            durable_name: Some(self.durable_name(event)),
            deliver_policy: begin,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // Attempts are counted in Postgres, where they can be seen.
            max_deliver: -1,
            max_ack_pending: ACK_PENDING_MAX,
            filter_subject: subject(event.name),
            // Where the reader stands is in its own database; what a broker has kept over a restart would be doubted anyway.
            memory_storage: true,
            ..pull::Config::default()
        }
    }

    /// Where a durable is otherwise than declared.
    pub(crate) fn drift_of(&self, event: &EventInfo, is: &consumer::Config) -> Vec<Drift> {
        drift::of_consumer(is, &self.declared_durable(event, is.deliver_policy).into_consumer_config())
    }

    /// Makes that durable, to begin behind `after`, or at the beginning; or updates one that begins there.
    pub(crate) async fn make_durable(&self, event: &EventInfo, begin: DeliverPolicy) -> Result<PullConsumer, BrokerError> {
        let config = self.declared_durable(event, begin);
        let made = self.jetstream.create_consumer_on_stream(config, events::stream(event.owner)).await;
        made.map_err(|source| BrokerError::Consumer { name: self.durable_name(event), source })
    }

    /// Deletes that durable, if it is there.
    pub(crate) async fn delete_durable(&self, event: &EventInfo) -> Result<(), BrokerError> {
        let (name, stream) = (self.durable_name(event), events::stream(event.owner));
        if self.durable(&name, &stream).await?.is_none() {
            return Ok(());
        }
        let deleted = self.jetstream.delete_consumer_from_stream(&name, stream).await;
        deleted.map(drop).map_err(|source| BrokerError::Consumer { name, source })
    }
}

/// `ensemble.stock.>` for each noun that the service owns.
fn subjects(service: &str) -> Vec<String> {
    nouns(service).into_iter().map(|noun| format!("{}.>", subject(noun))).collect()
}

fn tell(denied: &Denied, event: &ClientEvent) {
    match event {
        // One for each subject (`Permissions Violation for Publish to "…"`), or for the whole connection.
        ClientEvent::ServerError(error @ ServerError::AuthorizationViolation) => denied.tell(error),
        ClientEvent::ServerError(error @ ServerError::Other(text)) if text.to_lowercase().contains("violation") => {
            denied.tell(error);
        }
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
    use events::Event;

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
