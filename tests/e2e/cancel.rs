//! The customer changes their mind: at every step, in the same instant, more than once.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use futures_util::future::{join_all, try_join_all};
use libtest_mimic::Trial;
use serde_json::json;
use tests::Basket;

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "cancel");
    trials.add("a_confirmed_order_is_cancelled_refunded_and_restocked", confirmed);
    trials.add("row_23_a_cancellation_while_the_card_is_being_authorized", |world| in_flight(world, "authorize"));
    trials.add("row_23_a_cancellation_while_the_money_is_being_taken", |world| in_flight(world, "capture"));
    trials.add("row_23_a_cancellation_while_the_carrier_is_being_booked", while_booking);
    trials.add("row_23_at_every_moment_it_is_one_end_or_the_other", at_every_moment);
    trials.add("two_customers_at_once_have_one_effect", twice_at_once);
    trials.all()
}

async fn confirmed(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.stocks("REGRET-1", 5).await?;
    let (placed, screen) = world.customer.orders(&Basket::of("REGRET-1", 2)).await?;
    screen.must_be("confirmed", "")?;
    let answer = placed.cancel().await?;
    ensure!(answer.status() == 202, "{} {}", answer.status(), answer.text().await?);
    let screen = placed.shows("cancelled", |screen| screen.status() == "cancelled").await?;
    screen.must_be("cancelled", "customer_request")?;
    screen.must_show(&[
        "order.cancellation_requested",
        "shipment.cancelled",
        "payment.refunded",
        "stock.released",
        "order.cancelled",
    ])?;
    let charges = world.gateway.ledger_of(&placed.id).await?;
    ensure!(charges[0]["amount_refunded"] == charges[0]["amount_received"], "{charges:?}");
    ensure!(world.customer.sees_product("REGRET-1").await?["available"] == 5, "restocked");
    Ok(())
}

/// The gateway takes its time over one call; the cancellation meets it in flight, waits for the answer, and undoes it.
async fn in_flight(world: Arc<World>, operation: &'static str) -> anyhow::Result<()> {
    let tag = world.tag();
    let scope = json!({"operation": operation, "payment_method_tag": tag});
    world.gateway.shall(json!({"latency": {"ms": 1500}}), scope, None).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    let before = if operation == "authorize" { "stock.reserved" } else { "shipment.scheduled" };
    placed.shows(before, |screen| screen.timeline().iter().any(|ty| ty == before)).await?;
    ensure!(placed.cancel().await?.status() == 202, "not accepted");
    placed.comes_to_rest().await?.must_be("cancelled", "customer_request")?;
    nothing_kept(&world, &placed.id).await
}

async fn while_booking(world: Arc<World>) -> anyhow::Result<()> {
    let name = world.tag();
    world.carrier.shall(json!({"latency": {"ms": 1500}}), json!({"operation": "book", "ship_to_name": name}), None).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1).to_name(&name)).await?;
    placed.shows("authorized", |screen| screen.timeline().iter().any(|ty| ty == "payment.authorized")).await?;
    ensure!(placed.cancel().await?.status() == 202, "not accepted");
    placed.comes_to_rest().await?.must_be("cancelled", "customer_request")?;
    nothing_kept(&world, &placed.id).await
}

async fn at_every_moment(world: Arc<World>) -> anyhow::Result<()> {
    let attempts = (0..40_u64).map(|n| {
        let world = world.clone();
        async move {
            let placed = world.customer.places(&Basket::of("TEA-001", 1)).await?;
            // Spread over the life of an order; not a wait for anything.
            tokio::time::sleep(Duration::from_millis(n * 5)).await;
            let status = placed.cancel().await?.status();
            ensure!(status == 202 || status == 409, "{status}");
            let screen = placed.shows("an end", |screen| screen.status() == "cancelled" || screen.status() == "rejected").await?;
            screen.must_be("cancelled", "customer_request")?;
            nothing_kept(&world, &placed.id).await
        }
    });
    try_join_all(attempts).await.map(drop)
}

async fn twice_at_once(world: Arc<World>) -> anyhow::Result<()> {
    let (placed, _) = world.customer.orders(&Basket::of("TEA-001", 1)).await?;
    let answers = join_all((0..5).map(|_| placed.cancel())).await;
    for answer in answers {
        let status = answer?.status();
        ensure!([200, 202, 409].contains(&status.as_u16()), "{status}");
    }
    let screen = placed.shows("cancelled", |screen| screen.status() == "cancelled").await?;
    let asked = screen.timeline().iter().filter(|ty| *ty == "order.cancellation_requested").count();
    ensure!(asked == 1, "asked {asked} times");
    Ok(())
}

async fn nothing_kept(world: &World, order: &str) -> anyhow::Result<()> {
    for charge in world.gateway.ledger_of(order).await? {
        let kept =
            charge["amount_received"].as_i64().unwrap_or_default() - charge["amount_refunded"].as_i64().unwrap_or_default();
        ensure!(kept == 0 && charge["status"] != "requires_capture", "money is kept: {charge}");
    }
    for booking in world.carrier.ledger_of(order).await? {
        ensure!(booking["status"] != "booked", "a booking stands: {booking}");
    }
    Ok(())
}
