//! Everything that all services and partners know, at one moment. Made from SQL and HTTP by the audit, from their own
//! states by model and simulator.

use std::collections::{BTreeMap, BTreeSet};

use events::{Currency, EventId, OrderId, Sku};
use inventory::{Reservation, Stock};
use order::Purchase;
use payment::Hold;
use shipping::Shipment;

/// The whole.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Order's rows.
    pub orders: BTreeMap<OrderId, Purchase>,
    /// Inventory's rows.
    pub reservations: BTreeMap<OrderId, Reservation>,
    /// Inventory's counts.
    pub stock: BTreeMap<Sku, Stock>,
    /// Payment's rows.
    pub holds: BTreeMap<OrderId, Hold>,
    /// Shipping's rows.
    pub shipments: BTreeMap<OrderId, Shipment>,
    /// The card gateway's own ledger.
    pub charges: Vec<Charge>,
    /// The carrier's own ledger.
    pub bookings: Vec<Booking>,
    /// The log of orders that were born before this moment may have been dropped, in milliseconds since 1970; 0 when all is there.
    pub logged_since_ms: u64,
    /// Every outbox.
    pub published: Vec<Published>,
    /// Every reader's claims.
    pub claimed: BTreeMap<(&'static str, EventId), Claimed>,
    /// Events that a reader could not take.
    pub dead_letters: BTreeMap<(&'static str, EventId), Option<OrderId>>,
    /// Dead letters that an operator has discarded, or set aside.
    pub settled: BTreeSet<(&'static str, EventId)>,
    /// What is still under way.
    pub unfinished: Vec<Unfinished>,
    /// Orders that a customer was told are accepted.
    pub accepted: BTreeSet<OrderId>,
}

/// A payment, as the card gateway has it.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The gateway's name for it.
    pub id: String,
    /// Whose.
    pub order: Option<OrderId>,
    /// Minor units that are held and not taken.
    pub held: i64,
    /// Minor units that were taken.
    pub taken: i64,
    /// Minor units that were paid back.
    pub refunded: i64,
    /// Of all three.
    pub currency: Option<Currency>,
}

/// A booking, as the carrier has it.
#[derive(Clone, Debug)]
pub struct Booking {
    /// Whose.
    pub order: Option<OrderId>,
    /// The carrier will come.
    pub stands: bool,
}

/// An event in an outbox.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub ty: String,
    /// What it is about.
    pub order: Option<OrderId>,
    /// Of its data, in hex.
    pub content_hash: String,
}

/// A reader's proof that it has taken an event.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Of the data that it read, in hex.
    pub content_hash: String,
}

/// Something that nobody has finished.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// Who.
    pub service: &'static str,
    /// `an event to publish`, `a call to a partner`, `a parked event`.
    pub what: String,
    /// About what.
    pub order: Option<OrderId>,
}
