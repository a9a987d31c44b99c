//! Row 18: a database is put back that is older than what its service has said. It is noticed, nothing is taken until an
//! operator reconciles, and afterwards everything adds up: closing the stack audits it.

use std::{process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use ensemble::{
    Options, Part, Service, Talk,
    reconcile::{self, Report, Settings},
    stack::Housing,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tests::{Basket, Placed, eventually};
use uuid::Uuid;

use crate::world::{World, alone, runtime, told};

const SOON: Duration = Duration::from_secs(30);

/// Nothing is to end because it waited for an operator.
fn patient() -> Options {
    Options::default().set(Service::Order, "EXPIRES_AFTER", "10m").set_all("RECONCILE_INTERVAL", "500ms")
}

pub(crate) fn trials() -> Vec<Trial> {
    let native = || patient().housing(Housing::Native);
    vec![
        alone("restored::row_18_an_older_copy_of_a_readers_database_is_put_back_under_load", patient, readers),
        alone("restored::row_18_an_older_copy_of_the_orders_is_put_back_under_load", patient, orders),
        named("restored::row_18_an_order_that_nobody_can_bring_back_is_named"),
        alone("restored::row_18_the_whole_server_is_as_it_was_some_time_ago", native, whole_server),
    ]
}

/// What cannot be brought back does not add up: this stack is not audited.
fn named(name: &str) -> Trial {
    Trial::test(name.to_owned(), || {
        told(runtime().and_then(|runtime| {
            runtime.block_on(async {
                let world = World::start(patient()).await?;
                order_named(&world).await?;
                Arc::into_inner(world).context("somebody still uses the stack")?.stack.into_inner().finish().await
            })
        }))
    })
}

async fn server(world: &World) -> anyhow::Result<PgConnection> {
    PgConnection::connect(&world.addresses.superuser_url()).await.context("the server does not answer")
}

async fn say(server: &mut PgConnection, statement: String) -> anyhow::Result<()> {
    server.execute(sqlx::query(AssertSqlSafe(statement.clone()))).await.context(statement).map(drop)
}

async fn hang_up(server: &mut PgConnection, service: Service) -> anyhow::Result<()> {
    say(server, format!("alter database \"{service}\" allow_connections false")).await?;
    say(server, format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{service}'")).await
}

/// A backup of that service's database, as it is now. Whoever was connected connects again.
async fn backed_up(world: &World, service: Service) -> anyhow::Result<()> {
    let mut server = server(world).await?;
    hang_up(&mut server, service).await?;
    let copy = format!("create database {service}_backup template \"{service}\" owner {service}_owner");
    eventually("the last connection to be gone", SOON, || async {
        let mut server = PgConnection::connect(&world.addresses.superuser_url()).await?;
        say(&mut server, copy.clone()).await
    })
    .await?;
    say(&mut server, format!("alter database \"{service}\" allow_connections true")).await
}

/// That backup takes its place.
async fn restored(world: &World, service: Service) -> anyhow::Result<()> {
    let mut server = server(world).await?;
    hang_up(&mut server, service).await?;
    eventually("the last connection to be gone", SOON, || async {
        let mut server = PgConnection::connect(&world.addresses.superuser_url()).await?;
        say(&mut server, format!("drop database \"{service}\" with (force)")).await
    })
    .await?;
    // As `deploy/postgres/database.psql` has it: rights on a database are not copied with it.
    say(&mut server, format!("alter database {service}_backup rename to \"{service}\"")).await?;
    say(&mut server, format!("revoke all on database \"{service}\" from public")).await?;
    say(&mut server, format!("grant connect on database \"{service}\" to \"{service}\"")).await?;
    say(&mut server, format!("alter database \"{service}\" allow_connections true")).await
}

/// Orders that take every way: a third of them fail.
async fn placed(world: &World, count: usize) -> anyhow::Result<Vec<Placed>> {
    let orders = stream::iter(0..count).map(|n| {
        let basket = match n % 6 {
            0 => Basket::of("TEA-001", 1).to_country("AQ"),
            1 => Basket::of("TEA-001", 1).paid_with("pm_card_chargeDeclined"),
            _ => Basket::of("TEA-001", 1),
        };
        async move { world.customer.places(&basket).await }
    });
    orders.buffer_unordered(8).try_collect().await
}

async fn come_to_rest(orders: &[Placed]) -> anyhow::Result<Vec<String>> {
    let rests = stream::iter(orders).map(Placed::comes_to_rest).buffered(8);
    let screens: Vec<_> = rests.try_collect().await?;
    Ok(screens.iter().map(|screen| format!("{} {}", screen.status(), screen.reason())).collect())
}

/// What happened between the backup and its restoration: all of it is in the streams, and with the others.
struct While {
    orders: Vec<Placed>,
    ends: Vec<String>,
    sku: String,
    product: Value,
}

impl While {
    /// It is again as it was.
    async fn is_as_it_was(&self, world: &World) -> anyhow::Result<()> {
        let again = come_to_rest(&self.orders).await?;
        ensure!(again == self.ends, "orders ended otherwise than before: {again:?}, {:?}", self.ends);
        let product = world.customer.sees_product(&self.sku).await?;
        ensure!(product == self.product, "the product is otherwise than before: {product:#}, {:#}", self.product);
        Ok(())
    }
}

async fn a_while(world: &World) -> anyhow::Result<While> {
    let mut orders = placed(world, 12).await?;
    // Counted in, and less than is wanted: who gets it is known.
    let sku = world.tag();
    world.customer.stocks(&sku, 5).await?;
    let basket = &Basket::of(&sku, 1);
    let wanted = stream::iter(0..8).map(|_| world.customer.places(basket)).buffered(8);
    orders.extend(wanted.try_collect::<Vec<_>>().await?);
    come_to_rest(&orders).await?;
    let confirmed = stream::iter(&orders).filter_map(|order| async move {
        let screen = order.screen().await.ok()?;
        (screen.status() == "confirmed").then_some(order)
    });
    let confirmed: Vec<&Placed> = confirmed.collect().await;
    let [dispatched, cancelled, ..] = confirmed[..] else { anyhow::bail!("{} are confirmed", confirmed.len()) };
    let status = dispatched.dispatch().await?.status();
    ensure!(status.is_success(), "not dispatched: {status}");
    let status = cancelled.cancel().await?.status();
    ensure!(status == StatusCode::ACCEPTED, "not cancelled: {status}");
    dispatched.shows("dispatched", |screen| screen.status() == "dispatched").await?;
    cancelled.shows("cancelled", |screen| screen.status() == "cancelled").await?;
    let ends = come_to_rest(&orders).await?;
    let product = world.customer.sees_product(&sku).await?;
    Ok(While { orders, ends, sku, product })
}

/// It says so itself: not ready, in a metric, and to operators.
async fn has_stopped(world: &World, service: Service) -> anyhow::Result<String> {
    let operator = &world.operator(service);
    let why = eventually(&format!("{service} to stop"), SOON, || async move {
        let shown = operator.sees("restored").await?;
        ensure!(shown["standing"] == "stopped", "{shown:#}");
        shown["why"].as_str().map(str::to_owned).context("it says why")
    })
    .await?;
    world.stops_being_ready(service, SOON).await?;
    ensure!((operator.metric("ensemble_intake_stopped").await? - 1.0).abs() < f64::EPSILON, "the metric says nothing");
    Ok(why)
}

async fn reconciled(world: &World, service: Option<Service>, dry_run: bool) -> anyhow::Result<Vec<Report>> {
    let settings = Settings { service, dry_run, yes: true, patience: Duration::from_secs(60) };
    reconcile::run(&settings, &world.addresses, &Talk::silent()).await
}

/// What is not as it was, a line for each event.
fn in_words(report: &Report) -> String {
    let named = report.named();
    let lines = named.iter().flat_map(|(order, lost)| lost.iter().map(move |lost| (order, lost)));
    let lines = lines.map(|(order, lost)| format!("\n{order} {} {} {:?} {:?}", lost.said_at, lost.ty, lost.fate, lost.why));
    format!("{} were lost; open: {}{}", report.lost.len(), report.open, lines.collect::<String>())
}

/// Nothing of what it had lost is missing, and it takes everything again.
async fn is_put_right(world: &World, service: Service) -> anyhow::Result<()> {
    let [found] = &reconciled(world, Some(service), true).await?[..] else { anyhow::bail!("one report for one service") };
    ensure!(!found.lost.is_empty() && !found.open, "{}", in_words(found));
    let [report] = &reconciled(world, Some(service), false).await?[..] else { anyhow::bail!("one report for one service") };
    ensure!(report.is_well(), "{service} is not put right: {}", in_words(report));
    ensure!(report.lost.len() >= found.lost.len(), "{} were lost, then {}", found.lost.len(), report.lost.len());
    let service_is_ready = || world.is_ready(service);
    eventually("the service to be ready", SOON, service_is_ready).await
}

async fn readers(world: Arc<World>) -> anyhow::Result<()> {
    for victim in [Service::Payment, Service::Inventory, Service::Shipping] {
        readers_one(&world, victim).await.with_context(|| format!("{victim} was restored"))?;
    }
    Ok(())
}

async fn readers_one(world: &World, victim: Service) -> anyhow::Result<()> {
    come_to_rest(&placed(world, 6).await?).await?;
    let before = placed(world, 6).await?;
    backed_up(world, victim).await?;
    let a_while = a_while(world).await?;
    let under_way = placed(world, 6).await?;
    restored(world, victim).await?;
    has_stopped(world, victim).await?;
    let meanwhile = placed(world, 6).await?;

    // A restart does not make it forget.
    {
        let mut stack = world.stack.lock().await;
        stack.stop(victim).await?;
        stack.launch(victim).await?;
    }
    has_stopped(world, victim).await?;
    if victim == Service::Inventory {
        let adjusted = reqwest::Client::new()
            .post(format!("{}/v1/products/TEA-001/adjustments", world.addresses.url(victim)))
            .header("Idempotency-Key", world.key())
            .json(&json!({"delta": 1, "reason": "goods in"}));
        is_turned_away(adjusted.send().await?).await?;
    }
    is_put_right(world, victim).await?;

    a_while.is_as_it_was(world).await?;
    for orders in [before, under_way, meanwhile, placed(world, 6).await?] {
        come_to_rest(&orders).await?;
    }
    Ok(())
}

async fn is_turned_away(answer: reqwest::Response) -> anyhow::Result<()> {
    let (status, retry) = (answer.status(), answer.headers().contains_key("retry-after"));
    let problem: Value = answer.json().await?;
    let says_why =
        problem["type"] == "/problems/database-restored" && problem["detail"].as_str().is_some_and(|why| why.len() > 40);
    ensure!(status == StatusCode::SERVICE_UNAVAILABLE && retry && says_why, "{status}, retry-after: {retry}, {problem:#}");
    Ok(())
}

async fn orders(world: Arc<World>) -> anyhow::Result<()> {
    come_to_rest(&placed(&world, 6).await?).await?;
    let before = placed(&world, 6).await?;
    backed_up(&world, Service::Order).await?;
    let a_while = a_while(&world).await?;
    let (basket, key) = (Basket::of("TEA-001", 2), Uuid::now_v7().to_string());
    let accepted: Value = world.customer.post(&basket.0, &key).await?.json().await?;
    let kept = world.customer.placed(accepted["id"].as_str().context("an order has an id")?);
    kept.comes_to_rest().await?.must_be("confirmed", "")?;
    let under_way = placed(&world, 6).await?;
    for order in &under_way {
        // So its events are in a stream: what was accepted and said to nobody is lost.
        order.shows("told", |screen| screen.timeline().len() > 1).await?;
    }
    restored(&world, Service::Order).await?;
    has_stopped(&world, Service::Order).await?;
    is_turned_away(world.customer.post(&basket.0, &key).await?).await?;
    is_put_right(&world, Service::Order).await?;

    let answer = world.customer.post(&basket.0, &key).await?;
    let replayed = answer.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
    let again: Value = answer.json().await?;
    ensure!(replayed && again["id"] == accepted["id"], "the same key made another order: {again:#}");
    kept.comes_to_rest().await?.must_be("confirmed", "")?;
    a_while.is_as_it_was(&world).await?;
    for orders in [before, under_way, placed(&world, 6).await?] {
        come_to_rest(&orders).await?;
    }
    Ok(())
}

/// The stream has lost what an order had begun with, so only others know of it, and what came of it.
async fn order_named(world: &World) -> anyhow::Result<()> {
    let broker = world.broker().await?;
    come_to_rest(&placed(world, 3).await?).await?;
    backed_up(world, Service::Order).await?;
    let (lost, kept) = (world.customer.places(&Basket::of("TEA-001", 1)).await?, placed(world, 3).await?);
    lost.comes_to_rest().await?.must_be("confirmed", "")?;
    let ends = come_to_rest(&kept).await?;
    restored(world, Service::Order).await?;
    has_stopped(world, Service::Order).await?;
    let first = *broker.about("ORDER", &lost.id).await?.first().context("the order is in the stream")?;
    broker.delete_message("ORDER", first).await?;

    let settings = Settings { service: None, dry_run: false, yes: true, patience: Duration::from_secs(5) };
    let reports = reconcile::run(&settings, &world.addresses, &Talk::silent()).await?;
    let report = reports.iter().find(|report| report.service == "order").context("order is among them")?;
    let named: Vec<&str> = report.named().into_keys().collect();
    ensure!(report.open && !report.is_well() && named == [lost.id.as_str()], "named are {named:?}: {}", in_words(report));
    let shown = ensemble::report::reconciled(&reports, false)?;
    let says = |words: &str| shown.contains(words);
    ensure!(says(&lost.id) && says("order.confirmed.v1") && says("not said again"), "{shown}");
    ensure!(come_to_rest(&kept).await? == ends, "the others are not as they were");
    Ok(())
}

/// Everybody's database at once: the streams alone, and the partners, know what has happened since.
async fn whole_server(world: Arc<World>) -> anyhow::Result<()> {
    come_to_rest(&placed(&world, 6).await?).await?;
    let (data, copy) = {
        let mut stack = world.stack.lock().await;
        stack.stop(Part::Postgres).await?;
        let data = stack.data(Part::Postgres);
        let copy = data.with_file_name("postgres-some-time-ago");
        copied(&data, &copy)?;
        stack.start_part(Part::Postgres).await?;
        (data, copy)
    };
    let orders = placed(&world, 12).await?;
    let ends = come_to_rest(&orders).await?;
    let under_way = placed(&world, 6).await?;
    for order in &under_way {
        order.shows("told", |screen| screen.timeline().len() > 1).await?;
    }
    {
        let mut stack = world.stack.lock().await;
        stack.kill(Part::Postgres).await?;
        std::fs::remove_dir_all(&data)?;
        copied(&copy, &data)?;
        stack.start_part(Part::Postgres).await?;
    }
    for service in Service::ALL {
        has_stopped(&world, service).await?;
    }
    for report in reconciled(&world, None, false).await? {
        ensure!(report.is_well(), "{} is not put right: {}", report.service, in_words(&report));
    }
    let again = come_to_rest(&orders).await?;
    ensure!(again == ends, "orders ended otherwise than before: {again:?}, {ends:?}");
    come_to_rest(&under_way).await?;
    come_to_rest(&placed(&world, 6).await?).await.map(drop)
}

fn copied(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().context("there is no cp")?;
    ensure!(copied.success(), "the data directory is not copied");
    Ok(())
}
