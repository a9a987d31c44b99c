//! The states of a payment, and its verbs: each answers in every state.
#![deny(clippy::wildcard_enum_match_arm)]

use events::*;
use saga::{
    Answered,
    Because::{AlreadyDone, Ended, Tombstone, TooEarly},
    Context, Outcome, Request, Table, ask, confirmed, confirms_later, contradiction, not_yet, nothing, say,
};
use serde::{Deserialize, Serialize};

use crate::reactions::{Input, step};

saga::records! {
    /// What payment keeps.
    pub struct Holds {
        /// One for each order.
        pub holds: Table<OrderId, Hold>,
    }
}

/// How the money of one order stands. At most one call is open at a time: the one its state names.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the call's or the event's own words")]
pub enum Hold {
    /// Nothing was asked.
    #[default]
    Absent,
    /// The gateway is asked to hold the money.
    Authorizing { amount: Money, ship_to: Address },
    /// As `Authorizing`, but no longer wanted: what is granted is voided at once.
    AuthorizingDoomed { amount: Money, because: Reason },
    /// The money is held.
    Authorized { charge: Charge, amount: Money },
    /// The card was declined.
    Declined,
    /// The gateway is asked to take the money.
    Capturing { charge: Charge, amount: Money, attempt: u32 },
    /// As `Capturing`, but no longer wanted: what is taken is paid back.
    CapturingDoomed { charge: Charge, amount: Money, attempt: u32, because: Reason },
    /// The money is taken.
    Captured { charge: Charge, amount: Money },
    /// The gateway is asked to let go of the money.
    Voiding { charge: Charge, attempt: u32, because: Reason },
    /// Nothing is held; also the tombstone of a payment that was cancelled before it began.
    Voided { because: Reason },
    /// The gateway is asked to pay the money back.
    Refunding { charge: Charge, amount: Money, attempt: u32, because: Reason },
    /// The money is paid back.
    Refunded { amount: Money, because: Reason },
}

/// Asks the gateway to hold money.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct AuthorizeCard {
    /// Whose.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    /// On what.
    pub payment_method: PaymentMethod,
}

/// Asks the gateway to take what it holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CaptureCharge {
    /// Whose.
    pub order: OrderId,
    /// Which.
    pub charge: Charge,
    /// How much.
    pub amount: Money,
    /// Under which key.
    pub attempt: u32,
}

/// Asks the gateway to let go of what it holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct VoidCharge {
    /// Whose.
    pub order: OrderId,
    /// Which.
    pub charge: Charge,
    /// Under which key.
    pub attempt: u32,
}

/// Asks the gateway to pay back what it took.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RefundCharge {
    /// Whose.
    pub order: OrderId,
    /// Which.
    pub charge: Charge,
    /// How much.
    pub amount: Money,
    /// Under which key.
    pub attempt: u32,
}

/// The gateway's answer to [`AuthorizeCard`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Authorization {
    /// The money is held until then.
    Granted {
        /// The gateway's name for it.
        charge: Charge,
        /// When the hold lapses.
        capture_before: Timestamp,
    },
    /// It is not.
    Declined {
        /// The gateway's word for it.
        code: Code,
    },
    /// The key holds a stored error, and nothing was executed under it. No second key is drawn: it counts as a decline.
    Burned,
}

/// The gateway's answer to any other call.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Settlement {
    /// Done; for a void also: nothing was held any more.
    Done,
    /// It will not.
    Declined {
        /// The gateway's word for it.
        code: Code,
    },
    /// The key holds a stored error, and nothing was executed under it: the next attempt needs another key.
    Burned,
}

impl Request for AuthorizeCard {
    type Answer = Authorization;
    fn order(&self) -> OrderId {
        self.order
    }
}

macro_rules! settled {
    ($($call:ident),+) => { $( impl Request for $call {
        type Answer = Settlement;
        fn order(&self) -> OrderId {
            self.order
        }
        fn attempt(&self) -> u32 {
            self.attempt
        }
    } )+ };
}
settled!(CaptureCharge, VoidCharge, RefundCharge);

/// Every input is about one order, and every order has one hold.
pub(crate) fn touches(input: &Input, holds: &mut Holds) {
    holds.holds.want(saga::Inputs::saga(input));
}

/// `stock.reserved`: ask the gateway to hold the money.
pub(crate) fn authorize(holds: &mut Holds, e: &StockReserved, _: &Context) -> Outcome<step::Authorize> {
    let hold = holds.holds.of(&e.order_id);
    match hold {
        Hold::Absent => {
            *hold = Hold::Authorizing { amount: e.total, ship_to: e.ship_to.clone() };
            ask(AuthorizeCard { order: e.order_id, amount: e.total, payment_method: e.payment_method.clone() })
        }
        Hold::Declined => nothing(Ended),
        Hold::Voided { .. } => nothing(Tombstone),
        Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } | Hold::Authorized { .. } => nothing(AlreadyDone),
        Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Captured { .. } => nothing(AlreadyDone),
        Hold::Voiding { .. } | Hold::Refunding { .. } | Hold::Refunded { .. } => nothing(AlreadyDone),
    }
}

/// The gateway answered whether it holds the money.
pub(crate) fn authorized(holds: &mut Holds, a: &Answered<AuthorizeCard>, _: &Context) -> Outcome<step::Authorize> {
    let order_id = a.call.order;
    let hold = holds.holds.of(&order_id);
    match hold.clone() {
        Hold::Authorizing { amount, ship_to } => match a.answer.clone() {
            Authorization::Granted { charge, capture_before } => {
                *hold = Hold::Authorized { charge: charge.clone(), amount };
                say(PaymentAuthorized { order_id, ship_to, charge, capture_before })
            }
            Authorization::Declined { code } => declined(hold, order_id, code),
            Authorization::Burned => declined(hold, order_id, "processing_error".into()),
        },
        Hold::AuthorizingDoomed { because, .. } => match a.answer.clone() {
            Authorization::Granted { charge, .. } => {
                *hold = Hold::Voiding { charge: charge.clone(), attempt: 1, because };
                ask(VoidCharge { order: order_id, charge, attempt: 1 })
            }
            Authorization::Declined { code } => declined(hold, order_id, code),
            Authorization::Burned => declined(hold, order_id, "processing_error".into()),
        },
        Hold::Absent => contradiction(),
        Hold::Authorized { .. } | Hold::Declined => nothing(AlreadyDone),
        Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Captured { .. } => nothing(AlreadyDone),
        Hold::Voiding { .. } | Hold::Voided { .. } | Hold::Refunding { .. } | Hold::Refunded { .. } => nothing(AlreadyDone),
    }
}

fn declined(hold: &mut Hold, order_id: OrderId, code: Code) -> Outcome<step::Authorize> {
    *hold = Hold::Declined;
    say(PaymentDeclined { order_id, code })
}

/// `shipment.scheduled`: ask the gateway to take the money.
pub(crate) fn capture(holds: &mut Holds, e: &ShipmentScheduled, _: &Context) -> Outcome<step::Capture> {
    let hold = holds.holds.of(&e.order_id);
    match hold.clone() {
        Hold::Authorized { charge, amount } => {
            *hold = Hold::Capturing { charge: charge.clone(), amount, attempt: 1 };
            ask(CaptureCharge { order: e.order_id, charge, amount, attempt: 1 })
        }
        Hold::Absent | Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } => not_yet(TooEarly),
        Hold::Declined => contradiction(),
        Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Captured { .. } => nothing(AlreadyDone),
        Hold::Voiding { .. } | Hold::Voided { .. } => nothing(Tombstone),
        Hold::Refunding { .. } | Hold::Refunded { .. } => nothing(AlreadyDone),
    }
}

/// The gateway answered whether it took the money. When it did not, the hold is let go in the same breath.
pub(crate) fn captured(holds: &mut Holds, a: &Answered<CaptureCharge>, _: &Context) -> Outcome<step::Capture> {
    let order = a.call.order;
    let hold = holds.holds.of(&order);
    match hold.clone() {
        Hold::Capturing { charge, amount, attempt } if attempt == a.call.attempt => match a.answer.clone() {
            Settlement::Done => {
                *hold = Hold::Captured { charge: charge.clone(), amount };
                say(PaymentCaptured { order_id: order, charge, amount })
            }
            Settlement::Declined { code } => {
                *hold = Hold::Voiding { charge: charge.clone(), attempt: 1, because: Reason::CaptureFailed };
                say(PaymentCaptureFailed { order_id: order, code }).and_ask(VoidCharge { order, charge, attempt: 1 })
            }
            Settlement::Burned => {
                *hold = Hold::Capturing { charge: charge.clone(), amount, attempt: attempt + 1 };
                ask(CaptureCharge { order, charge, amount, attempt: attempt + 1 })
            }
        },
        Hold::CapturingDoomed { charge, amount, attempt, because } if attempt == a.call.attempt => match a.answer {
            Settlement::Done => {
                *hold = Hold::Refunding { charge: charge.clone(), amount, attempt: 1, because };
                ask(RefundCharge { order, charge, amount, attempt: 1 })
            }
            Settlement::Declined { .. } | Settlement::Burned => {
                *hold = Hold::Voiding { charge: charge.clone(), attempt: 1, because };
                ask(VoidCharge { order, charge, attempt: 1 })
            }
        },
        Hold::Absent | Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } => contradiction(),
        Hold::Authorized { .. } | Hold::Declined => nothing(AlreadyDone),
        Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Captured { .. } => nothing(AlreadyDone),
        Hold::Voiding { .. } | Hold::Voided { .. } | Hold::Refunding { .. } | Hold::Refunded { .. } => nothing(AlreadyDone),
    }
}

/// `shipment.refused`: nothing was taken yet, so what is held is let go.
pub(crate) fn let_go(holds: &mut Holds, e: &ShipmentRefused, _: &Context) -> Outcome<step::GiveBack> {
    let hold = holds.holds.of(&e.order_id);
    match hold.clone() {
        Hold::Authorized { charge, .. } => void(hold, e.order_id, charge, e.why()),
        Hold::Absent | Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } => not_yet(TooEarly),
        Hold::Voiding { .. } => confirms_later(),
        Hold::Voided { .. } => confirmed(),
        Hold::Declined | Hold::Capturing { .. } | Hold::CapturingDoomed { .. } => contradiction(),
        Hold::Captured { .. } | Hold::Refunding { .. } | Hold::Refunded { .. } => contradiction(),
    }
}

/// `shipment.cancelled`: undo whatever there is. A call in flight is waited for, then undone; what never began is buried.
pub(crate) fn give_back(holds: &mut Holds, e: &ShipmentCancelled, _: &Context) -> Outcome<step::GiveBack> {
    let (order_id, because) = (e.order_id, e.because);
    let hold = holds.holds.of(&order_id);
    match hold.clone() {
        Hold::Absent => {
            *hold = Hold::Voided { because };
            say(PaymentVoided { order_id, because })
        }
        Hold::Authorizing { amount, .. } => {
            *hold = Hold::AuthorizingDoomed { amount, because };
            confirms_later()
        }
        Hold::Authorized { charge, .. } => void(hold, order_id, charge, because),
        Hold::Declined => say(PaymentVoided { order_id, because }),
        Hold::Capturing { charge, amount, attempt } => {
            *hold = Hold::CapturingDoomed { charge, amount, attempt, because };
            confirms_later()
        }
        Hold::Captured { charge, amount } => {
            *hold = Hold::Refunding { charge: charge.clone(), amount, attempt: 1, because };
            ask(RefundCharge { order: order_id, charge, amount, attempt: 1 })
        }
        Hold::AuthorizingDoomed { .. } | Hold::CapturingDoomed { .. } | Hold::Voiding { .. } | Hold::Refunding { .. } => {
            confirms_later()
        }
        Hold::Voided { because } => say(PaymentVoided { order_id, because }),
        Hold::Refunded { amount, because } => say(PaymentRefunded { order_id, because, amount }),
    }
}

fn void(hold: &mut Hold, order: OrderId, charge: Charge, because: Reason) -> Outcome<step::GiveBack> {
    *hold = Hold::Voiding { charge: charge.clone(), attempt: 1, because };
    ask(VoidCharge { order, charge, attempt: 1 })
}

/// The gateway answered a void. It is never given up: a refusal draws the next key.
pub(crate) fn voided(holds: &mut Holds, a: &Answered<VoidCharge>, _: &Context) -> Outcome<step::GiveBack> {
    let order = a.call.order;
    let hold = holds.holds.of(&order);
    match hold.clone() {
        Hold::Voiding { charge, attempt, because } if attempt == a.call.attempt => match a.answer {
            Settlement::Done => {
                *hold = Hold::Voided { because };
                say(PaymentVoided { order_id: order, because })
            }
            Settlement::Declined { .. } | Settlement::Burned => {
                *hold = Hold::Voiding { charge: charge.clone(), attempt: attempt + 1, because };
                ask(VoidCharge { order, charge, attempt: attempt + 1 }).and_alarm("the gateway will not let go of a hold")
            }
        },
        Hold::Voiding { .. } => confirms_later(),
        Hold::Voided { .. } => confirmed(),
        Hold::Absent | Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } | Hold::Authorized { .. } => contradiction(),
        Hold::Declined | Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Captured { .. } => contradiction(),
        Hold::Refunding { .. } | Hold::Refunded { .. } => contradiction(),
    }
}

/// The gateway answered a refund. It is never given up: a refusal draws the next key.
pub(crate) fn refunded(holds: &mut Holds, a: &Answered<RefundCharge>, _: &Context) -> Outcome<step::GiveBack> {
    let order = a.call.order;
    let hold = holds.holds.of(&order);
    match hold.clone() {
        Hold::Refunding { charge, amount, attempt, because } if attempt == a.call.attempt => match a.answer {
            Settlement::Done => {
                *hold = Hold::Refunded { amount, because };
                say(PaymentRefunded { order_id: order, because, amount })
            }
            Settlement::Declined { .. } | Settlement::Burned => {
                *hold = Hold::Refunding { charge: charge.clone(), amount, attempt: attempt + 1, because };
                ask(RefundCharge { order, charge, amount, attempt: attempt + 1 }).and_alarm("the gateway will not pay back")
            }
        },
        Hold::Refunding { .. } => confirms_later(),
        Hold::Refunded { .. } => confirmed(),
        Hold::Absent | Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } | Hold::Authorized { .. } => contradiction(),
        Hold::Declined | Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Captured { .. } => contradiction(),
        Hold::Voiding { .. } | Hold::Voided { .. } => contradiction(),
    }
}
