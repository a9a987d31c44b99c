//! The states of a reservation, the counts of a product, and their verbs: each answers in every state.
//!
//! Counts move only when a reservation goes from one state to another, or an operator counts; so whatever comes twice
//! moves nothing.
#![deny(clippy::wildcard_enum_match_arm)]

mod products;

use std::collections::BTreeMap;

use events::*;
use saga::{
    Because::{AlreadyDone, Tombstone, TooEarly},
    Context, Outcome, Table, confirmed, contradiction, not_yet, nothing, say,
};
use serde::{Deserialize, Serialize};

use crate::reactions::{Input, step};

pub use products::{
    AdjustStock, AnnounceProducts, IntroduceProduct, ProductView, PutProduct, RECEIVED_MAX, RecallProduct, Stock, recalled,
};
pub(crate) use products::{adjust, announce, introduce, put, recall};

saga::records! {
    /// What inventory keeps.
    pub struct Shelves {
        /// One for each order.
        pub reservations: Table<OrderId, Reservation>,
        /// One for each product; none: unknown.
        pub stock: Table<Sku, Option<Stock>>,
    }
    reach |shelves| {
        let skus: Vec<Sku> = shelves.reservations.rows().flat_map(|(_, reservation)| reservation.skus()).collect();
        shelves.stock.want(skus);
    }
}

/// What is set aside for one order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the events' own words")]
pub enum Reservation {
    /// Nothing was asked.
    #[default]
    Absent,
    /// Every line is set aside.
    Reserved { lines: Vec<Pick> },
    /// Not every line was there, so none is set aside.
    Unavailable { missing: Vec<Missing> },
    /// Everything is back on the shelf; also the tombstone of an order that was cancelled before it came.
    Released { because: Reason },
    /// Every line is sold. The goods are here until they are dispatched, so it can still be taken back.
    Committed { lines: Vec<Pick> },
}

/// So many of one product: an order's lines of one SKU together.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Pick {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: u32,
}

impl Reservation {
    /// The products that its next step moves.
    fn skus(&self) -> Vec<Sku> {
        match self {
            Self::Reserved { lines } | Self::Committed { lines } => lines.iter().map(|line| line.sku.clone()).collect(),
            Self::Absent | Self::Unavailable { .. } | Self::Released { .. } => Vec::new(),
        }
    }
}

/// The reservation names what a way back moves (`reach`); here is what must be named before there is one.
pub(crate) fn touches(input: &Input, shelves: &mut Shelves) {
    shelves.reservations.want(saga::Inputs::saga(input));
    match input {
        Input::OrderPlaced(e) => shelves.stock.want(e.lines.iter().map(|line| line.sku.clone())),
        Input::IntroduceProduct(c) => shelves.stock.want([c.sku.clone()]),
        Input::PutProduct(c) => shelves.stock.want([c.sku.clone()]),
        Input::AdjustStock(c) => shelves.stock.want([c.sku.clone()]),
        Input::RecallProduct(c) => shelves.stock.want([c.told.sku.clone()]),
        Input::AnnounceProducts(c) => shelves.stock.want(c.skus.iter().cloned()),
        Input::OrderConfirmed(_) | Input::PaymentDeclined(_) => {}
        Input::ShipmentRefused(_) | Input::ShipmentCancelled(_) => {}
    }
}

/// `order.placed`: set every line aside, or none.
pub(crate) fn reserve(shelves: &mut Shelves, e: &OrderPlaced, _: &Context) -> Outcome<step::Reserve> {
    let order_id = e.order_id;
    match shelves.reservations.read(&order_id) {
        Reservation::Absent => {
            let picks = together(&e.lines);
            let missing: Vec<Missing> = picks.iter().filter_map(|pick| shelves.missing(pick)).collect();
            if missing.is_empty() {
                shelves.each(&picks, Stock::set_aside);
                *shelves.reservations.of(&order_id) = Reservation::Reserved { lines: picks };
                let (total, payment_method, ship_to) = (e.total, e.payment_method.clone(), e.ship_to.clone());
                say(StockReserved { order_id, total, payment_method, ship_to })
            } else {
                *shelves.reservations.of(&order_id) = Reservation::Unavailable { missing: missing.clone() };
                say(StockUnavailable { order_id, missing })
            }
        }
        Reservation::Released { .. } => nothing(Tombstone),
        Reservation::Reserved { .. } | Reservation::Unavailable { .. } | Reservation::Committed { .. } => nothing(AlreadyDone),
    }
}

/// `order.confirmed`: what was set aside is sold. Asked again until the order has heard so (R3), it says so again.
pub(crate) fn commit(shelves: &mut Shelves, e: &OrderConfirmed, _: &Context) -> Outcome<step::Commit> {
    let order_id = e.order_id;
    match shelves.reservations.read(&order_id).clone() {
        Reservation::Reserved { lines } => {
            shelves.each(&lines, Stock::sell);
            *shelves.reservations.of(&order_id) = Reservation::Committed { lines };
            say(StockCommitted { order_id })
        }
        Reservation::Committed { .. } => say(StockCommitted { order_id }),
        Reservation::Released { .. } => nothing(Tombstone),
        Reservation::Absent => not_yet(TooEarly),
        Reservation::Unavailable { .. } => contradiction(),
    }
}

/// `payment.declined`, `shipment.refused`: nothing was sold yet, so what is set aside goes back.
pub(crate) fn release<E: OfOrder + Why>(shelves: &mut Shelves, e: &E, _: &Context) -> Outcome<step::Release> {
    let (order_id, because) = (e.order(), e.why());
    match shelves.reservations.read(&order_id).clone() {
        Reservation::Reserved { lines } => {
            shelves.each(&lines, Stock::put_back);
            released(shelves, order_id, because)
        }
        Reservation::Released { .. } => confirmed(),
        Reservation::Absent => not_yet(TooEarly),
        Reservation::Unavailable { .. } | Reservation::Committed { .. } => contradiction(),
    }
}

/// `shipment.cancelled`: undo whatever there is. What never came is buried; whoever asks again is told again (R2).
pub(crate) fn restock(shelves: &mut Shelves, e: &ShipmentCancelled, _: &Context) -> Outcome<step::Release> {
    let (order_id, because) = (e.order_id, e.because);
    match shelves.reservations.read(&order_id).clone() {
        Reservation::Absent => released(shelves, order_id, because),
        Reservation::Reserved { lines } => {
            shelves.each(&lines, Stock::put_back);
            released(shelves, order_id, because)
        }
        Reservation::Committed { lines } => {
            shelves.each(&lines, Stock::take_back);
            released(shelves, order_id, because)
        }
        Reservation::Unavailable { .. } => say(StockReleased { order_id, because }),
        Reservation::Released { because } => say(StockReleased { order_id, because }),
    }
}

fn released(shelves: &mut Shelves, order_id: OrderId, because: Reason) -> Outcome<step::Release> {
    *shelves.reservations.of(&order_id) = Reservation::Released { because };
    say(StockReleased { order_id, because })
}

/// The lines of one SKU together, in the order of SKUs. More than a shelf can ever hold is not to be had anyway.
fn together(lines: &[Line]) -> Vec<Pick> {
    let mut quantities: BTreeMap<&Sku, u32> = BTreeMap::new();
    for line in lines {
        let quantity = quantities.entry(&line.sku).or_default();
        *quantity = quantity.saturating_add(line.quantity);
    }
    quantities.into_iter().map(|(sku, quantity)| Pick { sku: sku.clone(), quantity }).collect()
}

impl Shelves {
    fn missing(&self, pick: &Pick) -> Option<Missing> {
        let available = self.stock.read(&pick.sku).as_ref().map_or(0, |stock| stock.on_hand);
        (available < pick.quantity).then(|| Missing { sku: pick.sku.clone(), wanted: pick.quantity, available })
    }

    /// Moves the counts of every pick's product.
    ///
    /// # Panics
    /// When a product that was picked is not there: products are never deleted.
    fn each(&mut self, picks: &[Pick], change: fn(&mut Stock, u32)) {
        for pick in picks {
            let stock = self.stock.of(&pick.sku).as_mut().expect("a product that was picked is never deleted");
            change(stock, pick.quantity);
        }
    }
}
