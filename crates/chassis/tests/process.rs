//! A process with the chassis around it and nothing inside, from its start to SIGTERM: what only a whole process shows.

use std::time::Duration;

use axum::Router;
use chassis::{
    admin::{self, Health},
    config::{self, About, NoSettings},
    edge,
    shutdown::{End, Shutdown},
    telemetry,
};
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;

const ABOUT: About = About { service: "toy", does: "Nothing, for tests.", version: "0.1.0", defaults: &[] };

#[tokio::test]
async fn serves_counts_drains_and_ends() {
    let no_database = |name: &str| (name == "DATABASE_URL").then(|| "postgres://toy@127.0.0.1/toy".into());
    let config = config::parse::<NoSettings>(&ABOUT, ["toy".into()], no_database).unwrap();
    let telemetry = telemetry::start(ABOUT.service, &config.telemetry).unwrap();
    let shutdown = Shutdown::default();
    let health = Health::new(shutdown.draining());

    let (api, operators) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (api_url, admin_url) = (url(&api), url(&operators));
    let app = edge::app(&ABOUT, OpenApiRouter::new(), &[], &config.edge, &telemetry.metrics);
    let probes = admin::router(health, telemetry.metrics.clone(), Router::new());
    let (intake, work) = (shutdown.intake(), shutdown.work());
    shutdown.spawn_taker("edge", async move { edge::serve(api, app, intake).await.unwrap() });
    shutdown.spawn_worker("admin", async move { admin::serve(operators, probes, work).await.unwrap() });

    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let get = async |url: String| http.get(url).send().await.unwrap();
    let document = get(format!("{api_url}/openapi.json")).await;
    assert_eq!(document.status(), 200);
    assert_eq!(document.headers()["traceresponse"].len(), 55, "a trace id although nothing is exported");
    assert_eq!(get(format!("{admin_url}/readyz")).await.status(), 200);
    let metrics = get(format!("{admin_url}/metrics")).await.text().await.unwrap();
    assert!(metrics.contains(r#"http_route="/openapi.json""#), "{metrics}");

    let settings = chassis::shutdown::Settings { shutdown_grace: Duration::from_millis(200), ..config.shutdown };
    let ending = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { shutdown.run(&settings).await }
    });
    // The handler is in place once the task has begun to wait; a signal before that would end the test itself.
    tokio::task::yield_now().await;
    let killed = tokio::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
    assert!(killed.await.unwrap().success());
    shutdown.draining().cancelled().await;
    assert_eq!(get(format!("{admin_url}/readyz")).await.text().await.unwrap(), "not ready: draining\n");
    // The client keeps its idle connections: they must not hold the end back.
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), ending).await.unwrap().unwrap(), End::Orderly);
    drop(http);
    telemetry.flush();
}
