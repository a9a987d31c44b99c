//! The way forward, row by row, to a confirmed order and a dispatched one.

use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::json;
use tests::{Basket, Screen};

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "forward");
    trials.add("an_order_is_confirmed_and_its_timeline_is_whole", confirmed);
    trials.add("prefer_wait_answers_201_when_it_is_confirmed", waits);
    trials.add("prefer_return_minimal_answers_how_it_stands_and_no_more", outcome_alone);
    trials.add("many_lines_are_all_or_nothing", many_lines);
    trials.add("row_24_dispatch_ends_the_order_and_a_late_cancellation_is_refused", dispatched);
    trials.add("row_24_a_hand_over_before_the_money_is_taken_is_refused", dispatched_early);
    trials.all()
}

async fn confirmed(world: Arc<World>) -> anyhow::Result<()> {
    let (placed, screen) = world.customer.orders(&Basket::of("TEA-001", 2)).await?;
    screen.must_be("confirmed", "")?;
    let way = [
        "order.placed",
        "stock.reserved",
        "payment.authorized",
        "shipment.scheduled",
        "payment.captured",
        "order.confirmed",
        "stock.committed",
    ];
    screen.must_show(&way)?;
    ensure!(screen.0["explanation"].as_str().is_some_and(|words| words.starts_with("Confirmed in")), "{:#}", screen.0);
    let charges = world.gateway.ledger_of(&placed.id).await?;
    ensure!(charges.len() == 1 && charges[0]["status"] == "succeeded", "{charges:?}");
    ensure!(charges[0]["amount_received"] == screen.0["total"]["amount"], "{charges:?} {:#}", screen.0);
    let bookings = world.carrier.ledger_of(&placed.id).await?;
    ensure!(bookings.len() == 1 && bookings[0]["status"] == "booked", "{bookings:?}");
    // A screen leaves out who does not answer in time.
    let booked = |screen: &Screen| screen.0["shipment"]["tracking"] == bookings[0]["tracking"];
    one_trace(&placed.shows("its shipment, as the carrier has it", booked).await?)
}

/// The request's trace runs through all four services to the last event.
fn one_trace(screen: &Screen) -> anyhow::Result<()> {
    let entries = screen.0["timeline"].as_array().cloned().unwrap_or_default();
    let trace = entries.first().map(|entry| entry["trace_id"].clone()).unwrap_or_default();
    ensure!(trace.as_str().is_some_and(|id| id.len() == 32), "no trace id: {entries:#?}");
    ensure!(entries.iter().all(|entry| entry["trace_id"] == trace), "more than one trace: {entries:#?}");
    Ok(())
}

async fn waits(world: Arc<World>) -> anyhow::Result<()> {
    let request = world.customer.request(reqwest::Method::POST, "/v1/orders").header("Idempotency-Key", world.key());
    let answer = request.header("Prefer", "wait=10").json(&Basket::of("TEA-001", 1).0).send().await?;
    ensure!(answer.status() == 201, "{}", answer.status());
    ensure!(
        answer.headers().contains_key("location") && answer.headers()["preference-applied"] == "wait=10",
        "{:?}",
        answer.headers()
    );
    let screen = Screen(answer.json().await?);
    ensure!(screen.status() == "confirmed", "{:#}", screen.0);
    screen.must_show(&["order.placed", "payment.captured", "order.confirmed"])
}

async fn outcome_alone(world: Arc<World>) -> anyhow::Result<()> {
    let key = world.key();
    let order = async |key: String, prefer: &str, basket: &Basket| {
        let request = world.customer.request(reqwest::Method::POST, "/v1/orders").header("Idempotency-Key", key);
        let answer = request.header("Prefer", prefer).json(&basket.0).send().await?;
        let applied = answer.headers()["preference-applied"].to_str()?.to_owned();
        ensure!(applied == prefer, "{applied} is not {prefer}");
        anyhow::Ok((answer.status().as_u16(), answer.json::<serde_json::Value>().await?))
    };
    let (tea, minimal) = (Basket::of("TEA-001", 1), "wait=10, return=minimal");
    let (status, confirmed) = order(key.clone(), minimal, &tea).await?;
    ensure!((status, &confirmed) == (201, &json!({"id": confirmed["id"], "status": "confirmed"})), "{status} {confirmed:#}");
    let (status, again) = order(key, minimal, &tea).await?;
    ensure!((status, &again) == (201, &confirmed), "a repeat: {status} {again:#}");
    let (status, placed) = order(world.key(), "return=minimal", &tea).await?;
    ensure!((status, &placed) == (202, &json!({"id": placed["id"], "status": "placed"})), "{status} {placed:#}");
    world.customer.stocks("ALONE-A", 1).await?;
    let (status, rejected) = order(world.key(), minimal, &Basket::of("ALONE-A", 2)).await?;
    ensure!((status, &rejected["status"]) == (201, &json!("rejected")), "{status} {rejected:#}");
    Ok(())
}

async fn many_lines(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.stocks("MANY-A", 10).await?;
    world.customer.stocks("MANY-B", 1).await?;
    let (_, screen) = world.customer.orders(&Basket::of("MANY-A", 3).and("MANY-B", 1).and("MANY-A", 1)).await?;
    screen.must_be("confirmed", "")?;
    let (_, screen) = world.customer.orders(&Basket::of("MANY-A", 3).and("MANY-B", 1)).await?;
    screen.must_be("rejected", "out_of_stock")?;
    let product = world.customer.sees_product("MANY-A").await?;
    ensure!(product["available"] == 6, "{product}");
    Ok(())
}

async fn dispatched(world: Arc<World>) -> anyhow::Result<()> {
    let (placed, _) = world.customer.orders(&Basket::of("TEA-001", 1)).await?;
    let answer = placed.dispatch().await?;
    ensure!(answer.status() == 200, "{} {}", answer.status(), answer.text().await?);
    ensure!(placed.dispatch().await?.status() == 200, "a second hand-over is the same");
    placed.shows("dispatched", |screen| screen.status() == "dispatched").await?.must_be("dispatched", "")?;
    let late = placed.cancel().await?;
    ensure!(late.status() == 409, "cancelled after dispatch: {}", late.status());
    Ok(())
}

async fn dispatched_early(world: Arc<World>) -> anyhow::Result<()> {
    let tag = world.tag();
    let scope = json!({"operation": "capture", "payment_method_tag": tag});
    world.gateway.shall(json!({"latency": {"ms": 1500}}), scope, None).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    placed.shows("booked", |screen| screen.timeline().iter().any(|ty| ty == "shipment.scheduled")).await?;
    let early = placed.dispatch().await?;
    ensure!(early.status() == 409, "handed over before the capture: {}", early.status());
    placed.comes_to_rest().await?.must_be("confirmed", "")?;
    ensure!(placed.dispatch().await?.status() == 200, "it is paid, and not handed over");
    placed.shows("dispatched", |screen| screen.status() == "dispatched").await.map(drop)
}
