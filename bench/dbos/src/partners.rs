//! The card gateway and the carrier, asked as payment and shipping ask them.

use anyhow::{Context as _, bail};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::variable;

/// Where both are, and the keys to them.
pub(crate) struct Partners {
    http: reqwest::Client,
    gateway: (String, String),
    carrier: (String, String),
}

impl Partners {
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1024).build()?,
            gateway: (variable("GATEWAY_URL")?, variable("GATEWAY_KEY")?),
            carrier: (variable("CARRIER_URL")?, variable("CARRIER_KEY")?),
        })
    }

    /// The charge, unless the card is declined.
    pub(crate) async fn authorize(&self, order: Uuid, total: i64, body: &Value) -> anyhow::Result<Option<String>> {
        let form = [
            ("amount", total.to_string()),
            ("currency", text(body, "/currency")?.to_lowercase()),
            ("payment_method", text(body, "/payment_method")?.to_owned()),
            ("payment_method_types[]", "card".to_owned()),
            ("capture_method", "manual".to_owned()),
            ("confirm", "true".to_owned()),
            ("metadata[order_id]", order.to_string()),
        ];
        let answer = self.gateway("", order, "authorize", &form).await?;
        answer.map(|intent| text(&intent, "/id").map(str::to_owned)).transpose()
    }

    pub(crate) async fn capture(&self, order: Uuid, charge: &str, total: i64) -> anyhow::Result<()> {
        let form = [("amount_to_capture", total.to_string())];
        self.gateway(&format!("/{charge}/capture"), order, "capture", &form).await?.context("the capture was declined")?;
        Ok(())
    }

    pub(crate) async fn void(&self, order: Uuid, charge: &str) -> anyhow::Result<()> {
        self.gateway(&format!("/{charge}/cancel"), order, "void", &[]).await?.context("the void was declined")?;
        Ok(())
    }

    /// The booking, unless the carrier does not go there.
    pub(crate) async fn book(&self, order: Uuid, body: &Value) -> anyhow::Result<Option<String>> {
        let (url, key) = &self.carrier;
        let wanted = json!({"reference": order, "ship_to": body["ship_to"]});
        let request = self.http.post(format!("{url}/v1/bookings")).bearer_auth(key).json(&wanted);
        let answer = send(request.header("Idempotency-Key", format!("{order}/book"))).await?;
        answer.map(|booking| text(&booking, "/id").map(str::to_owned)).transpose()
    }

    async fn gateway(&self, path: &str, order: Uuid, what: &str, form: &[(&str, String)]) -> anyhow::Result<Option<Value>> {
        let (url, key) = &self.gateway;
        let request = self.http.post(format!("{url}/v1/payment_intents{path}")).bearer_auth(key).form(form);
        send(request.header("Idempotency-Key", format!("{order}/{what}"))).await
    }
}

/// What was answered; nothing if the answer is a plain no.
async fn send(request: RequestBuilder) -> anyhow::Result<Option<Value>> {
    let answer = request.send().await?;
    match answer.status() {
        StatusCode::OK | StatusCode::CREATED => Ok(Some(answer.json().await?)),
        StatusCode::PAYMENT_REQUIRED | StatusCode::UNPROCESSABLE_ENTITY => Ok(None),
        status => bail!("a partner answered {status}: {}", answer.text().await?),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer}"))
}
