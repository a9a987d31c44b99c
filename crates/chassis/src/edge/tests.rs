//! The edge as a client meets it: a toy API behind all its layers, asked over HTTP semantics and no socket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Request, StatusCode},
    response::{IntoResponse as _, Response},
};
use opentelemetry::trace::TracerProvider as _;
use saga::{Claim, Receipt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::*;

const ABOUT: About = About { service: "toy", does: "Keeps things, for tests.", version: "0.1.0", defaults: &[] };
const OWN: &[ProblemPage] =
    &[ProblemPage { slug: "thing-forbidden", status: 422, title: "Not that thing", text: "Some things are not kept." }];
const SETTINGS: Settings = Settings {
    http_addr: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0),
    request_deadline: Duration::from_secs(10),
    requests_max: 2,
    request_bytes_max: 1024,
};

#[derive(Deserialize, Serialize, ToSchema, Debug)]
struct NewThing {
    #[schema(min_length = 1, max_length = 20)]
    name: String,
    #[schema(minimum = 1, maximum = 9)]
    count: u8,
}

/// A fingerprint and the answer.
type Kept = ([u8; 32], Receipt);

/// What a service keeps, with the claims that its commits would keep.
#[derive(Clone, Default)]
struct Toy {
    claims: Arc<Mutex<HashMap<[u8; 32], Kept>>>,
    away: Arc<Mutex<Option<NotTaken>>>,
    gate: Arc<Mutex<Option<Arc<Notify>>>>,
}

impl Toy {
    fn kept(&self) -> usize {
        self.claims.lock().unwrap().len()
    }
}

impl Commands<NewThing> for Toy {
    async fn take(&self, claim: Claim, thing: NewThing) -> Result<Taken, NotTaken> {
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        if let Some(why) = self.away.lock().unwrap().clone() {
            return Err(why);
        }
        let Claim::Request { key, fingerprint } = claim else { panic!("a request's claim") };
        let mut claims = self.claims.lock().unwrap();
        match claims.get(&key) {
            Some((known, receipt)) if *known == fingerprint => Ok(Taken::Before(receipt.clone())),
            Some(_) => Ok(Taken::OtherBody),
            None if thing.name == "forbidden" => {
                Ok(Taken::Refused(saga::Problem::new(422, "thing-forbidden", "Not that thing", "This one is not kept.")))
            }
            None => {
                let receipt = Receipt::new(202, &json!({"id": claims.len() + 1, "name": thing.name}));
                claims.insert(key, (fingerprint, receipt.clone()));
                Ok(Taken::Now(receipt))
            }
        }
    }
}

#[utoipa::path(post, path = "/v1/things", request_body = NewThing, responses((status = 202)))]
async fn keep(State(toy): State<Toy>, thing: Command<NewThing>) -> Result<Answer, Problem> {
    let answer = thing.submit(&toy, |thing| thing).await?;
    let place = format!("/v1/things/{}", answer.receipt.body["id"]);
    Ok(answer.at(&place))
}

#[utoipa::path(put, path = "/v1/things/{id}", request_body = NewThing, responses((status = 202)))]
async fn replace(State(toy): State<Toy>, Path(id): Path<u64>, thing: Command<NewThing>) -> Result<Answer, Problem> {
    Ok(thing.submit(&toy, |thing| thing).await?.at(&format!("/v1/things/{id}")))
}

#[utoipa::path(get, path = "/v1/things", responses((status = 200)))]
async fn list(page: Page<u64>) -> Response {
    let first = page.after.unwrap_or(0) + 1;
    let rows: Vec<u64> = (first..=5).take(page.to_load()).collect();
    page.answer(rows, |id| *id)
}

#[utoipa::path(get, path = "/v1/slow", responses((status = 200)))]
async fn slow(prefer: Prefer) -> Response {
    let never = CancellationToken::new();
    match prefer.wait {
        None => std::future::pending().await,
        Some(_) => {
            prefer.applied(prefer.wait_for(std::future::pending::<()>(), &never).await.is_none().to_string().into_response())
        }
    }
}

#[utoipa::path(get, path = "/v1/clumsy", responses((status = 200)))]
async fn clumsy() {
    panic!("on purpose")
}

struct Client {
    app: Router,
    toy: Toy,
    metrics: Metrics,
}

/// Once for all tests: a callsite that a thread without a subscriber meets first may stay silent for the others.
fn traced() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let tracers = opentelemetry_sdk::trace::SdkTracerProvider::builder()
            .with_sampler(opentelemetry_sdk::trace::Sampler::AlwaysOff)
            .build();
        opentelemetry::global::set_text_map_propagator(opentelemetry_sdk::propagation::TraceContextPropagator::new());
        let spans = tracing_opentelemetry::layer().with_tracer(tracers.tracer("test"));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans)).expect("nobody else sets one");
    });
}

fn client() -> Client {
    client_counting(Metrics::detached())
}

fn client_counting(metrics: Metrics) -> Client {
    traced();
    let toy = Toy::default();
    let routes = OpenApiRouter::new()
        .routes(routes!(keep, list))
        .routes(routes!(replace))
        .routes(routes!(slow))
        .routes(routes!(clumsy))
        .with_state(toy.clone());
    Client { app: app(&ABOUT, routes, OWN, &SETTINGS, &metrics), toy, metrics }
}

struct Got {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("not JSON: {:?}", self.bytes))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The problem document that it must be, with its kind.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let kind = problem["type"].as_str().unwrap();
        (self.status, kind.strip_prefix("/problems/").unwrap_or(kind).to_owned())
    }
}

impl Client {
    async fn send(&self, request: Request<Body>) -> Got {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    async fn get(&self, path: &str) -> Got {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, key: &str, body: &str) -> Got {
        self.send(posted(key, body)).await
    }
}

fn posted(key: &str, body: &str) -> Request<Body> {
    Request::post("/v1/things")
        .header("content-type", "application/json; charset=utf-8")
        .header("idempotency-key", key)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

const GOOD: &str = r#"{"name": "tea", "count": 2}"#;

#[tokio::test]
async fn a_command_takes_effect_once_and_its_answer_is_replayed() {
    let client = client();
    let first = client.post("\"k1\"", GOOD).await;
    assert_eq!((first.status, first.header("location")), (202, "/v1/things/1"));
    assert_eq!(first.header("idempotent-replayed"), "");

    let again = client.post("\"k1\"", r#"{"count":2,"name":"tea"}"#).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, "true"));
    assert_eq!(again.json(), first.json());

    let other = client.post("\"k1\"", r#"{"name": "tea", "count": 3}"#).await;
    assert_eq!(other.problem(), (422, "idempotency-key-reused".into()));
    assert_eq!(client.post("\"k2\"", GOOD).await.json()["id"], 2, "a new key is a new request");
}

#[tokio::test]
async fn a_key_is_required_on_post_and_accepted_on_put() {
    let client = client();
    let request = Request::post("/v1/things").header("content-type", "application/json").body(Body::from(GOOD)).unwrap();
    assert_eq!(client.send(request).await.problem(), (400, "idempotency-key-missing".into()));
    assert_eq!(client.get("/problems/idempotency-key-missing").await.status, 200, "the type leads to a page");
    assert_eq!(client.post("k1", GOOD).await.problem(), (400, "idempotency-key-malformed".into()));

    let put = || Request::put("/v1/things/7").header("content-type", "application/json");
    assert_eq!(client.send(put().body(Body::from(GOOD)).unwrap()).await.status, 202);
    assert_eq!(client.send(put().body(Body::from(GOOD)).unwrap()).await.header("idempotent-replayed"), "");
    let keyed = || put().header("idempotency-key", "\"p\"").body(Body::from(GOOD)).unwrap();
    client.send(keyed()).await;
    assert_eq!(client.send(keyed()).await.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn a_refusal_is_not_kept_and_frees_the_key() {
    let client = client();
    let refused = client.post("\"k\"", r#"{"name": "forbidden", "count": 1}"#).await;
    assert_eq!(refused.problem(), (422, "thing-forbidden".into()));
    assert_eq!(client.get("/problems/thing-forbidden").await.status, 200);
    *client.toy.away.lock().unwrap() = Some(NotTaken::Full { retry_after: 3 });
    let full = client.post("\"k\"", GOOD).await;
    assert_eq!((full.problem(), full.header("retry-after")), ((503, "overloaded".into()), "3"));
    *client.toy.away.lock().unwrap() = Some(NotTaken::Away);
    assert_eq!(client.post("\"k\"", GOOD).await.problem(), (503, "unavailable".into()));
    *client.toy.away.lock().unwrap() = None;
    assert_eq!(client.toy.kept(), 0);
    assert_eq!(client.post("\"k\"", GOOD).await.status, 202, "the key is free");
}

#[tokio::test]
async fn the_same_key_meanwhile_is_told_to_come_again() {
    let client = client();
    let gate = Arc::new(Notify::new());
    *client.toy.gate.lock().unwrap() = Some(gate.clone());
    let first = tokio::spawn(client.app.clone().oneshot(posted("\"k\"", GOOD)));
    while Arc::strong_count(&gate) < 3 {
        tokio::task::yield_now().await;
    }
    let second = client.post("\"k\"", GOOD).await;
    assert_eq!((second.problem(), second.header("retry-after")), ((409, "request-in-progress".into()), "1"));
    *client.toy.gate.lock().unwrap() = None;
    gate.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(client.post("\"k\"", GOOD).await.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let client = client();
    let unknown = client.get("/v1/nothing?x=1").await;
    assert_eq!(unknown.problem(), (404, "not-found".into()));
    assert_eq!(unknown.json()["instance"], "/v1/nothing");

    let delete = client.send(Request::delete("/v1/things").body(Body::empty()).unwrap()).await;
    assert_eq!(delete.problem(), (405, "method-not-allowed".into()));
    assert!(delete.header("allow").contains("POST"), "{:?}", delete.headers);

    let mut typed = posted("\"k\"", GOOD);
    typed.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(client.send(typed).await.problem(), (415, "unsupported-media-type".into()));
    assert_eq!(client.post("\"k\"", "{\"name\": ").await.problem(), (400, "malformed-json".into()));
    assert_eq!(client.post("\"k\"", &" ".repeat(2000)).await.problem(), (413, "body-too-large".into()));
    let chunked =
        Body::from_stream(futures_util::stream::iter([[b' '; 700]; 3].map(|part| Ok::<_, std::io::Error>(part.to_vec()))));
    let mut request = posted("\"k\"", "");
    *request.body_mut() = chunked;
    assert_eq!(client.send(request).await.problem(), (413, "body-too-large".into()), "length not told");
    let put = Request::put("/v1/things/seven").body(Body::from(GOOD)).unwrap();
    assert_eq!(client.send(put).await.problem(), (404, "not-found".into()));

    let invalid = client.post("\"k\"", r#"{"name": "", "count": 0}"#).await;
    assert_eq!(invalid.problem(), (422, "invalid-body".into()));
    assert_eq!(invalid.json()["errors"].as_array().unwrap().len(), 2);
    assert_eq!(client.toy.kept(), 0);
}

#[tokio::test]
async fn a_panic_is_one_requests_problem() {
    let client = client();
    assert_eq!(client.get("/v1/clumsy").await.problem(), (500, "internal-error".into()));
    assert!(!String::from_utf8_lossy(&client.get("/v1/clumsy").await.bytes).contains("on purpose"), "no internals");
    assert_eq!(client.post("\"k\"", GOOD).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_request_has_a_deadline_and_what_it_asks_to_wait_for_on_top() {
    let client = client();
    assert_eq!(client.get("/v1/slow").await.problem(), (504, "deadline-passed".into()));
    let waited = client.send(Request::get("/v1/slow").header("prefer", "wait=20").body(Body::empty()).unwrap()).await;
    assert_eq!((waited.status, waited.header("preference-applied")), (200, "wait=20"));
}

#[tokio::test(start_paused = true)]
async fn one_request_too_many_is_turned_away_at_once() {
    let client = client();
    let slow = || client.app.clone().oneshot(Request::get("/v1/slow").body(Body::empty()).unwrap());
    let under_way = [tokio::spawn(slow()), tokio::spawn(slow())];
    tokio::task::yield_now().await;
    let third = client.post("\"k\"", GOOD).await;
    assert_eq!((third.problem(), third.header("retry-after")), ((503, "overloaded".into()), "1"));
    assert!(client.metrics.render().unwrap().contains(r#"ensemble_shed_total{why="in_flight"} 1"#));
    for one in under_way {
        assert_eq!(one.await.unwrap().unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    }
    assert_eq!(client.post("\"k\"", GOOD).await.status, 202);
}

#[tokio::test]
async fn every_answer_carries_its_trace_and_its_headers() {
    let client = client();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = Request::get("/v1/nothing")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("x-request-id", "mine")
        .body(Body::empty())
        .unwrap();
    let got = client.send(request).await;
    assert_eq!(got.json()["trace_id"], trace);
    assert_eq!(&got.header("traceresponse")[3..35], trace);
    assert_eq!(got.header("x-request-id"), "mine");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("cache-control"), "no-store");
    assert_ne!(client.get("/v1/things").await.header("x-request-id"), "", "one is made where none was sent");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let client = client_counting(Metrics::start(opentelemetry_sdk::Resource::builder_empty().build()).unwrap());
    client.send(Request::put("/v1/things/12345").body(Body::empty()).unwrap()).await;
    let text = client.metrics.render().unwrap();
    let counted = |line: &&str| {
        line.starts_with("http_server_request_duration_seconds_count{")
            && [r#"http_request_method="PUT""#, r#"http_response_status_code="422""#, r#"http_route="/v1/things/{id}""#]
                .iter()
                .all(|label| line.contains(label))
    };
    assert!(text.lines().any(|line| counted(&line)), "{text}");
    assert!(!text.contains("12345"), "no id in a label");
}

#[tokio::test]
async fn pages_follow_each_other_by_their_link() {
    let client = client();
    let (mut seen, mut path) = (Vec::new(), "/v1/things?status=a%20b&limit=2".to_owned());
    loop {
        let page = client.get(&path).await;
        seen.extend(page.json()["items"].as_array().unwrap().iter().filter_map(Value::as_u64));
        let Some(next) = page.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) else {
            assert_eq!(page.json().get("next"), None);
            break;
        };
        assert!(next.contains("status=a%20b") && next.contains("limit=2"), "{next}");
        path = next.to_owned();
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    assert_eq!(client.get("/v1/things?cursor=nonsense").await.problem().0, 400);
    assert_eq!(client.get("/v1/things?limit=0").await.problem().0, 400);
}

#[tokio::test]
async fn the_document_describes_what_there_is() {
    let client = client();
    let document = client.get("/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["title"], "toy");
    let post = &document["paths"]["/v1/things"]["post"];
    assert_eq!(post["parameters"][0]["name"], "Idempotency-Key");
    assert_eq!(post["parameters"][0]["required"], true);
    assert!(post["responses"]["default"]["content"]["application/problem+json"].is_object());
    let put = &document["paths"]["/v1/things/{id}"]["put"]["parameters"];
    assert_eq!((&put[0]["name"], &put[1]["name"], &put[1]["required"]), (&"id".into(), &"Idempotency-Key".into(), &false.into()));
    assert_eq!(document["components"]["schemas"]["NewThing"]["properties"]["count"]["maximum"], 9);

    let page = client.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("script-src 'self'"), "{:?}", page.headers);
}
