//! PostgreSQL is gone for good, and another, which has every commit, takes its place.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use ensemble::{Options, Part, Service, Stack, stack::Housing};
use libtest_mimic::Trial;
use sqlx::{Connection as _, PgConnection};
use tests::{Basket, eventually};

use crate::{
    replicas::load,
    world::{World, alone},
};

const SOON: Duration = Duration::from_secs(60);

pub(crate) fn trials() -> Vec<Trial> {
    vec![alone("failover::row_16_a_standby_takes_the_place_of_the_database_under_load", patient, taken_over)]
}

/// Nothing is to end because it waited for a database.
fn patient() -> Options {
    Options::default().set(Service::Order, "EXPIRES_AFTER", "10m").housing(Housing::Native)
}

async fn taken_over(world: Arc<World>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    world.customer.orders(&Basket::of("TEA-001", 1)).await?.1.must_be("confirmed", "")?;
    let before = timeline(&world).await?;
    let enough = AtomicBool::new(false);
    let change = async {
        let changed = change(&world, &mut stack).await;
        enough.store(true, Ordering::Relaxed);
        changed
    };
    let (changed, placed) = tokio::join!(change, load(&world.customer, &enough));
    changed?;
    let placed = placed?;
    ensure!(placed.len() > 10, "only {} orders were placed", placed.len());
    ensure!(timeline(&world).await? == before + 1, "it is the same server as before");
    for order in placed {
        world.customer.placed(order).comes_to_rest().await?.must_be("confirmed", "")?;
    }
    for service in Service::ALL {
        let shown = world.operator(service).sees("restored").await?;
        ensure!(shown["standing"] == "open", "{service} takes a failover for a loss: {shown:#}");
    }
    Ok(())
}

/// All services lose their database, and go on as they are when they have one again.
async fn change(world: &World, stack: &mut Stack) -> anyhow::Result<()> {
    let standby = stack.standby().await?;
    stack.kill(Part::Postgres).await?;
    // A standby takes over within a moment, which nobody need notice.
    world.stops_being_ready(Service::Order, SOON).await?;
    stack.fail_over(standby).await?;
    for service in Service::ALL {
        eventually(&format!("{service} to be ready"), SOON, || world.is_ready(service)).await?;
        ensure!(!stack.has_ended(service), "{service} has ended");
    }
    Ok(())
}

/// A server that was promoted is on the next.
async fn timeline(world: &World) -> anyhow::Result<i32> {
    let mut server = PgConnection::connect(&world.addresses.superuser_url()).await?;
    let timeline = sqlx::query_scalar("select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int");
    timeline.fetch_one(&mut server).await.context("the server does not say on which timeline it is")
}
