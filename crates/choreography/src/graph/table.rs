//! As a table.

use std::fmt::Write as _;

use events::EventInfo;
use saga::{Declaration, Door};

/// Who reacts to what, as a table in Markdown: a line for each event of these services.
pub fn table(services: &[Declaration]) -> String {
    let mut text = String::from("| event | said by | heard by |\n|---|---|---|\n");
    for event in events_of(services) {
        let said = listed(services, |service| {
            let steps = service.steps.iter().filter(|step| step.says.iter().any(|said| said.ty == event.ty));
            steps.map(|step| step.name).collect()
        });
        let heard = listed(services, |service| {
            let rows = service.rows.iter().filter(|row| row.door == Door::Event && row.input == event.ty);
            rows.map(|row| row.step).collect()
        });
        let heard = if heard.is_empty() { "nobody: terminal".to_owned() } else { heard };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {said} | {heard} |", event.name);
    }
    text
}

/// Every event that they say, in the order in which services and steps say them first.
fn events_of(services: &[Declaration]) -> Vec<&'static EventInfo> {
    let mut events: Vec<&'static EventInfo> = Vec::new();
    for event in services.iter().flat_map(|service| service.steps).flat_map(|step| step.says) {
        if !events.iter().any(|known| known.ty == event.ty) {
            events.push(event);
        }
    }
    events
}

fn listed(services: &[Declaration], steps: impl Fn(&Declaration) -> Vec<&'static str>) -> String {
    let all = services.iter().flat_map(|service| {
        let names = steps(service);
        names.into_iter().map(move |name| format!("{} {name}", service.service))
    });
    all.collect::<Vec<_>>().join(", ")
}
