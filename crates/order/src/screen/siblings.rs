//! The other three services, asked for their part of a screen: each behind its own breaker and bulkhead, all within one
//! small budget. Whoever does not answer in time is marked, and the screen is shown all the same.

use std::time::Duration;

use chassis::{
    calls::{Breaker, Client, ClientConfig, ClientError},
    telemetry::Metrics,
};
use events::OrderId;
use reqwest::{Method, StatusCode, Url};

use super::{Part, ServiceName};

/// How long a screen waits for others.
const BUDGET: Duration = Duration::from_millis(300);
/// More screens than this at a time do without that service's part.
const AT_ONCE: usize = 128;
/// A service that is back is shown again within a moment.
const BREAKER: Breaker = Breaker { window: 20, calls_min: 10, failed_share: 0.5, open_for: Duration::from_secs(2), probes: 2 };

/// Where the other services are.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Where inventory answers, such as http://127.0.0.1:8081.
    #[arg(long, env = "INVENTORY_URL", default_value = "http://127.0.0.1:8081")]
    pub inventory_url: Url,
    /// Where payment answers, such as http://127.0.0.1:8082.
    #[arg(long, env = "PAYMENT_URL", default_value = "http://127.0.0.1:8082")]
    pub payment_url: Url,
    /// Where shipping answers, such as http://127.0.0.1:8083.
    #[arg(long, env = "SHIPPING_URL", default_value = "http://127.0.0.1:8083")]
    pub shipping_url: Url,
}

/// The other three services.
pub(crate) struct Siblings {
    inventory: Client,
    payment: Client,
    shipping: Client,
}

/// What the three say about an order.
pub(crate) struct Parts {
    pub(crate) stock: Part,
    pub(crate) payment: Part,
    pub(crate) shipment: Part,
}

impl Siblings {
    pub(crate) fn new(settings: &Settings, metrics: &Metrics) -> Result<Self, ClientError> {
        let client = |name, url: &Url| {
            let config =
                ClientConfig { timeout: BUDGET, calls_max: AT_ONCE, breaker: BREAKER, ..ClientConfig::new(name, url.clone()) };
            Client::new(config, metrics)
        };
        Ok(Self {
            inventory: client("inventory", &settings.inventory_url)?,
            payment: client("payment", &settings.payment_url)?,
            shipping: client("shipping", &settings.shipping_url)?,
        })
    }

    /// Asks all three at once.
    pub(crate) async fn parts(&self, order: OrderId) -> Parts {
        let (stock, payment, shipment) = tokio::join!(
            part(&self.inventory, format!("/v1/reservations/{order}")),
            part(&self.payment, format!("/v1/payments/{order}")),
            part(&self.shipping, format!("/v1/shipments/{order}")),
        );
        Parts { stock, payment, shipment }
    }
}

impl Parts {
    /// What each says that it waits for.
    pub(crate) fn waiting(&self) -> Vec<(ServiceName, super::Waiting)> {
        let all = [
            (ServiceName::Inventory, &self.stock),
            (ServiceName::Payment, &self.payment),
            (ServiceName::Shipping, &self.shipment),
        ];
        all.into_iter().filter_map(|(service, part)| Some((service, part.waiting.clone()?))).collect()
    }
}

async fn part(client: &Client, path: String) -> Part {
    let unavailable = || Part::without("unavailable");
    let Ok(request) = client.request(Method::GET, &path).build() else { return unavailable() };
    // Each failure is counted, and the breaker logs a service that is away: a line for each screen would bury that.
    let Ok(answer) = client.send(request).await else { return unavailable() };
    match answer.status {
        StatusCode::OK => serde_json::from_slice(&answer.body).unwrap_or_else(|error| {
            tracing::warn!(path, %error, "a part of the screen cannot be read");
            unavailable()
        }),
        StatusCode::NOT_FOUND => Part::without("none"),
        _ => unavailable(),
    }
}
