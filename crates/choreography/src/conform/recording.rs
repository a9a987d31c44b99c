//! What was recorded of a run, as data.

use std::collections::BTreeMap;

use events::{OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A run of the real system.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Recording {
    /// What each service has in its log about each order; a service that never heard of an order has none.
    pub orders: BTreeMap<OrderId, BTreeMap<String, Log>>,
}

/// What one service has written down about one order.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Log {
    /// What took effect there.
    pub taken: Vec<Taken>,
    /// Its outbox.
    pub said: Vec<Said>,
    /// Its row, in the end; none: it keeps none.
    pub state: Option<Value>,
}

/// An input that took effect: its claim.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// The claim's: an event's own, a call's, derived for a deadline, of the key for a command.
    pub id: Uuid,
    /// `command`, `event`, `answer`, `deadline`.
    pub door: String,
    /// The event's type, or the name of the command, call or deadline.
    #[serde(rename = "type")]
    pub ty: String,
    /// Why nothing left the house, if nothing did.
    pub because: Option<String>,
    /// The time that its batch was decided with.
    pub taken_at: Timestamp,
}

/// An event in an outbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Said {
    /// Its id.
    pub id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its data.
    pub body: Value,
    /// The claim that led to it.
    pub causation: Option<Uuid>,
}
