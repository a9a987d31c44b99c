//! The states of an order's points, and their verbs.

use events::*;
use saga::{
    Because::{AlreadyDone, Recorded, Tombstone, TooEarly},
    Context, Outcome, Table, not_yet, nothing,
};
use serde::{Deserialize, Serialize};

use crate::reactions::{Input, step};

saga::records! {
    /// What loyalty keeps.
    pub struct Cards {
        /// One for each order.
        pub cards: Table<OrderId, Card>,
    }
}

/// How the points of one order stand.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Card {
    /// Not heard of.
    #[default]
    Absent,
    /// Ordered, not confirmed.
    Noted { customer_id: CustomerId, points: i64 },
    /// Given.
    Earned { customer_id: CustomerId, points: i64 },
    /// Taken back; also the tombstone of what is confirmed after it was refunded.
    TakenBack { customer_id: CustomerId, points: i64 },
}

/// Every input is about one order, and every order has one card.
pub(crate) fn touches(input: &Input, cards: &mut Cards) {
    cards.cards.want(saga::Inputs::saga(input));
}

/// `order.placed`: a point for each whole unit of money.
pub(crate) fn note(cards: &mut Cards, e: &OrderPlaced, _: &Context) -> Outcome<step::Note> {
    let card = cards.cards.of(&e.order_id);
    match card {
        Card::Absent => {
            *card = Card::Noted { customer_id: e.customer_id.clone(), points: e.total.amount / 100 };
            nothing(Recorded)
        }
        Card::Noted { .. } | Card::Earned { .. } | Card::TakenBack { .. } => nothing(AlreadyDone),
    }
}

/// `order.confirmed`: the points are the customer's.
pub(crate) fn earn(cards: &mut Cards, e: &OrderConfirmed, _: &Context) -> Outcome<step::Earn> {
    let card = cards.cards.of(&e.order_id);
    match card.clone() {
        Card::Absent => not_yet(TooEarly),
        Card::Noted { customer_id, points } => {
            *card = Card::Earned { customer_id, points };
            nothing(Recorded)
        }
        Card::Earned { .. } => nothing(AlreadyDone),
        Card::TakenBack { .. } => nothing(Tombstone),
    }
}

/// `payment.refunded`: they are not, whether they had been or not.
pub(crate) fn take_back(cards: &mut Cards, e: &PaymentRefunded, _: &Context) -> Outcome<step::TakeBack> {
    let card = cards.cards.of(&e.order_id);
    match card.clone() {
        Card::Absent => not_yet(TooEarly),
        Card::Noted { customer_id, points } | Card::Earned { customer_id, points } => {
            *card = Card::TakenBack { customer_id, points };
            nothing(Recorded)
        }
        Card::TakenBack { .. } => nothing(AlreadyDone),
    }
}
