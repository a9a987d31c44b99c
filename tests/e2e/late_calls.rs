//! A card gateway to which a call comes when its time is over, and one that forgets what it has been asked.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ensemble::{Options, Service, audit};
use libtest_mimic::Trial;
use serde_json::json;
use tests::{Basket, Straggler, eventually};

use crate::world::{World, alone, runtime, told};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("late_calls::row_20_an_authorization_that_lands_after_the_void_holds_nothing", Options::default, after_the_void),
        unaudited("late_calls::row_20_a_forgotten_key_is_found_by_the_audit"),
    ]
}

/// What the gateway has done against its contract does not add up, and stays so: this stack is not audited when it is closed.
fn unaudited(name: &str) -> Trial {
    Trial::test(name.to_owned(), || {
        told(runtime().and_then(|runtime| {
            runtime.block_on(async {
                let world = World::start(Options::default()).await?;
                forgotten(&world).await?;
                Arc::into_inner(world).context("somebody still uses the stack")?.stack.into_inner().finish().await
            })
        }))
    })
}

async fn after_the_void(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    let gateway = stack.gateway_url();
    let straggler = Straggler::before(gateway.trim_start_matches("http://").to_owned(), "POST /v1/payment_intents HTTP").await?;
    stack.set(Service::Payment, "GATEWAY_URL", format!("http://{}", straggler.address));
    stack.restart(Service::Payment).await?;

    let (placed, screen) = world.customer.orders(&Basket::of("TEA-001", 1).to_country("AQ")).await?;
    screen.must_be("rejected", "shipment_refused")?;
    let before = world.gateway.ledger_of(&placed.id).await?;
    ensure!(before.len() == 1 && before[0]["status"] == "canceled", "{before:?}");
    let answer = straggler.let_go().await?;
    let replayed = answer.to_ascii_lowercase().contains("idempotent-replayed: true");
    ensure!(
        answer.starts_with("HTTP/1.1 200") && replayed,
        "it did not come under the key of the call that was answered: {answer}"
    );
    let after = world.gateway.ledger_of(&placed.id).await?;
    ensure!(before == after, "before: {before:?}, after: {after:?}");
    Ok(())
}

/// It executes a repeat again: nothing prevents that, and the money that is held twice is found.
async fn forgotten(world: &World) -> anyhow::Result<()> {
    let (_, screen) = world.customer.orders(&Basket::of("TEA-001", 1)).await?;
    screen.must_be("confirmed", "")?;
    let tag = world.tag();
    let scope = json!({"operation": "authorize", "payment_method_tag": tag});
    world.gateway.shall(json!("key_forgotten"), scope.clone(), None).await?;
    world.gateway.shall(json!("answer_lost"), scope, Some(1)).await?;
    let (placed, screen) = world.customer.orders(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    screen.must_be("confirmed", "")?;
    let charges = world.gateway.ledger_of(&placed.id).await?;
    let taken = charges.iter().filter(|charge| charge["amount_received"] != 0).count();
    ensure!(charges.len() == 2 && taken == 1, "{charges:?}");

    eventually("the audit to name that order and no other", Duration::from_secs(60), async || {
        let found = audit::under_load(&world.addresses, Duration::ZERO).await?;
        let mut named = found.violations.iter().map(|found| found.order.is_some_and(|order| order.to_string() == placed.id));
        let all = !found.violations.is_empty() && named.all(|named| named);
        ensure!(all && found.to_string().contains("still holds"), "{found}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
