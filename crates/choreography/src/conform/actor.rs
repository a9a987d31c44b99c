//! What the replay must know of each service: its row, and what a log does not keep of commands, answers and shelves.

use std::{collections::BTreeSet, fmt::Debug};

use events::{Code, Currency, Event, Line, Money, OrderId, OrderPlaced, Sku, Timestamp};
use inventory::{Inventory, Pick, Reservation, Shelves, Stock};
use order::{CancelOrder, Order, Orders, PlaceOrder, Product, Purchase};
use payment::{Authorization, Hold, Holds, Payment, Settlement};
use saga::{Answered, Participant};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use shipping::{Booked, DispatchShipment, Shipment, Shipments, Shipping, TakenBack};

/// What is known beside the input itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) order: OrderId,
    /// What was said because of the input at hand.
    pub(super) said: &'a [Event],
    /// The order as it was placed, if it was.
    pub(super) placed: Option<&'a OrderPlaced>,
    /// The row in the end.
    pub(super) last: Option<&'a Value>,
}

impl Known<'_> {
    /// A word of the last state. Where neither an event nor that has it, nothing that was recorded depends on it.
    fn last(&self, name: &str) -> String {
        self.last.and_then(|row| row[name].as_str()).unwrap_or("not recorded").to_owned()
    }
}

/// A service whose log can be replayed.
pub(super) trait Recorded: Participant {
    /// Its row about one order.
    type Row: Clone + Default + Eq + Debug + Serialize + DeserializeOwned;

    /// The rows that are there when that input comes.
    fn rows(row: &Self::Row, known: &Known<'_>) -> Self::Records;
    /// The order's row among them.
    fn row(records: &Self::Records, order: OrderId) -> Self::Row;
    /// That command.
    fn command(name: &str, known: &Known<'_>) -> Option<Self::Input>;
    /// Every answer to that call which the partner may have given.
    fn answers(call: &Self::Call, known: &Known<'_>) -> Vec<Self::Input>;
}

impl Recorded for Order {
    type Row = Option<Purchase>;

    fn rows(row: &Self::Row, known: &Known<'_>) -> Orders {
        let mut orders = Orders::default();
        orders.orders.put(known.order, row.clone());
        for line in known.placed.iter().flat_map(|placed| &placed.lines) {
            orders.catalog.put(line.sku.clone(), Some(Product { price: line.unit_price, version: 1 }));
        }
        orders
    }

    fn row(records: &Orders, order: OrderId) -> Self::Row {
        records.orders.get(&order).cloned().flatten()
    }

    fn command(name: &str, known: &Known<'_>) -> Option<order::Input> {
        match name {
            "PlaceOrder" => known.placed.and_then(|placed| place(placed, &known.last("placed_at"))),
            "CancelOrder" => Some(order::Input::CancelOrder(CancelOrder { order: known.order })),
            _ => None,
        }
    }

    fn answers(call: &order::Call, _: &Known<'_>) -> Vec<order::Input> {
        match *call {}
    }
}

/// One that came back behind a lost database was placed when it was born.
fn place(placed: &OrderPlaced, placed_at: &str) -> Option<order::Input> {
    if placed_at == placed.order_id.born().to_string() {
        return order::recalled(&Event::OrderPlaced(placed.clone()));
    }
    let wish = |line: &Line| order::Wish { sku: line.sku.clone(), quantity: line.quantity };
    Some(order::Input::PlaceOrder(PlaceOrder {
        order: placed.order_id,
        customer_id: placed.customer_id.clone(),
        currency: placed.total.currency,
        lines: placed.lines.iter().map(wish).collect(),
        payment_method: placed.payment_method.clone(),
        ship_to: placed.ship_to.clone(),
        agreed: None,
    }))
}

/// A shelf that holds enough for whatever one order moves. What other orders left there is not replayed.
const PLENTY: u32 = 1 << 30;

impl Recorded for Inventory {
    type Row = Reservation;

    fn rows(row: &Self::Row, known: &Known<'_>) -> Shelves {
        let mut shelves = Shelves::default();
        shelves.reservations.put(known.order, row.clone());
        let picked: &[Pick] = match row {
            Reservation::Reserved { lines } | Reservation::Committed { lines } => lines,
            Reservation::Absent | Reservation::Unavailable { .. } | Reservation::Released { .. } => &[],
        };
        let ordered = known.placed.iter().flat_map(|placed| &placed.lines).map(|line| &line.sku);
        let skus: BTreeSet<&Sku> = ordered.chain(picked.iter().map(|pick| &pick.sku)).collect();
        for sku in skus {
            shelves.stock.put(sku.clone(), Some(stock(PLENTY)));
        }
        for event in known.said {
            if let Event::StockUnavailable(unavailable) = event {
                for missing in &unavailable.missing {
                    shelves.stock.put(missing.sku.clone(), Some(stock(missing.available)));
                }
            }
        }
        shelves
    }

    fn row(records: &Shelves, order: OrderId) -> Self::Row {
        records.reservations.get(&order).cloned().unwrap_or_default()
    }

    fn command(_: &str, _: &Known<'_>) -> Option<inventory::Input> {
        None
    }

    fn answers(call: &inventory::Call, _: &Known<'_>) -> Vec<inventory::Input> {
        match *call {}
    }
}

fn stock(on_hand: u32) -> Stock {
    let (reserved, sold) = (PLENTY, PLENTY);
    let received = on_hand.saturating_add(reserved).saturating_add(sold);
    Stock { name: String::new(), price: Money::new(0, Currency::EUR), on_hand, reserved, sold, received, version: 1 }
}

impl Recorded for Payment {
    type Row = Hold;

    fn rows(row: &Self::Row, known: &Known<'_>) -> Holds {
        let mut holds = Holds::default();
        holds.holds.put(known.order, row.clone());
        holds
    }

    fn row(records: &Holds, order: OrderId) -> Self::Row {
        records.holds.get(&order).cloned().unwrap_or_default()
    }

    fn command(_: &str, _: &Known<'_>) -> Option<payment::Input> {
        None
    }

    fn answers(call: &payment::Call, known: &Known<'_>) -> Vec<payment::Input> {
        let code = code(known);
        let settlements = [Settlement::Done, Settlement::Declined { code: code.clone() }, Settlement::Burned];
        match call {
            payment::Call::AuthorizeCard(call) => {
                let authorized = known.said.iter().find_map(|event| match event {
                    Event::PaymentAuthorized(e) => Some((e.charge.clone(), e.capture_before)),
                    _ => None,
                });
                let (charge, capture_before) =
                    authorized.unwrap_or_else(|| (events::Charge(known.last("charge")), Timestamp::default()));
                [Authorization::Granted { charge, capture_before }, Authorization::Declined { code }, Authorization::Burned]
                    .map(|answer| payment::Input::AuthorizeCard(Answered::to(call, answer)))
                    .into()
            }
            payment::Call::CaptureCharge(call) => {
                settlements.map(|answer| payment::Input::CaptureCharge(Answered::to(call, answer))).into()
            }
            payment::Call::VoidCharge(call) => {
                settlements.map(|answer| payment::Input::VoidCharge(Answered::to(call, answer))).into()
            }
            payment::Call::RefundCharge(call) => {
                settlements.map(|answer| payment::Input::RefundCharge(Answered::to(call, answer))).into()
            }
        }
    }
}

/// The partner's word for its refusal: whoever hears it says it on.
fn code(known: &Known<'_>) -> Code {
    let said = known.said.iter().find_map(|event| match event {
        Event::PaymentDeclined(e) => Some(e.code.clone()),
        Event::PaymentCaptureFailed(e) => Some(e.code.clone()),
        Event::ShipmentRefused(e) => Some(e.code.clone()),
        _ => None,
    });
    said.unwrap_or_else(|| "not recorded".into())
}

impl Recorded for Shipping {
    type Row = Shipment;

    fn rows(row: &Self::Row, known: &Known<'_>) -> Shipments {
        let mut shipments = Shipments::default();
        shipments.shipments.put(known.order, row.clone());
        shipments
    }

    fn row(records: &Shipments, order: OrderId) -> Self::Row {
        records.shipments.get(&order).cloned().unwrap_or_default()
    }

    fn command(name: &str, known: &Known<'_>) -> Option<shipping::Input> {
        (name == "DispatchShipment").then_some(shipping::Input::DispatchShipment(DispatchShipment { order: known.order }))
    }

    fn answers(call: &shipping::Call, known: &Known<'_>) -> Vec<shipping::Input> {
        let code = code(known);
        match call {
            shipping::Call::BookShipment(call) => {
                let scheduled = known.said.iter().find_map(|event| match event {
                    Event::ShipmentScheduled(e) => Some((e.tracking.clone(), e.pick_up)),
                    _ => None,
                });
                let (tracking, pick_up) = scheduled.unwrap_or_else(|| ("not recorded".into(), Timestamp::default()));
                let booking = known.last("booking");
                [Booked::Done { booking, tracking, pick_up }, Booked::Declined { code }, Booked::Burned]
                    .map(|answer| shipping::Input::BookShipment(Answered::to(call, answer)))
                    .into()
            }
            shipping::Call::CancelBooking(call) => [TakenBack::Done, TakenBack::Declined { code }, TakenBack::Burned]
                .map(|answer| shipping::Input::CancelBooking(Answered::to(call, answer)))
                .into(),
        }
    }
}
