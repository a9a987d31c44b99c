//! Stripe's dialect: form-encoded requests in, JSON objects and its error shape out.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{Method, StatusCode, header},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    card_gateway::{cards::Decline, intent::Intent},
    desk::{Desk, Key, Reply, Trouble},
};

/// The largest amount that the gateway takes, in minor units: eight digits, as at Stripe.
const AMOUNT_MAX: u64 = 99_999_999;

/// The parameters of a request, sorted: `metadata[order_id]=…`, `expand[]=…`.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        let mut pairs: Vec<_> = form_urlencoded::parse(encoded).into_owned().collect();
        pairs.sort();
        Self(pairs)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Denial> {
        self.text(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Denial::invalid("parameter_missing", format!("Missing required param: {name}.")).param(name))
    }

    /// A positive amount in minor units.
    pub(crate) fn amount(&self, name: &'static str) -> Result<Option<u64>, Denial> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(amount @ 1..=AMOUNT_MAX) => Ok(Some(amount)),
            Ok(0) => {
                Err(Denial::invalid("parameter_invalid_integer", "This value must be greater than or equal to 1.").param(name))
            }
            Ok(_) => {
                let message = format!("Amount must be no more than {AMOUNT_MAX} minor units.");
                Err(Denial::invalid("amount_too_large", message).param(name))
            }
            Err(_) => Err(Denial::invalid("parameter_invalid_integer", format!("Invalid integer: {text}")).param(name)),
        }
    }

    /// `name[key]=value` as a map.
    pub(crate) fn map(&self, name: &str) -> BTreeMap<String, String> {
        let inner = |key: &str| {
            let bracketed = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some(bracketed.to_owned())
        };
        self.0.iter().filter_map(|(key, value)| Some((inner(key)?, value.clone()))).collect()
    }

    /// `name[]=value` or `name[0]=value`, in order.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.map(name).into_values().collect()
    }

    /// Whether the charge is wanted as an object.
    pub(crate) fn expands_charge(&self) -> bool {
        self.list("expand").iter().any(|path| path.ends_with("latest_charge"))
    }

    /// Stripe answers a parameter that it does not know with an error; so a slip is found here.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Denial> {
        let name = |key: &str| key.split('[').next().unwrap_or_default().to_owned();
        match self.0.iter().map(|(key, _)| name(key)).find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Denial::invalid("parameter_unknown", format!("Received unknown parameter: {name}")).param(&name)),
        }
    }

    fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("pairs of strings")
    }
}

/// A request in Stripe's dialect, with its idempotency key if it mutates.
pub(crate) struct Form {
    pub(crate) params: Params,
    pub(crate) key: Option<Key>,
}

impl FromRequest<Arc<Desk>> for Form {
    type Rejection = Reply;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Reply> {
        if request.method() == Method::GET {
            let params = Params::parse(request.uri().query().unwrap_or_default().as_bytes());
            return Ok(Self { params, key: None });
        }
        let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
        let body = Bytes::from_request(request, desk)
            .await
            .map_err(|rejection| Denial { status: rejection.status(), ..Denial::bad_request(rejection.body_text()) })?;
        let form = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|given| given.to_str().is_ok_and(|given| given.starts_with("application/x-www-form-urlencoded")));
        if !form && !body.is_empty() {
            let message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded).";
            return Err(Denial::bad_request(message).into());
        }
        let params = Params::parse(&body);
        let key = Key::of(&headers, &path, &params.canonical()).map_err(word)?;
        Ok(Self { params, key })
    }
}

/// An error in Stripe's shape.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Denial {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_intent: Option<Box<Value>>,
}

impl Denial {
    fn new(status: StatusCode, kind: &'static str, code: Option<&'static str>, message: &str) -> Self {
        Self { status, kind, code, decline_code: None, message: message.into(), param: None, payment_intent: None }
    }

    /// What Stripe has no code for.
    pub(crate) fn bad_request(message: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message.as_ref())
    }

    pub(crate) fn invalid(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", Some(code), message.as_ref())
    }

    pub(crate) fn missing_intent(id: &str, param: &'static str) -> Self {
        let message = format!("No such payment_intent: '{id}'");
        Self { status: StatusCode::NOT_FOUND, ..Self::invalid("resource_missing", message) }.param(param)
    }

    pub(crate) fn declined(word: &str) -> Self {
        let Decline { code, decline_code, message } = Decline::named(word);
        let denial = Self::new(StatusCode::PAYMENT_REQUIRED, "card_error", Some(code), message);
        Self { decline_code, ..denial }
    }

    pub(crate) fn unexpected_state(intent: &Intent, verb: &str) -> Self {
        let message = format!("You cannot {verb} this PaymentIntent because it has a status of {}.", intent.status.word());
        Self::invalid("payment_intent_unexpected_state", message)
    }

    pub(crate) fn param(self, name: &str) -> Self {
        Self { param: Some(name.into()), ..self }
    }

    pub(crate) fn about(self, intent: &Intent) -> Self {
        Self { payment_intent: Some(Box::new(payment_intent(intent, false))), ..self }
    }
}

impl From<Denial> for Reply {
    fn from(denial: Denial) -> Self {
        Reply::new(denial.status, &json!({ "error": denial }))
    }
}

/// Trouble that has nothing to do with cards, in Stripe's words.
pub(crate) fn word(trouble: Trouble) -> Reply {
    let (status, kind, code, message) = match trouble {
        Trouble::Unauthorized => (StatusCode::UNAUTHORIZED, "invalid_request_error", None, "Invalid API Key provided."),
        Trouble::NoSuchRoute => (StatusCode::NOT_FOUND, "invalid_request_error", None, "Unrecognized request URL or method."),
        Trouble::KeyUnusable => {
            (StatusCode::BAD_REQUEST, "invalid_request_error", None, "Idempotency keys must be 1 to 255 characters.")
        }
        Trouble::KeyInUse => (
            StatusCode::CONFLICT,
            "idempotency_error",
            Some("idempotency_key_in_use"),
            "There is currently another in-progress request using this idempotency key.",
        ),
        Trouble::KeyReused => (
            StatusCode::BAD_REQUEST,
            "idempotency_error",
            None,
            "Keys for idempotent requests can only be used with the same endpoint and parameters they were first used with.",
        ),
        Trouble::TooManyRequests => {
            (StatusCode::TOO_MANY_REQUESTS, "invalid_request_error", Some("rate_limit"), "Too many requests.")
        }
        Trouble::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "api_error", None, "An unknown error occurred."),
        Trouble::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "api_error", None, "The service is temporarily unavailable."),
    };
    Denial::new(status, kind, code, message).into()
}

/// The object of the API. `expanded`: the charge as an object instead of its id.
pub(crate) fn payment_intent(intent: &Intent, expanded: bool) -> Value {
    let charge = match &intent.charge {
        Some(_) if expanded => charge(intent),
        charge => json!(charge),
    };
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.amount_capturable(),
        "amount_received": intent.amount_received,
        "canceled_at": intent.canceled_at.map(time::OffsetDateTime::unix_timestamp),
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": "manual",
        "confirmation_method": "automatic",
        "created": intent.created.unix_timestamp(),
        "currency": intent.currency,
        "customer": null,
        "description": intent.description,
        "last_payment_error": intent.declined.as_deref().map(Denial::declined),
        "latest_charge": charge,
        "livemode": false,
        "metadata": intent.metadata,
        "next_action": null,
        "payment_method": intent.payment_method,
        "payment_method_types": ["card"],
        "status": intent.status.word(),
    })
}

fn charge(intent: &Intent) -> Value {
    json!({
        "id": intent.charge,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.amount_received,
        "amount_refunded": intent.amount_refunded,
        "captured": intent.amount_received > 0,
        "currency": intent.currency,
        "payment_intent": intent.id,
        "payment_method": intent.payment_method,
        "payment_method_details": {
            "type": "card",
            "card": { "brand": intent.brand, "capture_before": intent.capture_before.unix_timestamp() },
        },
    })
}

/// The refund at `index` of an intent.
pub(crate) fn refund(intent: &Intent, index: usize) -> Value {
    let refund = &intent.refunds[index];
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "charge": intent.charge,
        "created": refund.created.unix_timestamp(),
        "currency": intent.currency,
        "metadata": refund.metadata,
        "payment_intent": intent.id,
        "reason": refund.reason,
        "status": "succeeded",
    })
}
