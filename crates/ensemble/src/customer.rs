//! A customer, who speaks HTTP in verbs.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stack::{eventually, eventually_paced};

/// What a killed replica had in hand comes to another after the broker's ack wait and the lease of a call, and a service that
/// dies again and again is back for a moment only.
const PATIENCE: Duration = Duration::from_secs(300);
/// Before an order that was not taken is sent again: hundreds at once would keep a service that starts from starting.
const AGAIN: Duration = Duration::from_millis(250);

/// Somebody who orders.
#[derive(Clone, Debug)]
pub struct Customer {
    http: reqwest::Client,
    order: String,
    inventory: String,
    shipping: String,
    /// As in `customer_id`.
    pub name: String,
}

/// What somebody is about to order.
#[derive(Clone, Debug)]
pub struct Basket(pub Value);

impl Basket {
    /// One line, paid by a card that works, to Berlin.
    pub fn of(sku: &str, quantity: u32) -> Self {
        Self(json!({
            "customer_id": "c-1001", "currency": "EUR",
            "lines": [{"sku": sku, "quantity": quantity}],
            "payment_method": "pm_card_visa",
            "ship_to": {"name": "Ada", "street": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"}
        }))
    }

    /// And this line.
    #[must_use]
    pub fn and(mut self, sku: &str, quantity: u32) -> Self {
        if let Some(lines) = self.0["lines"].as_array_mut() {
            lines.push(json!({"sku": sku, "quantity": quantity}));
        }
        self
    }

    /// Paid with that.
    #[must_use]
    pub fn paid_with(mut self, payment_method: &str) -> Self {
        self.0["payment_method"] = json!(payment_method);
        self
    }

    /// To that country.
    #[must_use]
    pub fn to_country(mut self, country: &str) -> Self {
        self.0["ship_to"]["country"] = json!(country);
        self
    }

    /// To that person.
    #[must_use]
    pub fn to_name(mut self, name: &str) -> Self {
        self.0["ship_to"]["name"] = json!(name);
        self
    }
}

/// An order that was accepted.
#[derive(Clone, Debug)]
pub struct Placed {
    customer: Customer,
    /// Its id.
    pub id: String,
}

/// What `GET /v1/orders/{id}` shows.
#[derive(Clone, Debug)]
pub struct Screen(pub Value);

impl Screen {
    /// `placed`, `confirmed`, `dispatched`, `compensating`, `rejected`, `cancelled`.
    pub fn status(&self) -> &str {
        self.0["status"].as_str().unwrap_or_default()
    }

    /// Why it ended otherwise.
    pub fn reason(&self) -> &str {
        self.0["reason"].as_str().unwrap_or_default()
    }

    /// The event types of its timeline, in order.
    pub fn timeline(&self) -> Vec<String> {
        let entries = self.0["timeline"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["type"].as_str().unwrap_or_default().trim_end_matches(".v1").to_owned()).collect()
    }

    /// Nothing more will happen by itself: it ended, or it is confirmed and the stock is sold.
    pub fn rests(&self) -> bool {
        let committed = || self.timeline().iter().any(|ty| ty == "stock.committed");
        match self.status() {
            "confirmed" => committed(),
            "dispatched" | "rejected" | "cancelled" => true,
            _ => false,
        }
    }

    /// Fails unless it ended so, owing nothing.
    ///
    /// # Errors
    /// When it did not: the whole screen.
    pub fn must_be(&self, status: &str, reason: &str) -> anyhow::Result<()> {
        ensure!(self.status() == status && self.reason() == reason, "not {status} {reason}: {:#}", self.0);
        ensure!(self.0["owed"].as_array().is_some_and(Vec::is_empty), "something is owed: {:#}", self.0);
        Ok(())
    }

    /// Fails unless all of these are in its timeline.
    ///
    /// # Errors
    /// When one is not: the timeline.
    pub fn must_show(&self, types: &[&str]) -> anyhow::Result<()> {
        let timeline = self.timeline();
        for ty in types {
            ensure!(timeline.iter().any(|seen| seen == ty), "no {ty} in {timeline:?}");
        }
        Ok(())
    }
}

impl Customer {
    /// Who orders at these services.
    pub fn at(order: impl Into<String>, inventory: impl Into<String>, shipping: impl Into<String>) -> Self {
        let http = client(Duration::from_secs(60));
        Self { http, order: order.into(), inventory: inventory.into(), shipping: shipping.into(), name: "c-1001".into() }
    }

    /// Who does not wait longer than that for an answer.
    #[must_use]
    pub fn impatient(mut self, patience: Duration) -> Self {
        self.http = client(patience);
        self
    }

    /// Sends the order under a key.
    ///
    /// # Errors
    /// When there is no answer at all.
    pub async fn post(&self, body: &Value, key: &str) -> anyhow::Result<Response> {
        let request = self.http.post(format!("{}/v1/orders", self.order)).header("Idempotency-Key", format!("\"{key}\""));
        Ok(request.json(body).send().await?)
    }

    /// A request to the order service, to be filled in.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.order))
    }

    /// Places an order; the same key again after anything but an answer, as a careful client does.
    ///
    /// # Errors
    /// When it is refused, or not answered in time.
    pub async fn places(&self, basket: &Basket) -> anyhow::Result<Placed> {
        let key = Uuid::now_v7().to_string();
        let key = &key;
        eventually_paced("the order to be accepted", PATIENCE, AGAIN, || async move {
            let answer = self.post(&basket.0, key).await?;
            let status = answer.status();
            if status.is_server_error() || status == StatusCode::CONFLICT || status == StatusCode::TOO_MANY_REQUESTS {
                anyhow::bail!("{status} {}", answer.text().await?);
            }
            let body: Value = answer.json().await?;
            Ok::<_, anyhow::Error>((status, body))
        })
        .await
        .and_then(|(status, body)| {
            ensure!(status == StatusCode::ACCEPTED, "not accepted: {status} {body:#}");
            Ok(self.placed(body["id"].as_str().context("an order has an id")?))
        })
    }

    /// One that was accepted before, by its id.
    pub fn placed(&self, id: impl Into<String>) -> Placed {
        Placed { customer: self.clone(), id: id.into() }
    }

    /// Places an order and waits until it rests.
    ///
    /// # Errors
    /// As [`places`](Self::places), or when it does not come to rest.
    pub async fn orders(&self, basket: &Basket) -> anyhow::Result<(Placed, Screen)> {
        let placed = self.places(basket).await?;
        let screen = placed.comes_to_rest().await?;
        Ok((placed, screen))
    }

    /// What inventory says of a product.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn sees_product(&self, sku: &str) -> anyhow::Result<Value> {
        Ok(self.http.get(format!("{}/v1/products/{sku}", self.inventory)).send().await?.error_for_status()?.json().await?)
    }

    /// As operator: a new product with so many of it, known to the order service when this returns.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn stocks(&self, sku: &str, count: u32) -> anyhow::Result<()> {
        let product = json!({"name": format!("Test {sku}"), "price": {"amount": 1250, "currency": "EUR"}});
        let put = self.http.put(format!("{}/v1/products/{sku}", self.inventory)).header("Idempotency-Key", key());
        let answer = put.json(&product).send().await?;
        ensure!(answer.status().is_success(), "put: {} {}", answer.status(), answer.text().await?);
        if count > 0 {
            let adjust =
                self.http.post(format!("{}/v1/products/{sku}/adjustments", self.inventory)).header("Idempotency-Key", key());
            let answer = adjust.json(&json!({"delta": count, "reason": "goods in"})).send().await?;
            ensure!(answer.status().is_success(), "adjust: {} {}", answer.status(), answer.text().await?);
        }
        // Refused for its second line whatever happens; the first is at fault only while the catalog does not know it.
        let probe = Basket::of(sku, 1).and("NO-SUCH-PRODUCT", 1);
        eventually("the catalog to know the product", PATIENCE, || async {
            let problem: Value = self.post(&probe.0, &Uuid::now_v7().to_string()).await?.json().await?;
            let unknown = problem["errors"].as_array().is_none_or(|errors| errors.iter().any(|e| e["pointer"] == "/lines/0/sku"));
            if unknown { Err(anyhow::anyhow!("{problem:#}")) } else { Ok(()) }
        })
        .await
    }
}

impl Placed {
    /// Looks at it.
    ///
    /// # Errors
    /// When there is no screen.
    pub async fn screen(&self) -> anyhow::Result<Screen> {
        let answer = self.customer.request(reqwest::Method::GET, &format!("/v1/orders/{}", self.id)).send().await?;
        Ok(Screen(answer.error_for_status()?.json().await?))
    }

    /// Waits until it rests.
    ///
    /// # Errors
    /// When it does not: what was last seen.
    pub async fn comes_to_rest(&self) -> anyhow::Result<Screen> {
        self.shows("rest", Screen::rests).await
    }

    /// Waits until its screen is so.
    ///
    /// # Errors
    /// When it does not become so: what was last seen.
    pub async fn shows(&self, what: &str, so: impl Fn(&Screen) -> bool) -> anyhow::Result<Screen> {
        let so = &so;
        eventually(what, PATIENCE, || async move {
            let screen = self.screen().await.map_err(|error| error.to_string())?;
            if so(&screen) { Ok(screen) } else { Err(format!("{:#}", screen.0)) }
        })
        .await
    }

    /// Wishes it cancelled.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn cancel(&self) -> anyhow::Result<Response> {
        let request = self.customer.request(reqwest::Method::POST, &format!("/v1/orders/{}/cancel", self.id));
        Ok(request.header("Idempotency-Key", key()).send().await?)
    }

    /// As the warehouse: hands it over.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn dispatch(&self) -> anyhow::Result<Response> {
        let url = format!("{}/v1/shipments/{}/dispatch", self.customer.shipping, self.id);
        Ok(self.customer.http.post(url).header("Idempotency-Key", key()).send().await?)
    }
}

fn client(patience: Duration) -> reqwest::Client {
    reqwest::Client::builder().timeout(patience).build().expect("a client without TLS files always builds")
}

fn key() -> String {
    format!("\"{}\"", Uuid::now_v7())
}
