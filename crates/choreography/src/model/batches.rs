//! The rules of a batch (`saga::batch`), asked of each input in each state that the model meets.

use std::collections::{BTreeSet, HashSet};

use events::EventId;
use saga::{
    Claim, Participant,
    batch::{Arrived, Verdict},
    examples::{Tried, batch},
};
use uuid::Uuid;

/// How a batch breaks its rules, as a sentence about the service goes on. `once` is what comes of the input alone.
pub(super) fn wrong<P: Participant>(before: &P::Records, input: &P::Input, once: &Tried<P>) -> Option<&'static str> {
    let arrived = |claim: u128| Arrived { claim: Claim::Event(EventId(Uuid::from_u128(claim))), input: input.clone() };
    let (after, verdicts) = batch::<P>(before, &[arrived(1), arrived(1)], &HashSet::new());
    let Some(taken) = once.taken() else {
        if once.after != *before || after != *before {
            return Some("keeps what it changed before it refused an input");
        }
        let repeated = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Repeated));
        return repeated.then_some("takes what it refused for taken");
    };
    if after != once.after || !matches!(verdicts[..], [Verdict::Taken(_), Verdict::Repeated]) {
        return Some("takes an input twice that comes twice in one batch");
    }
    let (after, verdicts) = batch::<P>(before, &[arrived(1)], &HashSet::from([Uuid::from_u128(1)]));
    if after != *before || !matches!(verdicts[..], [Verdict::Repeated]) {
        return Some("takes an input again that has its claim");
    }
    let ids = taken.outbox.iter().map(|out| out.id.0).chain(taken.intents.iter().map(|intent| intent.id.0));
    let count = taken.outbox.len() + taken.intents.len();
    (ids.collect::<BTreeSet<_>>().len() != count).then_some("gives two of its words or calls one id")
}
