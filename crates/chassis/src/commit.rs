//! The one place where anything takes effect, and the only one that says `begin`.
//!
//! Each door has a short queue and a committer. While one transaction is under way the next batch gathers: a quiet
//! system answers at once, a busy one shares its commits; nobody waits for a timer but what only takes note, which waits
//! a moment for company. A transaction runs in a task that nothing cancels:
//!
//! ```text
//! begin, lock every saga by name, sorted, and load its row: one message · load what else the inputs touch · decide
//!       · write what differs, claims, outbox, pending list, intents, deadlines, answers: one statement · commit
//! ```
//! Nearly everything comes once, so a small batch is decided as if nothing of it had been taken before; its claims tell when
//! they are written. If one was there already, or something would be refused, all of it is taken back, and done again with
//! the claims looked up first.
//!
//! If it fails on *data*, the batch is split until the one bad input stands alone. If it fails on the *world* (a deadlock,
//! a lost connection, a commit that nobody knows the end of), all of it is done again: the claims tell what took effect.

use std::{borrow::Cow, time::Duration};

use clap::Args;
use events::{CallId, Envelope, EventId, SagaId, Timestamp, TraceContext};
use saga::{Because, Claim, Problem, Receipt, batch::Arrived};
use tokio::time::Instant;
use uuid::Uuid;

use crate::service::Service;

mod claims;
mod committer;
mod door;
mod dry_run;
mod effects;
mod opening;
mod transaction;
mod watch;
mod writing;

pub mod log;

pub use door::Door;
pub use opening::Opening;
pub use watch::Watching;
pub use writing::{Part, Writing};

pub(crate) use claims::forget;
pub(crate) use committer::{Committer, Handoff};
pub(crate) use door::{Kind, door};
pub(crate) use dry_run::{Foretold, dry_run};
pub(crate) use effects::envelope;
pub(crate) use watch::Watchers;

pub(crate) const STATEMENTS: &[crate::Statements] =
    &[claims::STATEMENTS, dry_run::STATEMENTS, effects::STATEMENTS, log::STATEMENTS];

/// How inputs take effect.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How many inputs may share a transaction; 1 is one transaction for each.
    #[arg(long, env = "BATCH_MAX", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub batch_max: u16,
    /// How many inputs may wait at each door; more commands are turned away with 503, the rest wait where they are.
    #[arg(long, env = "QUEUE_MAX", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queue_max: u32,
    /// How long an order may stand still before it is given up, such as 60s.
    #[arg(long = "expires-after", env = "EXPIRES_AFTER", default_value = "60s", value_parser = crate::config::duration)]
    pub patience: Duration,
    /// How long a command waits for a database that is away before it is answered 503, such as 5s.
    #[arg(long, env = "COMMAND_PATIENCE", default_value = "5s", value_parser = crate::config::duration)]
    pub command_patience: Duration,
}

/// An input on its way through a door, with what the log keeps of where it came from.
#[derive(Clone, Debug)]
pub struct Incoming<S: Service> {
    /// Claim and input.
    pub arrived: Arrived<S>,
    /// Where it came from.
    pub about: About,
}

/// Where an input came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    /// The service that said it, or `http`, `partner`, `clock`.
    pub source: Cow<'static, str>,
    /// When it happened there.
    pub happened: Timestamp,
    /// The id of what led to it.
    pub causation: Option<Uuid>,
    /// Of the span that processes it: what comes of it belongs to the same trace.
    pub trace: TraceContext,
    /// SHA-256 of what came: the same id with other content is an alarm.
    pub content: Option<[u8; 32]>,
}

impl<S: Service> Incoming<S> {
    /// An event, heard in that envelope; `trace` is the context of the span that processes it.
    pub fn event(envelope: Envelope, content: [u8; 32], trace: TraceContext, input: S::Input) -> Self {
        Self::new(
            Claim::Event(envelope.id),
            input,
            About {
                source: envelope.source.into(),
                happened: envelope.time,
                causation: envelope.causation,
                trace,
                content: Some(content),
            },
        )
    }

    /// Something that happens here and now, under that claim: a command, an answer, a deadline.
    pub fn now(claim: Claim, source: &'static str, trace: TraceContext, input: S::Input) -> Self {
        let content = match claim {
            Claim::Request { fingerprint, .. } => Some(fingerprint),
            Claim::Event(_) | Claim::Answer(_) | Claim::Deadline { .. } => None,
        };
        Self::new(claim, input, About { source: source.into(), happened: now(), causation: None, trace, content })
    }

    fn new(claim: Claim, input: S::Input, about: About) -> Self {
        Self { arrived: Arrived { claim, input }, about }
    }
}

/// What became of an input. Committed when it is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Settled {
    /// It took effect.
    Taken {
        /// Why nothing left the house, if nothing did.
        because: Option<Because>,
        /// What whoever commanded is told.
        receipt: Option<Receipt>,
    },
    /// It took effect before. With what whoever commanded was told then.
    Repeated(Option<Receipt>),
    /// A request with another body took effect under this key.
    OtherBody,
    /// It came before what it stands on. Nothing changed: to be parked.
    NotYet(Because),
    /// It cannot be true beside what is known. Nothing changed: a dead letter, and an alarm.
    Contradiction(Because),
    /// A command was refused. Nothing changed, and its key is free.
    Refused(Problem),
}

/// Why nobody can say what became of an input. It may be brought again under the same claim.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// *Retry.* A command met a full queue, or a backlog past its limit.
    #[error("there is too much to do")]
    Full {
        /// After so long.
        retry_after: Duration,
    },
    /// *Retry.* A command has waited long enough for the database; it may yet take effect.
    #[error("the database is away")]
    Away,
    /// *Retry*, once it is put right: the database has lost something, or that is being looked at.
    #[error("{0}")]
    Restored(String),
    /// *Retry*, elsewhere: this process is ending.
    #[error("stopping")]
    Stopping,
    /// *Poison.* It stands alone, and it fails each time: a row that cannot be read, a constraint, a panic in its reaction.
    #[error("it cannot be taken: {0}")]
    Poison(String),
}

/// An event that has just been committed, on its way to the stream; also what the sweep reads back.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Said {
    pub(crate) id: EventId,
    pub(crate) saga: Option<SagaId>,
    pub(crate) ty: Cow<'static, str>,
    pub(crate) body: bytes::Bytes,
    pub(crate) causation: Option<Uuid>,
    pub(crate) trace: TraceContext,
    pub(crate) said_at: Timestamp,
    /// How often the stream has lost it.
    pub(crate) generation: i32,
}

/// The fingerprint of a request whose body nobody knows any more: any body under its key is a repeat.
pub(crate) const BODY_FORGOTTEN: [u8; 32] = [0; 32];

/// An intent that has just been committed, on its way to the partner.
#[derive(Clone, Debug)]
pub(crate) struct Asked<C> {
    /// Also the claim of its answer.
    pub(crate) id: CallId,
    pub(crate) call: C,
    pub(crate) trace: TraceContext,
    /// When it was committed.
    pub(crate) at: Instant,
}

/// So long an intent is due to nobody but whoever it is handed to from memory.
pub(crate) const HANDED_FOR: Duration = Duration::from_secs(20);

/// This process's clock. Nothing that must be right rests on it.
pub(crate) fn now() -> Timestamp {
    time::OffsetDateTime::now_utc().into()
}
