//! What comes out of a reaction. A verb returns an [`Outcome`] of its step, and only what the step declares fits in;
//! the shell sees the [`Decision`] inside.

use std::{fmt, marker::PhantomData};

use events::{Event, EventData, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Asks, Command, Deadline, Forward, Participant, Request, Says, Step, Undo};

/// Why nothing happens. One closed list, for timeline, tests and coverage alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The effect is there already.
    AlreadyDone,
    /// An answer or a verdict that is on its way decides.
    UnderWay,
    /// It was undone before it came.
    Tombstone,
    /// The saga has ended.
    Ended,
    /// It tells nothing new.
    Known,
    /// What must have come before has not come.
    TooEarly,
    /// This compensation has confirmed before.
    Confirmed,
    /// A call that is under way leads to this compensation's confirmation.
    ConfirmsLater,
    /// Written down for the timeline, no more.
    Recorded,
    /// It cannot be true beside what is known.
    Contradiction,
}

/// What the shell sees of a reaction.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision<P: Participant> {
    /// Something leaves the house.
    Done(Effects<P>),
    /// Nothing leaves the house; the state may change (a tombstone, "no longer wanted"), a deadline may move.
    Nothing(Because, Effects<P>),
    /// Nothing changes, and it is not claimed: parked, then tried again, then a dead letter.
    NotYet(Because),
    /// Nothing changes: a dead letter at once, and an alarm.
    Contradiction(Because),
    /// Nothing changes; whoever commanded is told why.
    Refused(Problem),
}

/// What one input brings about, beside the rows that it changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Effects<P: Participant> {
    /// To publish.
    pub events: Vec<Event>,
    /// To ask of a partner.
    pub calls: Vec<P::Call>,
    /// Deadlines of this saga to set or to drop.
    pub wakes: Vec<Wake>,
    /// What whoever commanded is told; its claim keeps it.
    pub receipt: Option<Receipt>,
    /// A person should look at this.
    pub alarm: Option<&'static str>,
}

impl<P: Participant> Default for Effects<P> {
    fn default() -> Self {
        Self { events: Vec::new(), calls: Vec::new(), wakes: Vec::new(), receipt: None, alarm: None }
    }
}

/// A deadline of the saga at hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wake {
    /// Which.
    pub name: &'static str,
    /// When it passes; none: it is dropped.
    pub at: Option<Timestamp>,
}

/// The answer to a command that was not refused: kept by its claim, given again when the command comes again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// HTTP's.
    pub status: u16,
    /// JSON.
    pub body: serde_json::Value,
}

impl Receipt {
    /// With that body.
    ///
    /// # Panics
    /// When the body is a map whose keys are not texts: a mistake of the program that any test of it meets.
    pub fn new(status: u16, body: &impl Serialize) -> Self {
        Self { status, body: serde_json::to_value(body).expect("a receipt's body is a struct, whose keys are texts") }
    }
}

/// Why a command is refused. Becomes a problem document (RFC 9457); the claim is not kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// Names the page that explains it: `unknown-sku`.
    pub slug: String,
    /// HTTP's: 4xx.
    pub status: u16,
    /// The slug in words.
    pub title: String,
    /// What is wrong this time.
    pub detail: String,
    /// Each field at fault.
    pub errors: Vec<Fault>,
}

/// One field at fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// RFC 6901: `/lines/0/sku`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// Without fields at fault.
    pub fn new(status: u16, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        Self { slug: slug.into(), status, title: title.into(), detail: detail.into(), errors: Vec::new() }
    }

    /// With these fields at fault.
    #[must_use]
    pub fn with(mut self, errors: Vec<Fault>) -> Self {
        self.errors = errors;
        self
    }
}

/// What a verb of step `S` returns. Its field is private: [`say`], [`ask`], [`nothing`] and their like are the only
/// ways to make one.
#[must_use]
pub struct Outcome<S: Step>(Decision<S::Of>, PhantomData<S>);

/// What a command's verb returns. Nobody else can refuse.
pub type Reply<S> = Result<Outcome<S>, Problem>;

impl<S: Step> fmt::Debug for Outcome<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn done<S: Step>(fill: impl FnOnce(&mut Effects<S::Of>)) -> Outcome<S> {
    let mut effects = Effects::default();
    fill(&mut effects);
    Outcome(Decision::Done(effects), PhantomData)
}

/// Says that.
pub fn say<S: Says<E>, E: EventData>(event: E) -> Outcome<S> {
    done(|effects| effects.events.push(event.into()))
}

/// Asks a partner to do that; the answer comes back as an input.
pub fn ask<S: Asks<C>, C: Request>(call: C) -> Outcome<S> {
    done(|effects| effects.calls.push(S::call(call)))
}

/// Nothing leaves the house. Not for an undo.
pub fn nothing<S: Forward>(why: Because) -> Outcome<S> {
    Outcome(Decision::Nothing(why, Effects::default()), PhantomData)
}

/// The undo has confirmed before.
pub fn confirmed<S: Undo>() -> Outcome<S> {
    Outcome(Decision::Nothing(Because::Confirmed, Effects::default()), PhantomData)
}

/// A call or a word that is on its way leads to the undo's confirmation.
pub fn confirms_later<S: Undo>() -> Outcome<S> {
    Outcome(Decision::Nothing(Because::ConfirmsLater, Effects::default()), PhantomData)
}

/// It came before what it stands on: try again later. What the verb changed is forgotten.
pub fn not_yet<S: Step>(why: Because) -> Outcome<S> {
    Outcome(Decision::NotYet(why), PhantomData)
}

/// It cannot be true beside what is known: a dead letter, and an alarm. What the verb changed is forgotten.
pub fn contradiction<S: Step>() -> Outcome<S> {
    Outcome(Decision::Contradiction(Because::Contradiction), PhantomData)
}

impl<S: Step> Outcome<S> {
    /// And says that.
    pub fn and_say<E: EventData>(self, event: E) -> Self
    where
        S: Says<E>,
    {
        self.and(|effects| effects.events.push(event.into())).into_done()
    }

    /// And asks a partner to do that.
    pub fn and_ask<C: Request>(self, call: C) -> Self
    where
        S: Asks<C>,
    {
        self.and(|effects| effects.calls.push(S::call(call))).into_done()
    }

    /// And sets this saga's deadline `D`, in place of the one that was set before.
    pub fn and_wake<D: Deadline<S::Of>>(self, at: Timestamp) -> Self {
        self.and(|effects| effects.wakes.push(Wake { name: D::NAME, at: Some(at) }))
    }

    /// And drops this saga's deadline `D`.
    pub fn and_rest<D: Deadline<S::Of>>(self) -> Self {
        self.and(|effects| effects.wakes.push(Wake { name: D::NAME, at: None }))
    }

    /// And a person should look at this.
    pub fn and_alarm(self, about: &'static str) -> Self {
        self.and(|effects| effects.alarm = Some(about))
    }

    /// And this is what whoever commanded is told.
    pub fn answering(self, receipt: Receipt) -> Self {
        self.and(|effects| effects.receipt = Some(receipt))
    }

    /// For the shell.
    pub fn decision(self) -> Decision<S::Of> {
        self.0
    }

    fn and(mut self, change: impl FnOnce(&mut Effects<S::Of>)) -> Self {
        match &mut self.0 {
            Decision::Done(effects) | Decision::Nothing(_, effects) => change(effects),
            Decision::NotYet(_) | Decision::Contradiction(_) | Decision::Refused(_) => {}
        }
        self
    }

    fn into_done(self) -> Self {
        match self.0 {
            Decision::Nothing(_, effects) => Self(Decision::Done(effects), PhantomData),
            other => Self(other, PhantomData),
        }
    }
}

/// A command's verb, as a decision. Written out for `reactions!`, so that only a row of a command can refuse.
#[doc(hidden)]
pub fn reply<S: Step, C: Command>(_: &C, reply: Reply<S>) -> Decision<S::Of> {
    match reply {
        Ok(outcome) => outcome.decision(),
        Err(problem) => Decision::Refused(problem),
    }
}
