//! Those who order: over HTTP, as anybody would, from Ensemble and from dbos alike.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::closed_loop::closed_loop;
use crate::{Service, Stack, Talk, stack::wait};

/// So many products are asked for in turn: a shop does not sell one thing alone, and no setting is held up by one row.
const PRODUCTS: usize = 16;
/// What is put on the shelf of each.
const ENOUGH: u32 = 200_000;
/// Within which an order is confirmed whatever is killed meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever takes the orders answers no more than that one is confirmed: dbos' workflow knows no more.
const PREFER: &str = "wait=30, return=minimal";

/// Where orders go.
pub(super) struct Customers {
    http: reqwest::Client,
    orders: String,
    /// An order of each product, but for its key: to word it anew each time would be measured, too.
    wanted: Vec<reqwest::Request>,
    asked: AtomicUsize,
}

/// What a customer is told at first.
enum Told {
    Confirmed,
    /// The order is known by this id, and it is not confirmed yet.
    Later(String),
}

/// Of an order, what a customer looks at. The rest is not taken apart: what customers cost is not what is measured.
#[derive(Deserialize)]
struct Screen {
    id: String,
    status: String,
}

impl Customers {
    /// Of Ensemble: the shelves are filled first.
    pub(super) async fn of(stack: &Stack) -> anyhow::Result<Self> {
        let customers = Self::at(&stack.order_url())?;
        for n in 0..PRODUCTS {
            let url = format!("{}/v1/products/{}/adjustments", stack.url(Service::Inventory), sku(n));
            let adjust = customers.http.post(url).header("Idempotency-Key", fresh_key());
            adjust.json(&json!({"delta": ENOUGH, "reason": "bench"})).send().await?.error_for_status()?;
        }
        Ok(customers)
    }

    /// Of whoever takes orders as Ensemble does.
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1024).build()?;
        let orders = format!("{url}/v1/orders");
        let wanted = (0..PRODUCTS).map(|n| http.post(&orders).header("Prefer", PREFER).json(&order_of(n)).build());
        let wanted = wanted.collect::<Result<_, _>>()?;
        Ok(Self { http, orders, wanted, asked: AtomicUsize::new(0) })
    }

    /// One order, until it is confirmed.
    pub(super) async fn order(&self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        match self.place(&fresh_key(), self.asked.fetch_add(1, Ordering::Relaxed)).await? {
            Told::Confirmed => Ok(started.elapsed()),
            Told::Later(id) => anyhow::bail!("order {id} is not confirmed within 30 s"),
        }
    }

    /// As [`Customers::order`], by a customer who asks again, under the same key, when nobody answers.
    pub(super) async fn order_whatever_happens(&self) -> anyhow::Result<()> {
        let (key, n) = (fresh_key(), self.asked.fetch_add(1, Ordering::Relaxed));
        wait::until(Instant::now() + PATIENCE, || async {
            match self.place(&key, n).await.map_err(|error| format!("{error:#}"))? {
                Told::Confirmed => Ok(()),
                Told::Later(id) => self.is_confirmed(&id).await.map_err(|error| format!("{error:#}")),
            }
        })
        .await
    }

    async fn place(&self, key: &str, n: usize) -> anyhow::Result<Told> {
        let mut wanted = self.wanted[n % PRODUCTS].try_clone().context("its body is no stream")?;
        wanted.headers_mut().insert("Idempotency-Key", key.parse()?);
        let answer = self.http.execute(wanted).await?;
        let (status, body) = (answer.status(), answer.bytes().await?);
        let text = || String::from_utf8_lossy(&body);
        ensure!(status.is_success(), "refused with {status}: {}", text());
        let screen: Screen = serde_json::from_slice(&body).with_context(|| format!("no order in {}", text()))?;
        if status == StatusCode::CREATED && screen.status == "confirmed" {
            Ok(Told::Confirmed)
        } else {
            Ok(Told::Later(screen.id))
        }
    }

    async fn is_confirmed(&self, id: &str) -> anyhow::Result<()> {
        let screen: Value = self.http.get(format!("{}/{id}", self.orders)).send().await?.json().await?;
        ensure!(screen["status"] == "confirmed", "order {id} is {}: {}", screen["status"], screen["explanation"]);
        Ok(())
    }

    /// Waits until the catalog has arrived, and warms what is cold.
    pub(super) async fn warm_up(&self) -> anyhow::Result<()> {
        for _ in 0..PRODUCTS {
            self.order_whatever_happens().await.context("the first orders are not confirmed")?;
        }
        closed_loop(self, 32, Duration::from_secs(2), &Talk::silent().step("warm-up")).await.map(drop)
    }

    /// One order after the other: how long each took.
    pub(super) async fn alone(&self, orders: usize) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(orders);
        for _ in 0..orders {
            times.push(self.order().await?);
        }
        Ok(times)
    }

    /// One order that has ended: placed, confirmed and handed to the carrier.
    pub(super) async fn ended_order(&self, stack: &Stack) -> anyhow::Result<Uuid> {
        let body: Value = {
            self.order().await?;
            self.http.get(format!("{}?limit=1", self.orders)).send().await?.error_for_status()?.json().await?
        };
        let id: Uuid = body["items"][0]["id"].as_str().context("the list has an order")?.parse()?;
        let dispatch = format!("{}/v1/shipments/{id}/dispatch", stack.url(Service::Shipping));
        let key = fresh_key();
        wait::until(Instant::now() + PATIENCE, || async {
            let hand_over = self.http.post(&dispatch).header("Idempotency-Key", &key).json(&json!({}));
            let _ = hand_over.send().await.map_err(|error| error.to_string())?;
            let screen = self.http.get(format!("{}/{id}", self.orders)).send().await.map_err(|error| error.to_string())?;
            let screen: Value = screen.json().await.map_err(|error| error.to_string())?;
            if screen["status"] == "dispatched" { Ok(()) } else { Err(format!("order {id} is {}", screen["status"])) }
        })
        .await?;
        Ok(id)
    }
}

fn order_of(n: usize) -> Value {
    json!({
        "customer_id": "c-1", "currency": "EUR", "lines": [{"sku": sku(n), "quantity": 1}], "payment_method": "pm_card_visa",
        "ship_to": {"name": "Ada", "street": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"}
    })
}

fn sku(n: usize) -> String {
    format!("TEA-{:03}", n % PRODUCTS + 1)
}

fn fresh_key() -> String {
    format!("\"{}\"", Uuid::now_v7())
}
