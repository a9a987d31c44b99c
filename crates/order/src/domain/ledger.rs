//! The owed ledger: who has nothing left to undo, and the words that say so.

use events::*;
use serde::{Deserialize, Serialize};

/// Since when each of the three has nothing left to undo; none: it may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Closed {
    /// Nothing is reserved, nothing sold.
    pub inventory: Option<Timestamp>,
    /// Nothing is held, nothing taken.
    pub payment: Option<Timestamp>,
    /// Nothing is booked, and nothing will be dispatched.
    pub shipping: Option<Timestamp>,
}

/// Whom a word closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closes {
    inventory: bool,
    payment: bool,
    shipping: bool,
}

impl Closed {
    /// With whom that word closes. What was closed stays closed, since the same moment.
    #[must_use]
    pub fn and(self, word: Closes, now: Timestamp) -> Self {
        let closed = |before: Option<Timestamp>, closes: bool| before.or(closes.then_some(now));
        Self {
            inventory: closed(self.inventory, word.inventory),
            payment: closed(self.payment, word.payment),
            shipping: closed(self.shipping, word.shipping),
        }
    }

    /// Nobody has anything left to undo.
    pub const fn all(&self) -> bool {
        self.inventory.is_some() && self.payment.is_some() && self.shipping.is_some()
    }
}

/// An event after which the order cannot succeed. It closes its speaker, and everybody causally after it, who therefore
/// never acted: the order need not know who did.
pub trait ClosingWord: OfOrder + Why {
    /// Whom.
    const CLOSES: Closes;
}

macro_rules! closes {
    ( $( $event:ident => [$($service:ident)*]; )+ ) => { $(
        impl ClosingWord for $event {
            #[allow(clippy::needless_update, reason = "one line closes all three")]
            const CLOSES: Closes = Closes { $( $service: true, )* ..NOBODY };
        }
    )+ };
}
const NOBODY: Closes = Closes { inventory: false, payment: false, shipping: false };
closes! {
    StockUnavailable     => [inventory payment shipping];
    StockReleased        => [inventory];
    PaymentDeclined      => [payment shipping];
    PaymentCaptureFailed => [];
    PaymentVoided        => [payment];
    PaymentRefunded      => [payment];
    ShipmentRefused      => [shipping];
    ShipmentCancelled    => [shipping];
}
