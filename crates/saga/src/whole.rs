//! What must hold of the declarations, of one service and of all together. The compiler walks these rules: a choreography
//! that breaks one does not compile.

use events::EventInfo;

use crate::{
    Declaration, Door, Kind,
    finding::{Finding, Findings, Rule, same},
    ways::{Edge, Place, Ways, has},
};

/// Panics, at compile time, with everything that is wrong with one service alone. Called by `reactions!`.
pub const fn sound(service: &Declaration) {
    let mut findings = Findings::none();
    alone(service, &mut findings);
    findings.or_panic();
}

/// Panics, at compile time, with everything that is wrong with these services together, where `all` are the events there are.
pub const fn closed(all: &[&'static EventInfo], services: &[Declaration]) {
    together(all, services).or_panic();
}

/// The same as a list.
pub fn findings(all: &[&'static EventInfo], services: &[Declaration]) -> Vec<Finding> {
    let mut findings = Findings::none();
    for service in services {
        alone(service, &mut findings);
    }
    findings.into_vec().into_iter().chain(together(all, services).into_vec()).collect()
}

const FILE: &str = "/src/reactions.rs";

const fn alone(service: &Declaration, findings: &mut Findings) {
    let (name, mut at) = (service.service, 0);
    while at < service.steps.len() {
        let step = &service.steps[at];
        let mut event = 0;
        while event < step.says.len() {
            let said = step.says[event];
            if !same(said.owner, name) {
                #[rustfmt::skip]
                findings.add(Finding::new(Rule::Owned, [
                    "`", said.type_name, "` belongs to ", said.owner, ": no other service may say it. Take it off the lines of `", step.name, "` in crates/", name, FILE,
                ]));
            }
            event += 1;
        }
        at += 1;
    }
}

const fn together(all: &[&'static EventInfo], services: &[Declaration]) -> Findings {
    let mut findings = Findings::none();
    orphans(all, services, &mut findings);
    let ways = Ways::of(services);
    let begins = beginning(services);
    let mut step = 0;
    while step < ways.count {
        let place = ways.place(step);
        begun(services, place, &mut findings);
        match place.step.kind {
            Kind::Undo => {
                needed(&ways, step, &mut findings);
                confirmed(&ways, step, begins, &mut findings);
                ends(&ways, step, &mut findings);
            }
            Kind::Pivot => {
                goes_forward(&ways, step, &mut findings);
                goes_on(&ways, step, &mut findings);
            }
            Kind::Compensatable | Kind::Retriable => {
                can_be_undone(&ways, step, &mut findings);
                goes_on(&ways, step, &mut findings);
            }
            Kind::Alone => {}
        }
        if let Some(undo) = place.step.undone_by {
            reached(&ways, step, undo, &mut findings);
        }
        if matches!(place.step.kind, Kind::Retriable) {
            retried(&ways, step, &mut findings);
        }
        step += 1;
    }
    findings
}

const fn orphans(all: &[&'static EventInfo], services: &[Declaration], findings: &mut Findings) {
    let mut at = 0;
    while at < all.len() {
        let event = all[at];
        let (mut heard, mut said, mut service) = (false, false, 0);
        while service < services.len() {
            heard = heard || hears(&services[service], event.ty);
            said = said || says(&services[service], event.ty);
            service += 1;
        }
        if !heard && !event.terminal {
            #[rustfmt::skip]
            findings.add(Finding::new(Rule::Heard, [
                "nobody reacts to `", event.type_name, "` (", event.ty, "): write `on ", event.type_name, " => …;` in the reactions.rs of who needs it, or `terminal` beside it in crates/events/src/lib.rs",
            ]));
        }
        if heard && !said {
            #[rustfmt::skip]
            findings.add(Finding::new(Rule::Said, [
                "somebody reacts to `", event.type_name, "` (", event.ty, "), and no step says it: put it on a `says` line in crates/", event.owner, FILE,
            ]));
        }
        at += 1;
    }
}

const fn hears(declaration: &Declaration, ty: &str) -> bool {
    let mut row = 0;
    while row < declaration.rows.len() {
        if matches!(declaration.rows[row].door, Door::Event) && same(declaration.rows[row].input, ty) {
            return true;
        }
        row += 1;
    }
    false
}

const fn says(declaration: &Declaration, ty: &str) -> bool {
    let mut step = 0;
    while step < declaration.steps.len() {
        let said = declaration.steps[step].says;
        let mut event = 0;
        while event < said.len() {
            if same(said[event].ty, ty) {
                return true;
            }
            event += 1;
        }
        step += 1;
    }
    false
}

/// The service where a saga begins: a command, to a step that can be undone.
const fn beginning(services: &[Declaration]) -> &'static str {
    let mut service = 0;
    while service < services.len() {
        let (rows, steps) = (services[service].rows, services[service].steps);
        let mut row = 0;
        while row < rows.len() {
            let mut step = 0;
            while step < steps.len() {
                let begins = matches!(rows[row].door, Door::Command) && matches!(steps[step].kind, Kind::Compensatable);
                if begins && same(rows[row].step, steps[step].name) {
                    return services[service].service;
                }
                step += 1;
            }
            row += 1;
        }
        service += 1;
    }
    "…"
}

/// Something begins every step: an answer alone does not, for somebody must have asked.
const fn begun(services: &[Declaration], place: Place, findings: &mut Findings) {
    let mut service = 0;
    while service < services.len() {
        let (rows, mut row) = (services[service].rows, 0);
        while row < rows.len() {
            let begins = !matches!(rows[row].door, Door::Answer) && same(rows[row].step, place.step.name);
            if begins && same(services[service].service, place.service) {
                return;
            }
            row += 1;
        }
        service += 1;
    }
    #[rustfmt::skip]
    findings.add(Finding::new(Rule::Begun, [
        "nothing begins `", place.step.name, "` of ", place.service, ": write `on SomeEvent => …;` below it in crates/", place.service, FILE, ", or remove it",
    ]));
}

/// What the step says is heard by somebody who does something for the saga.
const fn goes_on(ways: &Ways, step: usize, findings: &mut Findings) {
    let (place, mut at) = (ways.place(step), 0);
    while at < place.step.says.len() {
        let event = place.step.says[at];
        let readers = ways.readers(step, event);
        if readers != 0 && event.of_order && !event.terminal && without_records(ways, readers) == 0 {
            #[rustfmt::skip]
            findings.add(Finding::new(Rule::Continued, [
                "`", event.type_name, "`, which `", place.step.name, "` of ", place.service, " says, is heard only by who writes it down, so the saga stops there: write `on ", event.type_name, " => …;` below the step that goes on, in its reactions.rs",
            ]));
        }
        at += 1;
    }
}

/// Every failure that can follow the step reaches the undo that takes it back.
const fn reached(ways: &Ways, step: usize, undo: &str, findings: &mut Findings) {
    let Some(undo) = ways.sibling(step, undo) else { return };
    let (place, later) = (ways.place(step), ways.forward_from(step));
    let mut at = 0;
    while let Some(edge) = ways.edge(at) {
        // A command or the clock may come at any time; a retriable step does not fail, which is a rule of its own.
        let may_follow = match ways.kind(edge.from) {
            Kind::Alone => true,
            Kind::Compensatable | Kind::Pivot => edge.from != step && has(later, edge.from),
            Kind::Retriable | Kind::Undo => false,
        };
        if ways.is_back(&edge) && may_follow && !has(ways.back_from(ways.readers(edge.from, edge.event)), undo) {
            let (speaker, by) = (ways.place(edge.from), ways.place(undo));
            #[rustfmt::skip]
            findings.add(Finding::new(Rule::Reached, [
                "after ", place.service, " did `", place.step.name, "`, `", edge.event.type_name, "` can come (from `", speaker.step.name, "` of ", speaker.service, "), and nothing takes `", place.step.name, "` back: write `on ", edge.event.type_name, " => …;` below `undo ", by.step.name, "` in crates/", by.service, FILE,
            ]));
        }
        at += 1;
    }
}

/// An undo takes some step back.
const fn needed(ways: &Ways, undo: usize, findings: &mut Findings) {
    let (place, mut at) = (ways.place(undo), 0);
    while at < ways.count {
        let other = ways.place(at);
        if let Some(by) = other.step.undone_by
            && same(by, place.step.name)
            && same(other.service, place.service)
        {
            return;
        }
        at += 1;
    }
    #[rustfmt::skip]
    findings.add(Finding::new(Rule::Needed, [
        "`undo ", place.step.name, "` of ", place.service, " takes no step back: write `undone by ", place.step.name, "` behind a step, or remove it, in crates/", place.service, FILE,
    ]));
}

/// What an undo says is heard by who ends the saga, or by who leads there.
const fn confirmed(ways: &Ways, undo: usize, begins: &'static str, findings: &mut Findings) {
    let place = ways.place(undo);
    let mut at = 0;
    while at < place.step.says.len() {
        let event = place.step.says[at];
        if ways.readers(undo, event) != 0 && !leads_to_an_end(ways, undo, event) {
            #[rustfmt::skip]
            findings.add(Finding::new(Rule::Confirmed, [
                "`undo ", place.step.name, "` of ", place.service, " confirms with `", event.type_name, "`, and nobody who hears it leads to an end, so the saga waits for ever: write `on ", event.type_name, " => …;` below the undo that ends it in crates/", begins, FILE,
            ]));
        }
        at += 1;
    }
}

const fn leads_to_an_end(ways: &Ways, from: usize, event: &EventInfo) -> bool {
    let (reached, mut at) = (ways.anywhere_from(without_records(ways, ways.readers(from, event))), 0);
    while at < ways.count {
        let step = ways.place(at).step;
        let is_end = matches!(step.kind, Kind::Retriable) && step.undone_by.is_none();
        if has(reached, at) && (is_end || says_a_last_word(step.says)) {
            return true;
        }
        at += 1;
    }
    false
}

/// Who only keeps a record leads nowhere.
const fn without_records(ways: &Ways, steps: u128) -> u128 {
    let (mut rest, mut at) = (steps, 0);
    while at < ways.count {
        if matches!(ways.kind(at), Kind::Alone) {
            rest &= !(1 << at);
        }
        at += 1;
    }
    rest
}

const fn says_a_last_word(says: &[&'static EventInfo]) -> bool {
    let mut at = 0;
    while at < says.len() {
        if says[at].terminal {
            return true;
        }
        at += 1;
    }
    false
}

/// The words of an undo wake no undo that wakes it again.
const fn ends(ways: &Ways, undo: usize, findings: &mut Findings) {
    let mut at = 0;
    while let Some(edge) = ways.edge(at) {
        if edge.from == undo && edge.to >= undo && ways.is_back(&edge) && has(ways.back_from(1 << edge.to), undo) {
            let (one, other) = (ways.place(undo), ways.place(edge.to));
            #[rustfmt::skip]
            findings.add(Finding::new(Rule::Progress, [
                "`undo ", one.step.name, "` of ", one.service, " and `undo ", other.step.name, "` of ", other.service, " wake each other for ever, for an undo always answers: take `", edge.event.type_name, "` off an `on` line in crates/", other.service, FILE,
            ]));
        }
        at += 1;
    }
}

/// What can still fail for good must be undoable: everything that leads to a pivot.
const fn can_be_undone(ways: &Ways, step: usize, findings: &mut Findings) {
    let (place, later) = (ways.place(step), ways.forward_from(step));
    let mut at = 0;
    while at < ways.count {
        let pivot = ways.place(at);
        if has(later, at) && matches!(pivot.step.kind, Kind::Pivot) && place.step.undone_by.is_none() {
            #[rustfmt::skip]
            findings.add(Finding::new(Rule::Undone, [
                "`", place.step.name, "` of ", place.service, " comes before the pivot (`", pivot.step.name, "` of ", pivot.service, "), which may fail, and nothing takes it back: write `step ", place.step.name, ": undone by X` in crates/", place.service, FILE,
            ]));
        }
        at += 1;
    }
}

/// After a pivot everything is repeated until it succeeds.
const fn goes_forward(ways: &Ways, pivot: usize, findings: &mut Findings) {
    let (from, later) = (ways.place(pivot), ways.forward_from(pivot));
    let mut at = 0;
    while at < ways.count {
        if has(later, at) && at != pivot {
            after_pivot(from, ways.place(at), findings);
        }
        at += 1;
    }
}

const fn after_pivot(pivot: Place, place: Place, findings: &mut Findings) {
    if matches!(place.step.kind, Kind::Pivot) {
        #[rustfmt::skip]
        findings.add(Finding::new(Rule::OnePivot, [
            "`", pivot.step.name, "` of ", pivot.service, " and `", place.step.name, "` of ", place.service, " are both pivots of one saga, and the second may fail when the first can no longer be taken back: write `step ", place.step.name, ": retriable` in crates/", place.service, FILE, ", or make the first one `undone by X`",
        ]));
    } else if matches!(place.step.kind, Kind::Compensatable) {
        #[rustfmt::skip]
        findings.add(Finding::new(Rule::AfterPivot, [
            "`", place.step.name, "` of ", place.service, " comes after the pivot (`", pivot.step.name, "` of ", pivot.service, "), from which a saga only goes forward: write `step ", place.step.name, ": retriable` or `: retriable undone by X` in crates/", place.service, FILE,
        ]));
    }
}

/// A step that is repeated until it succeeds says nothing that somebody takes back for.
const fn retried(ways: &Ways, step: usize, findings: &mut Findings) {
    let mut at = 0;
    while let Some(Edge { from, to, event }) = ways.edge(at) {
        if from == step && matches!(ways.kind(to), Kind::Undo) {
            let (place, reader) = (ways.place(step), ways.place(to));
            #[rustfmt::skip]
            findings.add(Finding::new(Rule::Retried, [
                "`", place.step.name, "` of ", place.service, " is retriable, so it cannot fail for good, and says `", event.type_name, "`, for which `undo ", reader.step.name, "` of ", reader.service, " takes something back: take it off the `says` line in crates/", place.service, FILE, ", or let the step come before the pivot",
            ]));
        }
        at += 1;
    }
}
