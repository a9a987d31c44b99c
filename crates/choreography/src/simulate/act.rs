//! What can happen, one thing at a time. Everything in it is named by ids that derive from their causes, so an act means the
//! same when others are left out: that is what makes a schedule shrink.

use events::{CallId, EventId, OrderId};

use super::actor::Wish;
use crate::partners::Word;

/// One thing that happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// A person asks, under that number of a request: the same number again is the same request, sent again.
    Ask(u32, Wish),
    /// A deadline passes.
    Deadline(usize, OrderId, &'static str),
    /// What the gateway holds for that order lapses.
    Lapse(OrderId),
    /// From memory, after the commit. The broker's word for it may get lost.
    Publish { id: EventId, acked: bool },
    /// One batch. Its acknowledgement may get lost, so that it comes again.
    Take { reader: usize, events: Vec<EventId>, acked: bool },
    /// The partner executes the call, or says again what it did under that key.
    Execute(usize, CallId, Word),
    /// The answer is taken.
    Answer(usize, CallId),
    /// The answer gets lost: the call goes out again, under the same key.
    LoseAnswer(usize, CallId),
    /// What a service has only in memory is gone: what it was about to publish, and answers that it has not taken.
    Crash(usize),
    /// What is owed to the stream is published.
    Sweep(usize),
    /// The last messages of a service's stream are gone.
    LoseTail(usize, usize),
    /// The whole stream is gone.
    LoseDisk(usize),
    /// A service's stream is read once more by one of its readers, from the start.
    Replay { owner: usize, reader: usize },
    /// A service compares its stream with what it said.
    Reconcile(usize),
    /// What came too early is tried again.
    Unpark,
}

/// What went wrong, for the coverage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Repeated,
    Crashed,
    Unacknowledged,
    TailLost,
    DiskLost,
    AnswerLost,
    Declined,
    Burned,
}

impl Fault {
    pub(super) const ALL: [Self; 8] = [
        Self::Repeated,
        Self::Crashed,
        Self::Unacknowledged,
        Self::TailLost,
        Self::DiskLost,
        Self::AnswerLost,
        Self::Declined,
        Self::Burned,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Repeated => "taken again",
            Self::Crashed => "crash before publish",
            Self::Unacknowledged => "publish unacknowledged",
            Self::TailLost => "tail lost",
            Self::DiskLost => "disk lost",
            Self::AnswerLost => "answer lost",
            Self::Declined => "declined",
            Self::Burned => "key burned",
        }
    }
}
