//! What loyalty does, and when.
use events::*;

use super::domain::*;

saga::reactions! {
    "loyalty": Loyalty keeps Cards;
    /// Writes down who ordered, and what it is worth.
    step Note: alone {
        on       OrderPlaced     => note;
    }
    /// Gives the points.
    step Earn: alone {
        on       OrderConfirmed  => earn;
    }
    /// Takes the points back.
    step TakeBack: alone {
        on       PaymentRefunded => take_back;
    }
}
