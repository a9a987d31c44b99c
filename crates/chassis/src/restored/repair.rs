//! What is done about it, step by step, as an operator says: see `ensemble reconcile`.

use bytes::Bytes;
use events::{Envelope, Event, EventId};
use saga::Claim;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row as _, postgres::PgRow, types::time::OffsetDateTime};
use uuid::Uuid;

use super::{
    Standing,
    evidence::{Unsettled, unknown},
    watch,
};
use crate::{
    broker::Broker,
    commit::{BODY_FORGOTTEN, Error, Incoming, Said, Settled, envelope},
    inbox::{self, Heard, Inbox, Letter, read},
    partitions::{day, late},
    service::Service,
};

crate::statements! {
    /// By key: an event's id begins with its saga's birth.
    LETTERS = "select said.id, said.saga, type, body, causation, traceparent, tracestate, said_at
        from unnest($1::uuid[]) as wanted (saga) cross join lateral (
            select * from chassis.outbox as o
            where o.id between chassis.first_of(wanted.saga) and chassis.last_of(wanted.saga) and o.saga = wanted.saga
        ) as said order by said_at, said.id";

    /// As the stream has it. It is there, so nothing is pending.
    PUT_BACK = concat!("insert into chassis.outbox (late, id, saga, type, body, causation, traceparent, tracestate, said_at)
        select ", late!(), ", $1, $2, $3, $4, $5, $6, $7, $8 from (select $9::integer as day) as c
        on conflict (id, late) do nothing");

    SAID = "select body from chassis.outbox where id = $1";

    UNDER_WAY = "select (select count(*) from chassis.intents), (select count(*) from chassis.parked)";
}

/// An event with its headers, as streams carry it and operators pass it on.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct Carried {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// One that the own stream holds, and the outbox does not know.
#[derive(Serialize, Debug)]
pub(crate) struct Lost {
    pub(crate) sequence: u64,
    id: EventId,
    #[serde(rename = "type")]
    ty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    saga: Option<Uuid>,
    /// The claim of the input that had led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    causation: Option<Uuid>,
    said_at: String,
    /// The command that had led to it can be told from it.
    recalled: bool,
    #[serde(flatten)]
    carried: Carried,
}

/// What became of one that was handed in.
#[derive(Serialize, Debug)]
pub(crate) struct Told {
    id: EventId,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<String>,
}

/// How far the readers and the calls are.
#[derive(Serialize, Debug)]
pub(crate) struct UnderWay {
    /// Messages that the durables have not been given, or not acknowledged.
    unheard: u64,
    /// Calls that a partner has not answered.
    unanswered: i64,
    /// Deliveries that came too early.
    parked: i64,
}

/// The step that was asked for is not for now.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Refused {
    #[error("the database has lost nothing that is known of")]
    Open,
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    #[error("a durable cannot be made anew: {0}")]
    Durable(String),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Unsettled(error.into())
    }
}

impl From<crate::broker::Unseen> for Refused {
    fn from(error: crate::broker::Unseen) -> Self {
        Self::Unsettled(error.into())
    }
}

impl Carried {
    fn of(letter: &Letter) -> Self {
        Self { headers: letter.headers.clone(), body: String::from_utf8_lossy(&letter.body).into_owned() }
    }

    fn header(&self, name: &'static str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the own stream holds behind that place and the outbox does not know, oldest first: at most `most`, and where to go on.
pub(crate) async fn lost<S: Service>(inbox: &Inbox<S>, after: u64, most: usize) -> Result<(Vec<Lost>, Option<u64>), Refused> {
    let (broker, pool) = (&inbox.broker, &inbox.pool);
    let Some(stream) = broker.own() else { return Ok((Vec::new(), None)) };
    let mut lost = Vec::new();
    let mut headers = broker.headers_from(&stream, after + 1).await?;
    while !headers.at_end() {
        let page = headers.next(PAGE).await?;
        let ids: Vec<Uuid> = page.iter().filter_map(|held| Some(held.said?.0)).collect();
        let unknown = unknown(pool, &ids).await?;
        for held in page.iter().filter(|held| held.said.is_some_and(|id| unknown.contains(&id.0))) {
            if let Some(one) = one_lost::<S>(broker, &stream, held.sequence).await?
                // Once more, under another generation.
                && lost.iter().all(|other: &Lost| other.id != one.id)
            {
                lost.push(one);
            }
            if lost.len() == most {
                headers.close(broker).await;
                return Ok((lost, Some(held.sequence)));
            }
        }
    }
    headers.close(broker).await;
    Ok((lost, None))
}

/// A page of headers.
const PAGE: usize = 8192;

async fn one_lost<S: Service>(broker: &Broker, stream: &str, sequence: u64) -> Result<Option<Lost>, Refused> {
    let Some(letter) = broker.letter_at(stream, sequence).await? else { return Ok(None) };
    let Ok(Envelope { id, ty, saga, causation, time, .. }) = Envelope::read(|name| letter.header(name)) else { return Ok(None) };
    let event = Event::decode(&ty, &letter.body).ok();
    // What has no saga has an id that derives from its content; somebody else's message has neither.
    let is_ours = match (saga, &event) {
        (Some(_), _) => true,
        (None, Some(event)) => event.identity().is_some_and(|identity| events::named(&ty, &identity) == id.0),
        (None, None) => false,
    };
    let recalled = event.as_ref().is_some_and(|event| S::recalled(event).is_some());
    let (saga, said_at, carried) = (saga.map(|saga| saga.0), time.to_string(), Carried::of(&letter));
    Ok(is_ours.then_some(Lost { sequence, id, ty, saga, causation, said_at, recalled, carried }))
}

/// What was said about these sagas: what another service may have lost as an input.
pub(crate) async fn letters<S: Service>(pool: &PgPool, sagas: &[Uuid]) -> sqlx::Result<Vec<Carried>> {
    let carried = |row: PgRow| {
        let said = said(&row)?;
        let headers = envelope::<S>(&said).headers().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Carried { headers, body: String::from_utf8_lossy(&said.body).into_owned() })
    };
    sqlx::query(LETTERS).bind(sagas).try_map(carried).fetch_all(pool).await
}

fn said(row: &PgRow) -> sqlx::Result<Said> {
    Ok(Said {
        id: EventId(row.try_get("id")?),
        saga: row.try_get::<Option<Uuid>, _>("saga")?.map(Into::into),
        ty: row.try_get::<String, _>("type")?.into(),
        body: Bytes::from(row.try_get::<String, _>("body")?),
        causation: row.try_get("causation")?,
        trace: events::TraceContext { traceparent: row.try_get("traceparent")?, tracestate: row.try_get("tracestate")? },
        said_at: row.try_get::<OffsetDateTime, _>("said_at")?.into(),
        generation: 0,
    })
}

/// An operator begins to hand in what had been heard.
pub(crate) async fn begin<S: Service>(inbox: &Inbox<S>) -> Result<(), Refused> {
    match inbox.intake.standing() {
        Standing::Open | Standing::InDoubt(_) => return Err(Refused::Open),
        Standing::Retakes(_) | Standing::Follows(_) => return Ok(()),
        Standing::Stopped(_) => {}
    }
    watch::proceed(&inbox.pool, watch::RETAKES).await?;
    Ok(watch::look(&inbox.intake, &inbox.broker, &inbox.pool).await?)
}

/// Of these events those that nothing has said again.
pub(crate) async fn still_lost<S: Service>(inbox: &Inbox<S>, ids: &[Uuid]) -> Result<Vec<Uuid>, Refused> {
    Ok(unknown(&inbox.pool, ids).await?)
}

/// Takes these again, in this order: others' events, and own ones from which the command can be told that had led to them.
pub(crate) async fn retake<S: Service>(inbox: &Inbox<S>, carried: Vec<Carried>) -> Result<Vec<Told>, Refused> {
    if inbox.intake.is_open() {
        return Err(Refused::Open);
    }
    let (mut entered, mut told) = (Vec::new(), Vec::new());
    for one in &carried {
        let Ok(envelope) = Envelope::read(|name| one.header(name)) else { continue };
        let id = envelope.id;
        match incoming::<S>(envelope, one) {
            // One stands in the queue before the next, so they are decided in this order, and share their commits.
            Some(incoming) => entered.push((id, inbox.door.enter(incoming).await)),
            None => told.push(Told { id, outcome: "ignored", says: None }),
        }
    }
    for (id, entered) in entered {
        let settled = match entered {
            Ok(settled) => settled.await.unwrap_or(Err(Error::Stopping)),
            Err(error) => Err(error),
        };
        let (outcome, says) = became(settled);
        told.push(Told { id, outcome, says });
    }
    Ok(told)
}

/// Another's event as an input; or the command behind an own one, under the claim that it had. With what body that had come
/// nobody knows any more.
fn incoming<S: Service>(envelope: Envelope, carried: &Carried) -> Option<Incoming<S>> {
    if envelope.source != S::DECLARATION.service {
        let Heard { envelope, content, input } = read::<S::Input>(|name| carried.header(name), carried.body.as_bytes()).ok()?;
        let trace = envelope.trace.clone();
        return Some(Incoming::event(envelope, content, trace, input));
    }
    let event = Event::decode(&envelope.ty, carried.body.as_bytes()).ok()?;
    let mut key = [0; 32];
    key[..16].copy_from_slice(envelope.causation?.as_bytes());
    let claim = Claim::Request { key, fingerprint: BODY_FORGOTTEN };
    Some(Incoming::now(claim, "http", envelope.trace, S::recalled(&event)?))
}

fn became(settled: Result<Settled, Error>) -> (&'static str, Option<String>) {
    match settled {
        Ok(Settled::Taken { .. }) => ("taken", None),
        Ok(Settled::Repeated(_)) => ("repeated", None),
        // If it is an event its durable brings it again.
        Ok(Settled::NotYet(because)) => ("later", Some(format!("what it stands on has not come: {because:?}"))),
        Ok(Settled::Contradiction(_)) => ("contradiction", Some("it cannot be true beside what is known".to_owned())),
        Ok(Settled::OtherBody) => ("other_content", Some("another took effect under the same id".to_owned())),
        Ok(Settled::Refused(problem)) => ("refused", Some(problem.detail)),
        Err(error @ Error::Poison(_)) => ("poison", Some(error.to_string())),
        Err(error @ (Error::Full { .. } | Error::Away | Error::Stopping | Error::Restored(_))) => {
            ("later", Some(error.to_string()))
        }
    }
}

/// The readers begin where they stood in this database, and the partners are asked what it still has to ask.
pub(crate) async fn follow<S: Service>(inbox: &Inbox<S>) -> Result<(), Refused> {
    match inbox.intake.standing() {
        Standing::Open | Standing::InDoubt(_) => return Err(Refused::Open),
        Standing::Follows(_) => return Ok(()),
        Standing::Stopped(_) | Standing::Retakes(_) => {}
    }
    inbox::stand_back(inbox).await.map_err(Refused::Durable)?;
    watch::proceed(&inbox.pool, watch::FOLLOWS).await?;
    Ok(watch::look(&inbox.intake, &inbox.broker, &inbox.pool).await?)
}

/// How far that has come.
pub(crate) async fn under_way<S: Service>(inbox: &Inbox<S>) -> Result<UnderWay, Refused> {
    let mut unheard = 0;
    for event in inbox.broker.heard() {
        let (name, stream) = (inbox.broker.durable_name(event), events::stream(event.owner));
        if let Some(durable) = inbox.broker.durable(&name, &stream).await? {
            let info = durable.cached_info();
            unheard += info.num_pending + info.num_ack_pending as u64;
        }
    }
    let (unanswered, parked) = sqlx::query_as(UNDER_WAY).fetch_one(&inbox.pool).await?;
    Ok(UnderWay { unheard, unanswered, parked })
}

/// Writes into the outbox what the own stream has and nothing has said again; of the others, whether they are the same.
pub(crate) async fn put_back<S: Service>(inbox: &Inbox<S>, carried: Vec<Carried>) -> Result<Vec<Told>, Refused> {
    if inbox.intake.is_open() {
        return Err(Refused::Open);
    }
    let mut told = Vec::new();
    for one in &carried {
        let Ok(envelope) = Envelope::read(|name| one.header(name)) else { continue };
        if envelope.source != S::DECLARATION.service {
            continue;
        }
        let put_back = sqlx::query(PUT_BACK)
            .bind(envelope.id.0)
            .bind(envelope.saga.map(|saga| saga.0))
            .bind(&envelope.ty)
            .bind(&one.body)
            .bind(envelope.causation)
            .bind(envelope.trace.traceparent)
            .bind(envelope.trace.tracestate)
            .bind(OffsetDateTime::from(envelope.time))
            .bind(day(envelope.id.0));
        let outcome = if put_back.execute(&inbox.pool).await?.rows_affected() > 0 {
            "put_back"
        } else {
            let said: String = sqlx::query_scalar(SAID).bind(envelope.id.0).fetch_one(&inbox.pool).await?;
            if said == one.body { "said_again" } else { "said_otherwise" }
        };
        told.push(Told { id: envelope.id, outcome, says: None });
    }
    Ok(told)
}

/// Everything is taken again, unless something is still missing.
pub(crate) async fn open<S: Service>(inbox: &Inbox<S>) -> Result<(), Refused> {
    watch::open(&inbox.pool).await?;
    Ok(watch::look(&inbox.intake, &inbox.broker, &inbox.pool).await?)
}
