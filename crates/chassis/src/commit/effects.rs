//! What a batch brings about beside the service's own rows: gathered column by column, written in one statement.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use bytes::Bytes;
use events::{Envelope, SagaId, Timestamp};
use saga::{
    Because, Claim, Inputs as _, Receipt,
    batch::{Intent, Taken, Verdict},
};
use serde::Serialize;
use sqlx::{PgConnection, types::time::OffsetDateTime};
use tokio::time::Instant;
use uuid::Uuid;

use super::{About, Asked, BODY_FORGOTTEN, HANDED_FOR, Said, Settled, claims::Claimed, committer::Batch, transaction::Fault};
use crate::{
    partitions::{bounds, day, late},
    postgres::spanned,
    service::Service,
};

/// An event with its headers is not larger, in bytes: the broker takes half as much again.
const MESSAGE_MAX: usize = 256 * 1024;

crate::statements! {
    /// Everything at once: rows by id, no row twice, and the saga's own row is locked before any of its deadlines. Tables that
    /// are empty at times are met by `= any`, for which there is but one plan: a join is planned for what was there then.
    WRITE = concat!("with said as (
        insert into chassis.outbox (late, id, saga, type, body, causation, traceparent, tracestate, said_at)
        select ", late!(), ", c.id, c.saga, c.type, convert_from(c.body, 'UTF8'), c.causation, c.traceparent, c.tracestate, $8
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::uuid[], $6::text[], $7::text[], $22::integer[])
            as c (id, saga, type, body, causation, traceparent, tracestate, day)
        on conflict (id, late) do nothing returning id
    ), pending as (
        insert into chassis.outbox_pending (id) select unnest($1::uuid[]) on conflict (id) do nothing
    ), asked as (
        insert into chassis.intents (id, saga, call, causation, traceparent, tracestate, asked_at, due)
        select i.id, i.saga, i.call::json, i.causation, i.traceparent, i.tracestate, $8, clock_timestamp() + make_interval(secs => $15)
        from unnest($9::uuid[], $10::uuid[], $11::text[], $12::uuid[], $13::text[], $14::text[])
            as i (id, saga, call, causation, traceparent, tracestate)
        on conflict (id) do nothing
    ), answered as (
        delete from chassis.intents where id = any($16::uuid[])
    ), set as (
        insert into chassis.deadlines (saga, name, at)
        select * from unnest($17::uuid[], $18::text[], $19::timestamptz[])
        on conflict (saga, name) do update set at = excluded.at
    ), dropped as (
        delete from chassis.deadlines where saga = any($20::uuid[])
            and (saga, name) in (select gone.saga, gone.name from unnest($20::uuid[], $21::text[]) as gone (saga, name))
    ), told as (
        update chassis.requests as r set because = t.because, status = t.status, body = t.body
        from unnest($23::uuid[], $24::text[], $25::integer[], $26::text[]) as t (id, because, status, body) where r.id = t.id
    ), freed_requests as (
        delete from chassis.requests where id = any($27::uuid[])
    )
    select count(*) from said");

    /// Apart from the rest, and only where there is something: of a table with partitions all are opened for an update, but those
    /// outside the bounds.
    QUIET = "update chassis.claims set because = ($2::text[])[array_position($1::uuid[], id)]
        where id = any($1::uuid[]) and id between $3 and $4";

    FREE = "delete from chassis.claims where id = any($1::uuid[]) and id between $2 and $3";

    SAID_OTHERWISE = "select id from chassis.outbox where id = any($1::uuid[]) and id between $3 and $4
        and body <> convert_from(($2::bytea[])[array_position($1::uuid[], id)], 'UTF8')";
}

/// What a batch brings about, and what everybody is told of it.
pub(super) struct Effects<S: Service> {
    pub(super) settled: Vec<Settled>,
    pub(super) said: Vec<Said>,
    pub(super) asked: Vec<Asked<S::Call>>,
    /// Those that something happened to.
    pub(super) sagas: Vec<SagaId>,
    pub(super) now: Timestamp,
    intents: Intents,
    answered: Vec<Uuid>,
    /// As it stands after the batch: when, or that there is none.
    deadlines: BTreeMap<(Uuid, &'static str), Option<Timestamp>>,
    quiet: (Vec<Uuid>, Vec<String>),
    told: Told,
    /// Claims that were locked, and of which nothing came.
    freed: Vec<Uuid>,
    freed_requests: Vec<Uuid>,
}

#[derive(Default)]
struct Intents {
    sagas: Vec<Uuid>,
    calls: Vec<String>,
    causations: Vec<Uuid>,
}

#[derive(Default)]
struct Told {
    ids: Vec<Uuid>,
    because: Vec<Option<String>>,
    statuses: Vec<Option<i32>>,
    bodies: Vec<Option<String>>,
}

impl<S: Service> Effects<S> {
    /// From the verdicts on that part of the batch.
    pub(super) fn of(
        batch: &Batch<S>,
        range: Range<usize>,
        verdicts: Vec<Verdict<S>>,
        claimed: &Claimed,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let mut effects = Self::nothing(now, verdicts.len());
        let (mut taken, mut refused) = (HashSet::new(), Vec::new());
        let mut told: HashMap<Uuid, ([u8; 32], Option<Receipt>)> = HashMap::new();
        for (at, verdict) in range.zip(verdicts) {
            let claim = &batch.arrived[at].claim;
            let settled = match verdict {
                Verdict::Taken(effect) => {
                    taken.insert(claim.id());
                    if let Claim::Request { fingerprint, .. } = claim {
                        told.insert(claim.id(), (*fingerprint, effect.receipt.clone()));
                    }
                    effects.take(batch, at, effect)?
                }
                Verdict::Repeated => {
                    if let Claim::Answer(call) = claim {
                        effects.answered.push(call.0);
                    }
                    if claimed.moved.contains(&claim.id()) {
                        effects.freed.push(claim.id());
                    }
                    repeated(claim, claimed, &told)
                }
                Verdict::NotYet(because) => {
                    refused.push(claim);
                    Settled::NotYet(because)
                }
                Verdict::Contradiction(because) => {
                    refused.push(claim);
                    Settled::Contradiction(because)
                }
                Verdict::Refused(problem) => {
                    refused.push(claim);
                    Settled::Refused(problem)
                }
            };
            effects.settled.push(settled);
        }
        // The same input may have come too early, and again when it did not.
        for claim in refused.into_iter().filter(|claim| !taken.contains(&claim.id())) {
            match claim {
                Claim::Request { .. } => effects.freed_requests.push(claim.id()),
                Claim::Event(_) | Claim::Answer(_) | Claim::Deadline { .. } => effects.freed.push(claim.id()),
            }
        }
        Ok(effects)
    }

    fn nothing(now: Timestamp, inputs: usize) -> Self {
        Self {
            settled: Vec::with_capacity(inputs),
            said: Vec::with_capacity(inputs),
            asked: Vec::new(),
            sagas: Vec::with_capacity(inputs),
            now,
            intents: Intents::default(),
            answered: Vec::new(),
            deadlines: BTreeMap::new(),
            quiet: (Vec::new(), Vec::new()),
            told: Told::default(),
            freed: Vec::new(),
            freed_requests: Vec::new(),
        }
    }

    fn take(&mut self, batch: &Batch<S>, at: usize, effect: Taken<S>) -> Result<Settled, Fault> {
        let (one, about) = (&batch.arrived[at], &batch.about[at]);
        let Taken { because, outbox, intents, wakes, receipt, alarm } = effect;
        self.sagas.extend(one.saga());
        if let Some(alarm) = alarm {
            let saga = one.saga().map(|saga| saga.to_string());
            tracing::error!(correlation_id = saga, input = one.input.row().input, "{alarm}");
        }
        for outgoing in outbox {
            let said = said(about, outgoing, self.now);
            fits::<S>(&said)?;
            self.said.push(said);
        }
        for intent in intents {
            self.ask(one.claim.id(), about, intent)?;
        }
        match &one.claim {
            Claim::Answer(call) => self.answered.push(call.0),
            // It has passed; what the reaction sets below is another.
            Claim::Deadline { saga, name, .. } => {
                self.deadlines.insert((saga.0, name), None);
            }
            Claim::Event(_) | Claim::Request { .. } => {}
        }
        if let Some(saga) = one.saga() {
            self.deadlines.extend(wakes.into_iter().map(|wake| ((saga.0, wake.name), wake.at)));
        }
        self.tell(&one.claim, because, receipt.as_ref());
        Ok(Settled::Taken { because, receipt })
    }

    fn ask(&mut self, causation: Uuid, about: &About, intent: Intent<S>) -> Result<(), Fault> {
        let Intent { id, call } = intent;
        let written = serde_json::to_string(&call).map_err(|error| Fault::Poison(format!("a call cannot be kept: {error}")))?;
        self.intents.sagas.push(saga::Calls::saga(&call).0);
        self.intents.calls.push(written);
        self.intents.causations.push(causation);
        self.asked.push(Asked { id, call, trace: about.trace.clone(), at: Instant::now() });
        Ok(())
    }

    fn tell(&mut self, claim: &Claim, because: Option<Because>, receipt: Option<&Receipt>) {
        match claim {
            Claim::Request { .. } => {
                self.told.ids.push(claim.id());
                self.told.because.push(because.map(|because| word(&because)));
                self.told.statuses.push(receipt.map(|receipt| i32::from(receipt.status)));
                self.told.bodies.push(receipt.map(|receipt| receipt.body.to_string()));
            }
            Claim::Event(_) | Claim::Answer(_) | Claim::Deadline { .. } => {
                if let Some(because) = because {
                    self.quiet.0.push(claim.id());
                    self.quiet.1.push(word(&because));
                }
            }
        }
    }

    /// Of what was said, what tells how a saga has come out.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (SagaId, &str)> {
        let told = self.said.iter().filter(|said| S::DECLARATION.tells_outcome(&said.ty));
        told.filter_map(|said| Some((said.saga?, &*said.ty)))
    }

    /// No row of the chassis' would change.
    fn is_empty(&self) -> bool {
        self.said.is_empty()
            && self.asked.is_empty()
            && self.answered.is_empty()
            && self.deadlines.is_empty()
            && self.quiet.0.is_empty()
            && self.told.ids.is_empty()
            && self.freed.is_empty()
            && self.freed_requests.is_empty()
    }

    /// Writes all of it.
    pub(super) async fn write(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.settle_claims(conn).await?;
        let said = &self.said;
        let standing = || self.deadlines.iter().filter_map(|((saga, name), at)| Some((*saga, *name, (*at)?)));
        let dropped = || self.deadlines.iter().filter(|(_, at)| at.is_none()).map(|(key, _)| key);
        let written = sqlx::query_scalar::<_, i64>(WRITE)
            .bind(said.iter().map(|said| said.id.0).collect::<Vec<_>>())
            .bind(said.iter().map(|said| said.saga.map(|saga| saga.0)).collect::<Vec<_>>())
            .bind(said.iter().map(|said| &*said.ty).collect::<Vec<_>>())
            .bind(said.iter().map(|said| &*said.body).collect::<Vec<_>>())
            .bind(said.iter().map(|said| said.causation).collect::<Vec<_>>())
            .bind(said.iter().map(|said| said.trace.traceparent.as_deref()).collect::<Vec<_>>())
            .bind(said.iter().map(|said| said.trace.tracestate.as_deref()).collect::<Vec<_>>())
            .bind(OffsetDateTime::from(self.now))
            .bind(self.asked.iter().map(|asked| asked.id.0).collect::<Vec<_>>())
            .bind(&self.intents.sagas)
            .bind(&self.intents.calls)
            .bind(&self.intents.causations)
            .bind(self.asked.iter().map(|asked| asked.trace.traceparent.as_deref()).collect::<Vec<_>>())
            .bind(self.asked.iter().map(|asked| asked.trace.tracestate.as_deref()).collect::<Vec<_>>())
            .bind(HANDED_FOR.as_secs_f64())
            .bind(&self.answered)
            .bind(standing().map(|(saga, _, _)| saga).collect::<Vec<_>>())
            .bind(standing().map(|(_, name, _)| name).collect::<Vec<_>>())
            .bind(standing().map(|(_, _, at)| OffsetDateTime::from(at)).collect::<Vec<_>>())
            .bind(dropped().map(|(saga, _)| *saga).collect::<Vec<_>>())
            .bind(dropped().map(|(_, name)| *name).collect::<Vec<_>>())
            .bind(said.iter().map(|said| day(said.id.0)).collect::<Vec<_>>())
            .bind(&self.told.ids)
            .bind(&self.told.because)
            .bind(&self.told.statuses)
            .bind(&self.told.bodies)
            .bind(&self.freed_requests);
        let written = spanned("insert chassis.outbox", written.fetch_one(&mut *conn)).await?;
        if usize::try_from(written).is_ok_and(|written| written == said.len()) { Ok(()) } else { self.compare(conn).await }
    }

    /// What the claims say beside that they were taken, and those of which nothing came.
    async fn settle_claims(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let (quiet, why) = &self.quiet;
        if !quiet.is_empty() {
            let (least, greatest) = bounds(quiet);
            let quiet = sqlx::query(QUIET).bind(quiet).bind(why).bind(least).bind(greatest);
            spanned("update chassis.claims", quiet.execute(&mut *conn)).await?;
        }
        if !self.freed.is_empty() {
            let (least, greatest) = bounds(&self.freed);
            let free = sqlx::query(FREE).bind(&self.freed).bind(least).bind(greatest);
            spanned("delete chassis.claims", free.execute(conn)).await?;
        }
        Ok(())
    }

    /// Some of it had been said before: the same, one hopes.
    async fn compare(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let ids: Vec<Uuid> = self.said.iter().map(|said| said.id.0).collect();
        let bodies: Vec<&[u8]> = self.said.iter().map(|said| &*said.body).collect();
        let otherwise = sqlx::query_scalar::<_, Uuid>(SAID_OTHERWISE).bind(&ids).bind(bodies);
        let (least, greatest) = bounds(&ids);
        let otherwise = otherwise.bind(least).bind(greatest);
        for id in spanned("select chassis.outbox", otherwise.fetch_all(conn)).await? {
            tracing::error!(%id, "an event was said before with other content under the same id: the first stands");
        }
        Ok(())
    }
}

/// What a repeat is told.
fn repeated(claim: &Claim, claimed: &Claimed, told: &HashMap<Uuid, ([u8; 32], Option<Receipt>)>) -> Settled {
    let Claim::Request { fingerprint, .. } = claim else { return Settled::Repeated(None) };
    let first = match (claimed.requests.get(&claim.id()), told.get(&claim.id())) {
        (Some((first, receipt)), _) => Some((first.as_slice(), receipt)),
        (None, Some((first, receipt))) => Some((first.as_slice(), receipt)),
        (None, None) => None,
    };
    match first {
        Some((first, _)) if first != fingerprint && ![first, fingerprint].contains(&&BODY_FORGOTTEN[..]) => Settled::OtherBody,
        Some((_, receipt)) => Settled::Repeated(receipt.clone()),
        None => Settled::Repeated(None),
    }
}

fn said(about: &About, outgoing: saga::batch::Outgoing, now: Timestamp) -> Said {
    Said {
        id: outgoing.id,
        saga: outgoing.event.order(),
        ty: outgoing.event.info().ty.into(),
        body: Bytes::from(outgoing.event.encode()),
        causation: Some(outgoing.causation),
        trace: about.trace.clone(),
        said_at: now,
        generation: 0,
    }
}

/// Here, where its input can still be set apart, and not at the broker, where nobody could do anything about it.
fn fits<S: Service>(said: &Said) -> Result<(), Fault> {
    // Only a body near the limit is worth counting its headers.
    if said.body.len() < MESSAGE_MAX / 2 {
        return Ok(());
    }
    let headers: usize = envelope::<S>(said).headers().iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let size = headers + said.body.len();
    if size <= MESSAGE_MAX {
        return Ok(());
    }
    Err(Fault::Poison(format!("{} would be {size} bytes with its headers, and {MESSAGE_MAX} is the most", said.ty)))
}

/// Everything about an event of this service but its data.
pub(crate) fn envelope<S: Service>(said: &Said) -> Envelope {
    Envelope {
        id: said.id,
        source: S::DECLARATION.service.to_owned(),
        ty: said.ty.clone().into_owned(),
        saga: said.saga,
        time: said.said_at,
        causation: said.causation,
        trace: said.trace.clone(),
    }
}

/// `AlreadyDone` as `already_done`.
fn word(because: &impl Serialize) -> String {
    match serde_json::to_value(because) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
