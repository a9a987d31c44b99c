//! What is known once every product was visited: how many states there are, and that no way goes round.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Kind, Pairs};
use crate::model::{repeats, trace::Counterexample};

impl Pairs {
    /// How many different states the products hold. Products of one history may share some with those of another.
    pub(super) fn states(&self) -> usize {
        let mut by_shelf: BTreeMap<u32, BTreeMap<u32, Vec<u32>>> = BTreeMap::new();
        for number in 0..self.products.len() as u32 {
            let product = self.products.get(number);
            by_shelf.entry(product.shelf).or_default().entry(product.sets[0]).or_default().push(product.sets[1]);
        }
        by_shelf.values().map(|products| self.states_with(products)).sum()
    }

    /// Of those with the same shelves: for each place of the one order, all that the other can be at.
    fn states_with(&self, products: &BTreeMap<u32, Vec<u32>>) -> usize {
        let mut others: HashMap<u32, BTreeSet<u32>> = HashMap::new();
        for (ones, sets) in products {
            for one in self.sets.get(*ones) {
                others.entry(*one).or_default().extend(sets);
            }
        }
        let mut alike: HashMap<BTreeSet<u32>, usize> = HashMap::new();
        for sets in others.into_values() {
            *alike.entry(sets).or_default() += 1;
        }
        let together = |sets: &BTreeSet<u32>| {
            let mut all: Vec<u32> = sets.iter().flat_map(|set| self.sets.get(*set)).copied().collect();
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        alike.iter().map(|(sets, count)| together(sets) * count).sum()
    }

    /// How many steps a way can have at most. There is no longer one because no order comes back to where it was, whatever the
    /// other does to the shelves meanwhile; so every way ends, and where it ends all is well.
    /// Else which order comes back, and where to.
    pub(super) fn longest(&self) -> Result<u32, (usize, u32)> {
        let of = |order: usize| self.longest_of(order).map_err(|part| (order, part));
        Ok(of(0)? + of(1)?)
    }

    /// One order's; or where it comes back to.
    fn longest_of(&self, order: usize) -> Result<u32, u32> {
        let count = self.world.parts[order].len();
        let mut after: Vec<Vec<u32>> = vec![Vec::new(); count];
        for (part, steps) in self.world.expanded(order) {
            let edges = self.world.edges[steps].iter();
            let onward = edges.filter(|edge| !matches!(edge.kind, Kind::Repeated | Kind::AskedAgain));
            after[part as usize].extend(onward.map(|edge| edge.part));
        }
        let mut before = vec![0_u32; count];
        for next in after.iter_mut() {
            next.sort_unstable();
            next.dedup();
            next.iter().for_each(|part| before[*part as usize] += 1);
        }
        let mut steps = vec![0_u32; count];
        let mut free: Vec<usize> = (0..count).filter(|part| before[*part] == 0).collect();
        while let Some(part) = free.pop() {
            for next in after[part].iter().map(|next| *next as usize) {
                steps[next] = steps[next].max(steps[part] + 1);
                before[next] -= 1;
                if before[next] == 0 {
                    free.push(next);
                }
            }
        }
        match before.iter().position(|left| *left > 0) {
            Some(left) => Err(on_a_cycle(left, &after, &before)),
            None => Ok(steps.into_iter().max().unwrap_or_default()),
        }
    }

    /// The shortest way to where the cycle begins.
    pub(super) fn comes_back(&mut self, order: usize, part: u32) -> Counterexample {
        let holds = |number: &u32| {
            let set = self.products.get(*number).sets[order];
            self.sets.get(set).binary_search(&part).is_ok()
        };
        let number = (0..self.products.len() as u32).find(holds).unwrap_or_default();
        let mut parts = self.products.get(number).sets.map(|set| self.sets.get(set)[0]);
        parts[order] = part;
        self.counterexample(number, parts, None, "there is a cycle without progress".to_owned())
    }

    /// What must hold at rest does so wherever everything said may be gone (`repeats.rs`), and nothing goes round.
    pub(super) fn rests_without_claims(&mut self) -> Option<Counterexample> {
        let gone = [0, 1].map(|order| repeats::gone(&mut self.world, order));
        for number in 0..self.products.len() as u32 {
            let product = *self.products.get(number);
            let [ones, others] = [0, 1].map(|order: usize| {
                let all = self.sets.get(product.sets[order]).iter().copied();
                all.filter(|part| repeats::may_rest(&self.world, order, *part, &gone[order])).collect::<Vec<u32>>()
            });
            if let Some(found) = self.wrong_at_rest(number, [&ones, &others]) {
                return Some(found);
            }
        }
        self.goes_round()
    }

    fn goes_round(&mut self) -> Option<Counterexample> {
        for order in [0, 1] {
            for (part, shelf) in self.world.places(order).collect::<Vec<_>>() {
                if repeats::goes_round(&mut self.world, order, part, shelf) {
                    return Some(self.comes_back(order, part));
                }
            }
        }
        None
    }
}

/// Where a cycle begins. What is left lies on one or behind one, so each has one before it that is left: whoever goes back for
/// long enough is on a cycle.
fn on_a_cycle(left: usize, after: &[Vec<u32>], before: &[u32]) -> u32 {
    let mut back = vec![0; after.len()];
    for part in (0..after.len()).filter(|part| before[*part] > 0) {
        after[part].iter().for_each(|next| back[*next as usize] = part);
    }
    let on_it = (0..after.len()).fold(left, |part, _| back[part]);
    let mut cycle = vec![on_it];
    while back[cycle[cycle.len() - 1]] != on_it {
        cycle.push(back[cycle[cycle.len() - 1]]);
    }
    cycle.into_iter().min().unwrap_or(on_it) as u32
}
