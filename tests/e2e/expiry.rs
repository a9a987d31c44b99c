//! Orders that stand still: the deadline asks shipping to stop, and asks again until everything is undone.

use std::sync::Arc;

use anyhow::ensure;
use ensemble::{Options, Service};
use libtest_mimic::Trial;
use serde_json::json;
use tests::Basket;

use crate::world::{World, alone};

pub(crate) fn trials() -> Vec<Trial> {
    let hasty = || Options::default().set(Service::Order, "EXPIRES_AFTER", "2s");
    vec![alone("expiry::an_order_that_stands_still_expires_and_is_undone", hasty, expires)]
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
    slow_gateway(world).await
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
