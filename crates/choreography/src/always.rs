//! What must hold about one order at every moment, not only at rest.

use events::Reason;
use inventory::Reservation;
use order::{Purchase, Standing};
use payment::Hold;
use shipping::Shipment;

use crate::partners::{Booking, Ledger, Money};

/// Everything that all services and partners know about one order, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct OneOrder<'a> {
    /// At order; none: it was not placed.
    pub order: Option<&'a Purchase>,
    /// At inventory.
    pub reservation: &'a Reservation,
    /// At payment.
    pub hold: &'a Hold,
    /// At shipping.
    pub shipment: &'a Shipment,
    /// At the partners.
    pub ledger: Ledger,
    /// Calls that no answer was taken of.
    pub calls_open: usize,
    /// The order's deadline is set.
    pub deadline: bool,
}

/// Everything that is wrong at this moment, a sentence each.
pub fn wrong(now: &OneOrder<'_>) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    let mut unless = |holds: bool, what| {
        if !holds {
            wrong.push(what);
        }
    };
    let reserved = matches!(now.reservation, Reservation::Reserved { .. });
    let sold = matches!(now.reservation, Reservation::Committed { .. });
    let (money, booking) = (now.ledger.money, now.ledger.booking);
    if let Some(order) = now.order {
        unless(!order.standing.waits() || now.deadline, "an order waits, and no deadline is set");
        unless(order.standing.waits() || !now.deadline, "nothing is owed to an order, and its deadline is still set");
        match order.standing {
            Standing::Open | Standing::Cancelling { .. } | Standing::Closing { .. } => {}
            Standing::Confirmed { .. } => unless(money == Money::Taken, "an order is confirmed, and its money is not taken"),
            Standing::Dispatched { .. } => {
                let gone = matches!(now.shipment, Shipment::Dispatched { .. });
                unless(gone, "an order says that its goods are gone, and shipping has them");
                unless(now.calls_open == 0, "an order has ended, and a call to a partner is still open");
            }
            Standing::Rejected { .. } | Standing::Cancelled => {
                unless(money != Money::Held, "an order has ended, and its money is still held");
                unless(money != Money::Taken, "an order has ended without its goods, and its money is kept");
                unless(booking != Booking::Stands, "an order has ended without its goods, and the carrier will come");
                unless(!reserved && !sold, "an order has ended without its goods, and they are not back on the shelf");
                unless(now.calls_open == 0, "an order has ended, and a call to a partner is still open");
            }
        }
    }
    if let Shipment::Dispatched { .. } = now.shipment {
        unless(money == Money::Taken, "goods are gone, and they are not paid");
        unless(booking == Booking::Stands, "goods are gone, and no carrier came");
        unless(reserved || sold, "goods are gone that were not set aside for this order");
    }
    unless(!sold || matches!(money, Money::Taken | Money::Refunded), "goods are sold that were never paid");
    match now.hold {
        Hold::Absent | Hold::Declined => {
            unless(matches!(money, Money::Unknown), "payment knows of no money, and the gateway has some");
        }
        Hold::Voided { .. } => {
            let nothing = matches!(money, Money::Unknown | Money::Voided | Money::Lapsed);
            unless(nothing, "payment says that nothing is held, and the gateway has not let go");
        }
        Hold::Captured { .. } => {
            unless(money == Money::Taken, "payment says that money is taken, and the gateway has not taken it")
        }
        Hold::Refunded { .. } => {
            unless(money == Money::Refunded, "payment says that money is paid back, and the gateway has not paid it back");
        }
        Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } | Hold::Authorized { .. } => {}
        Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Voiding { .. } | Hold::Refunding { .. } => {}
    }
    match now.shipment {
        Shipment::Absent | Shipment::Refused { .. } => {
            unless(booking == Booking::Unknown, "shipping knows of no booking, and the carrier has one");
        }
        Shipment::Scheduled { .. } | Shipment::Ready { .. } => {
            unless(booking == Booking::Stands, "shipping says that the carrier comes, and it does not");
        }
        Shipment::Cancelled { .. } => {
            unless(booking != Booking::Stands, "shipping says that nothing is booked, and the carrier will come");
        }
        Shipment::Booking | Shipment::BookingDoomed { .. } | Shipment::Cancelling { .. } | Shipment::Dispatched { .. } => {}
    }
    unless(reasons(now).into_iter().flatten().all(|reason| is_true(reason, now)), "a reason is given that is not true");
    wrong
}

/// Why what was done is being undone, as each of the four gives it.
fn reasons(now: &OneOrder<'_>) -> [Option<Reason>; 4] {
    let reservation = match now.reservation {
        Reservation::Released { because } => Some(*because),
        Reservation::Absent | Reservation::Reserved { .. } | Reservation::Unavailable { .. } | Reservation::Committed { .. } => {
            None
        }
    };
    let hold = match now.hold {
        Hold::AuthorizingDoomed { because, .. } | Hold::CapturingDoomed { because, .. } => Some(*because),
        Hold::Voiding { because, .. } | Hold::Voided { because } => Some(*because),
        Hold::Refunding { because, .. } | Hold::Refunded { because, .. } => Some(*because),
        Hold::Absent | Hold::Authorizing { .. } | Hold::Authorized { .. } | Hold::Declined => None,
        Hold::Capturing { .. } | Hold::Captured { .. } => None,
    };
    let shipment = match now.shipment {
        Shipment::BookingDoomed { because } | Shipment::Cancelling { because, .. } | Shipment::Cancelled { because } => {
            Some(*because)
        }
        Shipment::Absent | Shipment::Booking | Shipment::Scheduled { .. } | Shipment::Ready { .. } => None,
        Shipment::Dispatched { .. } | Shipment::Refused { .. } => None,
    };
    [now.order.and_then(|order| cause(&order.standing)), reservation, hold, shipment]
}

fn is_true(reason: Reason, now: &OneOrder<'_>) -> bool {
    match reason {
        Reason::OutOfStock => matches!(now.reservation, Reservation::Unavailable { .. }),
        Reason::PaymentDeclined => matches!(now.hold, Hold::Declined),
        Reason::ShipmentRefused => matches!(now.shipment, Shipment::Refused { .. }),
        Reason::CaptureFailed => {
            matches!(now.hold, Hold::Voiding { because, .. } | Hold::Voided { because } if *because == Reason::CaptureFailed)
        }
        Reason::CustomerRequest | Reason::Expired => now.order.and_then(|order| cause(&order.standing)) == Some(reason),
    }
}

/// Why an order is ending, or has ended.
fn cause(standing: &Standing) -> Option<Reason> {
    match standing {
        Standing::Cancelling { cause, .. } | Standing::Closing { cause, .. } => Some(*cause),
        Standing::Rejected { reason } => Some(*reason),
        Standing::Cancelled => Some(Reason::CustomerRequest),
        Standing::Open | Standing::Confirmed { .. } | Standing::Dispatched { .. } => None,
    }
}

/// Who brought a step about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The customer, by a cancellation.
    Customer,
    /// The deadline.
    Deadline,
    /// Anybody else.
    Other,
}

/// What is wrong with a step of an order, from one standing to another.
pub fn step_wrong(before: &Standing, after: &Standing, by: Origin) -> Option<&'static str> {
    let same = std::mem::discriminant(before) == std::mem::discriminant(after);
    if matches!(before, Standing::Dispatched { .. } | Standing::Rejected { .. } | Standing::Cancelled) && !same {
        return Some("an order has ended, and goes on");
    }
    match (cause(before), cause(after)) {
        (Some(first), Some(now)) if first != now => Some("an order is ending, and gives another reason than at first"),
        (None, Some(Reason::CustomerRequest)) if by != Origin::Customer => {
            Some("an order is ending because the customer wished it, who did not")
        }
        (None, Some(Reason::Expired)) if by != Origin::Deadline => {
            Some("an order is ending because its deadline passed, which it did not")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use events::{Currency, Money as Amount};
    use saga::examples::CONTEXT;

    use super::*;

    /// Cancelled, and nothing was ever done about it.
    fn wrong_about_a_cancelled_order(ledger: Ledger, calls_open: usize) -> Vec<&'static str> {
        let order = Purchase {
            customer_id: "c-1001".into(),
            lines: Vec::new(),
            total: Amount::new(1250, Currency::EUR),
            placed_at: CONTEXT.now,
            changed_at: CONTEXT.now,
            standing: Standing::Cancelled,
        };
        let (reservation, hold, shipment) = (Reservation::Absent, Hold::Absent, Shipment::Absent);
        let (reservation, hold, shipment) = (&reservation, &hold, &shipment);
        wrong(&OneOrder { order: Some(&order), reservation, hold, shipment, ledger, calls_open, deadline: false })
    }

    #[test]
    fn an_order_ends_with_no_call_open() {
        assert!(wrong_about_a_cancelled_order(Ledger::default(), 0).is_empty());
        let found = wrong_about_a_cancelled_order(Ledger::default(), 1);
        assert_eq!(found, ["an order has ended, and a call to a partner is still open"]);
    }

    #[test]
    fn an_order_ends_with_no_money_held() {
        let found = wrong_about_a_cancelled_order(Ledger { money: Money::Held, ..Ledger::default() }, 0);
        assert!(found.contains(&"an order has ended, and its money is still held"), "{found:?}");
    }
}
