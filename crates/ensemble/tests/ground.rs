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
