//! Inventory's routes: the catalog, what an operator does to it, and what is set aside for an order.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use chassis::{
    House,
    edge::{Answer, Command, IfMatch, Page, Path, Problem, ProblemPage, Revision},
};
use events::{Currency, Money, OrderId, Sku};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::{AdjustStock, PutProduct, Reservation},
    reactions::{Input, Inventory},
    store,
};

pub(crate) const PROBLEMS: &[ProblemPage] = &[
    ProblemPage {
        slug: "stock-below-zero",
        status: 409,
        title: "There are not that many",
        text: "More was to be counted out than is on the shelf. What is set aside for an order cannot be counted out.",
    },
    ProblemPage {
        slug: "stock-above-limit",
        status: 409,
        title: "That is too many",
        text: "No more of one product can ever be received than a 32-bit integer counts.",
    },
];

pub(crate) fn routes(house: House<Inventory>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(products))
        .routes(routes!(product, put))
        .routes(routes!(adjust))
        .routes(routes!(reservation))
        .with_state(house)
}

/// A product's name and price.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProduct {
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What one costs.
    price: Price,
}

/// Money in minor units.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Price {
    /// Cents, for most currencies.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$")]
    currency: Currency,
}

/// Goods counted in or out.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Adjustment {
    /// How many: in when positive, out when negative.
    #[schema(minimum = -2_147_483_647, maximum = 2_147_483_647)]
    delta: i64,
    /// Why: `goods in`, `broken`.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// Lists the catalog, page by page, in order of SKU.
#[utoipa::path(get, path = "/v1/products", params(("cursor" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses((status = 200, body = Object)))]
async fn products(State(house): State<House<Inventory>>, page: Page<String>) -> Result<Response, Problem> {
    let after = page.after.clone().unwrap_or_default();
    let rows = store::list_stock(&house.pool, &after, page.to_load()).await.map_err(|error| Problem::unavailable(&error))?;
    let views = rows.iter().map(|(sku, stock)| stock.view(sku)).collect();
    Ok(page.answer(views, |view| view.sku.0.clone()))
}

/// Shows a product.
#[utoipa::path(get, path = "/v1/products/{sku}", params(("sku" = String, Path)), responses((status = 200, body = Object)))]
async fn product(
    State(house): State<House<Inventory>>,
    Path(sku): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = store::read_stock(&house.pool, &sku).await.map_err(|error| Problem::unavailable(&error))?;
    let (sku, stock) = found.ok_or_else(|| Problem::not_found(format!("There is no product {sku}.")))?;
    Ok(Revision(stock.version).answer(&headers, Json(stock.view(&sku))))
}

/// Gives a product its name and price; a new one comes without stock.
#[utoipa::path(put, path = "/v1/products/{sku}", params(("sku" = String, Path)), request_body = NewProduct,
    responses((status = 200, body = Object), (status = 201, body = Object)))]
async fn put(
    State(house): State<House<Inventory>>,
    Path(sku): Path<String>,
    seen: IfMatch,
    command: Command<NewProduct>,
) -> Result<Answer, Problem> {
    let seen = match seen {
        IfMatch::Absent | IfMatch::Any => None,
        IfMatch::Revision(Revision(version)) => Some(version),
    };
    let sku = named(sku)?;
    command
        .submit(&house.door, |NewProduct { name, price }| {
            Input::PutProduct(PutProduct { sku, name, price: Money::new(price.amount, price.currency), seen })
        })
        .await
}

/// Counts goods in or out.
#[utoipa::path(post, path = "/v1/products/{sku}/adjustments", params(("sku" = String, Path)), request_body = Adjustment,
    responses((status = 200, body = Object)))]
async fn adjust(
    State(house): State<House<Inventory>>,
    Path(sku): Path<String>,
    command: Command<Adjustment>,
) -> Result<Answer, Problem> {
    let sku = named(sku)?;
    command.submit(&house.door, |Adjustment { delta, reason }| Input::AdjustStock(AdjustStock { sku, delta, reason })).await
}

/// Shows what is set aside for one order.
#[utoipa::path(get, path = "/v1/reservations/{order_id}", params(("order_id" = Uuid, Path)), responses((status = 200, body = Object)))]
async fn reservation(State(house): State<House<Inventory>>, Path(order): Path<Uuid>) -> Result<Json<Value>, Problem> {
    let order = OrderId(order);
    let found = store::read_reservation(&house.pool, order).await.map_err(|error| Problem::unavailable(&error))?;
    let waiting = house.waiting(order).await.map_err(|error| Problem::unavailable(&error))?;
    // What it first heard of the order may be a dead letter, and that is worth showing.
    let found = found.or_else(|| waiting.is_some().then(Reservation::default));
    let found = found.ok_or_else(|| Problem::not_found("Inventory has not heard of this order."))?;
    let (status, lines, missing) = match found {
        Reservation::Absent => ("absent", json!([]), json!([])),
        Reservation::Reserved { lines } => ("reserved", json!(lines), json!([])),
        Reservation::Unavailable { missing } => ("unavailable", json!([]), json!(missing)),
        Reservation::Released { .. } => ("released", json!([]), json!([])),
        Reservation::Committed { lines } => ("committed", json!(lines), json!([])),
    };
    Ok(Json(json!({"order_id": order, "status": status, "lines": lines, "missing": missing, "waiting": waiting})))
}

/// A SKU is what can stand in a path and be read aloud.
fn named(sku: String) -> Result<Sku, Problem> {
    let fits = (1..=64).contains(&sku.len()) && sku.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fits { Ok(Sku(sku)) } else { Err(Problem::not_found("A SKU has 1 to 64 letters, digits, `-`, `_` or `.`.")) }
}
