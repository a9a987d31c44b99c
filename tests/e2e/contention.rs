//! Many orders for few units.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ensemble::Service;
use futures_util::future::{join_all, try_join_all};
use libtest_mimic::Trial;
use reqwest::StatusCode;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::{Basket, eventually};
use uuid::Uuid;

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "contention");
    trials.add("two_hundred_orders_for_fifty_units_sell_exactly_fifty", fifty);
    trials.add("lines_in_opposite_order_do_not_deadlock", opposite);
    trials.add("who_gives_up_and_asks_again_before_he_was_heard_has_one_order", asked_again);
    trials.add("a_saga_that_another_replica_has_in_hand_is_waited_for", in_another_hand);
    trials.all()
}

async fn fifty(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.stocks("HOT-50", 50).await?;
    let (basket, customer) = (Basket::of("HOT-50", 1), &world.customer);
    let screens = try_join_all((0..200).map(|_| customer.orders(&basket))).await?;
    let confirmed = screens.iter().filter(|(_, screen)| screen.status() == "confirmed").count();
    let rejected = screens.iter().filter(|(_, screen)| screen.reason() == "out_of_stock").count();
    ensure!(confirmed == 50 && rejected == 150, "{confirmed} confirmed, {rejected} out of stock");
    let product = customer.sees_product("HOT-50").await?;
    ensure!(product["available"] == 0 && product["reserved"] == 0, "{product}");
    Ok(())
}

async fn opposite(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.stocks("CROSS-A", 100).await?;
    world.customer.stocks("CROSS-B", 100).await?;
    let (there, back) = (Basket::of("CROSS-A", 1).and("CROSS-B", 1), Basket::of("CROSS-B", 1).and("CROSS-A", 1));
    let screens = try_join_all((0..60).map(|n| world.customer.orders(if n % 2 == 0 { &there } else { &back }))).await?;
    for (_, screen) in screens {
        screen.must_be("confirmed", "")?;
    }
    Ok(())
}

/// Both requests of a key wait for the same transaction; each has drawn an id for the order, and only one of them is an order.
async fn asked_again(world: Arc<World>) -> anyhow::Result<()> {
    let mut db = PgConnection::connect(&world.addresses.owner_database_url(Service::Order)).await?;
    db.execute("begin").await?;
    db.execute("lock table chassis.requests in access exclusive mode").await?;
    let (customer, basket) = (&world.customer, &Basket::of("TEA-001", 1));
    let first = tokio::spawn({
        let (customer, basket) = (customer.clone(), basket.clone());
        async move { customer.places(&basket).await }
    });
    let waiting = "select count(*) from pg_locks where relation = 'chassis.requests'::regclass and not granted";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut db).await? == 0 {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    // Behind the first, whose transaction waits, these come together.
    let keys: Vec<String> = (0..40).map(|_| Uuid::now_v7().to_string()).collect();
    let hasty = customer.clone().impatient(Duration::from_millis(300));
    let given_up = join_all(keys.iter().map(|key| hasty.post(&basket.0, key))).await;
    ensure!(given_up.iter().all(Result::is_err), "somebody was answered");
    let again = try_join_all(keys.iter().map(|key| {
        eventually("an answer", Duration::from_secs(30), move || async move {
            let answer = customer.post(&basket.0, key).await?;
            ensure!(answer.status() == StatusCode::ACCEPTED, "{}", answer.status());
            Ok(())
        })
    }));
    let let_go = async {
        // All of them are heard, and wait.
        tokio::time::sleep(Duration::from_millis(500)).await;
        db.execute("commit").await.map(drop).map_err(anyhow::Error::from)
    };
    tokio::try_join!(again, let_go)?;
    first.await??.comes_to_rest().await?.must_be("confirmed", "")?;
    let astray = "select count(*) from chassis.requests
        where type = 'PlaceOrder' and status = 202 and not exists (select from orders where order_id = saga)";
    let astray: i64 = sqlx::query_scalar(astray).fetch_one(&mut db).await?;
    ensure!(astray == 0, "{astray} requests are kept under an order that there is not");
    Ok(())
}

/// The other replica is this test: it has read the order, and writes it only when the customer's wish stands before the door.
async fn in_another_hand(world: Arc<World>) -> anyhow::Result<()> {
    let (placed, screen) = world.customer.orders(&Basket::of("TEA-001", 1)).await?;
    screen.must_be("confirmed", "")?;
    let id: Uuid = placed.id.parse()?;
    let mut db = PgConnection::connect(&world.addresses.owner_database_url(Service::Order)).await?;
    db.execute("begin").await?;
    sqlx::query("select pg_advisory_xact_lock(uuid_hash_extended($1, 0))").bind(id).execute(&mut db).await?;
    let read = sqlx::query_scalar::<_, String>("select purchase::text from orders where order_id = $1").bind(id);
    let purchase = read.fetch_one(&mut db).await?;
    let customer = screen.0["customer_id"].as_str().context("it has a customer")?;
    ensure!(purchase.contains(customer), "{purchase}");

    let wish = tokio::spawn({
        let placed = placed.clone();
        async move { placed.cancel().await }
    });
    let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())";
    while !wish.is_finished() && sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut db).await? == 0 {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let write = sqlx::query("update orders set purchase = $2::jsonb where order_id = $1").bind(id);
    write.bind(purchase.replace(customer, "c-another")).execute(&mut db).await?;
    db.execute("commit").await?;

    wish.await??.error_for_status()?;
    let screen = eventually("the customer to have his way", Duration::from_secs(30), || async {
        let screen = placed.screen().await?;
        ensure!(screen.status() == "cancelled", "{:#}", screen.0);
        Ok::<_, anyhow::Error>(screen)
    })
    .await?;
    ensure!(screen.0["customer_id"] == "c-another", "what the other replica wrote is lost: {:#}", screen.0);
    // No reaction allows that, as the closing check would say.
    let back = "update orders set purchase = replace(purchase::text, 'c-another', $2)::jsonb where order_id = $1";
    sqlx::query(back).bind(id).bind(customer).execute(&mut db).await?;
    Ok(())
}
