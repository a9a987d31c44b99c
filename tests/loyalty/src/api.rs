//! Loyalty's one route.

use axum::{Json, extract::State};
use chassis::{
    House,
    edge::{Path, Problem},
};
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{reactions::Loyalty, store};

pub(crate) fn routes(house: House<Loyalty>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(points)).with_state(house)
}

/// Shows a customer's points.
#[utoipa::path(get, path = "/v1/points/{customer_id}", params(("customer_id" = String, Path)), responses((status = 200, body = Object)))]
async fn points(State(house): State<House<Loyalty>>, Path(customer): Path<String>) -> Result<Json<Value>, Problem> {
    let points = store::points(&house.pool, &customer).await.map_err(|error| Problem::unavailable(&error))?;
    Ok(Json(json!({"customer_id": customer, "points": points})))
}
