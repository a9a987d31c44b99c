//! The partners as their customers see them: over HTTP, on free ports, with a ledger of their own.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use clap::Parser as _;
use futures_util::future::join_all;
use partners::{Config, Partners};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Both partners and a customer of theirs.
struct Market {
    partners: Partners,
    data: TempDir,
    http: reqwest::Client,
}

/// What a partner answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    replayed: bool,
    body: Value,
}

impl Answer {
    fn id(&self) -> &str {
        self.body["id"].as_str().expect("an id")
    }

    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().or(self.body["code"].as_str()).unwrap_or("none")
    }
}

impl Market {
    async fn open() -> Self {
        Self::at(tempfile::tempdir().expect("a directory")).await
    }

    async fn at(data: TempDir) -> Self {
        let dir = data.path().to_str().expect("utf-8");
        let args = ["partners", "--gateway-addr", "127.0.0.1:0", "--carrier-addr", "127.0.0.1:0", "--data-dir", dir];
        let partners = Partners::start(&Config::parse_from(args)).await.expect("starts");
        Self { partners, data, http: reqwest::Client::new() }
    }

    async fn restart(self) -> Self {
        self.partners.stop().await;
        Self::at(self.data).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let at_carrier = path.starts_with("/v1/bookings");
        let (addr, key) = match at_carrier {
            true => (self.partners.carrier, "ck_test_ensemble"),
            false => (self.partners.gateway, "sk_test_ensemble"),
        };
        self.http.request(method, format!("http://{addr}{path}")).bearer_auth(key)
    }

    /// None: the partner hung up.
    async fn send(&self, request: RequestBuilder, key: Option<&str>) -> Option<Answer> {
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        let response = request.send().await.ok()?;
        let replayed = response.headers().contains_key("idempotent-replayed");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        Some(Answer { status, replayed, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    async fn form(&self, path: &str, pairs: &[(&str, &str)], key: &str) -> Option<Answer> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body), Some(key)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path), None).await.expect("an answer")
    }

    async fn authorize(&self, order: &str, payment_method: &str, key: &str) -> Option<Answer> {
        let pairs = [
            ("amount", "1250"),
            ("currency", "eur"),
            ("capture_method", "manual"),
            ("confirm", "true"),
            ("payment_method", payment_method),
            ("payment_method_types[]", "card"),
            ("metadata[order_id]", order),
            ("expand[]", "latest_charge"),
        ];
        self.form("/v1/payment_intents", &pairs, key).await
    }

    async fn held(&self, order: &str) -> String {
        let answer = self.authorize(order, "pm_card_visa", &format!("{order}/authorize")).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.id().to_owned()
    }

    async fn book(&self, order: &str, ship_to: Value, key: &str) -> Option<Answer> {
        let body = json!({ "reference": order, "ship_to": ship_to });
        self.send(self.request(Method::POST, "/v1/bookings").json(&body), Some(key)).await
    }

    async fn search(&self, order: &str) -> Vec<Value> {
        let query = form_urlencoded::byte_serialize(format!("metadata['order_id']:'{order}'").as_bytes()).collect::<String>();
        let found = self.get(&format!("/v1/payment_intents/search?query={query}")).await;
        found.body["data"].as_array().expect("a list").clone()
    }

    async fn ledger(&self, partner: &str, query: &str) -> Value {
        let addr = if partner == "carrier" { self.partners.carrier } else { self.partners.gateway };
        let response = self.http.get(format!("http://{addr}/ledger{query}")).send().await.expect("an answer");
        response.json().await.expect("JSON")
    }

    async fn fault(&self, partner: &str, rule: Value) -> Answer {
        let addr = if partner == "carrier" { self.partners.carrier } else { self.partners.gateway };
        let request = self.http.post(format!("http://{addr}/faults")).json(&rule);
        self.send(request, None).await.expect("an answer")
    }
}

fn berlin() -> Value {
    json!({ "name": "Ada", "street": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE" })
}

fn berlin_but(field: &str, value: &str) -> Value {
    let mut address = berlin();
    address[field] = value.into();
    address
}

#[tokio::test]
async fn money_is_held_taken_and_given_back() {
    let market = Market::open().await;
    let held = market.authorize("o-1", "pm_card_visa", "o-1/authorize").await.expect("an answer");
    assert_eq!(held.body["status"], "requires_capture");
    assert_eq!(held.body["amount_capturable"], 1250);
    assert_eq!(held.body["metadata"]["order_id"], "o-1");
    let capture_before = &held.body["latest_charge"]["payment_method_details"]["card"]["capture_before"];
    assert_eq!(capture_before.as_i64().expect("seconds") - held.body["created"].as_i64().expect("seconds"), 7 * 86_400);

    let id = held.id();
    let taken = market.form(&format!("/v1/payment_intents/{id}/capture"), &[], "o-1/capture").await.expect("an answer");
    assert_eq!((taken.body["status"].as_str(), &taken.body["amount_received"]), (Some("succeeded"), &json!(1250)));
    let void = market.form(&format!("/v1/payment_intents/{id}/cancel"), &[], "o-1/cancel").await.expect("an answer");
    assert_eq!((void.status, void.code()), (StatusCode::BAD_REQUEST, "payment_intent_unexpected_state"));
    assert_eq!(void.body["error"]["payment_intent"]["status"], "succeeded");

    let part = [("payment_intent", id), ("amount", "250")];
    let back = market.form("/v1/refunds", &part, "o-1/refund/1").await.expect("an answer");
    assert_eq!((back.body["object"].as_str(), &back.body["amount"]), (Some("refund"), &json!(250)));
    let rest = market.form("/v1/refunds", &[("payment_intent", id)], "o-1/refund/2").await.expect("an answer");
    assert_eq!(rest.body["amount"], 1000);
    let more = market.form("/v1/refunds", &[("payment_intent", id)], "o-1/refund/3").await.expect("an answer");
    assert_eq!(more.code(), "charge_already_refunded");
    let refunds = market.get(&format!("/v1/refunds?payment_intent={id}")).await;
    assert_eq!(refunds.body["data"].as_array().map(Vec::len), Some(2));

    let ledger = market.ledger("gateway", "/o-1").await;
    let item = &ledger["items"][0];
    assert_eq!((&item["amount_received"], &item["amount_refunded"]), (&json!(1250), &json!(1250)));
    let history: Vec<_> = item["history"].as_array().expect("a list").iter().map(|entry| &entry["operation"]).collect();
    assert_eq!(history, ["authorize", "capture", "cancel", "refund", "refund", "refund"]);
    assert_eq!(item["history"][1]["idempotency_key"], "o-1/capture");
}

#[tokio::test]
async fn what_is_held_can_be_let_go() {
    let market = Market::open().await;
    let id = market.held("o-1").await;
    let cancel = format!("/v1/payment_intents/{id}/cancel");
    let gone = market.form(&cancel, &[("cancellation_reason", "abandoned")], "1").await.expect("an answer");
    assert_eq!((&gone.body["status"], &gone.body["amount_capturable"]), (&json!("canceled"), &json!(0)));
    let again = market.form(&cancel, &[], "2").await.expect("an answer");
    assert_eq!(again.code(), "payment_intent_unexpected_state");
    assert_eq!(again.body["error"]["payment_intent"]["status"], "canceled");
}

#[tokio::test]
async fn every_test_payment_method_answers_as_at_stripe() {
    let market = Market::open().await;
    for works in ["pm_card_visa", "pm_card_mastercard", "pm_card_amex", "pm_card_jcb", "pm_card_visa__t17"] {
        let answer = market.authorize("o-1", works, works).await.expect("an answer");
        assert_eq!((answer.status, &answer.body["payment_method"]), (StatusCode::OK, &json!(works)));
    }
    for (suffix, code, decline_code) in [
        ("chargeDeclined", "card_declined", Some("generic_decline")),
        ("chargeDeclinedInsufficientFunds", "card_declined", Some("insufficient_funds")),
        ("chargeDeclinedLostCard", "card_declined", Some("lost_card")),
        ("chargeDeclinedStolenCard", "card_declined", Some("stolen_card")),
        ("chargeDeclinedExpiredCard", "expired_card", None),
        ("chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("chargeDeclinedProcessingError", "processing_error", None),
        ("chargeDeclinedFraudulent", "card_declined", Some("fraudulent")),
        ("chargeDeclinedVelocityLimitExceeded__tag", "card_declined", Some("card_velocity_exceeded")),
    ] {
        for prefix in ["pm_card_", "pm_card_visa_"] {
            let method = format!("{prefix}{suffix}");
            let answer = market.authorize("o-2", &method, &method).await.expect("an answer");
            assert_eq!((answer.status, answer.code()), (StatusCode::PAYMENT_REQUIRED, code), "{method}");
            let error = &answer.body["error"];
            assert_eq!((error["type"].as_str(), error["decline_code"].as_str()), (Some("card_error"), decline_code));
            assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
        }
    }
    let unknown = market.authorize("o-3", "pm_card_lead", "1").await.expect("an answer");
    assert_eq!((unknown.status, unknown.code()), (StatusCode::BAD_REQUEST, "resource_missing"));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_and_burns_no_key() {
    let market = Market::open().await;
    let good = [
        ("amount", "1"),
        ("currency", "eur"),
        ("capture_method", "manual"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
    ];
    let with = |name: &'static str, value: &'static str| {
        let rest = good.iter().copied().filter(move |(known, _)| *known != name);
        rest.chain([(name, value)]).collect::<Vec<_>>()
    };
    for (pairs, code) in [
        (with("amount", ""), "parameter_missing"),
        (with("amount", "0"), "parameter_invalid_integer"),
        (with("amount", "-5"), "parameter_invalid_integer"),
        (with("amount", "12.50"), "parameter_invalid_integer"),
        (with("amount", "100000000"), "amount_too_large"),
        (with("currency", "EUR"), "none"),
        (with("capture_method", "automatic"), "parameter_invalid"),
        (with("colour", "red"), "parameter_unknown"),
    ] {
        let answer = market.form("/v1/payment_intents", &pairs, "k").await.expect("an answer");
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, code), "{pairs:?}");
    }
    let fine = market.form("/v1/payment_intents", &good, "k").await.expect("an answer");
    assert_eq!((fine.status, fine.replayed), (StatusCode::OK, false));

    let unknown = market.form("/v1/payment_intents/pi_0/capture", &[], "k2").await.expect("an answer");
    assert_eq!((unknown.status, unknown.code()), (StatusCode::NOT_FOUND, "resource_missing"));
    let json = market.request(Method::POST, "/v1/payment_intents").json(&json!({ "amount": 1 }));
    assert_eq!(market.send(json, None).await.expect("an answer").status, StatusCode::BAD_REQUEST);
    assert_eq!(market.get("/v1/customers").await.body["error"]["type"], "invalid_request_error");
    let large = "x".repeat(70_000);
    let large = market.form("/v1/payment_intents", &[("amount", &large)], "k3").await.expect("an answer");
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn only_the_key_opens_the_door() {
    let market = Market::open().await;
    let url = format!("http://{}/v1/payment_intents/pi_0", market.partners.gateway);
    let status = async |request: RequestBuilder| request.send().await.expect("an answer").status();
    assert_eq!(status(market.http.get(&url)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(market.http.get(&url).bearer_auth("sk_wrong")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(market.http.get(&url).basic_auth("sk_test_ensemble", Some(""))).await, StatusCode::NOT_FOUND);
    let livez = format!("http://{}/livez", market.partners.carrier);
    assert_eq!(status(market.http.get(livez)).await, StatusCode::OK);
}

#[tokio::test]
async fn the_first_answer_to_a_key_stands_through_a_restart() {
    let market = Market::open().await;
    let first = market.authorize("o-1", "pm_card_visa", "k").await.expect("an answer");
    let declined = market.authorize("o-2", "pm_card_chargeDeclined", "d").await.expect("an answer");
    let market = market.restart().await;
    let second = market.authorize("o-1", "pm_card_visa", "k").await.expect("an answer");
    assert_eq!((second.replayed, &second.body), (true, &first.body));
    let again = market.authorize("o-2", "pm_card_chargeDeclined", "d").await.expect("an answer");
    assert_eq!((again.status, again.replayed, &again.body), (StatusCode::PAYMENT_REQUIRED, true, &declined.body));

    let other = market.authorize("o-1", "pm_card_amex", "k").await.expect("an answer");
    assert_eq!((other.status, &other.body["error"]["type"]), (StatusCode::BAD_REQUEST, &json!("idempotency_error")));
    let elsewhere = market.form(&format!("/v1/payment_intents/{}/capture", first.id()), &[], "k").await.expect("an answer");
    assert_eq!(elsewhere.body["error"]["type"], "idempotency_error");
    assert_eq!(market.ledger("gateway", "").await["items"].as_array().map(Vec::len), Some(2));
}

/// The program itself on free ports, and where its gateway listens, as its log says.
fn program(data: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_partners"))
        .env("GATEWAY_ADDR", "127.0.0.1:0")
        .env("CARRIER_ADDR", "127.0.0.1:0")
        .env("DATA_DIR", data)
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let log: Value = serde_json::from_str(&line).expect("one JSON object a line");
    assert_eq!((&log["service"], &log["level"]), (&json!("partners"), &json!("INFO")), "{log}");
    (child, log["gateway"].as_str().expect("an address").to_owned())
}

#[tokio::test]
async fn what_was_answered_survives_kill_9_and_sigterm_ends_in_peace() {
    let mut market = Market::open().await;
    let data = tempfile::tempdir().expect("a directory");
    let (mut child, gateway) = program(data.path());
    market.partners.gateway = gateway.parse().expect("an address");
    let first = market.authorize("o-1", "pm_card_visa", "k").await.expect("an answer");
    child.kill().and_then(|()| child.wait()).expect("killed");

    let (mut child, gateway) = program(data.path());
    market.partners.gateway = gateway.parse().expect("an address");
    let second = market.authorize("o-1", "pm_card_visa", "k").await.expect("an answer");
    assert_eq!((second.replayed, second.body), (true, first.body));
    Command::new("kill").arg(child.id().to_string()).status().expect("SIGTERM is sent");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[tokio::test]
async fn one_key_charges_once_however_many_ask_at_once() {
    let market = Market::open().await;
    let asked = (0..40).map(|_| market.authorize("o-1", "pm_card_visa", "k"));
    let mut ids = std::collections::BTreeSet::new();
    for answer in join_all(asked).await {
        let answer = answer.expect("an answer");
        match answer.status {
            StatusCode::OK => drop(ids.insert(answer.id().to_owned())),
            _ => assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "idempotency_key_in_use")),
        }
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(market.ledger("gateway", "/o-1").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_answer_that_is_lost_was_executed_once() {
    let market = Market::open().await;
    let posted =
        market.fault("gateway", json!({ "scope": { "payment_method_tag": "t1" }, "kind": "answer_lost", "times": 2 })).await;
    assert_eq!(posted.status, StatusCode::CREATED);
    assert!(market.authorize("o-0", "pm_card_visa", "k0").await.is_some(), "not in scope");
    assert!(market.authorize("o-1", "pm_card_visa__t1", "k1").await.is_none());
    assert!(market.authorize("o-1", "pm_card_visa__t1", "k1").await.is_none());
    let third = market.authorize("o-1", "pm_card_visa__t1", "k1").await.expect("an answer");
    assert_eq!((third.status, third.replayed), (StatusCode::OK, true));
    assert_eq!(market.ledger("gateway", "/o-1").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_stored_500_is_replayed_whether_it_was_executed_or_not() {
    let market = Market::open().await;
    for executed in [false, true] {
        let order = format!("o-{executed}");
        let rule = json!({ "scope": { "order_id": order }, "kind": { "stored_500": { "executed": executed } }, "times": 1 });
        market.fault("gateway", rule).await;
        let key = format!("k-{executed}");
        let first = market.authorize(&order, "pm_card_visa", &key).await.expect("an answer");
        assert_eq!((first.status, first.replayed), (StatusCode::INTERNAL_SERVER_ERROR, false));
        let second = market.authorize(&order, "pm_card_visa", &key).await.expect("an answer");
        assert_eq!((second.status, second.replayed), (StatusCode::INTERNAL_SERVER_ERROR, true));
        assert_eq!(market.search(&order).await.len(), usize::from(executed));
    }
}

#[tokio::test]
async fn what_is_refused_before_it_was_done_can_be_asked_again() {
    let market = Market::open().await;
    for (kind, status) in
        [("error_5xx", Some(500)), ("unavailable", Some(503)), ("too_many_requests", Some(429)), ("refuse", None)]
    {
        market.fault("gateway", json!({ "scope": { "operation": "authorize" }, "kind": kind, "times": 1 })).await;
        let refused = market.authorize(kind, "pm_card_visa", kind).await;
        assert_eq!(refused.map(|answer| answer.status.as_u16()), status);
        assert!(market.search(kind).await.is_empty());
        let again = market.authorize(kind, "pm_card_visa", kind).await.expect("an answer");
        assert_eq!((again.status, again.replayed), (StatusCode::OK, false));
    }
}

#[tokio::test]
async fn a_call_lands_late_after_its_caller_hung_up() {
    let market = Market::open().await;
    market
        .fault("gateway", json!({ "kind": { "latency": { "ms": 300 } }, "scope": { "operation": "authorize" }, "times": 1 }))
        .await;
    let given_up = tokio::time::timeout(Duration::from_millis(50), market.authorize("o-1", "pm_card_visa", "k")).await;
    assert!(given_up.is_err());
    let meanwhile = market.authorize("o-1", "pm_card_visa", "k").await.expect("an answer");
    assert_eq!((meanwhile.status, meanwhile.code()), (StatusCode::CONFLICT, "idempotency_key_in_use"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while market.search("o-1").await.is_empty() {
        assert!(Instant::now() < deadline, "the call never landed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(market.authorize("o-1", "pm_card_visa", "k").await.expect("an answer").replayed);
}

#[tokio::test]
async fn search_lags_and_retrieve_does_not() {
    let market = Market::open().await;
    market
        .fault("gateway", json!({ "kind": { "lookup_lags": { "ms": 60_000 } }, "scope": { "order_id": "o-1" }, "times": 1 }))
        .await;
    let id = market.held("o-1").await;
    assert!(market.search("o-1").await.is_empty());
    assert_eq!(market.get(&format!("/v1/payment_intents/{id}")).await.status, StatusCode::OK);
    assert_eq!(market.search("o-1").await[0]["id"], json!(id), "the rule is used up");
}

#[tokio::test]
async fn a_failed_capture_leaves_the_hold() {
    let market = Market::open().await;
    market.fault("gateway", json!({ "kind": "capture_fails", "times": 1 })).await;
    let id = market.held("o-1").await;
    let failed = market.form(&format!("/v1/payment_intents/{id}/capture"), &[], "c").await.expect("an answer");
    assert_eq!((failed.status, failed.code()), (StatusCode::PAYMENT_REQUIRED, "card_declined"));
    assert_eq!(failed.body["error"]["payment_intent"]["status"], "requires_capture");
    let void = market.form(&format!("/v1/payment_intents/{id}/cancel"), &[], "v").await.expect("an answer");
    assert_eq!(void.body["status"], "canceled");
}

#[tokio::test]
async fn an_authorization_lapses_and_a_forgotten_key_charges_twice() {
    let market = Market::open().await;
    market.fault("gateway", json!({ "kind": { "authorization_lapses": { "ms": 0 } }, "times": 1 })).await;
    let id = market.held("o-1").await;
    let late = market.form(&format!("/v1/payment_intents/{id}/capture"), &[], "c").await.expect("an answer");
    assert_eq!(late.code(), "payment_intent_unexpected_state");
    assert_eq!(late.body["error"]["payment_intent"]["cancellation_reason"], "automatic");
    assert_eq!(market.ledger("gateway", "/o-1").await["items"][0]["status"], "canceled");

    market.fault("gateway", json!({ "kind": "key_forgotten", "times": 1 })).await;
    assert_ne!(market.held("o-2").await, market.held("o-2").await);
}

#[tokio::test]
async fn a_rule_strikes_the_share_it_was_told() {
    let market = Market::open().await;
    market.fault("gateway", json!({ "kind": { "decline": { "code": "lost_card" } }, "rate": 0.0 })).await;
    market.held("o-1").await;
    market.fault("gateway", json!({ "kind": { "decline": { "code": "lost_card" } }, "rate": 1.0 })).await;
    let declined = market.authorize("o-2", "pm_card_visa", "k").await.expect("an answer");
    assert_eq!(declined.body["error"]["decline_code"], "lost_card");
    let url = format!("http://{}/faults", market.partners.gateway);
    let rules: Value = market.http.get(&url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&rules[0]["struck"], &rules[1]["struck"]), (&json!(0), &json!(1)));
    assert_eq!(market.http.delete(format!("{url}/2")).send().await.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(market.http.delete(format!("{url}/2")).send().await.expect("an answer").status(), StatusCode::NOT_FOUND);
    assert_eq!(market.http.delete(&url).send().await.expect("an answer").status(), StatusCode::NO_CONTENT);
    market.held("o-3").await;
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_a_problem() {
    let market = Market::open().await;
    let bad = json!({ "scope": { "operation": "book" }, "kind": { "latency": { "ms": 999_999_999 } }, "times": 0, "rate": 2 });
    let all = market.fault("gateway", bad).await;
    assert_eq!(all.status, StatusCode::UNPROCESSABLE_ENTITY);
    let pointers: Vec<_> = all.body["errors"].as_array().expect("a list").iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/scope/operation", "/times", "/rate", "/kind"]);
    assert_eq!(market.fault("carrier", json!({ "kind": "capture_fails" })).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(market.fault("carrier", json!({ "kind": "meteor" })).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(market.fault("carrier", json!({ "kind": "refuse", "tmies": 1 })).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_carrier_books_and_cancels() {
    let market = Market::open().await;
    let booked = market.book("o-1", berlin(), "o-1/book").await.expect("an answer");
    assert_eq!((booked.status, &booked.body["status"]), (StatusCode::CREATED, &json!("booked")));
    assert!(booked.body["tracking"].is_string() && booked.body["pick_up"].is_string());
    let market = market.restart().await;
    let again = market.book("o-1", berlin(), "o-1/book").await.expect("an answer");
    assert_eq!((again.replayed, &again.body), (true, &booked.body));
    let other = market.book("o-1", berlin_but("city", "Hamburg"), "o-1/book").await.expect("an answer");
    assert_eq!((other.status, other.code()), (StatusCode::BAD_REQUEST, "idempotency_error"));
    assert_eq!(market.get("/v1/bookings?reference=o-1").await.body["data"], json!([booked.body]));

    let cancel = async |id: &str, key| {
        let request = market.request(Method::POST, &format!("/v1/bookings/{id}/cancel"));
        market.send(request, Some(key)).await.expect("an answer")
    };
    for key in ["c1", "c2"] {
        let gone = cancel(booked.id(), key).await;
        assert_eq!((gone.status, &gone.body["status"]), (StatusCode::OK, &json!("cancelled")));
    }
    let unknown = cancel("bk_0", "c3").await;
    assert_eq!((unknown.status, &unknown.body["status"]), (StatusCode::OK, &json!("unknown")));
    assert_eq!(market.get(&format!("/v1/bookings/{}", booked.id())).await.body["status"], "cancelled");
    let item = &market.ledger("carrier", "/o-1").await["items"][0];
    assert_eq!((&item["status"], item["history"].as_array().map(Vec::len)), (&json!("cancelled"), Some(3)));
}

#[tokio::test]
async fn the_carrier_does_not_go_everywhere() {
    let market = Market::open().await;
    for (field, value, code) in [
        ("country", "AQ", "destination_not_served"),
        ("postal_code", "00000", "address_unknown"),
        ("street", "PO Box 7", "po_box_not_served"),
    ] {
        let refused = market.book("o-1", berlin_but(field, value), value).await.expect("an answer");
        assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, code));
    }
    for (field, value) in [("country", "Germany"), ("city", " ")] {
        let invalid = market.book("o-1", berlin_but(field, value), value).await.expect("an answer");
        assert_eq!((invalid.status, invalid.code()), (StatusCode::BAD_REQUEST, "invalid_request"));
    }
    assert_eq!(market.get("/v1/bookings?reference=o-1").await.body["data"], json!([]));
    assert_eq!(market.ledger("carrier", "/o-1").await["items"].as_array().map(Vec::len), Some(3));

    market.fault("carrier", json!({ "scope": { "ship_to_name": "Eve" }, "kind": "answer_lost", "times": 1 })).await;
    assert!(market.book("o-2", berlin_but("name", "Eve"), "e").await.is_none());
    assert!(market.book("o-2", berlin_but("name", "Eve"), "e").await.expect("an answer").replayed);
    assert_eq!(market.get("/v1/bookings?reference=o-2").await.body["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_ledger_is_read_in_pages() {
    let market = Market::open().await;
    let orders: Vec<_> = (0..25).map(|order| format!("o-{order}")).collect();
    for order in &orders {
        market.held(order).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = market.ledger("gateway", &format!("?limit=10{after}")).await;
        seen.extend(
            page["items"].as_array().expect("a list").iter().map(|item| item["order_id"].as_str().expect("an id").to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, orders);
    assert_eq!(market.ledger("gateway", "?limit=many").await["status"], 400);
}
