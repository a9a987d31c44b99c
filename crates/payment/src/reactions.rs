//! What payment does, and when.
use events::*;

use super::domain::*;

saga::reactions! {
    "payment": Payment keeps Holds;
    /// Holds the money on the customer's card.
    step Authorize: undone by GiveBack {
        on       StockReserved     => authorize;
        answer   AuthorizeCard     => authorized;
        says     PaymentAuthorized, PaymentDeclined;
        asks     AuthorizeCard, VoidCharge;
    }
    /// Takes the money that is held.
    step Capture: pivot undone by GiveBack {
        on       ShipmentScheduled => capture;
        answer   CaptureCharge     => captured;
        says     PaymentCaptured, PaymentCaptureFailed;
        asks     CaptureCharge, VoidCharge, RefundCharge;
    }
    /// Lets go of what is held, or pays back what was taken.
    undo GiveBack {
        on       ShipmentRefused   => let_go;
        on       ShipmentCancelled => give_back;
        answer   VoidCharge        => voided;
        answer   RefundCharge      => refunded;
        confirms PaymentVoided, PaymentRefunded;
        asks     VoidCharge, RefundCharge;
    }
}
