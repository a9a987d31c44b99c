//! What the broker holds, looked at: streams, single messages, the headers of many.

use std::time::Duration;

use async_nats::{
    HeaderValue,
    header::NATS_MESSAGE_ID,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        context::GetStreamErrorKind,
        message::StreamMessage,
        stream::{self, ConsumerErrorKind, LastRawMessageErrorKind},
    },
};
use events::{EventId, Timestamp};
use futures_util::StreamExt as _;
use saga::owed;
use tokio::time::timeout;

use super::{ANSWER_MAX, Broker};
use crate::inbox::Letter;

/// The server forgets a reader of headers that has not asked for so long.
const READER_IDLE_MAX: Duration = Duration::from_secs(60);
/// How many headers are read at a time where nobody is to be spared.
const PAGE: usize = 1024;

/// The broker did not answer, or not as it should. *Retry.*
#[derive(thiserror::Error, Debug)]
pub(crate) enum Unseen {
    #[error("the stream {stream} cannot be looked at: {why}")]
    Stream { stream: String, why: String },
    #[error("the headers of {stream} cannot be read: {why}")]
    Headers { stream: String, why: String },
}

/// A message as its headers tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) sequence: u64,
    pub(crate) stored_at: Timestamp,
    /// What it was published as, whatever its generation; none when nobody's.
    pub(crate) event: Option<EventId>,
    /// The event that it says it is.
    pub(crate) said: Option<EventId>,
    /// That event's id derives from its cause: its owner has said it.
    pub(crate) is_derived: bool,
}

/// Reads the headers of a stream's messages, in order, from some moment on.
#[derive(Debug)]
pub(crate) struct Headers {
    stream: String,
    consumer: PullConsumer,
    read: u64,
    left: u64,
}

/// When something was made, as its identity: nanoseconds since 1970.
pub(crate) fn nanos(moment: time::OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

impl Broker {
    /// The stream as it is; none when there is none.
    pub(crate) async fn stream(&self, name: &str) -> Result<Option<stream::Info>, Unseen> {
        match self.jetstream.get_stream(name).await {
            Ok(stream) => Ok(Some(stream.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(told) if told.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND => Ok(None),
                _ => Err(Unseen::Stream { stream: name.to_owned(), why: error.to_string() }),
            },
        }
    }

    /// The `Nats-Msg-Id` of the message in that place; none when there is no message, or it has none.
    pub(crate) async fn id_at(&self, stream: &str, sequence: u64) -> Result<Option<String>, Unseen> {
        let message = self.message_at(stream, sequence).await?;
        Ok(message.and_then(|message| Some(message.headers.get(NATS_MESSAGE_ID)?.as_str().to_owned())))
    }

    /// Begins to read the headers of what was stored since then. No acknowledgement, nothing on disk.
    pub(crate) async fn headers(&self, stream: &str, since: Timestamp) -> Result<Headers, Unseen> {
        self.headers_by(stream, DeliverPolicy::ByStartTime { start_time: since.into() }).await
    }

    async fn headers_by(&self, stream: &str, begin: DeliverPolicy) -> Result<Headers, Unseen> {
        let config = pull::Config {
            deliver_policy: begin,
            ack_policy: AckPolicy::None,
            headers_only: true,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: READER_IDLE_MAX,
            ..pull::Config::default()
        };
        let made = self.jetstream.create_consumer_on_stream(config, stream).await;
        let consumer = made.map_err(|error| Unseen::Headers { stream: stream.to_owned(), why: error.to_string() })?;
        let left = consumer.cached_info().num_pending;
        Ok(Headers { stream: stream.to_owned(), consumer, read: 0, left })
    }

    /// As [`headers`](Self::headers), from that place on.
    pub(crate) async fn headers_from(&self, stream: &str, sequence: u64) -> Result<Headers, Unseen> {
        self.headers_by(stream, DeliverPolicy::ByStartSequence { start_sequence: sequence.max(1) }).await
    }

    /// Everything from that place on: not much.
    pub(crate) async fn tail(&self, stream: &str, sequence: u64) -> Result<Vec<Held>, Unseen> {
        let mut headers = self.headers_from(stream, sequence).await?;
        let mut tail = Vec::new();
        while !headers.at_end() {
            tail.extend(headers.next(PAGE).await?);
        }
        headers.close(self).await;
        Ok(tail)
    }

    /// The message in that place as it came; none when there is none.
    pub(crate) async fn letter_at(&self, stream: &str, sequence: u64) -> Result<Option<Letter>, Unseen> {
        let message = self.message_at(stream, sequence).await?;
        Ok(message.map(|message| Letter::from_parts(message.subject.to_string(), Some(&message.headers), message.payload)))
    }

    async fn message_at(&self, stream: &str, sequence: u64) -> Result<Option<StreamMessage>, Unseen> {
        if sequence == 0 {
            return Ok(None);
        }
        let unseen = |why: String| Unseen::Stream { stream: stream.to_owned(), why };
        let handle = self.jetstream.get_stream_no_info(stream).await.map_err(|error| unseen(error.to_string()))?;
        match handle.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(unseen(error.to_string())),
        }
    }

    /// The durable with that name, as it is; none when there is none, or no stream for it.
    pub(crate) async fn durable(&self, name: &str, stream: &str) -> Result<Option<PullConsumer>, Unseen> {
        use jetstream::ErrorCode as Code;
        match self.jetstream.get_consumer_from_stream(name, stream).await {
            Ok(consumer) => Ok(Some(consumer)),
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(told)
                    if [Code::CONSUMER_NOT_FOUND, Code::STREAM_NOT_FOUND].contains(&told.error_code()) =>
                {
                    Ok(None)
                }
                _ => Err(Unseen::Stream { stream: stream.to_owned(), why: error.to_string() }),
            },
        }
    }

    /// The life of the server that this process is connected to.
    pub(crate) fn server(&self) -> String {
        self.client.server_info().server_id
    }

    /// How often this process has connected: what was acknowledged under another count was so by another life, maybe.
    pub(crate) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// As [`owed::stream::is_derived`], of a message with these headers.
fn is_derived<'m>(said: EventId, header: impl Fn(&str) -> Option<&'m str>) -> bool {
    let (saga, causation) = (header("ce-correlationid"), header("ce-causationid"));
    let parsed = saga.and_then(|saga| saga.parse().ok()).zip(causation.and_then(|causation| causation.parse().ok()));
    parsed.zip(header("ce-type")).is_some_and(|((saga, causation), ty)| owed::stream::is_derived(said, saga, causation, ty))
}

impl Headers {
    /// Nothing is left to be read, as of the last page.
    pub(crate) fn at_end(&self) -> bool {
        self.left == 0
    }

    /// Asks how many are left by now.
    pub(crate) async fn look_again(&mut self) -> Result<(), Unseen> {
        let info = self.consumer.get_info().await.map_err(|error| self.unread(error.to_string()))?;
        self.left = info.num_pending;
        Ok(())
    }

    /// Drops the reader at the server, or lets it be forgotten there.
    pub(crate) async fn close(self, broker: &Broker) {
        let name = self.consumer.cached_info().name.clone();
        let _ = broker.jetstream.delete_consumer_from_stream(name, &self.stream).await;
    }

    /// The next, at most `most`; fewer only at the end.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Vec<Held>, Unseen> {
        match timeout(ANSWER_MAX, self.page(most)).await {
            Ok(page) => page,
            Err(_) => Err(self.unread(format!("nothing has come for {ANSWER_MAX:?}"))),
        }
    }

    async fn page(&mut self, most: usize) -> Result<Vec<Held>, Unseen> {
        let mut page = Vec::new();
        if self.at_end() {
            return Ok(page);
        }
        let messages = self.consumer.fetch().max_messages(most).messages().await;
        let mut messages = messages.map_err(|error| self.unread(error.to_string()))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.unread(error.to_string()))?;
            let info = message.info().map_err(|error| self.unread(error.to_string()))?;
            self.read += 1;
            // What got lost on its way here is not lost, and must not look as if it were.
            if info.consumer_sequence != self.read {
                return Err(self.unread("some were lost on their way".to_owned()));
            }
            self.left = info.pending;
            let header = |name: &str| message.headers.as_ref()?.get(name).map(HeaderValue::as_str);
            let said = header("ce-id").and_then(|id| id.parse().ok());
            page.push(Held {
                sequence: info.stream_sequence,
                stored_at: info.published.into(),
                event: header("Nats-Msg-Id").and_then(owed::stream::published),
                said,
                is_derived: said.is_some_and(|said| is_derived(said, header)),
            });
        }
        if page.is_empty() {
            return Err(self.unread(format!("{} should have come, and none did", self.left)));
        }
        Ok(page)
    }

    fn unread(&self, why: String) -> Unseen {
        Unseen::Headers { stream: self.stream.clone(), why }
    }
}
