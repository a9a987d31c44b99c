//! The contract between the services: every event that one says and another hears, and how it travels.
//!
//! This crate owns the event types, the CloudEvents envelope, the subjects, the ids and the money. It promises that
//! an event, once published, can be read for ever (`golden/` holds one file for each version). It knows nothing but
//! serde: no I/O, no clock, and nobody who consumes.

mod event;
mod values;

mod envelope;
mod ids;
mod money;
mod timestamp;
mod trace;

pub use envelope::{Envelope, MalformedEnvelope, durable, inbox, nouns, source, stream, subject};
#[cfg(feature = "schema")]
pub use event::Described;
pub use event::{DecodeError, EventData, EventInfo};
pub use ids::{CallId, EventId, OrderId, SagaId, derived, named};
pub use money::{Currency, Money, MoneyError};
pub use timestamp::Timestamp;
pub use trace::TraceContext;
pub use values::{Address, Charge, Code, CustomerId, Line, Missing, OfOrder, PaymentMethod, Reason, Sku, Tracking, Why};

use event::events;
use serde::{Deserialize, Serialize};

events! {
    order {
        /// A customer's order is priced and recorded.
        OrderPlaced "order.placed" 1 {
            /// Who ordered.
            customer_id: CustomerId,
            /// What, how many, at what price.
            lines: Vec<Line>,
            /// The sum of the lines.
            total: Money,
            /// What pays for it.
            payment_method: PaymentMethod,
            /// Where it goes.
            ship_to: Address,
        }
        /// The money is taken, so the order stands.
        OrderConfirmed "order.confirmed" 1 {}
        /// The order asks shipping, the arbiter, to stop.
        OrderCancellationRequested "order.cancellation_requested" 1 {
            /// The customer, or the deadline.
            because: Reason,
            /// Which asking this is; it grows, so that each has an id of its own.
            asking: u32,
        }
        /// The order ended because the customer wished it; nothing is owed.
        OrderCancelled "order.cancelled" 1 terminal {
            /// The first cause that was recorded.
            reason: Reason,
        }
        /// The order ended because it could not be carried out; nothing is owed.
        OrderRejected "order.rejected" 1 terminal {
            /// The first cause that was recorded.
            reason: Reason,
        }
    }
    inventory {
        /// Every line is set aside.
        StockReserved "stock.reserved" 1 {
            /// What payment is to hold.
            total: Money,
            /// What pays for it.
            payment_method: PaymentMethod,
            /// Where it goes.
            ship_to: Address,
        }
        /// Not every line is there, so none is set aside.
        StockUnavailable "stock.unavailable" 1 {
            /// The lines that fell short.
            missing: Vec<Missing>,
        }
        /// What was set aside, or sold, is back on the shelf.
        StockReleased "stock.released" 1 {
            /// The failure that led here.
            because: Reason,
        }
        /// What was set aside is sold.
        StockCommitted "stock.committed" 1 {}
        /// A product of the catalog is new, or has another price, name or count.
        ProductChanged "product.changed" 1 alone by sku version {
            /// Which.
            sku: Sku,
            /// What people call it.
            name: String,
            /// What one costs.
            price: Money,
            /// How many can be ordered.
            available: u32,
            /// Of the product's row: an older one than the reader has does nothing.
            version: u64,
        }
    }
    payment {
        /// The money is held on the customer's card.
        PaymentAuthorized "payment.authorized" 1 {
            /// Where the goods go.
            ship_to: Address,
            /// The gateway's name for the payment.
            charge: Charge,
            /// When the hold lapses.
            capture_before: Timestamp,
        }
        /// The card was declined.
        PaymentDeclined "payment.declined" 1 {
            /// The gateway's word for it.
            code: Code,
        }
        /// The money is taken: the pivot.
        PaymentCaptured "payment.captured" 1 {
            /// The gateway's name for the payment.
            charge: Charge,
            /// How much.
            amount: Money,
        }
        /// The money was held, but could not be taken.
        PaymentCaptureFailed "payment.capture_failed" 1 {
            /// The gateway's word for it.
            code: Code,
        }
        /// Nothing is held any more.
        PaymentVoided "payment.voided" 1 {
            /// The failure that led here.
            because: Reason,
        }
        /// What was taken is paid back.
        PaymentRefunded "payment.refunded" 1 {
            /// The failure that led here.
            because: Reason,
            /// How much.
            amount: Money,
        }
    }
    shipping {
        /// The carrier is booked.
        ShipmentScheduled "shipment.scheduled" 1 {
            /// The carrier's code.
            tracking: Tracking,
            /// When the carrier comes.
            pick_up: Timestamp,
        }
        /// The carrier will not take it.
        ShipmentRefused "shipment.refused" 1 {
            /// The carrier's word for it.
            code: Code,
        }
        /// Nothing is booked any more, and nothing will be dispatched.
        ShipmentCancelled "shipment.cancelled" 1 {
            /// The failure that led here.
            because: Reason,
        }
        /// The goods are gone: it is too late to cancel.
        ShipmentCancellationRefused "shipment.cancellation_refused" 1 {}
        /// The goods are handed over.
        ShipmentDispatched "shipment.dispatched" 1 {
            /// The carrier's code.
            tracking: Tracking,
        }
    }
}

macro_rules! why {
    ( $( $event:ident => $why:expr; )+ ) => { $( impl Why for $event { fn why(&self) -> Reason { let why: fn(&Self) -> Reason = $why; why(self) } } )+ };
}
why! {
    StockUnavailable           => |_| Reason::OutOfStock;
    PaymentDeclined            => |_| Reason::PaymentDeclined;
    ShipmentRefused            => |_| Reason::ShipmentRefused;
    PaymentCaptureFailed       => |_| Reason::CaptureFailed;
    OrderCancellationRequested => |e| e.because;
    ShipmentCancelled          => |e| e.because;
    StockReleased              => |e| e.because;
    PaymentVoided              => |e| e.because;
    PaymentRefunded            => |e| e.because;
}
