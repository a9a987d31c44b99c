//! Payment holds the customer's money, takes it once the goods are booked, and gives it back when the order fails.
//!
//! It owns one hold for each order and every call to the card gateway. It promises that nobody is charged twice, and
//! that whatever it took or held for an order that ends otherwise is given back, however long that takes. It does not
//! know prices, stock or addresses beyond what it carries onward.

mod domain;
mod reactions;

pub mod examples;

pub use domain::{Authorization, AuthorizeCard, CaptureCharge, Hold, Holds, RefundCharge, Settlement, VoidCharge};
pub use reactions::{Call, Input, Payment, step};
