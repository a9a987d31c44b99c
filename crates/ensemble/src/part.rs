use std::fmt;
use std::str::FromStr;

/// One of the four services, in the order in which they stand in every list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Takes orders and knows when they have ended.
    Order,
    /// Holds the stock.
    Inventory,
    /// Holds the money.
    Payment,
    /// Books the carrier.
    Shipping,
}

impl Service {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Order, Self::Inventory, Self::Payment, Self::Shipping];

    /// The name of its binary, its database, its role and its container.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Shipping => "shipping",
        }
    }

    /// Its place in [`Service::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A part of a stack: something that is started, watched and stopped on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The server with the four databases.
    Postgres,
    /// The broker.
    Nats,
    /// The card gateway and the carrier: one process, two addresses.
    Partners,
    /// One of the four services.
    Service(Service),
}

impl Part {
    /// All parts, in the order in which they are started.
    pub const ALL: [Self; 7] = [
        Self::Postgres,
        Self::Nats,
        Self::Partners,
        Self::Service(Service::Order),
        Self::Service(Service::Inventory),
        Self::Service(Service::Payment),
        Self::Service(Service::Shipping),
    ];

    /// What the services stand on: everything but the services.
    pub const GROUND: [Self; 3] = [Self::Postgres, Self::Nats, Self::Partners];

    /// Its name on the command line, in compose and in file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Nats => "nats",
            Self::Partners => "partners",
            Self::Service(service) => service.name(),
        }
    }

    /// Whether its program is built from this workspace.
    pub const fn is_ours(self) -> bool {
        self.package().is_some()
    }

    /// The package of this workspace that its program is built from.
    pub(crate) const fn package(self) -> Option<&'static str> {
        match self {
            Self::Postgres | Self::Nats => None,
            Self::Partners => Some("partners"),
            Self::Service(_) => Some("programs"),
        }
    }
}

impl From<Service> for Part {
    fn from(service: Service) -> Self {
        Self::Service(service)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No part has this name.
#[derive(Debug, thiserror::Error)]
#[error("no part is called {0:?}; there are postgres, nats, partners, order, inventory, payment and shipping")]
pub struct UnknownPart(String);

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(name: &str) -> Result<Self, UnknownPart> {
        Self::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| UnknownPart(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_by_its_name() {
        for part in Part::ALL {
            assert_eq!(part.name().parse::<Part>().expect("its own name"), part);
        }
        assert!("broker".parse::<Part>().is_err());
    }

    #[test]
    fn the_index_of_a_service_is_its_place() {
        for (place, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!(service.index(), place);
        }
    }
}
