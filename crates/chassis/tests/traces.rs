//! Spans arrive at a collector. The exporter works in a thread of its own, and one that fails there fails in silence:
//! only a collector can tell.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, routing::post};
use chassis::{
    config::{self, About, NoSettings},
    telemetry,
};
use tokio::net::TcpListener;

const ABOUT: About = About { service: "toy", does: "Nothing, for tests.", version: "0.1.0", defaults: &[] };

#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_the_collector_and_children_their_parent() {
    let received: Arc<Mutex<Vec<u8>>> = Arc::default();
    async fn collect(State(received): State<Arc<Mutex<Vec<u8>>>>, spans: Bytes) {
        received.lock().unwrap().extend_from_slice(&spans);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Router::new().route("/v1/traces", post(collect)).with_state(received.clone());
    tokio::spawn(async move { axum::serve(listener, collector).await });

    let config = config::parse::<NoSettings>(&ABOUT, ["toy".into()], |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone().into()),
        "DATABASE_URL" => Some("postgres://toy@127.0.0.1/toy".into()),
        _ => None,
    });
    let telemetry = telemetry::start(ABOUT.service, &config.unwrap().telemetry).unwrap();
    let row = tracing::info_span!("a-request").in_scope(telemetry::current);
    let consumer = tracing::info_span!("a-consumer");
    telemetry::child_of(&consumer, &row);
    consumer.in_scope(|| tracing::info!("at work"));
    drop(consumer);
    tokio::task::spawn_blocking(move || telemetry.flush()).await.unwrap();

    let received = received.lock().unwrap();
    let holds = |wanted: &[u8]| received.windows(wanted.len()).any(|window| window == wanted);
    assert!(holds(b"toy") && holds(b"a-request") && holds(b"a-consumer"), "{} bytes", received.len());
    let trace: Vec<u8> = row
        .trace_id()
        .unwrap()
        .as_bytes()
        .chunks(2)
        .map(|hex| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(received.windows(16).filter(|window| *window == trace).count(), 2, "both spans are of one trace");
}
