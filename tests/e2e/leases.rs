//! Who leads a job, and what is written by somebody who led it before: on the database's clock, by statements of the real
//! programs. The other replica is this test, which says what a replica would.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ensemble::Service;
use libtest_mimic::Trial;
use sqlx::{Connection as _, PgConnection, types::time::OffsetDateTime};
use tests::{Basket, eventually};
use uuid::Uuid;

use crate::world::{Shared, Trials, World};

/// A lease is 5 s, and whoever follows asks each second.
const FOLLOWED: Duration = Duration::from_secs(15);
const JOBS: [&str; 3] = ["sweep", "reconcile", "deadlines"];

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "leases");
    trials.add("row_19_a_token_of_before_writes_nothing", fenced);
    trials.add("row_19_a_leader_that_is_paused_is_followed_and_leads_no_more_when_it_wakes", followed);
    trials.all()
}

/// The one statement of payment that says this.
fn statement(name: &str, says: &str) -> anyhow::Result<&'static str> {
    let all = chassis::statements::<payment::Payment>();
    let found: Vec<_> = all.into_iter().filter(|(other, sql)| *other == name && sql.contains(says)).collect();
    match *found {
        [(_, sql)] => Ok(sql),
        _ => anyhow::bail!("{} statements are called {name} and say {says}", found.len()),
    }
}

async fn token(db: &mut PgConnection, job: &str) -> anyhow::Result<i64> {
    let token = sqlx::query_scalar("select token from chassis.leases where job = $1 and expires > clock_timestamp()");
    token.bind(job).fetch_optional(db).await?.with_context(|| format!("nobody leads {job}"))
}

async fn fenced(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let mut db = PgConnection::connect(&world.addresses.database_url(Service::Payment)).await?;
    let [sweep, reconcile] = [token(&mut db, "sweep").await?, token(&mut db, "reconcile").await?];
    let event = Uuid::now_v7();

    let put_back = sqlx::query(statement("PUT_BACK", "chassis.outbox_pending")?).bind(vec![event]).bind(reconcile - 1);
    ensure!(put_back.execute(&mut db).await?.rows_affected() == 0, "a reconciler of before puts events back");
    let advance = sqlx::query(statement("ADVANCE", "chassis.positions")?);
    advance.bind("of nobody").bind(7_i64).bind("id").bind(vec![7_i64]).bind(reconcile - 1).execute(&mut db).await?;
    let positions = sqlx::query_scalar::<_, i64>("select count(*) from chassis.positions where durable = 'of nobody'");
    ensure!(positions.fetch_one(&mut db).await? == 0, "a watcher of before moves a position");
    let remember = sqlx::query(statement("REMEMBER", "chassis.footings")?).bind("of nobody").bind(1_i64).bind(1_i64);
    let remember = remember.bind(OffsetDateTime::UNIX_EPOCH).bind(1_i64).bind(None::<String>).bind(0_i64);
    let remember = remember.bind(OffsetDateTime::UNIX_EPOCH).bind(0_i64).bind(reconcile - 1);
    ensure!(remember.execute(&mut db).await?.rows_affected() == 0, "a reconciler of before says how the stream stands");

    // Inside a transaction that is taken back, so that nobody publishes what was never said.
    let mut transaction = db.begin().await?;
    sqlx::query("insert into chassis.outbox_pending (id) values ($1)").bind(event).execute(&mut *transaction).await?;
    let pending = statement("PENDING", "job = 'sweep'")?;
    for (token, is_swept) in [(sweep - 1, false), (sweep, true)] {
        let found = sqlx::query(pending).bind(token).bind(100_000_i64).fetch_all(&mut *transaction).await?;
        ensure!(found.is_empty() != is_swept, "by token {token} of {sweep}, {} are swept", found.len());
    }
    transaction.rollback().await?;
    gives_up_nothing(&world, token(&mut db, "partitions").await?).await
}

/// By the token of before; by the one that holds, a day that is then kept all the same.
async fn gives_up_nothing(world: &World, held: i64) -> anyhow::Result<()> {
    let mut owner = PgConnection::connect(&world.addresses.owner_database_url(Service::Payment)).await?;
    let mut transaction = owner.begin().await?;
    let last: i32 = sqlx::query_scalar("select max(day) from chassis.days").fetch_one(&mut *transaction).await?;
    let give_up = statement("GIVE_UP", "chassis.days")?;
    for (token, is_given_up) in [(held - 1, false), (held, true)] {
        let gone = sqlx::query(give_up).bind(last).bind(token).execute(&mut *transaction).await?.rows_affected();
        ensure!((gone == 1) == is_given_up, "by token {token} of {held}, {gone} days are given up");
    }
    transaction.rollback().await?;
    Ok(())
}

async fn followed(world: Arc<World>) -> anyhow::Result<()> {
    let stack = world.stack.lock().await;
    let mut db = PgConnection::connect(&world.addresses.database_url(Service::Payment)).await?;
    let (hold, release) = (statement("HOLD", "chassis.leases")?, statement("RELEASE", "chassis.leases")?);
    let mut before = Vec::new();
    for job in JOBS {
        before.push(token(&mut db, job).await?);
        let early = sqlx::query(hold).bind(job).bind("the other").bind(30.0).execute(&mut db).await?;
        ensure!(early.rows_affected() == 0, "{job} is led by two");
    }
    stack.pause(Service::Payment).await?;
    let mut held = Vec::new();
    let follow = async {
        for (job, before) in JOBS.into_iter().zip(before) {
            let token = eventually("a lease to run out", FOLLOWED, async || {
                let mut db = PgConnection::connect(&world.addresses.database_url(Service::Payment)).await?;
                let hold = sqlx::query_scalar::<_, i64>(hold).bind(job).bind("the other").bind(30.0);
                hold.fetch_optional(&mut db).await?.context("it is held")
            });
            let token = token.await?;
            ensure!(token == before + 1, "{job} goes from token {before} to {token}");
            held.push(token);
        }
        Ok(())
    };
    let followed = follow.await;
    stack.resume(Service::Payment).await?;
    followed?;

    // It is awake, takes its part in orders, and leads nothing.
    let payment = world.operator(Service::Payment);
    world.customer.places(&Basket::of("TEA-001", 1)).await?.comes_to_rest().await?.must_be("confirmed", "")?;
    for (job, held) in JOBS.into_iter().zip(&held) {
        eventually("it leads no more", FOLLOWED, async || {
            let leads = payment.metric(&format!(r#"ensemble_lease_held{{job="{job}"}}"#)).await?;
            ensure!(leads == 0.0, "it leads {job}");
            Ok(())
        })
        .await?;
        ensure!(token(&mut db, job).await? == *held, "{job} was taken from who leads it");
    }
    // Who ends in good order is followed at once.
    for (job, held) in JOBS.into_iter().zip(&held) {
        sqlx::query(release).bind(job).bind("the other").bind(held).execute(&mut db).await?;
        eventually("it leads again", FOLLOWED, async || {
            let mut db = PgConnection::connect(&world.addresses.database_url(Service::Payment)).await?;
            ensure!(token(&mut db, job).await? == held + 1, "nobody leads {job} yet");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
