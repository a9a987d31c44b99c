use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use crate::part::Service;

/// The passwords and keys of one stack: drawn when it is made, in no commit, and different for every role.
#[derive(Clone)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// New ones.
    pub(crate) fn draw() -> Self {
        let passwords = Service::ALL.into_iter().flat_map(|service| [password(service), owner_password(service)]);
        let others = ["POSTGRES_PASSWORD", "GATEWAY_KEY", "CARRIER_KEY"].map(str::to_owned);
        Self(passwords.chain(others).map(|name| (name, format!("{:032x}", rand::random::<u128>()))).collect())
    }

    /// Those of a stack that keeps its data between two starts.
    ///
    /// # Errors
    /// When the file can be neither read nor written, or is not one that this function wrote.
    pub(crate) fn kept_in(file: &Path) -> anyhow::Result<Self> {
        if !file.exists() {
            let secrets = Self::draw();
            let mut out = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file)
                .with_context(|| format!("could not create {}", file.display()))?;
            for (name, value) in secrets.variables() {
                writeln!(out, "{name}={value}").with_context(|| format!("could not write {}", file.display()))?;
            }
        }
        Self::read(file)
    }

    /// Those in a file that [`Secrets::kept_in`] wrote.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
        let found: BTreeMap<_, _> =
            text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        for name in Self::draw().0.keys() {
            anyhow::ensure!(
                found.contains_key(name),
                "{} does not say {name}; `ensemble down --volumes` starts afresh, without the data",
                file.display()
            );
        }
        Ok(Self(found))
    }

    /// Each as the environment variable that compose and the database's script read.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// PostgreSQL's superuser.
    pub(crate) fn superuser(&self) -> &str {
        self.get("POSTGRES_PASSWORD")
    }

    /// A service's own role.
    pub(crate) fn role(&self, service: Service) -> &str {
        self.get(&password(service))
    }

    /// The role that migrates a service's database.
    pub(crate) fn owner(&self, service: Service) -> &str {
        self.get(&owner_password(service))
    }

    /// What payment shows to the card gateway.
    pub(crate) fn gateway_key(&self) -> &str {
        self.get("GATEWAY_KEY")
    }

    /// What shipping shows to the carrier.
    pub(crate) fn carrier_key(&self) -> &str {
        self.get("CARRIER_KEY")
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).expect("both constructors hold every name")
    }
}

/// Says nothing of what it holds.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

fn password(service: Service) -> String {
    format!("{}_PASSWORD", service.name().to_uppercase())
}

fn owner_password(service: Service) -> String {
    format!("{}_OWNER_PASSWORD", service.name().to_uppercase())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn kept_secrets_stay_and_are_nobody_elses_to_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("secrets.env");
        let first = Secrets::kept_in(&file).expect("written");
        let second = Secrets::kept_in(&file).expect("read");
        assert_eq!(first.role(Service::Order), second.role(Service::Order));
        assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_two_are_alike() {
        let secrets = Secrets::draw();
        let values: HashSet<_> = secrets.variables().map(|(_, value)| value.to_owned()).collect();
        assert_eq!(values.len(), 11);
    }

    #[test]
    fn a_file_with_something_missing_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("secrets.env");
        std::fs::write(&file, "GATEWAY_KEY=x\n").expect("written");
        let refused = Secrets::read(&file).expect_err("incomplete").to_string();
        assert!(refused.contains("does not say CARRIER_KEY"), "{refused}");
    }
}
