//! What a service brings along to take part: its partner, what people want of it, and the state that a reader should see.

use std::{any::Any, fmt::Debug};

use events::{Address, Currency, OrderId, Sku, Timestamp};
use inventory::{AdjustStock, Inventory, Reservation, Shelves};
use order::{CancelOrder, Order, Orders, PlaceOrder, Standing};
use payment::{Hold, Holds, Payment};
use saga::{Calls as _, Participant, Table};
use serde::{Deserialize, Serialize};
use shipping::{DispatchShipment, Shipment, Shipments, Shipping};

use crate::{
    Snapshot,
    partners::{Ledger, PartnerCall, Word, carrier_answers, gateway_answers},
};

/// What a person asks of a service, over HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A customer orders: so many of each.
    Order(OrderId, Vec<(Sku, u32)>),
    /// A customer no longer wants it.
    Cancel(OrderId),
    /// The warehouse hands the goods over.
    Dispatch(OrderId),
    /// An operator counts goods in.
    Count(Sku, u32),
}

/// A service that can be simulated. One without a partner and without commands says no more than which of its states are shown,
/// and what must hold at rest.
pub trait Actor: Participant {
    /// How one order stands here.
    type State: Serialize + for<'de> Deserialize<'de> + Debug + 'static;
    /// What its partner has in its own books; `()` without one.
    type Partner: Default + Any;

    /// How that order stands; none: nothing is kept about it.
    fn state(records: &Self::Records, order: OrderId) -> Option<&Self::State>;

    /// The wish as an input, if it is this service's.
    fn asked(wish: &Wish) -> Option<Self::Input> {
        let _ = wish;
        None
    }

    /// What is wrong at rest, beside the six invariants; a sentence each.
    fn wrong_at_rest(records: &Self::Records, whole: &Snapshot) -> Vec<String> {
        let _ = (records, whole);
        Vec::new()
    }

    /// What the partner can make of the call as things stand; first what is hoped for.
    ///
    /// # Panics
    /// When a service asks for something, and has no word on it here.
    fn possible(partner: &Self::Partner, call: &Self::Call) -> &'static [Word] {
        let _ = partner;
        panic!("nobody answers {}: its service implements `Actor` without `possible`, `execute` and `answer`", call.name())
    }

    /// The partner executes the call.
    ///
    /// # Errors
    /// When nobody may ever ask for that as things stand.
    fn execute(partner: &mut Self::Partner, call: &Self::Call) -> Result<(), &'static str> {
        Self::possible(partner, call);
        Ok(())
    }

    /// The partner's word, as the service takes it.
    ///
    /// # Panics
    /// As [`possible`](Self::possible).
    fn answer(call: &Self::Call, word: Word, at: Timestamp) -> Self::Input {
        panic!("nobody answers {} with {word:?} at {at:?}: its service implements `Actor` without `answer`", call.name())
    }
}

/// A partner's own books: what it knows about each order.
pub type Books = Table<OrderId, Ledger>;

fn ledger(books: &Books, order: OrderId) -> Ledger {
    books.get(&order).copied().unwrap_or_default()
}

fn execute(books: &mut Books, order: OrderId, call: &PartnerCall) -> Result<(), &'static str> {
    let mut after = ledger(books, order);
    let done = after.execute(call);
    books.put(order, after);
    done
}

impl Actor for Order {
    type State = Standing;
    type Partner = ();

    fn state(records: &Orders, order: OrderId) -> Option<&Standing> {
        records.orders.get(&order)?.as_ref().map(|purchase| &purchase.standing)
    }

    fn asked(wish: &Wish) -> Option<order::Input> {
        match wish {
            Wish::Order(order, lines) => Some(order::Input::PlaceOrder(place(*order, lines))),
            Wish::Cancel(order) => Some(order::Input::CancelOrder(CancelOrder { order: *order })),
            Wish::Dispatch(_) | Wish::Count(..) => None,
        }
    }
}

pub(crate) fn place(order: OrderId, lines: &[(Sku, u32)]) -> PlaceOrder {
    let wish = |(sku, quantity): &(Sku, u32)| order::Wish { sku: sku.clone(), quantity: *quantity };
    let (name, street, city) = ("Ada".into(), "1 Main St".into(), "Berlin".into());
    PlaceOrder {
        order,
        customer_id: "c-1001".into(),
        currency: Currency::EUR,
        lines: lines.iter().map(wish).collect(),
        payment_method: "pm_card_visa".into(),
        ship_to: Address { name, street, city, postal_code: "10115".into(), country: "DE".into() },
        agreed: None,
    }
}

impl Actor for Inventory {
    type State = Reservation;
    type Partner = ();

    fn state(records: &Shelves, order: OrderId) -> Option<&Reservation> {
        records.reservations.get(&order)
    }

    fn asked(wish: &Wish) -> Option<inventory::Input> {
        match wish {
            Wish::Count(sku, count) => {
                let (sku, delta, reason) = (sku.clone(), i64::from(*count), "goods in".to_owned());
                Some(inventory::Input::AdjustStock(AdjustStock { sku, delta, reason }))
            }
            Wish::Order(..) | Wish::Cancel(_) | Wish::Dispatch(_) => None,
        }
    }
}

impl Actor for Payment {
    type State = Hold;
    type Partner = Books;

    fn state(records: &Holds, order: OrderId) -> Option<&Hold> {
        records.holds.get(&order)
    }

    fn possible(partner: &Books, call: &payment::Call) -> &'static [Word] {
        ledger(partner, call.saga()).possible(&PartnerCall::Gateway(call.clone()))
    }

    fn execute(partner: &mut Books, call: &payment::Call) -> Result<(), &'static str> {
        execute(partner, call.saga(), &PartnerCall::Gateway(call.clone()))
    }

    fn answer(call: &payment::Call, word: Word, at: Timestamp) -> payment::Input {
        gateway_answers(call, word, at)
    }
}

impl Actor for Shipping {
    type State = Shipment;
    type Partner = Books;

    fn state(records: &Shipments, order: OrderId) -> Option<&Shipment> {
        records.shipments.get(&order)
    }

    fn asked(wish: &Wish) -> Option<shipping::Input> {
        match wish {
            Wish::Dispatch(order) => Some(shipping::Input::DispatchShipment(DispatchShipment { order: *order })),
            Wish::Order(..) | Wish::Cancel(_) | Wish::Count(..) => None,
        }
    }

    fn possible(partner: &Books, call: &shipping::Call) -> &'static [Word] {
        ledger(partner, call.saga()).possible(&PartnerCall::Carrier(call.clone()))
    }

    fn execute(partner: &mut Books, call: &shipping::Call) -> Result<(), &'static str> {
        execute(partner, call.saga(), &PartnerCall::Carrier(call.clone()))
    }

    fn answer(call: &shipping::Call, word: Word, at: Timestamp) -> shipping::Input {
        carrier_answers(call, word, at)
    }
}
