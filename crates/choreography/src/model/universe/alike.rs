//! States that differ only in a number that no decision rests on are one here, or there would be no end of them.

use events::Event;
use inventory::{Reservation, Shelves, Stock};
use order::{Purchase, Sale, Standing};

/// An asking's number grows for ever, and no decision rests on it: from the second on they are all alike here.
pub(super) fn without_numbers(mut purchase: Purchase) -> Purchase {
    let cut = |asking: &mut order::Asking| {
        asking.number = asking.number.min(2);
        asking.wait_s = 10;
    };
    match &mut purchase.standing {
        Standing::Confirmed { sale: Sale::Owed { asking, .. } }
        | Standing::Dispatched { sale: Sale::Owed { asking, .. }, .. }
        | Standing::Closing { asking, .. } => cut(asking),
        Standing::Cancelling { confirmed, asking, .. } => {
            cut(asking);
            if let Some(Sale::Owed { asking, .. }) = confirmed {
                cut(asking);
            }
        }
        Standing::Confirmed { sale: Sale::Committed } | Standing::Dispatched { sale: Sale::Committed, .. } => {}
        Standing::Open | Standing::Rejected { .. } | Standing::Cancelled => {}
    }
    purchase
}

pub(super) fn without_number(event: Event) -> Event {
    match event {
        Event::OrderCancellationRequested(mut event) => {
            event.asking = event.asking.min(2);
            Event::OrderCancellationRequested(event)
        }
        other => other,
    }
}

/// A product's version grows with every change, and no decision about an order rests on it.
pub(super) fn without_versions(shelves: &Shelves) -> Shelves {
    let mut plain = Shelves::default();
    for (id, reservation) in shelves.reservations.rows().filter(|(_, reservation)| **reservation != Reservation::Absent) {
        plain.reservations.put(*id, reservation.clone());
    }
    for (sku, stock) in shelves.stock.rows() {
        plain.stock.put(sku.clone(), stock.clone().map(|stock| Stock { version: 1, ..stock }));
    }
    plain
}
