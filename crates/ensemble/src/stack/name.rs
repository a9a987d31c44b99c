use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::stack::root;

/// Which standing stack is meant: one machine may hold several, each with a name and ports of its own.
#[derive(Clone, Debug)]
pub struct Name {
    pub(super) name: String,
    pub(super) offset: u16,
}

impl Name {
    /// What `ENSEMBLE_NAME` (else `ensemble`) and `ENSEMBLE_PORT_OFFSET` (else 0) say.
    ///
    /// # Errors
    /// When a name holds more than small letters, digits and hyphens, or the offset is not a number.
    pub fn asked_for() -> anyhow::Result<Self> {
        let name = std::env::var("ENSEMBLE_NAME").unwrap_or_default();
        let offset = match std::env::var("ENSEMBLE_PORT_OFFSET") {
            Ok(word) if !word.is_empty() => word
                .parse()
                .with_context(|| format!("ENSEMBLE_PORT_OFFSET is a number that is added to every port, not {word:?}"))?,
            Ok(_) | Err(_) => 0,
        };
        Self::new(if name.is_empty() { "ensemble" } else { &name }, offset)
    }

    /// A stack of this name, all of whose ports are moved by `offset`.
    ///
    /// # Errors
    /// When the name holds more than small letters, digits and hyphens: compose takes no others.
    pub fn new(name: &str, offset: u16) -> anyhow::Result<Self> {
        let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !fits {
            bail!("ENSEMBLE_NAME is made of small letters, digits and hyphens, not {name:?}");
        }
        Ok(Self { name: name.to_owned(), offset })
    }

    pub(crate) fn offset(&self) -> u16 {
        self.offset
    }

    /// Outside the checkout, so that `cargo clean` takes no data; and for root where PostgreSQL's user can reach
    /// it, which a home directory is not.
    pub(super) fn dir(&self) -> PathBuf {
        let states = if root::are_we() {
            PathBuf::from("/var/lib/ensemble")
        } else {
            let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| ".".into()));
            std::env::var_os("XDG_STATE_HOME").map_or_else(|| home().join(".local/state"), PathBuf::from).join("ensemble")
        };
        states.join(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_compose_would_refuse_are_refused_here() {
        assert!(Name::new("ensemble-2", 0).is_ok());
        for name in ["", "Ensemble", "2nd", "a/b", "a b"] {
            assert!(Name::new(name, 0).is_err(), "{name:?}");
        }
    }
}
