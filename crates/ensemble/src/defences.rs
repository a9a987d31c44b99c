//! What each defence is for: it is taken out of the real source, in a copy of the workspace, and a test that passes with it
//! has to fail.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    Talk,
    plant::{Change, Tree, listed, plant},
    stack::command::{command, last_lines},
};

/// Where they are listed.
const LIST: &str = "tests/defences.toml";

/// A test that has not ended by then, building included, has not failed.
const PATIENCE: Duration = Duration::from_secs(900);

/// Which defences are taken out.
#[derive(Args, Debug, Default)]
pub struct Settings {
    /// Only those whose name contains this: `claim`, `sweep`.
    #[arg(default_value = "")]
    pub name: String,
    /// Says which there are, and takes none out.
    #[arg(long)]
    pub list: bool,
}

/// One defence.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defence {
    /// What it is called on the command line.
    pub name: String,
    /// What it does, and so what is missing without it.
    pub says: String,
    /// What `cargo test` is told, so that it fails without it.
    pub test: String,
    /// How it is taken out; files from the root of the checkout.
    #[serde(rename = "change")]
    changes: Vec<Change>,
}

/// What became of one.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Which.
    pub defence: String,
    /// The tests that failed without it; none: it is not missed.
    pub failed: Vec<String>,
    /// Building included.
    pub seconds: f64,
}

/// All of them.
///
/// # Errors
/// When the list cannot be read.
pub fn list() -> anyhow::Result<Vec<Defence>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        defence: Vec<Defence>,
    }
    Ok(listed::<List>(LIST)?.defence)
}

/// Those that the settings name.
///
/// # Errors
/// When there is none of that name, or the list cannot be read.
pub fn chosen(settings: &Settings) -> anyhow::Result<Vec<Defence>> {
    let defences: Vec<Defence> = list()?.into_iter().filter(|defence| defence.name.contains(&settings.name)).collect();
    ensure!(!defences.is_empty(), "no defence is called {:?}; `ensemble defences --list` has all of them", settings.name);
    Ok(defences)
}

/// Takes out one after the other, and tells of each as soon as its end is known.
///
/// # Errors
/// When the copy cannot be made, what is left does not build, or the list is out of date.
pub async fn run(
    settings: &Settings,
    talk: &Talk,
    tell: &mut dyn FnMut(&Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Outcome>> {
    let defences = chosen(settings)?;
    let tree = Tree::copied()?;
    let step = talk.step("defences");
    let mut outcomes = Vec::new();
    for (at, defence) in defences.iter().enumerate() {
        step.now(&format!("{} of {}: without {}", at + 1, defences.len(), defence.name));
        let files = plant(&defence.name, "", &defence.changes)?;
        tree.spoil(&files)?;
        let begun = Instant::now();
        let failed = failing(tree.dir(), defence).await;
        tree.restore(&files)?;
        let failed = failed.with_context(|| format!("without {}", defence.name))?;
        let outcome = Outcome { defence: defence.name.clone(), failed, seconds: begun.elapsed().as_secs_f64() };
        tell(&outcome)?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// The tests that fail.
async fn failing(dir: &Path, defence: &Defence) -> anyhow::Result<Vec<String>> {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(dir).env("CARGO_TARGET_DIR", dir.join("target"));
    cargo.args(["test", "--locked", "--quiet"]).args(defence.test.split_whitespace());
    let Ok(output) = tokio::time::timeout(PATIENCE, cargo.output()).await else {
        bail!("the tests have not ended within {} s", PATIENCE.as_secs());
    };
    let output = output.context("could not run cargo: is it in the path?")?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let failed = failed(&said);
    ensure!(output.status.success() || !failed.is_empty(), "what is left does not run:\n{}", last_lines(&complained, 30));
    Ok(failed)
}

/// The names below the last `failures:` of what a test runner has said, `libtest`'s or one that speaks as it does.
fn failed(said: &str) -> Vec<String> {
    let ends = |line: &&str| line.starts_with("test result:");
    let mut names: Vec<String> = Vec::new();
    for suite in said.split("\nfailures:\n").skip(1) {
        let listed = suite.lines().take_while(|line| !ends(line)).filter_map(|line| line.strip_prefix("    "));
        names.extend(listed.filter(|name| !name.contains(char::is_whitespace)).map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_defence_can_still_be_taken_out() {
        let defences = list().expect("the list can be read");
        let moved = defences.iter().filter_map(|defence| plant(&defence.name, "", &defence.changes).err());
        let moved: Vec<String> = moved.map(|error| format!("{error:#}")).collect();
        assert!(moved.is_empty(), "{}", moved.join("\n\n"));
        let names: BTreeSet<&str> = defences.iter().map(|defence| defence.name.as_str()).collect();
        assert_eq!(names.len(), defences.len(), "two defences have one name");
        assert!(names.len() >= 20, "only {} defences are listed", names.len());
    }

    #[test]
    fn who_failed_is_read_from_what_the_runner_said() {
        let said = "test a ... FAILED\n\nfailures:\n\n---- a::b ----\n    some text\n\nfailures:\n    a::b\n    c\n\ntest result: FAILED. 0 passed\n";
        assert_eq!(failed(said), ["a::b", "c"]);
        assert!(failed("test result: ok. 3 passed").is_empty());
    }
}
