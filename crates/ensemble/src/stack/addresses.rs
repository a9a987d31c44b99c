use crate::part::{Part, Service};
use crate::stack::ports::Ports;
use crate::stack::secrets::Secrets;

/// Where everything of one stack is reached from this machine, and with which secrets.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The ports, all on loopback.
    pub ports: Ports,
    /// The passwords and keys.
    pub secrets: Secrets,
}

impl Addresses {
    /// A service's API.
    pub fn url(&self, service: Service) -> String {
        http(self.ports.http(service))
    }

    /// A service's probes, metrics and operator's door.
    pub fn admin_url(&self, service: Service) -> String {
        http(self.ports.admin(service))
    }

    /// The card gateway.
    pub fn gateway_url(&self) -> String {
        http(self.ports.gateway)
    }

    /// The carrier.
    pub fn carrier_url(&self) -> String {
        http(self.ports.carrier)
    }

    /// The broker, for clients.
    pub fn nats_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.nats)
    }

    /// The broker's monitoring pages.
    pub fn nats_monitor_url(&self) -> String {
        http(self.ports.nats_monitor)
    }

    /// A service's database, as the service itself sees it: reads and writes, without DDL.
    pub fn database_url(&self, service: Service) -> String {
        self.postgres_url(service.name(), self.secrets.role(service), service.name())
    }

    /// A service's database as the role that migrates it.
    pub fn owner_database_url(&self, service: Service) -> String {
        self.postgres_url(&format!("{service}_owner"), self.secrets.owner(service), service.name())
    }

    /// The server as superuser. For the stack itself and for measuring; no service knows it.
    pub fn superuser_url(&self) -> String {
        self.postgres_url("postgres", self.secrets.superuser(), "postgres")
    }

    fn postgres_url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.ports.postgres)
    }

    /// What answers 200 once the part is ready. PostgreSQL speaks no HTTP and has none.
    pub(crate) fn ready_urls(&self, part: Part) -> Vec<String> {
        match part {
            Part::Postgres => vec![],
            Part::Nats => vec![format!("{}/healthz?js-enabled-only=true", self.nats_monitor_url())],
            Part::Partners => vec![format!("{}/livez", self.gateway_url()), format!("{}/livez", self.carrier_url())],
            Part::Service(service) => vec![format!("{}/readyz", self.admin_url(service))],
        }
    }
}

fn http(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
