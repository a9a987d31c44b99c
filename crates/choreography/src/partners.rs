//! The card gateway and the carrier, as far as their own ledgers go: what they can do with a call, and what they then hold,
//! take or book. Here the model finds who asked for what must never be asked.

use events::{Charge, Code, OrderId, Timestamp};
use payment::{Authorization, Settlement};
use saga::{Answered, Calls as _, Request};
use shipping::{Booked, TakenBack};

/// A call of either service that has a partner.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PartnerCall {
    /// At the card gateway.
    Gateway(payment::Call),
    /// At the carrier.
    Carrier(shipping::Call),
}

/// What a partner did under a key, for good: repeats get the same word. A lost answer changes nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Word {
    /// It did what was asked.
    Done,
    /// It did not, and says so.
    Declined,
    /// The key holds a stored error, and a look-up past the lag bound finds that nothing was executed.
    Burned,
}

impl Word {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Done, Self::Declined, Self::Burned];

    /// As a sentence goes on: `the gateway … AuthorizeCard`.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Done => "executes",
            Self::Declined => "declines",
            Self::Burned => "stores an error for",
        }
    }
}

/// One order's money, as the gateway has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Money {
    /// The gateway never heard of it.
    #[default]
    Unknown,
    /// Held, not taken.
    Held,
    /// It was held for too long, and is free again.
    Lapsed,
    /// Taken.
    Taken,
    /// Let go.
    Voided,
    /// Taken and paid back.
    Refunded,
}

/// One order's booking, as the carrier has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Booking {
    /// The carrier never heard of it.
    #[default]
    Unknown,
    /// The carrier will come, or has come.
    Stands,
    /// The carrier will not come.
    Cancelled,
}

/// What both partners know about one order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ledger {
    /// At the gateway.
    pub money: Money,
    /// How much was held or taken; none: the gateway never heard of it.
    pub amount: Option<events::Money>,
    /// How much of it was paid back, in minor units.
    pub refunded: i64,
    /// At the carrier.
    pub booking: Booking,
}

impl PartnerCall {
    /// Its type's name: `AuthorizeCard`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gateway(call) => call.name(),
            Self::Carrier(call) => call.name(),
        }
    }

    /// Which key it goes out under, from 1 on.
    pub fn attempt(&self) -> u32 {
        match self {
            Self::Gateway(call) => call.attempt(),
            Self::Carrier(call) => call.attempt(),
        }
    }

    /// Whom it asks.
    pub const fn partner(&self) -> &'static str {
        match self {
            Self::Gateway(_) => "gateway",
            Self::Carrier(_) => "carrier",
        }
    }

    /// Whose it is.
    pub const fn service(&self) -> &'static str {
        match self {
            Self::Gateway(_) => "payment",
            Self::Carrier(_) => "shipping",
        }
    }
}

impl Ledger {
    /// What the partner can do with the call as things stand. The first key of each call may meet any word; a second one is
    /// not burned again, and a way back is not declined twice: the bound within which a way back ends at all.
    pub fn possible(self, call: &PartnerCall) -> &'static [Word] {
        use Word::{Burned, Declined, Done};
        let first = call.attempt() == 1;
        match call {
            PartnerCall::Gateway(payment::Call::AuthorizeCard(_)) if first => &[Done, Declined, Burned],
            PartnerCall::Gateway(payment::Call::AuthorizeCard(_)) => &[Done, Declined],
            PartnerCall::Gateway(payment::Call::CaptureCharge(_)) => match (self.money, first) {
                (Money::Held | Money::Taken, true) => &[Done, Declined, Burned],
                (Money::Held | Money::Taken, false) => &[Done, Declined],
                (Money::Unknown | Money::Lapsed | Money::Voided | Money::Refunded, _) => &[Declined],
            },
            PartnerCall::Gateway(payment::Call::VoidCharge(_) | payment::Call::RefundCharge(_))
            | PartnerCall::Carrier(shipping::Call::BookShipment(_) | shipping::Call::CancelBooking(_)) => {
                if first {
                    &[Done, Declined, Burned]
                } else {
                    &[Done]
                }
            }
        }
    }

    /// The partner executes the call.
    ///
    /// # Errors
    /// When nobody may ever ask for that as things stand.
    pub fn execute(&mut self, call: &PartnerCall) -> Result<(), &'static str> {
        match call {
            PartnerCall::Gateway(call) => match self.amount_wrong(call) {
                Some(wrong) => Err(wrong),
                None => self.settle(call),
            },
            PartnerCall::Carrier(shipping::Call::BookShipment(_)) => match self.booking {
                Booking::Unknown => {
                    self.booking = Booking::Stands;
                    Ok(())
                }
                Booking::Stands | Booking::Cancelled => Err("the carrier is booked twice for one order"),
            },
            PartnerCall::Carrier(shipping::Call::CancelBooking(call)) => match self.booking {
                _ if call.booking != booking_of(call.order) => Err("a booking is cancelled that the carrier does not know"),
                Booking::Unknown => Err("a booking is cancelled that was never made"),
                Booking::Stands | Booking::Cancelled => {
                    self.booking = Booking::Cancelled;
                    Ok(())
                }
            },
        }
    }

    /// What the gateway would refuse whatever the money's state: another charge than its own, more than there is.
    fn amount_wrong(&self, call: &payment::Call) -> Option<&'static str> {
        let (order, charge, amount) = match call {
            payment::Call::AuthorizeCard(_) => return None,
            payment::Call::CaptureCharge(call) => (call.order, &call.charge, Some(call.amount)),
            payment::Call::VoidCharge(call) => (call.order, &call.charge, None),
            payment::Call::RefundCharge(call) => (call.order, &call.charge, Some(call.amount)),
        };
        if *charge != charge_of(order) {
            return Some("a call names a charge that the gateway does not know");
        }
        let (held, asked) = (self.amount?, amount?);
        if asked.currency != held.currency {
            return Some("money is moved in another currency than it was held in");
        }
        (asked.amount > held.amount).then_some("more money is moved than was held")
    }

    fn settle(&mut self, call: &payment::Call) -> Result<(), &'static str> {
        let (money, wrong) = match call {
            payment::Call::AuthorizeCard(_) => match self.money {
                Money::Unknown => (Money::Held, None),
                Money::Held | Money::Lapsed | Money::Taken | Money::Voided | Money::Refunded => {
                    (self.money, Some("money is authorized twice for one order"))
                }
            },
            payment::Call::CaptureCharge(_) => match self.money {
                Money::Held => (Money::Taken, None),
                Money::Taken => (Money::Taken, Some("money is captured twice")),
                Money::Voided => (Money::Voided, Some("a capture is asked for after a void")),
                Money::Unknown | Money::Lapsed | Money::Refunded => (self.money, Some("a capture is asked for what is not held")),
            },
            payment::Call::VoidCharge(_) => match self.money {
                Money::Held | Money::Lapsed | Money::Voided => (Money::Voided, None),
                Money::Taken | Money::Refunded => (self.money, Some("a void is asked for after a capture")),
                Money::Unknown => (self.money, Some("a void is asked for what was never authorized")),
            },
            payment::Call::RefundCharge(_) => match self.money {
                Money::Taken => (Money::Refunded, None),
                Money::Refunded => (Money::Refunded, Some("money is refunded twice")),
                Money::Unknown | Money::Held | Money::Lapsed | Money::Voided => {
                    (self.money, Some("a refund is asked for what was never captured"))
                }
            },
        };
        self.money = money;
        match call {
            payment::Call::AuthorizeCard(call) => self.amount = Some(call.amount),
            payment::Call::CaptureCharge(call) => self.amount = Some(call.amount),
            payment::Call::RefundCharge(call) => self.refunded = call.amount.amount,
            payment::Call::VoidCharge(_) => {}
        }
        wrong.map_or(Ok(()), Err)
    }

    /// What one partner knows, beside what the other does.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        Self {
            money: self.money.max(other.money),
            amount: self.amount.or(other.amount),
            refunded: self.refunded.max(other.refunded),
            booking: self.booking.max(other.booking),
        }
    }

    /// As the audit reads it at the gateway; none, when the gateway never heard of the order.
    pub fn charge(self, order: OrderId) -> Option<crate::Charge> {
        let events::Money { amount, currency } = self.amount?;
        let (held, taken) = match self.money {
            Money::Held => (amount, 0),
            Money::Unknown | Money::Lapsed | Money::Voided => (0, 0),
            Money::Taken | Money::Refunded => (0, amount),
        };
        let id = charge_of(order).0;
        Some(crate::Charge { id, order: Some(order), held, taken, refunded: self.refunded, currency: Some(currency) })
    }

    /// As the audit reads it at the carrier.
    pub fn booked(self, order: OrderId) -> Option<crate::Booking> {
        match self.booking {
            Booking::Unknown => None,
            Booking::Stands => Some(crate::Booking { order: Some(order), stands: true }),
            Booking::Cancelled => Some(crate::Booking { order: Some(order), stands: false }),
        }
    }
}

fn charge_of(order: OrderId) -> Charge {
    Charge(format!("pi_{order}"))
}

fn booking_of(order: OrderId) -> String {
    format!("bk_{order}")
}

fn answered<C: Request>(call: &C, answer: C::Answer) -> Answered<C> {
    Answered { call: call.clone(), answer }
}

fn settlement(word: Word) -> Settlement {
    match word {
        Word::Done => Settlement::Done,
        Word::Declined => Settlement::Declined { code: "declined".into() },
        Word::Burned => Settlement::Burned,
    }
}

/// The gateway's word as payment takes it.
pub fn gateway_answers(call: &payment::Call, word: Word, at: Timestamp) -> payment::Input {
    match call {
        payment::Call::AuthorizeCard(call) => payment::Input::AuthorizeCard(answered(
            call,
            match word {
                Word::Done => Authorization::Granted { charge: charge_of(call.order), capture_before: at },
                Word::Declined => Authorization::Declined { code: "insufficient_funds".into() },
                Word::Burned => Authorization::Burned,
            },
        )),
        payment::Call::CaptureCharge(call) => payment::Input::CaptureCharge(answered(call, settlement(word))),
        payment::Call::VoidCharge(call) => payment::Input::VoidCharge(answered(call, settlement(word))),
        payment::Call::RefundCharge(call) => payment::Input::RefundCharge(answered(call, settlement(word))),
    }
}

/// The carrier's word as shipping takes it.
pub fn carrier_answers(call: &shipping::Call, word: Word, at: Timestamp) -> shipping::Input {
    let code: Code = "destination_not_served".into();
    match call {
        shipping::Call::BookShipment(call) => {
            let booking = booking_of(call.order);
            let answer = match word {
                Word::Done => Booked::Done { booking, tracking: "T-1".into(), pick_up: at },
                Word::Declined => Booked::Declined { code },
                Word::Burned => Booked::Burned,
            };
            shipping::Input::BookShipment(answered(call, answer))
        }
        shipping::Call::CancelBooking(call) => {
            let answer = match word {
                Word::Done => TakenBack::Done,
                Word::Declined => TakenBack::Declined { code },
                Word::Burned => TakenBack::Burned,
            };
            shipping::Input::CancelBooking(answered(call, answer))
        }
    }
}
