//! What order does, and when.
use events::*;

use super::domain::*;

saga::reactions! {
    "order": Order keeps Orders;
    /// Prices the order from the catalog and records it.
    step Place: undone by Close {
        command  PlaceOrder         => place;
        says     OrderPlaced;
    }
    /// Lets the order stand once its money is taken.
    step Confirm: retriable undone by Close {
        on       PaymentCaptured    => confirm;
        on       StockCommitted     => sold;
        says     OrderConfirmed;
    }
    /// Ends the order well: the goods are gone, which proves that they are paid.
    step Complete: retriable {
        on       ShipmentDispatched, ShipmentCancellationRefused => complete;
        says     OrderConfirmed;
    }
    /// Asks shipping, the arbiter, to stop.
    step Cancel: alone {
        command  CancelOrder        => cancel;
        says     OrderCancellationRequested;
    }
    /// Gives up an order that stands still, and asks again for what is owed.
    step Chase: alone {
        deadline Overdue            => chase;
        says     OrderCancellationRequested, OrderConfirmed;
    }
    /// Ends the order once nobody has anything left to undo.
    undo Close {
        on       StockUnavailable, StockReleased                                          => close;
        on       PaymentDeclined, PaymentCaptureFailed, PaymentVoided, PaymentRefunded    => close;
        on       ShipmentRefused, ShipmentCancelled                                       => close;
        confirms OrderRejected, OrderCancelled;
    }
    /// Writes progress down for the timeline.
    step Record: alone {
        on       StockReserved, PaymentAuthorized, ShipmentScheduled                      => record;
    }
    /// Keeps a copy of the catalog's prices.
    step Follow: alone {
        on       ProductChanged     => follow;
    }
}
