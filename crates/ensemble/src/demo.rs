//! Five orders, one for each way of ending, placed over HTTP as anybody would.

use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::part::Service;
use crate::stack::{Addresses, wait};

/// One order that is about to be played.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// What it shows.
    pub title: &'static str,
    pays_with: &'static str,
    goes_to: &'static str,
    asks_for: Wish,
    then: Then,
    /// The status it must end with, and the reason.
    foretold: (&'static str, Option<&'static str>),
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Two,
    /// One more than there are.
    TooMany,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Cancel,
}

const HAPPY: Scene = Scene {
    title: "A happy order",
    pays_with: "pm_card_visa",
    goes_to: "DE",
    asks_for: Wish::Two,
    then: Then::Nothing,
    foretold: ("confirmed", None),
};

/// All five.
pub const SCENES: [Scene; 5] = [
    HAPPY,
    Scene { title: "More than is in stock", asks_for: Wish::TooMany, foretold: ("rejected", Some("out_of_stock")), ..HAPPY },
    Scene {
        title: "The card is declined",
        pays_with: "pm_card_chargeDeclined",
        foretold: ("rejected", Some("payment_declined")),
        ..HAPPY
    },
    Scene {
        title: "The carrier does not go to Antarctica",
        goes_to: "AQ",
        foretold: ("rejected", Some("shipment_refused")),
        ..HAPPY
    },
    Scene {
        title: "Confirmed, and then the customer cancels",
        then: Then::Cancel,
        foretold: ("cancelled", Some("customer_request")),
        ..HAPPY
    },
];

/// The order screen, as far as it is shown here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Screen {
    /// The order.
    pub id: String,
    /// Where it stands.
    pub status: String,
    /// Why, where it did not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One to three sentences.
    pub explanation: String,
    /// What happened, oldest first.
    pub timeline: Vec<Moment>,
}

impl Screen {
    /// A confirmed order rests when inventory has turned its reservation into a sale.
    fn is_at_rest(&self) -> bool {
        match self.status.as_str() {
            "confirmed" => self.timeline.iter().any(|moment| moment.what.starts_with("stock.committed.")),
            "rejected" | "cancelled" | "dispatched" => true,
            _ => false,
        }
    }
}

/// One event of a timeline.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Moment {
    /// `payment.authorized.v1`.
    #[serde(rename = "type")]
    pub what: String,
    /// `/ensemble/payment`.
    pub source: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub time: time::OffsetDateTime,
}

/// A scene that has been played.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// What it was to show.
    pub title: &'static str,
    /// The status that was foretold, and the reason.
    pub foretold: (&'static str, Option<&'static str>),
    /// How it ended.
    pub order: Screen,
}

impl Played {
    /// Whether it ended as it was to end.
    pub fn ended_as_foretold(&self) -> bool {
        (self.order.status.as_str(), self.order.reason.as_deref()) == self.foretold
    }
}

/// Plays a scene to its end.
///
/// # Errors
/// When a service does not answer, refuses the order, or the order does not come to rest.
pub async fn play(scene: Scene, addresses: &Addresses) -> anyhow::Result<Played> {
    let shop = Shop { addresses };
    let product = shop.product(scene.asks_for).await?;
    let id = shop.place(&product, scene).await?;
    let mut order = shop.at_rest(&id).await?;
    if matches!(scene.then, Then::Cancel) {
        shop.cancel(&id).await?;
        order = shop.at_rest(&id).await?;
    }
    Ok(Played { title: scene.title, foretold: scene.foretold, order })
}

struct Shop<'a> {
    addresses: &'a Addresses,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Product>,
}

#[derive(Deserialize)]
struct Product {
    sku: String,
    available: u32,
}

/// A product and how many of it.
struct Line {
    sku: String,
    quantity: u32,
}

impl Shop<'_> {
    /// The best stocked product for an order that must find stock, the scarcest for one that must not.
    async fn product(&self, wish: Wish) -> anyhow::Result<Line> {
        let url = format!("{}/v1/products?limit=100", self.addresses.url(Service::Inventory));
        let listed = answer(wait::client().get(url)).await?;
        let products = serde_json::from_value::<Page>(listed).context("the answer is not a page of products")?.items;
        let chosen = match wish {
            Wish::Two => products.into_iter().max_by_key(|product| product.available).map(|product| (product, 2)),
            Wish::TooMany => products.into_iter().min_by_key(|product| product.available).map(|product| {
                let more = product.available + 1;
                (product, more)
            }),
        };
        let (product, quantity) = chosen.context("inventory has no products")?;
        Ok(Line { sku: product.sku, quantity })
    }

    async fn place(&self, line: &Line, scene: Scene) -> anyhow::Result<String> {
        let body = json!({
            "customer_id": "c-demo", "currency": "EUR",
            "lines": [{"sku": line.sku, "quantity": line.quantity}],
            "payment_method": scene.pays_with,
            "ship_to": {"name": "Ada", "street": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": scene.goes_to},
        });
        let placed = self.post(&format!("{}/v1/orders", self.addresses.url(Service::Order)), &body).await?;
        let id = placed.get("id").and_then(Value::as_str).context("the answer names no order")?;
        Ok(id.to_owned())
    }

    async fn cancel(&self, id: &str) -> anyhow::Result<Value> {
        self.post(&format!("{}/v1/orders/{id}/cancel", self.addresses.url(Service::Order)), &json!({})).await
    }

    async fn post(&self, url: &str, body: &Value) -> anyhow::Result<Value> {
        let key = format!("\"demo-{}\"", uuid::Uuid::now_v7());
        let request = wait::client().post(url).header("Idempotency-Key", key).header("Prefer", "wait=3").json(body);
        answer(request).await
    }

    /// Asks until nothing more happens to the order by itself.
    async fn at_rest(&self, id: &str) -> anyhow::Result<Screen> {
        let url = format!("{}/v1/orders/{id}", self.addresses.url(Service::Order));
        wait::until(Instant::now() + Duration::from_secs(30), || async {
            let value = answer(wait::client().get(&url)).await.map_err(|error| format!("{error:#}"))?;
            let screen: Screen = serde_json::from_value(value).map_err(|error| format!("not an order screen: {error}"))?;
            if screen.is_at_rest() { Ok(screen) } else { Err(format!("order {id} is {}: {}", screen.status, screen.explanation)) }
        })
        .await
    }
}

/// The body of an answer that is not a refusal. A service that is just then without its database says 503, and
/// means: the same again, under the same key.
async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    wait::until(Instant::now() + Duration::from_secs(10), || async {
        let again = request.try_clone().expect("the body is a string, not a stream");
        match once(again).await {
            Ok((StatusCode::SERVICE_UNAVAILABLE, body)) => Err(body),
            Ok((status, body)) if status.is_success() => Ok(serde_json::from_str(&body).context("not JSON")),
            Ok((status, body)) => Ok(Err(anyhow::anyhow!("refused with {status}: {body}"))),
            Err(error) => Ok(Err(error)),
        }
    })
    .await
    .and_then(|outcome| outcome)
}

async fn once(request: reqwest::RequestBuilder) -> anyhow::Result<(StatusCode, String)> {
    let answer = request.send().await.context("no answer: is the stack up? (`just status`)")?;
    Ok((answer.status(), answer.text().await.context("the answer broke off")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_of_the_conventions_is_read() {
        let text = r#"{"id":"0190","status":"rejected","reason":"payment_declined","explanation":"Rejected.","customer_id":"c",
            "total":{"amount":1,"currency":"EUR"},"lines":[],"timeline":[{"id":"x","type":"order.placed.v1","source":"/ensemble/order",
            "time":"2026-11-24T18:00:00.123456Z","causation_id":null,"trace_id":null}]}"#;
        let order: Screen = serde_json::from_str(text).expect("a screen");
        let played = Played { title: "", foretold: ("rejected", Some("payment_declined")), order };
        assert!(played.ended_as_foretold());
        assert!(played.order.is_at_rest());
        assert_eq!(played.order.timeline[0].time.microsecond(), 123_456);
    }
}
