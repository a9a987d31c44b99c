use std::io::IsTerminal;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::part::{Part, Service};
use crate::stack::addresses::Addresses;
use crate::stack::command::{answer, output};
use crate::stack::docker::Compose;
use crate::stack::ports::Ports;
use crate::workspace;

/// `deploy/compose/compose.yaml` as one project.
pub(crate) struct Project<'a> {
    pub(crate) compose: Compose,
    pub(crate) name: &'a str,
    pub(crate) addresses: &'a Addresses,
}

impl Project<'_> {
    /// Starts what does not run and replaces what has changed.
    ///
    /// # Errors
    /// When compose cannot; with what it said.
    pub(crate) async fn up(&self) -> anyhow::Result<()> {
        output(self.command().args(["up", "--detach", "--no-build", "--remove-orphans"])).await.map(drop)
    }

    /// Stops and removes the containers, and with `volumes` the data.
    pub(crate) async fn down(&self, volumes: bool) -> anyhow::Result<()> {
        let mut command = self.command();
        command.args(["down", "--remove-orphans"]);
        if volumes {
            command.arg("--volumes");
        }
        output(&mut command).await.map(drop)
    }

    /// The last lines that a part has said.
    pub(crate) async fn last_lines(&self, part: Part, count: usize) -> Option<String> {
        let mut command = self.command();
        command.args(["logs", "--no-color", "--tail", &count.to_string(), part.name()]);
        answer(&mut command, std::time::Duration::from_secs(10)).await
    }

    /// Shows what the parts said, to whoever reads stdout.
    pub(crate) async fn show_logs(&self, parts: &[Part], follow: bool, count: usize) -> anyhow::Result<()> {
        let mut command = self.command();
        command.args(["logs", "--tail", &count.to_string()]);
        if follow {
            command.arg("--follow");
        }
        let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stdout().is_terminal();
        if plain {
            command.arg("--no-color");
        }
        command.args(parts.iter().map(|part| part.name())).stdout(Stdio::inherit());
        let ended = command.status().await.with_context(|| format!("could not run {}", self.compose.name()))?;
        ensure!(ended.success(), "{} logs ended with {ended}", self.compose.name());
        Ok(())
    }

    /// Secrets and ports go in by the environment: it wins over every file, and over what the user's shell holds.
    fn command(&self) -> Command {
        let mut command = self.compose.command();
        command.args(["--project-name", self.name, "--file"]).arg(workspace::root().join("deploy/compose/compose.yaml"));
        command.envs(self.addresses.secrets.variables()).envs(port_variables(&self.addresses.ports));
        command
    }
}

fn port_variables(ports: &Ports) -> Vec<(String, String)> {
    let servers = [
        ("POSTGRES_PORT", ports.postgres),
        ("NATS_PORT", ports.nats),
        ("NATS_MONITOR_PORT", ports.nats_monitor),
        ("GATEWAY_PORT", ports.gateway),
        ("CARRIER_PORT", ports.carrier),
    ];
    let services = Service::ALL.into_iter().flat_map(|service| {
        let name = service.name().to_uppercase();
        [(format!("{name}_PORT"), ports.http(service)), (format!("{name}_ADMIN_PORT"), ports.admin(service))]
    });
    servers
        .into_iter()
        .map(|(name, port)| (name.to_owned(), port))
        .chain(services)
        .map(|(name, port)| (name, port.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSE: &str = include_str!("../../../../deploy/compose/compose.yaml");

    #[test]
    fn the_file_has_a_place_for_every_port_with_the_documented_default() {
        for (name, port) in port_variables(&Ports::conventional(0).expect("in range")) {
            let place = format!("\"127.0.0.1:${{{name}:-{port}}}:");
            assert!(COMPOSE.contains(&place), "{place}");
        }
    }
}
