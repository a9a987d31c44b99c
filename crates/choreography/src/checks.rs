//! What can be checked before anything runs. What the declarations show is checked by the compiler (`saga::closed`); here is the
//! same as a list, with what only the reactions themselves show: which event leads to which, and whether everything has an
//! answer. `CHECKS.md` has what each check says.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    panic::catch_unwind,
};

use saga::{
    Calls, Door, Inputs, Participant,
    examples::{Examples, attempt},
};

use crate::SERVICES;

/// Everything that is wrong with the four services, a sentence each that names what to change and where.
pub fn check() -> Vec<String> {
    let declared = saga::findings(events::Event::ALL, &SERVICES).into_iter().map(|finding| finding.to_string());
    let shown = catch_unwind(reactions).unwrap_or_else(|panic| vec![format!("{PANICS} {}", in_panic(&*panic))]);
    declared.chain(shown).collect()
}

/// How the sentence begins that tells of a panic: the model knows the way there, if there is one.
pub const PANICS: &str = "a reaction panics in one of the states of `examples.rs`:";

/// What a panic says.
pub(crate) fn in_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// What the reactions to the examples show.
fn reactions() -> Vec<String> {
    let (order, inventory) = (order::examples::examples(), inventory::examples::examples());
    let (payment, shipping) = (payment::examples::examples(), shipping::examples::examples());
    let leads = [leads(&order), leads(&inventory), leads(&payment), leads(&shipping)].concat();
    let unanswered = [unanswered(&order), unanswered(&inventory), unanswered(&payment), unanswered(&shipping)].concat();
    unanswered.into_iter().chain(cycles(&leads)).collect()
}

/// The rows and states of a service without an example, and the words that no example says: what `domain.table.txt` does not show.
pub fn unanswered<P: Participant>(examples: &Examples<P>) -> Vec<String> {
    saga::table::table(examples).err().unwrap_or_default()
}

/// When a service hears one event, in some state, another is said in the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Lead {
    /// Whose reaction it is.
    pub service: &'static str,
    /// The function in its `domain.rs`.
    pub verb: &'static str,
    /// The type of what is heard.
    pub hears: &'static str,
    /// The type of what is said, at once or when a partner has answered.
    pub says: &'static str,
}

/// What one service makes of each event, from its reactions to every example in every state.
pub fn leads<P: Participant>(examples: &Examples<P>) -> Vec<Lead> {
    let mut says: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
    let mut asks: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
    for (_, input) in &examples.inputs {
        for state in &examples.states {
            let (tried, input) = (attempt::<P>(state, input), input.row().input);
            says.entry(input).or_default().extend(tried.said().map(|event| event.info().ty));
            asks.entry(input).or_default().extend(tried.asked().map(Calls::name));
        }
    }
    let none = BTreeSet::new();
    let mut leads = BTreeSet::new();
    for row in P::DECLARATION.rows.iter().filter(|row| row.door == Door::Event) {
        let mut inputs = vec![row.input];
        let mut at = 0;
        while let Some(input) = inputs.get(at).copied() {
            let said = says.get(input).unwrap_or(&none).iter();
            leads.extend(said.map(|says| Lead { service: P::DECLARATION.service, verb: row.verb, hears: row.input, says }));
            let more: Vec<_> = asks.get(input).unwrap_or(&none).iter().filter(|call| !inputs.contains(call)).collect();
            inputs.extend(more);
            at += 1;
        }
    }
    leads.into_iter().collect()
}

/// Events that lead to each other for ever, with no command, deadline or state to end it: a sentence for each cycle.
pub fn cycles(leads: &[Lead]) -> Vec<String> {
    let mut cycles = Vec::new();
    let mut known: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for first in leads {
        let Some(cycle) = back_to(leads, first) else { continue };
        if known.insert(cycle.iter().map(|lead| lead.hears).collect()) {
            cycles.push(in_words(&cycle));
        }
    }
    cycles
}

/// The shortest way from what this one says back to what it hears.
fn back_to<'a>(leads: &'a [Lead], first: &'a Lead) -> Option<Vec<&'a Lead>> {
    let mut ways: Vec<Vec<&Lead>> = vec![vec![first]];
    let mut seen = BTreeSet::from([first.says]);
    let mut at = 0;
    while let Some(way) = ways.get(at).cloned() {
        let says = way.last()?.says;
        if says == first.hears {
            return Some(way);
        }
        for lead in leads.iter().filter(|lead| lead.hears == says) {
            if lead.says == first.hears || seen.insert(lead.says) {
                ways.push(way.iter().copied().chain([lead]).collect());
            }
        }
        at += 1;
    }
    None
}

fn in_words(cycle: &[&Lead]) -> String {
    let steps: Vec<String> =
        cycle.iter().map(|lead| format!("`{}` makes {} say {} (`{}`)", lead.hears, lead.service, lead.says, lead.verb)).collect();
    let last = cycle.last().map_or("", |lead| lead.service);
    format!(
        "{}, and so on for ever: let one of them answer with `nothing` once it is done, for instance in crates/{last}/src/domain.rs",
        steps.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_services_pass() {
        assert_eq!(check(), Vec::<String>::new());
    }

    #[test]
    fn what_leads_to_what_is_found_through_the_partners_answers() {
        let leads = leads(&payment::examples::examples());
        let has = |hears: &str, says: &str| leads.iter().any(|lead| lead.hears == hears && lead.says == says);
        assert!(has("stock.reserved.v1", "payment.authorized.v1") && has("shipment.cancelled.v1", "payment.refunded.v1"));
        assert!(!has("shipment.refused.v1", "payment.authorized.v1"), "{leads:?}");
    }
}
