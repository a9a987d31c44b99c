//! The invariants, asked of a simulated world: what must hold always after each batch, the six at rest.

use std::any::Any;

use events::OrderId;
use inventory::{Reservation, Shelves};
use order::Orders;
use payment::{Hold, Holds};
use shipping::{Shipment, Shipments};

use super::{
    actor::Books,
    seat::Seat,
    world::{Work, World},
};
use crate::{
    Claimed, Published, Snapshot, Unfinished,
    always::{self, OneOrder},
    partners::Ledger,
    violations,
};

/// The rows of that kind, from whoever keeps them.
fn rows<T: Any>(seats: &[Box<dyn Seat>]) -> Option<&T> {
    seats.iter().find_map(|seat| seat.records().downcast_ref::<T>())
}

/// What both partners know: each has its part in its own books.
fn ledger(seats: &[Box<dyn Seat>], order: OrderId) -> Ledger {
    let mut whole = Ledger::default();
    for books in seats.iter().filter_map(|seat| seat.partner().downcast_ref::<Books>()) {
        let Some(part) = books.get(&order) else { continue };
        whole = whole.beside(*part);
    }
    whole
}

/// What must hold about an order at every moment.
pub(super) fn always(seats: &[Box<dyn Seat>], order: OrderId) -> Result<(), String> {
    let now = OneOrder {
        order: rows::<Orders>(seats).and_then(|rows| rows.orders.get(&order)).and_then(Option::as_ref),
        reservation: rows::<Shelves>(seats).and_then(|rows| rows.reservations.get(&order)).unwrap_or(&Reservation::Absent),
        hold: rows::<Holds>(seats).and_then(|rows| rows.holds.get(&order)).unwrap_or(&Hold::Absent),
        shipment: rows::<Shipments>(seats).and_then(|rows| rows.shipments.get(&order)).unwrap_or(&Shipment::Absent),
        ledger: ledger(seats, order),
        calls_open: seats.iter().map(|seat| seat.calls_open(order)).sum(),
        deadline: seats.iter().any(|seat| seat.deadlines().range((order, "")..).next().is_some_and(|((of, _), _)| *of == order)),
    };
    always::wrong(&now).first().map_or(Ok(()), |what| Err((*what).to_owned()))
}

/// What must hold when nothing happens by itself any more.
pub(super) fn at_rest(world: &World) -> Result<(), String> {
    let snapshot = snapshot(world);
    if let Some(first) = violations(&snapshot).first() {
        let order = first.order.map(|order| format!("order {}: ", super::world::number(order))).unwrap_or_default();
        return Err(format!("at rest, {} does not hold: {order}{}", first.invariant.means(), first.what));
    }
    if let Some(what) = world.seats.iter().flat_map(|seat| seat.wrong_at_rest(&snapshot)).next() {
        return Err(format!("at rest, {what}"));
    }
    for (sku, stock) in &snapshot.stock {
        let counted = world.counted.get(sku).copied().unwrap_or_default();
        if stock.received != counted {
            return Err(format!("{sku}: operators counted in {counted}, and inventory says {}", stock.received));
        }
    }
    Ok(())
}

fn snapshot(world: &World) -> Snapshot {
    let mut snapshot = Snapshot { accepted: world.ordered.iter().copied().collect(), ..Snapshot::default() };
    if let Some(orders) = rows::<Orders>(&world.seats) {
        snapshot.orders = orders.orders.rows().filter_map(|(id, order)| Some((*id, order.clone()?))).collect();
    }
    if let Some(shelves) = rows::<Shelves>(&world.seats) {
        snapshot.reservations = shelves.reservations.rows().map(|(id, row)| (*id, row.clone())).collect();
        snapshot.stock = shelves.stock.rows().filter_map(|(sku, stock)| Some((sku.clone(), stock.clone()?))).collect();
    }
    if let Some(holds) = rows::<Holds>(&world.seats) {
        snapshot.holds = holds.holds.rows().map(|(id, row)| (*id, row.clone())).collect();
    }
    if let Some(shipments) = rows::<Shipments>(&world.seats) {
        snapshot.shipments = shipments.shipments.rows().map(|(id, row)| (*id, row.clone())).collect();
    }
    for id in snapshot.orders.keys() {
        let ledger = ledger(&world.seats, *id);
        snapshot.charges.extend(ledger.charge(*id));
        snapshot.bookings.extend(ledger.booked(*id));
    }
    messages(world, &mut snapshot);
    unfinished(world, &mut snapshot);
    snapshot
}

fn messages(world: &World, snapshot: &mut Snapshot) {
    for said in &world.said {
        let (ty, order) = (said.event.info().ty, said.event.order());
        snapshot.published.push(Published { id: said.id, ty: ty.to_owned(), order, content_hash: String::new() });
        for reader in &world.readers[ty] {
            let seat = &world.seats[*reader];
            // Without claims there is no proof; then only the states can tell.
            if seat.claimed(said.id) {
                snapshot.claimed.insert((seat.declaration().service, said.id), Claimed { content_hash: String::new() });
            }
        }
    }
    for (reader, event) in &world.dead {
        let said = &world.said[*event];
        snapshot.dead_letters.insert((world.seats[*reader].declaration().service, said.id), said.event.order());
    }
}

fn unfinished(world: &World, snapshot: &mut Snapshot) {
    let mut rest = |seat: usize, what: &str, order| {
        let service = world.seats[seat].declaration().service;
        snapshot.unfinished.push(Unfinished { service, what: what.to_owned(), order });
    };
    for said in world.said.iter().filter(|said| said.pending.is_some()) {
        rest(said.owner, "an event to publish", said.event.order());
    }
    for waiting in &world.parked {
        rest(waiting.reader, "a parked event", world.said[waiting.event].event.order());
    }
    for work in &world.bag {
        match work {
            Work::Deliver { reader, event } => rest(*reader, "an event to take", world.said[*event].event.order()),
            Work::Execute(seat, _) | Work::Answer(seat, _) => rest(*seat, "a call to a partner", None),
            // It is on the pending list as well.
            Work::Publish(_) => {}
        }
    }
}
