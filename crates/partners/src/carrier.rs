//! The carrier: books a parcel, or refuses to go there. Its API is in the crate's documentation.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{
        OriginalUri, Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use redb::{MultimapTableDefinition, TableDefinition};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, Time, serde::rfc3339};
use uuid::Uuid;

use crate::{
    desk::{self, Circumstances, Desk, Key, Partner, Reply, Trouble},
    faults::{Facts, Operation},
    history::Entry,
    ledger::{Books, LedgerError, Pages, Record},
};

/// The carrier, as its desk sees it.
pub(crate) const CARRIER: Partner = Partner {
    name: "carrier",
    operations: &[Operation::Book, Operation::CancelBooking, Operation::Get, Operation::Search],
    word,
};

/// When parcels are fetched, on the day after they were booked, in UTC.
const PICK_UP: Time = time::macros::time!(08:00);

/// Everything on the carrier's port.
pub(crate) fn router(desk: Arc<Desk>) -> Router {
    let api = Router::new()
        .route("/v1/bookings", post(book).get(search))
        .route("/v1/bookings/{id}", get(retrieve))
        .route("/v1/bookings/{id}/cancel", post(cancel));
    desk::open::<Booking>(desk, api)
}

/// Where a parcel is to go.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Address {
    name: String,
    street: String,
    city: String,
    postal_code: String,
    /// ISO 3166-1 alpha-2.
    country: String,
}

/// Why the carrier does not go there: its code and its words.
type Refusal = (&'static str, &'static str);

impl Address {
    /// The table of places that the carrier does not serve.
    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self { country, .. } if ["AQ", "BV", "HM"].contains(&country.as_str()) => {
                Some(("destination_not_served", "We do not deliver to this country."))
            }
            Self { postal_code, .. } if postal_code == "00000" => Some(("address_unknown", "There is no such postal code.")),
            Self { street, .. } if street.to_ascii_lowercase().starts_with("po box") => {
                Some(("po_box_not_served", "We deliver to a door, not to a box."))
            }
            _ => None,
        }
    }
}

/// A request to fetch a parcel.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    reference: String,
    ship_to: Address,
}

impl Order {
    fn check(&self) -> Result<(), Reply> {
        let Address { name, street, city, postal_code, country } = &self.ship_to;
        let texts = [&self.reference, name, street, city, postal_code];
        if texts.iter().any(|text| text.trim().is_empty() || text.len() > 255) {
            return Err(invalid("reference and every line of ship_to must have 1 to 255 characters"));
        }
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid("ship_to.country must be two capital letters (ISO 3166-1)"));
        }
        Ok(())
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Booked,
    Refused,
    Cancelled,
}

/// The record in the ledger; `GET /ledger` shows it as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Booking {
    id: String,
    /// The order's id.
    reference: String,
    status: Status,
    /// The code of the refusal.
    refused: Option<String>,
    tracking: String,
    #[serde(with = "rfc3339")]
    pick_up: OffsetDateTime,
    ship_to: Address,
    #[serde(with = "rfc3339")]
    created: OffsetDateTime,
    history: Vec<Entry>,
}

impl Record for Booking {
    const TABLE: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("bookings");
    const BY_ORDER: MultimapTableDefinition<'static, &'static str, &'static str> =
        MultimapTableDefinition::new("bookings_by_reference");

    fn id(&self) -> &str {
        &self.id
    }

    fn order_id(&self) -> Option<&str> {
        Some(&self.reference)
    }

    fn at(self, _now: OffsetDateTime) -> Self {
        self
    }
}

impl Booking {
    fn new(order: Order, created: OffsetDateTime) -> Self {
        let id = Uuid::now_v7();
        Self {
            id: format!("bk_{}", id.simple()),
            reference: order.reference,
            status: Status::Booked,
            refused: None,
            tracking: format!("ENS{:016X}", id.as_u64_pair().1),
            pick_up: (created + Duration::DAY).replace_time(PICK_UP),
            ship_to: order.ship_to,
            created,
            history: Vec::new(),
        }
    }

    fn view(&self) -> Value {
        let pick_up = self.pick_up.format(&time::format_description::well_known::Rfc3339).expect("a year of four digits");
        json!({
            "id": self.id,
            "reference": self.reference,
            "tracking": self.tracking,
            "pick_up": pick_up,
            "status": self.status,
        })
    }

    fn facts(&self, operation: Operation) -> Facts {
        facts(operation, &self.reference, Some(&self.ship_to.name))
    }
}

async fn book(
    State(desk): State<Arc<Desk>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Response, Reply> {
    let Json(order) = order.map_err(|error| invalid(&error.body_text()))?;
    order.check()?;
    let content = serde_json::to_vec(&order).expect("an order is plain data");
    let key = Key::of(&headers, uri.path(), &content).map_err(word)?;
    let facts = facts(Operation::Book, &order.reference, Some(&order.ship_to.name));
    let effect = move |books: &Books<'_>, circumstances: &Circumstances| {
        let refusal = refusal(circumstances).or_else(|| order.ship_to.refusal().map(|(code, says)| (code.into(), says)));
        let mut booking = Booking::new(order, books.now);
        if let Some((code, _)) = &refusal {
            booking.status = Status::Refused;
            booking.refused = Some(code.clone());
        }
        let outcome = booking.refused.as_deref().unwrap_or("ok");
        booking.history.push(Entry::of(Operation::Book, outcome, circumstances));
        books.put(&booking)?;
        Ok(match refusal {
            None => Reply::new(StatusCode::CREATED, &booking.view()),
            Some((code, says)) => refused(StatusCode::UNPROCESSABLE_ENTITY, &code, says),
        })
    };
    Ok(desk.write(facts, key, effect).await)
}

/// Unknown or cancelled already is as good as cancelled.
async fn cancel(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    let key = Key::of(&headers, uri.path(), b"").map_err(word)?;
    let Some(known) = known(&desk, &id)? else {
        return Ok(Reply::new(StatusCode::OK, &json!({ "id": id, "status": "unknown" })).into_response());
    };
    let effect = move |books: &Books<'_>, circumstances: &Circumstances| {
        let mut booking: Booking = books.get(&id)?.ok_or(LedgerError::NotWritten)?;
        let refusal = refusal(circumstances);
        if refusal.is_none() && booking.status == Status::Booked {
            booking.status = Status::Cancelled;
        }
        let outcome = refusal.as_ref().map_or("ok", |(code, _)| code);
        booking.history.push(Entry::of(Operation::CancelBooking, outcome, circumstances));
        books.put(&booking)?;
        Ok(match refusal {
            None => Reply::new(StatusCode::OK, &booking.view()),
            Some((code, says)) => refused(StatusCode::UNPROCESSABLE_ENTITY, &code, says),
        })
    };
    Ok(desk.write(known.facts(Operation::CancelBooking), key, effect).await)
}

async fn retrieve(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Result<Response, Reply> {
    let missing = || refused(StatusCode::NOT_FOUND, "not_found", "There is no such booking.");
    let known = known(&desk, &id)?.ok_or_else(missing)?;
    let look = |pages: &Pages, _| {
        let found = pages.get::<Booking>(&id)?;
        Ok(found.map_or_else(missing, |booking| Reply::new(StatusCode::OK, &booking.view())))
    };
    Ok(desk.read(known.facts(Operation::Get), look).await)
}

#[derive(Deserialize)]
struct Search {
    reference: String,
}

/// The look-up by the customer's reference. It may lag; `retrieve` never does.
async fn search(State(desk): State<Arc<Desk>>, search: Result<Query<Search>, QueryRejection>) -> Result<Response, Reply> {
    let Query(Search { reference }) = search.map_err(|error| invalid(&error.body_text()))?;
    let look = |pages: &Pages, unseen_since| {
        let found = pages.of_order::<Booking>(&reference)?;
        let exists = |booking: &&Booking| booking.status != Status::Refused && booking.created <= unseen_since;
        let seen = found.iter().filter(exists);
        let data: Vec<_> = seen.rev().map(Booking::view).collect();
        Ok(Reply::new(StatusCode::OK, &json!({ "data": data })))
    };
    Ok(desk.read(facts(Operation::Search, &reference, None), look).await)
}

fn known(desk: &Desk, id: &str) -> Result<Option<Booking>, Reply> {
    let found = desk.ledger.read().and_then(|pages| pages.get::<Booking>(id));
    found.map_err(|error| desk.reply_or_trouble(Err(error)))
}

fn facts(operation: Operation, reference: &str, ship_to_name: Option<&str>) -> Facts {
    Facts { operation, order_id: Some(reference.into()), payment_method_tag: None, ship_to_name: ship_to_name.map(Into::into) }
}

/// What a fault rule wants refused.
fn refusal(circumstances: &Circumstances) -> Option<(String, &'static str)> {
    circumstances.decline.clone().map(|code| (code, "We will not do that."))
}

fn refused(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::new(status, &json!({ "code": code, "message": message }))
}

fn invalid(message: &str) -> Reply {
    refused(StatusCode::BAD_REQUEST, "invalid_request", message)
}

/// Trouble that has nothing to do with parcels, in the carrier's words.
fn word(trouble: Trouble) -> Reply {
    let (status, code, message) = match trouble {
        Trouble::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Who is asking?"),
        Trouble::NoSuchRoute => (StatusCode::NOT_FOUND, "not_found", "There is no such URL or method."),
        Trouble::KeyUnusable => (StatusCode::BAD_REQUEST, "invalid_request", "An Idempotency-Key has 1 to 255 characters."),
        Trouble::KeyInUse => (StatusCode::CONFLICT, "idempotency_key_in_use", "A request with this key is being executed."),
        Trouble::KeyReused => (StatusCode::BAD_REQUEST, "idempotency_error", "This key was first used for another request."),
        Trouble::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "rate_limit", "Too many requests."),
        Trouble::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "An unknown error occurred."),
        Trouble::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Please come back later."),
    };
    refused(status, code, message)
}
