//! What happens next: by chance while faults go on, by a fixed rule once they have stopped.

use events::OrderId;

use super::{
    act::Act,
    actor::Wish,
    dice::Dice,
    world::{Work, World, order, sku},
};

/// Deadlines that pass for each order once faults have stopped; an order that needs more never comes to rest.
const ROUNDS: usize = 40;

/// A schedule under way: what people are still going to ask, and for how long faults go on.
pub(super) struct Schedule {
    dice: Dice,
    orders: usize,
    placed: usize,
    /// Every request, for a client that hears no answer sends it again.
    sent: Vec<Act>,
    left: usize,
}

impl Schedule {
    pub(super) fn new(mut dice: Dice, orders: usize) -> Self {
        let left = orders * (10 + dice.below(40));
        Self { dice, orders, placed: 0, sent: Vec::new(), left }
    }

    /// The next act of the safety phase; none when it is over.
    pub(super) fn next(&mut self, world: &World) -> Option<Act> {
        self.left = self.left.checked_sub(1)?;
        let ordered = self.placed > 0;
        match self.dice.below(100) {
            0..=7 if self.placed < self.orders => Some(self.place(world)),
            _ if world.bag.is_empty() && self.placed < self.orders => Some(self.place(world)),
            8..=14 if ordered => Some(self.person(world)),
            15..=24 if ordered => Some(self.fault(world)),
            _ if world.bag.is_empty() => Some(self.fault(world)),
            _ => Some(self.work(world)),
        }
    }

    fn place(&mut self, world: &World) -> Act {
        let lines =
            (0..1 + self.dice.below(2)).map(|_| (sku(self.dice.below(world.settings.products())), 1 + self.dice.below(2) as u32));
        let wish = Wish::Order(order(self.placed), lines.collect());
        self.placed += 1;
        self.ask(wish)
    }

    fn ask(&mut self, wish: Wish) -> Act {
        let act = Act::Ask(self.sent.len() as u32 + 1, wish);
        self.sent.push(act.clone());
        act
    }

    fn some_order(&mut self) -> OrderId {
        order(self.dice.below(self.placed))
    }

    /// Cancels, dispatches, counts goods in; a deadline passes. Nobody waits for the right moment.
    fn person(&mut self, world: &World) -> Act {
        match self.dice.below(9) {
            0 | 1 => {
                let order = self.some_order();
                self.ask(Wish::Cancel(order))
            }
            2..=4 => {
                let order = self.some_order();
                self.ask(Wish::Dispatch(order))
            }
            5 => {
                let (product, count) = (self.dice.below(world.settings.products()), 1 + self.dice.below(3) as u32);
                self.ask(Wish::Count(sku(product), count))
            }
            6 => self.sent[self.dice.below(self.sent.len())].clone(),
            _ => self.deadline(world).unwrap_or(Act::Unpark),
        }
    }

    fn deadline(&mut self, world: &World) -> Option<Act> {
        let seat = (0..world.seats.len()).find(|seat| !world.seats[*seat].deadlines().is_empty())?;
        let deadlines = world.seats[seat].deadlines();
        let (order, name) = deadlines.keys().nth(self.dice.below(deadlines.len()))?;
        Some(Act::Deadline(seat, *order, name))
    }

    fn fault(&mut self, world: &World) -> Act {
        let seats = world.seats.len();
        let seat = self.dice.below(seats);
        match self.dice.below(16) {
            0..=2 => Act::Crash(seat),
            3..=6 => Act::Sweep(seat),
            7 | 8 => Act::LoseTail(seat, 1 + self.dice.below(3)),
            9 if self.dice.once_in(4) => Act::LoseDisk(seat),
            9..=11 => Act::Reconcile(seat),
            12 => Act::Replay { owner: seat, reader: self.dice.below(seats) },
            13 if self.placed > 0 => Act::Lapse(self.some_order()),
            _ => Act::Unpark,
        }
    }

    fn work(&mut self, world: &World) -> Act {
        let at = self.dice.below(world.bag.len());
        match world.bag[at] {
            Work::Publish(event) => Act::Publish { id: world.said[event].id, acked: !self.dice.once_in(16) },
            Work::Deliver { reader, event } => {
                let mut events = vec![world.said[event].id];
                if self.dice.once_in(4) {
                    let others = world.bag[at + 1..].iter().filter_map(|work| match work {
                        Work::Deliver { reader: to, event } if *to == reader => Some(world.said[*event].id),
                        Work::Deliver { .. } | Work::Publish(_) | Work::Execute(..) | Work::Answer(..) => None,
                    });
                    events.extend(others.take(3));
                }
                Act::Take { reader, events, acked: !self.dice.once_in(12) }
            }
            Work::Execute(seat, call) => {
                let words = world.seats[seat].possible(call);
                let word = match world.seats[seat].word(call) {
                    Some(word) => word,
                    None if self.dice.once_in(5) => words[self.dice.below(words.len())],
                    None => words[0],
                };
                Act::Execute(seat, call, word)
            }
            Work::Answer(seat, call) if self.dice.once_in(10) => Act::LoseAnswer(seat, call),
            Work::Answer(seat, call) => Act::Answer(seat, call),
        }
    }
}

/// The liveness phase: what is on its way arrives, what is owed is published, what was lost is put back, deadlines pass.
#[derive(Default)]
pub(super) struct Healing {
    /// Whose turn it is to reconcile, or to sweep, since anything was on its way.
    turn: usize,
    deadlines: usize,
}

impl Healing {
    /// The next act; none when nothing happens by itself any more.
    pub(super) fn next(&mut self, world: &World) -> Option<Act> {
        if let Some(work) = world.bag.first() {
            self.turn = 0;
            return Some(Self::work(world, *work));
        }
        let seats = world.seats.len();
        self.turn += 1;
        // What a sweep publishes may be swallowed by a broker that remembers what it has lost; only then a reconciler misses it,
        // and only the next sweep brings it.
        match self.turn - 1 {
            turn if turn < seats => Some(Act::Sweep(turn)),
            turn if turn < 2 * seats => Some(Act::Reconcile(turn - seats)),
            turn if turn < 3 * seats => Some(Act::Sweep(turn - 2 * seats)),
            _ if !world.parked.is_empty() => Some(Act::Unpark),
            _ => self.deadline(world),
        }
    }

    fn work(world: &World, work: Work) -> Act {
        match work {
            Work::Publish(event) => Act::Publish { id: world.said[event].id, acked: true },
            Work::Deliver { reader, event } => Act::Take { reader, events: vec![world.said[event].id], acked: true },
            Work::Execute(seat, call) => {
                let word = world.seats[seat].word(call).unwrap_or(world.seats[seat].possible(call)[0]);
                Act::Execute(seat, call, word)
            }
            Work::Answer(seat, call) => Act::Answer(seat, call),
        }
    }

    fn deadline(&mut self, world: &World) -> Option<Act> {
        self.deadlines += 1;
        self.turn = 0;
        if self.deadlines > ROUNDS * world.settings.orders {
            return None;
        }
        let all =
            world.seats.iter().enumerate().flat_map(|(seat, one)| one.deadlines().iter().map(move |(key, at)| (at, seat, key)));
        let (_, seat, (order, name)) = all.min()?;
        Some(Act::Deadline(seat, *order, name))
    }
}
