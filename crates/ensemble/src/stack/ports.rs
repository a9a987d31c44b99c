use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};

use crate::part::{Part, Service};

/// Where each part of one stack listens, on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// PostgreSQL.
    pub postgres: u16,
    /// NATS, for clients.
    pub nats: u16,
    /// NATS, for probes.
    pub nats_monitor: u16,
    /// The card gateway.
    pub gateway: u16,
    /// The carrier.
    pub carrier: u16,
    http: [u16; 4],
    admin: [u16; 4],
}

impl Ports {
    /// The ports that the documentation names, all moved by `offset`. PostgreSQL and NATS are not where they
    /// usually are, since a machine may well run its own.
    pub fn conventional(offset: u16) -> anyhow::Result<Self> {
        let at = |port: u16| {
            port.checked_add(offset)
                .with_context(|| format!("ENSEMBLE_PORT_OFFSET={offset} moves port {port} past the last one, 65535"))
        };
        Ok(Self {
            postgres: at(15432)?,
            nats: at(14222)?,
            nats_monitor: at(18222)?,
            gateway: at(8100)?,
            carrier: at(8101)?,
            http: [at(8080)?, at(8081)?, at(8082)?, at(8083)?],
            admin: [at(9080)?, at(9081)?, at(9082)?, at(9083)?],
        })
    }

    fn consecutive(first: u16) -> Self {
        let at = |n: u16| first + n;
        Self {
            postgres: at(0),
            nats: at(1),
            nats_monitor: at(2),
            gateway: at(3),
            carrier: at(4),
            http: [at(5), at(6), at(7), at(8)],
            admin: [at(9), at(10), at(11), at(12)],
        }
    }

    /// The API of a service.
    pub fn http(&self, service: Service) -> u16 {
        self.http[service.index()]
    }

    /// Probes, metrics and the operator's door of a service.
    pub fn admin(&self, service: Service) -> u16 {
        self.admin[service.index()]
    }

    /// Every port that a part listens on.
    pub fn of(&self, part: Part) -> Vec<u16> {
        match part {
            Part::Postgres => vec![self.postgres],
            Part::Nats => vec![self.nats, self.nats_monitor],
            Part::Partners => vec![self.gateway, self.carrier],
            Part::Service(service) => vec![self.http(service), self.admin(service)],
        }
    }
}

/// Whether nobody listens there now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Ports that are this stack's alone for as long as it lives, whichever other tests run beside it.
///
/// The block's first port is held open: that is the lock, across threads and processes alike, and it ends with
/// its holder however that ends. The range lies below the ports that Linux gives to outgoing connections, so
/// that a connection does not take one between two starts of a part.
pub(crate) struct PortBlock {
    _lock: TcpListener,
    pub(crate) ports: Ports,
}

const BLOCK: u16 = 16;
const FIRST: u16 = 20_000;
const BLOCKS: u16 = 750;

impl PortBlock {
    pub(crate) fn take() -> anyhow::Result<Self> {
        let start = rand::random_range(0..BLOCKS);
        (0..BLOCKS)
            .map(|n| FIRST + (start + n) % BLOCKS * BLOCK)
            .find_map(Self::at)
            .map_or_else(|| bail!("no {BLOCK} free ports in a row from {FIRST} on: is something else using them all?"), Ok)
    }

    fn at(first: u16) -> Option<Self> {
        let lock = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
        let ports = Ports::consecutive(first + 1);
        Part::ALL.into_iter().flat_map(|part| ports.of(part)).all(is_free).then_some(Self { _lock: lock, ports })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all(ports: &Ports) -> Vec<u16> {
        Part::ALL.into_iter().flat_map(|part| ports.of(part)).collect()
    }

    #[test]
    fn blocks_held_at_once_share_no_port() {
        let blocks: Vec<_> = (0..20).map(|_| PortBlock::take().expect("ports")).collect();
        let ports: Vec<_> = blocks.iter().flat_map(|block| all(&block.ports)).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), ports.len());
    }

    #[test]
    fn a_block_holds_all_ports_of_a_stack() {
        let ports = all(&Ports::consecutive(1));
        assert!(ports.into_iter().all(|port| port < BLOCK));
    }

    #[test]
    fn the_conventional_ports_move_together_or_not_at_all() {
        let ports = Ports::conventional(1000).expect("in range");
        assert_eq!(ports.http(Service::Order), 9080);
        assert_eq!(ports.admin(Service::Shipping), 10083);
        let refused = Ports::conventional(60_000).expect_err("out of range").to_string();
        assert!(refused.contains("ENSEMBLE_PORT_OFFSET"), "{refused}");
    }
}
