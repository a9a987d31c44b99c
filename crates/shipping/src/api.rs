//! Shipping's routes: look at a shipment, and hand it over.

use axum::{Json, extract::State};
use chassis::{
    House,
    calls::Waiting,
    edge::{Answer, Command, NoFields, Path, Problem, ProblemPage},
};
use events::OrderId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::{DispatchShipment, Shipment, ShipmentView},
    reactions::{Input, Shipping},
    store,
};

pub(crate) const PROBLEMS: &[ProblemPage] = &[];

pub(crate) fn routes(house: House<Shipping>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(shipment)).routes(routes!(dispatch)).with_state(house)
}

/// How the goods of one order stand.
#[derive(Serialize, ToSchema)]
struct Shown {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    shipment: ShipmentView,
    /// What shipping waits for, if for anything.
    waiting: Option<Waiting>,
}

/// Shows how the goods of one order stand.
#[utoipa::path(get, path = "/v1/shipments/{order_id}", params(("order_id" = Uuid, Path)), responses((status = 200, body = Shown)))]
async fn shipment(State(house): State<House<Shipping>>, Path(order): Path<Uuid>) -> Result<Json<Shown>, Problem> {
    let order = OrderId(order);
    let found = store::read(&house.pool, order).await.map_err(|error| Problem::unavailable(&error))?;
    let waiting = house.waiting(order).await.map_err(|error| Problem::unavailable(&error))?;
    // What it first heard of the order may be a dead letter, and that is worth showing.
    let found = found.or_else(|| waiting.is_some().then(Shipment::default));
    let found = found.ok_or_else(|| Problem::not_found("Shipping has not heard of this order."))?;
    Ok(Json(Shown { shipment: found.view(order), waiting }))
}

/// Hands the goods over, once they are booked and paid.
#[utoipa::path(post, path = "/v1/shipments/{order_id}/dispatch", params(("order_id" = Uuid, Path)), request_body = NoFields,
    responses((status = 200, body = Object, description = "Handed over, now or before.")))]
async fn dispatch(
    State(house): State<House<Shipping>>,
    Path(order): Path<Uuid>,
    command: Command<NoFields>,
) -> Result<Answer, Problem> {
    command.submit(&house.door, |_| Input::DispatchShipment(DispatchShipment { order: OrderId(order) })).await
}
