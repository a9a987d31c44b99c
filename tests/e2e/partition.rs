//! One service is cut off from the broker, and nobody is told: it is not ready, the others go on, and all is well once the
//! cable is mended.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use ensemble::{Options, Service};
use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use tests::{Basket, Cable};

use crate::world::{World, alone};

pub(crate) fn trials() -> Vec<Trial> {
    let patient = || Options::default().set(Service::Order, "EXPIRES_AFTER", "10m").cables();
    vec![alone("partition::row_27_one_service_is_cut_off_from_the_broker_and_heals", patient, cut_off)]
}

async fn cut_off(world: Arc<World>) -> anyhow::Result<()> {
    let basket = Basket::of("TEA-001", 1);
    world.customer.orders(&basket).await?.1.must_be("confirmed", "")?;
    let cable = async |does: fn(&Cable)| world.stack.lock().await.cable(Service::Payment).map(does).context("it has a cable");
    cable(Cable::cut).await?;
    world.stops_being_ready(Service::Payment, Duration::from_secs(15)).await?;
    for service in [Service::Order, Service::Inventory, Service::Shipping] {
        world.is_ready(service).await?;
    }
    let meanwhile = try_join_all((0..8).map(|_| world.customer.places(&basket))).await?;
    for order in &meanwhile {
        order.shows("stock.reserved", |screen| screen.timeline().iter().any(|ty| ty == "stock.reserved")).await?;
    }
    cable(Cable::mend).await?;
    for order in &meanwhile {
        order.comes_to_rest().await?.must_be("confirmed", "")?;
    }
    Ok(())
}
