//! What must hold about one order at every moment, not only at rest.

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
    wrong
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
        wrong(&OneOrder { order: Some(&order), reservation, hold, shipment, ledger, calls_open })
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
