//! Orders of every fate, at a steady rate, by customers who ask again under the same key until they are told something.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use choreography::simulate::Dice;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Service, Stack,
    customer::{Basket, Customer, Placed},
    stack::eventually,
    talk::Progress,
};

/// As long as a customer who has a shop before him, and not a promise, waits for one answer.
const IMPATIENCE: Duration = Duration::from_secs(5);
/// Whatever was wrong is over within that.
const PATIENCE: Duration = Duration::from_secs(120);
/// So many products are ordered in turn.
const PRODUCTS: usize = 8;
/// One of which there is none.
const SOLD_OUT: &str = "CHAOS-0";
/// What a seed's orders are drawn from; its faults are drawn from another stream.
const STREAM: u64 = 1;

/// What a customer does once the order is accepted.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    CancelsAfter(Duration),
    /// The warehouse hands it over, once it may.
    IsDispatched,
}

/// Customers at the shop of a stack.
pub(super) async fn customers(stack: &Stack) -> anyhow::Result<Customer> {
    let customer = Customer::at(stack.order_url(), stack.url(Service::Inventory), stack.url(Service::Shipping));
    customer.stocks(SOLD_OUT, 0).await?;
    Ok(customer.impatient(IMPATIENCE))
}

/// So many orders, evenly over that time; returns when each has been accepted and whatever its customer then wished was
/// answered.
///
/// # Errors
/// When one is refused, or nobody answers for long after everything has healed.
pub(super) async fn orders(
    customer: Customer,
    seed: u64,
    count: u32,
    over: Duration,
    progress: Progress,
) -> anyhow::Result<Vec<Placed>> {
    let (mut dice, customer, began) = (Dice::new(seed, STREAM), Arc::new(customer), Instant::now());
    let mut under_way = JoinSet::new();
    for n in 0..count {
        sleep_until(began + over * n / count.max(1)).await;
        let (basket, then) = drawn(&mut dice, n as usize);
        let customer = customer.clone();
        under_way.spawn(async move {
            let placed = customer.places(&basket).await.with_context(|| format!("order {n}"))?;
            follow(&placed, then).await.with_context(|| format!("order {}: {then:?}", placed.id))?;
            Ok::<_, anyhow::Error>(placed)
        });
        progress.at(u64::from(n) + 1);
    }
    under_way.join_all().await.into_iter().collect()
}

fn drawn(dice: &mut Dice, n: usize) -> (Basket, Then) {
    let basket = Basket::of(&sku(n), 1);
    let soon = Duration::from_millis(dice.below(3_000) as u64);
    match dice.below(20) {
        0..=7 => (basket, Then::Nothing),
        8 => (basket.and(&sku(n + 1), 2).and(&sku(n + 5), 1), Then::Nothing),
        9..=10 => (Basket::of(SOLD_OUT, 1), Then::Nothing),
        11..=12 => (basket.paid_with("pm_card_chargeDeclined"), Then::Nothing),
        13..=14 => (basket.to_country("AQ"), Then::Nothing),
        15..=17 => (basket, Then::CancelsAfter(soon)),
        _ => (basket, Then::IsDispatched),
    }
}

fn sku(n: usize) -> String {
    format!("TEA-{:03}", n % PRODUCTS + 1)
}

async fn follow(placed: &Placed, then: Then) -> anyhow::Result<()> {
    match then {
        Then::Nothing => Ok(()),
        Then::CancelsAfter(time) => {
            sleep(time).await;
            eventually("an answer", PATIENCE, || async {
                let status = placed.cancel().await?.status();
                anyhow::ensure!(!status.is_server_error(), "{status}");
                Ok(())
            })
            .await
        }
        // The order may never be confirmed; a warehouse that was refused for long puts the parcel aside.
        Then::IsDispatched => {
            for _ in 0..20 {
                sleep(Duration::from_secs(1)).await;
                if placed.dispatch().await.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
            }
            Ok(())
        }
    }
}
