//! Many orders for few units.

use std::sync::Arc;

use anyhow::ensure;
use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use tests::Basket;

use crate::world::{Shared, Trials, World};

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "contention");
    trials.add("two_hundred_orders_for_fifty_units_sell_exactly_fifty", fifty);
    trials.add("lines_in_opposite_order_do_not_deadlock", opposite);
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
