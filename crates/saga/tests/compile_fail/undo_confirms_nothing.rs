//! A compensation confirms nothing.
#[path = "kept/till.rs"]
mod till;

mod reactions {
    use events::*;

    use super::{domain::*, till::*};

    saga::reactions! {
        "payment": Payment keeps Till;
        /// Holds the money.
        step Hold: undone by GiveBack {
            on       StockReserved     => hold;
            says     PaymentAuthorized;
        }
        /// Gives it back.
        undo GiveBack {
            on       ShipmentCancelled => give_back;
            answer   VoidCharge        => voided;

            asks     VoidCharge;
        }
    }
}

mod domain {
    use events::*;
    use saga::*;

    use super::{
        reactions::{Input, step},
        till::*,
    };

    pub(crate) fn touches(input: &Input, till: &mut Till) {
        till.drawers.want(saga::Inputs::saga(input));
    }

    pub(crate) fn hold(till: &mut Till, e: &StockReserved, _: &Context) -> Outcome<step::Hold> {
        let order_id = e.order_id;
        match till.drawers.of(&order_id) {
            drawer @ Drawer::Absent => {
                *drawer = Drawer::Held;
                let (charge, capture_before) = ("pi_1".into(), Timestamp::from_micros(0));
                say(PaymentAuthorized { order_id, ship_to: e.ship_to.clone(), charge, capture_before })
            }
            Drawer::Held => nothing(Because::AlreadyDone),
            Drawer::Buried { .. } => nothing(Because::Tombstone),
        }
    }

    pub(crate) fn give_back(till: &mut Till, e: &ShipmentCancelled, _: &Context) -> Outcome<step::GiveBack> {
        let drawer = till.drawers.of(&e.order_id);
        match drawer {
            Drawer::Absent => {
                *drawer = Drawer::Buried { because: e.because };
                say(PaymentVoided { order_id: e.order_id, because: e.because })
            }
            Drawer::Held => ask(VoidCharge { order: e.order_id }),
            Drawer::Buried { .. } => confirmed(),
        }
    }

    pub(crate) fn voided(till: &mut Till, a: &Answered<VoidCharge>, _: &Context) -> Outcome<step::GiveBack> {
        let because = Reason::CustomerRequest;
        *till.drawers.of(&a.call.order) = Drawer::Buried { because };
        say(PaymentVoided { order_id: a.call.order, because })
    }
}

fn main() {}
