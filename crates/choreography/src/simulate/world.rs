//! Everything there is at one moment: the services, their outboxes and streams, and what is on its way.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use events::{CallId, Currency, Event, EventId, Money, OrderId, Sku, Timestamp};
use foldhash::fast::FixedState;
use inventory::{Shelves, Stock};
use order::{Orders, Product};
use saga::{Context, examples::CONTEXT};
use uuid::Uuid;

use super::{Settings, coverage::Coverage, dice::Dice, seat::Seat, story::Narrator};

/// What is on its way. Events by their number among all that was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Work {
    Publish(usize),
    Deliver { reader: usize, event: usize },
    Execute(usize, CallId),
    Answer(usize, CallId),
}

/// A row of an outbox, and what became of it.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) id: EventId,
    pub(super) event: Rc<Event>,
    pub(super) owner: usize,
    /// Of the declaration's rows: who said it.
    pub(super) row: usize,
    /// When it was put on the pending list, if it is there.
    pub(super) pending: Option<Timestamp>,
    /// On its way from memory.
    pub(super) in_hand: bool,
    pub(super) generation: u32,
    /// The last generation that the broker remembers, whether it still has the message or not.
    pub(super) remembered: Option<u32>,
}

/// A delivery that came too early.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) reader: usize,
    pub(super) event: usize,
    pub(super) until: Timestamp,
}

pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) seats: Vec<Box<dyn Seat>>,
    /// Who hears an event, by its type.
    pub(super) readers: BTreeMap<&'static str, Vec<usize>>,
    pub(super) said: Vec<Said>,
    /// Where each stands among them.
    pub(super) numbers: HashMap<EventId, usize, FixedState>,
    /// What each service's stream holds, by number.
    pub(super) streams: Vec<Vec<usize>>,
    pub(super) bag: Vec<Work>,
    pub(super) parked: Vec<Waiting>,
    /// When a delivery that was parked came first.
    pub(super) came: BTreeMap<(usize, usize), Timestamp>,
    pub(super) dead: Vec<(usize, usize)>,
    pub(super) now: Timestamp,
    /// What operators were told they have counted in.
    pub(super) counted: BTreeMap<Sku, u32>,
    /// Requests that took effect, by number.
    pub(super) granted: Vec<u32>,
    pub(super) ordered: Vec<OrderId>,
    pub(super) coverage: Coverage,
    pub(super) narrator: Option<Narrator>,
}

/// The order of that number, from 0 on.
pub(super) fn order(number: usize) -> OrderId {
    OrderId(Uuid::from_u128(0x0193_5d3e_8000_7000_8000_0000_0000_0001 + number as u128))
}

/// That order's number, as a reader sees it: from 1 on.
pub(super) fn number(order: OrderId) -> u128 {
    order.0.as_u128() & 0xffff_ffff
}

pub(super) fn sku(number: usize) -> Sku {
    format!("TEA-{:03}", number + 1).as_str().into()
}

impl World {
    pub(super) fn new(settings: &Settings) -> Self {
        let seats: Vec<Box<dyn Seat>> = settings.cast.iter().map(|seat| seat()).collect();
        let readers = Event::ALL
            .iter()
            .map(|info| (info.ty, (0..seats.len()).filter(|seat| seats[*seat].hears(info.ty)).collect()))
            .collect();
        Self {
            coverage: Coverage::new(&seats),
            streams: vec![Vec::new(); seats.len()],
            settings: settings.clone(),
            seats,
            readers,
            said: Vec::new(),
            numbers: HashMap::default(),
            bag: Vec::new(),
            parked: Vec::new(),
            came: BTreeMap::new(),
            dead: Vec::new(),
            now: CONTEXT.now,
            counted: BTreeMap::new(),
            granted: Vec::new(),
            ordered: Vec::new(),
            narrator: None,
        }
    }

    /// As in the beginning. What was learned about types of states and rows stays, for it costs more than a schedule.
    pub(super) fn begin(&mut self, dice: &mut Dice) {
        self.seats.iter_mut().for_each(|seat| seat.clear());
        self.streams.iter_mut().for_each(Vec::clear);
        self.said.clear();
        self.numbers.clear();
        self.bag.clear();
        self.parked.clear();
        self.came.clear();
        self.dead.clear();
        self.granted.clear();
        self.ordered.clear();
        self.counted.clear();
        self.now = CONTEXT.now;
        for product in 0..self.settings.products() {
            // Little enough that orders compete, and some go away with nothing.
            let count = dice.below(5) as u32;
            self.stock(sku(product), count);
        }
    }

    /// A product of the first catalog, which order knows as well.
    fn stock(&mut self, sku: Sku, count: u32) {
        let price = Money::new(1250, Currency::EUR);
        self.counted.insert(sku.clone(), count);
        for seat in &mut self.seats {
            if let Some(shelves) = seat.records_mut().downcast_mut::<Shelves>() {
                let name = "Tea".to_owned();
                let stock = Stock { name, price, on_hand: count, reserved: 0, sold: 0, received: count, version: 1 };
                shelves.stock.put(sku.clone(), Some(stock));
            }
            if let Some(orders) = seat.records_mut().downcast_mut::<Orders>() {
                orders.catalog.put(sku.clone(), Some(Product { price, version: 1 }));
            }
        }
    }

    pub(super) fn context(&self) -> Context {
        Context { now: self.now, ..CONTEXT }
    }

    pub(super) fn find(&self, work: Work) -> Option<usize> {
        self.bag.iter().position(|other| *other == work)
    }

    pub(super) fn event(&self, id: EventId) -> Option<usize> {
        self.numbers.get(&id).copied()
    }
}
