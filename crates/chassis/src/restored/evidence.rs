//! Whether the database has lost what it had acknowledged: by ids, of what was said and of what was heard.

use events::{EventId, EventInfo};
use sqlx::PgPool;
use uuid::Uuid;

use super::Intake;
use crate::{
    broker::{Broker, Held, Unseen},
    inbox::{self, Letter},
    partitions::{bounds, day},
};

/// How many of the stream's last messages are looked up. Who has lost a tail has lost the end of it.
const TAIL: u64 = 512;

/// Whether what was born on `c.day` would be known to a database that has lost nothing. Before the days that there are it may have
/// been given up; behind them nobody is born. What has no birth is kept for ever.
macro_rules! kept {
    () => {
        "(c.day = 0 or c.day between (select min(day) from chassis.days) and (select max(day) from chassis.days))"
    };
}

crate::statements! {
    UNKNOWN = concat!("select c.id from unnest($1::uuid[], $4::integer[]) as c (id, day)
        where not exists (select from chassis.outbox as said where said.id = c.id and said.id between $2 and $3)
            and ", kept!());

    UNTAKEN = concat!("select not exists (select from chassis.claims where id = $1)
            and not exists (select from chassis.parked where id = $1)
            and not exists (select from chassis.dead_letters where id = $1)
            and ", kept!(), " from (select $2::integer as day) as c");
}

/// It cannot be told now. *Retry.*
#[derive(thiserror::Error, Debug)]
pub(crate) enum Unsettled {
    #[error("the broker is not connected")]
    Away,
    #[error(transparent)]
    Unseen(#[from] Unseen),
    #[error("the database: {0}")]
    Store(#[from] sqlx::Error),
}

/// The first evidence, in words; none when there is none.
pub(super) async fn find(intake: &Intake, broker: &Broker, pool: &PgPool) -> Result<Option<String>, Unsettled> {
    if !broker.is_connected() {
        return Err(Unsettled::Away);
    }
    if let Some(accused) = intake.accused()
        && let [_] = unknown(pool, &[accused.0]).await?[..]
    {
        return Ok(Some(format!("its stream holds event {accused}, which its outbox does not know")));
    }
    if let Some(why) = said(broker, pool).await? {
        return Ok(Some(why));
    }
    for event in broker.heard() {
        if let Some(why) = heard(broker, pool, event).await? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Of these events those that the outbox does not know, and should.
pub(crate) async fn unknown(pool: &PgPool, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (least, greatest) = bounds(ids);
    let days: Vec<i32> = ids.iter().copied().map(day).collect();
    sqlx::query_scalar(UNKNOWN).bind(ids).bind(least).bind(greatest).bind(days).fetch_all(pool).await
}

/// The end of the own stream holds what was never said here.
async fn said(broker: &Broker, pool: &PgPool) -> Result<Option<String>, Unsettled> {
    let Some(stream) = broker.own() else { return Ok(None) };
    let Some(info) = broker.stream(&stream).await? else { return Ok(None) };
    let tail = broker.tail(&stream, info.state.last_sequence.saturating_sub(TAIL - 1).max(1)).await?;
    let derived: Vec<&Held> = tail.iter().filter(|held| held.is_derived).collect();
    let ids: Vec<Uuid> = derived.iter().filter_map(|held| Some(held.said?.0)).collect();
    let lost = unknown(pool, &ids).await?;
    let Some(first) = derived.iter().find(|held| held.said.is_some_and(|id| lost.contains(&id.0))) else { return Ok(None) };
    let letter = broker.letter_at(&stream, first.sequence).await?;
    let header = |name| letter.as_ref().and_then(|letter| letter.header(name)).unwrap_or("-");
    let (ty, id, at) = (header("ce-type"), header("ce-id"), header("ce-time"));
    Ok(Some(format!("its stream holds {ty} {id} of {at}, which its outbox does not know")))
}

/// A delivery was acknowledged, and nothing here knows of it.
async fn heard(broker: &Broker, pool: &PgPool, event: &EventInfo) -> Result<Option<String>, Unsettled> {
    let (name, stream) = (broker.durable_name(event), events::stream(event.owner));
    let Some(durable) = broker.durable(&name, &stream).await? else { return Ok(None) };
    // One that was changed by hand, or has lived through another life of the server, may have skipped what stands there.
    if !inbox::is_as_known(broker, pool, event, &durable).await? {
        return Ok(None);
    }
    let floor = durable.cached_info().ack_floor.stream_sequence;
    let Some(letter) = broker.letter_at(&stream, floor).await? else { return Ok(None) };
    let Some((ty, id)) = acknowledged(broker, &letter, event) else { return Ok(None) };
    let untaken: bool = sqlx::query_scalar(UNTAKEN).bind(id.0).bind(day(id.0)).fetch_one(pool).await?;
    Ok(untaken.then(|| format!("it had acknowledged {ty} {id}, and its database has no trace of that")))
}

/// What stands where everything has been acknowledged, if that is such an event in a version that is heard here: the floor of a
/// durable may also stand at somebody else's message, before or between its own, and what is not heard leaves no trace.
fn acknowledged<'l>(broker: &Broker, letter: &'l Letter, event: &EventInfo) -> Option<(&'l str, EventId)> {
    let ty = letter.header("ce-type").filter(|ty| broker.hears(ty))?;
    let id = letter.header("ce-id")?.parse().ok()?;
    (letter.subject == events::subject(event.name)).then_some((ty, id))
}
