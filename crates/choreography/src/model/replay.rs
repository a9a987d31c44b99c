//! The steps of a counterexample, taken again.

use super::{
    Settings,
    explore::{Search, State},
    graph::by_itself,
    states::States,
    world::Kind,
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
    let mut way = vec![state];
    for step in steps {
        let (order, edge) = search.named(state, step).unwrap_or_else(|possible| {
            panic!("`{step}` cannot happen here; what can:\n  {}", possible.join("\n  "));
        });
        if let Some(wrong) = edge.wrong {
            return Err(search.world.wrong(wrong).to_owned());
        }
        state = state.after(order, &edge);
        if !matches!(edge.kind, Kind::Repeated | Kind::AskedAgain) && way.contains(&state) {
            return Err("there is a cycle without progress".to_owned());
        }
        way.push(state);
    }
    search.ends_well(state)
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

    /// A rest is reached from there when faults stop; a state that is at rest already is well.
    fn ends_well(&mut self, state: State) -> Result<(), String> {
        let mut states = States::new();
        states.visit(state.pack(), u32::MAX);
        let (mut next, mut rests) = (0, false);
        while (next as usize) < states.len() && !rests {
            let at = State::unpack(states.get(next));
            let mut quiet = true;
            for order in 0..self.world.settings.orders {
                for step in self.world.steps(order, at.parts[order], at.shelf) {
                    let edge = self.world.edge(step);
                    quiet &= edge.kind != Kind::Progress;
                    if by_itself(&edge) {
                        states.visit(at.after(order, &edge).pack(), next);
                    }
                }
            }
            let lost = (0..self.world.settings.orders).any(|order| self.world.parts[order].get(at.parts[order]).is_lost());
            match self.violation(at).filter(|_| quiet) {
                Some(wrong) if !lost => return Err(wrong),
                Some(_) => {}
                None => rests |= quiet,
            }
            next += 1;
        }
        if rests { Ok(()) } else { Err(self.stuck(state)) }
    }
}
