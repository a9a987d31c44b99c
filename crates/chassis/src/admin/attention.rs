//! What needs a person, by the one rule of [`saga::attention`]: as gauges, now and then, and as a list for operators.
//!
//! How long something *usually* takes is learnt from a sample of the youngest sagas' claims, at most every 30 s:
//!
//! | an edge | is the time |
//! |---|---|
//! | into an event | from when it happened at its speaker's until it took effect here |
//! | into an answer | from what took effect here before it, which asked, until it did |
//! | out of anything | from when it took effect here until the saga's next did |
//!
//! Two hosts' clocks may differ, and a sample of bad times makes bad times usual: it tells people where to look, and nothing
//! that must be right rests on it.

use std::{collections::HashMap, time::Duration};

use events::{SagaId, Timestamp};
use saga::{
    Declaration, Door, Kind,
    attention::{Attention, SLOW_MIN, Waiting, attention},
};
use serde::Serialize;
use sqlx::{PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    inbox::{dead_letter, parked},
    service::Service,
    telemetry::Metrics,
};

const LOOK: Duration = Duration::from_secs(5);
/// So long a sample of what is usual is good enough.
const LEARNT_FOR: Duration = Duration::from_secs(30);
/// How many claims are a sample: some hundreds of sagas.
const SAMPLE: i64 = 4_000;
/// No more is looked at; whoever has more trouble than that has enough to begin with.
const MOST: i64 = 10_000;

crate::statements! {
    USUAL = "with recent as (
            (select saga, type, door, happened, taken_at from chassis.claims where saga is not null order by id desc limit $1)
            union all
            (select saga, type, 'command', happened, taken_at from chassis.requests where saga is not null order by saga desc limit $1)
        ), timed as (
            select type, taken_at - case when door = 'event' then happened else lag(taken_at) over saga end as into_it,
                   lead(taken_at) over saga - taken_at as out_of_it
            from recent window saga as (partition by saga order by taken_at)
        )
        select type, extract(epoch from percentile_cont(0.95) within group (order by into_it))::float8 as into_it,
               extract(epoch from percentile_cont(0.95) within group (order by out_of_it))::float8 as out_of_it
        from timed group by type";

    /// `$1`: what is younger and has not failed cannot need anybody. `$2`: what begins a compensation here; such a saga owes
    /// until it has no deadline any more. A parked delivery's first try was its delivery, and failed because it was early.
    WAITING = "select saga, 'call' as what, (select json_object_keys(call) limit 1) as type, asked_at as since,
                   tries as failures, last_error as seen, null::timestamptz as owed_since, clock_timestamp() as now
            from chassis.intents where tries > 0 or asked_at < clock_timestamp() - make_interval(secs => $1)
        union all
        select saga, 'parked', type, parked_at, tries - 1, code, null, clock_timestamp()
            from chassis.parked where saga is not null
        union all
        select saga, 'dead_letter', type, buried_at, 0, code, null, clock_timestamp()
            from chassis.dead_letters where state = 'dead' and saga is not null
        union all
        select said.saga, 'to_publish', said.type, pending.since, 0, null, null, clock_timestamp()
            from chassis.outbox_pending as pending join chassis.outbox as said on said.id = pending.id
            where said.saga is not null and pending.since < clock_timestamp() - make_interval(secs => $1)
        union all
        select open.saga, 'next', last.type, last.taken_at, 0, null,
               (select min(taken_at) from chassis.claims
                    where id between chassis.first_of(open.saga) and chassis.last_of(open.saga) and saga = open.saga
                        and type = any($2)),
               clock_timestamp()
            from (select distinct saga from chassis.deadlines) as open cross join lateral (
                select type, taken_at from (
                    select type, taken_at from chassis.claims
                        where id between chassis.first_of(open.saga) and chassis.last_of(open.saga) and saga = open.saga
                    union all
                    select type, taken_at from chassis.requests where saga = open.saga
                ) as taken order by taken_at desc limit 1
            ) as last
            where last.taken_at < clock_timestamp() - make_interval(secs => $1)
        limit $3";

    IN_FLIGHT = "select count(*) from (
            select saga from chassis.deadlines union select saga from chassis.intents
            union select saga from chassis.parked where saga is not null
        ) as sagas";

    OWED = "select count(*) from (
            select saga from chassis.intents where (select json_object_keys(call) limit 1) = any($1)
            union
            select saga from chassis.deadlines as open
            where exists (
                select from chassis.claims as c
                where c.id between chassis.first_of(open.saga) and chassis.last_of(open.saga) and c.saga = open.saga
                    and c.type = any($2)
            )
        ) as sagas";
}

/// How long things usually take here: 95th percentiles by type.
#[derive(Default)]
pub(crate) struct Usual {
    into: HashMap<String, Duration>,
    out_of: HashMap<String, Duration>,
}

/// Something that needs a person.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub(crate) struct Needing {
    pub(crate) saga: SagaId,
    why: Attention,
    /// `call`, `parked`, `dead_letter`, `to_publish`, or `next`: nothing has come since `type` did.
    what: String,
    /// The event's type, or the call's name.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    ty: Option<String>,
    since: Timestamp,
    tries: u32,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
}

/// Until `stop`.
pub(crate) async fn run<S: Service>(pool: PgPool, metrics: Metrics, stop: CancellationToken) {
    let mut learnt: Option<(Instant, Usual)> = None;
    loop {
        if learnt.as_ref().is_none_or(|(when, _)| when.elapsed() >= LEARNT_FOR) {
            match usual(&pool).await {
                Ok(usual) => learnt = Some((Instant::now(), usual)),
                Err(error) => tracing::debug!(%error, "what is usual stays as it was"),
            }
        }
        if let Some((_, usual)) = &learnt
            && let Err(error) = look::<S>(&pool, usual, &metrics).await
        {
            tracing::debug!(%error, "the gauges stay as they are");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(LOOK) => {}
        }
    }
}

async fn look<S: Service>(pool: &PgPool, usual: &Usual, metrics: &Metrics) -> sqlx::Result<()> {
    metrics.set_parked(parked::count(pool).await?);
    metrics.set_dead_letters(dead_letter::count(pool).await?);
    let in_flight: i64 = sqlx::query_scalar(IN_FLIGHT).fetch_one(pool).await?;
    metrics.set_sagas_in_flight(in_flight.unsigned_abs());
    let (calls, inputs) = (undoing(&S::DECLARATION, Door::Answer), undoing(&S::DECLARATION, Door::Event));
    let owed: i64 = sqlx::query_scalar(OWED).bind(calls).bind(inputs).fetch_one(pool).await?;
    metrics.set_compensations_owed(owed.unsigned_abs());
    metrics.set_sagas_needing_attention(needing::<S>(pool, usual).await?.len() as u64);
    Ok(())
}

/// What is usual here, from the youngest sagas.
pub(crate) async fn usual(pool: &PgPool) -> sqlx::Result<Usual> {
    let mut usual = Usual::default();
    for row in sqlx::query(USUAL).bind(SAMPLE).fetch_all(pool).await? {
        let ty: String = row.try_get("type")?;
        let span = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<f64>, _>(column)?.map(span));
        usual.into.extend(span("into_it")?.map(|span| (ty.clone(), span)));
        usual.out_of.extend(span("out_of_it")?.map(|span| (ty, span)));
    }
    Ok(usual)
}

/// The sagas that need a person here, each with the gravest of its reasons; those that have waited longest first.
pub(crate) async fn needing<S: Service>(pool: &PgPool, usual: &Usual) -> sqlx::Result<Vec<Needing>> {
    let waiting = sqlx::query(WAITING)
        .bind(SLOW_MIN.as_secs_f64())
        .bind(undoing(&S::DECLARATION, Door::Event))
        .bind(MOST)
        .try_map(|row| judged(&row, &S::DECLARATION, usual));
    let mut gravest: HashMap<SagaId, Needing> = HashMap::new();
    for needing in waiting.fetch_all(pool).await?.into_iter().flatten() {
        let known = gravest.entry(needing.saga).or_insert_with(|| needing.clone());
        if (needing.why, needing.since) < (known.why, known.since) {
            *known = needing;
        }
    }
    let mut all: Vec<Needing> = gravest.into_values().collect();
    all.sort_by_key(|needing| (needing.since, needing.saga));
    Ok(all)
}

fn judged(row: &PgRow, declaration: &Declaration, usual: &Usual) -> sqlx::Result<Option<Needing>> {
    let time = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<OffsetDateTime>, _>(column)?.map(Timestamp::from));
    let (what, ty): (String, Option<String>) = (row.try_get("what")?, row.try_get("type")?);
    let (since, now) = (time("since")?.unwrap_or_default(), time("now")?.unwrap_or_default());
    let (waited, named) = (now.since(since), ty.as_deref().unwrap_or_default());
    let (kind, usual, owed) = match what.as_str() {
        "call" => (kind(declaration, Door::Answer, named), usual.into.get(named), None),
        "parked" | "dead_letter" => (kind(declaration, Door::Event, named), usual.into.get(named), None),
        "next" => (None, usual.out_of.get(named), time("owed_since")?.map(|since| now.since(since))),
        // From the commit to the stream takes milliseconds.
        _ => (None, None, None),
    };
    let tries = u32::try_from(row.try_get::<i32, _>("failures")?).unwrap_or(0);
    let waiting = Waiting {
        waited,
        usual: usual.copied(),
        failures: tries,
        after_pivot: kind == Some(Kind::Retriable),
        owed: if kind == Some(Kind::Undo) { Some(waited) } else { owed },
        dead: what == "dead_letter",
    };
    let saga = SagaId::from(row.try_get::<Uuid, _>("saga")?);
    let seen = row.try_get("seen")?;
    Ok(attention(&waiting).map(|why| Needing { saga, why, what, ty, since, tries, seen }))
}

/// Of the step that takes what comes by that door under that name.
fn kind(declaration: &Declaration, door: Door, input: &str) -> Option<Kind> {
    let row = declaration.rows.iter().find(|row| row.door == door && row.input == input)?;
    declaration.step(row.step).map(|step| step.kind)
}

/// What begins or carries on a compensation here, of all that comes by that door.
fn undoing(declaration: &Declaration, door: Door) -> Vec<&'static str> {
    let inputs = declaration.rows.iter().filter(|row| row.door == door).map(|row| row.input);
    inputs.filter(|input| kind(declaration, door, input) == Some(Kind::Undo)).collect()
}

fn span(secs: f64) -> Duration {
    // Below zero where the speaker's clock is ahead of this one.
    Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX)
}
