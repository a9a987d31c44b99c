//! What people see of a shipment in each of its states.

use shipping::examples::{ORDER, examples};

#[test]
fn a_shipment_is_shown_with_all_that_is_known_of_it() {
    let shown: Vec<String> = examples()
        .states
        .iter()
        .map(|state| {
            let view = state.shipments.read(&ORDER).view(ORDER);
            let known =
                [("tracking", view.tracking.is_some()), ("pick_up", view.pick_up.is_some()), ("code", view.code.is_some())];
            let names: Vec<&str> = known.into_iter().filter_map(|(name, is)| is.then_some(name)).collect();
            format!("{}: {}", view.status, names.join(", "))
        })
        .collect();
    let booked = "tracking, pick_up";
    let expected = [
        "absent: ".to_owned(),
        "booking: ".to_owned(),
        "cancelling: ".to_owned(),
        format!("scheduled: {booked}"),
        format!("ready: {booked}"),
        format!("dispatched: {booked}"),
        "refused: code".to_owned(),
        "cancelling: ".to_owned(),
        "cancelled: ".to_owned(),
    ];
    assert_eq!(shown, expected);
}
