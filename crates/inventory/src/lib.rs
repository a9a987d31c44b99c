//! Inventory keeps the shelves: what there is, what is set aside for an order, what is sold.
//!
//! It owns the catalog, the count of every product and one reservation for each order. It promises that an order gets
//! all of its lines or none, that nothing is sold twice, and that what an order gives up is back on the shelf: for each
//! product, on hand + reserved + sold is what was ever received. It does not know who pays, nor where the goods go
//! beyond what it carries onward.

mod catalog;
mod domain;
mod reactions;

pub mod examples;

pub use catalog::first_catalog;
pub use domain::{
    AdjustStock, AnnounceProducts, IntroduceProduct, Pick, ProductView, PutProduct, RECEIVED_MAX, Reservation, Shelves, Stock,
};
pub use reactions::{Call, Input, Inventory, step};
