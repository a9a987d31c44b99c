//! One service as it is simulated: its rows, its claims, its open calls and deadlines in memory. What it does with a batch is
//! the production functions' word: want, load, decide, write.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    mem::{Discriminant, discriminant},
};

use events::{CallId, Event, EventId, OrderId, Timestamp};
use foldhash::fast::FixedState;
use saga::{
    Because, Calls as _, Claim, Context, Declaration, Inputs as _, Participant, Records as _, Row,
    batch::{Arrived, Outgoing, Taken, Verdict, decide, decide_unseen, wanted},
    examples::{name_of, names_of},
};
use uuid::Uuid;

use super::actor::{Actor, Wish};
use crate::{Snapshot, partners::Word};

/// What comes to a service.
#[derive(Clone, Copy, Debug)]
pub(super) enum Coming<'a> {
    Event(EventId, &'a Event),
    Answer(CallId),
    Deadline(OrderId, &'static str, Timestamp),
    /// With the number of the request, which its Idempotency-Key is made of.
    Wish(u32, &'a Wish),
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Took {
    pub(super) saga: Option<OrderId>,
    /// Of the declaration's rows.
    pub(super) row: usize,
    /// How the saga stood, by number, and stands.
    pub(super) states: (usize, usize),
    pub(super) fate: Fate,
    pub(super) because: Option<Because>,
    pub(super) said: Vec<Outgoing>,
    pub(super) asked: Vec<CallId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Taken,
    Repeated,
    NotYet,
    Contradiction,
    Refused,
}

/// A service, whichever it is.
pub(super) trait Seat {
    fn declaration(&self) -> &'static Declaration;
    fn hears(&self, ty: &str) -> bool;
    fn records(&self) -> &dyn Any;
    fn records_mut(&mut self) -> &mut dyn Any;
    fn partner(&self) -> &dyn Any;
    fn partner_mut(&mut self) -> &mut dyn Any;
    /// Whether that wish is for this service.
    fn is_asked(&self, wish: &Wish) -> bool;
    /// Takes a batch; claims that are there are heeded if so said.
    fn take(&mut self, batch: &[Coming<'_>], claims: bool, ctx: &Context) -> Vec<Took>;
    /// What the partner can make of a call.
    fn possible(&self, call: CallId) -> &'static [Word];
    /// The partner does that.
    fn execute(&mut self, call: CallId, word: Word) -> Result<(), &'static str>;
    /// What the partner did, if it has.
    fn word(&self, call: CallId) -> Option<Word>;
    fn call_name(&self, call: CallId) -> &'static str;
    /// Of the row that asked.
    fn call_row(&self, call: CallId) -> usize;
    fn calls_open(&self, order: OrderId) -> usize;
    fn claimed(&self, event: EventId) -> bool;
    /// Each deadline that is set.
    fn deadlines(&self) -> &BTreeMap<(OrderId, &'static str), Timestamp>;
    fn state_name(&self, state: usize) -> &str;
    fn states(&self) -> usize;
    fn show(&self, order: OrderId) -> String;
    fn wrong_at_rest(&self, whole: &Snapshot) -> Vec<String>;
    /// Back to the beginning.
    fn clear(&mut self);
}

struct Asked<P: Participant> {
    call: P::Call,
    row: usize,
    word: Option<Word>,
}

pub(super) struct Simulated<P: Actor> {
    records: P::Records,
    claims: HashSet<Uuid, FixedState>,
    calls: HashMap<CallId, Asked<P>, FixedState>,
    /// Those that have not been answered.
    open: Vec<(OrderId, CallId)>,
    deadlines: BTreeMap<(OrderId, &'static str), Timestamp>,
    partner: P::Partner,
    /// The names of all states; the first is that of an order that was never heard of.
    names: Vec<String>,
    numbers: Vec<(Discriminant<P::State>, usize)>,
    rows: Vec<(Discriminant<P::Input>, usize)>,
}

impl<P: Actor> Simulated<P> {
    pub(super) fn new() -> Self {
        let mut names: Vec<String> = names_of::<P::State>().into_iter().map(|name| name.replace('_', " ")).collect();
        if names.first().is_none_or(|first| first != ABSENT) {
            names.insert(0, ABSENT.to_owned());
        }
        Self {
            records: P::Records::default(),
            claims: HashSet::default(),
            calls: HashMap::default(),
            open: Vec::new(),
            deadlines: BTreeMap::new(),
            partner: P::Partner::default(),
            names,
            numbers: Vec::new(),
            rows: Vec::new(),
        }
    }

    fn arrived(&self, coming: &Coming<'_>, ctx: &Context) -> Arrived<P> {
        let (claim, input) = match *coming {
            Coming::Event(id, event) => (Claim::Event(id), P::Input::hear(event.clone())),
            Coming::Answer(id) => {
                let asked = self.asked(id);
                (Claim::Answer(id), asked.word.map(|word| P::answer(&asked.call, word, ctx.now)))
            }
            Coming::Deadline(saga, name, at) => (Claim::Deadline { saga, name, at }, P::Input::due(name, saga)),
            Coming::Wish(number, wish) => {
                let mut key = [0; 32];
                key[..4].copy_from_slice(&number.to_be_bytes());
                (Claim::Request { key, fingerprint: key }, P::asked(wish))
            }
        };
        Arrived { claim, input: input.expect("a service is sent only what it hears, asked for or set") }
    }

    fn asked(&self, id: CallId) -> &Asked<P> {
        self.calls.get(&id).expect("only calls that were asked are spoken of")
    }

    fn state(&mut self, order: Option<OrderId>) -> usize {
        let Some(state) = order.and_then(|order| P::state(&self.records, order)) else { return 0 };
        let tag = discriminant(state);
        if let Some((_, number)) = self.numbers.iter().find(|(known, _)| *known == tag) {
            return *number;
        }
        let name = name_of(state);
        let number = self.names.iter().position(|known| *known == name).unwrap_or_default();
        self.numbers.push((tag, number));
        number
    }

    fn row(&mut self, input: &P::Input) -> usize {
        let tag = discriminant(input);
        if let Some((_, number)) = self.rows.iter().find(|(known, _)| *known == tag) {
            return *number;
        }
        let row = input.row();
        let same = |other: &Row| other.door == row.door && other.input == row.input;
        let number = P::DECLARATION.rows.iter().position(same).unwrap_or_default();
        self.rows.push((tag, number));
        number
    }

    /// Keeps the effects of what was taken; gives what was said, and what was asked.
    fn keep(&mut self, arrived: &Arrived<P>, row: usize, taken: Taken<P>) -> (Vec<Outgoing>, Vec<CallId>) {
        self.claims.insert(arrived.claim.id());
        if let Claim::Answer(id) = arrived.claim {
            self.open.retain(|(_, open)| *open != id);
        }
        if let Claim::Deadline { saga, name, at } = arrived.claim
            && self.deadlines.get(&(saga, name)) == Some(&at)
        {
            self.deadlines.remove(&(saga, name));
        }
        for (wake, saga) in taken.wakes.iter().zip(std::iter::repeat(arrived.saga())) {
            let Some(saga) = saga else { continue };
            match wake.at {
                Some(at) => self.deadlines.insert((saga, wake.name), at),
                None => self.deadlines.remove(&(saga, wake.name)),
            };
        }
        let mut asked = Vec::new();
        for intent in taken.intents {
            // An intent is written once, as the table's key has it.
            let Entry::Vacant(unknown) = self.calls.entry(intent.id) else { continue };
            asked.push(intent.id);
            self.open.push((intent.call.saga(), intent.id));
            unknown.insert(Asked { call: intent.call, row, word: None });
        }
        (taken.outbox, asked)
    }

    /// As the chassis does: as if all of it were new, and once more where that does not stand.
    fn decided(&self, arrived: &[Arrived<P>], claims: bool, ctx: &Context) -> (P::Records, Vec<Verdict<P>>) {
        let none = HashSet::<_, FixedState>::default();
        let loaded = || {
            let mut rows = wanted::<P>(arrived);
            rows.load(&self.records);
            rows
        };
        let mut rows = loaded();
        if !claims {
            let verdicts = decide(&mut rows, arrived, &none, ctx);
            return (rows, verdicts);
        }
        let is_new = |(one, verdict): (&Arrived<P>, &Verdict<P>)| {
            !matches!(verdict, Verdict::Taken(_)) || !self.claims.contains(&one.claim.id())
        };
        match decide_unseen(&mut rows, arrived, &none, ctx) {
            Some(verdicts) if arrived.iter().zip(&verdicts).all(is_new) => (rows, verdicts),
            Some(_) | None => {
                let mut rows = loaded();
                let verdicts = decide(&mut rows, arrived, &self.claims, ctx);
                (rows, verdicts)
            }
        }
    }
}

const ABSENT: &str = "absent";

impl<P: Actor> Seat for Simulated<P> {
    fn declaration(&self) -> &'static Declaration {
        &const { P::DECLARATION }
    }

    fn hears(&self, ty: &str) -> bool {
        P::DECLARATION.is_heard(ty)
    }

    fn records(&self) -> &dyn Any {
        &self.records
    }

    fn records_mut(&mut self) -> &mut dyn Any {
        &mut self.records
    }

    fn partner(&self) -> &dyn Any {
        &self.partner
    }

    fn partner_mut(&mut self) -> &mut dyn Any {
        &mut self.partner
    }

    fn is_asked(&self, wish: &Wish) -> bool {
        P::asked(wish).is_some()
    }

    fn take(&mut self, batch: &[Coming<'_>], claims: bool, ctx: &Context) -> Vec<Took> {
        let arrived: Vec<Arrived<P>> = batch.iter().map(|coming| self.arrived(coming, ctx)).collect();
        let before: Vec<usize> = arrived.iter().map(|one| self.state(one.saga())).collect();
        let (rows, verdicts) = self.decided(&arrived, claims, ctx);
        rows.write(&mut self.records);
        let mut took = Vec::with_capacity(batch.len());
        for ((one, verdict), before) in arrived.iter().zip(verdicts).zip(before) {
            let row = self.row(&one.input);
            let (mut because, mut said, mut asked) = (None, Vec::new(), Vec::new());
            let fate = match verdict {
                Verdict::Taken(taken) => {
                    because = taken.because;
                    (said, asked) = self.keep(one, row, taken);
                    Fate::Taken
                }
                Verdict::Repeated => Fate::Repeated,
                Verdict::NotYet(why) => {
                    because = Some(why);
                    Fate::NotYet
                }
                Verdict::Contradiction(_) => Fate::Contradiction,
                Verdict::Refused(_) => Fate::Refused,
            };
            let states = (before, self.state(one.saga()));
            took.push(Took { saga: one.saga(), row, states, fate, because, said, asked });
        }
        took
    }

    fn possible(&self, call: CallId) -> &'static [Word] {
        P::possible(&self.partner, &self.asked(call).call)
    }

    fn execute(&mut self, call: CallId, word: Word) -> Result<(), &'static str> {
        let asked = self.calls.get_mut(&call);
        let asked = asked.expect("only calls that were asked are executed");
        asked.word = Some(word);
        match word {
            Word::Done => P::execute(&mut self.partner, &asked.call),
            Word::Declined | Word::Burned => Ok(()),
        }
    }

    fn word(&self, call: CallId) -> Option<Word> {
        self.asked(call).word
    }

    fn call_name(&self, call: CallId) -> &'static str {
        self.asked(call).call.name()
    }

    fn call_row(&self, call: CallId) -> usize {
        self.asked(call).row
    }

    fn calls_open(&self, order: OrderId) -> usize {
        self.open.iter().filter(|(of, _)| *of == order).count()
    }

    fn claimed(&self, event: EventId) -> bool {
        self.claims.contains(&event.0)
    }

    fn deadlines(&self) -> &BTreeMap<(OrderId, &'static str), Timestamp> {
        &self.deadlines
    }

    fn state_name(&self, state: usize) -> &str {
        &self.names[state]
    }

    fn states(&self) -> usize {
        self.names.len()
    }

    fn show(&self, order: OrderId) -> String {
        P::state(&self.records, order).map_or_else(|| ABSENT.to_owned(), |state| format!("{state:?}"))
    }

    fn wrong_at_rest(&self, whole: &Snapshot) -> Vec<String> {
        P::wrong_at_rest(&self.records, whole)
    }

    fn clear(&mut self) {
        self.records = P::Records::default();
        self.claims.clear();
        self.calls.clear();
        self.open.clear();
        self.deadlines.clear();
        self.partner = P::Partner::default();
    }
}
