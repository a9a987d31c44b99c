//! How a batch of inputs is taken, as two pure halves with the store's load between them: [`wanted`], then [`decide`], or
//! [`decide_unseen`] and rarely [`decide`].
//! Production, model and simulator all take their batches here.

use std::{collections::HashSet, hash::BuildHasher};

use events::{CallId, Event, EventId, SagaId, derived, named};
use uuid::Uuid;

use crate::{Because, Calls, Claim, Context, Decision, Effects, Inputs, Participant, Problem, Receipt, Records, Wake};

/// An input that waits for its turn.
#[derive(Clone, Debug)]
pub struct Arrived<P: Participant> {
    /// The proof that it has taken effect, once it has.
    pub claim: Claim,
    /// What came.
    pub input: P::Input,
}

/// What became of one input.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict<P: Participant> {
    /// It takes effect now, with its claim.
    Taken(Taken<P>),
    /// It took effect before.
    Repeated,
    /// It came before what it stands on. Nothing changed; no claim.
    NotYet(Because),
    /// It cannot be true. Nothing changed; no claim.
    Contradiction(Because),
    /// A command was refused. Nothing changed; no claim.
    Refused(Problem),
}

/// The effects of one input, with the ids that they derive from its claim.
#[derive(Clone, PartialEq, Debug)]
pub struct Taken<P: Participant> {
    /// Why nothing left the house, if nothing did.
    pub because: Option<Because>,
    /// To publish.
    pub outbox: Vec<Outgoing>,
    /// To ask of a partner.
    pub intents: Vec<Intent<P>>,
    /// Deadlines of the input's saga.
    pub wakes: Vec<Wake>,
    /// What whoever commanded is told.
    pub receipt: Option<Receipt>,
    /// A person should look at this.
    pub alarm: Option<&'static str>,
}

/// An event on its way out.
#[derive(Clone, PartialEq, Debug)]
pub struct Outgoing {
    /// Derived: the same whenever the same input is taken in the same state.
    pub id: EventId,
    /// What it says.
    pub event: Event,
    /// The claim of the input that led to it.
    pub causation: Uuid,
}

/// A call that is to be made. The id is the claim of its answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Intent<P: Participant> {
    /// Derived.
    pub id: CallId,
    /// What to ask.
    pub call: P::Call,
}

/// The rows that these inputs need, marked as wanted and not yet loaded.
pub fn wanted<P: Participant>(arrived: &[Arrived<P>]) -> P::Records {
    let mut records = P::Records::default();
    for one in arrived {
        P::touches(&one.input, &mut records);
    }
    records
}

/// Decides input by input over the loaded rows; afterwards they hold what is to be written. `claimed` are those *of this
/// batch* that had been taken before. A claim that comes twice in one batch is taken once. One verdict for each input, in order.
///
/// # Panics
/// When `touches` did not want a row that a verb uses. The batch must then be given up: what was decided is void.
pub fn decide<P: Participant>(
    records: &mut P::Records,
    arrived: &[Arrived<P>],
    claimed: &HashSet<Uuid, impl BuildHasher>,
    ctx: &Context,
) -> Vec<Verdict<P>> {
    let mut taken = HashSet::new();
    arrived
        .iter()
        .map(|one| {
            let claim = one.claim.id();
            if claimed.contains(&claim) || taken.contains(&claim) {
                return Verdict::Repeated;
            }
            records.begin();
            let verdict = match P::react(records, &one.input, ctx) {
                Decision::Done(effects) => Verdict::Taken(with_ids(claim, None, effects)),
                Decision::Nothing(because, effects) => Verdict::Taken(with_ids(claim, Some(because), effects)),
                Decision::NotYet(because) => Verdict::NotYet(because),
                Decision::Contradiction(because) => Verdict::Contradiction(because),
                Decision::Refused(problem) => Verdict::Refused(problem),
            };
            match &verdict {
                // Alone, it meets no repeat of itself.
                Verdict::Taken(_) if arrived.len() == 1 => {}
                Verdict::Taken(_) => {
                    taken.insert(claim);
                }
                _ => records.rollback(),
            }
            verdict
        })
        .collect()
}

/// Decides as [`decide`] does, when nobody has looked which claims had been taken before; `void` are those that are known to be
/// nothing any more. What comes out stands if, when it is written, the claim of everything that is taken is new. Otherwise, and
/// where there is none, because something would be refused that may be a repeat: load again, look, and [`decide`].
///
/// # Panics
/// As [`decide`].
pub fn decide_unseen<P: Participant>(
    records: &mut P::Records,
    arrived: &[Arrived<P>],
    void: &HashSet<Uuid, impl BuildHasher>,
    ctx: &Context,
) -> Option<Vec<Verdict<P>>> {
    let verdicts = decide(records, arrived, void, ctx);
    if verdicts.iter().any(Verdict::is_refusal) { None } else { Some(verdicts) }
}

fn with_ids<P: Participant>(claim: Uuid, because: Option<Because>, effects: Effects<P>) -> Taken<P> {
    let Effects { events, calls, wakes, receipt, alarm } = effects;
    let outbox = events.into_iter().zip(0..).map(|(event, ordinal)| Outgoing {
        id: event_id(claim, &event, ordinal),
        event,
        causation: claim,
    });
    let intents = calls
        .into_iter()
        .zip(0..)
        .map(|(call, ordinal)| Intent { id: CallId(derived(call.saga().birth_ms(), claim, call.name(), ordinal)), call });
    Taken { because, outbox: outbox.collect(), intents: intents.collect(), wakes, receipt, alarm }
}

fn event_id(claim: Uuid, event: &Event, ordinal: u32) -> EventId {
    let ty = event.info().ty;
    EventId(match event.identity() {
        Some(identity) => named(ty, &identity),
        None => derived(event.order().map_or(0, SagaId::birth_ms), claim, ty, ordinal),
    })
}

impl<P: Participant> Verdict<P> {
    const fn is_refusal(&self) -> bool {
        match self {
            Self::NotYet(_) | Self::Contradiction(_) | Self::Refused(_) => true,
            Self::Taken(_) | Self::Repeated => false,
        }
    }
}

impl<P: Participant> Arrived<P> {
    /// The saga that it belongs to.
    pub fn saga(&self) -> Option<SagaId> {
        self.input.saga()
    }
}
