//! Table, trials and explorer, tried themselves: a sound participant passes, and each kind of mistake is found by the one
//! that is there for it. The participant is small and keeps its mistake in a table of its own.

#![allow(missing_docs, unreachable_pub, reason = "a participant for tests")]

mod till;

use saga::{
    examples::{Examples, names_of},
    explore::explore,
    table::{table, unchanged},
    trials::{repeated, undone, undone_twice},
};
use till::{Drawer, Mistake, examples};

fn must_find(faults: &[String], what: &str) {
    assert!(faults.iter().any(|fault| fault.contains(what)), "`{what}` is not among {faults:#?}");
}

#[test]
fn a_sound_participant_passes() {
    let examples = examples(Mistake::None);
    assert_eq!(repeated(&examples), Vec::<String>::new());
    assert_eq!(undone(&examples), Vec::<String>::new());
    assert_eq!(undone_twice(&examples), Vec::<String>::new());
    let explored = explore(&examples);
    assert_eq!(explored.faults, Vec::<String>::new());
    assert!(explored.places > 100, "{}", explored.places);
}

#[test]
fn the_table_shows_every_door_and_every_outcome() {
    let text = table(&examples(Mistake::None)).unwrap();
    for line in [
        "stock.reserved      absent   -> holding  ask HoldMoney; wake Overdue in 60 s",
        "HoldMoney ok        holding  -> held     say payment.authorized; rest Overdue",
        "shipment.cancelled  absent   -> buried   say payment.voided",
        "shipment.cancelled  doomed   -> =        nothing ConfirmsLater",
        "HoldMoney ok        doomed   -> letting  ask LetGo; rest Overdue",
        "LetGo ok            absent   -> =        contradiction",
        "LetGo no            letting  -> letting, attempt 2  ask LetGo #2; ALARM the gateway will not let go",
        "Close               held     -> =        refused 409 drawer-in-use",
        "Close               absent   -> =        nothing Known; answer 200",
        "Overdue             holding  -> =        nothing UnderWay; wake Overdue in 60 s; ALARM still waiting",
        "shipment.refused    absent   -> =        not yet TooEarly",
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.lines().any(|shown| words(shown) == words(line)), "{line}\nis not in\n{text}");
    }
}

#[test]
fn the_table_wants_every_state_and_every_row() {
    let sound = examples(Mistake::None);
    let fewer = Examples { states: sound.states[1..].to_vec(), inputs: sound.inputs[1..].to_vec(), ..sound };
    let gaps = table(&fewer).unwrap_err();
    must_find(&gaps, "no example of the state `absent`");
    must_find(&gaps, "no example input for `stock.reserved.v1` (Hold)");
    must_find(&gaps, "`Hold` declares HoldMoney, and no example asks it");
}

#[test]
fn a_table_that_differs_says_where() {
    assert_eq!(unchanged("a\nb\n", "a\nb\n"), Ok(()));
    let differences = unchanged("a\nb\n", "a\nc\n").unwrap_err();
    assert!(differences.contains("- b\n+ c\n"), "{differences}");
    assert!(unchanged("a\nb\n", "b\na\n").is_err(), "another order is another table");
}

#[test]
fn names_are_those_of_the_type() {
    assert_eq!(names_of::<Drawer>(), ["absent", "holding", "doomed", "held", "letting", "buried"]);
}

#[test]
fn a_tombstone_that_keeps_silent() {
    must_find(&undone(&examples(Mistake::SilentTombstone)), "shipment.cancelled in `absent`: `GiveBack` confirmed 0 times");
}

#[test]
fn a_call_in_flight_that_is_ignored() {
    let examples = examples(Mistake::IgnoresTheCall);
    must_find(&undone(&examples), "`GiveBack` leaves `held`, and 0 calls open");
    must_find(&explore(&examples).faults, "an undo is never confirmed");
}

#[test]
fn a_repeat_that_asks_again() {
    let examples = examples(Mistake::AsksAgain);
    must_find(&repeated(&examples), "stock.reserved in `holding`: its repeat asks HoldMoney");
    must_find(&explore(&examples).faults, "is asked twice");
}

#[test]
fn an_undo_that_is_done_twice() {
    must_find(&undone_twice(&examples(Mistake::LetsGoTwice)), "asked for twice at once, the undo ends otherwise");
}

#[test]
fn an_end_that_is_not_told_again() {
    must_find(&undone_twice(&examples(Mistake::TellsOnce)), "after the end it is not told that `GiveBack` is done");
}
