//! Two orders that compete: every state of the two, without visiting each.
//!
//! *Why that is sound, and exact.* A step of one order reads and writes that order and the shelves, and nothing of the other
//! order. So while the shelves stay as they are, the two go their ways independently: wherever the one can be, the other can be
//! anywhere that it can be at all. The states after one history of the shelves are therefore a [`Product`]: all that the one can
//! have come to, times all that the other can. A step that changes the shelves leads from a product to the next: the one who
//! takes it is where it leads, the other where it was; then both go on as far as they can without changing them again. No two
//! products are merged that differ, so nothing is added that cannot happen. A test takes the first states of the plain search,
//! step by step, and finds each in a product.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::ControlFlow,
    rc::Rc,
};

use super::{
    Progress, Report, Settings,
    trace::Counterexample,
    universe::{Interner, QuickMap},
    world::{Edge, Kind, World},
};

mod whole;

/// All states after one history of the shelves. The sets are of what each order can have come to, by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Product {
    shelf: u32,
    sets: [u32; 2],
}

/// What one order of a product can do next.
#[derive(Default)]
struct Outlook {
    /// Where it can be once it has changed the shelves, by how they are then.
    exits: Vec<(u32, u32)>,
    /// Where nothing happens to it by itself any more.
    quiet: Vec<u32>,
    /// A step that must not be, and where from.
    wrong: Option<(u32, Edge)>,
}

/// During which of the shelves of a history, and what the order has come to.
type Place = (usize, u32);

/// A search under way.
pub(super) struct Pairs {
    world: World,
    sets: Interner<Vec<u32>>,
    products: Interner<Product>,
    /// Of each product but the first: the one before, and who changed the shelves.
    parents: Vec<(u32, usize)>,
    closed: QuickMap<(u32, u32, u32), u32>,
    outlooks: QuickMap<(u32, u32, u32), Rc<Outlook>>,
    /// Shelves and two orders that were at rest, and well.
    rests: HashSet<(u32, [u32; 2])>,
}

impl Pairs {
    pub(super) fn new(settings: Settings) -> Self {
        Self::within(World::new(settings))
    }

    fn within(world: World) -> Self {
        Self {
            world,
            sets: Interner::default(),
            products: Interner::default(),
            parents: Vec::new(),
            closed: QuickMap::default(),
            outlooks: QuickMap::default(),
            rests: HashSet::new(),
        }
    }

    pub(super) fn run(mut self, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Report {
        let (cut, mut found) = self.visit_all(watch);
        let mut depth = 0;
        if !cut && found.is_none() {
            match self.longest() {
                Ok(longest) => depth = longest,
                Err((order, part)) => found = Some(self.comes_back(order, part)),
            }
        }
        if !cut && found.is_none() && !self.world.settings.claims {
            found = self.rests_without_claims();
        }
        Report {
            settings: self.world.settings.clone(),
            states: self.states(),
            steps: self.world.edges.len() as u64,
            depth,
            fates: self.world.parts.iter().map(Interner::len).max().unwrap_or_default(),
            complete: !cut && found.is_none(),
            counterexample: found,
        }
    }

    /// Every product there is. Gives whether it was cut, and what is wrong in a single state or step.
    fn visit_all(&mut self, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> (bool, Option<Counterexample>) {
        let start = self.sets.id(&vec![0]);
        let first = self.closed_product(0, [start, start]);
        self.products.id(&first);
        self.parents.push((0, 0));
        let mut next = 0;
        while (next as usize) < self.products.len() {
            let progress = Progress { states: self.world.parts.iter().map(Interner::len).sum(), depth: next };
            if watch(progress).is_break() {
                return (true, None);
            }
            if let Some(found) = self.expand(next) {
                return (false, Some(found));
            }
            next += 1;
        }
        (false, None)
    }

    fn expand(&mut self, number: u32) -> Option<Counterexample> {
        let product = *self.products.get(number);
        let outlooks = [0, 1].map(|order| self.outlook(order, product.sets[order], product.shelf));
        for (order, outlook) in outlooks.iter().enumerate() {
            if let Some((part, edge)) = outlook.wrong {
                let mut parts = product.sets.map(|set| self.sets.get(set)[0]);
                parts[order] = part;
                let what = edge.wrong.map(|wrong| self.world.wrong(wrong).to_owned()).unwrap_or_default();
                return Some(self.counterexample(number, parts, Some((order, edge)), what));
            }
        }
        for (order, outlook) in outlooks.iter().enumerate() {
            for (shelf, set) in &outlook.exits {
                let mut sets = product.sets;
                sets[order] = *set;
                let next = self.closed_product(*shelf, sets);
                if self.products.id(&next) as usize == self.parents.len() {
                    self.parents.push((number, order));
                }
            }
        }
        self.wrong_at_rest(number, [&outlooks[0].quiet, &outlooks[1].quiet])
    }

    /// What must hold at rest, asked of each pair of these fates that was not asked before.
    fn wrong_at_rest(&mut self, number: u32, [ones, others]: [&[u32]; 2]) -> Option<Counterexample> {
        let shelf = self.products.get(number).shelf;
        for parts in ones.iter().flat_map(|one| others.iter().map(|other| [*one, *other])) {
            if !self.rests.insert((shelf, parts)) {
                continue;
            }
            if let Some(wrong) = self.world.violation(shelf, &parts) {
                return Some(self.counterexample(number, parts, None, wrong));
            }
        }
        None
    }

    fn closed_product(&mut self, shelf: u32, sets: [u32; 2]) -> Product {
        Product { shelf, sets: [self.close(0, sets[0], shelf), self.close(1, sets[1], shelf)] }
    }

    /// All that the order can come to from there while the shelves stay as they are.
    fn close(&mut self, order: usize, set: u32, shelf: u32) -> u32 {
        if let Some(closed) = self.closed.get(&(order as u32, set, shelf)) {
            return *closed;
        }
        let mut all = self.sets.get(set).clone();
        let mut seen: HashSet<u32> = all.iter().copied().collect();
        let mut next = 0;
        while next < all.len() {
            for at in self.world.steps(order, all[next], shelf) {
                let edge = self.world.edges[at];
                if edge.wrong.is_none() && edge.shelf == shelf && seen.insert(edge.part) {
                    all.push(edge.part);
                }
            }
            next += 1;
        }
        all.sort_unstable();
        let closed = self.sets.id(&all);
        self.closed.insert((order as u32, set, shelf), closed);
        closed
    }

    fn outlook(&mut self, order: usize, set: u32, shelf: u32) -> Rc<Outlook> {
        let key = (order as u32, set, shelf);
        if let Some(known) = self.outlooks.get(&key) {
            return Rc::clone(known);
        }
        let mut outlook = Outlook::default();
        let mut exits: HashMap<u32, Vec<u32>> = HashMap::new();
        for part in self.sets.get(set).clone() {
            let mut quiet = true;
            for at in self.world.steps(order, part, shelf) {
                let edge = self.world.edges[at];
                quiet &= edge.kind != Kind::Progress;
                if edge.wrong.is_some() {
                    outlook.wrong = outlook.wrong.or(Some((part, edge)));
                } else if edge.shelf != shelf {
                    exits.entry(edge.shelf).or_default().push(edge.part);
                }
            }
            outlook.quiet.extend(quiet.then_some(part));
        }
        for (shelf, mut parts) in exits {
            parts.sort_unstable();
            parts.dedup();
            outlook.exits.push((shelf, self.sets.id(&parts)));
        }
        outlook.exits.sort_unstable();
        let outlook = Rc::new(outlook);
        self.outlooks.insert(key, Rc::clone(&outlook));
        outlook
    }

    /// A way to that state of a product, and a step more: as few changes of the shelves as possible, and each order's shortest
    /// way between them.
    fn counterexample(&mut self, number: u32, parts: [u32; 2], then: Option<(usize, Edge)>, what: String) -> Counterexample {
        let (mut shelves, mut movers, mut at) = (vec![self.products.get(number).shelf], Vec::new(), number);
        while at != 0 {
            let (before, mover) = self.parents[at as usize];
            shelves.push(self.products.get(before).shelf);
            movers.push(mover);
            at = before;
        }
        shelves.reverse();
        movers.reverse();
        let mut steps = Vec::new();
        for (order, part) in parts.into_iter().enumerate() {
            let way = self.way(order, &shelves, &movers, part);
            steps.extend(way.into_iter().map(|(during, edge)| (during, order, edge)));
        }
        // Whoever changes the shelves does so last.
        steps.sort_by_key(|(during, _, edge)| (*during, edge.shelf != shelves[*during]));
        let steps: Vec<(usize, Edge)> = steps.into_iter().map(|(_, order, edge)| (order, edge)).chain(then).collect();
        Counterexample::of(&mut self.world, &steps, what)
    }

    /// One order's shortest way there through that history of the shelves: its steps, and during which shelves each is taken.
    fn way(&mut self, order: usize, shelves: &[u32], movers: &[usize], to: u32) -> Vec<(usize, Edge)> {
        let goal = (shelves.len() - 1, to);
        let mut from: HashMap<Place, (Place, Option<Edge>)> = HashMap::from([((0, 0), ((0, 0), None))]);
        let mut waiting = VecDeque::from([(0, 0)]);
        while let Some((during, part)) = waiting.pop_front().filter(|_| !from.contains_key(&goal)) {
            let mut next = Vec::new();
            if movers.get(during).is_some_and(|mover| *mover != order) {
                next.push(((during + 1, part), None));
            }
            for at in self.world.steps(order, part, shelves[during]) {
                let edge = self.world.edges[at];
                if edge.wrong.is_some() {
                    continue;
                }
                if edge.shelf == shelves[during] {
                    next.push(((during, edge.part), Some(edge)));
                } else if movers.get(during) == Some(&order) && edge.shelf == shelves[during + 1] {
                    next.push(((during + 1, edge.part), Some(edge)));
                }
            }
            for (place, edge) in next {
                from.entry(place).or_insert_with(|| {
                    waiting.push_back(place);
                    ((during, part), edge)
                });
            }
        }
        let (mut steps, mut at) = (Vec::new(), goal);
        while at != (0, 0) {
            let Some((before, edge)) = from.get(&at) else { break };
            steps.extend(edge.map(|edge| (before.0, edge)));
            at = *before;
        }
        steps.reverse();
        steps
    }
}

#[cfg(test)]
mod tests;
