//! The ways back, row by row, to their confirmed end.

use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::json;
use tests::Basket;

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "backward");
    trials.add("out_of_stock_ends_at_once", out_of_stock);
    trials.add("a_declined_card_releases_the_stock", declined);
    trials.add("every_declining_test_card_is_declined", every_declining_card);
    trials.add("a_refused_shipment_voids_and_releases", refused);
    trials.add("a_failed_capture_voids_cancels_and_releases", capture_failed);
    trials.all()
}

async fn out_of_stock(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.stocks("SCARCE-1", 1).await?;
    let (placed, screen) = world.customer.orders(&Basket::of("SCARCE-1", 2)).await?;
    screen.must_be("rejected", "out_of_stock")?;
    screen.must_show(&["stock.unavailable", "order.rejected"])?;
    ensure!(world.gateway.ledger_of(&placed.id).await?.is_empty(), "the gateway was asked");
    ensure!(world.customer.sees_product("SCARCE-1").await?["available"] == 1, "the one is still there");
    Ok(())
}

async fn declined(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.stocks("DECLINE-1", 5).await?;
    let (placed, screen) = world.customer.orders(&Basket::of("DECLINE-1", 2).paid_with("pm_card_chargeDeclined")).await?;
    screen.must_be("rejected", "payment_declined")?;
    screen.must_show(&["stock.reserved", "payment.declined", "stock.released", "order.rejected"])?;
    ensure!(world.customer.sees_product("DECLINE-1").await?["available"] == 5, "the stock is back");
    ensure!(world.carrier.ledger_of(&placed.id).await?.is_empty(), "the carrier was asked");
    Ok(())
}

async fn every_declining_card(world: Arc<World>) -> anyhow::Result<()> {
    for card in [
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_visa_chargeDeclinedLostCard",
        "pm_card_chargeDeclinedExpiredCard",
        "pm_card_unheard_of",
    ] {
        let (_, screen) = world.customer.orders(&Basket::of("TEA-001", 1).paid_with(card)).await?;
        screen.must_be("rejected", "payment_declined")?;
    }
    Ok(())
}

async fn refused(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.stocks("REFUSE-1", 5).await?;
    let (placed, screen) = world.customer.orders(&Basket::of("REFUSE-1", 2).to_country("AQ")).await?;
    screen.must_be("rejected", "shipment_refused")?;
    screen.must_show(&["payment.authorized", "shipment.refused", "payment.voided", "stock.released", "order.rejected"])?;
    let charges = world.gateway.ledger_of(&placed.id).await?;
    ensure!(charges.len() == 1 && charges[0]["status"] == "canceled" && charges[0]["amount_received"] == 0, "{charges:?}");
    ensure!(world.customer.sees_product("REFUSE-1").await?["available"] == 5, "the stock is back");
    Ok(())
}

async fn capture_failed(world: Arc<World>) -> anyhow::Result<()> {
    let tag = world.tag();
    world.gateway.shall(json!("capture_fails"), json!({"payment_method_tag": tag}), None).await?;
    world.customer.stocks("CAPTURE-1", 5).await?;
    let basket = Basket::of("CAPTURE-1", 2).paid_with(&format!("pm_card_visa__{tag}"));
    let (placed, screen) = world.customer.orders(&basket).await?;
    screen.must_be("rejected", "capture_failed")?;
    screen.must_show(&[
        "shipment.scheduled",
        "payment.capture_failed",
        "payment.voided",
        "shipment.cancelled",
        "stock.released",
    ])?;
    let charges = world.gateway.ledger_of(&placed.id).await?;
    ensure!(charges.len() == 1 && charges[0]["status"] == "canceled" && charges[0]["amount_received"] == 0, "{charges:?}");
    let bookings = world.carrier.ledger_of(&placed.id).await?;
    ensure!(bookings.len() == 1 && bookings[0]["status"] == "cancelled", "{bookings:?}");
    ensure!(world.customer.sees_product("CAPTURE-1").await?["available"] == 5, "the stock is back");
    Ok(())
}
