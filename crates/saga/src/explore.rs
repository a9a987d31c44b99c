//! One participant alone, under everything that can happen to it: its events in any order, each once or twice, every
//! answer to every call, each once or twice. The whole choreography is checked elsewhere; this finds within a moment
//! what a single domain forgot.

use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::{
    Because, Calls, Door, Inputs, Kind, Participant,
    batch::Verdict,
    examples::{Examples, Tried, attempt, word},
};

/// How far it got.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// How many places there are.
    pub places: usize,
    /// What is wrong, a sentence each with the inputs that lead there.
    pub faults: Vec<String>,
}

/// A place: the rows, how often each input came, and the calls with how often each was answered, and how.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place<P: Participant> {
    rows: P::Records,
    came: Vec<u8>,
    calls: BTreeMap<String, Open<P>>,
    owes: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Open<P: Participant> {
    call: P::Call,
    answer: Option<P::Input>,
    answered: u8,
}

/// Visits every place, breadth first, and checks in each:
/// an undo that was accepted is confirmed once no call is open (or a failure word closed the participant);
/// no call is asked twice under one key; no repeat of an answer is refused.
pub fn explore<P: Participant>(examples: &Examples<P>) -> Explored {
    let inputs: Vec<_> = (examples.inputs.iter().map(|(_, input)| input))
        .filter(|input| input.row().door == Door::Event && input.saga().is_some())
        .collect();
    let mut explored = Explored::default();
    let mut known = HashSet::new();
    let start =
        |rows: &P::Records| Place { rows: rows.clone(), came: vec![0; inputs.len()], calls: BTreeMap::new(), owes: false };
    let mut waiting: VecDeque<(Place<P>, Vec<&'static str>)> = examples.starts().map(|rows| (start(rows), Vec::new())).collect();
    while let Some((place, path)) = waiting.pop_front() {
        if !known.insert(place.clone()) {
            continue;
        }
        if place.owes && place.calls.values().all(|open| open.answered > 0) {
            explored.faults.push(format!("`{}`: an undo is never confirmed, after {path:?}", (examples.label)(&place.rows)));
        }
        for (input, mut next) in place.nexts(&inputs, examples) {
            let tried = attempt::<P>(&place.rows, &input);
            let mut path = path.clone();
            path.push(word::<P>(&input));
            for call in next.take(&input, &tried, examples) {
                explored.faults.push(format!("`{call}` is asked twice, after {path:?}"));
            }
            waiting.push_back((next, path));
        }
    }
    explored.places = known.len();
    explored
}

impl<P: Participant> Place<P> {
    /// Each input that may come next, with the place as it is but for having come.
    fn nexts(&self, inputs: &[&P::Input], examples: &Examples<P>) -> Vec<(P::Input, Self)> {
        let mut nexts = Vec::new();
        for (at, input) in inputs.iter().enumerate().filter(|(at, _)| self.came[*at] < 2) {
            let mut next = self.clone();
            next.came[at] += 1;
            nexts.push(((*input).clone(), next));
        }
        for (key, open) in self.calls.iter().filter(|(_, open)| open.answered < 2) {
            // What a partner answered once under a key it answers again.
            let answers = open.answer.clone().map_or_else(|| examples.possible(&open.call), |answer| vec![answer]);
            for answer in answers {
                let mut next = self.clone();
                let answered = Open { call: open.call.clone(), answer: Some(answer.clone()), answered: open.answered + 1 };
                next.calls.insert(key.clone(), answered);
                nexts.push((answer, next));
            }
        }
        nexts
    }

    /// Notes what the input did; gives the calls that were asked before.
    fn take(&mut self, input: &P::Input, tried: &Tried<P>, examples: &Examples<P>) -> Vec<String> {
        self.rows = tried.after.clone();
        let undo = P::DECLARATION.step(input.row().step).filter(|step| step.kind == Kind::Undo);
        let accepted = match &tried.verdict {
            Verdict::Taken(taken) => taken.because != Some(Because::Confirmed),
            Verdict::Repeated | Verdict::NotYet(_) | Verdict::Contradiction(_) | Verdict::Refused(_) => false,
        };
        self.owes |= undo.is_some() && accepted;
        let confirms = |name: &str| {
            let mut undos = P::DECLARATION.steps.iter().filter(|step| step.kind == Kind::Undo);
            undos.any(|undo| undo.says.iter().any(|info| info.name == name))
        };
        if tried.said().any(|event| confirms(event.info().name) || examples.closing.contains(&event.info().name)) {
            self.owes = false;
        }
        let mut twice = Vec::new();
        for call in tried.asked() {
            let open = Open { call: call.clone(), answer: None, answered: 0 };
            if self.calls.insert(call.key(), open).is_some() {
                twice.push(call.key());
            }
        }
        twice
    }
}
