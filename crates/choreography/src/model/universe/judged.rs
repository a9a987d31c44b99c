//! What is asked of a single reaction, beside what must hold of the whole.

use events::Reason;
use order::Standing;
use shipping::Shipment;

use super::{Reaction, Stimulus, Universe};

impl Universe {
    /// The ends that it was met in: why it ended, or none when its goods are gone.
    pub(in crate::model) fn ends(&self) -> impl Iterator<Item = Option<Reason>> {
        self.purchases.all.iter().flatten().filter_map(|order| match order.standing {
            Standing::Dispatched { .. } => Some(None),
            Standing::Rejected { reason } => Some(Some(reason)),
            Standing::Cancelled => Some(Some(Reason::CustomerRequest)),
            Standing::Open | Standing::Confirmed { .. } | Standing::Cancelling { .. } | Standing::Closing { .. } => None,
        })
    }

    /// What is wrong with the deadline of an order that goes from one standing to another.
    pub(in crate::model) fn deadline_wrong(&self, before: u32, reaction: &Reaction) -> Option<&'static str> {
        let standing = |row| self.purchases.get(row).as_ref().map(|order| &order.standing);
        let after = standing(reaction.row)?;
        let turns = standing(before).map(std::mem::discriminant) != Some(std::mem::discriminant(after));
        let wrong = turns && after.waits() && reaction.wake != Some(true);
        wrong.then_some("an order begins to wait for something else, and does not set its deadline anew")
    }

    /// What is wrong with the refusal of a command.
    pub(in crate::model) fn refusal_wrong(&self, purchase: u32, shipment: u32, what: Stimulus) -> Option<&'static str> {
        let standing = self.purchases.get(purchase).as_ref().map(|order| &order.standing);
        match what {
            Stimulus::Place => Some("a customer is refused what is in the catalog"),
            Stimulus::Cancel => matches!(standing, Some(Standing::Open | Standing::Confirmed { .. }))
                .then_some("a customer is refused who may still cancel"),
            Stimulus::Dispatch => matches!(self.shipments.get(shipment), Shipment::Ready { .. })
                .then_some("the warehouse is refused what is booked and paid"),
            Stimulus::Overdue | Stimulus::Message(_) | Stimulus::Answer(..) => None,
        }
    }
}
