//! The tables of what has taken effect: who comes first under an id takes effect, whoever comes later is told so. Names are
//! locked before anything is read; a claim itself is written with what comes of it.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
    time::Duration,
};

use events::Timestamp;
use saga::{Claim, Inputs as _, Receipt, batch::Arrived};
use sqlx::{PgConnection, PgPool, types::time::OffsetDateTime};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    About,
    committer::Batch,
    opening::Opening,
    transaction::Held,
    writing::{Counted, Part, Writing},
};
use crate::{
    partitions::{bounds, day, late},
    postgres::spanned,
    service::Service,
};

crate::statements! {
    /// In order, so that two batches cannot wait for each other. By name, for a row that does not exist yet cannot be locked: of
    /// two replicas that both found none, the second would write over what the first has made. All that a service keeps of a saga
    /// is written behind this lock, and needs no other. It gives no row.
    LOCK = "select from unnest($1::uuid[]) as name where pg_advisory_xact_lock(uuid_hash_extended(name, 0)) is null";

    CLAIM = concat!("insert into chassis.claims
            (late, id, door, saga, type, source, happened, causation, trace_id, content, because, taken_at)
        select ", late!(), ", id, door, saga, type, source, happened, causation, trace_id, content, because, $12
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[], $7::bytea[], $8::text[],
                    $9::text[], $10::uuid[], $11::integer[])
            as c (id, saga, type, source, happened, trace_id, content, because, door, causation, day)
        order by id on conflict (id, late) do nothing returning id");

    REQUEST = "insert into chassis.requests
            (id, saga, type, source, happened, trace_id, fingerprint, because, status, body, taken_at)
        select *, $11
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[], $7::bytea[], $8::text[],
                    $9::integer[], $10::text[]) as c (id)
        order by id on conflict (id) do nothing returning id";

    CONTENTS = "select id, content from chassis.claims where id = any($1::uuid[]) and id between $2 and $3";

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

/// What is known of a batch's claims once its names are locked.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    /// Taken before, or no longer due: nothing may come of them now.
    pub(super) before: HashSet<Uuid>,
    /// Of those, the requests, with fingerprint and answer.
    pub(super) requests: HashMap<Uuid, (Vec<u8>, Option<Receipt>)>,
}

/// Opens a transaction, and waits for whoever has a saga, a request or what belongs to no saga in hand.
pub(super) fn open<'c, S: Service>(held: &'c mut Held, arrived: &[Arrived<S>]) -> Opening<'c> {
    // A request draws a saga of its own each time that it comes.
    let alone = |one: &Arrived<S>| matches!(one.claim, Claim::Request { .. }) || one.saga().is_none();
    let sagas = arrived.iter().filter_map(|one| Some(one.saga()?.0));
    let claims = arrived.iter().filter(|one| alone(one)).map(|one| one.claim.id());
    let names: BTreeSet<Uuid> = sagas.chain(claims).collect();
    Opening::new(&mut held.conn, &mut held.prepared, LOCK, names)
}

/// Which of the batch's claims have been taken. Behind the locks, or what is under way elsewhere is not seen.
pub(super) async fn look<S: Service>(conn: &mut PgConnection, batch: &Batch<S>, range: Range<usize>) -> sqlx::Result<Claimed> {
    let (requests, others): (Vec<usize>, Vec<usize>) =
        range.partition(|&at| matches!(batch.arrived[at].claim, Claim::Request { .. }));
    let mut claimed = Claimed::default();
    if !others.is_empty() {
        look_at_others(conn, batch, &others, &mut claimed).await?;
    }
    if !requests.is_empty() {
        let ids: Vec<Uuid> = requests.iter().map(|&at| batch.arrived[at].claim.id()).collect();
        let stored = sqlx::query_as::<_, (Uuid, Vec<u8>, Option<i32>, Option<String>)>(ANSWERS).bind(ids);
        for (id, fingerprint, status, body) in spanned("select chassis.requests", stored.fetch_all(conn)).await? {
            claimed.before.insert(id);
            claimed.requests.insert(id, (fingerprint, receipt(status, body)?));
        }
    }
    Ok(claimed)
}

async fn look_at_others<S: Service>(
    conn: &mut PgConnection,
    batch: &Batch<S>,
    which: &[usize],
    claimed: &mut Claimed,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = which.iter().map(|&at| batch.arrived[at].claim.id()).collect();
    let (least, greatest) = bounds(&ids);
    let stored = sqlx::query_as::<_, (Uuid, Option<Vec<u8>>)>(CONTENTS).bind(&ids).bind(least).bind(greatest);
    let stored: HashMap<Uuid, Option<Vec<u8>>> =
        spanned("select chassis.claims", stored.fetch_all(conn)).await?.into_iter().collect();
    for (id, &at) in ids.iter().zip(which) {
        if let (Some(Some(then)), Some(now)) = (stored.get(id), &batch.about[at].content)
            && then != now
        {
            tracing::error!(%id, "an id came again with other content than it took effect with: it is not taken");
        }
    }
    claimed.before.extend(stored.into_keys());
    Ok(())
}

/// Deadlines that have been moved or dropped since somebody found them due count as taken: what was set instead stands. To
/// be asked behind the sagas' locks, for only there do deadlines move.
pub(super) async fn moved_deadlines<S: Service>(
    conn: &mut PgConnection,
    arrived: &[Arrived<S>],
    claimed: &mut Claimed,
) -> sqlx::Result<()> {
    let due = arrived.iter().filter_map(|one| match one.claim {
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
    claimed.before.extend(due.into_iter().filter(|(_, deadline)| !standing.contains(deadline)).map(|(id, _)| id));
    Ok(())
}

/// What both tables keep of what is taken now.
#[derive(Default)]
pub(super) struct Claims {
    others: Vec<Row>,
    requests: Vec<Row>,
}

struct Row {
    id: Uuid,
    door: &'static str,
    saga: Option<Uuid>,
    ty: &'static str,
    source: Cow<'static, str>,
    happened: OffsetDateTime,
    causation: Option<Uuid>,
    trace: Option<Uuid>,
    /// Of a request its fingerprint.
    content: Option<[u8; 32]>,
    because: Option<String>,
    /// What a request is answered.
    answer: Option<(i32, String)>,
}

impl Claims {
    pub(super) fn len(&self) -> usize {
        self.others.len() + self.requests.len()
    }

    pub(super) fn push<S: Service>(
        &mut self,
        one: &Arrived<S>,
        about: &About,
        because: Option<String>,
        receipt: Option<&Receipt>,
    ) {
        let row = Row {
            id: one.claim.id(),
            door: door(&one.claim),
            saga: one.saga().map(|saga| saga.0),
            ty: one.input.row().input,
            source: about.source.clone(),
            happened: about.happened.into(),
            causation: about.causation,
            trace: about.trace.trace_id().and_then(|trace| trace.parse().ok()),
            content: about.content,
            because,
            answer: receipt.map(|receipt| (receipt.status.into(), receipt.body.to_string())),
        };
        match one.claim {
            Claim::Request { .. } => self.requests.push(row),
            Claim::Event(_) | Claim::Answer(_) | Claim::Deadline { .. } => self.others.push(row),
        }
    }

    pub(super) fn add_to(&self, writing: &mut Writing, now: Timestamp) {
        if !self.others.is_empty() {
            let part = add_common(writing, CLAIM, &self.others);
            part.bind(column(&self.others, |row| row.door))
                .bind(column(&self.others, |row| row.causation))
                .bind(column(&self.others, |row| day(row.id)))
                .bind(OffsetDateTime::from(now))
                .counted(Counted::Claims);
        }
        if !self.requests.is_empty() {
            let part = add_common(writing, REQUEST, &self.requests);
            part.bind(column(&self.requests, |row| row.answer.as_ref().map(|(status, _)| *status)))
                .bind(column(&self.requests, |row| row.answer.as_ref().map(|(_, body)| body.as_str())))
                .bind(OffsetDateTime::from(now))
                .counted(Counted::Claims);
        }
    }
}

/// What both tables have.
fn add_common<'w>(writing: &'w mut Writing, sql: &'static str, rows: &[Row]) -> Part<'w> {
    writing
        .add(sql)
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.saga))
        .bind(column(rows, |row| row.ty))
        .bind(column(rows, |row| &*row.source))
        .bind(column(rows, |row| row.happened))
        .bind(column(rows, |row| row.trace))
        .bind(column(rows, |row| row.content.as_ref().map(<[u8; 32]>::as_slice)))
        .bind(column(rows, |row| row.because.as_deref()))
}

fn column<'r, T>(rows: &'r [Row], of: impl Fn(&'r Row) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
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
