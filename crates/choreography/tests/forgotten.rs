//! The real declarations, with one reaction forgotten at a time: how much of that the compiler's rules see.

use choreography::SERVICES;
use events::Event;
use saga::{Declaration, Door, Kind, Row, findings};

/// The four services without that row.
fn without(service: usize, row: usize) -> [Declaration; 4] {
    let mut services = SERVICES;
    let rows: Vec<Row> = SERVICES[service].rows.iter().enumerate().filter(|(at, _)| *at != row).map(|(_, row)| *row).collect();
    services[service].rows = rows.leak();
    services
}

/// What is heard by an event's row of a step of that kind, and is not missed when the row is gone.
fn unseen(kinds: &[Kind]) -> Vec<String> {
    let mut unseen = Vec::new();
    for (at, service) in SERVICES.iter().enumerate() {
        for (number, row) in service.rows.iter().enumerate().filter(|(_, row)| row.door == Door::Event) {
            let kind = service.step(row.step).map(|step| step.kind);
            if kind.is_some_and(|kind| kinds.contains(&kind)) && findings(Event::ALL, &without(at, number)).is_empty() {
                unseen.push(format!("{} {} {}", service.service, row.step, row.input));
            }
        }
    }
    unseen
}

#[test]
fn the_whole_has_nothing_to_find() {
    assert_eq!(findings(Event::ALL, &SERVICES), []);
}

/// Order hears each failure twice over: from who failed, and from who then confirms an undo. Only the ledger of its domain
/// knows that it needs both; the model checker finds these.
#[test]
fn an_undo_that_does_not_hear_of_a_failure_is_found() {
    assert_eq!(
        unseen(&[Kind::Undo]),
        [
            "order Close payment.declined.v1",
            "order Close payment.capture_failed.v1",
            "order Close shipment.refused.v1",
            "order Close shipment.cancelled.v1",
        ]
    );
}

/// Confirm and Clear are begun by a second event as well: that the first one matters is in their domains.
#[test]
fn a_step_forward_that_does_not_hear_its_event_is_found() {
    assert_eq!(
        unseen(&[Kind::Compensatable, Kind::Pivot, Kind::Retriable]),
        ["order Confirm payment.captured.v1", "shipping Clear payment.captured.v1", "shipping Clear order.confirmed.v1"]
    );
}
