//! What cannot be taken, and what operators do about it. One stack, and one test at a time on it, for they pause consumers and
//! teach databases to refuse.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use async_nats::HeaderMap;
use ensemble::{
    Options, Service, Talk, audit,
    dead_letters::{self, Desk, State, Which},
};
use futures_util::future::join_all;
use libtest_mimic::Trial;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tests::{Basket, Operator, Placed, Screen, eventually};
use uuid::Uuid;

use crate::world::{Shared, Trials, World};

const SOON: Duration = Duration::from_secs(30);

/// What waits is given up sooner, and so are orders, but not so soon that a test cannot do something before.
pub(crate) fn options() -> Options {
    Options::default().set_all("STREAM_DEDUP_WINDOW", "100ms").set_all("PARK_DEADLINE", "3s").set(
        Service::Order,
        "EXPIRES_AFTER",
        "25s",
    )
}

pub(crate) fn trials(desk: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(desk, "dead_letters");
    trials.add("row_09_poison_is_a_dead_letter_and_its_neighbours_are_unharmed", poison);
    trials.add("row_10_too_early_waits_and_takes_effect_or_is_a_dead_letter", too_early);
    trials.add("row_11_a_replay_lets_the_order_go_on", replayed_in_time);
    trials.add("row_11_and_31_the_order_ends_all_the_same_and_late_replays_have_one_effect", replayed_late);
    trials.add("row_11_a_replay_of_all_stops_by_itself_when_it_is_in_vain", in_vain);
    trials.add("the_audit_names_what_was_decided_and_leaves_out_what_is_under_way", audited);
    trials.add("operators_see_what_waits_and_need_not_wait_for_a_backoff", retried_now);
    trials.add("a_paused_replica_takes_nothing_and_its_orders_need_attention", paused);
    trials.all()
}

/// Says something on the broker that no service has said.
pub(crate) async fn forge(world: &World, subject: &str, headers: HeaderMap, body: &'static [u8]) -> anyhow::Result<()> {
    world.broker().await?.publish(subject, headers, body).await
}

pub(crate) fn headers(ty: &str, id: Uuid, order: &str) -> HeaderMap {
    let (owner, id) = (ty.split('.').next().unwrap_or_default(), id.to_string());
    let mut headers = HeaderMap::new();
    let source = format!("/ensemble/{owner}");
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", &id),
        ("ce-source", &source),
        ("ce-type", ty),
        ("ce-time", "2026-01-01T00:00:00.000000Z"),
        ("ce-subject", order),
        ("ce-correlationid", order),
    ] {
        headers.insert(name, value);
    }
    headers
}

/// An id as events about that order have it: it begins with the order's birth.
pub(crate) fn about(placed: &Placed) -> anyhow::Result<Uuid> {
    let birth = placed.id.get(..13).context("an order's id is a UUID")?;
    Ok(format!("{birth}{}", &Uuid::now_v7().to_string()[13..]).parse()?)
}

/// That dead letter, once it is one.
pub(crate) async fn dead_letter(operator: &Operator, id: Uuid) -> anyhow::Result<Value> {
    let path = format!("dead-letters/{id}");
    eventually("the dead letter", SOON, || async { operator.sees(&path).await }).await
}

pub(crate) async fn discard(operator: &Operator, id: &str) -> anyhow::Result<()> {
    let (status, body) = operator.does(&format!("dead-letters/{id}/discard"), Some(json!({"note": "a test"}))).await?;
    ensure!(status == StatusCode::OK, "{status} {body:#}");
    Ok(())
}

async fn poison(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let (id, nobody) = (Uuid::now_v7(), Uuid::now_v7().to_string());
    forge(&world, "ensemble.payment.authorized", headers("payment.authorized.v1", id, &nobody), b"\xff\x00{").await?;
    forge(&world, "ensemble.payment.authorized", HeaderMap::new(), b"who am I").await?;
    let (placed, screen) = world.customer.orders(&Basket::of("TEA-001", 1)).await?;
    screen.must_be("confirmed", "")?;

    for service in [Service::Order, Service::Shipping] {
        let operator = world.operator(service);
        let shown = dead_letter(&operator, id).await?;
        ensure!(shown["code"] == "malformed_data" && shown["attempts"] == 1 && shown["state"] == "dead", "{shown:#}");
        ensure!(shown["body_base64"] == "/wB7" && shown["chain"].as_array().is_some_and(|chain| !chain.is_empty()), "{shown:#}");
        ensure!(shown["headers"].to_string().contains(&nobody), "the original headers are kept: {shown:#}");
        let listed = eventually("the headless one", SOON, || async {
            let listed = operator.sees("dead-letters").await?;
            let items = listed["items"].as_array().cloned().unwrap_or_default();
            items.into_iter().find(|item| item["code"] == "malformed_envelope").with_context(|| format!("{listed:#}"))
        });
        let headless = listed.await?["id"].as_str().unwrap_or_default().to_owned();

        let foretold = operator.does(&format!("dead-letters/{id}/dry-run"), None).await?.1;
        ensure!(foretold["outcome"] == "bury", "{foretold:#}");
        let (status, problem) = operator.does(&format!("dead-letters/{id}/replay"), None).await?;
        ensure!(status == StatusCode::CONFLICT, "{status} {problem:#}");
        ensure!(dead_letter(&operator, id).await?["attempts"] == 2, "the replay counts");

        let park = format!("dead-letters/{id}/park");
        ensure!(operator.does(&park, None).await?.0 == StatusCode::BAD_REQUEST, "parked without a note");
        ensure!(operator.does(&park, Some(json!({"note": "until Monday"}))).await?.0 == StatusCode::OK, "not parked");
        let aside = operator.sees("dead-letters?state=set_aside&type=payment.authorized.v1").await?;
        ensure!(aside["items"][0]["note"] == "until Monday", "{aside:#}");
        discard(&operator, &id.to_string()).await?;
        discard(&operator, &headless).await?;
        ensure!(
            operator.does(&park, Some(json!({"note": "too late"}))).await?.0 == StatusCode::CONFLICT,
            "parked once discarded"
        );
    }
    impossible(&world, &placed).await
}

/// It cannot be true beside what is known: the order is confirmed.
async fn impossible(world: &World, placed: &Placed) -> anyhow::Result<()> {
    let (id, operator) = (Uuid::now_v7(), world.operator(Service::Order));
    let body = json!({"order_id": placed.id, "missing": []}).to_string().into_bytes().leak();
    forge(world, "ensemble.stock.unavailable", headers("stock.unavailable.v1", id, &placed.id), body).await?;
    let shown = dead_letter(&operator, id).await?;
    ensure!(shown["code"] == "contradiction", "{shown:#}");
    let screen = placed.screen().await?;
    screen.must_be("confirmed", "")?;
    ensure!(says_so(&screen, "contradiction", "order"), "{:#}", screen.0);
    discard(&operator, &id.to_string()).await?;
    placed.shows("nothing of what was discarded", |screen| !says_so(screen, "contradiction", "order")).await.map(drop)
}

async fn too_early(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let operator = world.operator(Service::Order);
    let tag = world.tag();
    let scope = json!({"operation": "authorize", "payment_method_tag": tag});
    world.gateway.shall(json!({"latency": {"ms": 1500}}), scope, Some(1)).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    // Of an order that is not confirmed.
    let id = about(&placed)?;
    world.forged(&placed.id);
    let body = json!({"order_id": placed.id}).to_string().into_bytes().leak();
    forge(&world, "ensemble.stock.committed", headers("stock.committed.v1", id, &placed.id), body).await?;
    let parked_is = |wanted: usize| {
        let (operator, path) = (&operator, format!("sagas/{}", placed.id));
        async move {
            eventually("what is parked", SOON, || async {
                let saga = operator.sees(&path).await?;
                let parked = saga["parked"].as_array().map_or(0, Vec::len);
                ensure!(parked == wanted, "{saga:#}");
                Ok::<_, anyhow::Error>(saga)
            })
            .await
        }
    };
    let saga = parked_is(1).await?;
    ensure!(saga["parked"][0]["code"] == "too_early", "{saga:#}");
    placed.comes_to_rest().await?.must_be("confirmed", "")?;
    let saga = parked_is(0).await?;
    let claimed = saga["claims"].as_array().is_some_and(|claims| claims.iter().any(|claim| claim["id"] == id.to_string()));
    ensure!(claimed && saga["dead_letters"] == json!([]), "it took effect once it was time: {saga:#}");

    // A version that no replica ever learns.
    let id = about(&placed)?;
    forge(&world, "ensemble.stock.committed", headers("stock.committed.v9", id, &placed.id), b"{}").await?;
    let saga = parked_is(1).await?;
    ensure!(saga["parked"][0]["code"] == "unknown_type", "{saga:#}");
    let shown = dead_letter(&operator, id).await?;
    ensure!(shown["code"] == "unknown_type" && shown["attempts"].as_i64() > Some(1), "{shown:#}");
    parked_is(0).await?;
    discard(&operator, &id.to_string()).await
}

/// Shipping's database refuses to book for one order; what asked for it is a dead letter.
struct Refusal {
    placed: Placed,
    dead: Uuid,
    owner: PgConnection,
}

async fn refused_by_the_database(world: &World) -> anyhow::Result<Refusal> {
    let (payment, shipping) = (world.operator(Service::Payment), world.operator(Service::Shipping));
    payment.does("consumer/pause", None).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1)).await?;
    let mut owner = PgConnection::connect(&world.addresses.owner_database_url(Service::Shipping)).await?;
    let id = &placed.id;
    let refusing = format!("alter table shipments add constraint refused check (order_id <> '{id}' or state <> 'booking')");
    sqlx::query(AssertSqlSafe(refusing)).execute(&mut owner).await?;
    payment.does("consumer/resume", None).await?;
    let path = format!("sagas/{id}");
    let dead = eventually("the dead letter", SOON, || async {
        let saga = shipping.sees(&path).await.map_err(|error| error.to_string())?;
        let id = saga["dead_letters"][0]["id"].as_str().and_then(|id| id.parse().ok());
        id.ok_or_else(|| format!("{saga:#}"))
    });
    let dead = dead.await?;
    Ok(Refusal { placed, dead, owner })
}

impl Refusal {
    async fn ends(mut self) -> anyhow::Result<()> {
        sqlx::query("alter table shipments drop constraint refused").execute(&mut self.owner).await?;
        Ok(self.owner.close().await?)
    }
}

fn says_so(screen: &Screen, code: &str, service: &str) -> bool {
    let told = format!("A dead letter ({code}) at {service} waits for an operator.");
    screen.0["explanation"].as_str().is_some_and(|text| text.ends_with(&told))
}

async fn replayed_in_time(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let shipping = world.operator(Service::Shipping);
    let refusal = refused_by_the_database(&world).await?;
    let (placed, path) = (refusal.placed.clone(), format!("dead-letters/{}", refusal.dead));
    placed.shows("the dead letter in its explanation", |screen| says_so(screen, "poison", "shipping")).await?;
    let needing = shipping.sees("attention").await?;
    let found = needing["first"].as_array().is_some_and(|all| all.iter().any(|one| one["saga"] == placed.id));
    ensure!(found && needing["first"].to_string().contains("dead_letter"), "{needing:#}");
    eventually("the metric", SOON, || async {
        let count = shipping.metric("ensemble_sagas_needing_attention").await?;
        ensure!(count >= 1.0, "{count}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;

    let foretold = shipping.does(&format!("{path}/dry-run"), None).await?.1;
    ensure!(foretold["says"].as_str().is_some_and(|says| says.contains("refused")), "the constraint is foretold: {foretold:#}");
    refusal.ends().await?;
    let foretold = shipping.does(&format!("{path}/dry-run"), None).await?.1;
    ensure!(foretold["says"] == "would ask the partner to BookShipment", "{foretold:#}");
    let dead = shipping.sees(&path).await?;
    ensure!(dead["state"] == "dead", "a dry run changes nothing: {dead:#}");
    let (status, outcome) = shipping.does(&format!("{path}/replay"), None).await?;
    ensure!(status == StatusCode::OK && outcome["outcome"] == "taken", "{status} {outcome:#}");
    placed.comes_to_rest().await?.must_be("confirmed", "")
}

async fn replayed_late(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let shipping = world.operator(Service::Shipping);
    let refusal = refused_by_the_database(&world).await?;
    let (placed, path) = (refusal.placed.clone(), format!("dead-letters/{}", refusal.dead));
    placed.comes_to_rest().await?.must_be("rejected", "expired")?;
    placed.shows("the dead letter that is left", |screen| says_so(screen, "poison", "shipping")).await?;
    refusal.ends().await?;
    let foretold = shipping.does(&format!("{path}/dry-run"), None).await?.1;
    ensure!(foretold["says"] == "would do nothing: it was undone before it came", "{foretold:#}");
    let replay = format!("{path}/replay");
    let operators = join_all((0..8).map(|_| shipping.does(&replay, None))).await;
    let mut taken = 0;
    for answer in operators {
        let (status, outcome) = answer?;
        ensure!(status == StatusCode::OK, "{status} {outcome:#}");
        taken += usize::from(outcome["outcome"] == "taken");
    }
    ensure!(taken == 1, "{taken} of eight operators had an effect");
    ensure!(shipping.sees(&path).await?["state"] == "replayed", "it is settled");
    placed.screen().await?.must_be("rejected", "expired")?;
    let bookings = world.carrier.ledger_of(&placed.id).await?;
    ensure!(bookings.is_empty(), "{bookings:?}");
    Ok(())
}

async fn audited(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let refusal = refused_by_the_database(&world).await?;
    let (placed, dead) = (refusal.placed.clone(), refusal.dead);
    let found = audit::under_load(&world.addresses, Duration::ZERO).await?;
    let named = found.violations.iter().any(|found| found.order.is_some_and(|order| order.to_string() == placed.id));
    ensure!(named, "a dead letter does not add up:\n{found}");
    discard(&world.operator(Service::Shipping), &dead.to_string()).await?;

    let orders = async {
        for _ in 0..20 {
            world.customer.orders(&Basket::of("TEA-001", 1)).await?.1.must_be("confirmed", "")?;
        }
        Ok(())
    };
    // Longer than the order that nobody books has until it expires.
    let audited = audit::under_load(&world.addresses, Duration::from_secs(50));
    let ((), under_load) = tokio::try_join!(orders, audited)?;
    under_load.must_be_clean()?;

    placed.comes_to_rest().await?.must_be("rejected", "expired")?;
    refusal.ends().await?;
    let found = audit::at_rest(&world.addresses).await?;
    let settled = found.settled.iter().find(|letter| letter.id == dead).with_context(|| format!("{:?}", found.settled))?;
    let said = (settled.decision.as_str(), settled.note.as_deref(), settled.order.map(|order| order.to_string()));
    ensure!(said == ("discarded", Some("a test"), Some(placed.id)), "{said:?}");
    found.must_be_clean()
}

async fn in_vain(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let operator = world.operator(Service::Inventory);
    let ids = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    for id in ids {
        let nobody = Uuid::now_v7().to_string();
        forge(&world, "ensemble.order.placed", headers("order.placed.v1", id, &nobody), b"{").await?;
    }
    for id in ids {
        dead_letter(&operator, id).await?;
    }
    let talk = Talk::silent();
    let ask = async |desk: Desk| dead_letters::ask(&desk, &world.addresses, &talk).await;
    let foretold = ask(Desk::DryRun { which: Which::all() }).await?;
    ensure!(foretold.len() == ids.len() && foretold.iter().all(|one| one.answer["outcome"] == "bury"), "{foretold:?}");
    let stopped = ask(Desk::Replay { which: Which::all(), rate: 1000, stop_after: 2, yes: true }).await;
    ensure!(stopped.is_err_and(|error| error.to_string().contains("2 still cannot be taken")), "it went on");
    let mut attempts = Vec::new();
    for id in ids {
        attempts.extend(dead_letter(&operator, id).await?["attempts"].as_i64());
    }
    attempts.sort_unstable();
    ensure!(attempts == [1, 2, 2], "{attempts:?}");
    ask(Desk::Discard { which: Which::all(), note: Some("a test".into()), yes: true }).await?;
    let left = ask(Desk::List { which: Which::all(), state: State::Dead }).await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

async fn retried_now(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let payment = world.operator(Service::Payment);
    let tag = world.tag();
    let scope = json!({"operation": "authorize", "payment_method_tag": tag});
    world.gateway.shall(json!("error_5xx"), scope, None).await?;
    let placed = world.customer.places(&Basket::of("TEA-001", 1).paid_with(&format!("pm_card_visa__{tag}"))).await?;
    let path = format!("sagas/{}", placed.id);
    let intent = eventually("three tries", SOON, || async {
        let saga = payment.sees(&path).await?;
        let intent = saga["intents"][0].clone();
        ensure!(intent["tries"].as_i64() >= Some(3), "{saga:#}");
        Ok::<_, anyhow::Error>(intent)
    });
    let intent = intent.await?;
    let needing = payment.sees("attention").await?;
    ensure!(needing["first"].to_string().contains(&placed.id), "three tries need attention: {needing:#}");
    world.gateway.behaves().await?;
    let (status, _) = payment.does(&format!("intents/{}/retry-now", intent["id"].as_str().unwrap_or_default()), None).await?;
    ensure!(status == StatusCode::ACCEPTED, "{status}");
    placed.comes_to_rest().await?.must_be("confirmed", "")?;
    let (status, _) = payment.does(&format!("intents/{}/retry-now", Uuid::now_v7()), None).await?;
    ensure!(status == StatusCode::NOT_FOUND, "{status}");
    let said = payment.sees("outbox?since=2026-01-01T00:00:00Z&limit=200").await?;
    let ours = |one: &Value| one["saga"] == placed.id && one["published"] == true;
    ensure!(said["items"].as_array().is_some_and(|items| items.iter().any(ours)), "{said:#}");
    Ok(())
}

async fn paused(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = world.stack.lock().await;
    let (order, inventory) = (world.operator(Service::Order), world.operator(Service::Inventory));
    inventory.does("consumer/pause", None).await?;
    ensure!(inventory.sees("consumer").await? == json!({"paused": true}), "not paused");
    let placed = world.customer.places(&Basket::of("TEA-001", 1)).await?;
    eventually("the order that stands still", SOON, || async {
        let needing = order.sees("attention").await?;
        let ours = |one: &Value| one["saga"] == placed.id && one["why"] == "slow" && one["what"] == "next";
        ensure!(needing["first"].as_array().is_some_and(|all| all.iter().any(ours)), "{needing:#}");
        ensure!(order.metric("ensemble_sagas_in_flight").await? >= 1.0, "nothing is in flight");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    inventory.does("consumer/resume", None).await?;
    placed.comes_to_rest().await?.must_be("confirmed", "")?;
    let rested = order.metric(r#"ensemble_saga_duration_seconds_count{outcome="confirmed"}"#).await?;
    ensure!(rested >= 1.0, "nothing was confirmed");
    let needing = order.sees("attention").await?;
    ensure!(!needing.to_string().contains(&placed.id), "{needing:#}");
    let pending = eventually("nothing to publish", SOON, || async {
        let pending = order.sees("pending").await?;
        if pending["count"] == 0 { Ok(()) } else { Err(anyhow::anyhow!("{pending:#}")) }
    });
    pending.await
}
