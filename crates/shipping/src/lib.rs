//! Shipping books the carrier, hands the goods over, and is the arbiter: it alone decides whether an order can still be
//! cancelled.
//!
//! It owns one shipment for each order and every call to the carrier. It promises that nothing is handed over that is not
//! paid, that nothing is handed over once it has said `cancelled`, and that what it books for an order that ends otherwise
//! is taken back. It does not know what is in the parcel, what it costs, nor who pays.

mod domain;
mod reactions;

pub mod examples;

pub use domain::{BookShipment, Booked, CancelBooking, DispatchShipment, Shipment, ShipmentView, Shipments, TakenBack};
pub use reactions::{Call, Input, Shipping, step};
