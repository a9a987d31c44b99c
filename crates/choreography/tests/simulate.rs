//! That the simulator repeats itself, visits what it should, and finds and shrinks what is wrong.

use choreography::simulate::{Actor, Coverage, Report, Rules, Settings, Wish, run, transcript};
use events::OrderId;
use inventory::{Inventory, Reservation, Shelves};
use saga::{Because, Context, Decision, Declaration, Effects, Participant};

const SEED: u64 = 7;

fn first(settings: &Settings, schedules: u64, threads: usize) -> Report {
    run(settings, SEED, 0..schedules, threads, &|_| ())
}

/// Fails with the timeline, as people read it.
fn nothing_wrong(report: &Report) {
    if let Some(failure) = &report.failure {
        panic!("{failure}");
    }
}

#[test]
fn every_order_of_many_comes_to_rest_and_the_named_pairs_are_met() {
    let report = first(&Settings::new(4), 2_000, 2);
    nothing_wrong(&report);
    assert_eq!(report.schedules, 2_000);
    assert!(report.sagas > 6_000, "{}", report.sagas);
    println!("{}\nnever: {:#?}", report.coverage, report.coverage.never());
    met(&report.coverage);
}

fn met(coverage: &Coverage) {
    for (service, input, state) in [
        ("inventory", "order.placed.v1", "released"),
        ("inventory", "shipment.cancelled.v1", "committed"),
        ("order", "Overdue", "open"),
        ("order", "Overdue", "closing"),
        ("payment", "shipment.cancelled.v1", "capturing"),
        ("shipping", "order.cancellation_requested.v1", "booking"),
        ("shipping", "order.cancellation_requested.v1", "dispatched"),
    ] {
        assert!(coverage.visits(service, input, state) > 0, "{service} never met {input} in {state}");
    }
    for (fault, service, step) in [
        ("crash before publish", "order", "Place"),
        ("tail lost", "payment", "Authorize"),
        ("disk lost", "inventory", "Reserve"),
        ("answer lost", "payment", "GiveBack"),
        ("key burned", "shipping", "Book"),
        ("taken again", "inventory", "Release"),
    ] {
        assert!(coverage.faults(fault, service, step) > 0, "{fault} never hit {service}'s {step}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_however_many_threads() {
    let settings = Settings::new(5);
    for schedule in 0..20 {
        assert_eq!(transcript(&settings, SEED, schedule), transcript(&settings, SEED, schedule));
    }
    assert_ne!(transcript(&settings, SEED, 0), transcript(&settings, SEED + 1, 0));
    let (one, two) = (first(&settings, 200, 1), first(&settings, 200, 2));
    assert_eq!((one.sagas, one.coverage), (two.sagas, two.coverage));
}

/// Inventory, by somebody who forgot to put sold goods back on the shelf.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Forgetful {}

impl Participant for Forgetful {
    const DECLARATION: Declaration = Inventory::DECLARATION;
    type Input = inventory::Input;
    type Call = inventory::Call;
    type Records = Shelves;

    fn touches(input: &inventory::Input, records: &mut Shelves) {
        Inventory::touches(input, records);
    }

    fn react(records: &mut Shelves, input: &inventory::Input, ctx: &Context) -> Decision<Self> {
        if let inventory::Input::ShipmentCancelled(event) = input
            && matches!(records.reservations.read(&event.order_id), Reservation::Committed { .. })
        {
            return Decision::Nothing(Because::Confirmed, Effects::default());
        }
        match Inventory::react(records, input, ctx) {
            Decision::Done(effects) => Decision::Done(same(effects)),
            Decision::Nothing(because, effects) => Decision::Nothing(because, same(effects)),
            Decision::NotYet(because) => Decision::NotYet(because),
            Decision::Contradiction(because) => Decision::Contradiction(because),
            Decision::Refused(problem) => Decision::Refused(problem),
        }
    }
}

fn same(effects: Effects<Inventory>) -> Effects<Forgetful> {
    let Effects { events, calls, wakes, receipt, alarm } = effects;
    Effects { events, calls, wakes, receipt, alarm }
}

impl Actor for Forgetful {
    type State = Reservation;
    type Partner = ();

    fn state(records: &Shelves, order: OrderId) -> Option<&Reservation> {
        Inventory::state(records, order)
    }

    fn asked(wish: &Wish) -> Option<inventory::Input> {
        Inventory::asked(wish)
    }
}

#[test]
fn a_forgotten_compensation_is_found_and_made_small() {
    let report = first(&Settings::new(6).with::<Forgetful>(), 2_000, 2);
    let failure = report.failure.expect("sold goods are never put back");
    println!("{failure}\n{}", failure.mermaid());
    assert!(failure.acts.1 * 3 < failure.acts.0, "{} of {} acts are left", failure.acts.1, failure.acts.0);
    let timeline = failure.to_string();
    assert!(timeline.contains("inventory takes shipment.cancelled of order"), "{timeline}");
    assert!(failure.mermaid().contains("shipping->>inventory: shipment.cancelled"), "{}", failure.mermaid());
    let orders = timeline.matches("a customer orders").count();
    assert_eq!(orders, 1, "one order is enough\n{timeline}");
}

/// Each rule of the chassis is there for something.
#[test]
fn a_chassis_without_one_of_its_rules_is_found() {
    let all = Settings::new(4).rules;
    for (rules, says) in [
        (Rules { claims: false, ..all }, "operators counted in"),
        (Rules { sweep: false, ..all }, "never took"),
        (Rules { reconcile: false, ..all }, "never took"),
    ] {
        let mut settings = Settings::new(4);
        settings.rules = rules;
        let report = first(&settings, 2_000, 2);
        let failure = report.failure.unwrap_or_else(|| panic!("{rules:?} is as good as all of them"));
        println!("{rules:?}\n{failure}");
        assert!(failure.what.contains(says), "{rules:?}: {failure}");
    }
}
