use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::process::Command;

use crate::part::Part;
use crate::stack::command::command;
use crate::talk::Talk;

/// The checkout that this program was built from: its sources, `deploy/` and `target/` are used at run time.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate lies in crates/ of the checkout")
}

/// Where cargo puts what it compiles of this checkout.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where this program keeps what it makes once and can make again: installed servers, staged images.
pub(crate) fn workshop() -> PathBuf {
    root().join("target/ensemble")
}

/// Waits until no other program of this checkout does the same work; the answer holds the place until dropped.
///
/// # Errors
/// When the lock cannot be made.
pub(crate) async fn alone(work: &str) -> anyhow::Result<File> {
    let dir = workshop();
    std::fs::create_dir_all(&dir).with_context(|| format!("could not create {}", dir.display()))?;
    let path = dir.join(format!("{work}.lock"));
    let lock = File::create(&path).with_context(|| format!("could not create {}", path.display()))?;
    tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .context("the wait for a lock ended early")?
        .with_context(|| format!("could not lock {}", path.display()))
}

/// How the programs are compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Quick to build.
    #[default]
    Dev,
    /// Quick to run.
    Release,
}

impl Profile {
    /// What `ENSEMBLE_PROFILE` asks for.
    ///
    /// # Errors
    /// When it asks for something else than the two that there are.
    pub fn asked_for() -> anyhow::Result<Self> {
        match std::env::var("ENSEMBLE_PROFILE").unwrap_or_default().as_str() {
            "" | "dev" => Ok(Self::Dev),
            "release" => Ok(Self::Release),
            other => bail!("ENSEMBLE_PROFILE is dev or release, not {other:?}"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

/// The programs of a stack, as built.
pub(crate) type Binaries = HashMap<Part, PathBuf>;

/// Builds the programs of these parts and says where they are.
///
/// # Errors
/// When cargo is not there or the build fails; the compiler has then said why on stderr.
pub(crate) async fn build(parts: &[Part], profile: Profile, talk: &Talk) -> anyhow::Result<Binaries> {
    let ours: Vec<_> = parts.iter().copied().filter(|part| part.is_ours()).collect();
    if ours.is_empty() {
        return Ok(Binaries::new());
    }
    let step = talk.step("build");
    step.now("cargo build");
    let mut cargo = cargo_build(root(), profile);
    cargo.arg("--locked");
    if profile == Profile::Release {
        // As it is shipped: without the features that the tests add.
        for package in ours.iter().filter_map(|part| part.package()) {
            cargo.args(["--package", package]);
        }
    }
    let binaries = built(&mut cargo, ours).await?;
    step.done(&format!("programs built ({})", profile.name()));
    Ok(binaries)
}

/// Of that workspace. No `--package`: the features are then those of the whole of it, as in `cargo test`, and what one of the two
/// commands has compiled the other finds.
pub(crate) fn cargo_build(dir: &Path, profile: Profile) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(dir).args(["build", "--quiet", "--message-format=json-render-diagnostics", "--profile", profile.name()]);
    cargo
}

/// Builds the programs of these parts so, and says where they are.
///
/// # Errors
/// When cargo is not there or the build fails; the compiler has then said why on stderr.
pub(crate) async fn built(cargo: &mut Command, parts: Vec<Part>) -> anyhow::Result<Binaries> {
    for part in &parts {
        cargo.args(["--bin", part.name()]);
    }
    // Not `output()`, which would keep what the compiler says on stderr.
    let child =
        cargo.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().context("could not run cargo: is it in the path?")?;
    let output = child.wait_with_output().await.context("lost cargo while it ran")?;
    if !output.status.success() {
        bail!("cargo build failed");
    }
    let built = executables(&String::from_utf8_lossy(&output.stdout));
    let program = |part: Part| {
        let path = built.get(part.name()).with_context(|| format!("cargo built no program called {part}"))?;
        Ok((part, path.clone()))
    };
    parts.into_iter().map(program).collect()
}

/// What cargo says about each artifact, as far as it matters here (cargo's JSON messages, `compiler-artifact`).
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

fn executables(messages: &str) -> HashMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter_map(|message| Some((message.target?.name, message.executable?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"events","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"order","kind":["bin"]},"executable":"/t/debug/order"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executables(messages), HashMap::from([("order".to_owned(), PathBuf::from("/t/debug/order"))]));
    }

    #[test]
    fn the_root_is_the_checkout() {
        assert!(root().join("deploy/compose/compose.yaml").is_file());
    }
}
