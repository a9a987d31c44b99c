//! Every state there is, breadth first, so that what is wrong is found by a shortest way.

use std::ops::ControlFlow;

use super::{
    Progress, Report, Settings,
    graph::{acyclic, ends, reach},
    repeats,
    states::States,
    trace::Counterexample,
    world::{Edge, Kind, World},
};

/// Shelves and up to two orders in 64 bits.
const PART_BITS: u32 = 26;
const SHELF_BITS: u32 = 12;

/// A state, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct State {
    pub(super) shelf: u32,
    pub(super) parts: [u32; 2],
}

impl State {
    pub(super) fn pack(self) -> u64 {
        let fits = self.shelf < 1 << SHELF_BITS && self.parts.iter().all(|part| *part < 1 << PART_BITS);
        assert!(fits, "more than {} different fates of one order", 1 << PART_BITS);
        u64::from(self.shelf) << (2 * PART_BITS) | u64::from(self.parts[0]) << PART_BITS | u64::from(self.parts[1])
    }

    pub(super) fn unpack(state: u64) -> Self {
        let part = |shift: u32| (state >> shift) as u32 & ((1 << PART_BITS) - 1);
        Self { shelf: (state >> (2 * PART_BITS)) as u32, parts: [part(PART_BITS), part(0)] }
    }

    pub(super) fn after(mut self, order: usize, edge: &Edge) -> Self {
        self.shelf = edge.shelf;
        self.parts[order] = edge.part;
        self
    }
}

/// A search under way.
pub(super) struct Search {
    pub(super) world: World,
    pub(super) states: States,
    /// The states where nothing happens by itself any more and all is well, by number.
    pub(super) rests: Vec<u32>,
    steps: u64,
    depth: u32,
}

impl Search {
    pub(super) fn new(settings: Settings) -> Self {
        Self::within(World::new(settings))
    }

    pub(super) fn within(world: World) -> Self {
        let mut states = States::new();
        states.visit(State { shelf: 0, parts: [0, 0] }.pack(), u32::MAX);
        Self { world, states, rests: Vec::new(), steps: 0, depth: 0 }
    }

    pub(super) fn run(mut self, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Report {
        let (cut, mut found) = self.visit_all(watch);
        let complete = !cut && found.is_none();
        if complete && self.world.settings.orders == 1 {
            found = acyclic(&mut self).or_else(|| reach(&mut self)).or_else(|| ends(&mut self));
            if found.is_none() && !self.world.settings.claims {
                found = repeats::rests(&mut self);
            }
        }
        Report {
            settings: self.world.settings.clone(),
            states: self.states.len(),
            steps: self.steps,
            depth: self.depth,
            fates: self.world.parts.iter().map(super::universe::Interner::len).max().unwrap_or_default(),
            complete,
            counterexample: found,
        }
    }

    /// Visits every state there is. Gives whether it was cut, and what is wrong in a single state.
    pub(super) fn visit_all(&mut self, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> (bool, Option<Counterexample>) {
        let (mut next, mut level_ends, mut cut) = (0_u32, 1_usize, false);
        let mut found = None;
        while (next as usize) < self.states.len() && found.is_none() && !cut {
            if next as usize == level_ends {
                (level_ends, self.depth) = (self.states.len(), self.depth + 1);
            }
            if next.is_multiple_of(0x4_0000) {
                cut = watch(Progress { states: self.states.len(), depth: self.depth }).is_break();
            }
            found = self.expand(next);
            next += 1;
            cut |= self.world.settings.states_max.is_some_and(|most| self.states.len() >= most);
        }
        (cut, found)
    }

    /// Visits what follows a state; gives what is wrong there.
    fn expand(&mut self, number: u32) -> Option<Counterexample> {
        let state = State::unpack(self.states.get(number));
        let mut quiet = true;
        for order in 0..self.world.settings.orders {
            for at in self.world.steps(order, state.parts[order], state.shelf) {
                let edge = self.world.edge(at);
                self.steps += 1;
                quiet &= edge.kind != Kind::Progress;
                if let Some(wrong) = edge.wrong {
                    let what = self.world.wrong(wrong).to_owned();
                    return Some(self.counterexample(number, &[(order, edge)], what));
                }
                self.states.visit(state.after(order, &edge).pack(), number);
            }
        }
        if quiet { self.at_rest(number, state) } else { None }
    }

    /// Nothing happens by itself any more: all must be well, unless a message was lost that a deadline will make good.
    fn at_rest(&mut self, number: u32, state: State) -> Option<Counterexample> {
        let Some(wrong) = self.violation(state) else {
            self.rests.push(number);
            return None;
        };
        let lost = (0..self.world.settings.orders).any(|order| self.world.parts[order].get(state.parts[order]).lost);
        (!lost).then(|| self.counterexample(number, &[], wrong))
    }

    /// What the six invariants say to a state at rest.
    pub(super) fn violation(&self, state: State) -> Option<String> {
        self.world.violation(state.shelf, &state.parts[..self.world.settings.orders])
    }

    /// The shortest way to a state, and some steps more.
    pub(super) fn counterexample(&mut self, number: u32, then: &[(usize, Edge)], what: String) -> Counterexample {
        let mut way = vec![number];
        while let Some(parent) = self.states.parent(*way.last().unwrap_or(&number)) {
            way.push(parent);
        }
        way.reverse();
        let mut steps = Vec::with_capacity(way.len());
        for pair in way.windows(2) {
            let (from, to) = (State::unpack(self.states.get(pair[0])), self.states.get(pair[1]));
            steps.extend(self.between(from, to));
        }
        steps.extend_from_slice(then);
        Counterexample::of(&mut self.world, &steps, what)
    }

    fn between(&mut self, from: State, to: u64) -> Option<(usize, Edge)> {
        for order in 0..self.world.settings.orders {
            for at in self.world.steps(order, from.parts[order], from.shelf) {
                let edge = self.world.edge(at);
                if from.after(order, &edge).pack() == to {
                    return Some((order, edge));
                }
            }
        }
        None
    }
}
