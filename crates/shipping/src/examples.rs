//! Every state of a shipment, every input, and what the carrier can answer: for the table, the trials and the checker.

use std::iter;

use events::*;
use saga::{
    Answered,
    examples::{CONTEXT, Examples, name_of, names_of},
};

use crate::{BookShipment, Booked, Call, CancelBooking, DispatchShipment, Input, Shipment, Shipments, Shipping, TakenBack};

/// The order that all examples are about.
pub const ORDER: OrderId = OrderId(uuid::uuid!("01935d3e-8000-7000-8000-000000000001"));

/// The examples.
pub fn examples() -> Examples<Shipping> {
    Examples {
        states: states().into_iter().map(keep).collect(),
        names: names_of::<Shipment>(),
        label,
        inputs: inputs(),
        answers,
        clean: |shipments| match shipment(shipments) {
            Shipment::Absent | Shipment::Refused { .. } | Shipment::Cancelled { .. } | Shipment::Dispatched { .. } => true,
            Shipment::Booking | Shipment::BookingDoomed { .. } | Shipment::Scheduled { .. } => false,
            Shipment::Ready { .. } | Shipment::Cancelling { .. } => false,
        },
        answered_again: &["order.cancellation_requested"],
        closing: &["shipment.refused"],
    }
}

fn keep(shipment: Shipment) -> Shipments {
    let mut shipments = Shipments::default();
    shipments.shipments.put(ORDER, shipment);
    shipments
}

fn shipment(shipments: &Shipments) -> &Shipment {
    shipments.shipments.read(&ORDER)
}

/// The state, and the attempt when it is not the first.
fn label(shipments: &Shipments) -> String {
    match shipment(shipments) {
        state @ Shipment::Cancelling { attempt, .. } if *attempt > 1 => format!("{}, attempt {attempt}", name_of(state)),
        state => name_of(state),
    }
}

fn booking() -> String {
    "bk_1".to_owned()
}

fn ship_to() -> Address {
    let (name, street, city) = ("Ada".into(), "1 Main St".into(), "Berlin".into());
    Address { name, street, city, postal_code: "10115".into(), country: "DE".into() }
}

fn states() -> Vec<Shipment> {
    let (tracking, pick_up, because): (Tracking, _, _) = ("T-1".into(), CONTEXT.now, Reason::CustomerRequest);
    vec![
        Shipment::Absent,
        Shipment::Booking,
        Shipment::BookingDoomed { because },
        Shipment::Scheduled { booking: booking(), tracking: tracking.clone(), pick_up },
        Shipment::Ready { booking: booking(), tracking: tracking.clone(), pick_up },
        Shipment::Dispatched { booking: booking(), tracking, pick_up },
        Shipment::Refused { code: "destination_not_served".into() },
        Shipment::Cancelling { booking: booking(), attempt: 1, because },
        Shipment::Cancelled { because },
    ]
}

fn inputs() -> Vec<(&'static str, Input)> {
    let (order_id, charge, because) = (ORDER, Charge::from("pi_1"), Reason::CustomerRequest);
    let events = [
        Input::PaymentAuthorized(PaymentAuthorized {
            order_id,
            ship_to: ship_to(),
            charge: charge.clone(),
            capture_before: CONTEXT.now,
        }),
        Input::PaymentCaptured(PaymentCaptured { order_id, charge, amount: Money::new(1250, Currency::EUR) }),
        Input::OrderConfirmed(OrderConfirmed { order_id }),
        Input::PaymentCaptureFailed(PaymentCaptureFailed { order_id, code: "authorization_lapsed".into() }),
        Input::OrderCancellationRequested(OrderCancellationRequested { order_id, because, asking: 1 }),
        Input::DispatchShipment(DispatchShipment { order: ORDER }),
    ];
    let calls = [
        Call::BookShipment(BookShipment { order: ORDER, ship_to: ship_to() }),
        Call::CancelBooking(CancelBooking { order: ORDER, booking: booking(), attempt: 1 }),
    ];
    let answered = calls.iter().flat_map(|call| ["ok", "declined", "burned"].into_iter().zip(answers(call)));
    iter::repeat("").zip(events).chain(answered).collect()
}

fn answers(call: &Call) -> Vec<Input> {
    let code: Code = "destination_not_served".into();
    match call {
        Call::BookShipment(call) => {
            let done = Booked::Done { booking: booking(), tracking: "T-1".into(), pick_up: CONTEXT.now };
            let answers = [done, Booked::Declined { code }, Booked::Burned];
            answers.into_iter().map(|answer| Input::BookShipment(Answered { call: call.clone(), answer })).collect()
        }
        Call::CancelBooking(call) => {
            let answers = [TakenBack::Done, TakenBack::Declined { code }, TakenBack::Burned];
            answers.into_iter().map(|answer| Input::CancelBooking(Answered { call: call.clone(), answer })).collect()
        }
    }
}
