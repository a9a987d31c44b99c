//! Partners that misbehave: whatever they do, nobody is charged twice and every order ends.

use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tests::Basket;

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "partners");
    trials.add("row_20_an_answer_lost_after_the_charge_charges_once", |world| survives(world, json!("answer_lost"), Some(1)));
    trials.add("row_20_a_few_errors_are_tried_again", |world| survives(world, json!("error_5xx"), Some(3)));
    trials.add("row_20_a_refused_connection_is_tried_again", |world| survives(world, json!("refuse"), Some(2)));
    trials.add("row_20_a_stored_error_of_something_done_is_looked_up", |world| {
        survives(world, json!({"stored_500": {"executed": true}}), Some(1))
    });
    trials.add("row_20_a_burned_key_of_a_capture_draws_the_next", burned_capture);
    trials.add("row_20_a_burned_key_of_an_authorization_counts_as_a_decline", burned_authorization);
    trials.add("row_20_a_carrier_that_loses_its_answer_books_once", carrier_answer_lost);
    trials.add("row_22_a_compensation_is_never_given_up", void_fails_for_a_while);
    trials.add("row_20_a_gateway_slower_than_any_patience_charges_once", |world| {
        survives(world, json!({"latency": {"ms": 29_000}}), Some(1))
    });
    trials.add("row_20_a_look_up_that_lags_is_not_believed_too_soon", lagging_look_up);
    trials.add("row_20_an_authorization_that_lapses_before_the_capture", lapsed);
    trials.all()
}

/// Every operation of the forward path meets the fault; the order is confirmed and charged once.
async fn survives(world: Arc<World>, kind: Value, times: Option<u32>) -> anyhow::Result<()> {
    for operation in ["authorize", "capture"] {
        let tag = world.tag();
        world.gateway.shall(kind.clone(), json!({"operation": operation, "payment_method_tag": tag}), times).await?;
        let (placed, screen) =
            world.customer.orders(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
        screen.must_be("confirmed", "")?;
        charged_once(&world, &placed.id).await?;
    }
    Ok(())
}

async fn charged_once(world: &World, order: &str) -> anyhow::Result<()> {
    let charges = world.gateway.ledger_of(order).await?;
    let taken: Vec<_> = charges.iter().filter(|charge| charge["amount_received"] != 0).collect();
    ensure!(charges.len() == 1 && taken.len() == 1, "{charges:?}");
    Ok(())
}

async fn burned_capture(world: Arc<World>) -> anyhow::Result<()> {
    let tag = world.tag();
    let scope = json!({"operation": "capture", "payment_method_tag": tag});
    world.gateway.shall(json!({"stored_500": {"executed": false}}), scope, Some(1)).await?;
    let (placed, screen) = world.customer.orders(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    screen.must_be("confirmed", "")?;
    charged_once(&world, &placed.id).await
}

async fn burned_authorization(world: Arc<World>) -> anyhow::Result<()> {
    let tag = world.tag();
    let scope = json!({"operation": "authorize", "payment_method_tag": tag});
    world.gateway.shall(json!({"stored_500": {"executed": false}}), scope, Some(1)).await?;
    let (_, screen) = world.customer.orders(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    screen.must_be("rejected", "payment_declined")
}

async fn carrier_answer_lost(world: Arc<World>) -> anyhow::Result<()> {
    let name = world.tag();
    world.carrier.shall(json!("answer_lost"), json!({"operation": "book", "ship_to_name": name}), Some(1)).await?;
    let (placed, screen) = world.customer.orders(&Basket::of("TEA-001", 1).to_name(&name)).await?;
    screen.must_be("confirmed", "")?;
    let bookings = world.carrier.ledger_of(&placed.id).await?;
    ensure!(bookings.len() == 1, "{bookings:?}");
    Ok(())
}

async fn void_fails_for_a_while(world: Arc<World>) -> anyhow::Result<()> {
    let tag = world.tag();
    world
        .gateway
        .shall(json!({"decline": {"code": "try_later"}}), json!({"operation": "cancel", "payment_method_tag": tag}), Some(2))
        .await?;
    let basket = Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}")).to_country("AQ");
    let (placed, screen) = world.customer.orders(&basket).await?;
    screen.must_be("rejected", "shipment_refused")?;
    let charges = world.gateway.ledger_of(&placed.id).await?;
    ensure!(charges.len() == 1 && charges[0]["status"] == "canceled", "{charges:?}");
    Ok(())
}

/// What was done under a burned key is not to be seen at first.
async fn lagging_look_up(world: Arc<World>) -> anyhow::Result<()> {
    let tag = world.tag();
    let within = |operation: &str| json!({"operation": operation, "payment_method_tag": tag});
    world.gateway.shall(json!({"stored_500": {"executed": true}}), within("authorize"), Some(1)).await?;
    world.gateway.shall(json!({"lookup_lags": {"ms": 200}}), json!({"operation": "search"}), None).await?;
    let (placed, screen) = world.customer.orders(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    screen.must_be("confirmed", "")?;
    charged_once(&world, &placed.id).await
}

async fn lapsed(world: Arc<World>) -> anyhow::Result<()> {
    let (tag, name) = (world.tag(), world.tag());
    let scope = json!({"operation": "authorize", "payment_method_tag": tag});
    world.gateway.shall(json!({"authorization_lapses": {"ms": 500}}), scope, None).await?;
    world.carrier.shall(json!({"latency": {"ms": 1500}}), json!({"operation": "book", "ship_to_name": name}), None).await?;
    let basket = Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}")).to_name(&name);
    let (placed, screen) = world.customer.orders(&basket).await?;
    screen.must_be("rejected", "capture_failed")?;
    let charges = world.gateway.ledger_of(&placed.id).await?;
    ensure!(charges.iter().all(|charge| charge["amount_received"] == 0), "{charges:?}");
    let bookings = world.carrier.ledger_of(&placed.id).await?;
    ensure!(bookings.iter().all(|booking| booking["status"] == "cancelled"), "{bookings:?}");
    Ok(())
}
