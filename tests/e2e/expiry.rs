//! Orders that stand still: the deadline asks shipping to stop, and asks again until everything is undone.

use std::sync::Arc;

use anyhow::ensure;
use ensemble::{Options, Service};
use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use serde_json::json;
use tests::Basket;

use crate::world::{World, alone};

pub(crate) fn trials() -> Vec<Trial> {
    let hasty = || Options::default().set(Service::Order, "EXPIRES_AFTER", "2s");
    vec![alone("expiry::row_21_and_23_orders_that_stand_still_expire_whatever_the_deadline_meets", hasty, expires)]
}

/// Inventory is down, so nothing moves; the order expires. When inventory is back, everything comes to its end.
async fn expires(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.orders(&Basket::of("TEA-001", 1)).await?.1.must_be("confirmed", "")?;
    world.stack.lock().await.stop(Service::Inventory).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1)).await?;
    let screen = placed.shows("compensating", |screen| screen.status() == "compensating").await?;
    let owed = screen.0["owed"].as_array().cloned().unwrap_or_default();
    ensure!(!owed.is_empty(), "nothing is said to be owed: {:#}", screen.0);
    world.stack.lock().await.start_part(Service::Inventory).await?;
    placed.comes_to_rest().await?.must_be("rejected", "expired")?;
    slow_gateway(world.clone()).await?;
    gateway_away(&world).await?;
    races_every_step(&world).await
}

/// The gateway is slower than the deadline: the order stays open while the charge is in doubt, then ends with nothing kept.
async fn slow_gateway(world: Arc<World>) -> anyhow::Result<()> {
    let tag = world.tag();
    let scope = json!({"operation": "authorize", "payment_method_tag": tag});
    world.gateway.shall(json!({"latency": {"ms": 4000}}), scope, None).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    placed.comes_to_rest().await?.must_be("rejected", "expired")?;
    let charges = world.gateway.ledger_of(&placed.id).await?;
    ensure!(charges.iter().all(|charge| charge["status"] == "canceled"), "{charges:?}");
    Ok(())
}

/// Nobody answers at the gateway until long after the deadline.
async fn gateway_away(world: &World) -> anyhow::Result<()> {
    let tag = world.tag();
    let scope = json!({"operation": "authorize", "payment_method_tag": tag});
    world.gateway.shall(json!("refuse"), scope, None).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    placed.shows("compensating", |screen| screen.status() == "compensating").await?;
    world.gateway.behaves().await?;
    placed.comes_to_rest().await?.must_be("rejected", "expired")?;
    nothing_held(world, &placed.id).await
}

/// Each call in turn takes about as long as the deadline.
async fn races_every_step(world: &World) -> anyhow::Result<()> {
    let races = (0..24_u64).map(|n| async move {
        let tag = world.tag();
        let basket = Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}")).to_name(&tag);
        let late = json!({"latency": {"ms": 1700 + 25 * n}});
        match n % 3 {
            0 => world.gateway.shall(late, json!({"operation": "authorize", "payment_method_tag": tag}), None).await?,
            1 => world.carrier.shall(late, json!({"operation": "book", "ship_to_name": tag}), None).await?,
            _ => world.gateway.shall(late, json!({"operation": "capture", "payment_method_tag": tag}), None).await?,
        }
        let (placed, screen) = world.customer.orders(&basket).await?;
        if screen.status() == "confirmed" {
            return Ok(());
        }
        screen.must_be("rejected", "expired")?;
        nothing_held(world, &placed.id).await
    });
    try_join_all(races).await.map(drop)
}

async fn nothing_held(world: &World, order: &str) -> anyhow::Result<()> {
    for charge in world.gateway.ledger_of(order).await? {
        ensure!(charge["amount_received"] == charge["amount_refunded"] && charge["status"] != "requires_capture", "{charge}");
    }
    Ok(())
}
