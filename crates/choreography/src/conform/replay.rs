//! One service's log of one order, taken again. What the log does not tell is searched: which answer a partner gave, and in
//! which order inputs took effect whose batches were under way at the same time.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use events::{Event, EventId, OrderId, OrderPlaced};
use saga::{
    Claim, Context, Inputs as _, Records as _,
    batch::{Arrived, Verdict, decide, wanted},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Finding, Log, Said, Taken, Wrong,
    actor::{Known, Recorded},
};

/// A batch's time is read before it locks its sagas, and a transaction ends within 20 s: two that were decided further apart took
/// effect in that order.
const OVERLAP: Duration = Duration::from_secs(20);
/// Sets deadlines alone, which no row and no event shows.
const PATIENCE: Duration = Duration::from_secs(60);
/// A log that conforms takes about one for each input.
const TRIES_MAX: usize = 50_000;

pub(super) struct Replay<'a> {
    pub(super) order: OrderId,
    pub(super) service: &'a str,
    pub(super) log: &'a Log,
    /// By all services, about this order.
    pub(super) said: &'a HashMap<Uuid, &'a Said>,
}

/// Where the search stands.
struct At<P: Recorded> {
    /// Which inputs were taken, in this order.
    way: Vec<usize>,
    row: P::Row,
    calls: BTreeMap<Uuid, P::Call>,
}

struct Search<'a> {
    taken: Vec<&'a Taken>,
    placed: Option<OrderPlaced>,
    seen: HashSet<(Vec<usize>, String)>,
    tries: usize,
    /// What could not be taken, behind the longest run of inputs that all could.
    furthest: Option<(usize, Vec<usize>, Wrong)>,
    /// Rows that everything led to, none of which is the last one.
    ends: Vec<String>,
}

impl Replay<'_> {
    /// How many inputs there were.
    pub(super) fn run<P: Recorded>(&self) -> Result<usize, Box<Finding>> {
        self.everything_has_a_cause()?;
        let mut taken: Vec<&Taken> = self.log.taken.iter().collect();
        taken.sort_by_key(|taken| (taken.taken_at, taken.id));
        let placed = self.said.values().find_map(|said| match event(said) {
            Some(Event::OrderPlaced(placed)) => Some(placed),
            _ => None,
        });
        let mut search = Search { taken, placed, seen: HashSet::new(), tries: 0, furthest: None, ends: Vec::new() };
        let start = At::<P> { way: Vec::new(), row: P::Row::default(), calls: BTreeMap::new() };
        if self.goes_on(&mut search, &start) {
            return Ok(search.taken.len());
        }
        Err(self.named(search))
    }

    pub(super) fn finding(&self, input: Option<&Taken>, wrong: Wrong) -> Box<Finding> {
        let (service, input) = (self.service.to_owned(), input.cloned());
        Box::new(Finding { service, order: self.order, input, wrong, before: Vec::new() })
    }

    fn everything_has_a_cause(&self) -> Result<(), Box<Finding>> {
        let claims: HashSet<Uuid> = self.log.taken.iter().map(|taken| taken.id).collect();
        match self.log.said.iter().find(|said| said.causation.is_none_or(|cause| !claims.contains(&cause))) {
            Some(said) => Err(self.finding(None, Wrong::NoCause(Box::new(said.clone())))),
            None => Ok(()),
        }
    }

    fn named(&self, search: Search<'_>) -> Box<Finding> {
        let before = |way: &[usize]| {
            let last = way.len().saturating_sub(SHOWN);
            way[last..]
                .iter()
                .map(|&at| {
                    (search.taken[at].clone(), self.said_because(search.taken[at].id).map(|said| said.ty.clone()).collect())
                })
                .collect()
        };
        match &search.furthest {
            Some((at, way, wrong)) if search.ends.is_empty() => {
                Box::new(Finding { before: before(way), ..*self.finding(Some(search.taken[*at]), wrong.clone()) })
            }
            _ => {
                let all: Vec<usize> = (0..search.taken.len()).collect();
                let observed = self.log.state.as_ref().map_or_else(|| "none".to_owned(), Value::to_string);
                let wrong = Wrong::State { observed, allowed: search.ends.clone() };
                Box::new(Finding { before: before(&all), ..*self.finding(None, wrong) })
            }
        }
    }

    /// Whether everything that is left can be taken from there, and leads to the last row.
    fn goes_on<P: Recorded>(&self, search: &mut Search<'_>, at: &At<P>) -> bool {
        let mut left = (0..search.taken.len()).filter(|next| !at.way.contains(next)).peekable();
        let Some(&first) = left.peek() else { return self.ends_well::<P>(search, &at.row) };
        let mut done = at.way.clone();
        done.sort_unstable();
        if search.tries >= TRIES_MAX || !search.seen.insert((done, format!("{:?}", at.row))) {
            return false;
        }
        let until = search.taken[first].taken_at.after(OVERLAP);
        for next in left.collect::<Vec<_>>() {
            if search.taken[next].taken_at > until {
                break;
            }
            search.tries += 1;
            match self.take::<P>(search, at, next) {
                Ok(possible) => {
                    if possible.iter().any(|after| self.goes_on(search, after)) {
                        return true;
                    }
                }
                Err(wrong) if next == first && search.furthest.as_ref().is_none_or(|(known, ..)| *known < next) => {
                    search.furthest = Some((next, at.way.clone(), wrong));
                }
                Err(_) => {}
            }
        }
        false
    }

    fn ends_well<P: Recorded>(&self, search: &mut Search<'_>, row: &P::Row) -> bool {
        let observed: Option<P::Row> = match &self.log.state {
            Some(row) => serde_json::from_value(row.clone()).ok(),
            None => Some(P::Row::default()),
        };
        let well = observed.as_ref() == Some(row);
        if !well {
            let end = serde_json::to_string(row).unwrap_or_default();
            if !search.ends.contains(&end) {
                search.ends.push(end);
            }
        }
        well
    }

    /// Wherever that input may lead to: everything that was said then is said again.
    fn take<P: Recorded>(&self, search: &Search<'_>, at: &At<P>, next: usize) -> Result<Vec<At<P>>, Wrong> {
        let taken = search.taken[next];
        let said: Vec<Event> = self.said_because(taken.id).filter_map(event).collect();
        let last = self.log.state.as_ref();
        let known = Known { order: self.order, said: &said, placed: search.placed.as_ref(), last };
        let observed = self.observed(taken);
        let (mut after, mut allowed) = (Vec::new(), Vec::new());
        for input in self.inputs(taken, at, &known)? {
            let arrived = [Arrived { claim: Claim::Event(EventId(taken.id)), input }];
            let mut store = P::rows(&at.row, &known);
            let mut rows = wanted::<P>(&arrived);
            rows.load(&store);
            let ctx = Context { now: taken.taken_at, patience: PATIENCE };
            let verdict = decide(&mut rows, &arrived, &HashSet::new(), &ctx).pop();
            rows.write(&mut store);
            let would = would(verdict.as_ref());
            if would == observed {
                let mut calls = at.calls.clone();
                if let Some(Verdict::Taken(taken)) = verdict {
                    calls.extend(taken.intents.into_iter().map(|intent| (intent.id.0, intent.call)));
                }
                let way = at.way.iter().copied().chain([next]).collect();
                after.push(At { way, row: P::row(&store, self.order), calls });
            } else {
                allowed.push(format!("{} in state {}", in_words(&would), serde_json::to_string(&at.row).unwrap_or_default()));
            }
        }
        allowed.dedup();
        if after.is_empty() { Err(Wrong::Other { observed: in_words(&observed), allowed }) } else { Ok(after) }
    }

    fn inputs<P: Recorded>(&self, taken: &Taken, at: &At<P>, known: &Known<'_>) -> Result<Vec<P::Input>, Wrong> {
        let one = match taken.door.as_str() {
            "event" => {
                let said = self.said.get(&taken.id).ok_or(Wrong::NobodySaid)?;
                event(said).and_then(P::Input::hear)
            }
            "answer" => return Ok(P::answers(at.calls.get(&taken.id).ok_or(Wrong::NotAsked)?, known)),
            "deadline" => P::Input::due(&taken.ty, self.order),
            "command" => P::command(&taken.ty, known),
            _ => None,
        };
        one.map(|input| vec![input]).ok_or(Wrong::NoInput)
    }

    fn said_because(&self, claim: Uuid) -> impl Iterator<Item = &Said> {
        self.log.said.iter().filter(move |said| said.causation == Some(claim))
    }

    fn observed(&self, taken: &Taken) -> Came {
        let mut said: Vec<_> = self.said_because(taken.id).map(|said| (said.id, said.ty.clone(), said.body.clone())).collect();
        said.sort_by_key(|(id, ..)| *id);
        Came::Took { because: taken.because.clone(), said }
    }
}

/// How many inputs are shown before the one that is wrong.
const SHOWN: usize = 12;

/// What came of an input.
#[derive(PartialEq)]
enum Came {
    Took {
        because: Option<String>,
        said: Vec<(Uuid, String, Value)>,
    },
    /// It does not take effect there.
    Not(&'static str),
}

fn would<P: Recorded>(verdict: Option<&Verdict<P>>) -> Came {
    match verdict {
        Some(Verdict::Taken(taken)) => {
            let because = taken.because.and_then(|because| serde_json::to_value(because).ok()?.as_str().map(str::to_owned));
            let body = |event: &Event| serde_json::from_slice(&event.encode()).unwrap_or_default();
            let mut said: Vec<_> =
                taken.outbox.iter().map(|out| (out.id.0, out.event.info().ty.to_owned(), body(&out.event))).collect();
            said.sort_by_key(|(id, ..)| *id);
            Came::Took { because, said }
        }
        Some(Verdict::NotYet(_)) => Came::Not("wait: it came before what it stands on"),
        Some(Verdict::Contradiction(_)) => Came::Not("contradict what is known"),
        Some(Verdict::Refused(_)) => Came::Not("be refused"),
        Some(Verdict::Repeated) | None => Came::Not("do nothing"),
    }
}

fn in_words(came: &Came) -> String {
    match came {
        Came::Not(why) => format!("it would {why}"),
        Came::Took { because: Some(because), said } if said.is_empty() => format!("nothing said, because {because}"),
        Came::Took { said, .. } if said.is_empty() => "nothing said".to_owned(),
        Came::Took { said, .. } => {
            let said: Vec<String> = said.iter().map(|(id, ty, body)| format!("{ty} {id} {body}")).collect();
            format!("said {}", said.join(" and "))
        }
    }
}

fn event(said: &Said) -> Option<Event> {
    Event::decode(&said.ty, said.body.to_string().as_bytes()).ok()
}
