//! What was found, in words.

use std::fmt;

use events::OrderId;

use super::{Said, Taken};

/// A transition that was observed, and that the reactions do not allow.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// Who.
    pub service: String,
    /// Which order.
    pub order: OrderId,
    /// What it took; none: it is not about one input.
    pub input: Option<Taken>,
    /// What is wrong with it.
    pub wrong: Wrong,
    /// What the service had taken before, and what it had then said.
    pub before: Vec<(Taken, Vec<String>)>,
}

/// What is wrong.
#[derive(Clone, PartialEq, Debug)]
pub enum Wrong {
    /// There is no such service.
    Unknown,
    /// The event that was taken is in no outbox.
    NobodySaid,
    /// The call that was answered had not been asked.
    NotAsked,
    /// No such input is known here, or nothing tells what was in it.
    NoInput,
    /// The event was said, and nothing that was taken led to it.
    NoCause(Box<Said>),
    /// Something else came of it.
    Other {
        /// In the outbox and the claim.
        observed: String,
        /// By the reaction, from each state that is possible there.
        allowed: Vec<String>,
    },
    /// The row is not what the inputs lead to.
    State {
        /// In the table.
        observed: String,
        /// By the reactions.
        allowed: Vec<String>,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "order {}: {} did what its reactions do not allow", self.order, self.service)?;
        for (taken, said) in &self.before {
            writeln!(
                f,
                "  {}  took {}{}",
                taken.taken_at,
                taken.ty,
                said.iter().map(|ty| format!(", said {ty}")).collect::<String>()
            )?;
        }
        if let Some(input) = &self.input {
            writeln!(f, "  {}  took {} ({} {})   <- here", input.taken_at, input.ty, input.door, input.id)?;
        }
        write!(f, "{}", self.wrong)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => write!(f, "there is no service of that name"),
            Self::NobodySaid => write!(f, "nobody said this event: it is in no outbox"),
            Self::NotAsked => write!(f, "nobody had asked for this answer"),
            Self::NoInput => write!(f, "no such input is known, or nothing tells what was in it"),
            Self::NoCause(said) => write!(f, "{} {} was said, and nothing that was taken led to it", said.ty, said.id),
            Self::Other { observed, allowed } => {
                write!(f, "observed: {observed}")?;
                allowed.iter().try_for_each(|allowed| write!(f, "\nallowed:  {allowed}"))
            }
            Self::State { observed, allowed } => {
                write!(f, "the state observed: {observed}")?;
                allowed.iter().try_for_each(|allowed| write!(f, "\nthe state allowed:  {allowed}"))
            }
        }
    }
}

impl std::error::Error for Finding {}
