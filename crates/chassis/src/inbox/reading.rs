//! From a message to an input. Pure: what cannot be read has a class, and a code that never changes.

use async_nats::HeaderMap;
use bytes::Bytes;
use events::{DecodeError, Envelope, Event, MalformedEnvelope, SagaId};
use saga::Inputs;
use sha2::{Digest as _, Sha256};
use sqlx::{
    Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

use super::{Done, End, Reason};
use crate::commit::Foretold;

/// No text of a message that is kept is longer, in bytes: neither a reason nor a name.
const TEXT_MAX: usize = 1024;

/// A message as it came: what is kept of one that waits, or that nobody could take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// A message that this participant reacts to.
#[derive(Debug)]
pub(crate) struct Heard<I> {
    pub(crate) envelope: Envelope,
    /// SHA-256 of its data.
    pub(crate) content: [u8; 32],
    pub(crate) input: I,
}

/// Why a message is no input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    #[error(transparent)]
    Envelope(MalformedEnvelope),
    #[error("the data of `{ty}` does not fit its type")]
    Data { ty: &'static str, source: serde_json::Error },
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    #[error("`{0}` is known and not reacted to")]
    NotHeard(&'static str),
}

impl Unread {
    /// How such a message ends. The codes never change.
    pub(super) fn end(&self) -> End {
        let why = |code| Reason::of(code, self);
        match self {
            Self::Envelope(_) => End::Dead(why("malformed_envelope")),
            Self::Data { .. } => End::Dead(why("malformed_data")),
            // A newer replica can read it, and so can this one after its update.
            Self::UnknownType(_) => End::NotYet(why("unknown_type")),
            Self::NotHeard(_) => End::Done(Done::Ignored),
        }
    }
}

impl Unread {
    /// What such a message would come to, if it were replayed now.
    pub(super) fn foretold(&self) -> Foretold {
        match self {
            Self::NotHeard(ty) => Foretold::plain("ignore", &format!("would do nothing: {ty} is not for this service")),
            Self::UnknownType(ty) => Foretold::plain("park", &format!("would wait: this replica does not know {ty}")),
            Self::Envelope(_) | Self::Data { .. } => Foretold::bury(self.to_string()),
        }
    }
}

impl Letter {
    pub(crate) fn of(message: &async_nats::Message) -> Self {
        Self::from_parts(message.subject.to_string(), message.headers.as_ref(), message.payload.clone())
    }

    pub(crate) fn from_parts(subject: String, headers: Option<&HeaderMap>, body: Bytes) -> Self {
        let pairs = |headers: &HeaderMap| {
            let pairs =
                headers.iter().flat_map(|(name, values)| values.iter().map(|value| (name.to_string(), value.to_string())));
            pairs.collect()
        };
        Self { subject, headers: headers.map(pairs).unwrap_or_default(), body }
    }

    /// From its columns `subject`, `headers`, `body`.
    pub(crate) fn stored(row: &PgRow) -> sqlx::Result<Self> {
        let headers = serde_json::from_slice(row.try_get("headers")?).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self { subject: row.try_get("subject")?, headers, body: row.try_get::<Vec<u8>, _>("body")?.into() })
    }

    /// Binds what is kept of it and why, in this order: id, saga, type, code, reason, chain, subject, headers, body. The
    /// headers as bytes: one may hold what Postgres' JSON cannot.
    pub(super) fn bound_to(
        &self,
        statement: &'static str,
        id: Uuid,
        saga: Option<SagaId>,
        why: &Reason,
    ) -> Query<'static, Postgres, PgArguments> {
        let headers = serde_json::to_vec(&self.headers).expect("pairs of texts always serialize");
        why.bound_to(sqlx::query(statement).bind(id).bind(saga.map(|saga| saga.0)).bind(self.header("ce-type").map(storable)))
            .bind(storable(&self.subject))
            .bind(headers)
            .bind(self.body.to_vec())
    }

    /// The id of what has none of its own that can be read: its place and its bytes. A message that is delivered again is
    /// the same dead letter; another one in the same place, after the broker lost some, is not.
    pub(super) fn id_in(&self, stream: &str, sequence: u64) -> Uuid {
        let digest = Sha256::digest(&self.body);
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        events::named("dead_letter", &format!("{stream}/{sequence}/{hash}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A message as an input, from its headers and its body.
pub(crate) fn read<'a, I: Inputs>(header: impl Fn(&'static str) -> Option<&'a str>, body: &[u8]) -> Result<Heard<I>, Unread> {
    let envelope = Envelope::read(header).map_err(Unread::Envelope)?;
    let event = Event::decode(&envelope.ty, body).map_err(|error| match error {
        DecodeError::UnknownType(ty) => Unread::UnknownType(ty),
        DecodeError::Data { ty, source } => Unread::Data { ty, source },
    })?;
    let ty = event.info().ty;
    let input = I::hear(event).ok_or(Unread::NotHeard(ty))?;
    Ok(Heard { envelope, content: Sha256::digest(body).into(), input })
}

/// The text as Postgres can keep it: without NUL, and not for ever.
pub(crate) fn storable(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_MAX);
    text[..end].replace('\0', "\u{FFFD}")
}

#[cfg(test)]
mod tests {
    use events::{EventId, OrderId, Timestamp};
    use saga::{Door, Row};

    use super::*;

    /// Hears whatever is about an order, unless its id is nil.
    #[derive(Clone, PartialEq, Eq, Hash, Debug)]
    struct Toy(OrderId);

    impl Inputs for Toy {
        fn row(&self) -> &'static Row {
            &Row { door: Door::Event, input: "any", verb: "hear", step: "Hear" }
        }
        fn hear(event: Event) -> Option<Self> {
            event.order().filter(|order| !order.0.is_nil()).map(Self)
        }
        fn due(_: &str, _: SagaId) -> Option<Self> {
            None
        }
        fn saga(&self) -> Option<SagaId> {
            Some(self.0)
        }
    }

    fn letter(ty: &str, body: &'static [u8]) -> Letter {
        let envelope = Envelope {
            id: EventId(Uuid::from_u128(1)),
            source: "elsewhere".into(),
            ty: ty.into(),
            saga: None,
            time: Timestamp::from_micros(0),
            causation: None,
            trace: events::TraceContext::default(),
        };
        let headers = envelope.headers().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Letter { subject: "ensemble.some.thing".into(), headers, body: Bytes::from_static(body) }
    }

    /// A type whose data is its order and nothing else.
    fn plain() -> &'static str {
        let body = br#"{"order_id": "00000000-0000-0000-0000-000000000000"}"#;
        Event::ALL.iter().find(|event| Event::decode(event.ty, body).is_ok()).unwrap().ty
    }

    fn end(letter: &Letter) -> Result<Toy, (&'static str, End)> {
        match read::<Toy>(|name| letter.header(name), &letter.body) {
            Ok(heard) => Ok(heard.input),
            Err(unread) => match unread.end() {
                End::Dead(why) => Err((why.code, End::Dead(why))),
                End::NotYet(why) => Err((why.code, End::NotYet(why))),
                End::Done(done) => Err(("done", End::Done(done))),
            },
        }
    }

    #[test]
    fn what_can_be_read_is_an_input() {
        let letter = letter(plain(), br#"{"order_id": "01900000-0001-766b-9041-1ba9fb38d83e", "later": "ignored"}"#);
        assert_eq!(end(&letter).unwrap().0.birth_ms(), 0x0190_0000_0001);
    }

    #[test]
    fn what_cannot_be_read_ends_by_its_class_under_a_code_that_stays() {
        let malformed: [&'static [u8]; 5] = [b"", b"{", b"\xff\x00", br#"{"order_id": 7}"#, &[b'['; 10_000]];
        for body in malformed {
            assert!(matches!(end(&letter(plain(), body)), Err(("malformed_data", End::Dead(_)))), "{body:?}");
        }
        assert!(matches!(end(&letter("some.thing.v9", b"{}")), Err(("unknown_type", End::NotYet(_)))));

        let mut headless = letter(plain(), b"{}");
        headless.headers.clear();
        assert!(matches!(end(&headless), Err(("malformed_envelope", End::Dead(_)))));
    }

    #[test]
    fn what_is_not_for_us_is_done() {
        let body = br#"{"order_id": "00000000-0000-0000-0000-000000000000"}"#;
        assert!(matches!(end(&letter(plain(), body)), Err(("done", End::Done(Done::Ignored)))));
    }

    #[test]
    fn what_has_no_id_is_known_by_its_place_and_its_bytes() {
        let [one, other] = [letter("a", b"one"), letter("a", b"other")];
        assert_eq!(one.id_in("S", 7), one.id_in("S", 7));
        assert_ne!(one.id_in("S", 7), one.id_in("S", 8));
        assert_ne!(one.id_in("S", 7), one.id_in("T", 7));
        assert_ne!(one.id_in("S", 7), other.id_in("S", 7), "the broker forgot, and filled the place again");
    }

    #[test]
    fn what_is_kept_fits_postgres() {
        assert_eq!(storable("a\0b"), "a\u{FFFD}b");
        assert!(storable(&"\u{e9}".repeat(10_000)).len() <= TEXT_MAX);
    }
}
