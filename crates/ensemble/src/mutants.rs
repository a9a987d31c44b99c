//! How much the checker finds: plausible mistakes are planted into the real source, one at a time, in a copy of the
//! workspace; each is compiled, and whatever compiles is checked.

mod list;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

pub use list::{Mutant, list};

use crate::{
    Talk,
    plant::Tree,
    stack::command::{command, last_lines},
};

/// Of a hundred mistakes so many are to be found.
const FOUND_MIN: usize = 95;

/// A search that has not ended by then has found nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// Which mistakes are made.
#[derive(Args, Debug, Default)]
pub struct Settings {
    /// Only those whose name contains this: `payment`, `no-tombstone`.
    #[arg(default_value = "")]
    pub name: String,
    /// Says which there are, and makes none.
    #[arg(long)]
    pub list: bool,
}

/// Who finds a mistake, the earliest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finder {
    /// It does not compile.
    Compiler,
    /// It compiles alone, and not with the other services: a const assertion over the declarations.
    Assertion,
    /// `choreography::checks`.
    Declarations,
    /// The search through the states.
    Model,
    /// Many orders under faults.
    Simulator,
}

impl Finder {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Compiler, Self::Assertion, Self::Declarations, Self::Model, Self::Simulator];
}

/// What became of one mistake.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Which.
    pub mutant: String,
    /// What a programmer got wrong.
    pub says: String,
    /// By whom it was found; none: it was not.
    pub by: Option<Finder>,
    /// What it was told: the compiler's first line, or the counterexample's.
    pub told: String,
    /// How many steps the counterexample has.
    pub steps: usize,
    /// In which world.
    pub world: String,
    /// Whether a committed table would have changed; not counted.
    pub table: bool,
    /// Compiling included.
    pub seconds: f64,
}

/// What `first_fault`, the example of `choreography`, says.
#[derive(Deserialize)]
struct Fault {
    by: Option<Finder>,
    world: String,
    what: String,
    steps: Vec<String>,
    table: bool,
}

/// Makes one mistake after the other, and tells of each as soon as its end is known.
///
/// # Errors
/// When the copy cannot be made or built, something is found where no mistake was made, or a list is out of date.
pub async fn run(
    settings: &Settings,
    talk: &Talk,
    tell: &mut dyn FnMut(&Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Outcome>> {
    let mutants = chosen(settings)?;
    let tree = Tree::copied()?;
    let step = talk.step("mutants");
    step.now("building without a mistake");
    sound(&tree).await?;
    let begun = Instant::now();
    let mut outcomes = Vec::new();
    for (at, mutant) in mutants.iter().enumerate() {
        let left = begun.elapsed().as_secs() / at.max(1) as u64 * (mutants.len() - at) as u64;
        step.now(&format!("{} of {}: {}, about {left} s left", at + 1, mutants.len(), mutant.id()));
        let files = mutant.plant()?;
        tree.spoil(&files)?;
        let outcome = make(&tree, mutant).await;
        tree.restore(&files)?;
        let outcome = outcome.with_context(|| mutant.id())?;
        tell(&outcome)?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Whether enough of them were found.
pub fn enough(outcomes: &[Outcome]) -> bool {
    let found = outcomes.iter().filter(|outcome| outcome.by.is_some()).count();
    found * 100 >= outcomes.len() * FOUND_MIN
}

/// Those that the settings name.
///
/// # Errors
/// When there is none of that name, or a list cannot be read.
pub fn chosen(settings: &Settings) -> anyhow::Result<Vec<Mutant>> {
    let mutants: Vec<Mutant> = list()?.into_iter().filter(|mutant| mutant.id().contains(&settings.name)).collect();
    ensure!(!mutants.is_empty(), "no mistake is called {:?}; `ensemble mutants --list` has all of them", settings.name);
    Ok(mutants)
}

/// What is found where nothing is wrong would be found with every mistake.
async fn sound(tree: &Tree) -> anyhow::Result<()> {
    if let Err(said) = build(tree.dir()).await? {
        bail!("it does not build without any mistake:\n{}", last_lines(&said, 30));
    }
    let fault = check(tree.dir()).await?;
    if let Some(by) = fault.by {
        bail!("{by:?} finds something where no mistake was made: {}", fault.what);
    }
    ensure!(!fault.table, "a committed table differs where no mistake was made");
    Ok(())
}

async fn make(tree: &Tree, mutant: &Mutant) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let fault = match build(tree.dir()).await? {
        Ok(()) => check(tree.dir()).await?,
        Err(said) => not_compiled(&said),
    };
    let Fault { by, world, what: told, steps, table } = fault;
    let (says, steps) = (mutant.says.clone(), steps.len());
    Ok(Outcome { mutant: mutant.id(), says, by, told, steps, world, table, seconds: begun.elapsed().as_secs_f64() })
}

/// Builds the pure crates and the checker; what the compiler said, if it will not.
async fn build(dir: &Path) -> anyhow::Result<Result<(), String>> {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(dir).env("CARGO_TARGET_DIR", dir.join("target"));
    cargo.args(["build", "--locked", "--quiet", "--package", "choreography", "--example", "first_fault"]);
    let output = cargo.output().await.context("could not run cargo: is it in the path?")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() { Ok(()) } else { Err(said) })
}

/// A const assertion fails as an evaluation that panicked; its text is the next line.
fn not_compiled(said: &str) -> Fault {
    let by = if said.contains("error[E0080]") { Finder::Assertion } else { Finder::Compiler };
    let what = said.lines().find(|line| line.starts_with("error")).unwrap_or("it does not compile").to_owned();
    Fault { by: Some(by), world: String::new(), what, steps: Vec::new(), table: false }
}

async fn check(dir: &Path) -> anyhow::Result<Fault> {
    let mut program: Command = command(dir.join("target/debug/examples/first_fault"));
    let Ok(output) = tokio::time::timeout(PATIENCE, program.output()).await else {
        let world = format!("not ended within {} s", PATIENCE.as_secs());
        return Ok(Fault { by: None, world, what: String::new(), steps: Vec::new(), table: false });
    };
    let output = output.context("could not run the checker")?;
    let told = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(told.trim())
        .with_context(|| format!("the checker ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_const_assertion_is_told_from_a_type_error() {
        let assertion = not_compiled("error[E0080]: evaluation panicked: nobody says it\n --> crates/choreography/src/lib.rs\n");
        assert_eq!(assertion.by, Some(Finder::Assertion));
        assert_eq!(assertion.what, "error[E0080]: evaluation panicked: nobody says it");
        assert_eq!(not_compiled("error[E0004]: non-exhaustive patterns\n").by, Some(Finder::Compiler));
    }

    #[test]
    fn one_in_twenty_may_be_missed() {
        let outcome = |by| Outcome {
            mutant: String::new(),
            says: String::new(),
            by,
            told: String::new(),
            steps: 0,
            world: String::new(),
            table: true,
            seconds: 0.0,
        };
        let mut outcomes = vec![outcome(Some(Finder::Model)); 19];
        outcomes.push(outcome(None));
        assert!(enough(&outcomes));
        outcomes.push(outcome(None));
        assert!(!enough(&outcomes));
    }
}
