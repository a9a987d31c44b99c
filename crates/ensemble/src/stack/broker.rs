//! The broker, as somebody with a hand on it: streams read, emptied, deleted, made otherwise.

use std::collections::HashSet;

use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    header::NATS_MESSAGE_ID,
    jetstream::{
        self,
        consumer::{self, AckPolicy, DeliverPolicy, PullConsumer, pull},
        stream::{Config, Info},
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

/// A connection of its own.
#[derive(Clone, Debug)]
pub struct Broker {
    jetstream: jetstream::Context,
}

impl Broker {
    /// At that address.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn at(url: &str) -> anyhow::Result<Self> {
        let client = async_nats::ConnectOptions::new().connect(url).await.context("the broker does not answer")?;
        Ok(Self { jetstream: jetstream::new(client) })
    }

    /// How a stream is.
    ///
    /// # Errors
    /// When there is none.
    pub async fn stream(&self, name: &str) -> anyhow::Result<Info> {
        Ok(self.jetstream.get_stream(name).await?.cached_info().clone())
    }

    /// The headers of every message that a stream holds, with their sequences.
    async fn headers(&self, stream: &str) -> anyhow::Result<Vec<(u64, HeaderMap)>> {
        let config = pull::Config { ack_policy: AckPolicy::None, headers_only: true, ..pull::Config::default() };
        let consumer: PullConsumer = self.jetstream.create_consumer_on_stream(config, stream).await?;
        let mut read = Vec::new();
        let mut left = consumer.cached_info().num_pending;
        while left > 0 {
            let mut page = consumer.fetch().max_messages(1000).messages().await?;
            while let Some(message) = page.next().await {
                let message = message.map_err(|error| anyhow::anyhow!("{error}"))?;
                let info = message.info().map_err(|error| anyhow::anyhow!("{error}"))?;
                left = info.pending;
                let sequence = info.stream_sequence;
                read.push((sequence, message.message.headers.unwrap_or_default()));
            }
        }
        self.jetstream.delete_consumer_from_stream(&consumer.cached_info().name, stream).await?;
        Ok(read)
    }

    /// The events that a stream holds, whatever their generation, with their sequences.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn held(&self, stream: &str) -> anyhow::Result<Vec<(u64, Uuid)>> {
        let event = |headers: HeaderMap| headers.get(NATS_MESSAGE_ID)?.as_str().split('/').next()?.parse().ok();
        let read = self.headers(stream).await?.into_iter();
        Ok(read.filter_map(|(sequence, headers)| Some((sequence, event(headers)?))).collect())
    }

    /// Where a stream speaks of that order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn about(&self, stream: &str, order: &str) -> anyhow::Result<Vec<u64>> {
        let ours = |headers: &HeaderMap| headers.get("ce-subject").is_some_and(|subject| subject.as_str() == order);
        let read = self.headers(stream).await?.into_iter();
        Ok(read.filter(|(_, headers)| ours(headers)).map(|(sequence, _)| sequence).collect())
    }

    /// Those events alone.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn events(&self, stream: &str) -> anyhow::Result<HashSet<Uuid>> {
        Ok(self.held(stream).await?.into_iter().map(|(_, event)| event).collect())
    }

    /// Deletes the stream.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn delete_stream(&self, name: &str) -> anyhow::Result<()> {
        self.jetstream.delete_stream(name).await.map(drop).context("the stream cannot be deleted")
    }

    /// Makes a stream.
    ///
    /// # Errors
    /// When it is there, or somebody else's.
    pub async fn make_stream(&self, config: Config) -> anyhow::Result<()> {
        self.jetstream.create_stream(config).await.map(drop).context("the stream cannot be made")
    }

    /// Changes a stream.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn change_stream(&self, config: Config) -> anyhow::Result<()> {
        self.jetstream.update_stream(config).await.map(drop).context("the stream cannot be changed")
    }

    /// Empties a stream.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn purge(&self, stream: &str) -> anyhow::Result<()> {
        self.jetstream.get_stream_no_info(stream).await?.purge().await.map(drop).context("the stream cannot be purged")
    }

    /// Publishes a message that no service has said.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn publish(&self, subject: &str, headers: HeaderMap, body: &'static [u8]) -> anyhow::Result<()> {
        let published = self.jetstream.publish_with_headers(subject.to_owned(), headers, body.into()).await?;
        published.await.map(drop).context("it is not taken")
    }

    /// Publishes a message of that size, which nobody hears.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn fill(&self, subject: &'static str, bytes: usize) -> anyhow::Result<()> {
        self.jetstream.publish(subject, vec![b'x'; bytes].into()).await?.await.map(drop).context("it is not taken")
    }

    /// Takes away all messages under that subject.
    ///
    /// # Errors
    /// When the stream is not there.
    pub async fn clear(&self, stream: &str, subject: &str) -> anyhow::Result<()> {
        let stream = self.jetstream.get_stream_no_info(stream).await?;
        stream.purge().filter(subject).await.map(drop).context("the subject cannot be cleared")
    }

    /// Deletes one message.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn delete_message(&self, stream: &str, sequence: u64) -> anyhow::Result<()> {
        let stream = self.jetstream.get_stream_no_info(stream).await?;
        stream.delete_message(sequence).await.map(drop).context("the message cannot be deleted")
    }

    /// The names of a stream's durables.
    ///
    /// # Errors
    /// When the stream is not there.
    pub async fn durables(&self, stream: &str) -> anyhow::Result<Vec<String>> {
        let stream = self.jetstream.get_stream(stream).await?;
        let mut consumers = stream.consumers();
        let mut names = Vec::new();
        while let Some(info) = consumers.try_next().await? {
            names.extend(info.config.durable_name);
        }
        Ok(names)
    }

    /// How a durable is.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn durable(&self, stream: &str, name: &str) -> anyhow::Result<jetstream::consumer::Info> {
        let durable: PullConsumer = self.jetstream.get_consumer_from_stream(name, stream).await?;
        Ok(durable.cached_info().clone())
    }

    /// Deletes a durable.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn delete_durable(&self, stream: &str, name: &str) -> anyhow::Result<()> {
        self.jetstream.delete_consumer_from_stream(name, stream).await.map(drop).context("the durable cannot be deleted")
    }

    /// Makes a durable anew, on the server's disk, to begin with what comes next.
    ///
    /// # Errors
    /// When it is not there, or the server refuses.
    pub async fn keep_durable_on_disk(&self, stream: &str, name: &str) -> anyhow::Result<()> {
        let is = self.durable(stream, name).await?.config;
        self.delete_durable(stream, name).await?;
        let config = pull::Config {
            durable_name: is.durable_name,
            ack_policy: is.ack_policy,
            ack_wait: is.ack_wait,
            max_ack_pending: is.max_ack_pending,
            filter_subject: is.filter_subject,
            deliver_policy: DeliverPolicy::New,
            ..pull::Config::default()
        };
        let made = self.jetstream.create_consumer_on_stream(config, stream).await;
        made.map(drop).context("the durable cannot be made")
    }

    /// Makes a durable, to begin with what comes next.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn make_durable_from_now_on(&self, stream: &str, as_it_was: consumer::Config) -> anyhow::Result<()> {
        let config = consumer::Config { deliver_policy: DeliverPolicy::New, ..as_it_was };
        self.jetstream.create_consumer_on_stream(config, stream).await.map(drop).context("the durable cannot be made")
    }

    /// Publishes each message of the stream once more, about another order: `from` becomes `to` wherever it stands in it.
    ///
    /// # Errors
    /// When one is not taken.
    pub async fn repeat_as(&self, stream: &str, sequences: Vec<u64>, from: &str, to: &str) -> anyhow::Result<()> {
        let handle = self.jetstream.get_stream_no_info(stream).await?;
        for sequence in sequences {
            let message = handle.get_raw_message(sequence).await?;
            let mut headers = HeaderMap::new();
            for (name, values) in message.headers.iter() {
                for value in values {
                    headers.append(name.clone(), value.as_str().replace(from, to).as_str());
                }
            }
            headers.insert(NATS_MESSAGE_ID, format!("{}/g99", Uuid::now_v7()).as_str());
            let body = String::from_utf8(message.payload.to_vec())?.replace(from, to);
            self.jetstream.publish_with_headers(message.subject, headers, body.into()).await?.await?;
        }
        Ok(())
    }

    /// Publishes each message of the stream once more, as somebody who knows its bytes.
    ///
    /// # Errors
    /// When one is not taken.
    pub async fn repeat(&self, stream: &str, sequences: impl Iterator<Item = u64>) -> anyhow::Result<()> {
        let handle = self.jetstream.get_stream_no_info(stream).await?;
        for sequence in sequences {
            let Ok(message) = handle.get_raw_message(sequence).await else { continue };
            let mut headers: HeaderMap = message.headers;
            headers.insert(NATS_MESSAGE_ID, format!("{}/g99", Uuid::now_v7()).as_str());
            self.jetstream.publish_with_headers(message.subject, headers, message.payload).await?.await?;
        }
        Ok(())
    }
}
