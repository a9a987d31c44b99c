//! A service dies, fails or waits at one boundary of its shell: what faults 1 to 6 must come to, each at the very place. One
//! stack, and one test at a time that starts services anew on it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use chassis::failpoint::{Boundary, Failpoint, Mishap};
use ensemble::{Options, Service, Stack};
use libtest_mimic::Trial;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{
    Basket, Placed,
    crash_points::{planned, was_reached},
    eventually,
};
use uuid::Uuid;

use crate::{
    dead_letters::{dead_letter, discard, forge, headers},
    unknown_commits::Replica,
    world::{Shared, Trials, World},
};

const SOON: Duration = Duration::from_secs(60);

/// Nothing is to end because it waited for who died; and the broker's own memory of ids is not to help.
pub(crate) fn options() -> Options {
    Options::default().set(Service::Order, "EXPIRES_AFTER", "10m").set_all("STREAM_DEDUP_WINDOW", "100ms")
}

pub(crate) fn trials(failing: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(failing, "failpoints");
    trials.add("row_01_crash_before_commit", before_commit);
    trials.add("row_02_crash_before_the_answer", before_the_answer);
    trials.add("row_03_crash_before_publish", before_publish);
    trials.add("row_04_crash_before_strike_off", before_strike_off);
    trials.add("row_05_crash_before_ack", before_ack);
    trials.add("row_06_crash_between_call_and_answer", between_call_and_answer);
    trials.add("row_09_a_panic_in_a_verb_is_one_poison_input_and_its_neighbours_go_on", panic_in_a_verb);
    trials.all()
}

/// Starts it anew with that in `FAILPOINTS`, and waits until it is ready, or has died there already: an order of the trial before
/// may still be under way.
async fn arm(stack: &mut Stack, service: Service, failpoints: &str) -> anyhow::Result<()> {
    stack.set(service, "FAILPOINTS", failpoints);
    stack.stop(service).await?;
    stack.launch(service).await?;
    let ready = stack.wait_until_ready(service).await;
    if stack.has_ended(service) { Ok(()) } else { ready }
}

/// Waits until it has died there, then starts it without failpoints.
async fn survives(stack: &mut Stack, service: Service, failpoint: Failpoint) -> anyhow::Result<()> {
    dies(stack, service, failpoint).await?;
    stack.set(service, "FAILPOINTS", "");
    stack.start_part(service).await
}

async fn dies(stack: &Stack, service: Service, failpoint: Failpoint) -> anyhow::Result<()> {
    eventually(&format!("the death of {service} at {failpoint}"), SOON, || async {
        if stack.has_ended(service) { Ok(()) } else { Err("it lives") }
    })
    .await?;
    let log = stack.logs(service).await?;
    ensure!(was_reached(&log, failpoint, Mishap::Crash), "{service} died, and not at {failpoint}");
    Ok(())
}

/// What somebody orders whom nobody else is.
struct Order {
    basket: Basket,
    key: String,
}

impl Order {
    fn of(world: &World) -> Self {
        let mut basket = Basket::of("TEA-001", 1);
        basket.0["customer_id"] = json!(world.tag());
        Self { basket, key: Uuid::now_v7().to_string() }
    }

    /// The answer is lost.
    async fn is_posted_in_vain(&self, world: &World) -> anyhow::Result<()> {
        let answer = world.customer.post(&self.basket.0, &self.key).await;
        ensure!(answer.is_err(), "who died has answered: {answer:?}");
        Ok(())
    }

    /// The same key again: one order, and it is confirmed. Whether it had been there before.
    async fn is_one(&self, world: &World, customer: &tests::Customer) -> anyhow::Result<bool> {
        let answer = customer.post(&self.basket.0, &self.key).await?;
        let replayed = answer.headers().contains_key("Idempotent-Replayed");
        let (status, body): (_, Value) = (answer.status(), answer.json().await?);
        ensure!(status == StatusCode::ACCEPTED, "{status} {body:#}");
        let path = format!("/v1/orders?customer_id={}", self.basket.0["customer_id"].as_str().unwrap_or_default());
        let listed: Value = customer.request(reqwest::Method::GET, &path).send().await?.error_for_status()?.json().await?;
        let items = listed["items"].as_array().context("a list has items")?;
        ensure!(items.len() == 1 && items[0]["id"] == body["id"], "one key, and not one order: {listed:#}");
        let placed = world.customer.placed(body["id"].as_str().unwrap_or_default());
        placed.comes_to_rest().await?.must_be("confirmed", "")?;
        Ok(replayed)
    }
}

async fn before_commit(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    for failpoint in [Boundary::Command.before(), Boundary::Commit.before()] {
        arm(&mut stack, Service::Order, &planned(failpoint, Mishap::Crash)).await?;
        let order = Order::of(&world);
        order.is_posted_in_vain(&world).await?;
        survives(&mut stack, Service::Order, failpoint).await?;
        ensure!(!order.is_one(&world, &world.customer).await?, "{failpoint}: it had taken effect");
    }
    Ok(())
}

async fn before_the_answer(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    for failpoint in [Boundary::Commit.after(), Boundary::Command.after()] {
        arm(&mut stack, Service::Order, &planned(failpoint, Mishap::Crash)).await?;
        let order = Order::of(&world);
        order.is_posted_in_vain(&world).await?;
        survives(&mut stack, Service::Order, failpoint).await?;
        ensure!(order.is_one(&world, &world.customer).await?, "{failpoint}: it had not taken effect");
    }
    // The retry meets another replica, while the first is still down.
    let failpoint = Boundary::Command.after();
    arm(&mut stack, Service::Order, &planned(failpoint, Mishap::Crash)).await?;
    let replica = Replica::start(&world).await?;
    let order = Order::of(&world);
    order.is_posted_in_vain(&world).await?;
    dies(&stack, Service::Order, failpoint).await?;
    let answer = replica.customer.post(&order.basket.0, &order.key).await?;
    ensure!(answer.headers().contains_key("Idempotent-Replayed"), "another replica took it anew: {answer:?}");
    stack.set(Service::Order, "FAILPOINTS", "");
    stack.start_part(Service::Order).await?;
    ensure!(order.is_one(&world, &replica.customer).await?, "it had not taken effect");
    Ok(())
}

async fn before_publish(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    let failpoint = Boundary::Publish.before();
    arm(&mut stack, Service::Order, &planned(failpoint, Mishap::Crash)).await?;
    let order = Order::of(&world);
    // It may or may not have been answered by then.
    let _ = world.customer.post(&order.basket.0, &order.key).await;
    survives(&mut stack, Service::Order, failpoint).await?;
    ensure!(order.is_one(&world, &world.customer).await?, "it had not taken effect");

    // The process lives on, and its task panics, or is told of an error that was none.
    arm(&mut stack, Service::Order, "commit.after=1*panic->1*return(error)").await?;
    Order::of(&world).is_one(&world, &world.customer).await?;
    let log = stack.logs(Service::Order).await?;
    ensure!(log.contains("failpoint commit.after panic"), "no task panicked");
    ensure!(was_reached(&log, Boundary::Commit.after(), Mishap::Error), "no commit was in doubt");
    ensure!(!stack.has_ended(Service::Order), "a panic took the process along");

    // Or its request is cancelled.
    arm(&mut stack, Service::Order, "commit.after=return(delay)").await?;
    let order = Order::of(&world);
    let waited = tokio::time::timeout(Duration::from_millis(200), world.customer.post(&order.basket.0, &order.key)).await;
    ensure!(waited.is_err(), "it was answered before its time: {waited:?}");
    eventually("the order whose customer has gone", SOON, || order.is_one(&world, &world.customer)).await?;
    arm(&mut stack, Service::Order, "").await
}

async fn before_strike_off(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    let failpoint = Boundary::StrikeOff.before();
    arm(&mut stack, Service::Inventory, &planned(failpoint, Mishap::Crash)).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1)).await?;
    survives(&mut stack, Service::Inventory, failpoint).await?;
    placed.comes_to_rest().await?.must_be("confirmed", "")?;
    let broker = world.broker().await?;
    eventually("the same event a second time", SOON, || async {
        let mut held: Vec<Uuid> = broker.held("INVENTORY").await?.into_iter().map(|(_, id)| id).collect();
        held.sort_unstable();
        ensure!(held.windows(2).any(|two| two[0] == two[1]), "each of {} once", held.len());
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    charged_once(&world, &placed).await
}

async fn before_ack(world: Arc<World>) -> anyhow::Result<()> {
    let failpoint = Boundary::Ack.before();
    let placed = {
        let mut stack = world.stack.lock().await;
        arm(&mut stack, Service::Payment, &planned(failpoint, Mishap::Crash)).await?;
        let placed = world.customer.places(&Basket::of("TEA-001", 1)).await?;
        survives(&mut stack, Service::Payment, failpoint).await?;
        placed
    };
    let url = format!("{}/metrics", world.addresses.admin_url(Service::Payment));
    eventually("the delivery that comes again", SOON, || async {
        let metrics = reqwest::get(&url).await?.text().await?;
        ensure!(metrics.lines().any(|line| line.starts_with("ensemble_redeliveries_total{")), "nothing came again");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    placed.comes_to_rest().await?.must_be("confirmed", "")?;
    charged_once(&world, &placed).await
}

async fn between_call_and_answer(world: Arc<World>) -> anyhow::Result<()> {
    let mut orders = Vec::new();
    for (service, failpoint) in [(Service::Shipping, Boundary::Answer.before()), (Service::Payment, Boundary::Call.after())] {
        let mut stack = world.stack.lock().await;
        arm(&mut stack, service, &planned(failpoint, Mishap::Crash)).await?;
        orders.push(world.customer.places(&Basket::of("TEA-001", 1)).await?);
        survives(&mut stack, service, failpoint).await?;
    }
    for placed in orders {
        placed.comes_to_rest().await?.must_be("confirmed", "")?;
        charged_once(&world, &placed).await?;
        let bookings = world.carrier.ledger_of(&placed.id).await?;
        ensure!(bookings.len() == 1, "{bookings:?}");
    }
    Ok(())
}

async fn charged_once(world: &World, placed: &Placed) -> anyhow::Result<()> {
    let charges = world.gateway.ledger_of(&placed.id).await?;
    ensure!(charges.len() == 1 && charges[0]["status"] == "succeeded", "{charges:?}");
    Ok(())
}

async fn panic_in_a_verb(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    let cursed = Uuid::now_v7();
    arm(&mut stack, Service::Inventory, &format!("verb=return({cursed})")).await?;
    let process = stack.process_id(Service::Inventory);
    let (mut order, id) = (Basket::of("TEA-001", 1).0, Uuid::now_v7());
    let price = json!({"amount": 1250, "currency": "EUR"});
    order["order_id"] = json!(cursed);
    order["lines"] = json!([{"sku": "TEA-001", "quantity": 1, "unit_price": price}]);
    order["total"] = price;
    let neighbour = Basket::of("TEA-001", 1);
    let neighbours = (0..20).map(|_| world.customer.places(&neighbour));
    let placing = futures_util::future::try_join_all(neighbours);
    let body = order.to_string().into_bytes().leak();
    let cursing = forge(&world, "ensemble.order.placed", headers("order.placed.v1", id, &cursed.to_string()), body);
    let (placed, ()) = futures_util::try_join!(placing, cursing)?;
    for neighbour in placed {
        neighbour.comes_to_rest().await?.must_be("confirmed", "")?;
    }
    let operator = world.operator(Service::Inventory);
    let shown = dead_letter(&operator, id).await?;
    ensure!(shown["code"] == "poison" && shown["reason"].to_string().contains("panicked"), "{shown:#}");
    ensure!(process == stack.process_id(Service::Inventory) && !stack.has_ended(Service::Inventory), "it took the process along");
    discard(&operator, &id.to_string()).await?;
    arm(&mut stack, Service::Inventory, "").await
}
