//! CloudEvents 1.0, NATS protocol binding, binary mode: what is about an event travels in headers, the event's data
//! alone in the body (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md>).

use uuid::Uuid;

use crate::{Event, EventId, EventInfo, SagaId, Timestamp, TraceContext};

/// Everything about an event but its data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// `ce-id`.
    pub id: EventId,
    /// The service that says it: `ce-source` without `/ensemble/`.
    pub source: String,
    /// `ce-type`: `payment.authorized.v1`.
    pub ty: String,
    /// `ce-subject` and `ce-correlationid`: the saga, for an event that belongs to one.
    pub saga: Option<SagaId>,
    /// `ce-time`: when the row was written.
    pub time: Timestamp,
    /// `ce-causationid`: the id of what led to this one.
    pub causation: Option<Uuid>,
    /// Stored with the outbox row when it is written.
    pub trace: TraceContext,
}

/// What is wrong with a message's headers. *Poison.*
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MalformedEnvelope {
    /// A header that CloudEvents requires is not there.
    #[error("the header `{0}` is missing")]
    Missing(&'static str),
    /// A header's value is not what it should be.
    #[error("the header `{0}` cannot be read")]
    Unreadable(&'static str),
}

const SOURCE_PREFIX: &str = "/ensemble/";

/// How the events of a service name it (`ce-source`): `/ensemble/payment`.
pub fn source(service: &str) -> String {
    format!("{SOURCE_PREFIX}{service}")
}

/// The NATS subject of the event with that name: `ensemble.payment.authorized`. No id in it: a million distinct
/// subjects cost the server 200 MB at rest.
pub fn subject(name: &str) -> String {
    format!("ensemble.{name}")
}

/// The first words of what a service says, each once: `product` and `stock` are inventory's.
pub fn nouns(owner: &str) -> Vec<&'static str> {
    let events = Event::ALL.iter().filter(|event| event.owner == owner);
    let mut nouns: Vec<&str> = events.filter_map(|event| event.name.split('.').next()).collect();
    nouns.sort_unstable();
    nouns.dedup();
    nouns
}

/// The stream that a service alone publishes to: `PAYMENT`.
pub fn stream(owner: &str) -> String {
    owner.to_uppercase()
}

/// A reader's durable consumer of that event: `order-payment_captured`. One for each event, so that permissions can be exact.
pub fn durable(reader: &str, event: &EventInfo) -> String {
    format!("{reader}-{}", event.word())
}

/// What the subjects begin with by which a service is answered; nobody else may listen there.
pub fn inbox(service: &str) -> String {
    format!("_INBOX.{service}")
}

impl Envelope {
    /// As headers, `Nats-Msg-Id` aside (it belongs to a publish, not to the event).
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", self.id.to_string()),
            ("ce-source", source(&self.source)),
            ("ce-type", self.ty.clone()),
            ("ce-time", self.time.to_string()),
            ("ce-dataschema", format!("{SOURCE_PREFIX}schemas/{}", self.ty)),
            ("content-type", "application/json".to_owned()),
        ];
        let saga = self.saga.map(|saga| saga.to_string());
        headers.extend(saga.clone().map(|saga| ("ce-subject", saga)));
        headers.extend(saga.map(|saga| ("ce-correlationid", saga)));
        headers.extend(self.causation.map(|id| ("ce-causationid", id.to_string())));
        headers.extend(self.trace.traceparent.clone().map(|value| ("traceparent", value)));
        headers.extend(self.trace.tracestate.clone().map(|value| ("tracestate", value)));
        headers
    }

    /// From headers. What is unknown is ignored.
    ///
    /// # Errors
    /// When a header is missing that CloudEvents requires, or cannot be read.
    pub fn read<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, MalformedEnvelope> {
        let need = |name| header(name).ok_or(MalformedEnvelope::Missing(name));
        if need("ce-specversion")? != "1.0" {
            return Err(MalformedEnvelope::Unreadable("ce-specversion"));
        }
        Ok(Self {
            id: parse("ce-id", need("ce-id")?)?,
            source: need("ce-source")?.strip_prefix(SOURCE_PREFIX).ok_or(MalformedEnvelope::Unreadable("ce-source"))?.to_owned(),
            ty: need("ce-type")?.to_owned(),
            saga: header("ce-correlationid").map(|text| parse("ce-correlationid", text)).transpose()?,
            time: parse("ce-time", need("ce-time")?)?,
            causation: header("ce-causationid").map(|text| parse("ce-causationid", text)).transpose()?,
            trace: TraceContext::read(header("traceparent"), header("tracestate")),
        })
    }
}

fn parse<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, MalformedEnvelope> {
    text.parse().map_err(|_| MalformedEnvelope::Unreadable(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            id: EventId(Uuid::from_u128(1)),
            source: "payment".into(),
            ty: "payment.authorized.v1".into(),
            saga: Some(SagaId::from(Uuid::from_u128(2))),
            time: Timestamp::from_micros(1_795_543_441_000_250),
            causation: Some(Uuid::from_u128(3)),
            trace: TraceContext::read(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), Some("a=b")),
        }
    }

    fn read(headers: &[(&'static str, String)]) -> Result<Envelope, MalformedEnvelope> {
        Envelope::read(|name| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str()))
    }

    #[test]
    fn written_and_read_back() {
        assert_eq!(read(&envelope().headers()), Ok(envelope()));
    }

    #[test]
    fn says_which_header_is_wrong() {
        for name in ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time"] {
            let mut headers = envelope().headers();
            headers.retain(|(n, _)| *n != name);
            assert_eq!(read(&headers), Err(MalformedEnvelope::Missing(name)));
        }
        let mut headers = envelope().headers();
        headers[1].1 = "not an id".into();
        assert_eq!(read(&headers), Err(MalformedEnvelope::Unreadable("ce-id")));
    }
}
