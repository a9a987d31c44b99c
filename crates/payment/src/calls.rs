//! The card gateway: Stripe's PaymentIntents with manual capture, so that `GATEWAY_URL` and `GATEWAY_KEY` point payment
//! at the real one (<https://docs.stripe.com/api/payment_intents>, <https://docs.stripe.com/api/idempotent_requests>).
//!
//! This file knows the gateway's words; when to repeat, and under which key, is the chassis' to decide.

use std::time::Duration;

use chassis::{
    calls::{Client, ClientConfig, ClientError, Response},
    service::{Failure, Partner},
    telemetry::Metrics,
};
use events::{Charge, Code, OrderId, Timestamp};
use futures_util::future::BoxFuture;
use reqwest::{Method, RequestBuilder, Url};
use saga::Answered;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{
    domain::{Authorization, AuthorizeCard, CaptureCharge, RefundCharge, Settlement, VoidCharge},
    reactions::{Call, Input, Payment},
};

/// Where the card gateway is.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// The card gateway, such as `https://api.stripe.com`.
    #[arg(long, env = "GATEWAY_URL", default_value = "http://127.0.0.1:8100")]
    pub gateway_url: Url,
    /// The gateway's secret key.
    #[arg(long, env = "GATEWAY_KEY", default_value = "sk_test_ensemble", hide_env_values = true, hide_default_value = true)]
    pub gateway_key: SecretString,
    /// How far the gateway's search may lag behind what it did, such as 60s.
    #[arg(long, env = "GATEWAY_LAG", default_value = "60s", value_parser = chassis::config::duration)]
    pub gateway_lag: Duration,
}

/// The card gateway.
pub(crate) struct CardGateway {
    client: Client,
    key: SecretString,
    lag: Duration,
}

impl CardGateway {
    pub(crate) fn new(settings: &Settings, metrics: &Metrics) -> Result<Self, ClientError> {
        let client = Client::new(ClientConfig::new("card_gateway", settings.gateway_url.clone()), metrics)?;
        Ok(Self { client, key: settings.gateway_key.clone(), lag: settings.gateway_lag })
    }

    async fn post(&self, path: &str, form: &[(&str, String)], key: &str) -> Result<Response, Failure> {
        self.send(self.client.request(Method::POST, path).form(form).header("Idempotency-Key", key)).await
    }

    async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Response, Failure> {
        self.send(self.client.request(Method::GET, path).query(query)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = request.bearer_auth(self.key.expose_secret()).build();
        settled(self.client.send(request.map_err(|error| Failure::NotSent(error.to_string()))?).await?)
    }

    async fn intent(&self, charge: &Charge) -> Result<Option<Intent>, Failure> {
        let answer = self.get(&format!("/v1/payment_intents/{charge}"), &[("expand[]", "latest_charge".to_owned())]).await?;
        if answer.status.as_u16() == 404 { Ok(None) } else { answer.read().map(Some) }
    }

    async fn authorize(&self, call: &AuthorizeCard, key: &str) -> Result<Authorization, Failure> {
        let answer = self
            .post(
                "/v1/payment_intents",
                &[
                    ("amount", call.amount.amount.to_string()),
                    ("currency", call.amount.currency.code().to_lowercase()),
                    ("payment_method", call.payment_method.0.clone()),
                    ("payment_method_types[]", "card".to_owned()),
                    ("capture_method", "manual".to_owned()),
                    ("confirm", "true".to_owned()),
                    ("metadata[order_id]", call.order.to_string()),
                    ("expand[]", "latest_charge".to_owned()),
                ],
                key,
            )
            .await?;
        match answer.status.as_u16() {
            200 => granted(answer.read()?),
            _ => Ok(Authorization::Declined { code: answer.read::<Refusal>()?.code() }),
        }
    }

    async fn authorize_looked_up(&self, order: OrderId) -> Result<Option<Authorization>, Failure> {
        let query = format!("metadata['order_id']:'{order}'");
        let found: List<Named> = self.get("/v1/payment_intents/search", &[("query", query)]).await?.read()?;
        let Some(Named { id }) = found.data.into_iter().next() else { return Ok(None) };
        self.intent(&Charge(id)).await?.map(granted).transpose()
    }

    async fn capture(&self, call: &CaptureCharge, key: &str) -> Result<Settlement, Failure> {
        let form = [("amount_to_capture", call.amount.amount.to_string())];
        let answer = self.post(&format!("/v1/payment_intents/{}/capture", call.charge), &form, key).await?;
        settlement(&answer, "succeeded")
    }

    async fn void(&self, call: &VoidCharge, key: &str) -> Result<Settlement, Failure> {
        let answer = self.post(&format!("/v1/payment_intents/{}/cancel", call.charge), &[], key).await?;
        // Nothing there, or nothing there any more, is what a void wants.
        if answer.status.as_u16() == 404 { Ok(Settlement::Done) } else { settlement(&answer, "canceled") }
    }

    async fn refund(&self, call: &RefundCharge, key: &str) -> Result<Settlement, Failure> {
        let form = [("payment_intent", call.charge.0.clone()), ("amount", call.amount.amount.to_string())];
        let answer = self.post("/v1/refunds", &form, key).await?;
        match answer.status.as_u16() {
            200 => Ok(refund_stands(&answer.read()?)),
            _ => match answer.read::<Refusal>()?.code() {
                Code(code) if code == "charge_already_refunded" => Ok(Settlement::Done),
                code => Ok(Settlement::Declined { code }),
            },
        }
    }

    async fn refund_looked_up(&self, charge: &Charge) -> Result<Option<Settlement>, Failure> {
        let found: List<Refund> = self.get("/v1/refunds", &[("payment_intent", charge.0.clone())]).await?.read()?;
        Ok(found.data.iter().map(refund_stands).find(|refund| *refund == Settlement::Done))
    }
}

impl Partner<Payment> for CardGateway {
    fn call<'a>(&'a self, call: &'a Call, key: &'a str) -> BoxFuture<'a, Result<Input, Failure>> {
        Box::pin(async move {
            Ok(match call {
                Call::AuthorizeCard(call) => Input::AuthorizeCard(Answered::to(call, self.authorize(call, key).await?)),
                Call::CaptureCharge(call) => Input::CaptureCharge(Answered::to(call, self.capture(call, key).await?)),
                Call::VoidCharge(call) => Input::VoidCharge(Answered::to(call, self.void(call, key).await?)),
                Call::RefundCharge(call) => Input::RefundCharge(Answered::to(call, self.refund(call, key).await?)),
            })
        })
    }

    fn look_up<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Option<Input>, Failure>> {
        Box::pin(async move {
            Ok(match call {
                Call::AuthorizeCard(call) => {
                    self.authorize_looked_up(call.order).await?.map(|found| Input::AuthorizeCard(Answered::to(call, found)))
                }
                Call::CaptureCharge(call) => {
                    let found = self.intent(&call.charge).await?.and_then(|intent| intent.captured());
                    found.map(|found| Input::CaptureCharge(Answered::to(call, found)))
                }
                Call::VoidCharge(call) => {
                    let gone = self.intent(&call.charge).await?.is_none_or(|intent| intent.status == "canceled");
                    gone.then(|| Input::VoidCharge(Answered::to(call, Settlement::Done)))
                }
                Call::RefundCharge(call) => {
                    self.refund_looked_up(&call.charge).await?.map(|found| Input::RefundCharge(Answered::to(call, found)))
                }
            })
        })
    }

    fn burned(&self, call: &Call) -> Input {
        match call {
            Call::AuthorizeCard(call) => Input::AuthorizeCard(Answered::to(call, Authorization::Burned)),
            Call::CaptureCharge(call) => Input::CaptureCharge(Answered::to(call, Settlement::Burned)),
            Call::VoidCharge(call) => Input::VoidCharge(Answered::to(call, Settlement::Burned)),
            Call::RefundCharge(call) => Input::RefundCharge(Answered::to(call, Settlement::Burned)),
        }
    }

    fn lag_bound(&self) -> Duration {
        self.lag
    }
}

/// Keeps what is an answer, and says of the rest what is known of it.
fn settled(answer: Response) -> Result<Response, Failure> {
    let refusal = || answer.read::<Refusal>().map(|refusal| refusal.error.ty.unwrap_or_default()).unwrap_or_default();
    let said = format!("the gateway answered {}", answer.status.as_u16());
    match answer.status.as_u16() {
        200 | 402 | 404 => Ok(answer),
        // Same key, other parameters: a mistake of ours that no repeat mends, and no licence to draw another key.
        400 if refusal() == "idempotency_error" => Err(Failure::InDoubt(format!("{said}: the key was used otherwise"))),
        400 => Ok(answer),
        401 | 403 | 429 => Err(Failure::NotSent(said)),
        500.. if answer.headers.contains_key("idempotent-replayed") => Err(Failure::StoredError(said)),
        _ => Err(Failure::InDoubt(said)),
    }
}

fn granted(intent: Intent) -> Result<Authorization, Failure> {
    match intent.status.as_str() {
        "requires_capture" => {
            let lapses = intent
                .latest_charge
                .as_ref()
                .and_then(|charge| charge.pointer("/payment_method_details/card/capture_before")?.as_i64());
            // Stripe holds a card's money for seven days unless it says otherwise.
            let lapses = lapses.unwrap_or(intent.created + 7 * 24 * 3600);
            Ok(Authorization::Granted { charge: Charge(intent.id), capture_before: Timestamp::from_micros(lapses * 1_000_000) })
        }
        "processing" => Err(Failure::InDoubt("the gateway is still processing".to_owned())),
        // Also `requires_action`: nobody is there to answer the bank's question.
        other => Ok(Authorization::Declined { code: Code(other.to_owned()) }),
    }
}

/// A capture's or a void's answer: done when the payment is as wished, whether by this call or before.
fn settlement(answer: &Response, wished: &str) -> Result<Settlement, Failure> {
    if answer.status.as_u16() == 200 {
        let intent: Intent = answer.read()?;
        return Ok(if intent.status == wished { Settlement::Done } else { Settlement::Declined { code: Code(intent.status) } });
    }
    let refusal: Refusal = answer.read()?;
    let there = refusal.error.payment_intent.as_ref().is_some_and(|intent| intent.status == wished);
    Ok(if there { Settlement::Done } else { Settlement::Declined { code: refusal.code() } })
}

fn refund_stands(refund: &Refund) -> Settlement {
    match refund.status.as_str() {
        // The bank takes days; Stripe's word that it is on its way is what counts here.
        "succeeded" | "pending" => Settlement::Done,
        other => Settlement::Declined { code: Code(other.to_owned()) },
    }
}

#[derive(Deserialize)]
struct Intent {
    id: String,
    status: String,
    created: i64,
    /// An id, or the whole charge where it was asked to be expanded.
    latest_charge: Option<serde_json::Value>,
}

impl Intent {
    fn captured(&self) -> Option<Settlement> {
        match self.status.as_str() {
            "succeeded" => Some(Settlement::Done),
            "canceled" => Some(Settlement::Declined { code: "authorization_lapsed".into() }),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Refund {
    status: String,
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalDetail,
}

#[derive(Deserialize)]
struct RefusalDetail {
    #[serde(rename = "type")]
    ty: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    payment_intent: Option<Standing>,
}

#[derive(Deserialize)]
struct Standing {
    status: String,
}

impl Refusal {
    fn code(self) -> Code {
        let RefusalDetail { ty, code, decline_code, .. } = self.error;
        Code(decline_code.or(code).or(ty).unwrap_or_else(|| "declined".to_owned()))
    }
}
