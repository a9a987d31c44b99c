//! The carrier: bookings over JSON, with idempotency keys like the gateway's (its words are in `crates/partners`).
//!
//! This file knows the carrier's words; when to repeat, and under which key, is the chassis' to decide.

use std::time::Duration;

use chassis::{
    calls::{Client, ClientConfig, ClientError, Response},
    service::{Failure, Partner},
    telemetry::Metrics,
};
use events::{Code, OrderId, Timestamp, Tracking};
use futures_util::future::BoxFuture;
use reqwest::{Method, RequestBuilder, Url};
use saga::Answered;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::{
    domain::{BookShipment, Booked, CancelBooking, TakenBack},
    reactions::{Call, Input, Shipping},
};

/// Where the carrier is.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// The carrier, such as `http://carrier:8101`.
    #[arg(long, env = "CARRIER_URL", default_value = "http://127.0.0.1:8101")]
    pub carrier_url: Url,
    /// The carrier's secret key.
    #[arg(long, env = "CARRIER_KEY", default_value = "ck_test_ensemble", hide_default_value = true)]
    pub carrier_key: SecretString,
    /// How far the carrier's look-up may lag behind what it did, such as 60s.
    #[arg(long, env = "CARRIER_LAG", default_value = "60s", value_parser = chassis::config::duration)]
    pub carrier_lag: Duration,
}

/// The carrier.
pub(crate) struct Carrier {
    client: Client,
    key: SecretString,
    lag: Duration,
}

impl Carrier {
    pub(crate) fn new(settings: &Settings, metrics: &Metrics) -> Result<Self, ClientError> {
        let client = Client::new(ClientConfig::new("carrier", settings.carrier_url.clone()), metrics)?;
        Ok(Self { client, key: settings.carrier_key.clone(), lag: settings.carrier_lag })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = request.bearer_auth(self.key.expose_secret()).build();
        settled(self.client.send(request.map_err(|error| Failure::NotSent(error.to_string()))?).await?)
    }

    async fn book(&self, call: &BookShipment, key: &str) -> Result<Booked, Failure> {
        let body = json!({"reference": call.order, "ship_to": call.ship_to});
        let request = self.client.request(Method::POST, "/v1/bookings").header("Idempotency-Key", key).json(&body);
        let answer = self.send(request).await?;
        match answer.status.as_u16() {
            200 | 201 => Ok(answer.read::<Booking>()?.booked()),
            _ => Ok(Booked::Declined { code: answer.read::<Refusal>()?.code }),
        }
    }

    async fn cancel(&self, call: &CancelBooking, key: &str) -> Result<TakenBack, Failure> {
        let path = format!("/v1/bookings/{}/cancel", call.booking);
        let answer = self.send(self.client.request(Method::POST, &path).header("Idempotency-Key", key)).await?;
        match answer.status.as_u16() {
            // Nothing there, or nothing there any more, is what a cancellation wants.
            200 | 404 => Ok(TakenBack::Done),
            _ => Ok(TakenBack::Declined { code: answer.read::<Refusal>()?.code }),
        }
    }

    async fn booked(&self, order: OrderId) -> Result<Option<Booked>, Failure> {
        let query = [("reference", order.to_string())];
        let found: Found = self.send(self.client.request(Method::GET, "/v1/bookings").query(&query)).await?.read()?;
        Ok(found.data.into_iter().find(|booking| booking.status == "booked").map(Booking::booked))
    }

    async fn cancelled(&self, booking: &str) -> Result<Option<TakenBack>, Failure> {
        let answer = self.send(self.client.request(Method::GET, &format!("/v1/bookings/{booking}"))).await?;
        let gone = answer.status.as_u16() == 404 || answer.read::<Booking>()?.status == "cancelled";
        Ok(gone.then_some(TakenBack::Done))
    }
}

impl Partner<Shipping> for Carrier {
    fn call<'a>(&'a self, call: &'a Call, key: &'a str) -> BoxFuture<'a, Result<Input, Failure>> {
        Box::pin(async move {
            Ok(match call {
                Call::BookShipment(call) => Input::BookShipment(Answered::to(call, self.book(call, key).await?)),
                Call::CancelBooking(call) => Input::CancelBooking(Answered::to(call, self.cancel(call, key).await?)),
            })
        })
    }

    fn look_up<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Option<Input>, Failure>> {
        Box::pin(async move {
            Ok(match call {
                Call::BookShipment(call) => {
                    self.booked(call.order).await?.map(|found| Input::BookShipment(Answered::to(call, found)))
                }
                Call::CancelBooking(call) => {
                    self.cancelled(&call.booking).await?.map(|found| Input::CancelBooking(Answered::to(call, found)))
                }
            })
        })
    }

    fn burned(&self, call: &Call) -> Input {
        match call {
            Call::BookShipment(call) => Input::BookShipment(Answered::to(call, Booked::Burned)),
            Call::CancelBooking(call) => Input::CancelBooking(Answered::to(call, TakenBack::Burned)),
        }
    }

    fn lag_bound(&self) -> Duration {
        self.lag
    }
}

/// Keeps what is an answer, and says of the rest what is known of it.
fn settled(answer: Response) -> Result<Response, Failure> {
    let said = format!("the carrier answered {}", answer.status.as_u16());
    match answer.status.as_u16() {
        200 | 201 | 404 | 422 => Ok(answer),
        // Same key, other parameters: a mistake of ours that no repeat mends, and no licence to draw another key.
        400 if answer.read::<Refusal>().is_ok_and(|refusal| refusal.code.0 == "idempotency_error") => {
            Err(Failure::InDoubt(format!("{said}: the key was used otherwise")))
        }
        400 => Ok(answer),
        401 | 403 | 429 => Err(Failure::NotSent(said)),
        500.. if answer.headers.contains_key("idempotent-replayed") => Err(Failure::StoredError(said)),
        _ => Err(Failure::InDoubt(said)),
    }
}

#[derive(Deserialize)]
struct Booking {
    id: String,
    tracking: Tracking,
    pick_up: Timestamp,
    status: String,
}

impl Booking {
    fn booked(self) -> Booked {
        Booked::Done { booking: self.id, tracking: self.tracking, pick_up: self.pick_up }
    }
}

#[derive(Deserialize)]
struct Found {
    data: Vec<Booking>,
}

#[derive(Deserialize)]
struct Refusal {
    code: Code,
}
