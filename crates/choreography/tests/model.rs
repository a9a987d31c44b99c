//! The whole world of one order, searched; and that the search finds what is wrong.

use std::ops::ControlFlow;

use choreography::{
    SERVICES,
    model::{Channel, Report, Settings, check, replay},
};

/// Fails with the timeline, as people read it.
fn nothing_wrong(report: &Report) {
    if let Some(found) = &report.counterexample {
        panic!("{found}");
    }
}

#[test]
fn one_order_holds_in_every_state_there_is() {
    let settings = Settings { deadline: None, ..Settings::one_order() };
    let report = check(settings, &mut |_| ControlFlow::Continue(()));
    nothing_wrong(&report);
    assert!(report.complete, "{report:?}");
    println!("{}: {} states, {} deep", report.settings, report.states, report.depth);
    assert!(report.states > 100_000, "only {} states: something never happens any more", report.states);
}

#[test]
fn an_order_of_what_is_not_there_holds_even_when_it_never_hears_so() {
    let unheard = Settings::losing(Channel { event: "stock.unavailable", reader: "order" });
    for settings in [Settings::nothing_there(), unheard] {
        let report = check(settings, &mut |_| ControlFlow::Continue(()));
        nothing_wrong(&report);
        assert!(report.complete, "{report:?}");
    }
}

#[test]
fn two_orders_for_the_last_piece_hold_in_every_state_there_is() {
    let report = check(Settings::last_piece(), &mut |_| ControlFlow::Continue(()));
    nothing_wrong(&report);
    println!("{}: {} states, {} fates, {} deep", report.settings, report.states, report.fates, report.depth);
    assert!(report.complete && report.states > 1_000_000, "{report:?}");
}

#[test]
fn one_order_holds_without_claims_in_every_state_there_is() {
    let report = check(Settings::repeated(), &mut |_| ControlFlow::Continue(()));
    nothing_wrong(&report);
    println!("{}: {} states, {} deep", report.settings, report.states, report.depth);
    assert!(report.complete && report.states > 30_000, "{report:?}");
}

/// Whatever happens to two orders with claims happens to them without as well, only less often.
#[test]
fn two_orders_hold_without_claims_whatever_else_goes_wrong() {
    let report = check(Settings::last_piece_repeated(), &mut |_| ControlFlow::Continue(()));
    nothing_wrong(&report);
    println!("{}: {} states, {} fates, {} deep", report.settings, report.states, report.fates, report.depth);
    assert!(report.complete && report.states > 1_000_000, "{report:?}");
}

/// What a service says in a version that its readers do not know yet is taken once they are updated, or is a dead letter.
#[test]
fn an_order_holds_while_one_service_is_a_version_ahead() {
    for service in SERVICES {
        let report = check(Settings::ahead(service.service), &mut |_| ControlFlow::Continue(()));
        nothing_wrong(&report);
        println!("{}: {} states, {} deep", report.settings, report.states, report.depth);
        assert!(report.complete, "{report:?}");
    }
}

/// Nobody but shipping knows that the goods are gone, and it says so once.
#[test]
fn a_message_that_nobody_asks_for_again_is_found() {
    let report = check(Settings::losing(Channel::FATAL), &mut |_| ControlFlow::Continue(()));
    let found = report.counterexample.expect("an order cannot learn that its goods are gone");
    println!("{found}");
    let timeline = found.to_string();
    assert!(timeline.contains("the customer orders\n"), "{timeline}");
    assert!(timeline.contains("the warehouse dispatches\n"), "{timeline}");
    assert!(timeline.contains("order never gets shipment.dispatched\n"), "{timeline}");
    assert!(found.mermaid().contains("shipping-xorder: shipment.dispatched"), "{}", found.mermaid());
    assert!(found.test().contains("order never gets shipment.dispatched"), "{}", found.test());
    let steps: Vec<&str> = found.steps.iter().map(String::as_str).collect();
    assert!(replay(found.settings.clone(), &steps).is_err(), "the same steps are wrong again");
    let told = &steps[..steps.len() - 1];
    assert_eq!(replay(found.settings, told), Ok(()), "without the loss all ends well");
}
