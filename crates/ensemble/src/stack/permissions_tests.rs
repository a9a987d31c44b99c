//! The generated permissions, at a real server: a service can do all that its broker room does, and nothing else.

use std::{collections::HashMap, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event as ClientEvent,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, PullConsumer, pull},
        stream,
    },
};
use choreography::{SERVICES, nats};
use events::{Event, EventInfo, subject};
use futures_util::StreamExt as _;
use saga::Declaration;
use tokio::{process::Child, sync::mpsc, time::timeout};

use crate::stack::{command::command, ports::PortBlock, servers::ensure_nats};
use crate::talk::Talk;

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    _process: Child,
    _store: tempfile::TempDir,
    _ports: PortBlock,
    port: u16,
}

async fn server() -> Server {
    let (program, ports) = (ensure_nats(&Talk::silent()).await.expect("a nats-server"), PortBlock::take().expect("a port"));
    let store = tempfile::tempdir().expect("a directory");
    let config = store.path().join("nats.conf");
    let port = ports.ports.nats;
    let text = format!("listen: 127.0.0.1:{port}\njetstream {{}}\n{}", nats::authorization(&SERVICES));
    std::fs::write(&config, text).expect("it can be written");
    let mut command = command(program);
    command.arg("-c").arg(config).arg("-sd").arg(store.path()).kill_on_drop(true);
    for service in SERVICES {
        command.env(format!("{}_NATS_PASSWORD", events::stream(service.service)), password(service.service));
    }
    let process = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts");
    Server { _process: process, _store: store, _ports: ports, port }
}

fn password(service: &str) -> String {
    format!("secret-of-{service}")
}

/// A service's connection, and what the server refuses it.
struct User {
    client: Client,
    jetstream: jetstream::Context,
    refusals: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn user(&self, service: &str) -> User {
        let (send, refusals) = mpsc::unbounded_channel();
        let client = ConnectOptions::with_user_and_password(service.to_owned(), password(service))
            .custom_inbox_prefix(events::inbox(service))
            .retry_on_initial_connect()
            .event_callback(move |event| {
                if let ClientEvent::ServerError(error) = event {
                    let _ = send.send(error.to_string());
                }
                std::future::ready(())
            })
            .connect(format!("nats://127.0.0.1:{}", self.port))
            .await
            .expect("the address is right");
        timeout(PATIENCE, client.flush()).await.expect("it connects").expect("it connects");
        User { jetstream: jetstream::new(client.clone()), client, refusals }
    }
}

impl User {
    async fn is_refused(&mut self, subject: &str) {
        let refusal = timeout(PATIENCE, self.refusals.recv()).await;
        let refusal = refusal.unwrap_or_else(|_| panic!("{subject} is allowed")).expect("the connection lives");
        assert!(refusal.to_lowercase().contains("permissions violation") && refusal.contains(subject), "{subject}: {refusal}");
    }

    async fn may_not_publish(&mut self, subject: &str) {
        self.client.publish(subject.to_owned(), "{}".into()).await.expect("it is sent");
        self.is_refused(subject).await;
    }

    /// What `broker.rs` does to have a consumer.
    async fn consumer(&self, service: &str, event: &EventInfo) -> PullConsumer {
        let config = pull::Config {
            durable_name: Some(events::durable(service, event)),
            ack_policy: AckPolicy::Explicit,
            filter_subject: subject(event.name),
            ..pull::Config::default()
        };
        let made = self.jetstream.create_consumer_on_stream(config, events::stream(event.owner)).await;
        made.unwrap_or_else(|error| panic!("{service} may not consume {}: {error}", event.name))
    }
}

fn heard(service: &Declaration) -> impl Iterator<Item = &'static EventInfo> {
    Event::ALL.iter().copied().filter(|event| service.hears().any(|heard| heard == event.ty))
}

async fn has_its_stream(user: &User, service: &Declaration) {
    let nouns: std::collections::BTreeSet<_> = service.says().iter().filter_map(|event| event.name.split('.').next()).collect();
    let subjects = nouns.into_iter().map(|noun| format!("{}.>", subject(noun))).collect();
    let config = stream::Config { name: events::stream(service.service), subjects, ..stream::Config::default() };
    user.jetstream.create_or_update_stream(config.clone()).await.expect("it makes its stream");
    user.jetstream.create_or_update_stream(config).await.expect("it updates its stream");
    for event in service.says() {
        let ack = user.jetstream.publish(subject(event.name), "{}".into()).await.expect("it is sent");
        ack.await.expect("it is stored");
    }
}

async fn takes_one(user: &User, service: &Declaration, event: &EventInfo) {
    let consumer = user.consumer(service.service, event).await;
    let mut messages = consumer.stream().messages().await.expect("it pulls");
    let message = timeout(PATIENCE, messages.next()).await.expect("one comes").expect("one comes").expect("one comes");
    assert_eq!(message.subject.as_str(), subject(event.name));
    message.ack_with(AckKind::Progress).await.expect("it is sent");
    message.double_ack().await.expect("the acknowledgement is allowed");
    assert_eq!(consumer.get_info().await.expect("it may look").num_ack_pending, 0);
}

#[tokio::test]
async fn the_generated_permissions_let_a_service_do_its_work_and_nothing_else() {
    let server = server().await;
    let mut users = HashMap::new();
    for service in &SERVICES {
        let user = server.user(service.service).await;
        has_its_stream(&user, service).await;
        users.insert(service.service, user);
    }
    for service in &SERVICES {
        for event in heard(service) {
            takes_one(&users[service.service], service, event).await;
        }
    }
    for (name, user) in &mut users {
        assert!(user.refusals.try_recv().is_err(), "{name} was refused something that it needs");
    }

    let payment = users.get_mut("payment").expect("it is there");
    for subject in [
        "ensemble.order.confirmed",
        "ensemble.payments.captured",
        "$JS.API.STREAM.DELETE.PAYMENT",
        "$JS.API.STREAM.PURGE.PAYMENT",
        "$JS.API.STREAM.UPDATE.ORDER",
        "$JS.API.STREAM.MSG.GET.ORDER",
        "$JS.API.STREAM.NAMES",
        "$JS.API.CONSUMER.CREATE.ORDER.payment-order_placed.ensemble.order.placed",
        "$JS.API.CONSUMER.CREATE.INVENTORY.payment-stock_reserved.ensemble.stock.released",
        "$JS.API.CONSUMER.CREATE.INVENTORY.payment-stock_reserved",
        "$JS.API.CONSUMER.DURABLE.CREATE.INVENTORY.payment-stock_reserved",
        "$JS.API.CONSUMER.MSG.NEXT.INVENTORY.order-stock_reserved",
        "$JS.API.CONSUMER.MSG.NEXT.PAYMENT.order-payment_captured",
        "$JS.API.CONSUMER.DELETE.PAYMENT.order-payment_captured",
        "$JS.ACK.PAYMENT.order-payment_captured.1.1.1.1.0",
    ] {
        payment.may_not_publish(subject).await;
    }
    for subject in ["ensemble.>", "_INBOX.>", "_INBOX.order.>", "$JS.EVENT.>"] {
        let _listening = payment.client.subscribe(subject).await.expect("it is sent");
        payment.is_refused(subject).await;
    }
}

#[tokio::test]
async fn nobody_comes_in_without_a_password() {
    let server = server().await;
    let _up = server.user("order").await;
    let refused = ConnectOptions::new().connect(format!("nats://127.0.0.1:{}", server.port)).await;
    assert!(refused.is_err(), "the server lets anybody in");
}
