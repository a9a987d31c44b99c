//! What a batch brings about beside the service's own rows: gathered, and written with them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use bytes::Bytes;
use events::{Envelope, SagaId, Timestamp};
use saga::{
    Claim, Inputs as _, Receipt,
    batch::{Intent, Taken, Verdict},
};
use serde::Serialize;
use sqlx::{PgConnection, types::time::OffsetDateTime};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    About, Asked, BODY_FORGOTTEN, HANDED_FOR, Said, Settled,
    claims::{Claimed, Claims},
    committer::Batch,
    transaction::Fault,
    writing::{Beside, Counted, Writing},
};
use crate::{
    partitions::{bounds, day, late},
    postgres::spanned,
    service::Service,
};

/// An event with its headers is not larger, in bytes: the broker takes half as much again.
const MESSAGE_MAX: usize = 256 * 1024;

// Rows by id, no row twice. Tables that are empty at times are met by `= any`, for which there is but one plan: a join is planned
// for what was there then.
crate::statements! {
    SAY = concat!("insert into chassis.outbox (late, id, saga, type, body, causation, traceparent, tracestate, said_at)
        select ", late!(), ", c.id, c.saga, c.type, convert_from(c.body, 'UTF8'), c.causation, c.traceparent, c.tracestate, $9
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::uuid[], $6::text[], $7::text[], $8::integer[])
            as c (id, saga, type, body, causation, traceparent, tracestate, day)");

    LIST = "insert into chassis.outbox_pending (id) select id from unnest($1::uuid[]) as said (id)";

    ASK = "insert into chassis.intents (id, saga, call, causation, traceparent, tracestate, asked_at, due)
        select i.id, i.saga, i.call::json, i.causation, i.traceparent, i.tracestate, $7, clock_timestamp() + make_interval(secs => $8)
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[])
            as i (id, saga, call, causation, traceparent, tracestate)";

    ANSWER = "delete from chassis.intents where id = any($1::uuid[])";

    SET = "insert into chassis.deadlines (saga, name, at) select * from unnest($1::uuid[], $2::text[], $3::timestamptz[])
        on conflict (saga, name) do update set at = excluded.at";

    DROP = "delete from chassis.deadlines where saga = any($1::uuid[])
        and (saga, name) in (select gone.saga, gone.name from unnest($1::uuid[], $2::text[]) as gone (saga, name))";

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
    claims: Claims,
    /// Of which saga, at which input, and what a person should look at.
    alarms: Vec<(Option<SagaId>, &'static str, &'static str)>,
}

/// What became of what was to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    /// It is.
    All,
    /// Some claim was there already: none of it may be committed.
    Before,
}

#[derive(Default)]
struct Intents {
    sagas: Vec<Uuid>,
    calls: Vec<String>,
    causations: Vec<Uuid>,
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
        let mut told: HashMap<Uuid, ([u8; 32], Option<Receipt>)> = HashMap::new();
        for (at, verdict) in range.zip(verdicts) {
            let claim = &batch.arrived[at].claim;
            let settled = match verdict {
                Verdict::Taken(effect) => {
                    if let Claim::Request { fingerprint, .. } = claim {
                        told.insert(claim.id(), (*fingerprint, effect.receipt.clone()));
                    }
                    effects.take(batch, at, effect)?
                }
                Verdict::Repeated => {
                    if let Claim::Answer(call) = claim {
                        effects.answered.push(call.0);
                    }
                    repeated(claim, claimed, &told)
                }
                Verdict::NotYet(because) => Settled::NotYet(because),
                Verdict::Contradiction(because) => Settled::Contradiction(because),
                Verdict::Refused(problem) => Settled::Refused(problem),
            };
            effects.settled.push(settled);
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
            claims: Claims::default(),
            alarms: Vec::new(),
        }
    }

    fn take(&mut self, batch: &Batch<S>, at: usize, effect: Taken<S>) -> Result<Settled, Fault> {
        let (one, about) = (&batch.arrived[at], &batch.about[at]);
        let Taken { because, outbox, intents, wakes, receipt, alarm } = effect;
        self.sagas.extend(one.saga());
        self.alarms.extend(alarm.map(|alarm| (one.saga(), one.input.row().input, alarm)));
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
        self.claims.push(one, about, because.map(|because| word(&because)), receipt.as_ref());
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

    /// Once it is committed, and not before: what was taken back has alarmed nobody.
    pub(super) fn alarm(&self) {
        for (saga, input, alarm) in &self.alarms {
            let saga = saga.map(|saga| saga.to_string());
            tracing::error!(correlation_id = saga, input, "{alarm}");
        }
    }

    /// Of what was said, what tells how a saga has come out.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (SagaId, &Cow<'static, str>)> {
        let told = self.said.iter().filter(|said| S::DECLARATION.tells_outcome(&said.ty));
        told.filter_map(|said| Some((said.saga?, &said.ty)))
    }

    /// Writes all of it with the service's own rows, unless some of it had been taken before.
    pub(super) async fn write(&self, conn: &mut PgConnection, mut writing: Writing, beside: Beside) -> sqlx::Result<Written> {
        self.claims.add_to(&mut writing, self.now);
        if beside == Beside::NewClaims {
            writing.expect_claims(self.claims.len());
        }
        self.add_said(&mut writing, beside);
        self.add_calls(&mut writing, beside);
        self.add_deadlines(&mut writing);
        let new = writing.run(conn).await?;
        if new.claims != self.claims.len() {
            return Ok(Written::Before);
        }
        if beside == Beside::AnyClaims && new.said != self.said.len() {
            self.compare(conn).await?;
        }
        Ok(Written::All)
    }

    fn add_said(&self, writing: &mut Writing, beside: Beside) {
        let said = &self.said;
        if said.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = said.iter().map(|said| said.id.0).collect();
        let part = writing
            .insert(SAY, beside)
            .bind(&ids)
            .bind(said.iter().map(|said| said.saga.map(|saga| saga.0)).collect::<Vec<_>>())
            .bind(said.iter().map(|said| &*said.ty).collect::<Vec<_>>())
            .bind(said.iter().map(|said| &*said.body).collect::<Vec<_>>())
            .bind(said.iter().map(|said| said.causation).collect::<Vec<_>>())
            .bind(said.iter().map(|said| said.trace.traceparent.as_deref()).collect::<Vec<_>>())
            .bind(said.iter().map(|said| said.trace.tracestate.as_deref()).collect::<Vec<_>>())
            .bind(ids.iter().copied().map(day).collect::<Vec<_>>())
            .bind(OffsetDateTime::from(self.now));
        if beside == Beside::AnyClaims {
            part.counted(Counted::Said);
        }
        writing.insert(LIST, beside).bind(ids);
    }

    fn add_calls(&self, writing: &mut Writing, beside: Beside) {
        let asked = &self.asked;
        if !asked.is_empty() {
            writing
                .insert(ASK, beside)
                .bind(asked.iter().map(|asked| asked.id.0).collect::<Vec<_>>())
                .bind(&self.intents.sagas)
                .bind(&self.intents.calls)
                .bind(&self.intents.causations)
                .bind(asked.iter().map(|asked| asked.trace.traceparent.as_deref()).collect::<Vec<_>>())
                .bind(asked.iter().map(|asked| asked.trace.tracestate.as_deref()).collect::<Vec<_>>())
                .bind(OffsetDateTime::from(self.now))
                .bind(HANDED_FOR.as_secs_f64());
        }
        if !self.answered.is_empty() {
            writing.add(ANSWER).bind(&self.answered);
        }
    }

    fn add_deadlines(&self, writing: &mut Writing) {
        let (sagas, (names, ats)): (Vec<Uuid>, (Vec<&str>, Vec<OffsetDateTime>)) =
            self.deadlines.iter().filter_map(|((saga, name), at)| Some((*saga, (*name, OffsetDateTime::from((*at)?))))).unzip();
        if !sagas.is_empty() {
            writing.add(SET).bind(sagas).bind(names).bind(ats);
        }
        let (sagas, names): (Vec<Uuid>, Vec<&str>) =
            self.deadlines.iter().filter(|(_, at)| at.is_none()).map(|(key, _)| *key).unzip();
        if !sagas.is_empty() {
            writing.add(DROP).bind(sagas).bind(names);
        }
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
