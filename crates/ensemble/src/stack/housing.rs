use std::str::FromStr;

use crate::stack::docker::Docker;

/// What a stack's servers run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Housing {
    /// Containers of a Docker engine.
    Docker,
    /// Processes of this machine.
    Native,
}

/// The variable that overrides the choice.
pub const HOUSING_VARIABLE: &str = "ENSEMBLE_HOUSING";

impl Housing {
    /// As on the command line and in [`HOUSING_VARIABLE`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Native => "native",
        }
    }

    /// What the variable asks for, if it is set.
    ///
    /// # Errors
    /// When it asks for something else than the two that there are.
    pub fn asked_for() -> anyhow::Result<Option<Self>> {
        match std::env::var(HOUSING_VARIABLE) {
            Ok(word) if !word.is_empty() => Ok(Some(word.parse()?)),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// What is asked for, else containers where an engine answers, else processes.
    ///
    /// # Errors
    /// When containers are asked for and no engine answers.
    pub(crate) fn choose(asked: Option<Self>, docker: Option<&Docker>) -> anyhow::Result<Self> {
        match (asked, docker) {
            (Some(Self::Docker), None) => anyhow::bail!(
                "{HOUSING_VARIABLE}=docker, but no Docker engine answers: start it (`docker version` tells), or say native"
            ),
            (Some(housing), _) => Ok(housing),
            (None, Some(_)) => Ok(Self::Docker),
            (None, None) => Ok(Self::Native),
        }
    }
}

/// Not a housing.
#[derive(Debug, thiserror::Error)]
#[error("{HOUSING_VARIABLE} is docker or native, not {0:?}")]
pub struct UnknownHousing(String);

impl FromStr for Housing {
    type Err = UnknownHousing;

    fn from_str(word: &str) -> Result<Self, UnknownHousing> {
        match word {
            "docker" => Ok(Self::Docker),
            "native" => Ok(Self::Native),
            _ => Err(UnknownHousing(word.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_decides_unless_asked() {
        let docker = Docker { version: "20.10".to_owned(), compose: None };
        let choose = |asked, docker| Housing::choose(asked, docker).ok();
        assert_eq!(choose(None, Some(&docker)), Some(Housing::Docker));
        assert_eq!(choose(None, None), Some(Housing::Native));
        assert_eq!(choose(Some(Housing::Native), Some(&docker)), Some(Housing::Native));
        assert_eq!(choose(Some(Housing::Docker), None), None);
    }
}
