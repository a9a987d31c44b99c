//! From a message to an input. Pure: what cannot be read has a class, and a code that never changes.

use async_nats::HeaderMap;
use bytes::Bytes;
use events::{DecodeError, Envelope, Event, MalformedEnvelope};
use saga::Inputs;
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{Done, End, Reason};

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
    #[error("the data of `{ty}` does not fit its type: {source}")]
    Data { ty: &'static str, source: serde_json::Error },
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    #[error("`{0}` is known and not reacted to")]
    NotHeard(&'static str),
}

impl Unread {
    /// How such a message ends. The codes never change.
    pub(super) fn end(&self) -> End {
        let why = |code| Reason { code, text: self.to_string() };
        match self {
            Self::Envelope(_) => End::Dead(why("malformed_envelope")),
            Self::Data { .. } => End::Dead(why("malformed_data")),
            // A newer replica can read it, and so can this one after its update.
            Self::UnknownType(_) => End::NotYet(why("unknown_type")),
            Self::NotHeard(_) => End::Done(Done::Ignored),
        }
    }
}

impl Letter {
    pub(crate) fn of(message: &async_nats::Message) -> Self {
        let pairs = |headers: &HeaderMap| {
            let pairs = headers.iter().flat_map(|(name, values)| values.iter().map(|value| (name.to_string(), value.to_string())));
            pairs.collect()
        };
        Self {
            subject: message.subject.to_string(),
            headers: message.headers.as_ref().map(pairs).unwrap_or_default(),
            body: message.payload.clone(),
        }
    }

    /// From its columns `subject`, `headers`, `body`.
    pub(crate) fn stored(row: &PgRow) -> sqlx::Result<Self> {
        let headers = serde_json::from_slice(row.try_get("headers")?).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self { subject: row.try_get("subject")?, headers, body: row.try_get::<Vec<u8>, _>("body")?.into() })
    }

    /// Pairs, and as bytes: a header may hold what Postgres' JSON cannot.
    pub(crate) fn headers_as_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.headers).expect("pairs of texts always serialize")
    }

    /// The id of what has none of its own that can be read: its place and its bytes. A message that is delivered again is
    /// the same dead letter; another one in the same place, after the broker lost some, is not.
    pub(super) fn id_in(&self, stream: &str, sequence: u64) -> Uuid {
        let digest = Sha256::digest(&self.body);
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        events::named("dead_letter", &format!("{stream}/{sequence}/{hash}"))
    }

    /// Its type, as far as it has one.
    pub(crate) fn ty(&self) -> Option<String> {
        self.header("ce-type").map(storable)
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
