//! The crash-point matrix: every failpoint × crash, error, delay, at the four services at once, under thirty orders again and
//! again that take every path. Then whatever died is there again, every order comes to rest, and the audit finds nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use async_nats::HeaderMap;
use chassis::failpoint::{Boundary, Failpoint};
use ensemble::{Options, Service};
use futures_util::future::{join_all, try_join, try_join_all};
use libtest_mimic::Trial;
use reqwest::{Response, StatusCode};
use serde_json::json;
use tests::{
    Basket, Placed, Screen,
    crash_points::{self, Restarted},
    eventually, eventually_paced,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use crate::{
    dead_letters::{dead_letter, discard, forge, headers},
    world::{World, alone},
};

/// What is in hand of who dies comes back after half a minute, and a chain of four may be held up at each of them.
const PATIENCE: Duration = Duration::from_secs(480);
/// Between two times thirty orders, so that there is always something to do and never too much.
const AGAIN: Duration = Duration::from_secs(4);
/// So many orders at once, at most: all that are under way are looked at, by a service that is busy dying. Orders, not rounds of
/// them: one that waits for long does not keep the services from what they are to die of.
const UNDER_WAY_MAX: usize = 4 * THIRTY;
const THIRTY: usize = 30;
/// Between two looks at one order, at least: a hundred are looked at together, by a service that is busy dying, and each look asks
/// all four.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) fn trials() -> Vec<Trial> {
    vec![alone("crash_points::every_failpoint_and_every_mishap_on_thirty_orders_that_take_every_path", options, walk)]
}

/// Orders that stand still while somebody is down are given up, which is a path, too.
fn options() -> Options {
    let options = Options::default().set(Service::Order, "EXPIRES_AFTER", "20s");
    [("PARK_DEADLINE", "3s"), ("STREAM_DEDUP_WINDOW", "100ms"), ("RUST_LOG", "warn")]
        .into_iter()
        .fold(options, |options, (name, value)| options.set_all(name, value))
}

/// Both sides of each boundary that a service has.
fn failpoints(service: Service) -> Vec<Failpoint> {
    let has = |boundary: &Boundary| match boundary {
        Boundary::Call | Boundary::Answer => matches!(service, Service::Payment | Service::Shipping),
        // The warehouse's come too seldom: only for an order that got through all four while all four were dying.
        Boundary::Command => service == Service::Order,
        Boundary::Claim | Boundary::Commit | Boundary::Publish | Boundary::StrikeOff => true,
        Boundary::Ack | Boundary::Park | Boundary::Bury | Boundary::Lease => true,
    };
    Boundary::ALL.into_iter().filter(has).flat_map(|boundary| [boundary.before(), boundary.after()]).collect()
}

/// A service of the stack, started again and again.
struct Victim {
    world: Arc<World>,
    service: Service,
}

impl Restarted for Victim {
    async fn start(&mut self, failpoints: &str) -> anyhow::Result<()> {
        let mut stack = self.world.stack.lock().await;
        if !stack.has_ended(self.service) {
            stack.kill(self.service).await?;
        }
        stack.set(self.service, "FAILPOINTS", failpoints);
        stack.launch(self.service).await
    }

    async fn has_ended(&self) -> bool {
        self.world.stack.lock().await.has_ended(self.service)
    }

    async fn log(&self) -> anyhow::Result<String> {
        self.world.stack.lock().await.logs(self.service).await
    }
}

async fn walk(world: Arc<World>) -> anyhow::Result<()> {
    world.customer.stocks("WALK-0", 0).await?;
    let (walked, walking) = watch::channel(false);
    let walks = async {
        let each = Service::ALL.map(|service| {
            let mut victim = Victim { world: world.clone(), service };
            async move { crash_points::walk(&mut victim, &failpoints(service)).await }
        });
        let ended = try_join_all(each).await;
        walked.send_replace(true);
        ended
    };
    let places = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let (_, mut rounds) = try_join(walks, until(&world, &places, walking)).await?;
    // Once more where nothing is in the way, so that each path is taken to its own end.
    rounds.push(Round::begin(&world, thirty_of(&places).await?).await?);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for round in rounds {
        for screen in round.orders.await?? {
            *ends.entry(format!("{} {}", screen.status(), screen.reason())).or_default() += 1;
        }
        for (service, letter) in round.letters {
            let operator = world.operator(service);
            dead_letter(&operator, letter).await?;
            discard(&operator, &letter.to_string()).await?;
        }
    }
    eprintln!("the crash points were walked over {} orders: {ends:?}", ends.values().sum::<usize>());
    let paths = ["confirmed ", "dispatched ", "cancelled customer_request", "rejected out_of_stock", "rejected payment_declined"];
    let paths = paths.into_iter().chain(["rejected shipment_refused", "rejected capture_failed", "rejected expired"]);
    let missing: Vec<&str> = paths.filter(|path| !ends.contains_key(*path)).collect();
    ensure!(missing.is_empty(), "nobody went {missing:?}: {ends:?}");
    Ok(())
}

/// Thirty orders on their way, and what nobody can take.
struct Round {
    orders: tokio::task::JoinHandle<anyhow::Result<Vec<Screen>>>,
    letters: Vec<(Service, Uuid)>,
}

impl Round {
    /// `places` are as many as there are orders, and each gives its own back as it ends.
    async fn begin(world: &Arc<World>, mut places: OwnedSemaphorePermit) -> anyhow::Result<Self> {
        let (world_of_these, orders) = (world.clone(), thirty(world).await?);
        let orders = async move {
            let going = orders.iter().map(|(basket, then)| {
                let (place, world) = (places.split(1), &world_of_these);
                async move {
                    let _place = place.context("a place for each")?;
                    goes(world, basket, *then).await
                }
            });
            join_all(going).await.into_iter().collect()
        };
        Ok(Self { orders: tokio::spawn(orders), letters: nobody_can_take(world).await? })
    }
}

async fn thirty_of(places: &Arc<Semaphore>) -> anyhow::Result<OwnedSemaphorePermit> {
    Ok(places.clone().acquire_many_owned(THIRTY.try_into()?).await?)
}

/// Round after round until all is walked.
async fn until(world: &Arc<World>, places: &Arc<Semaphore>, mut walked: watch::Receiver<bool>) -> anyhow::Result<Vec<Round>> {
    let (mut rounds, mut again) = (Vec::<Round>::new(), interval(AGAIN));
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*walked.borrow() {
        tokio::select! {
            changed = walked.changed() => changed?,
            places = async { again.tick().await; thirty_of(places).await } => rounds.push(Round::begin(world, places?).await?),
        }
    }
    Ok(rounds)
}

/// What the customer or the warehouse does then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    CancelAtOnce,
    CancelOnceConfirmed,
    Dispatch,
}

/// The fixed set.
async fn thirty(world: &World) -> anyhow::Result<Vec<(Basket, Then)>> {
    let (fails, slow) = (world.tag(), world.tag());
    world.gateway.shall(json!("capture_fails"), json!({"payment_method_tag": fails}), None).await?;
    // So many tries last longer than an order may stand still.
    world.gateway.shall(json!("error_5xx"), json!({"operation": "authorize", "payment_method_tag": slow}), Some(7)).await?;
    let tea = || Basket::of("TEA-001", 1);
    let set = [
        (7, tea(), Then::Nothing),
        (3, Basket::of("WALK-0", 1), Then::Nothing),
        (3, tea().paid_with("pm_card_chargeDeclined"), Then::Nothing),
        (3, tea().to_country("AQ"), Then::Nothing),
        (3, tea().paid_with(&format!("pm_card_visa__{fails}")), Then::Nothing),
        (1, tea().paid_with(&format!("pm_card_visa__{slow}")), Then::Nothing),
        (3, tea(), Then::CancelAtOnce),
        (3, tea(), Then::CancelOnceConfirmed),
        (4, tea(), Then::Dispatch),
    ];
    let orders: Vec<_> = set.iter().flat_map(|(times, basket, then)| vec![(basket.clone(), *then); *times]).collect();
    ensure!(orders.len() == THIRTY, "{} orders", orders.len());
    Ok(orders)
}

/// One order, until nothing more happens to it.
async fn goes(world: &World, basket: &Basket, then: Then) -> anyhow::Result<Screen> {
    let placed = world.customer.places(basket).await?;
    if then == Then::CancelAtOnce {
        answered(|| placed.cancel()).await?;
        return shows(&placed, "an end", |screen| screen.rests() && screen.status() != "confirmed").await;
    }
    let screen = shows(&placed, "rest", Screen::rests).await?;
    match then {
        Then::CancelOnceConfirmed if screen.status() == "confirmed" => {
            answered(|| placed.cancel()).await?;
            shows(&placed, "its cancellation", |screen| screen.status() == "cancelled").await
        }
        Then::Dispatch if screen.status() == "confirmed" => {
            // Shipping may not have heard yet that it is paid.
            eventually("the dispatch", PATIENCE, || async {
                let status = placed.dispatch().await?.status();
                ensure!(status.is_success(), "{status}");
                Ok::<_, anyhow::Error>(())
            })
            .await?;
            shows(&placed, "its dispatch", |screen| screen.status() == "dispatched").await
        }
        Then::Nothing | Then::CancelAtOnce | Then::CancelOnceConfirmed | Then::Dispatch => Ok(screen),
    }
}

async fn shows(placed: &Placed, what: &str, so: impl Fn(&Screen) -> bool) -> anyhow::Result<Screen> {
    let so = &so;
    eventually_paced(what, PATIENCE, LOOK, || async move {
        let screen = placed.screen().await?;
        ensure!(so(&screen), "{:#}", screen.0);
        Ok::<_, anyhow::Error>(screen)
    })
    .await
}

/// Whatever the answer is, once there is one.
async fn answered<F: Future<Output = anyhow::Result<Response>>>(ask: impl Fn() -> F) -> anyhow::Result<StatusCode> {
    eventually("an answer", PATIENCE, || async {
        let status = ask().await?.status();
        ensure!(!status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS, "{status}");
        Ok::<_, anyhow::Error>(status)
    })
    .await
}

/// For each service something in a version that never comes, and something that nobody can read.
async fn nobody_can_take(world: &World) -> anyhow::Result<Vec<(Service, Uuid)>> {
    let heard: [(&str, &[Service]); 3] = [
        ("order.placed", &[Service::Inventory]),
        ("stock.reserved", &[Service::Payment, Service::Order]),
        ("order.cancellation_requested", &[Service::Shipping]),
    ];
    let mut letters = Vec::new();
    for (event, readers) in heard {
        for (version, body) in [("v9", b"{}".as_slice()), ("v1", b"{")] {
            let (id, nobody) = (Uuid::now_v7(), Uuid::now_v7().to_string());
            let headers: HeaderMap = headers(&format!("{event}.{version}"), id, &nobody);
            forge(world, &format!("ensemble.{event}"), headers, body).await?;
            letters.extend(readers.iter().map(|reader| (*reader, id)));
        }
    }
    Ok(letters)
}
