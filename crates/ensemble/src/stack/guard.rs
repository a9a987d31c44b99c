//! A broker that lets each service in as a user of its own, with the permissions that the declarations give it. Whoever does not
//! say who he is, as tests and tools do not, may do everything.

use std::{collections::HashMap, path::Path, path::PathBuf};

use anyhow::Context as _;
use choreography::{SERVICES, nats};

use crate::part::{Part, Service};
use crate::workspace;

/// The configuration without users, below the root.
pub(super) const DEPLOYED: &str = "deploy/nats/nats.conf";
/// It guards nothing: the broker listens on loopback.
const PASSWORD: &str = "not-a-secret";

/// The authorization block as the declarations have it, and the user of those who do not say who they are.
pub fn authorization() -> String {
    let anybody = format!("no_auth_user: anybody\n{}", nats::authorization(&SERVICES));
    anybody.replacen("  users: [\n", &format!("  users: [\n    {{ user: anybody, password: {PASSWORD} }}\n"), 1)
}

/// Where a guarded stack's broker has its configuration.
pub(super) fn config(dir: &Path) -> PathBuf {
    dir.join("nats.conf")
}

/// Makes the broker's configuration, or makes it anew.
pub(super) fn write(dir: &Path, authorization: &str) -> anyhow::Result<()> {
    let deployed = workspace::root().join(DEPLOYED);
    let deployed = std::fs::read_to_string(&deployed).with_context(|| format!("could not read {}", deployed.display()))?;
    let path = config(dir);
    std::fs::write(&path, format!("{deployed}\n{authorization}")).with_context(|| format!("could not write {}", path.display()))
}

/// Tells the services who they are, and the broker their passwords.
pub(super) fn name_users(environment: &mut HashMap<Part, Vec<(String, String)>>, port: u16) {
    for service in Service::ALL {
        let url = format!("nats://{}:{PASSWORD}@127.0.0.1:{port}", service.name());
        environment.entry(service.into()).or_default().push(("NATS_URL".to_owned(), url));
        let variable = format!("{}_NATS_PASSWORD", events::stream(service.name()));
        environment.entry(Part::Nats).or_default().push((variable, PASSWORD.to_owned()));
    }
}
