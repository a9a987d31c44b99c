//! The steps of a counterexample, taken again.

use std::collections::{HashSet, VecDeque};

use super::{
    Settings,
    explore::{Search, State},
    graph::by_itself,
    repeats::pending,
    world::{Act, Edge, Kind},
};

/// Takes these steps, as a [`Counterexample`](super::Counterexample) names them, in the world of these settings.
///
/// # Errors
/// What is wrong on the way or at its end.
///
/// # Panics
/// When a step cannot be taken: the domains have changed, and the counterexample means nothing any more.
pub fn replay(settings: Settings, steps: &[&str]) -> Result<(), String> {
    let mut search = Search::new(settings);
    let mut state = State { shelf: 0, parts: [0, 0] };
    let mut waits = [0; 2];
    let mut way = vec![state];
    for step in steps {
        let (order, edge) = search.named(state, step).unwrap_or_else(|possible| {
            panic!("`{step}` cannot happen here; what can:\n  {}", possible.join("\n  "));
        });
        if let Some(wrong) = edge.wrong {
            return Err(search.world.wrong(wrong).to_owned());
        }
        waits[order] = pending(&mut search.world, order, (state.parts[order], state.shelf), edge, waits[order]);
        state = state.after(order, &edge);
        if !matches!(edge.kind, Kind::Repeated | Kind::AskedAgain) && way.contains(&state) {
            return Err("there is a cycle without progress".to_owned());
        }
        way.push(state);
    }
    search.ends_well(state, waits)
}

impl Search {
    fn named(&mut self, state: State, step: &str) -> Result<(usize, super::world::Edge), Vec<String>> {
        let mut possible = Vec::new();
        for order in 0..self.world.settings.orders {
            for at in self.world.steps(order, state.parts[order], state.shelf) {
                let edge = self.world.edge(at);
                let label = self.world.label(order, edge.act);
                if label == step {
                    return Ok((order, edge));
                }
                possible.push(label);
            }
        }
        Err(possible)
    }

    /// A rest is reached from there when faults stop; a state that is at rest already is well. `waits` is what waits for each
    /// order: without claims a state does not show it.
    fn ends_well(&mut self, state: State, waits: [u128; 2]) -> Result<(), String> {
        let mut known = HashSet::from([(state, waits)]);
        let (mut waiting, mut rests) = (VecDeque::from([(state, waits)]), false);
        while let Some((at, waits)) = waiting.pop_front().filter(|_| !rests) {
            let mut quiet = true;
            for order in 0..self.world.settings.orders {
                for step in self.world.steps(order, at.parts[order], at.shelf) {
                    let edge = self.world.edge(step);
                    let (repeated, progress) = self.comes_by_itself(&edge, waits[order]);
                    quiet &= !progress;
                    if progress || by_itself(&edge) && !repeated {
                        let mut left = waits;
                        let place = (at.parts[order], at.shelf);
                        left[order] = pending(&mut self.world, order, place, edge, waits[order]);
                        let next = (at.after(order, &edge), left);
                        if known.insert(next) {
                            waiting.push_back(next);
                        }
                    }
                }
            }
            let lost = (0..self.world.settings.orders).any(|order| self.world.parts[order].get(at.parts[order]).lost);
            match self.violation(at).filter(|_| quiet) {
                Some(wrong) if !lost => return Err(wrong),
                Some(_) => {}
                None => rests |= quiet,
            }
        }
        if rests { Ok(()) } else { Err(self.stuck(state)) }
    }

    /// Whether a step is a repeat that nobody need bring about, and whether it happens by itself. Without claims both depend on
    /// what waits.
    fn comes_by_itself(&self, edge: &Edge, waits: u128) -> (bool, bool) {
        match edge.act {
            Act::Deliver(message) if !self.world.settings.claims => {
                let waits = waits & (1 << message) != 0;
                (!waits, waits)
            }
            _ => (false, edge.kind == Kind::Progress),
        }
    }
}
