//! Events that come again long after, and in another order than they were said.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use ensemble::Service;
use libtest_mimic::Trial;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, types::time::OffsetDateTime};
use tests::{Basket, Placed, eventually};
use uuid::Uuid;

use crate::world::{Shared, Trials, World};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn trials(desk: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(desk, "repeated");
    trials.add("row_07_and_08_all_of_an_order_again_hours_later_last_first", again);
    trials.add("what_was_said_stands_where_its_claim_is_gone", said_before);
    trials.add("row_08_a_cancellation_comes_first_and_leaves_a_tombstone", cancelled_first);
    trials.all()
}

/// One order for each way to an end.
async fn ended(world: &World) -> anyhow::Result<Vec<Placed>> {
    let usual = || Basket::of("TEA-001", 1);
    let (confirmed, _) = world.customer.orders(&usual()).await?;
    let (declined, _) = world.customer.orders(&usual().paid_with("pm_card_chargeDeclined")).await?;
    let (refused, _) = world.customer.orders(&usual().to_country("AQ")).await?;
    let (dispatched, _) = world.customer.orders(&usual()).await?;
    dispatched.dispatch().await?.error_for_status()?;
    dispatched.shows("dispatched", |screen| screen.status() == "dispatched").await?;
    let (cancelled, _) = world.customer.orders(&usual()).await?;
    cancelled.cancel().await?.error_for_status()?;
    cancelled.shows("cancelled", |screen| screen.status() == "cancelled").await?;
    Ok(vec![confirmed, declined, refused, dispatched, cancelled])
}

/// All that may not change: what the customer sees, what the partners have done, what was said.
async fn seen(world: &World, orders: &[Placed]) -> anyhow::Result<Vec<Value>> {
    let mut seen = Vec::new();
    for order in orders {
        seen.push(order.screen().await?.0["timeline"].clone());
        seen.extend(world.gateway.ledger_of(&order.id).await?);
        seen.extend(world.carrier.ledger_of(&order.id).await?);
    }
    seen.push(world.customer.sees_product("TEA-001").await?);
    for service in Service::ALL {
        let mut db = PgConnection::connect(&world.addresses.database_url(service)).await?;
        let said: i64 = sqlx::query_scalar("select count(*) from chassis.outbox").fetch_one(&mut db).await?;
        db.close().await?;
        seen.push(said.into());
    }
    Ok(seen)
}

/// Everybody has taken what the broker has for him.
pub(crate) async fn quiet(world: &World) -> anyhow::Result<()> {
    let broker = &world.broker().await?;
    eventually("everything to be taken", SOON, || async move {
        for service in Service::ALL {
            let stream = service.name().to_uppercase();
            for durable in broker.durables(&stream).await? {
                let is = broker.durable(&stream, &durable).await?;
                ensure!(
                    is.num_pending == 0 && is.num_ack_pending == 0,
                    "{durable}: {} and {}",
                    is.num_pending,
                    is.num_ack_pending
                );
            }
        }
        Ok(())
    })
    .await
}

/// Under ids that the broker has not seen, as after its deduplication window.
async fn again(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let orders = ended(&world).await?;
    quiet(&world).await?;
    let before = seen(&world, &orders).await?;
    let broker = world.broker().await?;
    for order in orders.iter().rev() {
        for service in Service::ALL.into_iter().rev() {
            let stream = service.name().to_uppercase();
            let said = broker.about(&stream, &order.id).await?;
            ensure!(!said.is_empty() || service == Service::Shipping, "{service} has said nothing of {}", order.id);
            broker.repeat(&stream, said.into_iter().rev()).await?;
        }
    }
    quiet(&world).await?;
    let after = seen(&world, &orders).await?;
    ensure!(before == after, "before:\n{before:#?}\nafter:\n{after:#?}");
    Ok(())
}

/// The claim is new, and what comes of it is in the outbox already: as in a database that was put together from what others knew.
async fn said_before(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let (order, _) = world.customer.orders(&Basket::of("TEA-001", 1)).await?;
    quiet(&world).await?;
    let before = seen(&world, std::slice::from_ref(&order)).await?;
    let saga: Uuid = order.id.parse()?;
    let mut inventory = PgConnection::connect(&world.addresses.owner_database_url(Service::Inventory)).await?;
    let forget = "delete from chassis.claims where saga = $1 and type = 'order.confirmed.v1' returning taken_at";
    let taken_at: OffsetDateTime = sqlx::query_scalar(forget).bind(saga).fetch_one(&mut inventory).await?;

    let broker = world.broker().await?;
    let confirmed = broker.about("ORDER", &order.id).await?.pop();
    broker.repeat("ORDER", confirmed.into_iter()).await?;
    quiet(&world).await?;
    let put_back = "update chassis.claims set taken_at = $2 where saga = $1 and type = 'order.confirmed.v1'";
    let claims = sqlx::query(put_back).bind(saga).bind(taken_at).execute(&mut inventory).await?.rows_affected();
    ensure!(claims == 1, "{claims} claims of the event that came again");
    let letters: i64 = sqlx::query_scalar("select count(*) from chassis.dead_letters where saga = $1")
        .bind(saga)
        .fetch_one(&mut inventory)
        .await?;
    ensure!(letters == 0, "{letters} dead letters");
    inventory.close().await?;
    let after = seen(&world, &[order]).await?;
    ensure!(before == after, "before:\n{before:#?}\nafter:\n{after:#?}");
    Ok(())
}

/// Payment and inventory learn of the end before they learn of the order.
async fn cancelled_first(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let (inventory, payment) = (world.operator(Service::Inventory), world.operator(Service::Payment));
    inventory.does("consumer/pause", None).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1)).await?;
    ensure!(placed.cancel().await?.status() == 202, "not accepted");
    let voided = |saga: &Value| saga["claims"].as_array().is_some_and(|claims| !claims.is_empty());
    let path = format!("sagas/{}", placed.id);
    eventually("payment to hear of the end alone", SOON, || async {
        let saga = payment.sees(&path).await?;
        ensure!(voided(&saga), "{saga:#}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    inventory.does("consumer/resume", None).await?;
    let screen = placed.comes_to_rest().await?;
    screen.must_be("cancelled", "customer_request")?;
    quiet(&world).await?;
    // Should the order have reached inventory first, the reservation has come back; in the other case there never was one.
    let product = world.customer.sees_product("TEA-001").await?;
    ensure!(product["reserved"] == 0, "{product}");
    let (charges, bookings) = (world.gateway.ledger_of(&placed.id).await?, world.carrier.ledger_of(&placed.id).await?);
    ensure!(charges.is_empty() && bookings.is_empty(), "{charges:?} {bookings:?}");
    Ok(())
}
