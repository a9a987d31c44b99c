//! Who opens a connection to whom, from what each part is told: every address in its environment is an edge, and there is no other.

use std::path::Path;

use choreography::SERVICES;
use saga::Declaration;
use serde::Serialize;

use crate::part::Part;
use crate::stack::Addresses;
use crate::stack::environment::variables;
use crate::stack::ports::Ports;
use crate::stack::secrets::Secrets;

/// A connection that a firewall must let through.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Edge {
    /// Who opens it.
    pub from: &'static str,
    /// Who answers.
    pub to: &'static str,
    /// On which port, by convention.
    pub port: u16,
    /// What for.
    pub purpose: String,
}

/// Every edge between the parts of a stack.
///
/// # Errors
/// None that can happen: the conventional ports are in range.
pub fn edges() -> anyhow::Result<Vec<Edge>> {
    let addresses = Addresses { ports: Ports::conventional(0)?, secrets: Secrets::draw() };
    let mut edges = Vec::new();
    for from in Part::ALL {
        for (name, value) in variables(from, &addresses, Path::new("")) {
            let Some(port) = port_of(&value).filter(|_| name.ends_with("_URL")) else { continue };
            let Some(to) = Part::ALL.into_iter().find(|part| addresses.ports.of(*part).contains(&port)) else { continue };
            edges.push(Edge { from: from.name(), to: to.name(), port, purpose: purpose(from, to, &name) });
        }
    }
    Ok(edges)
}

/// The port of an address: what stands between the last colon and the path.
fn port_of(url: &str) -> Option<u16> {
    let (_, rest) = url.rsplit_once(':')?;
    rest.split('/').next()?.parse().ok()
}

fn purpose(from: Part, to: Part, variable: &str) -> String {
    let declared: Option<&Declaration> = SERVICES.iter().find(|service| service.service == from.name());
    match to {
        Part::Postgres if variable == "DATABASE_OWNER_URL" => {
            "its own database, to migrate it and to make its partitions".to_owned()
        }
        Part::Postgres => "its own database".to_owned(),
        Part::Nats => declared
            .map(|service| format!("says {} events, hears {}", service.says().len(), service.hears().count()))
            .unwrap_or_default(),
        Part::Partners => {
            let mut calls: Vec<&str> =
                declared.iter().flat_map(|service| service.steps).flat_map(|step| step.asks).copied().collect();
            calls.sort_unstable();
            calls.dedup();
            calls.join(", ")
        }
        Part::Service(_) => "its part of the order screen".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_talks_to_the_broker_its_database_and_its_own_partner() {
        let edges = edges().expect("ports are in range");
        let of = |from: &str| -> Vec<(&str, u16)> {
            edges.iter().filter(|edge| edge.from == from).map(|edge| (edge.to, edge.port)).collect()
        };
        assert_eq!(of("payment"), [("postgres", 15432), ("postgres", 15432), ("nats", 14222), ("partners", 8100)]);
        assert_eq!(of("inventory"), [("postgres", 15432), ("postgres", 15432), ("nats", 14222)]);
        assert_eq!(of("order")[3..], [("inventory", 8081), ("payment", 8082), ("shipping", 8083)]);
        assert!(of("nats").is_empty() && of("postgres").is_empty() && of("partners").is_empty());
        let gateway = edges.iter().find(|edge| edge.port == 8100).expect("payment asks the gateway");
        assert_eq!(gateway.purpose, "AuthorizeCard, CaptureCharge, RefundCharge, VoidCharge");
    }
}
