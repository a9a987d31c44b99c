use serde::Deserialize;

use crate::plant::{Change, Planted, listed, plant};

/// Where the mistakes are listed, a file for each crate that they are planted into.
const LISTS: &str = "crates/choreography/mutants";

/// One plausible mistake.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// In which crate; its list's name.
    #[serde(skip)]
    pub crate_name: String,
    /// What it is called on the command line.
    pub name: String,
    /// What a programmer got wrong.
    pub says: String,
    /// Where; files in `src/` of the crate.
    #[serde(rename = "change")]
    pub changes: Vec<Change>,
}

/// Every mistake, those of one crate together.
///
/// # Errors
/// When a list cannot be read.
pub fn list() -> anyhow::Result<Vec<Mutant>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        mutant: Vec<Mutant>,
    }
    let mut mutants = Vec::new();
    for crate_name in ["payment", "inventory", "shipping", "order", "saga"] {
        let list: List = listed(&format!("{LISTS}/{crate_name}.toml"))?;
        mutants.extend(list.mutant.into_iter().map(|mutant| Mutant { crate_name: crate_name.to_owned(), ..mutant }));
    }
    Ok(mutants)
}

impl Mutant {
    /// `payment/no-tombstone`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.crate_name, self.name)
    }

    /// The files that it changes, changed.
    ///
    /// # Errors
    /// When the source has moved, so that a change has no place any more, or more than one.
    pub(super) fn plant(&self) -> anyhow::Result<Vec<Planted>> {
        plant(&self.id(), &format!("crates/{}/src/", self.crate_name), &self.changes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_mistake_can_still_be_made() {
        let mutants = list().expect("the lists can be read");
        let moved: Vec<String> =
            mutants.iter().filter_map(|mutant| mutant.plant().err()).map(|error| format!("{error:#}")).collect();
        assert!(moved.is_empty(), "{}", moved.join("\n\n"));
        let names: BTreeSet<String> = mutants.iter().map(Mutant::id).collect();
        assert_eq!(names.len(), mutants.len(), "two mistakes have one name");
        assert!(mutants.len() >= 40, "only {} mistakes are listed", mutants.len());
    }
}
