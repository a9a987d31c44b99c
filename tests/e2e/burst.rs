//! Ten times as many requests as there is room for, while a reader stands still.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ensemble::{Options, Service};
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use libtest_mimic::Trial;
use reqwest::StatusCode;
use serde_json::Value;
use tests::{Basket, Placed, eventually};

use crate::world::{World, alone};

/// So many requests the order service takes at once.
const ROOM: usize = 32;
/// What a service may grow by, in KiB: a multiple of what all that fits into its queues needs.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

pub(crate) fn trials() -> Vec<Trial> {
    let narrow = || {
        let options = Options::default().set(Service::Order, "EXPIRES_AFTER", "10m");
        options.set(Service::Order, "REQUESTS_MAX", ROOM.to_string())
    };
    vec![alone("burst::row_25_ten_times_what_there_is_room_for_is_shed_and_then_forgotten", narrow, burst)]
}

/// The most that each service has had in memory, in KiB.
async fn peaks(world: &World) -> anyhow::Result<Vec<u64>> {
    let stack = world.stack.lock().await;
    let peak = |service| {
        let process = stack.process_id(service).context("services are processes")?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        line.trim().trim_end_matches(" kB").parse::<u64>().context("a number of kB")
    };
    Service::ALL.into_iter().map(peak).collect()
}

/// Tried once: the order, or nothing when it was shed.
async fn asks(world: &World) -> anyhow::Result<Option<Placed>> {
    let answer = world.customer.post(&Basket::of("TEA-001", 1).0, &world.tag()).await?;
    match answer.status() {
        StatusCode::ACCEPTED => {
            let body: Value = answer.json().await?;
            Ok(Some(world.customer.placed(body["id"].as_str().context("an order has an id")?)))
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            ensure!(answer.headers().contains_key("retry-after"), "{answer:?}");
            Ok(None)
        }
        other => anyhow::bail!("{other} {}", answer.text().await?),
    }
}

/// So many in all, so many at a time.
async fn asked(world: &World, count: usize, at_once: usize) -> anyhow::Result<Vec<Option<Placed>>> {
    stream::iter(0..count).map(|_| asks(world)).buffer_unordered(at_once).try_collect().await
}

async fn burst(world: Arc<World>) -> anyhow::Result<()> {
    let mut accepted: Vec<Placed> = asked(&world, 64, ROOM / 2).await?.into_iter().flatten().collect();
    for order in &accepted {
        order.comes_to_rest().await?.must_be("confirmed", "")?;
    }
    let before = peaks(&world).await?;
    let inventory = world.operator(Service::Inventory);
    inventory.does("consumer/pause", None).await?;
    let answers = asked(&world, 100 * ROOM, 10 * ROOM).await?;
    let (shed, taken) = (answers.iter().filter(|answer| answer.is_none()).count(), answers.iter().flatten().count());
    ensure!(shed > 0 && taken > 0, "{shed} shed, {taken} accepted");
    inventory.does("consumer/resume", None).await?;
    accepted.extend(answers.into_iter().flatten());

    eventually("everything to be accepted at four fifths of the room", Duration::from_secs(60), || async {
        let answers = try_join_all((0..ROOM * 4 / 5).map(|_| asks(&world))).await?;
        let shed = answers.iter().filter(|answer| answer.is_none()).count();
        ensure!(shed == 0, "{shed} were shed");
        Ok(())
    })
    .await?;
    let rests = stream::iter(&accepted).map(Placed::comes_to_rest).buffer_unordered(ROOM / 2);
    for screen in rests.try_collect::<Vec<_>>().await? {
        screen.must_be("confirmed", "")?;
    }
    for (service, (before, after)) in Service::ALL.into_iter().zip(before.into_iter().zip(peaks(&world).await?)) {
        ensure!(after - before < GROWTH_KIB_MAX, "{service} grew from {before} to {after} KiB");
    }
    Ok(())
}
