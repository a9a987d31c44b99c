//! What the services stand on, housed as this machine allows (`ENSEMBLE_HOUSING` says otherwise).

use std::path::PathBuf;

use ensemble::{Options, Part, Service, Stack};
use sqlx::{Connection, PgConnection};

async fn ground() -> Stack {
    Stack::start(Options::default().parts([Part::Postgres, Part::Nats])).await.expect("the ground stands")
}

async fn refusal(url: &str, statement: &'static str) -> String {
    let mut connection = match PgConnection::connect(url).await {
        Ok(connection) => connection,
        Err(error) => return error.to_string(),
    };
    let refused = sqlx::query(statement).execute(&mut connection).await.expect_err("it is refused");
    refused.to_string()
}

#[tokio::test]
async fn each_role_has_its_own_database_and_no_ddl() {
    let stack = ground().await;
    let mut owner = PgConnection::connect(&stack.addresses().owner_database_url(Service::Order)).await.expect("connected");
    for migration in ["create table pages (id bigserial primary key)", "create table chassis.claims (id int)"] {
        sqlx::query(migration).execute(&mut owner).await.expect("the owner migrates");
    }

    let own = stack.database_url(Service::Order);
    let mut service = PgConnection::connect(&own).await.expect("connected");
    for statement in ["insert into pages default values", "delete from pages", "insert into chassis.claims values (1)"] {
        sqlx::query(statement).execute(&mut service).await.expect("the service reads and writes what the owner made");
    }
    for statement in
        ["create table mine (id int)", "create temporary table mine (id int)", "drop table pages", "create schema mine"]
    {
        let refused = refusal(&own, statement).await;
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{statement}: {refused}");
    }
    for other in ["inventory", "payment", "shipping", "postgres", "template1"] {
        let elsewhere = format!("{}/{other}", own.strip_suffix("/order").expect("it ends in the database"));
        assert!(refusal(&elsewhere, "select 1").await.contains("permission denied for database"), "{other}");
    }
    stack.finish().await.expect("in good order");
}

#[tokio::test]
async fn data_outlives_a_kill_and_the_address_stays() {
    let mut stack = ground().await;
    let url = stack.addresses().owner_database_url(Service::Payment);
    let mut owner = PgConnection::connect(&url).await.expect("connected");
    sqlx::query("create table kept as select 42 as answer").execute(&mut owner).await.expect("written");
    drop(owner);
    for part in [Part::Postgres, Part::Nats] {
        stack.kill(part).await.expect("killed");
        stack.start_part(part).await.expect("back");
    }
    let mut owner = PgConnection::connect(&url).await.expect("at the same address");
    let answer: i32 = sqlx::query_scalar("select answer from kept").fetch_one(&mut owner).await.expect("kept");
    assert_eq!(answer, 42);
    stack.finish().await.expect("in good order");
}

#[tokio::test]
async fn a_paused_broker_is_there_but_not_ready() {
    let stack = ground().await;
    let health = format!("{}/healthz", stack.addresses().nats_monitor_url());
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_millis(300)).build().expect("a client");
    stack.pause(Part::Nats).await.expect("paused");
    assert!(client.get(&health).send().await.expect_err("no answer").is_timeout());
    stack.resume(Part::Nats).await.expect("resumed");
    stack.wait_until_ready(Part::Nats).await.expect("ready again");
    stack.finish().await.expect("in good order");
}

#[tokio::test]
async fn nothing_is_left_behind_whether_finished_or_dropped() {
    for finished in [true, false] {
        let stack = ground().await;
        let (ports, dir): (_, PathBuf) = (stack.addresses().ports.clone(), stack.data(Part::Nats));
        assert!(dir.exists());
        if finished {
            stack.finish().await.expect("in good order");
        } else {
            drop(stack);
        }
        assert!(!dir.exists(), "finished: {finished}");
        for port in [ports.postgres, ports.nats, ports.nats_monitor] {
            assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(), "{port} is still taken; finished: {finished}");
        }
    }
}

/// As the services do it, up to that version; the rest comes with the next call.
async fn migrate_chassis(owner: &mut PgConnection, versions: std::ops::RangeInclusive<u32>) {
    let folder = ensemble::root().join("crates/chassis/migrations");
    let mut files: Vec<PathBuf> = folder.read_dir().expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    for (_, file) in (1..).zip(files).filter(|(version, _)| versions.contains(version)) {
        let migration = std::fs::read_to_string(&file).expect("readable");
        let migrated = sqlx::raw_sql(sqlx::AssertSqlSafe(migration)).execute(&mut *owner).await;
        migrated.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

#[tokio::test]
async fn what_was_there_before_partitions_is_kept_and_the_service_cannot_make_any() {
    let stack = ground().await;
    let mut owner = PgConnection::connect(&stack.addresses().owner_database_url(Service::Order)).await.expect("connected");
    migrate_chassis(&mut owner, 1..=5).await;
    let before = [
        "insert into chassis.claims (id, door, type, source, happened, taken_at)
            select gen_random_uuid(), 'event', 'a.b.v1', 'a', now(), now() from generate_series(1, 100)",
        "insert into chassis.claims (id, door, type, source, happened, taken_at)
            values ((overlay(lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') placing '-' from 9 for 0)
                || '-8000-8000-000000000000')::uuid, 'event', 'a.b.v1', 'a', now(), now())",
        "insert into chassis.outbox (id, type, body, said_at)
            select gen_random_uuid(), 'a.b.v1', '{}', now() from generate_series(1, 100)",
    ];
    for statement in before {
        sqlx::query(statement).execute(&mut owner).await.expect("as it was");
    }
    migrate_chassis(&mut owner, 6..=u32::MAX).await;
    let kept = "select (select count(*) from chassis.claims where late), (select count(*) from chassis.outbox where late)";
    let kept: (i64, i64) = sqlx::query_as(kept).fetch_one(&mut owner).await.expect("both tables");
    assert_eq!(kept, (101, 100));
    let made = "select chassis.make_day(day::integer) from (select extract(epoch from now())::bigint / 86400 + n as day
        from generate_series(0, 1) as n) as days order by day";
    let made: Vec<bool> = sqlx::query_scalar(made).fetch_all(&mut owner).await.expect("made");
    assert_eq!(made, [false, true], "what is claimed today must be found today");

    let refused = refusal(&stack.database_url(Service::Order), "select chassis.make_day(0)").await;
    assert!(refused.contains("permission denied"), "{refused}");
    stack.finish().await.expect("in good order");
}
