//! A participant, its inputs and its steps, as traits. `reactions!` writes the implementations.

use std::{fmt::Debug, hash::Hash, time::Duration};

use events::{CallId, Event, EventData, EventId, OrderId, SagaId, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Decision, Declaration, Records, Row};

/// One service of the choreography, as a pure function. Written by [`reactions!`](macro@crate::reactions).
pub trait Participant: Sized + Clone + Copy + Debug + Eq + Hash + Send + Sync + 'static {
    /// The table of its reactions, as data.
    const DECLARATION: Declaration;
    /// Everything that can happen to it.
    type Input: Inputs;
    /// Every call that it can ask of a partner.
    type Call: Calls;
    /// The rows that it keeps.
    type Records: Records;

    /// Marks the rows that this input needs as wanted.
    fn touches(input: &Self::Input, records: &mut Self::Records);

    /// What happens to the rows, and what comes out. Total: it answers in every state.
    fn react(records: &mut Self::Records, input: &Self::Input, ctx: &Context) -> Decision<Self>;
}

/// The closed set of inputs of one participant.
pub trait Inputs: Clone + Debug + Eq + Hash + Send + Sync + Sized + 'static {
    /// The line of the table that it belongs to.
    fn row(&self) -> &'static Row;
    /// The event as an input, if this participant reacts to it.
    fn hear(event: Event) -> Option<Self>;
    /// The deadline of that name as an input.
    fn due(name: &str, saga: SagaId) -> Option<Self>;
    /// The saga that it belongs to.
    fn saga(&self) -> Option<SagaId>;
}

/// The closed set of calls of one participant; stored as an intent until it is answered.
pub trait Calls: Clone + Debug + Eq + Hash + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// Its type's name: `AuthorizeCard`.
    fn name(&self) -> &'static str;
    /// The saga that it belongs to.
    fn saga(&self) -> SagaId;
    /// Which key it goes out under: 1, and one more for each key that burned.
    fn attempt(&self) -> u32;

    /// The idempotency key that the partner sees: the same for every *try* of one *attempt*.
    fn key(&self) -> String {
        format!("{}-{}-{}", self.saga(), self.name(), self.attempt())
    }
}

/// One type of call. It comes back as [`Answered`].
pub trait Request: Clone + Debug + Eq + Hash {
    /// What a partner can answer. Not among it: a timeout, `not found`, a bare 500. Those are no answer at all.
    type Answer: Clone + Debug + Eq + Hash + Send + Sync;
    /// The order that it is about.
    fn order(&self) -> OrderId;
    /// Which key it goes out under, from 1 on.
    fn attempt(&self) -> u32 {
        1
    }
}

/// A call with its answer: an input.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Answered<C: Request> {
    /// What was asked.
    pub call: C,
    /// What the partner said.
    pub answer: C::Answer,
}

/// A customer's or an operator's wish. It alone may be refused.
pub trait Command: Clone + Debug + Eq + Hash {
    /// The order that it is about; none when it is about no saga.
    fn order(&self) -> Option<OrderId>;
}

/// A deadline of `P`: a saga has at most one of each name.
pub trait Deadline<P> {
    /// As it is stored.
    const NAME: &'static str;
}

/// What is not pure, handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// When the batch is decided.
    pub now: Timestamp,
    /// How long a saga may stand still before its deadline passes.
    pub patience: Duration,
}

/// One step of a saga: asked for by events, it may wait for a partner, and says how it ended.
pub trait Step {
    /// Whose.
    type Of: Participant;
    /// As in the table.
    const NAME: &'static str;
}

/// A step that may have nothing to do. An undo may not: whoever waits for it would wait for ever.
#[diagnostic::on_unimplemented(
    message = "a compensation may not end in `nothing`: whoever waits for `{Self}` would wait for ever",
    label = "in an `undo`, say that it confirms",
    note = "use `say(…)` with an event of its `confirms` line, `confirmed()` if that was said before, `confirms_later()` if a call under way will lead to it"
)]
pub trait Forward: Step {}

/// A compensation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot undo anything: it is not declared with `undo`",
    label = "not an `undo`",
    note = "name a step that is declared with `undo` in the same table"
)]
pub trait Undo: Step {}

/// A step that can be taken back.
pub trait Undoable: Step {
    /// By this.
    type By: Undo;
}

/// The step declares that it says `E`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not declare that it says `{E}`",
    label = "not on its `says` or `confirms` line",
    note = "add it to the step's `says` line (in an `undo`: `confirms`) in this service's reactions.rs"
)]
pub trait Says<E: EventData>: Step {}

/// The step declares that it asks a partner to `C`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not declare that it asks a partner to `{C}`",
    label = "not on its `asks` line",
    note = "add it to the step's `asks` line in this service's reactions.rs"
)]
pub trait Asks<C: Request>: Step {
    /// The call among all that the participant makes.
    fn call(call: C) -> <Self::Of as Participant>::Call;
}

/// The proof that an input has taken effect; it commits with the effect. One mechanism for all four doors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Claim {
    /// An event, by its id.
    Event(EventId),
    /// A partner's answer, by the call that it answers.
    Answer(CallId),
    /// A deadline of a saga, by the moment that it was set for.
    Deadline {
        /// Whose.
        saga: SagaId,
        /// Which.
        name: &'static str,
        /// Set for.
        at: Timestamp,
    },
    /// A request, by who sent what where under which key. Its claim keeps the answer.
    Request {
        /// SHA-256 of principal, method, path and Idempotency-Key.
        key: [u8; 32],
        /// SHA-256 of the canonical body: the same key with another body is a mistake of the client.
        fingerprint: [u8; 32],
    },
}

impl Claim {
    /// Its id: what is stored, and the cause that ids of its effects derive from.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Event(id) => id.0,
            Self::Answer(id) => id.0,
            Self::Deadline { saga, name, at } => events::derived(saga.birth_ms(), saga.0, &format!("{name}@{}", at.micros()), 0),
            Self::Request { key, .. } => {
                let mut bytes = [0_u8; 16];
                bytes.copy_from_slice(&key[..16]);
                uuid::Builder::from_custom_bytes(bytes).into_uuid()
            }
        }
    }
}

impl<C: Request> Answered<C> {
    /// That call, so answered.
    pub fn to(call: &C, answer: C::Answer) -> Self {
        Self { call: call.clone(), answer }
    }
}
