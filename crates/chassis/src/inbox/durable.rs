//! Where the readers stand: what is written down about each durable, and how it is made anew from there.

use async_nats::jetstream::consumer::{DeliverPolicy, PullConsumer};
use events::EventInfo;
use saga::owed::durable::{Known, Position, Seen, doubt};
use sqlx::{PgConnection, PgPool};

use crate::{
    broker::{Broker, BrokerError, nanos},
    restored::Unsettled,
};

crate::statements! {
    KNOWN = "select stream_created, created, server from chassis.durables where name = $1";

    REMEMBER = "insert into chassis.durables (name, stream_created, created, server) values ($1, $2, $3, $4)
        on conflict (name) do update set stream_created = excluded.stream_created, created = excluded.created,
            server = excluded.server";

    /// Highest first.
    POSITIONS = "select sequence, id from chassis.positions where durable = $1 order by sequence desc";

    /// With the others that are worth keeping. Of a watcher whose term has ended nothing is written.
    ADVANCE = "with advanced as (
            insert into chassis.positions (durable, sequence, id)
            select $1, $2, $3
            where exists (select from chassis.leases where job = 'reconcile' and token = $5 and expires > clock_timestamp())
            on conflict (durable, sequence) do update set id = excluded.id
            returning sequence
        )
        delete from chassis.positions where durable = $1 and sequence <> all($4::bigint[]) and exists (select from advanced)";

    FALL_BACK = "delete from chassis.positions where durable = $1 and sequence > $2";
}

/// The broker, or the database. *Retry.*
#[derive(thiserror::Error, Debug)]
pub(super) enum NotHad {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the database: {0}")]
    Store(#[from] sqlx::Error),
}

impl From<crate::broker::Unseen> for NotHad {
    fn from(unseen: crate::broker::Unseen) -> Self {
        Self::Broker(unseen.into())
    }
}

/// The durable for that event: as it is, or made anew from where the reader stands.
pub(super) async fn have(broker: &Broker, pool: &PgPool, event: &EventInfo) -> Result<PullConsumer, NotHad> {
    match broker.durable(&broker.durable_name(event), &events::stream(event.owner)).await? {
        Some(durable) => Ok(durable),
        None => make(broker, pool, event).await,
    }
}

/// Deletes it and makes it anew. What it had delivered above the reader's position comes again, and claims drop it.
pub(super) async fn make_anew(broker: &Broker, pool: &PgPool, event: &EventInfo) -> Result<PullConsumer, NotHad> {
    broker.delete_durable(event).await?;
    make(broker, pool, event).await
}

async fn make(broker: &Broker, pool: &PgPool, event: &EventInfo) -> Result<PullConsumer, NotHad> {
    let (name, stream) = (broker.durable_name(event), events::stream(event.owner));
    let Some(info) = broker.stream(&stream).await? else { return Err(BrokerError::NoStream(stream).into()) };
    let stream_created = nanos(info.created);
    let begin = match stands(broker, pool, &name, &stream, stream_created).await? {
        Some(position) => DeliverPolicy::ByStartSequence { start_sequence: position.sequence + 1 },
        None => DeliverPolicy::All,
    };
    let durable = match broker.make_durable(event, begin).await {
        Ok(durable) => durable,
        // Another replica was first, and began elsewhere.
        Err(refused) => broker.durable(&name, &stream).await?.ok_or(refused)?,
    };
    remember(broker, pool, &name, stream_created, nanos(durable.cached_info().created)).await?;
    tracing::info!(durable = name, begin = ?durable.cached_info().config.deliver_policy, "a durable was made");
    Ok(durable)
}

/// The highest position that still stands. Those above it are forgotten: what was read there is not there any more.
async fn stands(
    broker: &Broker,
    pool: &PgPool,
    name: &str,
    stream: &str,
    stream_created: i64,
) -> Result<Option<Position>, NotHad> {
    let same_stream = known(pool, name).await?.is_some_and(|known| known.stream_created == stream_created);
    let positions = if same_stream { positions(pool, name).await? } else { Vec::new() };
    let mut highest = None;
    for position in positions {
        if broker.id_at(stream, position.sequence).await?.as_deref() == Some(position.id.as_str()) {
            highest = Some(position);
            break;
        }
    }
    let above = highest.as_ref().map_or(-1, |position| position.sequence.cast_signed());
    sqlx::query(FALL_BACK).bind(name).bind(above).execute(pool).await?;
    Ok(highest)
}

/// What is written down about it; none when nothing is.
pub(super) async fn known(pool: &PgPool, name: &str) -> sqlx::Result<Option<Known>> {
    let known = sqlx::query_as::<_, (i64, i64, String)>(KNOWN).bind(name).fetch_optional(pool).await?;
    Ok(known.map(|(stream_created, created, server)| Known { stream_created, created, server, position: None }))
}

/// Whether that durable is the one that is written down, on the stream and in the life of the server that it was on and in: then
/// what it says was acknowledged was so by this service.
pub(crate) async fn is_as_known(broker: &Broker, pool: &PgPool, event: &EventInfo, is: &PullConsumer) -> Result<bool, Unsettled> {
    let Some(known) = known(pool, &broker.durable_name(event)).await? else { return Ok(false) };
    let Some(stream) = broker.stream(&events::stream(event.owner)).await? else { return Ok(false) };
    let (state, info) = (&stream.state, is.cached_info());
    let seen = Seen {
        stream_created: nanos(stream.created),
        first: state.first_sequence,
        last: state.last_sequence,
        created: Some(nanos(info.created)),
        delivered: info.delivered.stream_sequence,
        server: broker.server(),
    };
    Ok(doubt(&known, &seen, None).is_none())
}

/// Highest first.
pub(super) async fn positions(pool: &PgPool, name: &str) -> sqlx::Result<Vec<Position>> {
    let positions = sqlx::query_as::<_, (i64, String)>(POSITIONS).bind(name).fetch_all(pool).await?;
    Ok(positions.into_iter().map(|(sequence, id)| Position { sequence: sequence.cast_unsigned(), id }).collect())
}

/// Writes down which durable it is, on which stream, in which life of the server.
pub(super) async fn remember(broker: &Broker, pool: &PgPool, name: &str, stream_created: i64, created: i64) -> sqlx::Result<()> {
    let remember = sqlx::query(REMEMBER).bind(name).bind(stream_created).bind(created).bind(broker.server());
    remember.execute(pool).await.map(drop)
}

/// Everything up to there has been taken. `kept` are the other positions that stay.
pub(super) async fn advance(conn: &mut PgConnection, name: &str, to: &Position, kept: &[u64], token: i64) -> sqlx::Result<()> {
    let kept: Vec<i64> = kept.iter().copied().map(u64::cast_signed).collect();
    let sequence = to.sequence.cast_signed();
    sqlx::query(ADVANCE).bind(name).bind(sequence).bind(&to.id).bind(kept).bind(token).execute(conn).await.map(drop)
}
