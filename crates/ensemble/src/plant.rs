//! Changing a copy of the workspace: a mistake is planted and taken back, or a version ahead is made.

mod tree;

use std::fs;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};

pub(crate) use tree::Tree;

use crate::workspace::root;

/// A list of what is changed, in the file of that name from the root of the checkout.
///
/// # Errors
/// When it cannot be read, or is no such list.
pub(crate) fn listed<L: DeserializeOwned>(path: &str) -> anyhow::Result<L> {
    let text = fs::read_to_string(root().join(path)).with_context(|| format!("could not read {path}"))?;
    toml::from_str(&text).with_context(|| format!("could not understand {path}"))
}

/// One place where the source is changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which file.
    pub(crate) file: String,
    /// Stands there once. Empty: the file is not there yet.
    #[serde(default)]
    find: String,
    /// Is put there instead.
    replace: String,
}

/// A file, and its changed text.
#[derive(Debug)]
pub(crate) struct Planted {
    /// From the root of the checkout.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The files that these changes change, changed; a change's file lies in `dir`. `id` names the whole where it cannot be made.
///
/// # Errors
/// When the source has moved, so that a change has no place any more, or more than one, or a new file has been made since.
pub(crate) fn plant(id: &str, dir: &str, changes: &[Change]) -> anyhow::Result<Vec<Planted>> {
    let mut files: Vec<Planted> = Vec::new();
    for Change { file, find, replace } in changes {
        let path = format!("{dir}{file}");
        if find.is_empty() {
            ensure!(!root().join(&path).exists(), "{id}: {path} is there already; the source has moved, so must the list");
            files.push(Planted { path, text: replace.clone() });
            continue;
        }
        let (find, replace) = (find.trim_end_matches('\n'), replace.trim_end_matches('\n'));
        if !files.iter().any(|planted| planted.path == path) {
            let text = fs::read_to_string(root().join(&path)).with_context(|| format!("{id}: could not read {path}"))?;
            files.push(Planted { path: path.clone(), text });
        }
        let Some(planted) = files.iter_mut().find(|planted| planted.path == path) else { continue };
        let times = planted.text.matches(find).count();
        if times != 1 {
            bail!("{id}: stands {times} times in {path}, not once; the source has moved, so must the list:\n{find}");
        }
        planted.text = planted.text.replacen(find, replace, 1);
    }
    ensure!(!files.is_empty(), "{id} changes nothing");
    Ok(files)
}
