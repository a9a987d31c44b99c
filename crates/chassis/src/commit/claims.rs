//! The tables of what has taken effect: who comes first under an id takes effect, whoever comes later is told so.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    time::Duration,
};

use saga::{Claim, Inputs as _, Receipt};
use sqlx::{PgConnection, PgPool, types::time::OffsetDateTime};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::committer::Batch;
use crate::{
    partitions::{bounds, day, late},
    postgres::spanned,
    service::Service,
};

crate::statements! {
    /// Sagas first, then ids, each in order, so that two batches cannot wait for each other. Whoever has one of them in hand
    /// is waited for. The sagas are locked by name, for a row that does not exist yet cannot be: of two replicas that both
    /// found none, the second would write over what the first has made.
    CLAIM = concat!("with locked as materialized (
                 select pg_advisory_xact_lock(key) from (
                     select distinct uuid_hash_extended(saga, 0) as key from unnest($3::uuid[]) as saga where saga is not null order by key
                 ) as sagas
             )
             insert into chassis.claims (late, id, door, saga, type, source, happened, causation, trace_id, content, taken_at)
             select ", late!(), ", c.id, c.door, c.saga, c.type, c.source, c.happened, c.causation, c.trace_id, c.content, $10
             from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::uuid[], $8::uuid[],
                         $9::bytea[], $11::integer[])
                 as c (id, door, saga, type, source, happened, causation, trace_id, content, day)
             where (select count(*) from locked) >= 0
             order by c.id
             on conflict (id, late) do nothing returning id");

    /// The same key may stand twice in a batch, where a client gave up and asked again; each has drawn a saga of its own. The
    /// first takes effect, so it must be the first that is kept: an order of ids alone leaves open which.
    CLAIM_REQUESTS = "with locked as materialized (
                 select pg_advisory_xact_lock(key) from (
                     select distinct uuid_hash_extended(saga, 0) as key from unnest($3::uuid[]) as saga where saga is not null order by key
                 ) as sagas
             )
             insert into chassis.requests (id, fingerprint, saga, type, source, happened, trace_id, taken_at)
             select r.id, r.fingerprint, r.saga, r.type, r.source, r.happened, r.trace_id, $8
             from unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::uuid[])
                 with ordinality as r (id, fingerprint, saga, type, source, happened, trace_id, place)
             where (select count(*) from locked) >= 0
             order by r.id, r.place
             on conflict (id) do nothing returning id";

    CONTENT = "select id, content from chassis.claims where id = any($1::uuid[]) and id between $2 and $3";

    ANSWERS = "select id, fingerprint, status, body from chassis.requests where id = any($1::uuid[])";

    STANDING = "select saga, name, at from chassis.deadlines where saga = any($1::uuid[])";

    FORGET = "delete from chassis.requests where id in (
            select id from chassis.requests where taken_at < clock_timestamp() - make_interval(secs => $1)
            limit $2 for update skip locked
        )";
}

/// How long a request's answer is kept for its repeats.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How often, and how many at a time, are forgotten.
const FORGETTING: (Duration, i64) = (Duration::from_secs(600), 10_000);

/// Forgets requests that are older than anybody repeats, until `stop`.
pub(crate) async fn forget(pool: PgPool, stop: CancellationToken) {
    let (interval, most) = FORGETTING;
    loop {
        let wait = match sqlx::query(FORGET).bind(KEPT.as_secs_f64()).bind(most).execute(&pool).await {
            Ok(done) if done.rows_affected() == most.unsigned_abs() => Duration::ZERO,
            Ok(_) => interval,
            Err(error) => {
                tracing::warn!(%error, "old requests could not be forgotten");
                interval
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// What is known of a batch's claims once they are locked.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    /// Taken before: nothing may come of them now.
    pub(super) before: HashSet<Uuid>,
    /// Of those, the deadlines that were locked now, and are no longer due.
    pub(super) moved: HashSet<Uuid>,
    /// Of those, the requests, with fingerprint and answer.
    pub(super) requests: HashMap<Uuid, (Vec<u8>, Option<Receipt>)>,
}

/// Locks every id of the batch, and tells which had been taken.
pub(super) async fn claim<S: Service>(
    conn: &mut PgConnection,
    batch: &Batch<S>,
    range: Range<usize>,
    now: OffsetDateTime,
) -> sqlx::Result<Claimed> {
    let (requests, others): (Vec<usize>, Vec<usize>) =
        range.partition(|&at| matches!(batch.arrived[at].claim, Claim::Request { .. }));
    let mut claimed = Claimed::default();
    if !others.is_empty() {
        claim_others(conn, batch, &others, now, &mut claimed).await?;
    }
    if !requests.is_empty() {
        claim_requests(conn, batch, &requests, now, &mut claimed).await?;
    }
    Ok(claimed)
}

async fn claim_others<S: Service>(
    conn: &mut PgConnection,
    batch: &Batch<S>,
    which: &[usize],
    now: OffsetDateTime,
    claimed: &mut Claimed,
) -> sqlx::Result<()> {
    let mut rows = Columns::default();
    let (mut doors, mut causations) = (Vec::with_capacity(which.len()), Vec::with_capacity(which.len()));
    for &at in which {
        rows.push(batch, at);
        doors.push(door(&batch.arrived[at].claim));
        causations.push(batch.about[at].causation);
    }
    let claim = sqlx::query_scalar::<_, Uuid>(CLAIM)
        .bind(&rows.ids)
        .bind(doors)
        .bind(rows.sagas)
        .bind(rows.types)
        .bind(rows.sources)
        .bind(rows.happened)
        .bind(causations)
        .bind(rows.traces)
        .bind(&rows.contents)
        .bind(now)
        .bind(rows.ids.iter().copied().map(day).collect::<Vec<_>>());
    let ours: HashSet<Uuid> = spanned("insert chassis.claims", claim.fetch_all(&mut *conn)).await?.into_iter().collect();
    let before: Vec<Uuid> = rows.ids.iter().copied().filter(|id| !ours.contains(id)).collect();
    if before.is_empty() {
        return Ok(());
    }
    let stored = sqlx::query_as::<_, (Uuid, Option<Vec<u8>>)>(CONTENT).bind(&before);
    let (least, greatest) = bounds(&before);
    let stored = stored.bind(least).bind(greatest);
    let stored: HashMap<Uuid, Option<Vec<u8>>> =
        spanned("select chassis.claims", stored.fetch_all(conn)).await?.into_iter().collect();
    for (id, content) in rows.ids.iter().zip(&rows.contents).filter(|(id, _)| !ours.contains(id)) {
        if let (Some(Some(then)), Some(now)) = (stored.get(id), content)
            && then.as_slice() != *now
        {
            tracing::error!(%id, "an id came again with other content than it took effect with: it is not taken");
        }
    }
    claimed.before.extend(before);
    Ok(())
}

async fn claim_requests<S: Service>(
    conn: &mut PgConnection,
    batch: &Batch<S>,
    which: &[usize],
    now: OffsetDateTime,
    claimed: &mut Claimed,
) -> sqlx::Result<()> {
    let mut rows = Columns::default();
    for &at in which {
        rows.push(batch, at);
    }
    let claim = sqlx::query_scalar::<_, Uuid>(CLAIM_REQUESTS)
        .bind(&rows.ids)
        .bind(rows.contents)
        .bind(rows.sagas)
        .bind(rows.types)
        .bind(rows.sources)
        .bind(rows.happened)
        .bind(rows.traces)
        .bind(now);
    let ours: HashSet<Uuid> = spanned("insert chassis.requests", claim.fetch_all(&mut *conn)).await?.into_iter().collect();
    let before: Vec<Uuid> = rows.ids.into_iter().filter(|id| !ours.contains(id)).collect();
    if before.is_empty() {
        return Ok(());
    }
    let stored = sqlx::query_as::<_, (Uuid, Vec<u8>, Option<i32>, Option<String>)>(ANSWERS).bind(&before);
    for (id, fingerprint, status, body) in spanned("select chassis.requests", stored.fetch_all(conn)).await? {
        claimed.requests.insert(id, (fingerprint, receipt(status, body)?));
    }
    claimed.before.extend(before);
    Ok(())
}

/// Deadlines that have been moved or dropped since somebody found them due count as taken: what was set instead stands. To
/// be asked once the sagas' rows are locked, for only with them do deadlines move.
pub(super) async fn moved_deadlines<S: Service>(
    conn: &mut PgConnection,
    batch: &Batch<S>,
    range: Range<usize>,
    claimed: &mut Claimed,
) -> sqlx::Result<()> {
    let due = batch.arrived[range].iter().filter_map(|one| match one.claim {
        Claim::Deadline { saga, name, at } => Some((one.claim.id(), (saga.0, name.to_owned(), OffsetDateTime::from(at)))),
        Claim::Event(_) | Claim::Answer(_) | Claim::Request { .. } => None,
    });
    let due: Vec<_> = due.collect();
    if due.is_empty() {
        return Ok(());
    }
    let sagas: Vec<Uuid> = due.iter().map(|(_, (saga, _, _))| *saga).collect();
    let standing = sqlx::query_as::<_, (Uuid, String, OffsetDateTime)>(STANDING).bind(sagas);
    let standing: HashSet<_> = spanned("select chassis.deadlines", standing.fetch_all(conn)).await?.into_iter().collect();
    let moved = due.into_iter().filter(|(id, deadline)| !claimed.before.contains(id) && !standing.contains(deadline));
    claimed.moved = moved.map(|(id, _)| id).collect();
    claimed.before.extend(&claimed.moved);
    Ok(())
}

/// What both tables keep, column by column.
#[derive(Default)]
struct Columns<'b> {
    ids: Vec<Uuid>,
    sagas: Vec<Option<Uuid>>,
    types: Vec<&'static str>,
    sources: Vec<&'b str>,
    happened: Vec<OffsetDateTime>,
    traces: Vec<Option<Uuid>>,
    contents: Vec<Option<&'b [u8]>>,
}

impl<'b> Columns<'b> {
    fn push<S: Service>(&mut self, batch: &'b Batch<S>, at: usize) {
        let (one, about) = (&batch.arrived[at], &batch.about[at]);
        self.ids.push(one.claim.id());
        self.sagas.push(one.saga().map(|saga| saga.0));
        self.types.push(one.input.row().input);
        self.sources.push(&about.source);
        self.happened.push(about.happened.into());
        self.traces.push(about.trace.trace_id().and_then(|trace| trace.parse().ok()));
        self.contents.push(about.content.as_ref().map(<[u8; 32]>::as_slice));
    }
}

const fn door(claim: &Claim) -> &'static str {
    match claim {
        Claim::Event(_) => "event",
        Claim::Answer(_) => "answer",
        Claim::Deadline { .. } => "deadline",
        Claim::Request { .. } => "command",
    }
}

fn receipt(status: Option<i32>, body: Option<String>) -> sqlx::Result<Option<Receipt>> {
    let (Some(status), Some(body)) = (status, body) else { return Ok(None) };
    let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
    Ok(Some(Receipt {
        status: u16::try_from(status).map_err(|error| unreadable(error.into()))?,
        body: serde_json::from_str(&body).map_err(|error| unreadable(error.into()))?,
    }))
}
