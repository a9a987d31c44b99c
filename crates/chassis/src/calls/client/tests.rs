//! The client against a real server on the loopback that misbehaves as it is told.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::Notify,
};

use super::*;

async fn served(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A server that reads a request and hangs up.
async fn hanging_up() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        }
    });
    url
}

fn client(url: Url, change: impl FnOnce(&mut ClientConfig)) -> (Client, Metrics) {
    let (mut config, metrics) = (ClientConfig::new("partner", url), Metrics::detached());
    change(&mut config);
    (Client::new(config, &metrics).unwrap(), metrics)
}

async fn fetch(client: &Client, path: &str) -> Result<Response, Failure> {
    client.send(client.request(Method::GET, path).build().unwrap()).await
}

#[tokio::test]
async fn an_answer_comes_whole_and_a_500_is_one() {
    let router = Router::new()
        .route("/base/fine", get(|| async { ([("x-answer", "42")], "fine") }))
        .route("/base/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "sorry") }))
        .route("/base/large", get(|| async { "x".repeat(2000) }));
    let (client, metrics) = client(served(router).await, |config| config.answer_bytes_max = 1000);
    let fine = fetch(&client, "/fine?a=b").await.unwrap();
    assert_eq!(
        (fine.status, &fine.body[..], &fine.headers["x-answer"]),
        (StatusCode::OK, &b"fine"[..], &HeaderValue::from_static("42"))
    );
    assert_eq!(fetch(&client, "/broken").await.unwrap().body, "sorry");
    assert_eq!(fetch(&client, "/large").await, Err(Failure::InDoubt(InDoubt::TooLarge)));
    let text = metrics.render().unwrap();
    for line in [
        r#"http_client_request_duration_seconds_count{dependency="partner",http_request_method="GET",outcome="200"} 1"#,
        r#"http_client_request_duration_seconds_count{dependency="partner",http_request_method="GET",outcome="500"} 1"#,
        r#"ensemble_circuit_state{dependency="partner"} 0"#,
        r#"ensemble_bulkhead_in_use{compartment="partner"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}

#[tokio::test]
async fn not_sent_and_in_doubt_are_told_apart() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (refused, _) = client(format!("http://{nobody}").parse().unwrap(), |_| {});
    assert_eq!(fetch(&refused, "/").await, Err(Failure::NotSent(NotSent::Unreachable)));

    let (cut, _) = client(hanging_up().await, |_| {});
    assert_eq!(fetch(&cut, "/").await, Err(Failure::InDoubt(InDoubt::Broken)));

    let silent = Router::new().route("/base/", get(std::future::pending::<()>));
    let (late, metrics) = client(served(silent).await, |config| config.timeout = Duration::from_millis(50));
    assert_eq!(fetch(&late, "/").await, Err(Failure::InDoubt(InDoubt::Timeout)));
    assert!(metrics.render().unwrap().contains(r#"outcome="timeout"} 1"#), "recorded although it was dropped");
}

#[tokio::test]
async fn a_retry_repeats_the_request_with_its_key() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    async fn third_time(State(seen): State<Arc<std::sync::Mutex<Vec<String>>>>, headers: HeaderMap, body: String) -> StatusCode {
        let mut seen = seen.lock().unwrap();
        seen.push(format!("{} {body}", headers["idempotency-key"].to_str().unwrap()));
        if seen.len() < 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    }
    let url = served(Router::new().route("/base/", post(third_time)).with_state(seen.clone())).await;
    let (client, _) = client(url, |config| {
        config.tries = 3;
        config.backoff = Backoff { first: Duration::from_millis(1), most: Duration::from_millis(2) };
    });
    let request = client.request(Method::POST, "/").header("idempotency-key", "k1").body("charge").build().unwrap();
    assert_eq!(client.send(request).await.unwrap().status, StatusCode::OK);
    assert_eq!(*seen.lock().unwrap(), ["k1 charge"; 3]);
}

#[tokio::test]
async fn a_circuit_opens_on_failures_and_closes_on_success() {
    let (asked, healthy) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    async fn answer(State((asked, healthy)): State<(Arc<AtomicUsize>, Arc<AtomicUsize>)>) -> StatusCode {
        asked.fetch_add(1, Ordering::Relaxed);
        if healthy.load(Ordering::Relaxed) == 1 { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
    }
    let url = served(Router::new().route("/base/", get(answer)).with_state((asked.clone(), healthy.clone()))).await;
    let (client, metrics) = client(url, |config| {
        config.breaker =
            Breaker { window: 4, calls_min: 4, open_for: Duration::from_millis(20), probes: 1, ..Breaker::default() };
    });
    for _ in 0..4 {
        assert_eq!(fetch(&client, "/").await.unwrap().status, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(fetch(&client, "/").await, Err(Failure::NotSent(NotSent::CircuitOpen)));
    assert_eq!(asked.load(Ordering::Relaxed), 4, "left alone");
    let text = metrics.render().unwrap();
    assert!(text.contains(r#"ensemble_circuit_state{dependency="partner"} 2"#), "{text}");
    assert!(text.contains(r#"ensemble_shed_total{why="circuit_open"} 1"#), "{text}");

    healthy.store(1, Ordering::Relaxed);
    let closed = async {
        while fetch(&client, "/").await.map(|response| response.status) != Ok(StatusCode::OK) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("a probe goes through and closes it");
}

#[tokio::test]
async fn a_full_bulkhead_turns_calls_away_at_once() {
    let gate = Arc::new(Notify::new());
    async fn wait(State(gate): State<Arc<Notify>>) {
        gate.notified().await;
    }
    let url = served(Router::new().route("/base/", get(wait)).with_state(gate.clone())).await;
    let (client, metrics) = client(url, |config| config.calls_max = 1);
    let first = tokio::spawn({
        let client = client.clone();
        async move { fetch(&client, "/").await }
    });
    while !metrics.render().unwrap().contains(r#"ensemble_bulkhead_in_use{compartment="partner"} 1"#) {
        tokio::task::yield_now().await;
    }
    assert_eq!(fetch(&client, "/").await, Err(Failure::NotSent(NotSent::BulkheadFull)));
    gate.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status, StatusCode::OK);
}
