//! Whatever bytes come in: never a 500, never a panic, and what is refused says why.

use std::sync::Arc;

use anyhow::ensure;
use ensemble::Service;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use reqwest::{Client, Method};
use tests::Basket;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "garbage");
    trials.add("row_34_no_body_and_no_path_makes_a_500", bodies);
    trials.add("row_34_no_bytes_on_the_wire_make_a_500", bytes);
    trials.all()
}

/// Every route that takes something, and its path with something in it.
fn routes(world: &World) -> Vec<(Method, String)> {
    let at = |service| world.addresses.url(service);
    let (order, inventory, shipping) = (at(Service::Order), at(Service::Inventory), at(Service::Shipping));
    let (nobody, odd) = (uuid::Uuid::now_v7(), "%00%ff%f0%9f%98%80..%2f");
    vec![
        (Method::POST, format!("{order}/v1/orders")),
        (Method::POST, format!("{order}/v1/orders/{nobody}/cancel")),
        (Method::POST, format!("{order}/v1/orders/{odd}/cancel")),
        (Method::GET, format!("{order}/v1/orders/{odd}")),
        (Method::GET, format!("{order}/v1/orders?limit=99999999999999999999&cursor={odd}&customer_id={odd}")),
        (Method::GET, format!("{order}/v1/orders/{odd}/events")),
        (Method::PUT, format!("{inventory}/v1/products/{odd}")),
        (Method::PUT, format!("{inventory}/v1/products/GARBAGE-1")),
        (Method::POST, format!("{inventory}/v1/products/{odd}/adjustments")),
        (Method::POST, format!("{inventory}/v1/products/GARBAGE-1/adjustments")),
        (Method::GET, format!("{inventory}/v1/products?limit=-1&cursor={odd}")),
        (Method::GET, format!("{inventory}/v1/products/{odd}")),
        (Method::POST, format!("{shipping}/v1/shipments/{nobody}/dispatch")),
        (Method::POST, format!("{shipping}/v1/shipments/{odd}/dispatch")),
    ]
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Xorshift, <https://www.jstatsoft.org/article/view/v008i14>.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap_or_default()
    }
}

/// An order with something done to it, a few times over.
fn mangled(dice: &mut Dice) -> Vec<u8> {
    let splinters: [&[u8]; 14] = [
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"1e999",
        b"-99999999999999999999999999",
        b"0.1",
        b"\\u0000",
        b"\\ud800",
        b"null",
        b"[",
        b"{",
        b"\"",
        b",",
        b"{\"a\":{\"a\":",
    ];
    let mut body = Basket::of("TEA-001", 1).0.to_string().into_bytes();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(body.len().max(1)).min(body.len());
        match dice.roll(4) {
            0 => body.truncate(at),
            1 => drop(body.splice(at..at, splinters[dice.roll(splinters.len())].iter().copied())),
            2 => {
                drop(body.splice(at..(at + dice.roll(12)).min(body.len()), splinters[dice.roll(splinters.len())].iter().copied()))
            }
            _ => body.extend_from_slice(splinters[dice.roll(splinters.len())]),
        }
    }
    body
}

/// What a mangled order is seldom.
fn chosen() -> Vec<Vec<u8>> {
    let with = |text: &str| Basket::of("TEA-001", 1).0.to_string().replace("\"Ada\"", text).into_bytes();
    vec![
        Vec::new(),
        b"[".repeat(100_000),
        b"{\"a\":".repeat(20_000),
        with("\"a\\u0000b\""),
        with("\"\\ud800\""),
        with(&format!("\"{}\"", "x".repeat(200_000))),
        with(&format!("1{}", "0".repeat(5000))),
        Basket::of("A\0B", 1).0.to_string().into_bytes(),
        Basket::of("TEA-001", u32::MAX).paid_with("pm_\0").0.to_string().into_bytes(),
    ]
}

async fn bodies(world: Arc<World>) -> anyhow::Result<()> {
    let (http, mut dice) = (Client::new(), Dice(0x5EED));
    let routes = routes(&world);
    let mut cases = Vec::new();
    for body in (0..600).map(|_| mangled(&mut dice)).chain(chosen().into_iter().cycle().take(routes.len() * 9)) {
        let (method, url) = routes[cases.len() % routes.len()].clone();
        cases.push((method, url, body));
    }
    // Each chosen one, and many of the mangled, at the door that reads most.
    let orders = &routes[0];
    cases.extend((0..600).map(|_| mangled(&mut dice)).chain(chosen()).map(|body| (orders.0.clone(), orders.1.clone(), body)));
    let (http, world) = (&http, &world);
    stream::iter(cases)
        .map(|(method, url, body)| async move {
            let request = http.request(method.clone(), &url).header("content-type", "application/json");
            let answer = request.header("Idempotency-Key", world.key()).body(body.clone()).send().await?;
            let (status, kind) = (answer.status(), answer.headers().get("content-type").cloned());
            let said = answer.text().await?;
            let shown = String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
            ensure!(!status.is_server_error(), "{method} {url} answers {status} {said}\nto {shown:?}");
            let is_problem = kind.is_some_and(|kind| kind == "application/problem+json");
            ensure!(is_problem || status.is_success(), "{method} {url} answers {status} without a problem\nto {shown:?}");
            Ok(())
        })
        .buffer_unordered(16)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

/// What no HTTP client sends. An answer without a problem document is the server's own, from below the edge.
async fn bytes(world: Arc<World>) -> anyhow::Result<()> {
    let megabyte = "x".repeat(1 << 20);
    let post = |headers: &str, body: &str| format!("POST /v1/orders HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{body}").into_bytes();
    let cases = [
        post(&format!("X-Long: {megabyte}"), ""),
        post(&format!("Idempotency-Key: \"{megabyte}\"\r\nContent-Length: 2"), "{}"),
        post("Content-Length: -1", "{}"),
        post("Content-Length: 99999999999999999999", "{}"),
        post("Transfer-Encoding: chunked", "zz\r\n{}\r\n"),
        post("Content-Type: \u{ff}\u{0}\r\nContent-Length: 2", "{}"),
        post("Idempotency-Key: \u{e9}\r\nContent-Type: application/json\r\nContent-Length: 2", "{}"),
        post("Traceparent: 00-zz\r\nPrefer: wait=99999999999999999999\r\nContent-Length: 2", "{}"),
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /v1/orders?limit=%ff HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        format!("GET /{megabyte} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
        b"\0\0\0\0".repeat(1000),
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
    ];
    for case in cases {
        let shown = String::from_utf8_lossy(&case[..case.len().min(80)]).into_owned();
        let mut wire = TcpStream::connect(format!("127.0.0.1:{}", world.addresses.ports.http(Service::Order))).await?;
        // Whoever has heard enough hangs up while the rest is on its way.
        let _ = wire.write_all(&case).await;
        let _ = wire.shutdown().await;
        let mut answer = Vec::new();
        let _ = wire.read_to_end(&mut answer).await;
        let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        ensure!(first.is_empty() || first.starts_with("HTTP/1.1 4") || first.starts_with("HTTP/1.1 200"), "{first} to {shown:?}");
    }
    world.is_ready(Service::Order).await
}
