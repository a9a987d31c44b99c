//! What a customer sees of an order: its own part, made here and alone in the stored answer of a command, and beside it
//! what was fetched from the other services in time.

use events::*;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Closed, Purchase, Sale, Standing},
    explanation::explanation,
};

#[cfg(feature = "shell")]
mod siblings;
#[cfg(feature = "shell")]
pub(crate) use siblings::{Parts, Settings, Siblings};

/// The order screen.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema))]
pub struct OrderScreen {
    /// The order's own part.
    #[serde(flatten)]
    pub own: Own,
    /// What inventory says; not in the stored answer of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<Part>,
    /// What payment says; not in the stored answer of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<Part>,
    /// What shipping says; not in the stored answer of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipment: Option<Part>,
    /// Every event that the order has said or heard, oldest first.
    pub timeline: Vec<Entry>,
}

/// What order knows by itself.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema))]
pub struct Own {
    /// As in the list.
    #[serde(flatten)]
    pub summary: Summary,
    /// What happened, or what it waits for, in a few plain sentences.
    pub explanation: String,
    /// What was ordered.
    #[cfg_attr(feature = "shell", schema(value_type = Vec<PricedLine>))]
    pub lines: Vec<Line>,
}

/// An order in a list.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema))]
pub struct Summary {
    /// The order's id.
    #[cfg_attr(feature = "shell", schema(value_type = uuid::Uuid))]
    pub id: OrderId,
    /// How it stands.
    pub status: Status,
    /// Why it is being undone, or ended otherwise than hoped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "shell", schema(value_type = Option<String>, example = "payment_declined"))]
    pub reason: Option<Reason>,
    /// Who ordered.
    #[cfg_attr(feature = "shell", schema(value_type = String))]
    pub customer_id: CustomerId,
    /// The sum of the lines.
    #[cfg_attr(feature = "shell", schema(value_type = Amount))]
    pub total: Money,
    /// What is owed before the order comes to rest.
    pub owed: Vec<Owed>,
    /// When it was placed.
    #[cfg_attr(feature = "shell", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When something last happened to it.
    #[cfg_attr(feature = "shell", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

/// How an order stands, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema, sqlx::Type))]
#[cfg_attr(feature = "shell", sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Status {
    /// Under way.
    Placed,
    /// Paid. It may be cancelled until it is dispatched.
    Confirmed,
    /// The goods are gone.
    Dispatched,
    /// What was done is being undone.
    Compensating,
    /// Ended: it could not be carried out.
    Rejected,
    /// Ended: the customer did not want it.
    Cancelled,
}

/// A service of the four.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema))]
#[allow(missing_docs, reason = "they are the services' names")]
pub enum ServiceName {
    Order,
    Inventory,
    Payment,
    Shipping,
}

/// Something that a service owes an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema))]
pub struct Owed {
    /// Who owes it.
    pub service: ServiceName,
    /// The event that would settle it, and what that waits for.
    pub what: String,
    /// Since when.
    #[cfg_attr(feature = "shell", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
}

/// An event that the order has said or heard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema))]
pub struct Entry {
    /// Of the event.
    #[cfg_attr(feature = "shell", schema(value_type = uuid::Uuid))]
    pub id: EventId,
    /// `payment.authorized.v1`.
    #[serde(rename = "type")]
    pub ty: String,
    /// Who said it, as on the wire: `/ensemble/payment`.
    pub source: String,
    /// When it was said.
    #[cfg_attr(feature = "shell", schema(value_type = String, format = DateTime))]
    pub time: Timestamp,
    /// What led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "shell", schema(value_type = Option<uuid::Uuid>))]
    pub causation_id: Option<EventId>,
    /// The trace that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// What another service says about the order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema))]
pub struct Part {
    /// In that service's own word; `unavailable` when it did not answer in time, `none` when it has not heard of the order.
    pub status: String,
    /// The carrier's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// What it waits for, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
}

/// What another service waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// The call to a partner that has not been answered: `AuthorizeCard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// How often it was tried under its key and not answered.
    pub tries: u32,
    /// Why the last try brought no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "shell", schema(value_type = Option<String>, format = DateTime))]
    pub next_try: Option<Timestamp>,
    /// The code of a message about the order that nobody could take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<String>,
}

/// Money, in the minor unit of its currency.
#[cfg(feature = "shell")]
#[derive(Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "describes `events::Money`")]
struct Amount {
    /// Minor units: 1250 is 12.50 EUR.
    amount: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
}

/// A line with its price.
#[cfg(feature = "shell")]
#[derive(Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "describes `events::Line`")]
struct PricedLine {
    /// What.
    sku: String,
    /// How many.
    quantity: u32,
    /// What one cost when the order was placed.
    unit_price: Amount,
}

/// The order's own part. `waiting` is what the services say that they wait for, where it is known.
pub fn own(id: OrderId, order: &Purchase, timeline: &[Entry], waiting: &[(ServiceName, Waiting)], now: Timestamp) -> Own {
    let heard = timeline.iter().map(|entry| entry.time).max();
    let mut summary = summary(id, order);
    summary.updated_at = heard.map_or(order.changed_at, |heard| heard.max(order.changed_at));
    Own { summary, explanation: explanation(order, timeline, waiting, now), lines: order.lines.clone() }
}

/// The events among what happened to an order: what the order has said, and what it has heard.
#[cfg(feature = "shell")]
pub(crate) fn events_of(log: Vec<chassis::commit::log::Entry>) -> Vec<Entry> {
    let events = log.into_iter().filter(|entry| matches!(entry.door.as_str(), "event" | "said"));
    let told = |entry: chassis::commit::log::Entry| Entry {
        id: EventId(entry.id),
        ty: entry.ty,
        source: events::source(&entry.source),
        time: entry.happened,
        causation_id: entry.causation.map(EventId),
        trace_id: entry.trace_id,
    };
    events.map(told).collect()
}

/// Stock, payment and shipment as the order has heard of them: the last word of each, in that service's own words.
#[cfg(feature = "shell")]
pub(crate) fn heard(timeline: &[Entry]) -> Parts {
    let last = |words: &[(&EventInfo, &str)]| {
        let word = |entry: &Entry| words.iter().find(|(event, _)| event.ty == entry.ty).map(|(_, status)| *status);
        Part::without(timeline.iter().rev().find_map(word).unwrap_or("none"))
    };
    Parts {
        stock: last(&[
            (StockReserved::INFO, "reserved"),
            (StockUnavailable::INFO, "unavailable"),
            (StockCommitted::INFO, "committed"),
            (StockReleased::INFO, "released"),
        ]),
        payment: last(&[
            (PaymentAuthorized::INFO, "authorized"),
            (PaymentDeclined::INFO, "declined"),
            (PaymentCaptured::INFO, "captured"),
            (PaymentCaptureFailed::INFO, "voiding"),
            (PaymentVoided::INFO, "voided"),
            (PaymentRefunded::INFO, "refunded"),
        ]),
        shipment: last(&[
            (ShipmentScheduled::INFO, "scheduled"),
            (ShipmentRefused::INFO, "refused"),
            (ShipmentCancelled::INFO, "cancelled"),
            (ShipmentDispatched::INFO, "dispatched"),
        ]),
    }
}

/// The screen, with what the other services say, or have said. `waiting`: what the order waits for in its own house.
#[cfg(feature = "shell")]
pub(crate) fn whole(id: OrderId, order: &Purchase, timeline: Vec<Entry>, parts: Parts, waiting: Option<Waiting>) -> OrderScreen {
    let here = waiting.map(|waiting| (ServiceName::Order, waiting));
    let waiting: Vec<_> = here.into_iter().chain(parts.waiting()).collect();
    let own = own(id, order, &timeline, &waiting, time::OffsetDateTime::now_utc().into());
    let Parts { stock, payment, shipment } = parts;
    OrderScreen { own, stock: Some(stock), payment: Some(payment), shipment: Some(shipment), timeline }
}

#[cfg(feature = "shell")]
impl From<chassis::calls::Waiting> for Waiting {
    fn from(waiting: chassis::calls::Waiting) -> Self {
        let chassis::calls::Waiting { call, tries, last_error, next_try, dead_letter } = waiting;
        Self { call, tries, last_error, next_try, dead_letter }
    }
}

#[cfg(feature = "shell")]
impl Part {
    /// A part of which only the word is known.
    pub(crate) fn without(status: &str) -> Self {
        Self { status: status.to_owned(), tracking: None, waiting: None }
    }
}

/// The order in a list.
pub fn summary(id: OrderId, order: &Purchase) -> Summary {
    Summary {
        id,
        status: status(&order.standing),
        reason: reason(&order.standing),
        customer_id: order.customer_id.clone(),
        total: order.total,
        owed: owed(&order.standing),
        created_at: order.placed_at,
        updated_at: order.changed_at,
    }
}

/// How it stands, in one word.
pub fn status(standing: &Standing) -> Status {
    match standing {
        Standing::Open => Status::Placed,
        Standing::Confirmed { .. } => Status::Confirmed,
        Standing::Cancelling { .. } | Standing::Closing { .. } => Status::Compensating,
        Standing::Dispatched { .. } => Status::Dispatched,
        Standing::Rejected { .. } => Status::Rejected,
        Standing::Cancelled => Status::Cancelled,
    }
}

/// The first cause that was recorded, if there is one that counts.
pub fn reason(standing: &Standing) -> Option<Reason> {
    match standing {
        Standing::Open | Standing::Confirmed { .. } | Standing::Dispatched { .. } => None,
        Standing::Cancelling { cause, .. } | Standing::Closing { cause, .. } => Some(*cause),
        Standing::Rejected { reason } => Some(*reason),
        Standing::Cancelled => Some(Reason::CustomerRequest),
    }
}

/// Who owes the order what, and since when.
pub fn owed(standing: &Standing) -> Vec<Owed> {
    use ServiceName::{Inventory, Shipping};
    let one = |service, what: &str, since| vec![Owed { service, what: what.to_owned(), since }];
    match *standing {
        Standing::Open => Vec::new(),
        Standing::Confirmed { sale } | Standing::Dispatched { sale, .. } => match sale {
            Sale::Owed { since, .. } => one(Inventory, "stock.committed", since),
            Sale::Committed => Vec::new(),
        },
        // Nobody else can act before the verdict.
        Standing::Cancelling { since, .. } => {
            one(Shipping, "a verdict: shipment.cancelled or shipment.cancellation_refused", since)
        }
        Standing::Closing { since, cause, closed, .. } => undone_by(since, cause, closed),
        Standing::Rejected { .. } | Standing::Cancelled => Vec::new(),
    }
}

/// Everybody who has not closed. Payment and inventory act on shipping's word when what failed came after the booking.
fn undone_by(since: Timestamp, cause: Reason, closed: Closed) -> Vec<Owed> {
    let after_shipping = match cause {
        Reason::CaptureFailed | Reason::CustomerRequest | Reason::Expired => true,
        Reason::OutOfStock | Reason::PaymentDeclined | Reason::ShipmentRefused => false,
    };
    let waits = after_shipping && closed.shipping.is_none();
    let since_free = closed.shipping.filter(|_| after_shipping).unwrap_or(since);
    let entry = |service, what: &str, closed: Option<Timestamp>, since, waits: bool| {
        let what = if waits { format!("{what}, waiting for shipping") } else { what.to_owned() };
        closed.is_none().then_some(Owed { service, what, since })
    };
    [
        entry(ServiceName::Inventory, "stock.released", closed.inventory, since_free, waits),
        entry(ServiceName::Payment, "payment.voided or payment.refunded", closed.payment, since_free, waits),
        entry(ServiceName::Shipping, "shipment.cancelled", closed.shipping, since, false),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl std::fmt::Display for ServiceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Order => "order",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Shipping => "shipping",
        })
    }
}

impl Status {
    /// As on the wire: `compensating`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Confirmed => "confirmed",
            Self::Dispatched => "dispatched",
            Self::Compensating => "compensating",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// What an order is that has said so; none when that event says nothing of how it has come out.
    pub fn told_by(event: &str) -> Option<Self> {
        let outcomes = [
            (OrderConfirmed::INFO, Self::Confirmed),
            (OrderRejected::INFO, Self::Rejected),
            (OrderCancelled::INFO, Self::Cancelled),
        ];
        outcomes.into_iter().find(|(info, _)| info.ty == event).map(|(_, status)| status)
    }

    /// The order is confirmed or has ended: what `Prefer: wait` waits for.
    pub const fn rests(self) -> bool {
        match self {
            Self::Placed | Self::Compensating => false,
            Self::Confirmed | Self::Dispatched | Self::Rejected | Self::Cancelled => true,
        }
    }
}
