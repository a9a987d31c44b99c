//! What can only be seen on the whole graph of states: that there is no cycle without progress, and that the end can be
//! reached from everywhere. For one order: the graph of two is too large to go through it twice.

use events::Reason;

use super::{
    explore::{Search, State},
    trace::Counterexample,
    world::{Edge, Kind},
};

/// No way leads back to where it came from, repeats and askings-again excepted: what an order is asked again for, it waits
/// for already.
pub(super) fn acyclic(search: &mut Search) -> Option<Counterexample> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Never,
        OnTheWay,
        Done,
    }
    let mut seen = vec![Seen::Never; search.states.len()];
    // The way from the first state to here: a state, its step, and how many of its steps were taken.
    let mut way: Vec<(u32, Option<Edge>, usize)> = vec![(0, None, 0)];
    seen[0] = Seen::OnTheWay;
    while let Some((number, _, taken)) = way.last_mut() {
        let (number, at) = (*number, *taken);
        *taken += 1;
        let state = State::unpack(search.states.get(number));
        let steps = search.world.steps(0, state.parts[0], state.shelf);
        let Some(edge) = steps.into_iter().nth(at).map(|at| search.world.edge(at)) else {
            seen[number as usize] = Seen::Done;
            way.pop();
            continue;
        };
        if matches!(edge.kind, Kind::Repeated | Kind::AskedAgain) {
            continue;
        }
        let to = search.states.find(state.after(0, &edge).pack())?;
        match seen[to as usize] {
            Seen::Never => {
                seen[to as usize] = Seen::OnTheWay;
                way.push((to, Some(edge), 0));
            }
            Seen::Done => {}
            Seen::OnTheWay => {
                let begin = way.iter().position(|(on_the_way, ..)| *on_the_way == to)?;
                let mut cycle: Vec<(usize, Edge)> =
                    way[begin + 1..].iter().filter_map(|(_, edge, _)| Some((0, (*edge)?))).collect();
                cycle.push((0, edge));
                return Some(search.counterexample(to, &cycle, "there is a cycle without progress".to_owned()));
            }
        }
    }
    None
}

/// From every state that was visited a rest is reached when faults stop: by deliveries, answers and deadlines.
pub(super) fn reach(search: &mut Search) -> Option<Counterexample> {
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); search.states.len()];
    for number in 0..search.states.len() as u32 {
        let state = State::unpack(search.states.get(number));
        for at in search.world.steps(0, state.parts[0], state.shelf) {
            let edge = search.world.edge(at);
            if by_itself(&edge)
                && let Some(to) = search.states.find(state.after(0, &edge).pack())
            {
                before[to as usize].push(number);
            }
        }
    }
    let mut reaches = vec![false; search.states.len()];
    let mut waiting = search.rests.clone();
    while let Some(number) = waiting.pop() {
        if !std::mem::replace(&mut reaches[number as usize], true) {
            waiting.extend(&before[number as usize]);
        }
    }
    let stuck = reaches.iter().position(|reaches| !reaches)?;
    let what = search.stuck(State::unpack(search.states.get(stuck as u32)));
    Some(search.counterexample(stuck as u32, &[], what))
}

/// Every end that an order can come to in this world is met: a domain that never does what is asked of it is safe, and useless.
pub(super) fn ends(search: &mut Search) -> Option<Counterexample> {
    use Reason::{CaptureFailed, CustomerRequest, Expired, OutOfStock, PaymentDeclined, ShipmentRefused};
    let settings = &search.world.settings;
    let mut expected = vec![Some(CustomerRequest)];
    if settings.stock == 0 {
        expected.push(Some(OutOfStock));
    } else {
        expected.extend([None, Some(PaymentDeclined), Some(ShipmentRefused), Some(CaptureFailed)]);
    }
    expected.extend(settings.deadline.is_some_and(|early| early > 0).then_some(Some(Expired)));
    let missing = expected.into_iter().find(|end| !search.world.universes[0].ends().any(|met| met == *end))?;
    let what =
        missing.map_or("no order is ever dispatched".to_owned(), |reason| format!("no order ever ends by {}", reason.as_str()));
    Some(search.counterexample(0, &[], what))
}

/// Needs nobody: neither a customer, nor the warehouse, nor a fault.
pub(super) fn by_itself(edge: &Edge) -> bool {
    matches!(edge.kind, Kind::Progress | Kind::AskedAgain) || edge.act == super::world::Act::Overdue
}

impl Search {
    /// What is wrong in a state that no rest can be reached from, once nothing waits any more.
    pub(super) fn stuck(&mut self, mut state: State) -> String {
        let mut seen = Vec::new();
        while !seen.contains(&state.pack()) {
            seen.push(state.pack());
            let steps = self.world.steps(0, state.parts[0], state.shelf);
            let progress = steps.map(|at| self.world.edge(at)).find(|edge| edge.kind == Kind::Progress);
            state = progress.map_or(state, |edge| state.after(0, &edge));
        }
        let what = self.violation(state).unwrap_or_else(|| "it goes round and round".to_owned());
        format!("from here no rest can be reached any more; {what}")
    }
}

/// That both find something in a broken choreography: one whose steps are ours, and some of another kind.
#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::model::{Settings, world::Act};

    fn visited() -> Search {
        let mut search = Search::new(Settings { deadline: Some(0), lapse: false, burns: false, ..Settings::one_order() });
        let (cut, found) = search.visit_all(&mut |_| ControlFlow::Continue(()));
        assert!(!cut && found.is_none(), "{found:?}");
        search
    }

    /// Makes another choreography of ours: those steps are changed.
    fn change(search: &mut Search, steps: impl Fn(&Edge) -> bool, to: impl Fn(&mut Edge)) {
        search.world.edges.iter_mut().filter(|edge| steps(edge)).for_each(to);
    }

    #[test]
    fn an_order_that_is_forgotten_on_the_way_begins_again_for_ever() {
        let mut search = visited();
        assert_eq!(acyclic(&mut search), None);
        change(&mut search, |edge| matches!(edge.act, Act::Answer(_)), |edge| (edge.shelf, edge.part) = (0, 0));
        let found = acyclic(&mut search).expect("there is a cycle now");
        assert_eq!(found.what, "there is a cycle without progress");
        assert!(found.steps.last().is_some_and(|step| step.contains("takes the answer")), "{found}");
    }

    #[test]
    fn an_order_whose_answers_need_somebody_does_not_come_to_rest() {
        let mut search = visited();
        assert_eq!(reach(&mut search), None);
        change(&mut search, |edge| matches!(edge.act, Act::Answer(_)), |edge| edge.kind = Kind::Outside);
        let found = reach(&mut search).expect("nobody brings the answers");
        assert!(found.what.starts_with("from here no rest can be reached any more"), "{found}");
    }
}
