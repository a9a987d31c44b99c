//! Every state of a reservation, and every input: for the table, the trials and the checker.

use std::iter;

use events::*;
use saga::examples::{Examples, name_of, names_of};

use crate::{
    AdjustStock, AnnounceProducts, Input, IntroduceProduct, Inventory, Pick, PutProduct, RecallProduct, Reservation, Shelves,
    Stock,
};

/// The order that all examples are about. It wants 3 of one product, in two lines.
pub const ORDER: OrderId = OrderId(uuid::uuid!("01935d3e-8000-7000-8000-000000000001"));

/// The examples. A label ends in the product's counts, on hand + reserved + sold, and its version.
pub fn examples() -> Examples<Inventory> {
    Examples {
        states: states().into_iter().map(|(reservation, counts)| shelves(reservation, counts)).collect(),
        names: names_of::<Reservation>(),
        label,
        inputs: orders().into_iter().chain(operators()).collect(),
        answers: |call| match *call {},
        clean: |shelves| match shelves.reservations.read(&ORDER) {
            Reservation::Absent | Reservation::Unavailable { .. } | Reservation::Released { .. } => {
                let (_, reserved, sold) = counts(shelves);
                (reserved, sold) == (0, 0)
            }
            Reservation::Reserved { .. } | Reservation::Committed { .. } => false,
        },
        answered_again: &["order.confirmed", "shipment.cancelled"],
        closing: &["stock.unavailable"],
    }
}

fn sku() -> Sku {
    "TEA-001".into()
}

fn label(shelves: &Shelves) -> String {
    let (on_hand, reserved, sold) = counts(shelves);
    let version = shelves.stock.read(&sku()).as_ref().map_or(0, |stock| stock.version);
    format!("{}, {on_hand}+{reserved}+{sold} v{version}", name_of(shelves.reservations.read(&ORDER)))
}

fn counts(shelves: &Shelves) -> (u32, u32, u32) {
    shelves.stock.read(&sku()).as_ref().map_or((0, 0, 0), |stock| (stock.on_hand, stock.reserved, stock.sold))
}

fn states() -> Vec<(Reservation, (u32, u32, u32))> {
    let lines = vec![Pick { sku: sku(), quantity: 3 }];
    let missing = vec![Missing { sku: sku(), wanted: 3, available: 2 }];
    vec![
        (Reservation::Absent, (5, 0, 0)),
        (Reservation::Absent, (2, 0, 0)),
        (Reservation::Reserved { lines: lines.clone() }, (2, 3, 0)),
        (Reservation::Unavailable { missing }, (2, 0, 0)),
        (Reservation::Released { because: Reason::CustomerRequest }, (5, 0, 0)),
        (Reservation::Committed { lines }, (2, 0, 3)),
    ]
}

fn shelves(reservation: Reservation, (on_hand, reserved, sold): (u32, u32, u32)) -> Shelves {
    let received = on_hand + reserved + sold;
    let stock = Stock { name: "Darjeeling".into(), price: price(), on_hand, reserved, sold, received, version: 1 };
    let mut shelves = Shelves::default();
    shelves.reservations.put(ORDER, reservation);
    shelves.stock.put(sku(), Some(stock));
    shelves
}

fn price() -> Money {
    Money::new(1250, Currency::EUR)
}

fn orders() -> Vec<(&'static str, Input)> {
    let (order_id, because) = (ORDER, Reason::CustomerRequest);
    let placed = OrderPlaced {
        order_id,
        customer_id: "c-1001".into(),
        lines: [1, 2].into_iter().map(|quantity| Line { sku: sku(), quantity, unit_price: price() }).collect(),
        total: Money::new(3750, Currency::EUR),
        payment_method: "pm_card_visa".into(),
        ship_to: Address {
            name: "Ada".into(),
            street: "1 Main St".into(),
            city: "Berlin".into(),
            postal_code: "10115".into(),
            country: "DE".into(),
        },
    };
    let inputs = [
        Input::OrderPlaced(placed),
        Input::OrderConfirmed(OrderConfirmed { order_id }),
        Input::PaymentDeclined(PaymentDeclined { order_id, code: "card_declined".into() }),
        Input::ShipmentRefused(ShipmentRefused { order_id, code: "destination_not_served".into() }),
        Input::ShipmentCancelled(ShipmentCancelled { order_id, because }),
    ];
    iter::repeat("").zip(inputs).collect()
}

fn operators() -> Vec<(&'static str, Input)> {
    let (known, new) = (sku(), Sku::from("TEA-002"));
    let introduce = |sku| Input::IntroduceProduct(IntroduceProduct { sku, name: "Assam".into(), price: price(), count: 7 });
    let put = |sku, name: &str, seen| Input::PutProduct(PutProduct { sku, name: name.into(), price: price(), seen });
    let adjust = |sku, delta| Input::AdjustStock(AdjustStock { sku, delta, reason: "counted".into() });
    let recall = |sku, available, version| {
        let told = ProductChanged { sku, name: "Darjeeling".into(), price: price(), available, version };
        Input::RecallProduct(RecallProduct { told })
    };
    let announce = |skus| Input::AnnounceProducts(AnnounceProducts { skus });
    vec![
        ("known", introduce(known.clone())),
        ("new", introduce(new.clone())),
        ("same", put(known.clone(), "Darjeeling", None)),
        ("renamed", put(known.clone(), "Darjeeling First Flush", Some(1))),
        ("unseen", put(known.clone(), "Darjeeling First Flush", Some(9))),
        ("new", put(new.clone(), "Assam", None)),
        ("new, seen", put(new.clone(), "Assam", Some(1))),
        ("in", adjust(known.clone(), 4)),
        ("out", adjust(known.clone(), -2)),
        ("out too many", adjust(known.clone(), -6)),
        ("in too many", adjust(known.clone(), i64::from(u32::MAX))),
        ("unknown", adjust(new.clone(), 4)),
        ("next", recall(known.clone(), 9, 2)),
        ("behind", recall(known.clone(), 9, 1)),
        ("ahead", recall(known.clone(), 9, 3)),
        ("new", recall(new.clone(), 0, 1)),
        ("known", announce(vec![known])),
        ("unknown", announce(vec![new])),
        ("none", announce(Vec::new())),
    ]
}
