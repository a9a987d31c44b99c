//! The same saga as a workflow of the `dbos` crate: one program, one database, an orchestrator that is a library.
//!
//! It is meant to win where it can. Its four services are functions of one process, so nothing goes over a broker; each
//! does its work in one statement, and the checkpoint of dbos is all that is written besides. It asks the same partners
//! the same questions over HTTP, and answers a customer at the moment at which Ensemble does: when the order is confirmed,
//! before the sale is booked.
//!
//! `DATABASE_URL`, `HTTP_ADDR`, `GATEWAY_URL`, `GATEWAY_KEY`, `CARRIER_URL` and `CARRIER_KEY` say where everything is.

mod partners;
mod saga;
mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, routing};
use dbos::{Config, DBOS, RunOptions, WorkflowRef};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use partners::Partners;
use saga::{Broken, Purchase, Shop};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Customers who wait until their order is confirmed.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<HashMap<Uuid, oneshot::Sender<()>>>>);

impl Waiting {
    fn add(&self, order: Uuid, customer: oneshot::Sender<()>) {
        self.customers().insert(order, customer);
    }

    fn take(&self, order: Uuid) -> Option<oneshot::Sender<()>> {
        self.customers().remove(&order)
    }

    /// Nothing that holds it can leave it half changed.
    fn customers(&self) -> MutexGuard<'_, HashMap<Uuid, oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct Counter {
    checkout: WorkflowRef<Purchase, (), Broken>,
    waiting: Waiting,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let database = variable("DATABASE_URL")?;
    let waiting = Waiting::default();
    let shop = Arc::new(Shop { store: store::open(&database).await?, partners: Partners::from_env()? });

    let dbos = DBOS::new(Config {
        app_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        max_connections: store::CONNECTIONS,
        ..Config::new("saga", database)
    });
    let confirmed = waiting.clone();
    let checkout = dbos.register_workflow("checkout", move |purchase| {
        let (shop, confirmed) = (shop.clone(), confirmed.clone());
        async move { saga::checkout(&shop, &confirmed, purchase).await }
    })?;
    dbos.launch().await?;

    let app = Router::new()
        .route("/v1/orders", routing::post(order))
        .route("/readyz", routing::get(|| async { StatusCode::OK }))
        .with_state(Counter { checkout, waiting });
    let listener = tokio::net::TcpListener::bind(variable("HTTP_ADDR")?).await?;
    Ok(axum::serve(listener, app).await?)
}

/// Answers when the order is confirmed.
async fn order(State(counter): State<Counter>, Json(body): Json<Value>) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let id = Uuid::now_v7();
    let (tell, told) = oneshot::channel();
    counter.waiting.add(id, tell);
    let name = id.to_string();
    let checkout = counter.checkout.clone();
    let run = tokio::spawn(async move {
        checkout.run_with(Purchase { id, body }, RunOptions { workflow_id: Some(&name), ..RunOptions::default() }).await
    });
    if told.await.is_ok() {
        return Ok((StatusCode::CREATED, Json(json!({"id": id, "status": "confirmed"}))));
    }
    let why = run.await.map(|ended| ended.err().map(|error| error.to_string()));
    eprintln!("order {id} is not confirmed: {why:?}");
    Err(StatusCode::INTERNAL_SERVER_ERROR)
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}
