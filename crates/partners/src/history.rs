//! What was done to a record, in order: for the audit.

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, serde::rfc3339};

use crate::{desk::Circumstances, faults::Operation};

/// One executed call; a replay adds none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(with = "rfc3339")]
    at: OffsetDateTime,
    /// An operation's word, or `lapse`.
    operation: String,
    idempotency_key: Option<String>,
    /// `ok`, or the code of the refusal.
    outcome: String,
}

impl Entry {
    pub(crate) fn of(operation: Operation, outcome: &str, circumstances: &Circumstances) -> Self {
        let (operation, outcome) = (operation.word().into(), outcome.into());
        Self { at: circumstances.now, operation, idempotency_key: circumstances.key.clone(), outcome }
    }

    pub(crate) fn lapsed(at: OffsetDateTime) -> Self {
        Self { at, operation: "lapse".into(), idempotency_key: None, outcome: "ok".into() }
    }
}
