//! A counterexample as people read it: a timeline, a sequence diagram, and a test that takes the same steps.

use std::fmt::{self, Write as _};

use events::EventInfo;
use inventory::{Reservation, Shelves};
use saga::examples::name_of;

use super::{
    Settings,
    part::Part,
    universe::Service,
    world::{Act, Edge, World},
};

/// The shortest way to something that must not be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counterexample {
    /// What is wrong at its end.
    pub what: String,
    /// In which world.
    pub settings: Settings,
    /// What happens, in order; [`replay`](super::replay()) takes these.
    pub steps: Vec<String>,
    outcomes: Vec<Option<String>>,
    arrows: Vec<String>,
}

impl Counterexample {
    pub(super) fn of(world: &mut World, steps: &[(usize, Edge)], what: String) -> Self {
        let settings = world.settings.clone();
        let mut found = Self { what, settings, steps: Vec::new(), outcomes: Vec::new(), arrows: Vec::new() };
        let (mut parts, mut shelf) = ([0, 0], 0);
        for (order, edge) in steps {
            let before = *world.parts[*order].get(parts[*order]);
            found.steps.push(world.label(*order, edge.act));
            let outcome = outcome(world, *order, &before, shelf, edge.act);
            found.arrows.push(arrow(world, *order, edge.act, outcome.as_ref()));
            found.outcomes.push(outcome.map(|(service, text)| format!("{service}: {text}")));
            (parts[*order], shelf) = (edge.part, edge.shelf);
        }
        found
    }

    /// As a Mermaid sequence diagram.
    pub fn mermaid(&self) -> String {
        let mut text = String::from("sequenceDiagram\n");
        for who in ["customer", "order", "inventory", "payment", "shipping", "gateway", "carrier"] {
            let _ = writeln!(text, "  participant {who}");
        }
        self.arrows.iter().for_each(|arrow| text.push_str(arrow));
        let _ = writeln!(text, "  Note over customer,carrier: {}", self.what.replace([';', '#'], ","));
        text
    }

    /// What is wrong, as the name of a test.
    pub fn name(&self) -> String {
        let words = self.what.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<String> = words.take(14).map(str::to_lowercase).collect();
        words.join("_")
    }

    /// As a file in `crates/choreography/tests`: a test that fails for as long as the counterexample is one.
    pub fn test(&self) -> String {
        let mut text = format!("//! Found by the model checker, {}.\n\n", self.settings);
        let _ = writeln!(text, "/// {}.\n#[test]\nfn {}() {{", self.what, self.name());
        let _ = writeln!(text, "    let settings = {};", settings_as_code(&self.settings));
        if self.steps.is_empty() {
            // What never happens has no steps.
            text.push_str(
                "    let report = choreography::model::check(settings, &mut |_| std::ops::ControlFlow::Continue(()));\n",
            );
            text.push_str("    assert_eq!(report.counterexample, None);\n}\n");
            return text;
        }
        text.push_str("    let steps = [\n");
        for step in &self.steps {
            let _ = writeln!(text, "        {step:?},");
        }
        text.push_str("    ];\n    assert_eq!(choreography::model::replay(settings, &steps), Ok(()));\n}\n");
        text
    }
}

fn settings_as_code(settings: &Settings) -> String {
    let code = format!("{settings:?}");
    let code = code.replace("Channel {", "choreography::model::Channel {");
    code.replace("Settings {", "choreography::model::Settings {")
}

/// The timeline.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n({})\n", self.what, self.settings)?;
        for (number, (step, outcome)) in self.steps.iter().zip(&self.outcomes).enumerate() {
            writeln!(f, "{:>3}. {step}", number + 1)?;
            if let Some(outcome) = outcome {
                writeln!(f, "       {outcome}")?;
            }
        }
        Ok(())
    }
}

/// Which service takes the step, and what comes of it.
fn outcome(world: &mut World, order: usize, before: &Part, shelf: u32, act: Act) -> Option<(&'static str, String)> {
    let (service, what) = world.takes(order, before, act)?;
    let row = World::row(before, shelf, service);
    let reaction = world.universes[order].react(service, row, what, &mut world.shelves);
    let reaction = world.universes[order].reaction(reaction).clone();
    let (from, to) = (state(world, order, service, row), state(world, order, service, reaction.row));
    let mut text = if from == to { format!("stays {from}") } else { format!("{from} -> {to}") };
    if !reaction.words.is_empty() {
        let _ = write!(text, ", says {}", reaction.words.join(", "));
    }
    let asked: Vec<&str> = reaction.asked.iter().map(|call| world.universes[order].calls.get((*call).into()).name()).collect();
    if !asked.is_empty() {
        let _ = write!(text, ", asks {}", asked.join(", "));
    }
    if let Some(because) = reaction.because {
        let _ = write!(text, " (nothing: {because:?})");
    }
    if let Some(wrong) = reaction.wrong {
        let _ = write!(text, "; {wrong}");
    }
    Some((service.name(), text))
}

/// In words, by the name of its variant.
fn state(world: &World, order: usize, service: Service, row: u32) -> String {
    let universe = &world.universes[order];
    match service {
        Service::Order => {
            universe.purchases.get(row).as_ref().map_or_else(|| "absent".to_owned(), |order| name_of(&order.standing))
        }
        Service::Inventory => reservation(world.shelves.get(row), universe.id),
        Service::Payment => name_of(universe.holds.get(row)),
        Service::Shipping => name_of(universe.shipments.get(row)),
    }
}

fn reservation(shelves: &Shelves, order: events::OrderId) -> String {
    let mut rows = shelves.reservations.rows();
    name_of(rows.find(|(id, _)| **id == order).map_or(&Reservation::Absent, |(_, reservation)| reservation))
}

fn arrow(world: &World, order: usize, act: Act, outcome: Option<&(&'static str, String)>) -> String {
    let universe = &world.universes[order];
    let label = |act| world.label(order, act);
    let call = |id: u8| universe.calls.get(id.into());
    let owner = |info: &EventInfo| info.owner;
    let mut text = match act {
        Act::Place | Act::Cancel => format!("  customer->>order: {}\n", label(act)),
        Act::Dispatch => format!("  customer->>shipping: {}\n", label(act)),
        Act::Overdue => format!("  Note over order: {}\n", label(act)),
        Act::Lapse => format!("  Note over gateway: {}\n", label(act)),
        Act::Update(reader) => format!("  Note over {}: {}\n", reader.name(), label(act)),
        Act::Deliver(id) | Act::Lose(id) | Act::GiveUp(id) => {
            let message = universe.messages.get(id.into());
            let head = if matches!(act, Act::Deliver(_)) { "->>" } else { "-x" };
            let (from, info) = (owner(message.event.info()), message.event.info());
            format!("  {from}{head}{}: {}\n", message.reader.name(), info.name)
        }
        Act::Execute(id, word) => {
            format!("  {}->>{}: {} ({})\n", call(id).service(), call(id).partner(), call(id).name(), word.verb())
        }
        Act::Answer(id) | Act::AnswerAgain(id) => {
            format!("  {}-->>{}: answer to {}\n", call(id).partner(), call(id).service(), call(id).name())
        }
    };
    if let Some((service, what)) = outcome {
        let _ = writeln!(text, "  Note over {service}: {}", what.replace([';', '#'], ","));
    }
    text
}
