//! A database that is away, slow or full: one service is not ready, the others go on, and nothing is lost.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use ensemble::{Options, Part, Service, stack::Housing};
use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tests::{Basket, Placed, eventually};

use crate::world::{World, alone};

const SOON: Duration = Duration::from_secs(30);

/// Nothing is to end because it waited for a database.
fn patient() -> Options {
    Options::default().set(Service::Order, "EXPIRES_AFTER", "10m")
}

pub(crate) fn trials() -> Vec<Trial> {
    let native = || patient().housing(Housing::Native);
    let full = alone("databases::row_26_the_disk_of_a_database_is_full_until_there_is_room", native, full);
    vec![
        alone("databases::row_16_a_database_refuses_connections_has_none_left_and_stands_still", patient, away),
        // A disk small enough to be filled takes somebody who may mount one.
        full.with_ignored_flag(!Mount::is_allowed()),
    ]
}

async fn placed(world: &World) -> anyhow::Result<Vec<Placed>> {
    let basket = Basket::of("TEA-001", 1);
    try_join_all((0..4).map(|_| world.customer.places(&basket))).await
}

async fn come_to_rest(orders: Vec<Placed>) -> anyhow::Result<()> {
    for order in orders {
        order.comes_to_rest().await?.must_be("confirmed", "")?;
    }
    Ok(())
}

/// Fails unless all services but that one are ready.
async fn others_go_on(world: &World, victim: Service) -> anyhow::Result<()> {
    for service in Service::ALL.into_iter().filter(|service| *service != victim) {
        world.is_ready(service).await.with_context(|| format!("while {victim} has no database"))?;
    }
    Ok(())
}

async fn away(world: Arc<World>) -> anyhow::Result<()> {
    let mut server = PgConnection::connect(&world.addresses.superuser_url()).await?;
    let hang_up = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'payment'";

    server.execute("alter database payment allow_connections false").await?;
    server.execute(hang_up).await?;
    world.stops_being_ready(Service::Payment, SOON).await?;
    others_go_on(&world, Service::Payment).await?;
    let meanwhile = placed(&world).await?;
    server.execute("alter database payment allow_connections true").await?;
    come_to_rest(meanwhile).await?;

    server.execute("alter role payment connection limit 1").await?;
    server.execute(hang_up).await?;
    let meanwhile = placed(&world).await?;
    others_go_on(&world, Service::Payment).await?;
    server.execute("alter role payment connection limit -1").await?;
    come_to_rest(meanwhile).await?;
    server.close().await?;

    let mut owner = PgConnection::connect(&world.addresses.owner_database_url(Service::Payment)).await?;
    let mut lock = owner.begin().await?;
    lock.execute("lock table holds in access exclusive mode").await?;
    let meanwhile = placed(&world).await?;
    // This long it is slow; not a wait for anything.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let screen = meanwhile[0].screen().await?;
    ensure!(screen.0["payment"]["status"] == "unavailable", "the screen answers without payment: {:#}", screen.0);
    others_go_on(&world, Service::Payment).await?;
    lock.rollback().await?;
    owner.close().await?;
    come_to_rest(meanwhile).await
}

/// A file system in memory, of 64 MB; gone with this.
struct Mount(PathBuf);

impl Mount {
    fn is_allowed() -> bool {
        let dir = std::env::temp_dir().join(format!("ensemble-mount-{}", std::process::id()));
        std::fs::create_dir_all(&dir).is_ok() && {
            let allowed = Self::at(&dir).is_ok();
            let _ = std::fs::remove_dir(&dir);
            allowed
        }
    }

    fn at(dir: &Path) -> anyhow::Result<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "ensemble"]).arg(dir).output();
        let mounted = mount.context("there is no mount")?;
        ensure!(mounted.status.success(), "not mounted: {}", String::from_utf8_lossy(&mounted.stderr));
        Ok(Self(dir.to_owned()))
    }

    /// To the last byte.
    fn fill(&self) -> anyhow::Result<PathBuf> {
        let path = self.0.join("filler");
        let mut file = File::create(&path)?;
        for bytes in [1 << 20, 4096] {
            while file.write_all(&vec![0; bytes]).is_ok() {}
        }
        Ok(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Whoever still has files open there keeps them until the end.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// The tables of order move to a disk of their own.
async fn on_a_small_disk(world: &World) -> anyhow::Result<Mount> {
    let mut stack = world.stack.lock().await;
    stack.stop(Service::Order).await?;
    let dir = stack.data(Part::Postgres).with_file_name("small");
    std::fs::create_dir(&dir)?;
    let mount = Mount::at(&dir)?;
    let owned = Command::new("chown").arg("postgres").arg(&dir).status()?;
    ensure!(owned.success(), "the disk is not PostgreSQL's");
    let mut server = PgConnection::connect(&world.addresses.superuser_url()).await?;
    let space = format!("create tablespace small location '{}'", dir.display());
    server.execute(sqlx::query(AssertSqlSafe(space))).await?;
    server.execute(r#"alter database "order" set tablespace small"#).await?;
    server.close().await?;
    stack.start_part(Service::Order).await?;
    Ok(mount)
}

/// They move back, so that the stack can be audited and removed.
async fn back_from(world: &World, disk: Mount) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    stack.stop(Service::Order).await?;
    let mut server = PgConnection::connect(&world.addresses.superuser_url()).await?;
    server.execute(r#"alter database "order" set tablespace pg_default"#).await?;
    server.execute("drop tablespace small").await?;
    server.close().await?;
    drop(disk);
    stack.start_part(Service::Order).await
}

async fn full(world: Arc<World>) -> anyhow::Result<()> {
    let disk = on_a_small_disk(&world).await?;
    come_to_rest(placed(&world).await?).await?;
    let filler = disk.fill()?;
    let (basket, mut accepted) = (Basket::of("TEA-001", 1), Vec::new());
    let refused = loop {
        let key = world.tag();
        let answer = world.customer.post(&basket.0, &key).await?;
        match answer.status() {
            StatusCode::ACCEPTED => {
                let body: Value = answer.json().await?;
                accepted.push(world.customer.order(body["id"].as_str().context("an order has an id")?));
                ensure!(accepted.len() < 5000, "the disk is never full");
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                ensure!(answer.headers().contains_key("retry-after"), "{answer:?}");
                break key;
            }
            other => anyhow::bail!("{other} {}", answer.text().await?),
        }
    };
    others_go_on(&world, Service::Order).await?;
    std::fs::remove_file(filler)?;
    eventually("the same key to be accepted", SOON, || async {
        let status = world.customer.post(&basket.0, &refused).await?.status();
        ensure!(status == StatusCode::ACCEPTED, "{status}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    come_to_rest(accepted).await?;
    let dead = world.operator(Service::Order).sees("dead-letters").await?;
    ensure!(dead["items"] == json!([]), "a full disk is nobody's fault: {dead:#}");
    back_from(&world, disk).await
}
