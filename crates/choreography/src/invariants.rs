//! The six invariants, one function each, over a [`Snapshot`] at rest. Written once: the audit, the tests, the model and
//! the simulator all ask here.

use std::collections::BTreeMap;

use events::{OrderId, Reason, Sku};
use inventory::Reservation;
use order::{Sale, Standing};
use payment::Hold;
use shipping::Shipment;

use crate::{SERVICES, Snapshot};

/// Which of the six.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Invariant {
    /// Every order comes to rest, with one end.
    Rest,
    /// Money is conserved.
    Money,
    /// Stock is conserved.
    Stock,
    /// Nothing is shipped unpaid, nothing paid unbooked.
    Shipping,
    /// No event is lost, no effect happens twice.
    Events,
    /// Accepted means kept.
    Kept,
}

impl Invariant {
    /// All six.
    pub const ALL: [Self; 6] = [Self::Rest, Self::Money, Self::Stock, Self::Shipping, Self::Events, Self::Kept];

    /// In words.
    pub const fn means(self) -> &'static str {
        match self {
            Self::Rest => "every order comes to rest",
            Self::Money => "money is conserved",
            Self::Stock => "stock is conserved",
            Self::Shipping => "nothing is shipped unpaid, nothing paid unbooked",
            Self::Events => "no event is lost, no effect happens twice",
            Self::Kept => "accepted means kept",
        }
    }
}

/// What does not add up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// Which order, when it is one.
    pub order: Option<OrderId>,
    /// What was seen.
    pub what: String,
}

/// Everything that does not add up; nothing, when all is well.
pub fn violations(at_rest: &Snapshot) -> Vec<Violation> {
    let checks: [fn(&Snapshot, &mut Found); 6] = [rest, money, stock, shipped, events, kept];
    let mut found = Found::default();
    for (invariant, check) in Invariant::ALL.into_iter().zip(checks) {
        found.invariant = Some(invariant);
        check(at_rest, &mut found);
    }
    found.violations
}

#[derive(Default)]
struct Found {
    invariant: Option<Invariant>,
    violations: Vec<Violation>,
}

impl Found {
    fn unless(&mut self, holds: bool, order: impl Into<Option<OrderId>>, what: impl FnOnce() -> String) {
        if let (false, Some(invariant)) = (holds, self.invariant) {
            self.violations.push(Violation { invariant, order: order.into(), what: what() });
        }
    }
}

/// Whether the goods are the customer's in the end.
fn succeeded(standing: &Standing) -> bool {
    match standing {
        Standing::Confirmed { .. } | Standing::Dispatched { .. } => true,
        Standing::Open | Standing::Cancelling { .. } | Standing::Closing { .. } => false,
        Standing::Rejected { .. } | Standing::Cancelled => false,
    }
}

/// 1. Confirmed (with its stock sold), or one end; never rejected after it was confirmed for another reason than a cancellation.
fn rest(all: &Snapshot, found: &mut Found) {
    for (id, order) in &all.orders {
        match &order.standing {
            Standing::Open | Standing::Cancelling { .. } | Standing::Closing { .. } => {
                found.unless(false, *id, || format!("has not come to rest: {:?}", order.standing));
            }
            Standing::Confirmed { sale } | Standing::Dispatched { sale, .. } => {
                found.unless(*sale == Sale::Committed, *id, || "inventory has not confirmed the sale".to_owned());
            }
            Standing::Rejected { .. } | Standing::Cancelled => {}
        }
    }
    let mut ends: BTreeMap<OrderId, Vec<&str>> = BTreeMap::new();
    for event in &all.published {
        if let (Some(order), "order.rejected.v1" | "order.cancelled.v1") = (event.order, event.ty.as_str()) {
            ends.entry(order).or_default().push(&event.ty);
        }
    }
    for (id, order) in all.orders.iter().filter(|(id, _)| id.birth_ms() >= all.logged_since_ms) {
        let said = ends.get(id).map_or(&[][..], Vec::as_slice);
        let expected: &[&str] = match &order.standing {
            Standing::Rejected { .. } => &["order.rejected.v1"],
            Standing::Cancelled => &["order.cancelled.v1"],
            Standing::Open | Standing::Confirmed { .. } | Standing::Cancelling { .. } => &[],
            Standing::Closing { .. } | Standing::Dispatched { .. } => &[],
        };
        found.unless(said == expected, *id, || format!("is {:?}, but said {said:?}", order.standing));
        if let Standing::Rejected { reason } = &order.standing {
            found.unless(*reason != Reason::CustomerRequest, *id, || "was rejected because the customer wished it".to_owned());
        }
    }
}

/// 2. Captured less refunded is the total of who succeeded; nothing is held or kept otherwise; nobody is charged twice.
fn money(all: &Snapshot, found: &mut Found) {
    let mut by_order: BTreeMap<OrderId, Vec<&crate::Charge>> = BTreeMap::new();
    for charge in &all.charges {
        found.unless(charge.held == 0, charge.order, || format!("{} still holds {}", charge.id, charge.held));
        found.unless(charge.refunded <= charge.taken, charge.order, || format!("{} paid back more than it took", charge.id));
        match charge.order {
            Some(order) => by_order.entry(order).or_default().push(charge),
            None => found.unless(charge.taken == charge.refunded, None, || format!("{} is nobody's, and keeps money", charge.id)),
        }
    }
    for (id, charges) in &by_order {
        let took = charges.iter().filter(|charge| charge.taken > 0).count();
        found.unless(took <= 1, *id, || format!("was charged {took} times"));
        found.unless(all.orders.contains_key(id), *id, || "was charged, and is no order".to_owned());
    }
    for (id, order) in &all.orders {
        let charges = by_order.get(id).map_or(&[][..], Vec::as_slice);
        let kept: i64 = charges.iter().map(|charge| charge.taken - charge.refunded).sum();
        let due = if succeeded(&order.standing) { order.total.amount } else { 0 };
        let sum: i64 = order.lines.iter().map(|line| line.unit_price.amount * i64::from(line.quantity)).sum();
        found.unless(sum == order.total.amount, *id, || format!("its lines are {sum}, its total is {}", order.total.amount));
        found.unless(kept == due, *id, || format!("{kept} is kept, {due} is due; it is {:?}", order.standing));
        let currency = charges.iter().all(|charge| charge.currency == Some(order.total.currency));
        found.unless(currency, *id, || "was charged in another currency".to_owned());
        let hold = all.holds.get(id);
        let agrees = match hold {
            Some(Hold::Captured { .. }) => succeeded(&order.standing),
            None | Some(Hold::Absent | Hold::Declined | Hold::Voided { .. } | Hold::Refunded { .. }) => {
                !succeeded(&order.standing)
            }
            Some(Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } | Hold::Authorized { .. }) => false,
            Some(Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Voiding { .. } | Hold::Refunding { .. }) => false,
        };
        found.unless(agrees, *id, || format!("payment says {hold:?}, order says {:?}", order.standing));
    }
}

/// 3. On hand, reserved and sold make what was received; what is sold was ordered; nothing is reserved or sold for another end.
fn stock(all: &Snapshot, found: &mut Found) {
    let (mut reserved, mut sold) = (BTreeMap::new(), BTreeMap::new());
    for (id, reservation) in &all.reservations {
        let success = all.orders.get(id).is_some_and(|order| succeeded(&order.standing));
        let (lines, counts) = match reservation {
            Reservation::Reserved { lines } => (lines.as_slice(), &mut reserved),
            Reservation::Committed { lines } => (lines.as_slice(), &mut sold),
            Reservation::Absent | Reservation::Unavailable { .. } | Reservation::Released { .. } => (&[][..], &mut sold),
        };
        found.unless(success != lines.is_empty(), *id, || format!("inventory says {reservation:?}; it succeeded: {success}"));
        found.unless(!matches!(reservation, Reservation::Reserved { .. }), *id, || "stock is reserved at rest".to_owned());
        if let (true, Some(order)) = (success, all.orders.get(id)) {
            let ordered = each(order.lines.iter().map(|line| (&line.sku, line.quantity)));
            let sold = each(lines.iter().map(|line| (&line.sku, line.quantity)));
            found.unless(ordered == sold, *id, || format!("{ordered:?} was ordered, {sold:?} is sold"));
        }
        for line in lines {
            *counts.entry(line.sku.clone()).or_insert(0_u64) += u64::from(line.quantity);
        }
    }
    for (sku, product) in &all.stock {
        let sum = u64::from(product.on_hand) + u64::from(product.reserved) + u64::from(product.sold);
        found.unless(sum == u64::from(product.received), None, || {
            format!("{sku}: {sum} is there, {} was received", product.received)
        });
        let of = |counts: &BTreeMap<_, u64>| counts.get(sku).copied().unwrap_or(0);
        let agrees = of(&reserved) == u64::from(product.reserved) && of(&sold) == u64::from(product.sold);
        found.unless(agrees, None, || format!("{sku}: counts {product:?}, reservations {} and {}", of(&reserved), of(&sold)));
    }
}

/// How many of each product.
fn each<'a>(lines: impl Iterator<Item = (&'a Sku, u32)>) -> BTreeMap<&'a Sku, u64> {
    lines.fold(BTreeMap::new(), |mut counts, (sku, quantity)| {
        *counts.entry(sku).or_default() += u64::from(quantity);
        counts
    })
}

/// 4. Who succeeded has one booking that stands; who did not has none.
fn shipped(all: &Snapshot, found: &mut Found) {
    let mut standing: BTreeMap<OrderId, usize> = BTreeMap::new();
    for booking in all.bookings.iter().filter(|booking| booking.stands) {
        match booking.order {
            Some(order) => *standing.entry(order).or_default() += 1,
            None => found.unless(false, None, || "a booking is nobody's".to_owned()),
        }
    }
    for (id, order) in &all.orders {
        let (bookings, success) = (standing.get(id).copied().unwrap_or(0), succeeded(&order.standing));
        found.unless(bookings == usize::from(success), *id, || format!("{bookings} bookings stand; it is {:?}", order.standing));
        let shipment = all.shipments.get(id);
        let agrees = match shipment {
            Some(Shipment::Dispatched { .. }) => matches!(order.standing, Standing::Dispatched { .. }),
            Some(Shipment::Ready { .. }) => matches!(order.standing, Standing::Confirmed { .. }),
            None | Some(Shipment::Absent | Shipment::Refused { .. } | Shipment::Cancelled { .. }) => !success,
            Some(Shipment::Booking | Shipment::BookingDoomed { .. }) => false,
            Some(Shipment::Scheduled { .. } | Shipment::Cancelling { .. }) => false,
        };
        found.unless(agrees, *id, || format!("shipping says {shipment:?}, order says {:?}", order.standing));
    }
}

/// 5. Each event was taken once by each of its readers, as it was written, or an operator has decided about it; nothing is left to do.
fn events(all: &Snapshot, found: &mut Found) {
    for event in &all.published {
        for reader in SERVICES.iter().filter(|service| service.is_heard(&event.ty)) {
            let at = (reader.service, event.id);
            match all.claimed.get(&at) {
                Some(claim) => found.unless(claim.content_hash == event.content_hash, event.order, || {
                    format!("{} read another {} than was written", reader.service, event.ty)
                }),
                None => found.unless(all.dead_letters.contains_key(&at) || all.settled.contains(&at), event.order, || {
                    format!("{} never took {} {}", reader.service, event.ty, event.id)
                }),
            }
        }
    }
    for ((service, id), order) in &all.dead_letters {
        found.unless(false, *order, || format!("{service} has a dead letter: {id}"));
    }
    for rest in &all.unfinished {
        found.unless(false, rest.order, || format!("{} has {}", rest.service, rest.what));
    }
}

/// 6. Who was told that an order is accepted finds it.
fn kept(all: &Snapshot, found: &mut Found) {
    for id in &all.accepted {
        found.unless(all.orders.contains_key(id), *id, || "was accepted, and is gone".to_owned());
    }
}
