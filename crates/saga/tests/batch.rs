//! The rules of a batch: what takes effect once, what leaves no trace, and when whoever has not looked must look.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "a participant for tests")]

mod till;

use std::collections::HashSet;

use events::{EventId, Reason, ShipmentCancelled, ShipmentRefused};
use saga::{
    Answered, Claim, Records as _,
    batch::{Arrived, Verdict, decide, decide_unseen, wanted},
    examples::CONTEXT,
};
use till::{Close, Drawer, HoldMoney, Input, Mistake, ORDER, Payment, Till, kept};
use uuid::Uuid;

fn comes(id: u128, input: Input) -> Arrived<Payment> {
    Arrived { claim: Claim::Event(EventId(Uuid::from_u128(id))), input }
}

fn cancelled() -> Input {
    Input::ShipmentCancelled(ShipmentCancelled { order_id: ORDER, because: Reason::CustomerRequest })
}

/// Says "not yet", after it has changed the drawer.
fn too_early() -> Input {
    Input::ShipmentRefused(ShipmentRefused { order_id: ORDER, code: "no".into() })
}

fn loaded(arrived: &[Arrived<Payment>], drawer: Drawer) -> Till {
    let mut rows = wanted(arrived);
    rows.load(&kept(drawer, Mistake::None));
    rows
}

fn known(ids: &[u128]) -> HashSet<Uuid> {
    ids.iter().map(|id| Uuid::from_u128(*id)).collect()
}

fn words(verdicts: &[Verdict<Payment>]) -> Vec<&'static str> {
    let word = |verdict: &Verdict<Payment>| match verdict {
        Verdict::Taken(_) => "taken",
        Verdict::Repeated => "repeated",
        Verdict::NotYet(_) => "not yet",
        Verdict::Contradiction(_) => "contradiction",
        Verdict::Refused(_) => "refused",
    };
    verdicts.iter().map(word).collect()
}

#[test]
fn a_claim_takes_effect_once_in_its_batch_and_not_again_in_another() {
    let arrived = [comes(1, cancelled()), comes(1, cancelled()), comes(2, cancelled())];
    for (before, expected) in [
        (known(&[]), ["taken", "repeated", "taken"]),
        (known(&[1]), ["repeated", "repeated", "taken"]),
        (known(&[2]), ["taken", "repeated", "repeated"]),
    ] {
        let verdicts = decide(&mut loaded(&arrived, Drawer::Absent), &arrived, &before, &CONTEXT);
        assert_eq!(words(&verdicts), expected, "{before:?}");
    }
}

#[test]
fn what_is_not_taken_leaves_no_trace_and_no_claim() {
    let arrived = [comes(1, too_early()), comes(1, cancelled())];
    let mut rows = loaded(&arrived, Drawer::Absent);
    let verdicts = decide(&mut rows, &arrived, &known(&[]), &CONTEXT);
    assert_eq!(words(&verdicts), ["not yet", "taken"]);
    assert_eq!(*rows.drawers.read(&ORDER), Drawer::Buried);
}

#[test]
fn whoever_has_not_looked_must_look_when_something_would_be_refused() {
    let held = Input::HoldMoney(Answered { call: HoldMoney { order: ORDER }, answer: () });
    for (input, drawer, expected) in [
        (cancelled(), Drawer::Absent, Some(vec!["taken"])),
        (too_early(), Drawer::Absent, None),
        (held, Drawer::Absent, None),
        (Input::Close(Close { order: ORDER }), Drawer::Held, None),
    ] {
        let arrived = [comes(1, input)];
        let verdicts = decide_unseen(&mut loaded(&arrived, drawer), &arrived, &known(&[]), &CONTEXT);
        assert_eq!(verdicts.as_deref().map(words), expected, "{arrived:?}");
    }
    let arrived = [comes(1, cancelled())];
    let void = decide_unseen(&mut loaded(&arrived, Drawer::Absent), &arrived, &known(&[1]), &CONTEXT);
    assert_eq!(void.as_deref().map(words), Some(vec!["repeated"]), "what is known to be nothing any more needs no look");
}

#[test]
fn what_comes_belongs_to_the_saga_of_its_input() {
    assert_eq!(comes(1, cancelled()).saga(), Some(ORDER));
}
