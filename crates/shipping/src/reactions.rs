//! What shipping does, and when.
use events::*;

use super::domain::*;

saga::reactions! {
    "shipping": Shipping keeps Shipments;
    /// Books the carrier.
    step Book: undone by Cancel {
        on       PaymentAuthorized               => book;
        answer   BookShipment                    => booked;
        says     ShipmentScheduled, ShipmentRefused, ShipmentCancelled;
        asks     BookShipment, CancelBooking;
    }
    /// Clears what is booked and paid for the warehouse to hand over.
    step Clear: retriable undone by Cancel {
        on       PaymentCaptured, OrderConfirmed => clear;
    }
    /// Hands the goods over. From here on there is no way back.
    step Dispatch: retriable {
        command  DispatchShipment                => dispatch;
        says     ShipmentDispatched;
    }
    /// Takes the booking back, or says that the goods are gone: the arbiter's verdict.
    undo Cancel {
        on       PaymentCaptureFailed            => give_up;
        on       OrderCancellationRequested      => cancel;
        answer   CancelBooking                   => cancelled;
        confirms ShipmentCancelled, ShipmentCancellationRefused;
        asks     CancelBooking;
    }
}
