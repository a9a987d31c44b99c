//! Which world is explored.

use std::fmt;

use events::Event;
use saga::Door;

use crate::SERVICES;

/// The world, and what may go wrong in it. Always on: any order of delivery, any delay, every word of a partner, an answer
/// that comes at any time after it, a customer who cancels and a warehouse that dispatches at any moment, as often as they like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How many orders compete: one or two. Each wants two pieces of one product, which are there, and one of another.
    pub orders: usize,
    /// How many pieces of that other product are on the shelf.
    pub stock: u32,
    /// With claims an event or an answer takes effect once, and two equal events wait at most. Without them each may come
    /// again at any time, without limit.
    pub claims: bool,
    /// How often the deadline may pass while a message or a call is under way; once nothing is, it passes as often as it is
    /// set. [`ANY_TIME`](Self::ANY_TIME): always as often as it is set. None: it never passes.
    pub deadline: Option<u8>,
    /// What the gateway holds lapses at any moment.
    pub lapse: bool,
    /// A partner may store an error under a key, so that the key burns: once for each call.
    pub burns: bool,
    /// One message of this channel may be lost for good.
    pub lost: Option<Channel>,
    /// This service speaks in versions of its events that nobody else knows before being updated, which comes at any moment; one
    /// message may wait for that too long, and become a dead letter.
    pub ahead: Option<&'static str>,
    /// The search stops after so many states; none: it ends when there are no more.
    pub states_max: Option<usize>,
}

/// One event type on its way to one of its readers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Channel {
    /// `stock.reserved`.
    pub event: &'static str,
    /// `payment`.
    pub reader: &'static str,
}

impl Channel {
    /// Every channel there is, from the declarations.
    pub fn all() -> Vec<Self> {
        let of_order = Event::ALL.iter().filter(|info| info.of_order);
        of_order
            .flat_map(|info| {
                let readers = SERVICES
                    .iter()
                    .filter(|service| service.rows.iter().any(|row| row.door == Door::Event && row.input == info.ty));
                readers.map(|service| Self { event: info.name, reader: service.service })
            })
            .collect()
    }

    /// The one that an order does not survive: nobody else can tell it that its goods are gone. (It heals when a customer
    /// cancels.)
    pub const FATAL: Self = Self { event: "shipment.dispatched", reader: "order" };
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.event, self.reader)
    }
}

impl Settings {
    /// For [`deadline`](Self::deadline): whatever is under way.
    pub const ANY_TIME: u8 = u8::MAX;

    /// One order, everything on; the deadline passes once at most while anything is under way.
    pub const fn one_order() -> Self {
        Self {
            orders: 1,
            stock: 1,
            claims: true,
            deadline: Some(1),
            lapse: true,
            burns: true,
            lost: None,
            ahead: None,
            states_max: None,
        }
    }

    /// One order whose events and answers may come again without limit, and whose deadline passes at any moment.
    pub const fn repeated() -> Self {
        Self { claims: false, deadline: Some(Self::ANY_TIME), ..Self::one_order() }
    }

    /// Two orders for the last piece, without deadline and lapse, and no key burns.
    pub const fn last_piece() -> Self {
        Self { orders: 2, deadline: None, lapse: false, burns: false, ..Self::one_order() }
    }

    /// Two orders for the last piece, whose events and answers may come again without limit, and everything else on.
    pub const fn last_piece_repeated() -> Self {
        Self { orders: 2, ..Self::repeated() }
    }

    /// One order, and nothing on the shelf.
    pub const fn nothing_there() -> Self {
        Self { stock: 0, ..Self::one_order() }
    }

    /// One order, one message of that channel lost for good, and a deadline that passes only once nothing is under way.
    pub fn losing(channel: Channel) -> Self {
        let stock = u32::from(channel.event != "stock.unavailable");
        Self { stock, lost: Some(channel), deadline: Some(0), ..Self::one_order() }
    }

    /// One order, that service a version ahead, and a deadline that passes only once nothing is under way.
    pub const fn ahead(service: &'static str) -> Self {
        Self { ahead: Some(service), deadline: Some(0), ..Self::one_order() }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let orders = match self.orders {
            1 if self.stock == 0 => "one order, nothing on the shelf".to_owned(),
            1 => "one order".to_owned(),
            many => format!("{many} orders for {} piece", self.stock),
        };
        write!(f, "{orders}, claims {}", if self.claims { "on" } else { "off" })?;
        if let Some(channel) = self.lost {
            write!(f, ", {channel} lost")?;
        }
        if let Some(service) = self.ahead {
            write!(f, ", {service} a version ahead")?;
        }
        match self.deadline {
            Some(Self::ANY_TIME) => write!(f, ", deadlines at any time")?,
            Some(early) => write!(f, ", early deadlines: {early} at most")?,
            None => write!(f, ", no deadline")?,
        }
        for (on, what) in [(self.lapse, "lapse"), (self.burns, "burned keys")] {
            if !on {
                write!(f, ", no {what}")?;
            }
        }
        self.states_max.map_or(Ok(()), |most| write!(f, ", cut at {most} states"))
    }
}
