//! What the participants of these tests keep, and what they can ask of a partner.
#![allow(dead_code)]

use events::{OrderId, Reason};
use saga::{Request, Table};
use serde::{Deserialize, Serialize};

saga::records! {
    /// A drawer for each order.
    pub struct Till {
        /// By order.
        pub drawers: Table<OrderId, Drawer>,
    }
}

/// Its states.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Drawer {
    /// Nothing was asked.
    #[default]
    Absent,
    /// Money is held.
    Held,
    /// It is given back.
    Buried {
        /// The failure that led here.
        because: Reason,
    },
}

/// A call.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct VoidCharge {
    /// Whose.
    pub order: OrderId,
}

impl Request for VoidCharge {
    type Answer = bool;
    fn order(&self) -> OrderId {
        self.order
    }
}
