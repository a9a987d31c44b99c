//! What the end-to-end tests say things with: a customer who speaks HTTP in verbs, faults that partners are told to
//! make, and waiting for a condition instead of sleeping. No product code: the binaries run beside the tests, and HTTP
//! is the only way in.

mod customer;
mod eventually;
mod faults;

pub use customer::{Basket, Customer, Placed, Screen};
pub use eventually::eventually;
pub use faults::Partner;
