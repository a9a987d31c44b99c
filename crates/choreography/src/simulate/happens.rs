//! What comes of an act. The rules are the chassis' own: `saga::batch` for what is taken, `saga::owed` for what is owed to a
//! stream, `saga::park` for what came too early.

use std::{rc::Rc, time::Duration};

use events::{CallId, EventId, OrderId};
use saga::{
    Parked,
    owed::{self, Pending, stream::Comparison},
    park,
};

use super::{
    act::{Act, Fault},
    actor::{Books, Wish},
    judge,
    seat::{Coming, Fate, Took},
    world::{Said, Waiting, Work, World},
};
use crate::partners::{Money, Word};

/// Between two acts.
const TICK: Duration = Duration::from_millis(100);
/// What is pending for so long is owed.
const MOMENT: Duration = Duration::from_secs(1);
/// How long something may have come too early.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
const WAIT: Duration = Duration::from_secs(5);

impl World {
    /// The act happens, if it can; one that cannot is passed over, for others may have been left out before it.
    pub(super) fn happens(&mut self, act: &Act) -> Result<(), String> {
        self.now = self.now.after(TICK);
        match act {
            Act::Ask(number, wish) => self.ask(act, *number, wish),
            Act::Deadline(seat, order, name) => self.deadline(act, *seat, *order, name),
            Act::Lapse(order) => self.lapse(act, *order),
            Act::Publish { id, acked } => self.publish(act, *id, *acked),
            Act::Take { reader, events, acked } => self.deliver(act, *reader, events, *acked),
            Act::Execute(seat, call, word) => self.execute(act, *seat, *call, *word),
            Act::Answer(seat, call) => self.answer(act, *seat, *call),
            Act::LoseAnswer(seat, call) => self.lose_answer(act, *seat, *call),
            Act::Crash(seat) => self.crash(act, *seat),
            Act::Sweep(seat) => self.sweep(act, *seat),
            Act::LoseTail(seat, count) => self.lose(act, *seat, *count, Fault::TailLost),
            Act::LoseDisk(seat) => self.lose(act, *seat, usize::MAX, Fault::DiskLost),
            Act::Replay { owner, reader } => self.replay(act, *owner, *reader),
            Act::Reconcile(seat) => self.reconcile(act, *seat),
            Act::Unpark => self.unpark(act),
        }
    }

    fn ask(&mut self, act: &Act, number: u32, wish: &Wish) -> Result<(), String> {
        let Some(seat) = self.seats.iter().position(|seat| seat.is_asked(wish)) else { return Ok(()) };
        let took = self.take(act, seat, &[Coming::Wish(number, wish)])?;
        let granted = took.iter().any(|took| took.fate == Fate::Taken);
        if granted && !self.granted.contains(&number) {
            self.granted.push(number);
            match wish {
                Wish::Order(order, _) => self.ordered.push(*order),
                Wish::Count(sku, count) => *self.counted.entry(sku.clone()).or_default() += count,
                Wish::Cancel(_) | Wish::Dispatch(_) => {}
            }
        }
        Ok(())
    }

    fn deadline(&mut self, act: &Act, seat: usize, order: OrderId, name: &'static str) -> Result<(), String> {
        let Some(at) = self.seats[seat].deadlines().get(&(order, name)).copied() else { return Ok(()) };
        self.now = self.now.max(at);
        self.take(act, seat, &[Coming::Deadline(order, name, at)]).map(drop)
    }

    fn lapse(&mut self, act: &Act, order: OrderId) -> Result<(), String> {
        for seat in &mut self.seats {
            let Some(books) = seat.partner_mut().downcast_mut::<Books>() else { continue };
            let Some(mut ledger) = books.get(&order).copied().filter(|ledger| ledger.money == Money::Held) else { continue };
            ledger.money = Money::Lapsed;
            books.put(order, ledger);
            self.tell(act, &[]);
            return Ok(());
        }
        Ok(())
    }

    fn publish(&mut self, act: &Act, id: EventId, acked: bool) -> Result<(), String> {
        let Some(event) = self.event(id) else { return Ok(()) };
        let Some(at) = self.find(Work::Publish(event)) else { return Ok(()) };
        self.bag.swap_remove(at);
        self.said[event].in_hand = false;
        self.store(event, acked);
        self.tell(act, &[]);
        Ok(())
    }

    /// The broker stores it, unless it remembers that generation of it; what is acknowledged is struck off the list.
    fn store(&mut self, event: usize, acked: bool) {
        let said = &mut self.said[event];
        let known = said.remembered.is_some_and(|last| last >= said.generation);
        let (owner, row, ty) = (said.owner, said.row, said.event.info().ty);
        said.remembered = Some(said.generation);
        if acked {
            said.pending = None;
        } else {
            self.coverage.fault(Fault::Unacknowledged, owner, row);
        }
        if known {
            return;
        }
        self.streams[owner].push(event);
        let readers = self.readers.get(ty).map_or(&[][..], Vec::as_slice);
        self.bag.extend(readers.iter().map(|reader| Work::Deliver { reader: *reader, event }));
    }

    fn deliver(&mut self, act: &Act, reader: usize, events: &[EventId], acked: bool) -> Result<(), String> {
        let mut numbers = Vec::with_capacity(events.len());
        for id in events {
            let Some(event) = self.event(*id) else { continue };
            let Some(at) = self.find(Work::Deliver { reader, event }) else { continue };
            if acked {
                self.bag.swap_remove(at);
            }
            numbers.push(event);
        }
        if numbers.is_empty() {
            return Ok(());
        }
        let batch: Vec<(EventId, Rc<events::Event>)> =
            numbers.iter().map(|event| (self.said[*event].id, self.said[*event].event.clone())).collect();
        let coming: Vec<Coming<'_>> = batch.iter().map(|(id, event)| Coming::Event(*id, event)).collect();
        let took = self.take(act, reader, &coming)?;
        for (took, event) in took.iter().zip(numbers) {
            match took.fate {
                Fate::NotYet if acked => self.wait(reader, event),
                Fate::Repeated => self.coverage.fault(Fault::Repeated, reader, took.row),
                Fate::NotYet | Fate::Taken | Fate::Contradiction | Fate::Refused => {}
            }
        }
        Ok(())
    }

    fn wait(&mut self, reader: usize, event: usize) {
        let since = *self.came.entry((reader, event)).or_insert(self.now);
        match park(since, self.now, PATIENCE, WAIT) {
            Parked::Until(until) => self.parked.push(Waiting { reader, event, until }),
            Parked::DeadLetter => self.dead.push((reader, event)),
        }
    }

    fn unpark(&mut self, act: &Act) -> Result<(), String> {
        let Some(first) = self.parked.iter().map(|waiting| waiting.until).min() else { return Ok(()) };
        self.now = self.now.max(first);
        for waiting in std::mem::take(&mut self.parked) {
            self.bag.push(Work::Deliver { reader: waiting.reader, event: waiting.event });
        }
        self.tell(act, &[]);
        Ok(())
    }

    fn execute(&mut self, act: &Act, seat: usize, call: CallId, word: Word) -> Result<(), String> {
        let Some(at) = self.find(Work::Execute(seat, call)) else { return Ok(()) };
        let row = self.seats[seat].call_row(call);
        let done = match self.seats[seat].word(call) {
            // Under the same key a partner says the same again.
            Some(_) => Ok(()),
            None if self.seats[seat].possible(call).contains(&word) => self.seats[seat].execute(call, word),
            None => return Ok(()),
        };
        self.bag[at] = Work::Answer(seat, call);
        match word {
            Word::Done => {}
            Word::Declined => self.coverage.fault(Fault::Declined, seat, row),
            Word::Burned => self.coverage.fault(Fault::Burned, seat, row),
        }
        self.tell(act, &[]);
        done.map_err(str::to_owned)
    }

    fn answer(&mut self, act: &Act, seat: usize, call: CallId) -> Result<(), String> {
        let Some(at) = self.find(Work::Answer(seat, call)) else { return Ok(()) };
        self.bag.swap_remove(at);
        self.take(act, seat, &[Coming::Answer(call)]).map(drop)
    }

    fn lose_answer(&mut self, act: &Act, seat: usize, call: CallId) -> Result<(), String> {
        let Some(at) = self.find(Work::Answer(seat, call)) else { return Ok(()) };
        self.bag[at] = Work::Execute(seat, call);
        self.coverage.fault(Fault::AnswerLost, seat, self.seats[seat].call_row(call));
        self.tell(act, &[]);
        Ok(())
    }

    fn crash(&mut self, act: &Act, seat: usize) -> Result<(), String> {
        let mut at = 0;
        while at < self.bag.len() {
            match self.bag[at] {
                Work::Publish(event) if self.said[event].owner == seat => {
                    self.bag.swap_remove(at);
                    self.said[event].in_hand = false;
                    self.coverage.fault(Fault::Crashed, seat, self.said[event].row);
                }
                Work::Answer(whose, call) if whose == seat => {
                    self.bag[at] = Work::Execute(seat, call);
                    self.coverage.fault(Fault::AnswerLost, seat, self.seats[seat].call_row(call));
                    at += 1;
                }
                Work::Publish(_) | Work::Answer(..) | Work::Deliver { .. } | Work::Execute(..) => at += 1,
            }
        }
        self.tell(act, &[]);
        Ok(())
    }

    fn sweep(&mut self, act: &Act, seat: usize) -> Result<(), String> {
        if !self.settings.rules.sweep {
            return Ok(());
        }
        // One comes after the other, so that what is pending now is owed at the latest at the next.
        self.now = self.now.after(MOMENT);
        let own = self.said.iter().filter(|said| said.owner == seat);
        let pending = own.filter_map(|said| Some(Pending { id: said.id, since: said.pending? }));
        let in_hand = |id| self.event(id).is_some_and(|event| self.said[event].in_hand);
        let owed = owed::to_publish(pending, self.now, MOMENT, in_hand);
        if owed.is_empty() {
            return Ok(());
        }
        for event in owed.into_iter().filter_map(|id| self.event(id)).collect::<Vec<_>>() {
            self.store(event, true);
        }
        self.tell(act, &[]);
        Ok(())
    }

    fn lose(&mut self, act: &Act, seat: usize, count: usize, fault: Fault) -> Result<(), String> {
        let left = self.streams[seat].len().saturating_sub(count);
        let lost = self.streams[seat].split_off(left);
        if lost.is_empty() {
            return Ok(());
        }
        self.bag.retain(|work| !matches!(work, Work::Deliver { event, .. } if lost.contains(event)));
        lost.iter().for_each(|event| self.coverage.fault(fault, seat, self.said[*event].row));
        self.tell(act, &[]);
        Ok(())
    }

    fn replay(&mut self, act: &Act, owner: usize, reader: usize) -> Result<(), String> {
        let again: Vec<Work> = self.streams[owner]
            .iter()
            .filter(|event| self.readers[self.said[**event].event.info().ty].contains(&reader))
            .map(|event| Work::Deliver { reader, event: *event })
            .filter(|work| !self.bag.contains(work))
            .collect();
        if !again.is_empty() {
            self.bag.extend(again);
            self.tell(act, &[]);
        }
        Ok(())
    }

    fn reconcile(&mut self, act: &Act, seat: usize) -> Result<(), String> {
        if !self.settings.rules.reconcile {
            return Ok(());
        }
        let mut comparison = Comparison::default();
        let own = self.said.iter().filter(|said| said.owner == seat && said.pending.is_none());
        own.for_each(|said| comparison.say(said.id));
        self.streams[seat].iter().for_each(|event| comparison.hold(self.said[*event].id));
        let missing = comparison.missing();
        if missing.is_empty() {
            return Ok(());
        }
        for event in missing.into_iter().filter_map(|id| self.event(id)).collect::<Vec<_>>() {
            self.said[event].generation += 1;
            self.said[event].pending = Some(self.now);
        }
        self.tell(act, &[]);
        Ok(())
    }

    /// One batch, and what must hold afterwards.
    fn take(&mut self, act: &Act, seat: usize, batch: &[Coming<'_>]) -> Result<Vec<Took>, String> {
        let ctx = self.context();
        let mut took = self.seats[seat].take(batch, self.settings.rules.claims, &ctx);
        self.tell_taken(act, seat, &took);
        let service = self.seats[seat].declaration().service;
        for one in &mut took {
            self.coverage.met(seat, one.row, one.states.0);
            if one.fate == Fate::Contradiction {
                return Err(format!("{service} meets what cannot be true"));
            }
            for call in one.asked.drain(..) {
                self.bag.push(Work::Execute(seat, call));
            }
            for outgoing in one.said.drain(..) {
                // An outbox keeps an id once: what is named by its content is said again by nobody.
                if self.settings.rules.claims && outgoing.event.order().is_some() || self.event(outgoing.id).is_none() {
                    self.commit(seat, one.row, outgoing.id, outgoing.event);
                }
            }
        }
        // What was not taken has changed nothing.
        for order in took.iter().filter(|took| took.fate == Fate::Taken).filter_map(|took| took.saga) {
            judge::always(&self.seats, order)?;
        }
        Ok(took)
    }

    fn commit(&mut self, owner: usize, row: usize, id: EventId, event: events::Event) {
        self.bag.push(Work::Publish(self.said.len()));
        self.numbers.insert(id, self.said.len());
        let (pending, event) = (Some(self.now), Rc::new(event));
        self.said.push(Said { id, event, owner, row, pending, in_hand: true, generation: 0, remembered: None });
    }
}
