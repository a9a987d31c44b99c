//! Every state of a payment, every input, and what the gateway can answer: for the table, the trials and the checker.

use events::*;
use saga::{
    Answered, Table,
    examples::{CONTEXT, Examples, name_of, names_of},
};

use crate::{
    Authorization, AuthorizeCard, Call, CaptureCharge, Hold, Holds, Input, Payment, RefundCharge, Settlement, VoidCharge,
};

/// The examples. All are about one order of 12.50 EUR.
pub fn examples() -> Examples<Payment> {
    Examples {
        states: states().into_iter().map(keep).collect(),
        names: names_of::<Hold>(),
        label,
        inputs: inputs(),
        answers,
        clean: |holds| match hold(holds) {
            Hold::Absent | Hold::Declined | Hold::Voided { .. } | Hold::Refunded { .. } => true,
            Hold::Authorizing { .. } | Hold::AuthorizingDoomed { .. } | Hold::Authorized { .. } => false,
            Hold::Capturing { .. } | Hold::CapturingDoomed { .. } | Hold::Captured { .. } => false,
            Hold::Voiding { .. } | Hold::Refunding { .. } => false,
        },
        answered_again: &["shipment.cancelled"],
        closing: &["payment.declined"],
    }
}

/// The order that all examples are about.
pub const ORDER: OrderId = OrderId(uuid::uuid!("01935d3e-8000-7000-8000-000000000001"));

fn keep(hold: Hold) -> Holds {
    let mut holds = Table::default();
    holds.put(ORDER, hold);
    Holds { holds }
}

fn hold(holds: &Holds) -> &Hold {
    holds.holds.read(&ORDER)
}

/// The state, and the attempt when it is not the first.
fn label(holds: &Holds) -> String {
    match hold(holds) {
        Hold::Capturing { attempt, .. }
        | Hold::CapturingDoomed { attempt, .. }
        | Hold::Voiding { attempt, .. }
        | Hold::Refunding { attempt, .. }
            if *attempt > 1 =>
        {
            format!("{}, attempt {attempt}", name_of(hold(holds)))
        }
        other => name_of(other),
    }
}

fn amount() -> Money {
    Money::new(1250, Currency::EUR)
}

fn charge() -> Charge {
    "pi_1".into()
}

fn ship_to() -> Address {
    let (name, street, city) = ("Ada".into(), "1 Main St".into(), "Berlin".into());
    Address { name, street, city, postal_code: "10115".into(), country: "DE".into() }
}

fn states() -> Vec<Hold> {
    let (amount, charge, because, attempt) = (amount(), charge(), Reason::CustomerRequest, 1);
    vec![
        Hold::Absent,
        Hold::Authorizing { amount, ship_to: ship_to() },
        Hold::AuthorizingDoomed { amount, because },
        Hold::Authorized { charge: charge.clone(), amount },
        Hold::Declined,
        Hold::Capturing { charge: charge.clone(), amount, attempt },
        Hold::CapturingDoomed { charge: charge.clone(), amount, attempt, because },
        Hold::Captured { charge: charge.clone(), amount },
        Hold::Voiding { charge: charge.clone(), attempt, because },
        Hold::Voided { because },
        Hold::Refunding { charge, amount, attempt, because },
        Hold::Refunded { amount, because },
    ]
}

fn inputs() -> Vec<(&'static str, Input)> {
    let (order_id, because) = (ORDER, Reason::CustomerRequest);
    let mut inputs = vec![
        (
            "",
            Input::StockReserved(StockReserved {
                order_id,
                total: amount(),
                payment_method: "pm_card_visa".into(),
                ship_to: ship_to(),
            }),
        ),
        ("", Input::ShipmentScheduled(ShipmentScheduled { order_id, tracking: "T-1".into(), pick_up: CONTEXT.now })),
        ("", Input::ShipmentRefused(ShipmentRefused { order_id, code: "destination_not_served".into() })),
        ("", Input::ShipmentCancelled(ShipmentCancelled { order_id, because })),
    ];
    let (order, charge, amount, attempt) = (ORDER, charge(), amount(), 1);
    let calls = [
        Call::AuthorizeCard(AuthorizeCard { order, amount, payment_method: "pm_card_visa".into() }),
        Call::CaptureCharge(CaptureCharge { order, charge: charge.clone(), amount, attempt }),
        Call::VoidCharge(VoidCharge { order, charge: charge.clone(), attempt }),
        Call::RefundCharge(RefundCharge { order, charge, amount, attempt }),
    ];
    inputs.extend(calls.iter().flat_map(|call| ["ok", "declined", "burned"].into_iter().zip(answers(call))));
    inputs
}

fn answers(call: &Call) -> Vec<Input> {
    let code: Code = "insufficient_funds".into();
    let settlements = || [Settlement::Done, Settlement::Declined { code: code.clone() }, Settlement::Burned].into_iter();
    match call {
        Call::AuthorizeCard(call) => {
            let granted = Authorization::Granted { charge: charge(), capture_before: CONTEXT.now };
            let answers = [granted, Authorization::Declined { code }, Authorization::Burned];
            answers.into_iter().map(|answer| Input::AuthorizeCard(Answered { call: call.clone(), answer })).collect()
        }
        Call::CaptureCharge(call) => {
            settlements().map(|answer| Input::CaptureCharge(Answered { call: call.clone(), answer })).collect()
        }
        Call::VoidCharge(call) => {
            settlements().map(|answer| Input::VoidCharge(Answered { call: call.clone(), answer })).collect()
        }
        Call::RefundCharge(call) => {
            settlements().map(|answer| Input::RefundCharge(Answered { call: call.clone(), answer })).collect()
        }
    }
}
