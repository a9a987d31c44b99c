//! What a stack needs of this machine.

use std::time::Duration;

use serde::Serialize;

use crate::part::Part;
use crate::stack::command::{answer, command};
use crate::stack::docker::Docker;
use crate::stack::images::{self, Image};
use crate::stack::standing::Standing;
use crate::stack::{Housing, Name, Ports, servers};

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should.
    Good,
    /// Missing, but nothing waits for it.
    Optional,
    /// Missing, and made or installed by whoever needs it first.
    Comes,
    /// In the way.
    Bad,
}

impl Finding {
    /// Whether nothing works until it is fixed.
    pub fn is_in_the_way(&self) -> bool {
        self.verdict == Verdict::Bad
    }

    fn good(what: &'static str, seen: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Good, seen: seen.into(), fix: None }
    }

    fn not(what: &'static str, verdict: Verdict, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what, verdict, seen: seen.into(), fix: Some(fix.into()) }
    }
}

/// Looks at everything.
///
/// # Errors
/// When one of our own variables says what it cannot say.
pub async fn examine() -> anyhow::Result<Vec<Finding>> {
    let docker = Docker::ask().await;
    let asked = Housing::asked_for()?;
    let mut findings = vec![compiler().await, linker().await, engine(docker.as_ref(), asked)];
    let native = match (asked, &docker) {
        (Some(housing), _) => housing == Housing::Native,
        (None, docker) => docker.as_ref().is_none_or(|docker| docker.compose.is_none()),
    };
    findings.push(composer(docker.as_ref(), native));
    if native {
        findings.extend([postgres().await, nats().await]);
    } else if docker.is_some() {
        for image in Image::ALL {
            findings.push(image_here(image).await);
        }
    }
    findings.push(ports().await?);
    findings.push(memory());
    findings.extend([tool(
        "just",
        "cargo ensemble <verb> does the same; cargo install just, pip install rust-just, apt-get install just",
    )
    .await]);
    findings.push(tool("cargo-deny", "for `just ci` only: cargo install cargo-deny").await);
    Ok(findings)
}

async fn compiler() -> Finding {
    const WHAT: &str = "Rust 1.95";
    match answer(command("rustc").arg("--version"), Duration::from_secs(20)).await {
        Some(said) if minor(&said).is_some_and(|minor| minor >= 95) => Finding::good(WHAT, said),
        Some(said) => Finding::not(WHAT, Verdict::Bad, said, "rustup update stable"),
        None => {
            Finding::not(WHAT, Verdict::Bad, "no rustc in the path", "install Rust with rustup (rust-lang.org/tools/install)")
        }
    }
}

/// From "rustc 1.95.0 (…)".
fn minor(said: &str) -> Option<u32> {
    said.split_whitespace().nth(1)?.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

async fn linker() -> Finding {
    const WHAT: &str = "a C compiler";
    match answer(command("cc").arg("--version"), Duration::from_secs(10)).await {
        Some(said) => Finding::good(WHAT, said.lines().next().unwrap_or_default()),
        None => {
            Finding::not(WHAT, Verdict::Bad, "no cc in the path", "apt-get install build-essential, or xcode-select --install")
        }
    }
}

fn engine(docker: Option<&Docker>, asked: Option<Housing>) -> Finding {
    const WHAT: &str = "a Docker engine";
    match (docker, asked) {
        (Some(docker), _) => Finding::good(WHAT, format!("version {}", docker.version)),
        (None, Some(Housing::Docker)) => Finding::not(
            WHAT,
            Verdict::Bad,
            "none answers, and ENSEMBLE_HOUSING=docker",
            "start it (`docker version` tells), or ENSEMBLE_HOUSING=native",
        ),
        (None, Some(Housing::Native) | None) => Finding::not(
            WHAT,
            Verdict::Optional,
            "none answers: the stack runs as processes",
            "apt-get install docker.io docker-compose",
        ),
    }
}

fn composer(docker: Option<&Docker>, native: bool) -> Finding {
    const WHAT: &str = "Compose";
    const FIX: &str = "apt-get install docker-compose, or the plugin docker-compose-v2";
    match docker.and_then(|docker| docker.compose) {
        Some(compose) => Finding::good(WHAT, compose.name()),
        None if native => Finding::not(WHAT, Verdict::Optional, "none: the stack runs as processes", FIX),
        None => Finding::not(WHAT, Verdict::Bad, "none, and ENSEMBLE_HOUSING=docker", FIX),
    }
}

async fn image_here(image: Image) -> Finding {
    let what = match image {
        Image::Debian => "image debian:trixie-slim",
        Image::Postgres => "image postgres:17",
        Image::Nats => "image nats:2.10",
    };
    match images::origin(image).await {
        Some(origin) => Finding::good(what, origin.words()),
        None => Finding::not(
            what,
            Verdict::Comes,
            "not here yet",
            "pulled at first use, or built from Debian's packages where no registry answers",
        ),
    }
}

async fn postgres() -> Finding {
    const WHAT: &str = "PostgreSQL 15";
    match servers::find_postgres().await {
        Some(dir) => Finding::good(WHAT, dir.display().to_string()),
        None => Finding::not(WHAT, Verdict::Comes, "none found", servers::POSTGRES_FIX),
    }
}

async fn nats() -> Finding {
    const WHAT: &str = "nats-server 2.10";
    match servers::find_nats().await {
        Some(program) => Finding::good(WHAT, program.display().to_string()),
        None => Finding::not(WHAT, Verdict::Comes, "none found", servers::NATS_FIX),
    }
}

/// A stack that is up holds its own ports.
async fn ports() -> anyhow::Result<Finding> {
    const WHAT: &str = "free ports";
    let name = Name::asked_for()?;
    if Standing::is_up(&name)? {
        return Ok(Finding::good(WHAT, "a stack is up and holds them"));
    }
    let ports = Ports::conventional(name.offset())?;
    let taken: Vec<_> = Part::ALL
        .into_iter()
        .flat_map(|part| ports.of(part))
        .filter(|port| !crate::stack::is_free(*port))
        .map(|port| port.to_string())
        .collect();
    Ok(if taken.is_empty() {
        Finding::good(WHAT, "all are")
    } else {
        let seen = format!("taken: {}", taken.join(", "));
        Finding::not(WHAT, Verdict::Bad, seen, "stop what listens there, or ENSEMBLE_PORT_OFFSET=1000 moves them all")
    })
}

/// Measured: a debug build of the whole workspace and one stack beside it.
const MEMORY_GIB: u64 = 4;

fn memory() -> Finding {
    const WHAT: &str = "4 GiB of memory";
    let Ok(text) = std::fs::read_to_string("/proc/meminfo") else { return Finding::good(WHAT, "not known on this system") };
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .unwrap_or_default();
    let seen = format!("{:.1} GiB available", kib as f64 / f64::from(1 << 20));
    if kib >> 20 >= MEMORY_GIB {
        Finding::good(WHAT, seen)
    } else {
        Finding::not(WHAT, Verdict::Optional, seen, "the build may be slow: close something, or CARGO_BUILD_JOBS=1")
    }
}

async fn tool(program: &'static str, fix: &str) -> Finding {
    match answer(command(program).arg("--version"), Duration::from_secs(10)).await {
        Some(said) => Finding::good(program, said),
        None => Finding::not(program, Verdict::Optional, "not in the path", fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_version_is_read() {
        assert_eq!(minor("rustc 1.95.0 (59807616e 2026-04-14)"), Some(95));
        assert_eq!(minor("rustc nightly"), None);
    }
}
