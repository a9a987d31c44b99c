//! The card gateway: Stripe's PaymentIntents with manual capture, as far as a shop needs them.

mod cards;
mod intent;
mod wire;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    card_gateway::{
        cards::Card,
        intent::{Intent, RefundOrder, Status, facts},
        wire::{Denial, Form, Params, payment_intent},
    },
    desk::{self, Circumstances, Desk, Partner, Reply},
    faults::{Facts, Operation},
    history::Entry,
    ledger::{Books, LedgerError, Pages},
};

/// The gateway, as its desk sees it.
pub(crate) const CARD_GATEWAY: Partner = Partner {
    name: "card_gateway",
    operations: &[
        Operation::Authorize,
        Operation::Capture,
        Operation::Cancel,
        Operation::Refund,
        Operation::Get,
        Operation::Search,
        Operation::ListRefunds,
    ],
    word: wire::word,
};

/// How long an authorization can be captured.
#[derive(Clone, Copy)]
struct ValidFor(Duration);

/// Everything on the gateway's port.
pub(crate) fn router(desk: Arc<Desk>, authorization_valid_for: Duration) -> Router {
    let api = Router::new()
        .route("/v1/payment_intents", post(authorize))
        .route("/v1/payment_intents/search", get(search))
        .route("/v1/payment_intents/{id}", get(retrieve))
        .route("/v1/payment_intents/{id}/capture", post(capture))
        .route("/v1/payment_intents/{id}/cancel", post(cancel))
        .route("/v1/refunds", post(refund).get(list_refunds))
        .layer(Extension(ValidFor(authorization_valid_for)));
    desk::open::<Intent>(desk, api)
}

/// A request to hold an amount, found valid.
struct Authorization {
    amount: u64,
    currency: String,
    payment_method: String,
    card: Card,
    params: Params,
}

impl Authorization {
    fn parse(params: Params) -> Result<Self, Denial> {
        params.only(&[
            "amount",
            "currency",
            "capture_method",
            "confirm",
            "payment_method",
            "payment_method_types",
            "metadata",
            "description",
            "expand",
        ])?;
        params.required("amount")?;
        let amount = params.amount("amount")?.expect("it is there");
        let currency = params.required("currency")?.to_owned();
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Denial::bad_request(format!("Invalid currency: {currency}")).param("currency"));
        }
        for (name, only) in [("capture_method", "manual"), ("confirm", "true")] {
            if params.required(name)? != only {
                let message = format!("This gateway takes {name}={only} alone.");
                return Err(Denial::invalid("parameter_invalid", message).param(name));
            }
        }
        if params.list("payment_method_types").iter().any(|kind| kind != "card") {
            let message = "This gateway takes payment_method_types[]=card alone.";
            return Err(Denial::invalid("parameter_invalid", message).param("payment_method_types"));
        }
        let payment_method = params.required("payment_method")?.to_owned();
        let card = Card::find(&payment_method).ok_or_else(|| {
            let message = format!("No such PaymentMethod: '{payment_method}'");
            Denial::invalid("resource_missing", message).param("payment_method")
        })?;
        Ok(Self { amount, currency, payment_method, card, params })
    }

    fn facts(&self) -> Facts {
        Facts {
            operation: Operation::Authorize,
            order_id: self.params.text("metadata[order_id]").map(Into::into),
            payment_method_tag: self.card.tag.clone(),
            ship_to_name: None,
        }
    }

    fn intent(self, created: time::OffsetDateTime) -> Intent {
        let metadata = self.params.map("metadata");
        Intent {
            id: new_id("pi"),
            order_id: metadata.get("order_id").cloned(),
            status: Status::RequiresPaymentMethod,
            amount: self.amount,
            currency: self.currency,
            amount_received: 0,
            amount_refunded: 0,
            payment_method: self.payment_method,
            tag: self.card.tag,
            brand: self.card.brand.into(),
            charge: Some(new_id("ch")),
            declined: None,
            description: self.params.text("description").map(Into::into),
            metadata,
            created,
            capture_before: created,
            canceled_at: None,
            cancellation_reason: None,
            refunds: Vec::new(),
            history: Vec::new(),
        }
    }
}

async fn authorize(
    State(desk): State<Arc<Desk>>,
    Extension(ValidFor(valid_for)): Extension<ValidFor>,
    form: Form,
) -> Result<Response, Reply> {
    let wanted = Authorization::parse(form.params)?;
    let facts = wanted.facts();
    let effect = move |books: &Books<'_>, circumstances: &Circumstances| {
        let decline = circumstances.decline.clone().or(wanted.card.decline.map(Into::into));
        let valid_for = circumstances.lapses_after.unwrap_or(valid_for);
        let expands_charge = wanted.params.expands_charge();
        let mut intent = wanted.intent(books.now);
        let done = intent.authorize(decline.as_deref(), valid_for);
        record(books, circumstances, Operation::Authorize, intent, done, |intent| payment_intent(intent, expands_charge))
    };
    Ok(desk.write(facts, form.key, effect).await)
}

async fn capture(State(desk): State<Arc<Desk>>, Path(id): Path<String>, form: Form) -> Result<Response, Reply> {
    let params = &form.params;
    params.only(&["amount_to_capture", "expand"])?;
    let amount = params.amount("amount_to_capture")?;
    let expands_charge = params.expands_charge();
    let facts = facts(&known(&desk, &id, "intent")?, Operation::Capture);
    let effect = move |books: &Books<'_>, circumstances: &Circumstances| {
        let mut intent = again(books, &id)?;
        let done = unless_declined(circumstances).and_then(|()| intent.capture(amount));
        record(books, circumstances, Operation::Capture, intent, done, |intent| payment_intent(intent, expands_charge))
    };
    Ok(desk.write(facts, form.key, effect).await)
}

async fn cancel(State(desk): State<Arc<Desk>>, Path(id): Path<String>, form: Form) -> Result<Response, Reply> {
    form.params.only(&["cancellation_reason", "expand"])?;
    let reason = form.params.text("cancellation_reason").map(Into::into);
    let facts = facts(&known(&desk, &id, "intent")?, Operation::Cancel);
    let effect = move |books: &Books<'_>, circumstances: &Circumstances| {
        let mut intent = again(books, &id)?;
        let done = unless_declined(circumstances).and_then(|()| intent.cancel(reason, books.now));
        record(books, circumstances, Operation::Cancel, intent, done, |intent| payment_intent(intent, false))
    };
    Ok(desk.write(facts, form.key, effect).await)
}

async fn refund(State(desk): State<Arc<Desk>>, form: Form) -> Result<Response, Reply> {
    let params = &form.params;
    params.only(&["payment_intent", "amount", "reason", "metadata", "expand"])?;
    let (id, amount) = (params.required("payment_intent")?.to_owned(), params.amount("amount")?);
    let order = RefundOrder { amount, reason: params.text("reason").map(Into::into), metadata: params.map("metadata") };
    let facts = facts(&known(&desk, &id, "payment_intent")?, Operation::Refund);
    let effect = move |books: &Books<'_>, circumstances: &Circumstances| {
        let mut intent = again(books, &id)?;
        let done = unless_declined(circumstances).and_then(|()| intent.refund(new_id("re"), order, books.now));
        record(books, circumstances, Operation::Refund, intent, done, |intent| wire::refund(intent, intent.refunds.len() - 1))
    };
    Ok(desk.write(facts, form.key, effect).await)
}

async fn retrieve(State(desk): State<Arc<Desk>>, Path(id): Path<String>, form: Form) -> Result<Response, Reply> {
    let facts = facts(&known(&desk, &id, "intent")?, Operation::Get);
    let expands_charge = form.params.expands_charge();
    let look = |pages: &Pages, _| {
        let found = pages.get::<Intent>(&id)?;
        Ok(match found {
            Some(intent) => Reply::new(StatusCode::OK, &payment_intent(&intent, expands_charge)),
            None => Denial::missing_intent(&id, "intent").into(),
        })
    };
    Ok(desk.read(facts, look).await)
}

/// The look-up by our own reference. It may lag; `retrieve` never does.
async fn search(State(desk): State<Arc<Desk>>, form: Form) -> Result<Response, Reply> {
    let expands_charge = form.params.expands_charge();
    let query = form.params.required("query")?;
    let order_id = searched_order(query)
        .ok_or_else(|| Denial::bad_request("This gateway answers metadata['order_id']:'…' alone.").param("query"))?;
    let facts =
        Facts { operation: Operation::Search, order_id: Some(order_id.into()), payment_method_tag: None, ship_to_name: None };
    let look = |pages: &Pages, unseen_since| {
        let found = pages.of_order::<Intent>(order_id)?;
        let seen = found.iter().filter(|intent| intent.created <= unseen_since);
        let data: Vec<_> = seen.rev().map(|intent| payment_intent(intent, expands_charge)).collect();
        let url = "/v1/payment_intents/search";
        let page = json!({ "object": "search_result", "data": data, "has_more": false, "next_page": null, "url": url });
        Ok(Reply::new(StatusCode::OK, &page))
    };
    Ok(desk.read(facts, look).await)
}

async fn list_refunds(State(desk): State<Arc<Desk>>, form: Form) -> Result<Response, Reply> {
    let id = form.params.required("payment_intent")?;
    let facts = facts(&known(&desk, id, "payment_intent")?, Operation::ListRefunds);
    let look = |pages: &Pages, _| {
        let found = pages.get::<Intent>(id)?;
        let refunds = |intent: Intent| (0..intent.refunds.len()).rev().map(|index| wire::refund(&intent, index)).collect();
        let data: Vec<Value> = found.map(refunds).unwrap_or_default();
        let page = json!({ "object": "list", "data": data, "has_more": false, "url": "/v1/refunds" });
        Ok(Reply::new(StatusCode::OK, &page))
    };
    Ok(desk.read(facts, look).await)
}

/// The order id in `metadata['order_id']:'…'`, with either kind of quote.
fn searched_order(query: &str) -> Option<&str> {
    let (field, value) = query.trim().split_once(':')?;
    let unquote = |text: &'_ str, quote| text.strip_prefix(quote)?.strip_suffix(quote).map(str::len);
    let unquoted = |text| ['\'', '"'].iter().any(|quote| unquote(text, *quote).is_some());
    let name = field.strip_prefix("metadata[")?.strip_suffix(']')?;
    let known = unquoted(name) && &name[1..name.len() - 1] == "order_id";
    (known && unquoted(value)).then(|| &value[1..value.len() - 1])
}

fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

/// The intent that a call is about, before it is executed.
fn known(desk: &Desk, id: &str, param: &'static str) -> Result<Intent, Reply> {
    let found = desk.ledger.read().and_then(|pages| pages.get::<Intent>(id));
    match found {
        Ok(Some(intent)) => Ok(intent),
        Ok(None) => Err(Denial::missing_intent(id, param).into()),
        Err(error) => Err(desk.reply_or_trouble(Err(error))),
    }
}

/// The same intent, inside the transaction. Nothing is ever deleted, so it is there.
fn again(books: &Books<'_>, id: &str) -> Result<Intent, LedgerError> {
    books.get(id)?.ok_or(LedgerError::NotWritten)
}

fn unless_declined(circumstances: &Circumstances) -> Result<(), Denial> {
    circumstances.decline.as_deref().map_or(Ok(()), |word| Err(Denial::declined(word)))
}

/// Writes down what was done or why not, and words the answer.
fn record(
    books: &Books<'_>,
    circumstances: &Circumstances,
    operation: Operation,
    mut intent: Intent,
    done: Result<(), Denial>,
    answer: impl FnOnce(&Intent) -> Value,
) -> Result<Reply, LedgerError> {
    let outcome = match &done {
        Ok(()) => "ok",
        Err(denial) => denial.code.unwrap_or("refused"),
    };
    intent.history.push(Entry::of(operation, outcome, circumstances));
    books.put(&intent)?;
    Ok(match done {
        Ok(()) => Reply::new(StatusCode::OK, &answer(&intent)),
        Err(denial) => denial.about(&intent).into(),
    })
}
