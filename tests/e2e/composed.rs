//! The stack that `just up` leaves running, in the composed images where an engine answers: one order forwards, one back.

use std::time::Duration;

use anyhow::ensure;
use ensemble::{Profile, Service, Talk, audit, record, report, stack::Name, stack::standing::Standing};
use libtest_mimic::Trial;
use tests::{Basket, Customer};

use crate::world::{runtime, told};

pub(crate) fn trials() -> Vec<Trial> {
    let test = || told(runtime().and_then(|runtime| runtime.block_on(up_and_down())));
    vec![Trial::test("composed::what_just_up_starts_carries_orders_forwards_and_back", test)]
}

async fn up_and_down() -> anyhow::Result<()> {
    let talk = Talk::silent();
    let standing = Standing::up(&Name::new("e2e", 3000)?, Profile::Dev, &talk).await?;
    let carried = carried(&standing).await;
    let down = standing.down(true, &talk).await;
    carried.and(down)
}

async fn carried(standing: &Standing) -> anyhow::Result<()> {
    let at = standing.addresses();
    let customer = Customer::at(at.url(Service::Order), at.url(Service::Inventory), at.url(Service::Shipping));
    let (_, screen) = customer.orders(&Basket::of("TEA-001", 2)).await?;
    screen.must_be("confirmed", "")?;
    let (_, screen) = customer.orders(&Basket::of("TEA-001", 2).to_country("AQ")).await?;
    screen.must_be("rejected", "shipment_refused")?;
    for fare in standing.status().await {
        let asked = fare.attention.is_some() == Service::ALL.iter().any(|service| service.name() == fare.part);
        ensure!(fare.ready && asked, "{fare:?}");
    }
    let audited = audit::under_load(at, Duration::from_secs(60)).await?;
    let shown = report::audit(&audited, false)?;
    ensure!(shown.matches("holds").count() == 6 && shown.contains("2 orders"), "{shown}");
    audited.must_be_clean()?;
    let folder = ensemble::root().join("target/e2e");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("recording.json");
    record::run(at, &file, &Talk::silent()).await?;
    let conforms = record::replay(&[file])??;
    ensure!(conforms.orders == 2, "{conforms}");
    Ok(())
}
