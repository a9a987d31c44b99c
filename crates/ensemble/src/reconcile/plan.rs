//! In which order what was lost is taken again: as it had been taken, as far as that can be told.
//!
//! What had led to a lost event is taken where that event stands; what had led to none, where it was said itself. What a
//! partner's answer had led to is waited for. Each order goes its own way, so that one that waits holds up nobody; what several
//! may take at once, they take in the order of the whole.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde_json::Value;
use time::OffsetDateTime;

use super::Lost;

/// An event as it is handed over.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) said_at: OffsetDateTime,
    pub(super) order: Option<String>,
    pub(super) carried: Value,
}

impl Letter {
    /// That one, whose speaker has lost it too.
    pub(super) fn of(lost: &Lost) -> Self {
        Self { said_at: lost.said_at, order: lost.order.clone(), carried: lost.carried.clone() }
    }
}

/// Where a step stands: the moment, and within it (a batch has but one) the place of its event in the stream.
type Place = (OffsetDateTime, usize);

/// One step of one order.
#[derive(Clone, Debug)]
struct Step {
    at: Place,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Take(Value),
    Await(String),
}

/// What may be taken now.
#[derive(Debug)]
pub(super) struct Taking {
    at: Place,
    pub(super) carried: Value,
}

/// What is left to be done, by order.
#[derive(Debug, Default)]
pub(super) struct Steps(BTreeMap<String, VecDeque<Step>>);

/// All that is to be done about these lost events, with what the others have said about their orders.
pub(super) fn plan(lost: &[Lost], letters: &HashMap<String, Letter>) -> Steps {
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    let mut places: HashMap<&str, Place> = HashMap::new();
    for (place, one) in (1..).zip(lost) {
        let at = (one.said_at, place);
        let order = one.order.clone().unwrap_or_default();
        let cause = one.causation.as_deref();
        let what = if one.recalled {
            What::Take(one.carried.clone())
        } else if let Some(cause) = cause.filter(|cause| letters.contains_key(*cause)) {
            let first = places.entry(cause).or_insert(at);
            *first = at.min(*first);
            continue;
        } else {
            What::Await(one.id.clone())
        };
        steps.entry(order).or_default().push(Step { at, what });
    }
    for (id, letter) in letters {
        let at = places.get(id.as_str()).copied().unwrap_or((letter.said_at, 0));
        let order = letter.order.clone().unwrap_or_default();
        steps.entry(order).or_default().push(Step { at, what: What::Take(letter.carried.clone()) });
    }
    let in_order = |mut steps: Vec<Step>| {
        steps.sort_by_key(|step| step.at);
        VecDeque::from(steps)
    };
    Steps(steps.into_iter().map(|(order, steps)| (order, in_order(steps))).collect())
}

impl Steps {
    /// Removes and returns all that needs to wait for nothing, in the order of the whole.
    pub(super) fn take_free(&mut self) -> Vec<Taking> {
        let mut taking = Vec::new();
        for steps in self.0.values_mut() {
            while let Some(Step { what: What::Take(_), .. }) = steps.front() {
                let Some(Step { at, what: What::Take(carried) }) = steps.pop_front() else { break };
                taking.push(Taking { at, carried });
            }
        }
        self.0.retain(|_, steps| !steps.is_empty());
        taking.sort_by_key(|one| one.at);
        taking
    }

    /// What each order that is left waits for.
    pub(super) fn awaited(&self) -> Vec<String> {
        let heads = self.0.values().filter_map(|steps| steps.front());
        heads.filter_map(|step| if let What::Await(id) = &step.what { Some(id.clone()) } else { None }).collect()
    }

    /// Waits no longer for what is not among these. Whether anybody goes on.
    pub(super) fn go_on(&mut self, still_lost: &BTreeSet<String>) -> bool {
        let mut goes_on = false;
        for steps in self.0.values_mut() {
            let is_there = |step: &Step| matches!(&step.what, What::Await(id) if !still_lost.contains(id));
            if steps.front().is_some_and(is_there) {
                steps.pop_front();
                goes_on = true;
            }
        }
        self.0.retain(|_, steps| !steps.is_empty());
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::Fate, *};

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(second).expect("a moment")
    }

    fn lost(id: &str, order: &str, second: i64, causation: &str, recalled: bool) -> Lost {
        let carried = json!(id);
        let (service, ty, order, causation) = ("s", String::new(), Some(order.to_owned()), Some(causation.to_owned()));
        Lost {
            service,
            id: id.into(),
            ty,
            order,
            said_at: at(second),
            fate: Fate::ToAsk,
            why: None,
            carried,
            causation,
            recalled,
        }
    }

    fn letter(id: &str, order: &str, second: i64) -> (String, Letter) {
        (id.to_owned(), Letter { said_at: at(second), order: Some(order.to_owned()), carried: json!(id) })
    }

    fn taken(steps: &mut Steps) -> Vec<String> {
        steps.take_free().into_iter().map(|one| one.carried.as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn what_was_heard_is_taken_where_it_had_its_effect() {
        // The second word was said first, and came last: it led to the end.
        let letters = HashMap::from([letter("declined", "a", 10), letter("released", "a", 20), letter("reserved", "a", 5)]);
        let all = [lost("placed", "a", 1, "request", true), lost("rejected", "a", 30, "declined", false)];
        assert_eq!(taken(&mut plan(&all, &letters)), ["placed", "reserved", "released", "declined"]);
    }

    #[test]
    fn within_a_batch_the_stream_tells_who_was_first() {
        let letters = HashMap::from([letter("a's", "a", 1), letter("b's", "b", 2), letter("c's", "c", 1)]);
        let all = [lost("x", "c", 3, "c's", false), lost("y", "a", 3, "a's", false), lost("z", "b", 3, "b's", false)];
        assert_eq!(taken(&mut plan(&all, &letters)), ["c's", "a's", "b's"]);
    }

    #[test]
    fn an_order_waits_for_its_partner_and_the_others_do_not() {
        let letters = HashMap::from([letter("reserved", "a", 1), letter("scheduled", "a", 4), letter("placed", "b", 2)]);
        let all = [lost("authorized", "a", 3, "call", false), lost("b's", "b", 5, "placed", false)];
        let mut steps = plan(&all, &letters);
        assert_eq!(taken(&mut steps), ["reserved", "placed"]);
        assert_eq!(steps.awaited(), ["authorized"]);
        assert!(!steps.go_on(&BTreeSet::from(["authorized".to_owned()])));
        assert_eq!(taken(&mut steps), Vec::<String>::new());
        assert!(steps.go_on(&BTreeSet::new()));
        assert_eq!(taken(&mut steps), ["scheduled"]);
        assert!(steps.awaited().is_empty());
    }
}
