//! What the end-to-end tests say things with, beyond what `ensemble` has for chaos as well (a customer, a partner that is told
//! to misbehave, a hand on the broker, a cable that can be cut): an operator, a program beside the stack, a proxy that breaks a
//! commit, and one that keeps a call back. The binaries run beside the tests, and HTTP is the only way in; of the product's code
//! only the list of SQL statements is used, to prepare each one, and the names of the failpoints.

pub mod crash_points;

mod operator;
mod program;
mod proxy;
mod straggler;

pub use ensemble::customer::{Basket, Customer, Placed, Screen};
pub use ensemble::stack::{Broker, Cable, Partner, eventually, eventually_paced};
pub use operator::Operator;
pub use program::Program;
pub use proxy::{Blow, Proxy};
pub use straggler::Straggler;
