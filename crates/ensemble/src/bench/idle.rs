//! From the commit of a transaction until its event is stored in the stream, when nothing else is going on.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, ensure};
use async_nats::{header::NATS_MESSAGE_ID, jetstream};
use sqlx::{Connection as _, PgConnection, types::time::OffsetDateTime};
use uuid::Uuid;

use super::samples::Latency;
use crate::{Service, Stack};

/// When the transaction committed that wrote each row: PostgreSQL's own word. It is given just before the disk has it, so
/// the time that the commit itself takes is part of what is measured.
const COMMITTED: &str = "select id, pg_xact_commit_timestamp(xmin) from chassis.outbox where id = any($1)";

/// Of the last events of every service, at most so many of each.
pub(super) async fn commit_to_published(stack: &Stack, at_most: usize) -> anyhow::Result<Latency> {
    let broker = jetstream::new(async_nats::connect(stack.nats_url()).await.context("the broker does not answer")?);
    let mut times = Vec::new();
    for service in Service::ALL {
        let stored = last_of(&broker, service, at_most).await?;
        let mut db = PgConnection::connect(&stack.addresses().owner_database_url(service)).await?;
        let ids: Vec<Uuid> = stored.keys().copied().collect();
        let committed: Vec<(Uuid, OffsetDateTime)> = sqlx::query_as(COMMITTED).bind(ids).fetch_all(&mut db).await?;
        db.close().await?;
        times.extend(committed.iter().map(|(id, committed)| Duration::try_from(stored[id] - *committed).unwrap_or_default()));
    }
    ensure!(!times.is_empty(), "no event is in a stream");
    Latency::of_times(times)
}

/// When the broker stored each of the last events of a service.
async fn last_of(broker: &jetstream::Context, service: Service, at_most: usize) -> anyhow::Result<HashMap<Uuid, OffsetDateTime>> {
    // The stream of a service bears its name in capitals.
    let stream = broker.get_stream(service.name().to_uppercase()).await?;
    let state = &stream.cached_info().state;
    let first = state.first_sequence.max(state.last_sequence.saturating_sub(at_most as u64));
    let mut stored = HashMap::new();
    for sequence in first..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await?;
        let id = message.headers.get(NATS_MESSAGE_ID).and_then(|id| id.as_str().parse().ok());
        stored.extend(id.map(|id: Uuid| (id, message.time)));
    }
    Ok(stored)
}
