//! The states of a shipment, and its verbs: each answers in every state.
#![deny(clippy::wildcard_enum_match_arm)]

use events::*;
use saga::{
    Answered,
    Because::{AlreadyDone, Recorded, Tombstone, TooEarly},
    Command, Context, Outcome, Problem, Receipt, Reply, Request, Table, ask, confirmed, confirms_later, contradiction, not_yet,
    nothing, say,
};
use serde::{Deserialize, Serialize};

use crate::reactions::{Input, step};

saga::records! {
    /// What shipping keeps.
    pub struct Shipments {
        /// One for each order.
        pub shipments: Table<OrderId, Shipment>,
    }
}

/// How the goods of one order stand. At most one call is open at a time: the one its state names.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the call's or the event's own words")]
pub enum Shipment {
    /// Nothing was asked.
    #[default]
    Absent,
    /// The carrier is asked to come.
    Booking,
    /// As `Booking`, but no longer wanted: what is booked is cancelled at once.
    BookingDoomed { because: Reason },
    /// The carrier will come. Nothing is paid yet, so nothing is handed over.
    Scheduled { booking: String, tracking: Tracking, pick_up: Timestamp },
    /// Booked and paid: it may be handed over.
    Ready { booking: String, tracking: Tracking, pick_up: Timestamp },
    /// The goods are gone.
    Dispatched { booking: String, tracking: Tracking, pick_up: Timestamp },
    /// The carrier will not take it.
    Refused { code: Code },
    /// The carrier is asked not to come. Nothing is handed over any more.
    Cancelling { booking: String, attempt: u32, because: Reason },
    /// Nothing is booked; also the tombstone of a shipment that was cancelled before it began.
    Cancelled { because: Reason },
}

/// What `GET /v1/shipments/{order_id}` shows, and what a dispatch answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShipmentView {
    /// Whose.
    pub order_id: OrderId,
    /// `booking`, `scheduled`, `ready`, `dispatched`, `refused`, `cancelling`, `cancelled`; `absent` when nothing was asked.
    pub status: String,
    /// The carrier's code, once it is booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// When the carrier comes, once it is booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pick_up: Option<Timestamp>,
    /// The carrier's word for why it will not take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// The warehouse wants to hand the goods over.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct DispatchShipment {
    /// Whose.
    pub order: OrderId,
}

/// Asks the carrier to come.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct BookShipment {
    /// Whose goods.
    pub order: OrderId,
    /// Where they go.
    pub ship_to: Address,
}

/// Asks the carrier not to come.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CancelBooking {
    /// Whose goods.
    pub order: OrderId,
    /// The carrier's name for the booking.
    pub booking: String,
    /// Under which key.
    pub attempt: u32,
}

/// The carrier's answer to [`BookShipment`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Booked {
    /// It comes.
    Done {
        /// The carrier's name for the booking.
        booking: String,
        /// Its code for the customer.
        tracking: Tracking,
        /// When it comes.
        pick_up: Timestamp,
    },
    /// It does not.
    Declined {
        /// The carrier's word for it.
        code: Code,
    },
    /// The key holds a stored error, and nothing was executed under it. No second key is drawn: it counts as a refusal.
    Burned,
}

/// The carrier's answer to [`CancelBooking`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TakenBack {
    /// Nothing is booked any more; also when nothing was.
    Done,
    /// It will not.
    Declined {
        /// The carrier's word for it.
        code: Code,
    },
    /// The key holds a stored error, and nothing was executed under it: the next attempt needs another key.
    Burned,
}

impl Request for BookShipment {
    type Answer = Booked;
    fn order(&self) -> OrderId {
        self.order
    }
}

impl Request for CancelBooking {
    type Answer = TakenBack;
    fn order(&self) -> OrderId {
        self.order
    }
    fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl Command for DispatchShipment {
    fn order(&self) -> Option<OrderId> {
        Some(self.order)
    }
}

impl Shipment {
    /// As the outside sees it.
    pub fn view(&self, order_id: OrderId) -> ShipmentView {
        let view = |status: &str| ShipmentView { order_id, status: status.to_owned(), tracking: None, pick_up: None, code: None };
        let booked = |status, tracking: &Tracking, pick_up: &Timestamp| ShipmentView {
            tracking: Some(tracking.clone()),
            pick_up: Some(*pick_up),
            ..view(status)
        };
        match self {
            Self::Absent => view("absent"),
            Self::Booking => view("booking"),
            Self::Scheduled { tracking, pick_up, .. } => booked("scheduled", tracking, pick_up),
            Self::Ready { tracking, pick_up, .. } => booked("ready", tracking, pick_up),
            Self::Dispatched { tracking, pick_up, .. } => booked("dispatched", tracking, pick_up),
            Self::Refused { code } => ShipmentView { code: Some(code.clone()), ..view("refused") },
            Self::BookingDoomed { .. } | Self::Cancelling { .. } => view("cancelling"),
            Self::Cancelled { .. } => view("cancelled"),
        }
    }
}

/// The command behind an event of shipping's own: with it a dispatch comes back that the database has lost.
pub fn recalled(event: &Event) -> Option<Input> {
    let Event::ShipmentDispatched(e) = event else { return None };
    Some(Input::DispatchShipment(DispatchShipment { order: e.order_id }))
}

/// Every input is about one order, and every order has one shipment.
pub(crate) fn touches(input: &Input, shipments: &mut Shipments) {
    shipments.shipments.want(saga::Inputs::saga(input));
}

/// `payment.authorized`: ask the carrier to come.
pub(crate) fn book(shipments: &mut Shipments, e: &PaymentAuthorized, _: &Context) -> Outcome<step::Book> {
    let shipment = shipments.shipments.of(&e.order_id);
    match shipment {
        Shipment::Absent => {
            *shipment = Shipment::Booking;
            ask(BookShipment { order: e.order_id, ship_to: e.ship_to.clone() })
        }
        Shipment::Cancelled { .. } => nothing(Tombstone),
        Shipment::Booking | Shipment::BookingDoomed { .. } | Shipment::Scheduled { .. } | Shipment::Ready { .. } => {
            nothing(AlreadyDone)
        }
        Shipment::Dispatched { .. } | Shipment::Refused { .. } | Shipment::Cancelling { .. } => nothing(AlreadyDone),
    }
}

/// The carrier answered whether it comes.
pub(crate) fn booked(shipments: &mut Shipments, a: &Answered<BookShipment>, _: &Context) -> Outcome<step::Book> {
    let order_id = a.call.order;
    let shipment = shipments.shipments.of(&order_id);
    match shipment.clone() {
        Shipment::Booking => match a.answer.clone() {
            Booked::Done { booking, tracking, pick_up } => {
                *shipment = Shipment::Scheduled { booking, tracking: tracking.clone(), pick_up };
                say(ShipmentScheduled { order_id, tracking, pick_up })
            }
            Booked::Declined { code } => refused(shipment, order_id, code),
            Booked::Burned => refused(shipment, order_id, "carrier_error".into()),
        },
        Shipment::BookingDoomed { because } => match a.answer.clone() {
            Booked::Done { booking, .. } => {
                *shipment = Shipment::Cancelling { booking: booking.clone(), attempt: 1, because };
                ask(CancelBooking { order: order_id, booking, attempt: 1 })
            }
            Booked::Declined { .. } | Booked::Burned => {
                *shipment = Shipment::Cancelled { because };
                say(ShipmentCancelled { order_id, because })
            }
        },
        Shipment::Absent => contradiction(),
        Shipment::Scheduled { .. } | Shipment::Ready { .. } | Shipment::Dispatched { .. } => nothing(AlreadyDone),
        Shipment::Refused { .. } | Shipment::Cancelling { .. } | Shipment::Cancelled { .. } => nothing(AlreadyDone),
    }
}

fn refused(shipment: &mut Shipment, order_id: OrderId, code: Code) -> Outcome<step::Book> {
    *shipment = Shipment::Refused { code: code.clone() };
    say(ShipmentRefused { order_id, code })
}

/// `payment.captured`, and `order.confirmed` which proves it (R3): the warehouse may hand the goods over.
pub(crate) fn clear<E: OfOrder>(shipments: &mut Shipments, e: &E, _: &Context) -> Outcome<step::Clear> {
    let shipment = shipments.shipments.of(&e.order());
    match shipment.clone() {
        Shipment::Scheduled { booking, tracking, pick_up } => {
            *shipment = Shipment::Ready { booking, tracking, pick_up };
            nothing(Recorded)
        }
        Shipment::Absent | Shipment::Booking | Shipment::BookingDoomed { .. } => not_yet(TooEarly),
        Shipment::Ready { .. } | Shipment::Dispatched { .. } => nothing(AlreadyDone),
        Shipment::Cancelling { .. } | Shipment::Cancelled { .. } => nothing(Tombstone),
        Shipment::Refused { .. } => contradiction(),
    }
}

/// The warehouse hands the goods over: only what is paid, and not what is cancelled. Its permission is this answer.
pub(crate) fn dispatch(shipments: &mut Shipments, c: &DispatchShipment, _: &Context) -> Reply<step::Dispatch> {
    let order_id = c.order;
    let shipment = shipments.shipments.of(&order_id);
    match shipment.clone() {
        Shipment::Ready { booking, tracking, pick_up } => {
            *shipment = Shipment::Dispatched { booking, tracking: tracking.clone(), pick_up };
            Ok(say(ShipmentDispatched { order_id, tracking }).answering(Receipt::new(200, &shipment.view(order_id))))
        }
        Shipment::Dispatched { .. } => Ok(nothing(AlreadyDone).answering(Receipt::new(200, &shipment.view(order_id)))),
        Shipment::Absent => {
            Err(Problem::new(404, "not-found", "Not found", format!("There is no shipment of order {order_id}.")))
        }
        Shipment::Booking => Err(not_ready("The carrier has not answered yet.")),
        Shipment::Scheduled { .. } => Err(not_ready("It is not paid yet.")),
        Shipment::Refused { .. } => Err(not_ready("The carrier will not take it.")),
        Shipment::BookingDoomed { .. } | Shipment::Cancelling { .. } => Err(not_ready("It is being cancelled.")),
        Shipment::Cancelled { .. } => Err(not_ready("It is cancelled.")),
    }
}

fn not_ready(why: &str) -> Problem {
    Problem::new(409, "not-ready-for-dispatch", "This cannot be dispatched", why)
}

/// `payment.capture_failed`: the goods stay here, so the carrier need not come.
pub(crate) fn give_up(shipments: &mut Shipments, e: &PaymentCaptureFailed, _: &Context) -> Outcome<step::Cancel> {
    let shipment = shipments.shipments.of(&e.order_id);
    match shipment.clone() {
        Shipment::Scheduled { booking, .. } => take_back(shipment, e.order_id, booking, e.why()),
        Shipment::Absent | Shipment::Booking | Shipment::BookingDoomed { .. } => not_yet(TooEarly),
        Shipment::Cancelling { .. } => confirms_later(),
        Shipment::Cancelled { .. } => confirmed(),
        Shipment::Ready { .. } | Shipment::Dispatched { .. } | Shipment::Refused { .. } => contradiction(),
    }
}

/// `order.cancellation_requested`: the arbiter's verdict. Gone is gone; else whatever there is is undone, a call in flight
/// once it is answered; what never began is buried; whoever asks again is told again (R2).
pub(crate) fn cancel(shipments: &mut Shipments, e: &OrderCancellationRequested, _: &Context) -> Outcome<step::Cancel> {
    let (order_id, because) = (e.order_id, e.because);
    let shipment = shipments.shipments.of(&order_id);
    match shipment.clone() {
        Shipment::Absent => {
            *shipment = Shipment::Cancelled { because };
            say(ShipmentCancelled { order_id, because })
        }
        Shipment::Booking => {
            *shipment = Shipment::BookingDoomed { because };
            confirms_later()
        }
        Shipment::Scheduled { booking, .. } | Shipment::Ready { booking, .. } => take_back(shipment, order_id, booking, because),
        Shipment::Dispatched { .. } => say(ShipmentCancellationRefused { order_id }),
        Shipment::Refused { .. } => say(ShipmentCancelled { order_id, because }),
        Shipment::BookingDoomed { .. } | Shipment::Cancelling { .. } => confirms_later(),
        Shipment::Cancelled { because } => say(ShipmentCancelled { order_id, because }),
    }
}

fn take_back(shipment: &mut Shipment, order: OrderId, booking: String, because: Reason) -> Outcome<step::Cancel> {
    *shipment = Shipment::Cancelling { booking: booking.clone(), attempt: 1, because };
    ask(CancelBooking { order, booking, attempt: 1 })
}

/// The carrier answered a cancellation. It is never given up: a refusal draws the next key.
pub(crate) fn cancelled(shipments: &mut Shipments, a: &Answered<CancelBooking>, _: &Context) -> Outcome<step::Cancel> {
    let order = a.call.order;
    let shipment = shipments.shipments.of(&order);
    match shipment.clone() {
        Shipment::Cancelling { booking, attempt, because } if attempt == a.call.attempt => match a.answer {
            TakenBack::Done => {
                *shipment = Shipment::Cancelled { because };
                say(ShipmentCancelled { order_id: order, because })
            }
            TakenBack::Declined { .. } | TakenBack::Burned => {
                let attempt = attempt + 1;
                *shipment = Shipment::Cancelling { booking: booking.clone(), attempt, because };
                ask(CancelBooking { order, booking, attempt }).and_alarm("the carrier will not cancel a booking")
            }
        },
        Shipment::Cancelling { .. } => confirms_later(),
        Shipment::Cancelled { .. } => confirmed(),
        Shipment::Absent | Shipment::Booking | Shipment::BookingDoomed { .. } | Shipment::Scheduled { .. } => contradiction(),
        Shipment::Ready { .. } | Shipment::Dispatched { .. } | Shipment::Refused { .. } => contradiction(),
    }
}
