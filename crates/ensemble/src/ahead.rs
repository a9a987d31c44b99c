//! A version ahead of this one: the real source with the changes of `tests/ahead.toml`, compiled to programs of its own that can run
//! beside those of this version.

use std::{collections::HashMap, path::PathBuf};

use serde::Deserialize;

use crate::{
    Part, Profile, Service, Talk,
    plant::{Change, Planted, Tree, listed, plant},
    workspace::{alone, built, cargo_build, target},
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
    // What comes from elsewhere is compiled already, there; what is of this workspace has another version, and so another place.
    cargo.env("CARGO_BUILD_BUILD_DIR", target()).env("CARGO_TARGET_DIR", tree.dir().join("target"));
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
    plant("the version ahead", "", &listed::<List>(LIST)?.change)
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
