//! What every reaction must stand, made from its declaration: it is repeated, it is undone, and it is undone twice
//! (after Oxide's Omicron, `sagas/test_helpers.rs`). Claims are off: it is the states that must know a repeat.
//! Steps that are *alone* and deadlines are excepted, for those may add; their claims keep them from it.

use std::collections::{BTreeSet, HashSet};

use crate::{
    Because, Door, Inputs, Kind, Participant, StepDecl,
    examples::{Examples, Tried, attempt, word},
};

/// Every input, in every state, twice: the second time changes nothing and asks nothing, and says nothing but what is
/// answered again by rule. The faults, a sentence each.
pub fn repeated<P: Participant>(examples: &Examples<P>) -> Vec<String> {
    let mut faults = Faults::new(examples);
    let cases = examples.states.iter().flat_map(|state| examples.inputs.iter().map(move |(_, input)| (state, input)));
    for (state, input) in cases.filter(|(_, input)| !may_add::<P>(input)) {
        let once = attempt::<P>(state, input);
        if once.taken().is_some() {
            faults.check_again(&once.after, input);
        }
    }
    faults.found
}

/// From every state that forward steps and answers lead to, every undo that may come then leads to a clean state, and
/// confirms exactly once. The faults, a sentence each.
pub fn undone<P: Participant>(examples: &Examples<P>) -> Vec<String> {
    let mut faults = Faults::new(examples);
    for (from, undo, input) in to_undo(examples) {
        let Some(end) = from.then(input).map(|after| after.settled(examples)) else { continue };
        faults.check_clean(&end, undo, input, &from.rows);
        let words = end.said.iter().filter(|said| undo.says.iter().any(|info| info.name == **said)).count();
        if words != 1 && !(words == 0 && known(examples, input, &attempt(&from.rows, input))) {
            faults.add(input, &from.rows, &format!("`{}` confirmed {words} times, not once: {:?}", undo.name, end.said));
        }
    }
    faults.found
}

/// As [`undone`], but the undo comes twice before anything else, and once more when all is settled: it leads to the same
/// state by the same calls, and whoever asks again is told again. The faults, a sentence each.
pub fn undone_twice<P: Participant>(examples: &Examples<P>) -> Vec<String> {
    let mut faults = Faults::new(examples);
    for (from, undo, input) in to_undo(examples) {
        let Some(once) = from.then(input) else { continue };
        let twice = once.then(input).map(|after| after.settled(examples));
        let once = once.settled(examples);
        if twice.is_none_or(|twice| (&twice.rows, twice.asked) != (&once.rows, once.asked)) {
            faults.add(input, &from.rows, "asked for twice at once, the undo ends otherwise than asked for once");
        }
        faults.check_again(&once.rows, input);
        let again = attempt::<P>(&once.rows, input);
        let told = again.said().filter(|event| undo.says.iter().any(|info| info.ty == event.info().ty)).count();
        if told != 1 && !known(examples, input, &again) {
            faults.add(input, &once.rows, &format!("after the end it is not told that `{}` is done", undo.name));
        }
    }
    faults.found
}

/// It has confirmed before, and this is none of the events that are answered again.
fn known<P: Participant>(examples: &Examples<P>, input: &P::Input, tried: &Tried<P>) -> bool {
    let confirmed = tried.taken().is_some_and(|taken| taken.because == Some(Because::Confirmed));
    confirmed && !examples.answered_again.contains(&word::<P>(input))
}

fn may_add<P: Participant>(input: &P::Input) -> bool {
    let row = input.row();
    row.door == Door::Deadline || P::DECLARATION.step(row.step).is_some_and(|step| step.kind == Kind::Alone)
}

/// A place on the way: the rows, the calls that are open, and what has been said and asked since an undo came.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Place<P: Participant> {
    rows: P::Records,
    open: Vec<P::Call>,
    said: Vec<&'static str>,
    asked: usize,
}

impl<P: Participant> Place<P> {
    fn start(rows: &P::Records) -> Self {
        Self { rows: rows.clone(), open: Vec::new(), said: Vec::new(), asked: 0 }
    }

    /// After that input; none when it may not come here.
    fn then(&self, input: &P::Input) -> Option<Self> {
        let tried = attempt::<P>(&self.rows, input);
        tried.taken()?;
        let mut next = Self { rows: tried.after.clone(), ..self.clone() };
        next.said.extend(tried.said().map(|event| event.info().name));
        next.open.extend(tried.asked().cloned());
        next.asked += tried.asked().count();
        Some(next)
    }

    /// After the answer `of` to an open call.
    fn answered(&self, call: usize, answer: &P::Input) -> Option<Self> {
        let mut without = self.clone();
        without.open.remove(call);
        without.then(answer)
    }

    /// Once every open call, and every call that follows, is answered as hoped.
    fn settled(mut self, examples: &Examples<P>) -> Self {
        while let Some(answer) = self.open.first().and_then(|call| (examples.answers)(call).into_iter().next()) {
            match self.answered(0, &answer) {
                Some(next) => self = next,
                None => break,
            }
        }
        self
    }
}

/// Each place that forward steps which an undo takes back lead to, with that undo and each event that asks for it.
fn to_undo<P: Participant>(examples: &Examples<P>) -> Vec<(Place<P>, &'static StepDecl, &P::Input)> {
    let undos = P::DECLARATION.steps.iter().filter(|step| step.kind == Kind::Undo);
    undos
        .flat_map(|undo| {
            let askings: Vec<_> = (examples.inputs.iter().map(|(_, input)| input))
                .filter(|input| input.row().step == undo.name && input.row().door != Door::Answer)
                .collect();
            let places = forward(examples, undo);
            places.into_iter().flat_map(move |place| askings.clone().into_iter().map(move |input| (place.clone(), undo, input)))
        })
        .collect()
}

/// Every place that inputs of the steps which this undo takes back, and all answers, can lead to.
fn forward<P: Participant>(examples: &Examples<P>, undo: &StepDecl) -> HashSet<Place<P>> {
    let steps: BTreeSet<_> =
        P::DECLARATION.steps.iter().filter(|step| step.undone_by == Some(undo.name)).map(|step| step.name).collect();
    let inputs: Vec<_> = (examples.inputs.iter().map(|(_, input)| input))
        .filter(|input| steps.contains(input.row().step) && input.row().door != Door::Answer)
        .collect();
    let mut known = HashSet::new();
    let mut waiting: Vec<_> = examples.starts().map(Place::start).collect();
    while let Some(place) = waiting.pop() {
        let place = Place { said: Vec::new(), asked: 0, ..place };
        if !known.insert(place.clone()) {
            continue;
        }
        waiting.extend(inputs.iter().filter_map(|&input| place.then(input)));
        for (at, call) in place.open.iter().enumerate() {
            waiting.extend(examples.possible(call).iter().filter_map(|answer| place.answered(at, answer)));
        }
    }
    known
}

struct Faults<'a, P: Participant> {
    examples: &'a Examples<P>,
    found: Vec<String>,
}

impl<'a, P: Participant> Faults<'a, P> {
    fn new(examples: &'a Examples<P>) -> Self {
        Self { examples, found: Vec::new() }
    }

    fn add(&mut self, input: &P::Input, state: &P::Records, what: &str) {
        self.found.push(format!("{} in `{}`: {what}", word::<P>(input), (self.examples.label)(state)));
    }

    /// The input comes again to where it has been taken.
    fn check_again(&mut self, state: &P::Records, input: &P::Input) {
        let again = attempt::<P>(state, input);
        if again.after != *state {
            let to = (self.examples.label)(&again.after);
            self.add(input, state, &format!("its repeat changes the state, to `{to}`"));
        }
        if let Some(call) = again.asked().next() {
            self.add(input, state, &format!("its repeat asks {call:?}"));
        }
        if again.said().next().is_some() && !self.examples.answered_again.contains(&word::<P>(input)) {
            self.add(input, state, "its repeat says something, and it is not among those that are answered again");
        }
        if again.taken().is_none() {
            self.add(input, state, "it was taken, and its repeat is not");
        }
    }

    fn check_clean(&mut self, end: &Place<P>, undo: &StepDecl, input: &P::Input, state: &P::Records) {
        if !end.open.is_empty() || !(self.examples.clean)(&end.rows) {
            let left = (self.examples.label)(&end.rows);
            self.add(input, state, &format!("`{}` leaves `{left}`, and {} calls open", undo.name, end.open.len()));
        }
    }
}

/// The table of one participant as a test, compared with the committed file of the crate. With `UPDATE_TABLES=1` a table
/// that differs is written anew, to be reviewed, and the test fails all the same.
#[macro_export]
macro_rules! reviewed_table {
    ($table:literal, $examples:expr) => {
        #[test]
        fn every_input_in_every_state() {
            let table = $crate::table::table(&$examples).unwrap_or_else(|gaps| panic!("{gaps:#?}"));
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/", $table);
            let committed = std::fs::read_to_string(file).unwrap_or_default();
            if let Err(differences) = $crate::table::unchanged(&committed, &table) {
                if std::env::var_os("UPDATE_TABLES").is_some() {
                    std::fs::write(file, &table).expect("the crate's own directory can be written");
                    panic!("{differences}\n{} is written anew: review it", $table);
                }
                panic!("{differences}\nif that is what you mean: UPDATE_TABLES=1, then review {}", $table);
            }
        }
    };
}

/// All tests of one participant, from its examples: the table, as [`reviewed_table!`](crate::reviewed_table), and every trial.
///
/// ```text
/// saga::trials!("src/domain.table.txt", payment::examples::examples());
/// ```
#[macro_export]
macro_rules! trials {
    ($table:literal, $examples:expr) => {
        $crate::reviewed_table!($table, $examples);

        #[test]
        fn repeated() {
            assert_eq!($crate::trials::repeated(&$examples), Vec::<String>::new());
        }

        #[test]
        fn undone() {
            assert_eq!($crate::trials::undone(&$examples), Vec::<String>::new());
        }

        #[test]
        fn undone_twice() {
            assert_eq!($crate::trials::undone_twice(&$examples), Vec::<String>::new());
        }

        #[test]
        fn in_any_order() {
            let explored = $crate::explore::explore(&$examples);
            assert_eq!(explored.faults, Vec::<String>::new(), "in {} places", explored.places);
        }
    };
}
