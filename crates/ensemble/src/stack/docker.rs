use std::time::Duration;

use tokio::process::Command;

use crate::stack::command::{answer, command};

/// A Docker engine that answered.
#[derive(Clone, Debug)]
pub(crate) struct Docker {
    /// Of the engine, not of the client.
    pub(crate) version: String,
    /// The Compose that drives it, where one is installed.
    pub(crate) compose: Option<Compose>,
}

impl Docker {
    /// Asks for an engine. An installed client whose engine does not run is no engine.
    pub(crate) async fn ask() -> Option<Self> {
        let version =
            answer(command("docker").args(["version", "--format", "{{.Server.Version}}"]), Duration::from_secs(5)).await?;
        Some(Self { version, compose: Compose::ask().await })
    }
}

/// Which Compose there is. They differ in how they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compose {
    /// `docker compose`, the plugin.
    V2,
    /// `docker-compose`, the Python program.
    V1,
}

impl Compose {
    async fn ask() -> Option<Self> {
        let bound = Duration::from_secs(5);
        if answer(command("docker").args(["compose", "version", "--short"]), bound).await.is_some() {
            return Some(Self::V2);
        }
        answer(command("docker-compose").args(["version", "--short"]), bound).await.map(|_| Self::V1)
    }

    pub(crate) fn command(self) -> Command {
        match self {
            Self::V2 => {
                let mut docker = command("docker");
                docker.arg("compose");
                docker
            }
            Self::V1 => command("docker-compose"),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V2 => "docker compose",
            Self::V1 => "docker-compose",
        }
    }
}
