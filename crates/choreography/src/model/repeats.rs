//! Without claims a message may come any number of times before it is gone for good. What is searched is a smaller graph, whose
//! states know what was *ever* said, and in which all of it may come at any time: each state that can come about comes about
//! there too, and no other, since any message may come once more for as long as it is not gone. Only a rest is not seen there,
//! for it depends on what is gone. So this asks, of every state, what may be gone by then; and what must hold at rest is asked
//! wherever all may be.
//!
//! *May be* is taken message by message: two that can each be gone are taken to be gone together. That finds more rests than
//! there are, never fewer.

use std::collections::{HashMap, VecDeque};

use super::{
    explore::{Search, State},
    trace::Counterexample,
    world::{Act, Edge, World},
};

/// Where the search for an exact way ends, in states with what waits there. None was ever needed where all is well.
const LOOKED_AT_MAX: usize = 1_000_000;

/// What must hold at rest does so wherever everything said may be gone, and nothing goes round on the way there.
pub(super) fn rests(search: &mut Search) -> Option<Counterexample> {
    let gone = gone(&mut search.world, 0);
    for number in 0..search.states.len() as u32 {
        let state = State::unpack(search.states.get(number));
        if goes_round(&mut search.world, 0, state.parts[0], state.shelf) {
            return Some(search.counterexample(number, &[], "messages lead to each other for ever".to_owned()));
        }
        if !may_rest(&search.world, 0, state.parts[0], &gone) {
            continue;
        }
        if let Some(wrong) = search.violation(state) {
            let what = format!("{wrong} (what was said may come again, and need not)");
            let exact = way(search, number).map(|steps| Counterexample::of(&mut search.world, &steps, what.clone()));
            return exact.or_else(|| Some(search.counterexample(number, &[], what)));
        }
    }
    None
}

/// Nothing need happen there any more: every answer was taken, and so may be all that was said.
pub(super) fn may_rest(world: &World, order: usize, part: u32, gone: &[u128]) -> bool {
    let now = world.parts[order].get(part);
    now.calls_open() == 0 && now.waiting & !gone[part as usize] == 0
}

/// Of all that an order can have come to, the messages that can be gone there: taken on some way to it, and not said since.
pub(super) fn gone(world: &mut World, order: usize) -> Vec<u128> {
    let mut places: Vec<(u32, u32)> = world.places(order).collect();
    places.sort_unstable();
    let mut gone = vec![0_u128; world.parts[order].len()];
    let mut changed = true;
    // Most steps lead from an earlier number to a later one, so a few rounds do.
    while std::mem::take(&mut changed) {
        for (part, shelf) in &places {
            for at in world.steps(order, *part, *shelf) {
                let edge = world.edge(at);
                let there = pending(world, order, (*part, *shelf), edge, !gone[*part as usize]);
                let now = &mut gone[edge.part as usize];
                changed |= !there & !*now != 0;
                *now |= !there;
            }
        }
    }
    gone
}

/// What waits after a step, of what waited before: what is taken is gone, what is said waits.
pub(super) fn pending(world: &mut World, order: usize, at: (u32, u32), edge: Edge, before: u128) -> u128 {
    let taken = if let Act::Deliver(message) = edge.act { 1 << message } else { 0 };
    let said = world.said(order, at.0, at.1, edge.act);
    before & !taken | said & world.parts[order].get(edge.part).waiting
}

/// Whether, while nothing else changes, one message leads to another and at last to itself: faults may stop, this would not.
pub(super) fn goes_round(world: &mut World, order: usize, part: u32, shelf: u32) -> bool {
    let mut led: Vec<(u128, u128)> = Vec::new();
    for at in world.steps(order, part, shelf) {
        let edge = world.edge(at);
        if let (Act::Deliver(message), true) = (edge.act, (edge.part, edge.shelf) == (part, shelf)) {
            led.push((1 << message, world.said(order, part, shelf, edge.act)));
        }
    }
    loop {
        let (before, left) = (led.len(), led.iter().fold(0, |left, (message, _)| left | message));
        led.retain(|(_, said)| said & left != 0);
        if led.len() == before {
            return before > 0;
        }
    }
}

/// The shortest way to that state on which everything said was taken at last; none when there is none within bounds.
fn way(search: &mut Search, to: u32) -> Option<Vec<(usize, Edge)>> {
    let leads = leading_to(search, to);
    let mut from: HashMap<(u32, u128), ((u32, u128), Edge)> = HashMap::new();
    let mut waiting = VecDeque::from([(0, 0)]);
    let mut goal = None;
    while goal.is_none() && from.len() < LOOKED_AT_MAX {
        let (number, waits) = waiting.pop_front()?;
        let state = State::unpack(search.states.get(number));
        for at in search.world.steps(0, state.parts[0], state.shelf) {
            let edge = search.world.edge(at);
            let Some(next) = search.states.find(state.after(0, &edge).pack()).filter(|next| leads[*next as usize]) else {
                continue;
            };
            let left = pending(&mut search.world, 0, (state.parts[0], state.shelf), edge, waits);
            if (next, left) == (0, 0) || from.contains_key(&(next, left)) {
                continue;
            }
            from.insert((next, left), ((number, waits), edge));
            waiting.push_back((next, left));
            goal = goal.or((next == to && left == 0).then_some((next, left)));
        }
    }
    let (mut steps, mut at) = (Vec::new(), goal?);
    while let Some((before, edge)) = from.get(&at) {
        steps.push((0, *edge));
        at = *before;
    }
    steps.reverse();
    Some(steps)
}

/// The states that there is a way from to that one.
fn leading_to(search: &mut Search, to: u32) -> Vec<bool> {
    let mut leads = vec![false; search.states.len()];
    leads[to as usize] = true;
    let mut changed = true;
    while std::mem::take(&mut changed) {
        for number in (0..search.states.len()).rev().filter(|number| !leads[*number]).collect::<Vec<_>>() {
            let state = State::unpack(search.states.get(number as u32));
            let steps = search.world.steps(0, state.parts[0], state.shelf);
            let mut next = steps.filter_map(|at| search.states.find(state.after(0, &search.world.edge(at)).pack()));
            if next.any(|next| leads[next as usize]) {
                (leads[number], changed) = (true, true);
            }
        }
    }
    leads
}

/// That it sees what a repeat would heal, and what would not end.
#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::model::{Settings, universe::Service};

    fn visited() -> Search {
        let mut search = Search::new(Settings { lapse: false, burns: false, ..Settings::repeated() });
        let (cut, found) = search.visit_all(&mut |_| ControlFlow::Continue(()));
        assert!(!cut && found.is_none(), "{found:?}");
        search
    }

    fn takes(world: &World, act: Act, event: &str, by: Service) -> bool {
        let Act::Deliver(message) = act else { return false };
        let (channel, reader) = world.universes[0].channel(message);
        channel.event == event && reader == by
    }

    /// Inventory drops what it hears before payment has let go: whoever repeats it heals that, and nobody need repeat it.
    #[test]
    fn a_word_that_only_a_repeat_would_make_good_is_found() {
        let mut search = visited();
        assert_eq!(rests(&mut search), None);
        for (part, shelf) in search.world.places(0).collect::<Vec<_>>() {
            let hold = search.world.universes[0].holds.get(search.world.parts[0].get(part).hold).clone();
            if matches!(hold, payment::Hold::Voided { .. } | payment::Hold::Refunded { .. } | payment::Hold::Declined) {
                continue;
            }
            for at in search.world.steps(0, part, shelf) {
                if takes(&search.world, search.world.edge(at).act, "shipment.cancelled", Service::Inventory) {
                    (search.world.edges[at].part, search.world.edges[at].shelf) = (part, shelf);
                }
            }
        }
        let found = rests(&mut search).expect("an order waits for its goods");
        assert!(found.what.contains("every order comes to rest") && found.what.contains("need not"), "{found}");
        assert!(found.steps.iter().any(|step| step.starts_with("inventory takes shipment.cancelled")), "{found}");
    }
}
