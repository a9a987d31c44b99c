//! Payment's one route: how the money of an order stands.

use axum::{Json, extract::State};
use chassis::{
    House,
    calls::Waiting,
    edge::{Path, Problem, ProblemPage},
};
use events::{Charge, Money, OrderId, Reason};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{domain::Hold, reactions::Payment, store};

pub(crate) const PROBLEMS: &[ProblemPage] = &[];

pub(crate) fn routes(house: House<Payment>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(payment)).with_state(house)
}

/// How the money of one order stands.
#[derive(Serialize, ToSchema)]
struct Shown {
    /// Whose.
    order_id: Uuid,
    /// `authorizing`, `authorized`, `declined`, `capturing`, `captured`, `voiding`, `voided`, `refunding`, `refunded`; `absent` when nothing was asked.
    status: &'static str,
    /// How much, where it is known.
    #[schema(value_type = Option<Object>)]
    amount: Option<Money>,
    /// The gateway's name for it, once it has one.
    #[schema(value_type = Option<String>)]
    charge: Option<Charge>,
    /// Why it was, or is being, undone.
    #[schema(value_type = Option<String>)]
    because: Option<Reason>,
    /// What payment waits for, if for anything.
    waiting: Option<Waiting>,
}

/// Shows how the money of one order stands.
#[utoipa::path(get, path = "/v1/payments/{order_id}", params(("order_id" = Uuid, Path)), responses((status = 200, body = Shown)))]
async fn payment(State(house): State<House<Payment>>, Path(order): Path<Uuid>) -> Result<Json<Shown>, Problem> {
    let order = OrderId(order);
    let found = store::read(&house.pool, order).await.map_err(|error| Problem::unavailable(&error))?;
    let waiting = house.waiting(order).await.map_err(|error| Problem::unavailable(&error))?;
    // What it first heard of the order may be a dead letter, and that is worth showing.
    let found = found.or_else(|| waiting.is_some().then(Hold::default));
    let found = found.ok_or_else(|| Problem::not_found("Payment has not heard of this order."))?;
    Ok(Json(shown(order, found, waiting)))
}

fn shown(order: OrderId, hold: Hold, waiting: Option<Waiting>) -> Shown {
    let (status, amount, charge, because) = match hold {
        Hold::Absent => ("absent", None, None, None),
        Hold::Authorizing { amount, .. } => ("authorizing", Some(amount), None, None),
        Hold::AuthorizingDoomed { amount, because } => ("authorizing", Some(amount), None, Some(because)),
        Hold::Authorized { charge, amount } => ("authorized", Some(amount), Some(charge), None),
        Hold::Declined => ("declined", None, None, None),
        Hold::Capturing { charge, amount, .. } => ("capturing", Some(amount), Some(charge), None),
        Hold::CapturingDoomed { charge, amount, because, .. } => ("capturing", Some(amount), Some(charge), Some(because)),
        Hold::Captured { charge, amount } => ("captured", Some(amount), Some(charge), None),
        Hold::Voiding { charge, because, .. } => ("voiding", None, Some(charge), Some(because)),
        Hold::Voided { because } => ("voided", None, None, Some(because)),
        Hold::Refunding { charge, amount, because, .. } => ("refunding", Some(amount), Some(charge), Some(because)),
        Hold::Refunded { amount, because } => ("refunded", Some(amount), None, Some(because)),
    };
    Shown { order_id: order.0, status, amount, charge, because, waiting }
}
