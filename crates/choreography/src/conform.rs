//! Whether what a real system did is what the reactions allow. Claims and outboxes are the log of a run: each service's log of
//! each order is taken again by the production functions, and the first transition that they do not allow is named.

mod actor;
mod finding;
mod recording;
mod replay;

pub use finding::{Finding, Wrong};
pub use recording::{Log, Recording, Said, Taken};

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use events::OrderId;
use inventory::Inventory;
use order::Order;
use payment::Payment;
use shipping::Shipping;
use uuid::Uuid;

use replay::Replay;

/// What was replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Conforms {
    /// How many orders.
    pub orders: usize,
    /// How many transitions: an input, taken by a service.
    pub transitions: usize,
}

impl fmt::Display for Conforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} orders, {} transitions: the reactions allow all of them", self.orders, self.transitions)
    }
}

/// Replays the whole of it.
///
/// # Errors
/// The first transition that the reactions do not allow, of the first order that has one.
pub fn conform(recording: &Recording) -> Result<Conforms, Box<Finding>> {
    let mut conforms = Conforms::default();
    for (&order, logs) in &recording.orders {
        conforms.transitions += conform_order(order, logs)?;
        conforms.orders += 1;
    }
    Ok(conforms)
}

type Logs = BTreeMap<String, Log>;

fn conform_order(order: OrderId, logs: &Logs) -> Result<usize, Box<Finding>> {
    let said: HashMap<Uuid, &Said> = logs.values().flat_map(|log| &log.said).map(|said| (said.id, said)).collect();
    let mut transitions = 0;
    for (service, log) in logs {
        let replay = Replay { order, service, log, said: &said };
        transitions += match service.as_str() {
            "order" => replay.run::<Order>(),
            "inventory" => replay.run::<Inventory>(),
            "payment" => replay.run::<Payment>(),
            "shipping" => replay.run::<Shipping>(),
            _ => Err(replay.finding(None, Wrong::Unknown)),
        }?;
    }
    Ok(transitions)
}
