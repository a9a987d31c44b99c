//! A thousand orders, 64 at a time, a fifth failing in each way.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::ensure;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use serde_json::json;
use tests::Basket;

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "throng");
    trials.add("a_thousand_orders_all_come_to_their_own_rest", thousand);
    trials.all()
}

async fn thousand(world: Arc<World>) -> anyhow::Result<()> {
    let tag = world.tag();
    world.gateway.shall(json!("capture_fails"), json!({"payment_method_tag": tag}), None).await?;
    world.customer.stocks("THRONG-0", 0).await?;
    let baskets = [
        ("confirmed", "", Basket::of("TEA-001", 1)),
        ("rejected", "out_of_stock", Basket::of("THRONG-0", 1)),
        ("rejected", "payment_declined", Basket::of("TEA-001", 1).paid_with("pm_card_chargeDeclined")),
        ("rejected", "shipment_refused", Basket::of("TEA-001", 1).to_country("AQ")),
        ("rejected", "capture_failed", Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))),
    ];
    let (customer, baskets) = (&world.customer, &baskets);
    let ends: Vec<&str> = stream::iter(0..1000_usize)
        .map(|n| async move {
            let (status, reason, basket) = &baskets[n % 5];
            let (_, screen) = customer.orders(basket).await?;
            screen.must_be(status, reason)?;
            Ok::<_, anyhow::Error>(*reason)
        })
        .buffer_unordered(64)
        .try_collect()
        .await?;
    let mut counts = BTreeMap::new();
    for end in ends {
        *counts.entry(end).or_insert(0) += 1;
    }
    ensure!(counts.len() == 5 && counts.values().all(|count| *count == 200), "{counts:?}");
    Ok(())
}
