//! How an order stands, as data.

use std::time::Duration;

use events::*;
use serde::{Deserialize, Serialize};

use super::ledger::Closed;

/// One order: what was ordered, and how it stands. Where it goes and what pays for it are told to whoever needs them
/// and kept nowhere here.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Purchase {
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What, how many, at what price.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Money,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When its standing last changed.
    pub changed_at: Timestamp,
    /// How it stands.
    pub standing: Standing,
}

/// How an order stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Under way, with nothing against it.
    Open,
    /// The money is taken: a rest. The customer may cancel until the goods are gone.
    Confirmed {
        /// Whether inventory has followed.
        sale: Sale,
    },
    /// Shipping, the arbiter, is asked to stop and has not answered.
    Cancelling {
        /// Since when.
        since: Timestamp,
        /// The customer, or the deadline.
        cause: Reason,
        /// Set when `order.confirmed` was said before.
        confirmed: Option<Sale>,
        /// Of shipping.
        asking: Asking,
    },
    /// It cannot succeed: what was done is being undone.
    Closing {
        /// Since when.
        since: Timestamp,
        /// The first that was recorded.
        cause: Reason,
        /// Who has nothing left to undo.
        closed: Closed,
        /// Of shipping.
        asking: Asking,
    },
    /// An end: the goods are gone.
    Dispatched {
        /// Since when.
        since: Timestamp,
        /// Whether inventory has followed.
        sale: Sale,
    },
    /// An end: it could not be carried out, and nothing is owed.
    Rejected {
        /// The first cause that was recorded.
        reason: Reason,
    },
    /// An end: the customer did not want it, and nothing is owed.
    Cancelled,
}

/// Whether inventory has turned the reservation of a confirmed order into a sale.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(tag = "sale", rename_all = "snake_case")]
pub enum Sale {
    /// It owes `stock.committed`.
    Owed {
        /// Since `order.confirmed` was first said.
        since: Timestamp,
        /// Of inventory, by saying `order.confirmed` again.
        asking: Asking,
    },
    /// It has.
    Committed,
}

/// How often something was asked, and how long the answer is waited for before it is asked again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Asking {
    /// The number of the last asking; it grows for as long as the order lives.
    pub number: u32,
    /// In seconds.
    pub wait_s: u32,
}

impl Asking {
    const FIRST_WAIT_S: u32 = 10;
    const LONGEST_WAIT_S: u32 = 5 * 60;

    /// The asking of that number, followed by the shortest wait.
    pub(super) const fn begin(number: u32) -> Self {
        Self { number, wait_s: Self::FIRST_WAIT_S }
    }

    /// The next asking: it waits twice as long.
    pub(crate) fn again(self) -> Self {
        Self { number: self.number.saturating_add(1), wait_s: (self.wait_s * 2).min(Self::LONGEST_WAIT_S) }
    }

    /// When the next one is due.
    pub(super) fn due(self, now: Timestamp) -> Timestamp {
        now.after(Duration::from_secs(self.wait_s.into()))
    }
}

impl Standing {
    /// An end that nothing is owed to: no event about the order will come but repeats.
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Open | Self::Confirmed { .. } | Self::Cancelling { .. } | Self::Closing { .. } => false,
            Self::Dispatched { sale: Sale::Owed { .. }, .. } => false,
            Self::Dispatched { sale: Sale::Committed, .. } | Self::Rejected { .. } | Self::Cancelled => true,
        }
    }

    /// Somebody owes an answer: the deadline asks for it again.
    pub const fn waits(&self) -> bool {
        match self {
            Self::Open | Self::Cancelling { .. } | Self::Closing { .. } => true,
            Self::Confirmed { sale } | Self::Dispatched { sale, .. } => matches!(sale, Sale::Owed { .. }),
            Self::Rejected { .. } | Self::Cancelled => false,
        }
    }
}

impl Sale {
    pub(super) const fn owed(now: Timestamp) -> Self {
        Self::Owed { since: now, asking: Asking::begin(1) }
    }
}

impl Purchase {
    pub(super) fn stands(&mut self, standing: Standing, now: Timestamp) {
        self.standing = standing;
        self.changed_at = now;
    }
}
