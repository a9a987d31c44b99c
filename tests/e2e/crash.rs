//! kill -9 of each service, the broker and the partners in the middle of two hundred orders: every order that was
//! accepted comes to rest, and the audit finds nothing.

use std::sync::Arc;

use anyhow::ensure;
use ensemble::{Options, Part, Service};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use tests::Basket;

use crate::world::{World, alone};

pub(crate) fn trials() -> Vec<Trial> {
    let victims = Service::ALL.map(Part::from).into_iter().chain([Part::Partners, Part::Nats, Part::Postgres]);
    let all = async |world: Arc<World>, victims: Vec<Part>| {
        for victim in victims {
            killed_in_the_middle(&world, victim).await?;
        }
        Ok(())
    };
    let victims: Vec<Part> = victims.collect();
    // Nothing is to end because it waited for who was killed.
    let patient = || Options::default().set(Service::Order, "EXPIRES_AFTER", "10m");
    vec![alone("crash::row_12_and_16_kill_9_of_each_part_in_the_middle_of_two_hundred_orders", patient, move |world| {
        all(world, victims)
    })]
}

async fn killed_in_the_middle(world: &Arc<World>, victim: Part) -> anyhow::Result<()> {
    let orders = stream::iter(0..200_usize).map(|n| {
        let world = world.clone();
        async move {
            if n == 60 {
                let mut stack = world.stack.lock().await;
                stack.kill(victim).await?;
                stack.start_part(victim).await?;
            }
            let basket = match n % 4 {
                0 => Basket::of("TEA-001", 1).to_country("AQ"),
                1 => Basket::of("TEA-001", 1).paid_with("pm_card_chargeDeclined"),
                _ => Basket::of("TEA-001", 1),
            };
            world.customer.places(&basket).await
        }
    });
    let placed: Vec<_> = orders.buffer_unordered(32).try_collect().await?;
    let rests = stream::iter(&placed).map(|order| order.comes_to_rest()).buffer_unordered(32);
    let screens: Vec<_> =
        rests.try_collect().await.map_err(|error: anyhow::Error| error.context(format!("after kill -9 of {victim}")))?;
    let confirmed = screens.iter().filter(|screen| screen.status() == "confirmed").count();
    ensure!(confirmed == 100, "after kill -9 of {victim}: {confirmed} of 100 confirmed");
    Ok(())
}
