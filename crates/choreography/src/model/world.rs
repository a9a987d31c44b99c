//! What can happen next. A state is a number for the shelves and one for each order; a number stands for a [`Part`].

use std::collections::BTreeMap;

use inventory::{Reservation, Shelves};

use super::{
    Channel, Settings,
    part::{ASKED, EXECUTED, Part, TAKEN},
    universe::{Interner, QuickMap, Service, Stimulus, Universe, detail, shelves, told},
    versions::{self, Try},
};
use crate::{
    always::{self, OneOrder, Origin},
    partners::Word,
};

/// Something that happens to one order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Act {
    Place,
    Cancel,
    Dispatch,
    Overdue,
    Lapse,
    Deliver(u8),
    Lose(u8),
    Update(Service),
    GiveUp(u8),
    Execute(u8, Word),
    Answer(u8),
    AnswerAgain(u8),
}

/// What kind of step it is, for the question whether there is progress.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    /// Happens by itself once faults stop: a delivery, a partner's word, its answer.
    Progress,
    /// Somebody, or a fault, brings it about.
    Outside,
    /// The deadline of an order that asks again for what it is owed.
    AskedAgain,
    /// Claims are off: an answer that was taken comes again, or a message changes nothing, however often it comes.
    Repeated,
}

/// One step, and where it leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) act: Act,
    pub(super) kind: Kind,
    pub(super) shelf: u32,
    pub(super) part: u32,
    /// By number: what must not be.
    pub(super) wrong: Option<u32>,
}

/// All that was found out so far about the world of these settings.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) universes: Vec<Universe>,
    pub(super) shelves: Interner<Shelves>,
    pub(super) parts: Vec<Interner<Part>>,
    expanded: Vec<QuickMap<(u32, u32), (u32, u32)>>,
    pub(super) edges: Vec<Edge>,
    wrongs: Interner<String>,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let universes: Vec<_> = (0..settings.orders as u128).map(Universe::new).collect();
        let mut world = Self {
            shelves: Interner::default(),
            parts: universes.iter().map(|_| Interner::default()).collect(),
            expanded: universes.iter().map(|_| QuickMap::default()).collect(),
            edges: Vec::new(),
            wrongs: Interner::default(),
            universes,
            settings,
        };
        world.shelves.id(&shelves(world.settings.stock));
        for parts in &mut world.parts {
            parts.id(&Part::default());
        }
        world
    }

    pub(super) fn wrong(&self, id: u32) -> &str {
        self.wrongs.get(id)
    }

    /// Where that order was met, each with the steps from there.
    pub(super) fn expanded(&self, order: usize) -> impl Iterator<Item = (u32, std::ops::Range<usize>)> {
        let steps = |(from, count): &(u32, u32)| *from as usize..(*from + *count) as usize;
        self.expanded[order].iter().map(move |((part, _), at)| (*part, steps(at)))
    }

    /// Where that order was met, and with which shelves.
    pub(super) fn places(&self, order: usize) -> impl Iterator<Item = (u32, u32)> {
        self.expanded[order].keys().copied()
    }

    /// Every step that order may take, from there.
    pub(super) fn steps(&mut self, order: usize, part: u32, shelf: u32) -> std::ops::Range<usize> {
        if let Some((from, count)) = self.expanded[order].get(&(part, shelf)) {
            return *from as usize..(*from + *count) as usize;
        }
        let from = self.edges.len();
        let now = *self.parts[order].get(part);
        for act in self.acts(order, &now) {
            if let Some(edge) = self.step(order, now, shelf, act) {
                self.edges.push(edge);
            }
        }
        let count = self.edges.len() - from;
        self.expanded[order].insert((part, shelf), (from as u32, count as u32));
        from..from + count
    }

    pub(super) fn edge(&self, at: usize) -> Edge {
        self.edges[at]
    }

    fn acts(&self, order: usize, now: &Part) -> Vec<Act> {
        let universe = &self.universes[order];
        let placed = universe.purchases.get(now.purchase).is_some();
        if !placed {
            return vec![Act::Place];
        }
        let settings = &self.settings;
        let mut acts = vec![Act::Cancel, Act::Dispatch];
        acts.extend((!settings.claims).then_some(Act::Place));
        let passes = settings.deadline.is_some_and(|early| early == Settings::ANY_TIME || now.is_quiet() || now.early < early);
        acts.extend((passes && now.overdue).then_some(Act::Overdue));
        acts.extend((settings.lapse && now.ledger.money == crate::partners::Money::Held).then_some(Act::Lapse));
        for message in universe.messages_in(now.waiting) {
            self.meets(order, now, message, &mut acts);
        }
        for call in 0..universe.calls.len() as u8 {
            match now.call(call) {
                0 => {}
                ASKED => {
                    let words = now.ledger.possible(universe.calls.get(call.into())).iter().copied();
                    acts.extend(
                        words.filter(|word| settings.burns || *word != Word::Burned).map(|word| Act::Execute(call, word)),
                    );
                }
                EXECUTED..TAKEN => acts.push(Act::Answer(call)),
                _ => acts.extend((!settings.claims).then_some(Act::AnswerAgain(call))),
            }
        }
        acts
    }

    /// What may become of a message that waits.
    fn meets(&self, order: usize, now: &Part, message: u8, acts: &mut Vec<Act>) {
        let (channel, reader) = self.universes[order].channel(message);
        let ahead = self.settings.ahead.is_some_and(|ahead| self.universes[order].speaker(message) == ahead);
        if ahead && !now.is_updated(reader) {
            // It makes no difference when a reader is updated that has nothing to read.
            if !acts.contains(&Act::Update(reader)) {
                acts.push(Act::Update(reader));
            }
            let at_once = versions::gives_up(Try::First);
            acts.extend((at_once || !now.lost && channel != Channel::FATAL).then_some(Act::GiveUp(message)));
            return;
        }
        acts.push(Act::Deliver(message));
        acts.extend((self.settings.lost == Some(channel) && !now.lost).then_some(Act::Lose(message)));
    }

    /// That step; none when nothing comes of it.
    fn step(&mut self, order: usize, now: Part, shelf: u32, act: Act) -> Option<Edge> {
        let (mut next, mut next_shelf, mut wrong) = (now, shelf, None);
        let claims = self.settings.claims;
        match act {
            Act::Lapse => next.ledger.money = crate::partners::Money::Lapsed,
            Act::Lose(message) => {
                next.take(message);
                next.lost = true;
            }
            Act::GiveUp(message) => {
                if versions::gives_up(Try::AtTheDeadline) {
                    next.take(message);
                    next.lost = true;
                }
            }
            Act::Update(reader) => next.update(reader),
            Act::Execute(call, word) => {
                next.set_call(call, EXECUTED + word as u64);
                if word == Word::Done {
                    let asked = self.universes[order].calls.get(call.into());
                    wrong = next.ledger.execute(asked).err().map(str::to_owned);
                }
            }
            Act::Answer(call) => {
                let word = Word::ALL[(now.call(call) - EXECUTED) as usize];
                // What the partner said matters later only when it may come again.
                next.set_call(call, if claims { TAKEN } else { TAKEN + word as u64 });
            }
            Act::Deliver(message) if claims => next.take(message),
            Act::Overdue => {
                next.overdue = false;
                let counts = self.settings.deadline != Some(Settings::ANY_TIME);
                next.early += u8::from(counts && !now.is_quiet());
            }
            Act::Place | Act::Cancel | Act::Dispatch | Act::Deliver(_) | Act::AnswerAgain(_) => {}
        }
        if let Some((service, what)) = self.takes(order, &now, act) {
            let said_wrong = self.react(order, &mut next, &mut next_shelf, service, what);
            wrong = wrong.or(said_wrong);
        }
        let unmoved = next == now && next_shelf == shelf;
        let told_again = !claims && matches!(act, Act::Deliver(_));
        if wrong.is_none() && unmoved && !told_again {
            return None;
        }
        wrong = wrong.or_else(|| self.turn_wrong(order, &now, &next, act).map(str::to_owned));
        let part = self.parts[order].id(&next);
        if wrong.is_none() {
            wrong = always::wrong(&self.one_order(order, &next, next_shelf)).first().map(|what| (*what).to_owned());
        }
        let wrong = wrong.map(|what| self.wrongs.id(&what));
        let kind = if unmoved { Kind::Repeated } else { self.kind(order, &now, act) };
        Some(Edge { act, kind, shelf: next_shelf, part, wrong })
    }

    /// The messages that are said in that step, a bit each.
    pub(super) fn said(&mut self, order: usize, part: u32, shelf: u32, act: Act) -> u128 {
        let now = *self.parts[order].get(part);
        let Some((service, what)) = self.takes(order, &now, act) else { return 0 };
        let universe = &mut self.universes[order];
        let reaction = universe.react(service, Self::row(&now, shelf, service), what, &mut self.shelves);
        universe.reaction(reaction).said.iter().fold(0, |said, message| said | 1 << message)
    }

    /// Which service takes what as an input.
    pub(super) fn takes(&self, order: usize, now: &Part, act: Act) -> Option<(Service, Stimulus)> {
        let universe = &self.universes[order];
        let answers = |call: u8, word: u64| {
            let service = match universe.calls.get(call.into()).service() {
                "payment" => Service::Payment,
                _ => Service::Shipping,
            };
            Some((service, Stimulus::Answer(call, Word::ALL[word as usize])))
        };
        match act {
            Act::Place => Some((Service::Order, Stimulus::Place)),
            Act::Cancel => Some((Service::Order, Stimulus::Cancel)),
            Act::Overdue => Some((Service::Order, Stimulus::Overdue)),
            Act::Dispatch => Some((Service::Shipping, Stimulus::Dispatch)),
            Act::Deliver(message) => Some((universe.messages.get(message.into()).reader, Stimulus::Message(message))),
            Act::Answer(call) => answers(call, now.call(call) - EXECUTED),
            Act::AnswerAgain(call) => answers(call, now.call(call) - TAKEN),
            Act::Lapse | Act::Lose(_) | Act::Execute(..) | Act::Update(_) | Act::GiveUp(_) => None,
        }
    }

    /// The state that the service is in, by number.
    pub(super) fn row(now: &Part, shelf: u32, service: Service) -> u32 {
        match service {
            Service::Order => now.purchase,
            Service::Inventory => shelf,
            Service::Payment => now.hold,
            Service::Shipping => now.shipment,
        }
    }

    fn react(&mut self, order: usize, next: &mut Part, shelf: &mut u32, service: Service, what: Stimulus) -> Option<String> {
        let row = Self::row(next, *shelf, service);
        let universe = &mut self.universes[order];
        let reaction = universe.react(service, row, what, &mut self.shelves);
        let reaction = universe.reaction(reaction);
        if let Some(wrong) = &reaction.wrong {
            return Some(wrong.clone());
        }
        if reaction.refused {
            return universe.refusal_wrong(next.purchase, next.shipment, what).map(str::to_owned);
        }
        let mut wrong = None;
        if service == Service::Order {
            wrong = universe.deadline_wrong(row, reaction).map(str::to_owned);
        }
        match service {
            Service::Order => next.purchase = reaction.row,
            Service::Inventory => *shelf = reaction.row,
            Service::Payment => next.hold = reaction.row,
            Service::Shipping => next.shipment = reaction.row,
        }
        next.overdue = reaction.wake.unwrap_or(next.overdue);
        reaction.said.iter().for_each(|message| next.say(*message, self.settings.claims));
        for call in &reaction.asked {
            if next.call(*call) != 0 {
                wrong = Some(format!("{} asks twice under one key", service.name()));
            }
            next.set_call(*call, ASKED);
        }
        for (count, more) in next.told.iter_mut().zip(told(&reaction.words)) {
            *count = (*count + more.min(2) as u8).min(2);
        }
        let [confirmed, rejected, cancelled] = next.told;
        if rejected + cancelled > 1 {
            wrong = Some("an order announces two ends".to_owned());
        }
        if confirmed > 0 && rejected > 0 {
            wrong = Some("an order is rejected that was confirmed".to_owned());
        }
        if service == Service::Inventory { wrong.or_else(|| self.shelves_wrong(*shelf)) } else { wrong }
    }

    /// What is wrong with where the order goes from here.
    fn turn_wrong(&self, order: usize, now: &Part, next: &Part, act: Act) -> Option<&'static str> {
        let by = match act {
            Act::Cancel => Origin::Customer,
            Act::Overdue => Origin::Deadline,
            Act::Place | Act::Dispatch | Act::Lapse | Act::Deliver(_) | Act::Update(_) | Act::GiveUp(_) => Origin::Other,
            Act::Lose(_) | Act::Execute(..) | Act::Answer(_) | Act::AnswerAgain(_) => Origin::Other,
        };
        let purchases = &self.universes[order].purchases;
        let (before, after) = (purchases.get(now.purchase).as_ref()?, purchases.get(next.purchase).as_ref()?);
        always::step_wrong(&before.standing, &after.standing, by)
    }

    fn kind(&self, order: usize, now: &Part, act: Act) -> Kind {
        match act {
            Act::Deliver(_) | Act::Execute(..) | Act::Answer(_) | Act::Update(_) => Kind::Progress,
            Act::Place | Act::Cancel | Act::Dispatch | Act::Lapse | Act::Lose(_) | Act::GiveUp(_) => Kind::Outside,
            Act::AnswerAgain(_) => Kind::Repeated,
            Act::Overdue => match self.universes[order].purchases.get(now.purchase) {
                Some(order) if order.standing == order::Standing::Open => Kind::Outside,
                Some(_) | None => Kind::AskedAgain,
            },
        }
    }

    /// Everything about that order, for [`always::wrong`].
    fn one_order<'a>(&'a self, order: usize, now: &Part, shelf: u32) -> OneOrder<'a> {
        const NOTHING: &Reservation = &Reservation::Absent;
        let universe = &self.universes[order];
        let mut reservations = self.shelves.get(shelf).reservations.rows();
        OneOrder {
            order: universe.purchases.get(now.purchase).as_ref(),
            reservation: reservations.find(|(id, _)| **id == universe.id).map_or(NOTHING, |(_, reservation)| reservation),
            hold: universe.holds.get(now.hold),
            shipment: universe.shipments.get(now.shipment),
            ledger: now.ledger,
            calls_open: now.calls_open(),
            deadline: now.overdue,
        }
    }

    fn shelves_wrong(&self, shelf: u32) -> Option<String> {
        let shelves = self.shelves.get(shelf);
        let (mut reserved, mut sold) = (BTreeMap::new(), BTreeMap::new());
        for (_, reservation) in shelves.reservations.rows() {
            let (lines, counts) = match reservation {
                Reservation::Reserved { lines } => (lines.as_slice(), &mut reserved),
                Reservation::Committed { lines } => (lines.as_slice(), &mut sold),
                Reservation::Absent | Reservation::Unavailable { .. } | Reservation::Released { .. } => continue,
            };
            for line in lines {
                *counts.entry(&line.sku).or_insert(0) += line.quantity;
            }
        }
        let stocks = shelves.stock.rows().filter_map(|(sku, stock)| Some((sku, stock.as_ref()?)));
        let fits = stocks.into_iter().all(|(sku, stock)| {
            let sum = u64::from(stock.on_hand) + u64::from(stock.reserved) + u64::from(stock.sold);
            let of = |counts: &BTreeMap<_, u32>| counts.get(sku).copied().unwrap_or(0);
            sum == u64::from(stock.received) && (stock.reserved, stock.sold) == (of(&reserved), of(&sold))
        });
        (!fits).then(|| "the counts on the shelf do not agree with what is reserved and sold".to_owned())
    }

    /// The step in plain words; no two steps of one state have the same.
    pub(super) fn label(&self, order: usize, act: Act) -> String {
        let universe = &self.universes[order];
        let message = |id: u8| {
            let message = universe.messages.get(id.into());
            (message.reader.name(), format!("{}{}", message.event.info().name, detail(&message.event)))
        };
        let call = |id: u8| {
            let call = universe.calls.get(id.into());
            let key = if call.attempt() > 1 { format!(", key {}", call.attempt()) } else { String::new() };
            (call.partner(), call.service(), format!("{}{key}", call.name()))
        };
        let what = match act {
            Act::Place => "the customer orders".to_owned(),
            Act::Cancel => "the customer cancels".to_owned(),
            Act::Dispatch => "the warehouse dispatches".to_owned(),
            Act::Overdue => "the deadline passes".to_owned(),
            Act::Lapse => "the gateway's hold lapses".to_owned(),
            Act::Deliver(id) => format!("{} takes {}", message(id).0, message(id).1),
            Act::Lose(id) => format!("{} never gets {}", message(id).0, message(id).1),
            Act::Update(reader) => format!("{} is updated", reader.name()),
            Act::GiveUp(id) => format!("{} waits too long for its update, and gives up {}", message(id).0, message(id).1),
            Act::Execute(id, word) => format!("the {} {} {}", call(id).0, word.verb(), call(id).2),
            Act::Answer(id) => format!("{} takes the answer to {}", call(id).1, call(id).2),
            Act::AnswerAgain(id) => format!("{} takes the answer to {} once more", call(id).1, call(id).2),
        };
        if self.universes.len() == 1 { what } else { format!("{}: {what}", ["A", "B"][order]) }
    }
}
