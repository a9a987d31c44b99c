//! That a run of the production functions conforms, and that whatever is altered in its recording is named.

use std::{collections::HashSet, time::Duration};

use choreography::{
    conform::{Log, Recording, Said, Taken, Wrong, conform},
    partners::{Word, carrier_answers, gateway_answers},
};
use events::{Address, Currency, Event, EventId, Money, OrderId, Sku, Timestamp};
use saga::{
    Claim, Context, Inputs as _, Participant, Records as _,
    batch::{Arrived, Intent, Outgoing, Verdict, decide, wanted},
};
use serde_json::json;
use uuid::Uuid;

const ORDER: OrderId = OrderId(Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0001));

struct Seat<P: Participant> {
    records: P::Records,
    log: Log,
}

struct Clock(i64);

impl Clock {
    /// A minute later each time.
    fn now(&mut self) -> Timestamp {
        self.0 += 60_000_000;
        Timestamp::from_micros(self.0)
    }
}

impl<P: Participant> Seat<P> {
    fn new() -> Self {
        Self { records: P::Records::default(), log: Log::default() }
    }

    fn take(&mut self, id: Uuid, door: &str, input: P::Input, clock: &mut Clock) -> (Vec<Outgoing>, Vec<Intent<P>>) {
        let (ty, now) = (input.row().input.to_owned(), clock.now());
        let arrived = [Arrived { claim: Claim::Event(EventId(id)), input }];
        let mut rows = wanted::<P>(&arrived);
        rows.load(&self.records);
        let ctx = Context { now, patience: Duration::from_secs(60) };
        let Some(Verdict::Taken(taken)) = decide(&mut rows, &arrived, &HashSet::new(), &ctx).pop() else {
            panic!("{ty} is not taken");
        };
        rows.write(&mut self.records);
        let because = taken.because.map(|because| json!(because).as_str().unwrap_or_default().to_owned());
        self.log.taken.push(Taken { id, door: door.to_owned(), ty, because, taken_at: now });
        self.log.said.extend(taken.outbox.iter().map(|out| Said {
            id: out.id.0,
            ty: out.event.info().ty.to_owned(),
            body: serde_json::from_slice(&out.event.encode()).expect("an event is JSON"),
            causation: Some(out.causation),
        }));
        (taken.outbox, taken.intents)
    }

    fn hear(&mut self, out: &Outgoing, clock: &mut Clock) -> (Vec<Outgoing>, Vec<Intent<P>>) {
        match P::Input::hear(out.event.clone()) {
            Some(input) => self.take(out.id.0, "event", input, clock),
            None => Default::default(),
        }
    }
}

/// An order that goes through, or whose card is declined.
fn recorded(card: Word) -> Recording {
    let (mut order, mut inventory) = (Seat::<order::Order>::new(), Seat::<inventory::Inventory>::new());
    let (mut payment, mut shipping) = (Seat::<payment::Payment>::new(), Seat::<shipping::Shipping>::new());
    let (sku, price, mut clock) = (Sku("TEA-001".into()), Money::new(1250, Currency::EUR), Clock(1_795_543_200_000_000));
    order.records.catalog.put(sku.clone(), Some(order::Product { price, version: 1 }));
    let (name, on_hand, received) = ("Tea".to_owned(), 10, 10);
    let stock = inventory::Stock { name, price, on_hand, reserved: 0, sold: 0, received, version: 1 };
    inventory.records.stock.put(sku.clone(), Some(stock));
    let (mut said, _) = order.take(Uuid::from_u128(7), "command", order::Input::PlaceOrder(place(sku)), &mut clock);
    while !said.is_empty() {
        let mut next = Vec::new();
        for out in &said {
            next.extend(order.hear(out, &mut clock).0);
            next.extend(inventory.hear(out, &mut clock).0);
            let (words, calls) = payment.hear(out, &mut clock);
            next.extend(words);
            for Intent { id, call } in calls {
                next.extend(payment.take(id.0, "answer", gateway_answers(&call, card, Timestamp::default()), &mut clock).0);
            }
            let (words, calls) = shipping.hear(out, &mut clock);
            next.extend(words);
            for Intent { id, call } in calls {
                let answer = carrier_answers(&call, Word::Done, Timestamp::default());
                next.extend(shipping.take(id.0, "answer", answer, &mut clock).0);
            }
        }
        said = next;
    }
    order.log.state = order.records.orders.get(&ORDER).map(|row| json!(row));
    inventory.log.state = inventory.records.reservations.get(&ORDER).map(|row| json!(row));
    payment.log.state = payment.records.holds.get(&ORDER).map(|row| json!(row));
    shipping.log.state = shipping.records.shipments.get(&ORDER).map(|row| json!(row));
    let logs = [("order", order.log), ("inventory", inventory.log), ("payment", payment.log), ("shipping", shipping.log)];
    Recording { orders: [(ORDER, logs.map(|(name, log)| (name.to_owned(), log)).into())].into() }
}

fn place(sku: Sku) -> order::PlaceOrder {
    let (name, street, city) = ("Ada".into(), "1 Main St".into(), "Berlin".into());
    order::PlaceOrder {
        order: ORDER,
        customer_id: "c-1001".into(),
        currency: Currency::EUR,
        lines: vec![order::Wish { sku, quantity: 2 }],
        payment_method: "pm_card_visa".into(),
        ship_to: Address { name, street, city, postal_code: "10115".into(), country: "DE".into() },
        agreed: None,
    }
}

/// What is found when the log of that service is altered.
fn found(service: &str, alter: impl FnOnce(&mut Log)) -> (String, String, Wrong) {
    let mut recording = recorded(Word::Done);
    let log = recording.orders.get_mut(&ORDER).and_then(|order| order.get_mut(service));
    alter(log.expect("every service has a log of it"));
    let finding = conform(&recording).expect_err("it was altered");
    println!("{finding}\n");
    (finding.service, finding.input.map(|input| input.ty).unwrap_or_default(), finding.wrong)
}

fn said<'a>(log: &'a mut Log, ty: &str) -> &'a mut Said {
    log.said.iter_mut().find(|said| said.ty == ty).expect("it was said")
}

#[test]
fn what_the_production_functions_did_conforms() {
    for card in [Word::Done, Word::Declined] {
        let recording = recorded(card);
        let stored = serde_json::from_str(&serde_json::to_string(&recording).unwrap()).unwrap();
        assert_eq!(recording, stored);
        let conforms = conform(&stored).unwrap_or_else(|finding| panic!("{finding}"));
        let taken: usize = recording.orders[&ORDER].values().map(|log| log.taken.len()).sum();
        assert_eq!((conforms.orders, conforms.transitions), (1, taken));
    }
}

#[test]
fn an_event_that_is_not_in_the_outbox_is_missed() {
    let (service, input, wrong) = found("inventory", |log| log.said.retain(|said| said.ty != "stock.committed.v1"));
    assert_eq!((service.as_str(), input.as_str()), ("inventory", "order.confirmed.v1"));
    assert!(
        matches!(wrong, Wrong::Other { observed, allowed } if observed == "nothing said" && allowed[0].contains("stock.committed.v1"))
    );
}

#[test]
fn an_altered_amount_is_named() {
    let (service, input, wrong) = found("payment", |log| said(log, "payment.captured.v1").body["amount"]["amount"] = json!(1));
    assert_eq!((service.as_str(), input.as_str()), ("payment", "CaptureCharge"));
    assert!(matches!(wrong, Wrong::Other { allowed, .. } if allowed[0].contains("2500")));
}

#[test]
fn an_altered_row_is_named() {
    let (service, input, wrong) = found("payment", |log| log.state = Some(json!({ "state": "declined" })));
    assert_eq!((service.as_str(), input.as_str()), ("payment", ""));
    assert!(matches!(wrong, Wrong::State { allowed, .. } if allowed.len() == 1 && allowed[0].contains("captured")));
}

#[test]
fn an_event_that_nobody_said_is_named() {
    let (service, input, wrong) = found("shipping", |log| {
        let taken = log.taken.iter_mut().find(|taken| taken.ty == "order.confirmed.v1").unwrap();
        taken.id = Uuid::from_u128(1);
    });
    assert_eq!((service.as_str(), input.as_str(), wrong), ("shipping", "order.confirmed.v1", Wrong::NobodySaid));
}

#[test]
fn an_event_without_a_cause_is_named() {
    let (service, _, wrong) = found("shipping", |log| said(log, "shipment.scheduled.v1").causation = Some(Uuid::from_u128(1)));
    assert_eq!(service, "shipping");
    assert!(matches!(wrong, Wrong::NoCause(said) if said.ty == "shipment.scheduled.v1"));
}

#[test]
fn a_transition_out_of_its_order_is_named() {
    let (service, input, wrong) = found("payment", |log| {
        let scheduled = log.taken.iter_mut().find(|taken| taken.ty == "shipment.scheduled.v1").unwrap();
        scheduled.taken_at = Timestamp::default();
    });
    assert_eq!((service.as_str(), input.as_str()), ("payment", "shipment.scheduled.v1"));
    assert!(matches!(wrong, Wrong::Other { allowed, .. } if allowed[0].contains("came before what it stands on")));
}

#[test]
fn an_event_that_should_not_have_been_said_is_named() {
    let (service, input, _) = found("inventory", |log| {
        let cause = log.taken.iter().find(|taken| taken.ty == "order.placed.v1").unwrap().id;
        let event = Event::from(events::StockCommitted { order_id: ORDER });
        let (ty, body) = (event.info().ty.to_owned(), serde_json::from_slice(&event.encode()).unwrap());
        log.said.push(Said { id: Uuid::from_u128(2), ty, body, causation: Some(cause) });
    });
    assert_eq!((service.as_str(), input.as_str()), ("inventory", "order.placed.v1"));
}
