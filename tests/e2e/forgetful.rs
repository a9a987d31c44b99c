//! The broker forgets: rows 12 to 15 of the faults, on a stack of their own, one after the other. In each, orders under way
//! finish, and afterwards every stream holds again what was said; closing the stack audits all of it.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use async_nats::jetstream::{consumer, stream::Config};
use ensemble::{Options, Part, Service, stack::Disk};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use sqlx::{Connection as _, PgConnection};
use tests::{Basket, Broker, Placed, eventually};
use uuid::Uuid;

use crate::world::{Shared, Trials, World};

const PATIENCE: Duration = Duration::from_secs(60);

/// Nobody compares streams, or looks at durables, until [`FREE`].
const HOLD: &str =
    "update chassis.leases set holder = 'nobody', token = token + 1, expires = clock_timestamp() + interval '1 hour'
    where job = 'reconcile'";
const FREE: &str = "update chassis.leases set expires = clock_timestamp() where job = 'reconcile'";

/// Whoever holds it has the broker to himself: these tests share a stack, and run in whatever order and number.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Nothing is to end because it waited for the broker.
pub(crate) fn options() -> Options {
    let patient = Options::default().set(Service::Order, "EXPIRES_AFTER", "10m").set_all("RECONCILE_INTERVAL", "500ms");
    // Small enough to be filled.
    patient.set(Service::Order, "STREAM_BYTES_MAX", "8388608").set(Service::Order, "BACKLOG_MAX", "100")
}

pub(crate) fn trials(shared: &Arc<Shared>) -> Vec<Trial> {
    let mut trials = Trials::on(shared, "forgetful");
    trials.add("row_12_a_half_open_link_is_noticed_within_15_s", half_open);
    trials.add("row_13_the_whole_disk_is_lost", |world| in_turn(world, disk_lost));
    trials.add("row_13_the_tail_is_lost", |world| in_turn(world, tail_lost));
    trials.add("row_13_the_tail_is_lost_and_refilled_by_others", |world| in_turn(world, tail_refilled));
    trials.add("row_13_messages_are_lost_in_the_middle", |world| in_turn(world, middle_lost));
    trials.add("row_13_a_loss_that_no_look_shows_is_found_by_the_slow_pass", |world| in_turn(world, slow_pass));
    trials.add("row_14_streams_are_deleted", |world| in_turn(world, streams_deleted));
    trials.add("row_14_streams_are_purged", |world| in_turn(world, streams_purged));
    trials.add("row_14_a_stream_is_made_again_by_hand", |world| in_turn(world, stream_by_hand));
    trials.add("row_14_durables_are_deleted_and_made_to_skip", |world| in_turn(world, durables_by_hand));
    trials.add("row_14_durables_stand_ahead_of_their_streams", |world| in_turn(world, durables_ahead));
    trials.add("row_14_a_whole_stream_is_replayed", |world| in_turn(world, replayed));
    trials.add("row_15_a_full_stream_turns_orders_away_until_there_is_room", |world| in_turn(world, full));
    trials.add("row_15_called_a_duplicate_and_never_stored", |world| in_turn(world, never_stored));
    trials.all()
}

async fn in_turn<F>(world: Arc<World>, test: impl FnOnce(Arc<World>, Broker) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let _turn = TURN.lock().await;
    let broker = world.broker().await?;
    test(world.clone(), broker).await?;
    everything_is_held(&world).await
}

/// Orders, eight at a time.
async fn placed(world: &World, count: usize) -> anyhow::Result<Vec<Placed>> {
    let basket = Basket::of("TEA-001", 1);
    let orders = stream::iter(0..count).map(|_| world.customer.places(&basket));
    orders.buffer_unordered(8).try_collect().await
}

async fn come_to_rest(orders: Vec<Placed>) -> anyhow::Result<()> {
    let rests = stream::iter(&orders).map(Placed::comes_to_rest).buffer_unordered(8);
    for screen in rests.try_collect::<Vec<_>>().await? {
        screen.must_be("confirmed", "")?;
    }
    Ok(())
}

/// Some orders are under way when it happens, others are placed meanwhile; all come to rest.
async fn under_load(world: &World, happens: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let before = placed(world, 8).await?;
    let (meanwhile, ()) = tokio::try_join!(placed(world, 16), happens)?;
    come_to_rest(before).await?;
    come_to_rest(meanwhile).await
}

async fn database(world: &World, service: Service) -> anyhow::Result<PgConnection> {
    PgConnection::connect(&world.addresses.database_url(service)).await.context("the database does not answer")
}

/// Each stream holds what its owner's outbox does, and nothing is pending.
async fn everything_is_held(world: &World) -> anyhow::Result<()> {
    let broker = &world.broker().await?;
    for service in Service::ALL {
        eventually(&format!("the stream of {service} to hold all that was said"), PATIENCE, || async move {
            let mut db = database(world, service).await?;
            let said: Vec<Uuid> = sqlx::query_scalar("select id from chassis.outbox").fetch_all(&mut db).await?;
            let pending: i64 = sqlx::query_scalar("select count(*) from chassis.outbox_pending").fetch_one(&mut db).await?;
            db.close().await?;
            let held = broker.events(&of(service)).await?;
            let gone: Vec<Uuid> = said.into_iter().filter(|id| !held.contains(id)).collect();
            ensure!(gone.is_empty() && pending == 0, "{pending} are pending, and it does not hold {} of them", gone.len());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The stream of a service.
fn of(service: Service) -> String {
    service.name().to_uppercase()
}

/// kill -9, whatever is done to its disk meanwhile, and a start.
async fn broker_lives_anew(world: &World, meanwhile: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut stack = world.stack.lock().await;
    stack.kill(Part::Nats).await?;
    meanwhile.await?;
    stack.start_part(Part::Nats).await
}

async fn copied(world: &World) -> anyhow::Result<(Disk, Disk)> {
    let stack = world.stack.lock().await;
    Ok((Disk::of(&stack), Disk::copied(&stack).await?))
}

async fn disk_lost(world: Arc<World>, _: Broker) -> anyhow::Result<()> {
    let disk = Disk::of(&*world.stack.lock().await);
    under_load(&world, broker_lives_anew(&world, disk.is_lost())).await
}

async fn tail_lost(world: Arc<World>, _: Broker) -> anyhow::Result<()> {
    let (disk, copy) = copied(&world).await?;
    come_to_rest(placed(&world, 8).await?).await?;
    under_load(&world, broker_lives_anew(&world, disk.is_again(&copy))).await
}

/// While the services stand still the stream grows past its old end, so its length tells nobody anything.
async fn tail_refilled(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    let (disk, copy) = copied(&world).await?;
    let orders = placed(&world, 16).await?;
    let mut ends = Vec::new();
    {
        let mut stack = world.stack.lock().await;
        for service in Service::ALL {
            stack.pause(service).await?;
        }
        for service in Service::ALL {
            ends.push((service, broker.stream(&of(service)).await?.state.last_sequence));
        }
        stack.kill(Part::Nats).await?;
        disk.is_again(&copy).await?;
        stack.start_part(Part::Nats).await?;
        let others = Broker::at(&stack.nats_url()).await?;
        for (service, end) in ends {
            let stream = of(service);
            while others.stream(&stream).await?.state.last_sequence < end + 8 {
                others.repeat(&stream, 1..=64).await?;
            }
        }
        for service in Service::ALL {
            stack.resume(service).await?;
        }
    }
    come_to_rest(orders).await
}

/// A reader that was away finds nothing where its messages were.
async fn middle_lost(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    world.stack.lock().await.stop(Service::Shipping).await?;
    let before: HashSet<u64> = broker.held("PAYMENT").await?.into_iter().map(|(sequence, _)| sequence).collect();
    let orders = placed(&world, 8).await?;
    let held = eventually("payment to have authorized", PATIENCE, || async {
        let held = broker.held("PAYMENT").await?;
        ensure!(held.len() >= before.len() + 8, "{} messages", held.len());
        Ok(held)
    })
    .await?;
    let new = held.into_iter().map(|(sequence, _)| sequence).filter(|sequence| !before.contains(sequence));
    for sequence in new.step_by(2) {
        broker.delete_message("PAYMENT", sequence).await?;
    }
    world.stack.lock().await.start_part(Service::Shipping).await?;
    come_to_rest(orders).await
}

/// The owner's own memory is made to expect the hole, so that only reading everything can find what is gone.
async fn slow_pass(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    come_to_rest(placed(&world, 4).await?).await?;
    everything_is_held(&world).await?;
    let mut db = database(&world, Service::Payment).await?;
    let stack = world.stack.lock().await;
    stack.pause(Service::Payment).await?;
    let (sequence, event) = *broker.held("PAYMENT").await?.iter().rev().nth(2).context("payment has said something")?;
    broker.delete_message("PAYMENT", sequence).await?;
    sqlx::query("update chassis.footings set gaps = 1000000000").execute(&mut db).await?;
    // The slow pass leaves what is young to the next.
    let aged = "update chassis.outbox set said_at = said_at - interval '5 minutes' where id = $1";
    sqlx::query(aged).bind(event).execute(&mut db).await?;
    stack.resume(Service::Payment).await?;
    Ok(())
}

async fn streams_deleted(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    let delete = async {
        for service in Service::ALL {
            broker.delete_stream(&of(service)).await?;
        }
        Ok(())
    };
    under_load(&world, delete).await
}

async fn streams_purged(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    let purge = async {
        for service in Service::ALL {
            broker.purge(&of(service)).await?;
        }
        Ok(())
    };
    under_load(&world, purge).await
}

/// Somebody deletes a stream and makes it again, otherwise than declared.
async fn stream_by_hand(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    let declared = broker.stream("PAYMENT").await?.config;
    let by_hand = Config { max_age: Duration::from_secs(3600), max_messages: 1_000_000, ..declared.clone() };
    let made = by_hand.clone();
    under_load(&world, async {
        broker.delete_stream("PAYMENT").await?;
        // Its owner may have been quicker.
        if broker.make_stream(made.clone()).await.is_err() {
            broker.change_stream(made).await?;
        }
        Ok(())
    })
    .await?;
    eventually("the stream to be as declared", PATIENCE, || async {
        let is = broker.stream("PAYMENT").await?.config;
        let same = is.max_age == declared.max_age && is.max_messages == declared.max_messages;
        ensure!(same, "{is:?}");
        Ok(())
    })
    .await
}

/// Deleted, and made again to begin with what comes next: what was under way then is skipped.
async fn durables_by_hand(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    under_load(&world, async {
        for service in Service::ALL {
            for durable in broker.durables(&of(service)).await? {
                broker.delete_durable(&of(service), &durable).await?;
            }
        }
        Ok(())
    })
    .await?;
    made_to_skip(&world, &broker, |config| {
        config.ack_wait = Duration::from_secs(5);
        config.memory_storage = false;
    })
    .await?;
    made_to_skip(&world, &broker, |_| {}).await
}

/// By somebody who made it `otherwise`, or just as it was.
async fn made_to_skip(world: &World, broker: &Broker, otherwise: impl FnOnce(&mut consumer::Config)) -> anyhow::Result<()> {
    let (stream, durable) = ("INVENTORY", "payment-stock_reserved");
    world.stack.lock().await.stop(Service::Payment).await?;
    let orders = placed(world, 4).await?;
    let waits = eventually("inventory to have reserved", PATIENCE, || async {
        let is = broker.durable(stream, durable).await?;
        ensure!(is.num_pending >= 4, "{} wait", is.num_pending);
        Ok(is)
    });
    let mut config = waits.await?.config;
    otherwise(&mut config);
    broker.delete_durable(stream, durable).await?;
    broker.make_durable_from_now_on(stream, config).await?;
    world.stack.lock().await.start_part(Service::Payment).await?;
    come_to_rest(orders).await?;
    let is = broker.durable(stream, durable).await?;
    let as_declared = is.config.ack_wait == Duration::from_secs(30) && is.config.memory_storage;
    ensure!(as_declared, "the durable is not as declared: {:?}", is.config);
    Ok(())
}

/// Until [`FREE`], neither at the stream nor at the durables: who led has noticed that he does not.
async fn nobody_looks(world: &World, service: Service) -> anyhow::Result<()> {
    sqlx::query(HOLD).execute(&mut database(world, service).await?).await?;
    eventually(&format!("{service} to lead no more"), PATIENCE, || async {
        let leads = world.operator(service).metric("ensemble_lease_held{job=\"reconcile\"}").await?;
        ensure!(leads == 0.0, "it leads");
        Ok(())
    })
    .await
}

/// Durables that an earlier version kept on the broker's disk, beside streams that are older: their state is as it was last
/// written. Nobody looks at them before.
async fn durables_ahead(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    /// Than what is ordered meanwhile: the streams are not to catch up.
    const MORE: usize = 64;
    for service in Service::ALL {
        nobody_looks(&world, service).await?;
    }
    for service in Service::ALL {
        for durable in broker.durables(&of(service)).await? {
            // Its reader, who finds it gone, may be quicker.
            let (broker, stream, durable) = (&broker, &of(service), &durable);
            eventually("the durable to be on disk", PATIENCE, || broker.keep_durable_on_disk(stream, durable)).await?;
        }
    }
    let (disk, copy) = copied(&world).await?;
    come_to_rest(placed(&world, MORE).await?).await?;
    let messages = async {
        for service in Service::ALL {
            let stream = Path::new("jetstream/$G/streams").join(of(service)).join("msgs");
            disk.has_again(&copy, &stream).await?;
        }
        Ok(())
    };
    under_load(&world, async {
        broker_lives_anew(&world, messages).await?;
        let (stream, durable) = ("INVENTORY", "payment-stock_reserved");
        // A server of 2.10 has it stand ahead now; later ones bring the two together, and skip what was lost.
        let is = eventually("the broker to be back", PATIENCE, || broker.durable(stream, durable)).await?;
        ensure!(is.delivered.consumer_sequence >= MORE as u64, "{durable} does not know what it had delivered: {is:?}");
        for service in Service::ALL {
            sqlx::query(FREE).execute(&mut database(&world, service).await?).await?;
        }
        Ok(())
    })
    .await
}

/// A reader has lost its place, and hears everything again.
async fn replayed(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    come_to_rest(placed(&world, 8).await?).await?;
    let mut db = database(&world, Service::Shipping).await?;
    let (stream, durable) = ("PAYMENT", "shipping-payment_authorized");
    let before = broker.durable(stream, durable).await?;
    under_load(&world, async {
        // Its own place alone: of the others it may still be found out what the broker lost just before.
        sqlx::query("delete from chassis.positions where durable = $1").bind(durable).execute(&mut db).await?;
        sqlx::query("delete from chassis.durables where name = $1").bind(durable).execute(&mut db).await?;
        broker.delete_durable(stream, durable).await
    })
    .await?;
    let after = broker.durable(stream, durable).await?;
    ensure!(after.created > before.created, "the durable was not made anew");
    let (again, first) = (after.delivered.consumer_sequence, before.delivered.consumer_sequence);
    ensure!(again >= first, "{again} were delivered by the new one, and {first} by the old one");
    Ok(())
}

/// Somebody else's messages leave no room for order's own.
async fn full(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    const JUNK: &str = "ensemble.order.junk";
    for bytes in [256 * 1024, 16 * 1024, 256] {
        while broker.fill(JUNK, bytes).await.is_ok() {}
    }
    let orders = placed(&world, 100).await?;
    eventually("orders to be turned away", PATIENCE, || async {
        let answer = world.customer.post(&Basket::of("TEA-001", 1).0, &Uuid::now_v7().to_string()).await?;
        let (status, again) = (answer.status(), answer.headers().contains_key("retry-after"));
        ensure!(status == 503 && again, "{status}, retry-after: {again}");
        Ok(())
    })
    .await?;
    broker.clear("ORDER", JUNK).await?;
    come_to_rest(orders).await
}

/// The broker remembers the id of what it no longer holds. Nobody reconciles meanwhile, so only the publisher can find out.
async fn never_stored(world: Arc<World>, broker: Broker) -> anyhow::Result<()> {
    nobody_looks(&world, Service::Inventory).await?;
    let mut db = database(&world, Service::Inventory).await?;
    world.stack.lock().await.stop(Service::Payment).await?;
    let before = broker.events("INVENTORY").await?;
    let orders = placed(&world, 1).await?;
    let (sequence, event) = eventually("inventory to have reserved", PATIENCE, || async {
        let held = broker.held("INVENTORY").await?;
        held.into_iter().find(|(_, event)| !before.contains(event)).context("nothing new")
    })
    .await?;
    broker.delete_message("INVENTORY", sequence).await?;
    eventually("it to be struck off", PATIENCE, || async {
        let pending = "select exists (select from chassis.outbox_pending where id = $1)";
        let mut db = database(&world, Service::Inventory).await?;
        let pending: bool = sqlx::query_scalar(pending).bind(event).fetch_one(&mut db).await?;
        ensure!(!pending, "it is pending");
        Ok(())
    })
    .await?;
    sqlx::query("insert into chassis.outbox_pending (id) values ($1)").bind(event).execute(&mut db).await?;
    world.stack.lock().await.start_part(Service::Payment).await?;
    come_to_rest(orders).await?;
    let generation: i32 =
        sqlx::query_scalar("select n from chassis.outbox_generation where id = $1").bind(event).fetch_one(&mut db).await?;
    ensure!(generation == 1, "published again under generation {generation}");
    sqlx::query(FREE).execute(&mut db).await?;
    Ok(())
}

/// What goes to a reader's connection of before comes again only after the ack wait: nobody need wait for that.
async fn everybody_pulls(world: &World) -> anyhow::Result<()> {
    let broker = &world.broker().await?;
    eventually("everybody to pull", PATIENCE, || async move {
        for service in Service::ALL {
            for durable in broker.durables(&of(service)).await? {
                let waiting = broker.durable(&of(service), &durable).await?.num_waiting;
                ensure!(waiting > 0, "nobody pulls from {durable}");
            }
        }
        Ok(())
    })
    .await
}

/// The broker is there, holds its connections, and says nothing.
async fn half_open(world: Arc<World>) -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    world.stack.lock().await.pause(Part::Nats).await?;
    let noticed = world.stops_being_ready(Service::Order, Duration::from_secs(15)).await;
    world.stack.lock().await.resume(Part::Nats).await?;
    noticed?;
    everybody_pulls(&world).await?;
    come_to_rest(placed(&world, 4).await?).await
}
