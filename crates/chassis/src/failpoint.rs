//! Failpoints: at each boundary of the shell a test can let the process die, fail or wait.
//!
//! ```text
//! FAILPOINTS='commit.after=3*off->return(crash); ack.before=2*return(error)->1*return(delay)'
//! ```
//! The first lets three commits pass and dies behind the fourth; the second loses two acknowledgements and delays a third.
//! The grammar is that of the crate `fail-parallel`; what a failpoint *returns* is the [`Mishap`], and `panic` is one, too.
//! Beside the boundaries there is `verb`: with `verb=return(SAGA)` the verb panics that meets an input of that saga.
//!
//! They are compiled with the feature `failpoints` *and* debug assertions: a release build has none, whatever it is asked for.

use std::fmt;

#[cfg(not(all(feature = "failpoints", debug_assertions)))]
mod absent;
#[cfg(all(feature = "failpoints", debug_assertions))]
mod armed;

#[cfg(not(all(feature = "failpoints", debug_assertions)))]
pub use absent::Settings;
#[cfg(not(all(feature = "failpoints", debug_assertions)))]
pub(crate) use absent::{reached, verb};
#[cfg(all(feature = "failpoints", debug_assertions))]
pub use armed::Settings;
#[cfg(all(feature = "failpoints", debug_assertions))]
pub(crate) use armed::{reached, verb};

/// A boundary between the shell and the world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Boundary {
    /// A command is brought to its door, and answered.
    Command,
    /// A batch's ids are claimed.
    Claim,
    /// A batch is committed.
    Commit,
    /// An event is published, and acknowledged by the broker.
    Publish,
    /// What was published is struck off the pending list.
    StrikeOff,
    /// A message is acknowledged.
    Ack,
    /// A partner is called, and answers.
    Call,
    /// A partner's answer is brought to its door.
    Answer,
    /// What came too early is parked.
    Park,
    /// A dead letter is kept.
    Bury,
    /// A lease is asked for, and taken or kept.
    Lease,
}

impl Boundary {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Command,
        Self::Claim,
        Self::Commit,
        Self::Publish,
        Self::StrikeOff,
        Self::Ack,
        Self::Call,
        Self::Answer,
        Self::Park,
        Self::Bury,
        Self::Lease,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Claim => "claim",
            Self::Commit => "commit",
            Self::Publish => "publish",
            Self::StrikeOff => "strike_off",
            Self::Ack => "ack",
            Self::Call => "call",
            Self::Answer => "answer",
            Self::Park => "park",
            Self::Bury => "bury",
            Self::Lease => "lease",
        }
    }

    /// The failpoint in front of it.
    pub const fn before(self) -> Failpoint {
        Failpoint { boundary: self, side: Side::Before }
    }

    /// The failpoint behind it.
    pub const fn after(self) -> Failpoint {
        Failpoint { boundary: self, side: Side::After }
    }
}

/// On which side of a boundary.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Side {
    Before,
    After,
}

/// One side of a boundary: `commit.after` in `FAILPOINTS`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Failpoint {
    boundary: Boundary,
    side: Side,
}

impl Failpoint {
    /// Both sides of every boundary.
    pub fn all() -> impl Iterator<Item = Self> {
        Boundary::ALL.into_iter().flat_map(|boundary| [boundary.before(), boundary.after()])
    }

    /// What a test may have planned for whoever comes here.
    pub(crate) async fn reached(self) -> std::io::Result<()> {
        reached(self).await
    }
}

impl fmt::Display for Failpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{}.{side}", self.boundary.name())
    }
}

/// What can happen at a failpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mishap {
    /// The process is gone at once, as by kill -9.
    Crash,
    /// The world is in the way: what had been done is done, and whoever did it cannot know.
    Error,
    /// It takes longer.
    Delay,
}

impl Mishap {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Crash, Self::Error, Self::Delay];

    /// As `FAILPOINTS` and the log have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Error => "error",
            Self::Delay => "delay",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_failpoint_has_a_name_of_its_own() {
        let names: HashSet<String> = Failpoint::all().map(|failpoint| failpoint.to_string()).collect();
        assert_eq!(names.len(), 2 * Boundary::ALL.len());
        assert!(names.contains("strike_off.before"));
    }
}
