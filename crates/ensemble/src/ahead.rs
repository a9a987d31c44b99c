//! A version ahead of this one: the real source with the changes of `tests/ahead.toml`, compiled to programs of its own that can run
//! beside those of this version.

use std::{collections::HashMap, fs, path::PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::{
    Part, Profile, Service, Talk,
    plant::{Change, Planted, Tree, plant},
    workspace::{alone, built, cargo_build, root},
};

/// What is changed.
const LIST: &str = "tests/ahead.toml";

/// Builds the programs of these services a version ahead, and says where they are.
///
/// # Errors
/// When the source has moved so that it cannot be changed any more, or what comes of it does not build.
pub async fn build(services: &[Service]) -> anyhow::Result<HashMap<Service, PathBuf>> {
    let _alone = alone("ahead").await?;
    let tree = Tree::changed("ahead", &changed()?)?;
    let talk = Talk::in_lines_when_slow();
    let step = talk.step("build");
    step.now("cargo build, a version ahead");
    let mut cargo = cargo_build(tree.dir(), Profile::Dev);
    let compiled = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    // What comes from elsewhere is compiled already, there; what is of this workspace has another version, and so another place.
    cargo.env("CARGO_BUILD_BUILD_DIR", compiled).env("CARGO_TARGET_DIR", tree.dir().join("target"));
    // The lock names this version: it is changed, and nothing else in it, for nothing new is asked for.
    cargo.arg("--offline");
    let programs = built(&mut cargo, services.iter().copied().map(Part::from).collect()).await?;
    step.done("programs built, a version ahead");
    let of = |service: Service| programs.get(&service.into()).map(|program| (service, program.clone()));
    Ok(services.iter().copied().filter_map(of).collect())
}

fn changed() -> anyhow::Result<Vec<Planted>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        change: Vec<Change>,
    }
    let text = fs::read_to_string(root().join(LIST)).with_context(|| format!("could not read {LIST}"))?;
    let list: List = toml::from_str(&text).with_context(|| format!("could not understand {LIST}"))?;
    plant("the version ahead", "", &list.change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_version_can_still_be_changed_into_the_next() {
        let files = changed().unwrap_or_else(|error| panic!("{error:#}"));
        assert!(files.iter().any(|file| file.path == "Cargo.toml"), "its version is another");
        assert!(files.iter().any(|file| file.path.contains("/migrations/")), "it migrates");
    }
}
