//! A state of the model as the [`Snapshot`] that the six invariants read.

use events::{EventData as _, EventId, OrderCancelled, OrderRejected};
use uuid::Uuid;

use super::world::World;
use crate::{Published, Snapshot, Unfinished, violations};

impl World {
    /// What the six invariants say to a state at rest.
    pub(super) fn violation(&self, shelf: u32, parts: &[u32]) -> Option<String> {
        let violations = violations(&self.snapshot(shelf, parts));
        let first = violations.first()?;
        Some(format!("at rest, {} does not hold: {}", first.invariant.means(), first.what))
    }

    /// Of the events only the ends are there: that each message is taken once is what a state without waiting messages means.
    pub(super) fn snapshot(&self, shelf: u32, parts: &[u32]) -> Snapshot {
        let shelves = self.shelves.get(shelf);
        let mut snapshot = Snapshot {
            reservations: shelves.reservations.rows().map(|(id, reservation)| (*id, reservation.clone())).collect(),
            stock: shelves.stock.rows().filter_map(|(sku, stock)| Some((sku.clone(), stock.clone()?))).collect(),
            ..Snapshot::default()
        };
        for (order, part) in parts.iter().enumerate() {
            let (universe, part) = (&self.universes[order], self.parts[order].get(*part));
            let id = universe.id;
            let Some(purchase) = universe.purchases.get(part.purchase) else { continue };
            snapshot.charges.extend(part.ledger.charge(id));
            snapshot.bookings.extend(part.ledger.booked(id));
            snapshot.holds.insert(id, universe.holds.get(part.hold).clone());
            snapshot.shipments.insert(id, universe.shipments.get(part.shipment).clone());
            snapshot.orders.insert(id, purchase.clone());
            snapshot.accepted.insert(id);
            for (ty, said) in [OrderRejected::INFO.ty, OrderCancelled::INFO.ty].into_iter().zip(&part.told[1..]) {
                let published =
                    Published { id: EventId(Uuid::nil()), ty: ty.to_owned(), order: Some(id), content_hash: String::new() };
                snapshot.published.extend(std::iter::repeat_n(published, usize::from(*said)));
            }
            // Without claims whatever was said may come again, at rest too.
            if part.calls_open() > 0 || self.settings.claims && !part.is_quiet() {
                let what = "a message or a call that waits".to_owned();
                snapshot.unfinished.push(Unfinished { service: "order", what, order: Some(id) });
            }
        }
        snapshot
    }
}
