use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::Planted;
use crate::workspace::root;

/// What the workspace is built from, and what its tests start; the rest of the checkout stays where it is.
const PARTS: [&str; 6] = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "crates", "tests", "deploy"];

/// A copy of the workspace, to be changed. It keeps what it has compiled, so that each mistake costs one small build.
pub(crate) struct Tree {
    dir: PathBuf,
}

impl Tree {
    /// The copy that is spoiled, brought up to date. A file that has not changed is not written: cargo goes by its time.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(crate) fn copied() -> anyhow::Result<Self> {
        Self::changed("mutants", &[])
    }

    /// A copy of that name, brought up to date but for these files, which are as given.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(crate) fn changed(name: &str, files: &[Planted]) -> anyhow::Result<Self> {
        let dir = root().join("target").join(name);
        let given = |path: &Path| files.iter().any(|planted| path == root().join(&planted.path));
        for part in PARTS {
            bring(&root().join(part), &dir.join(part), &given)?;
        }
        let tree = Self { dir };
        tree.spoil(files)?;
        Ok(tree)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the mistake.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn spoil(&self, files: &[Planted]) -> anyhow::Result<()> {
        files.iter().try_for_each(|planted| write_if_other(&self.dir.join(&planted.path), planted.text.as_bytes()))
    }

    /// Takes it back.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(crate) fn restore(&self, files: &[Planted]) -> anyhow::Result<()> {
        files.iter().try_for_each(|planted| bring(&root().join(&planted.path), &self.dir.join(&planted.path), &|_| false))
    }
}

/// What `from` holds, except where `given` says that it comes from elsewhere.
fn bring(from: &Path, to: &Path, given: &dyn Fn(&Path) -> bool) -> anyhow::Result<()> {
    if given(from) {
        return Ok(());
    }
    if !from.is_dir() {
        let text = fs::read(from).with_context(|| format!("could not read {}", from.display()))?;
        return write_if_other(to, &text);
    }
    for entry in fs::read_dir(from).with_context(|| format!("could not read {}", from.display()))? {
        let name = entry.with_context(|| format!("could not read {}", from.display()))?.file_name();
        bring(&from.join(&name), &to.join(&name), given)?;
    }
    Ok(())
}

fn write_if_other(to: &Path, text: &[u8]) -> anyhow::Result<()> {
    if fs::read(to).is_ok_and(|held| held == text) { Ok(()) } else { write(to, text) }
}

fn write(to: &Path, text: &[u8]) -> anyhow::Result<()> {
    let dir = to.parent().with_context(|| format!("{} lies nowhere", to.display()))?;
    fs::create_dir_all(dir).with_context(|| format!("could not create {}", dir.display()))?;
    fs::write(to, text).with_context(|| format!("could not write {}", to.display()))
}
