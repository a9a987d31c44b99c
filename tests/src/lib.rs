//! What the end-to-end tests say things with: a customer who speaks HTTP in verbs, faults that partners are told to
//! make, a hand on the broker, and waiting for a condition instead of sleeping. The binaries run beside the tests, and HTTP is
//! the only way in; of the product's code only the list of SQL statements is used, to prepare each one, and the names of the
//! failpoints.

pub mod crash_points;

mod broker;
mod cable;
mod customer;
mod eventually;
mod faults;
mod operator;
mod program;
mod proxy;

pub use broker::Broker;
pub use cable::Cable;
pub use customer::{Basket, Customer, Placed, Screen};
pub use eventually::eventually;
pub use faults::Partner;
pub use operator::Operator;
pub use program::Program;
pub use proxy::{Blow, Proxy};
