use std::collections::HashMap;

use crate::part::{Part, Service};
use crate::stack::housing::Housing;
use crate::workspace::Profile;

/// What a stack is made of, where it differs from the usual.
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) profile: Profile,
    pub(super) housing: Option<Housing>,
    pub(super) parts: Vec<Part>,
    pub(super) environment: HashMap<Part, Vec<(String, String)>>,
    pub(super) postgres: Vec<(String, String)>,
    pub(super) cables: bool,
    pub(super) guarded: bool,
}

impl Default for Options {
    /// All parts, compiled for development, housed as the machine allows; PostgreSQL small, but as durable as ever.
    fn default() -> Self {
        let settings = [("max_connections", "200"), ("shared_buffers", "64MB"), ("max_wal_size", "1GB"), ("jit", "off")];
        Self {
            profile: Profile::Dev,
            housing: None,
            parts: Part::ALL.to_vec(),
            environment: HashMap::new(),
            postgres: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            cables: false,
            guarded: false,
        }
    }
}

impl Options {
    /// Without the services: what they stand on.
    pub fn ground() -> Self {
        Self { parts: Part::GROUND.to_vec(), ..Self::default() }
    }

    /// Only these parts.
    #[must_use]
    pub fn parts(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.parts = parts.into_iter().collect();
        self
    }

    /// How the programs are compiled.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// What the two servers run in, whatever [`HOUSING_VARIABLE`](crate::stack::HOUSING_VARIABLE) says.
    #[must_use]
    pub fn housing(mut self, housing: Housing) -> Self {
        self.housing = Some(housing);
        self
    }

    /// A variable for one of our programs, or for the broker.
    #[must_use]
    pub fn set(mut self, part: impl Into<Part>, name: &str, value: impl Into<String>) -> Self {
        self.environment.entry(part.into()).or_default().push((name.to_owned(), value.into()));
        self
    }

    /// A variable for all four services.
    #[must_use]
    pub fn set_all(self, name: &str, value: &str) -> Self {
        Service::ALL.into_iter().fold(self, |options, service| options.set(service, name, value))
    }

    /// Each service reaches the broker by a [`Cable`](crate::stack::Cable) of its own.
    #[must_use]
    pub fn cables(mut self) -> Self {
        self.cables = true;
        self
    }

    /// Each service comes to the broker as a user of its own, who may do what the declarations say and nothing else. For servers
    /// that are processes of this machine.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        (self.guarded, self.housing) = (true, Some(Housing::Native));
        self
    }

    /// A setting of PostgreSQL; a later one wins.
    #[must_use]
    pub fn postgres(mut self, name: &str, value: impl Into<String>) -> Self {
        self.postgres.push((name.to_owned(), value.into()));
        self
    }
}
