use std::path::Path;

use crate::part::{Part, Service};
use crate::stack::addresses::Addresses;

/// The variables that a part is started with, when it runs as a process of this machine.
/// `deploy/compose/compose.yaml` says the same to containers; a test below holds the two together.
pub(crate) fn variables(part: Part, addresses: &Addresses, data: &Path) -> Vec<(String, String)> {
    let pairs = match part {
        Part::Postgres => vec![],
        Part::Nats => vec![("NATS_SYNC_INTERVAL", SYNC_INTERVAL.to_owned())],
        Part::Partners => vec![
            ("GATEWAY_ADDR", local(addresses.ports.gateway)),
            ("CARRIER_ADDR", local(addresses.ports.carrier)),
            ("GATEWAY_KEY", addresses.secrets.gateway_key().to_owned()),
            ("CARRIER_KEY", addresses.secrets.carrier_key().to_owned()),
            ("DATA_DIR", data.display().to_string()),
        ],
        Part::Service(service) => {
            let mut pairs = vec![
                ("DATABASE_URL", addresses.database_url(service)),
                ("DATABASE_OWNER_URL", addresses.owner_database_url(service)),
                ("NATS_URL", addresses.nats_url()),
                ("HTTP_ADDR", local(addresses.ports.http(service))),
                ("ADMIN_ADDR", local(addresses.ports.admin(service))),
            ];
            pairs.extend(of_its_own(service, addresses));
            pairs
        }
    };
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The server's own default.
const SYNC_INTERVAL: &str = "120s";

fn of_its_own(service: Service, addresses: &Addresses) -> Vec<(&'static str, String)> {
    match service {
        Service::Order => vec![
            ("INVENTORY_URL", addresses.url(Service::Inventory)),
            ("PAYMENT_URL", addresses.url(Service::Payment)),
            ("SHIPPING_URL", addresses.url(Service::Shipping)),
        ],
        Service::Inventory => vec![],
        Service::Payment => {
            vec![("GATEWAY_URL", addresses.gateway_url()), ("GATEWAY_KEY", addresses.secrets.gateway_key().to_owned())]
        }
        Service::Shipping => {
            vec![("CARRIER_URL", addresses.carrier_url()), ("CARRIER_KEY", addresses.secrets.carrier_key().to_owned())]
        }
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::ports::Ports;
    use crate::stack::secrets::Secrets;

    const COMPOSE: &str = include_str!("../../../../deploy/compose/compose.yaml");

    /// One service of the compose file, with the shared environment that it merges.
    fn compose_says(part: Part) -> String {
        let own = COMPOSE
            .split_once(&format!("\n  {}:\n", part.name()))
            .expect("the compose file names every part")
            .1
            .split("\n\n")
            .next()
            .expect("split yields at least one");
        let shared = COMPOSE.split_once("x-common-environment:").expect("shared").1.split("\n\n").next().expect("one");
        format!("{own}\n{shared}")
    }

    #[test]
    fn containers_and_processes_are_told_the_same() {
        let addresses = Addresses { ports: Ports::conventional(0).expect("in range"), secrets: Secrets::draw() };
        for part in Part::ALL.into_iter().filter(|part| *part != Part::Postgres) {
            let said = compose_says(part);
            for (name, _) in variables(part, &addresses, Path::new("/data")) {
                assert!(said.contains(&format!("      {name}: ")) || said.contains(&format!("\n  {name}: ")), "{part}: {name}");
            }
        }
    }
}
