//! The dance as a picture, from the declarations alone.

use std::fmt::Write as _;

use saga::{Declaration, Door, Kind, StepDecl};

/// The choreography as a Mermaid flow chart: a box for each service, its steps inside, an arrow for each event from the
/// step that says it to the step that hears it. Ways back are dashed. What only keeps a record is left out.
pub fn mermaid(services: &[Declaration]) -> String {
    let mut text = String::from("flowchart LR\n");
    for service in services {
        text.push_str(&lane(service));
    }
    for speaker in services {
        for step in speaker.steps {
            for event in step.says {
                for (reader, heard_by) in readers(services, event.ty) {
                    let arrow = if is_way_back(heard_by) { "-." } else { "--" };
                    let head = if is_way_back(heard_by) { ".->" } else { "-->" };
                    let (from, to) = (node(speaker, step), node(reader, heard_by));
                    // Writing to a String cannot fail.
                    let _ = writeln!(text, "  {from} {arrow}\"{}\"{head} {to}", event.name);
                }
            }
        }
    }
    text.push_str("  classDef pivot stroke-width:4px\n  classDef undo stroke-dasharray:4 3\n");
    text
}

/// A step that is on a way forward or back; keeping a record is neither.
fn is_shown(service: &Declaration, step: &StepDecl) -> bool {
    let commanded = service.rows.iter().any(|row| row.step == step.name && matches!(row.door, Door::Command | Door::Deadline));
    match step.kind {
        Kind::Alone => commanded && step.says.iter().any(|event| event.of_order),
        Kind::Compensatable | Kind::Pivot | Kind::Retriable | Kind::Undo => true,
    }
}

fn is_way_back(step: &StepDecl) -> bool {
    step.kind == Kind::Undo
}

fn lane(service: &Declaration) -> String {
    let mut text = format!("  subgraph {}\n", service.service);
    for step in service.steps.iter().filter(|step| is_shown(service, step)) {
        let (id, name) = (node(service, step), step.name);
        let shape = match step.kind {
            Kind::Pivot => format!("{id}{{{{{name}}}}}:::pivot"),
            Kind::Undo => format!("{id}([{name}]):::undo"),
            Kind::Compensatable | Kind::Retriable | Kind::Alone => format!("{id}[{name}]"),
        };
        let _ = writeln!(text, "    {shape}");
    }
    text.push_str("  end\n");
    text
}

fn readers<'a>(services: &'a [Declaration], ty: &'a str) -> impl Iterator<Item = (&'a Declaration, &'static StepDecl)> {
    services.iter().flat_map(move |service| {
        let rows = service.rows.iter().filter(move |row| row.door == Door::Event && row.input == ty);
        rows.filter_map(move |row| Some((service, service.step(row.step)?))).filter(|(service, step)| is_shown(service, step))
    })
}

fn node(service: &Declaration, step: &StepDecl) -> String {
    format!("{}_{}", service.service, step.name)
}

/// Who reacts to what, as a table in Markdown: a line for each event.
pub fn table(services: &[Declaration]) -> String {
    let mut text = String::from("| event | said by | heard by |\n|---|---|---|\n");
    for event in events::Event::ALL {
        let said: Vec<String> = steps(services, |_, step| step.says.iter().any(|said| said.ty == event.ty));
        let heard: Vec<String> = services
            .iter()
            .flat_map(|service| {
                let rows = service.rows.iter().filter(|row| row.door == Door::Event && row.input == event.ty);
                rows.map(move |row| format!("{} {}", service.service, row.step))
            })
            .collect();
        let heard = if heard.is_empty() { "nobody: terminal".to_owned() } else { heard.join(", ") };
        let _ = writeln!(text, "| `{}` | {} | {heard} |", event.name, said.join(", "));
    }
    text
}

fn steps(services: &[Declaration], wanted: impl Fn(&Declaration, &StepDecl) -> bool) -> Vec<String> {
    let all = services.iter().flat_map(|service| service.steps.iter().map(move |step| (service, step)));
    all.filter(|(service, step)| wanted(service, step))
        .map(|(service, step)| format!("{} {}", service.service, step.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SERVICES;

    #[test]
    fn the_picture_shows_the_way_forward_and_the_ways_back() {
        let picture = mermaid(&SERVICES);
        assert!(picture.contains("order_Place --\"order.placed\"--> inventory_Reserve"), "{picture}");
        assert!(picture.contains("shipping_Cancel -.\"shipment.cancelled\".-> payment_GiveBack"), "{picture}");
        assert!(picture.contains("payment_Capture{{Capture}}:::pivot"), "{picture}");
    }

    /// The pages that hold the picture or the table hold this one; `UPDATE_DOCS=1` writes it there, and then fails.
    #[test]
    fn the_pages_hold_this_picture() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let fenced = format!("```mermaid\n{}```", mermaid(&SERVICES));
        for (page, mark, generated) in [("README.md", "dance", fenced), ("ARCHITECTURE.md", "readers", table(&SERVICES))] {
            let path = format!("{root}/{page}");
            let text = std::fs::read_to_string(&path).unwrap();
            let (begin, end) = (format!("<!-- {mark}: generated -->\n"), format!("\n<!-- {mark}: end -->"));
            let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no {begin}"));
            let (held, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no {end}"));
            let fresh = held == generated.trim_end();
            if !fresh && std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&path, format!("{before}{begin}{}{end}{after}", generated.trim_end())).unwrap();
            }
            assert!(fresh, "{page} holds a stale picture: run the tests once with UPDATE_DOCS=1 and review what changed");
        }
    }
}
