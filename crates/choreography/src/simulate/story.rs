//! A schedule in words: what happened, and what came of it.

use std::fmt::Write as _;

use super::{
    act::Act,
    actor::Wish,
    seat::{Fate, Took},
    world::{World, number},
};

/// Writes down what happens, while it does.
#[derive(Default)]
pub(super) struct Narrator {
    pub(super) steps: Vec<(String, Vec<String>)>,
    pub(super) arrows: String,
}

impl World {
    /// The act happened, and nobody decided anything.
    pub(super) fn tell(&mut self, act: &Act, outcomes: &[(&'static str, String)]) {
        if self.narrator.is_none() {
            return;
        }
        let (words, arrow) = (self.words(act), self.arrow(act));
        if let Some(narrator) = &mut self.narrator {
            narrator.arrows.push_str(&arrow);
            for outcome in outcomes {
                let (who, what) = (outcome.0, outcome.1.replace([';', '#'], ","));
                let _ = writeln!(narrator.arrows, "  Note over {who}: {what}");
            }
            let outcomes = outcomes.iter().map(|(who, what)| format!("{who}: {what}")).collect();
            narrator.steps.push((words, outcomes));
        }
    }

    /// The act happened, and a service has taken these.
    pub(super) fn tell_taken(&mut self, act: &Act, seat: usize, took: &[Took]) {
        if self.narrator.is_some() {
            let outcomes: Vec<_> = took.iter().map(|took| self.outcome(seat, took)).collect();
            self.tell(act, &outcomes);
        }
    }

    fn outcome(&self, seat: usize, took: &Took) -> (&'static str, String) {
        let seat = &self.seats[seat];
        let service = seat.declaration().service;
        let order = took.saga.map(|order| format!("order {} ", number(order))).unwrap_or_default();
        let (from, to) = (seat.state_name(took.states.0), seat.state_name(took.states.1));
        let mut parts = match took.fate {
            Fate::Repeated => vec![format!("{order}was taken before")],
            Fate::Refused => vec![format!("{order}refuses")],
            Fate::NotYet => vec![format!("{order}is not there yet: parked")],
            Fate::Taken | Fate::Contradiction if took.saga.is_none() => Vec::new(),
            Fate::Taken | Fate::Contradiction if from == to => vec![format!("{order}stays {from}")],
            Fate::Taken | Fate::Contradiction => vec![format!("{order}{from} -> {to}")],
        };
        parts.extend(took.said.iter().map(|outgoing| format!("says {}", outgoing.event.info().name)));
        parts.extend(took.asked.iter().map(|call| format!("asks {}", seat.call_name(*call))));
        parts.extend(took.because.map(|because| format!("nothing: {because:?}")));
        (service, parts.join(", "))
    }

    fn service(&self, seat: usize) -> &'static str {
        self.seats[seat].declaration().service
    }

    fn named(&self, id: events::EventId) -> String {
        let Some(event) = self.event(id) else { return id.to_string() };
        let event = &self.said[event].event;
        let order = event.order().map(|order| format!(" of order {}", number(order))).unwrap_or_default();
        format!("{}{order}", event.info().name)
    }

    /// What happens, in plain words.
    fn words(&self, act: &Act) -> String {
        match act {
            Act::Ask(request, wish) => format!("{} (request {request})", wish_in_words(wish)),
            Act::Deadline(_, order, name) => format!("the deadline {name} of order {} passes", number(*order)),
            Act::Lapse(order) => format!("the gateway's hold of order {} lapses", number(*order)),
            Act::Publish { id, acked: true } => format!("{} reaches the stream", self.named(*id)),
            Act::Publish { id, acked: false } => format!("{} reaches the stream, and nobody hears that it did", self.named(*id)),
            Act::Take { reader, events, acked } => {
                let names: Vec<String> = events.iter().map(|id| self.named(*id)).collect();
                let again = if *acked { "" } else { ", and will get it once more" };
                format!("{} takes {}{again}", self.service(*reader), names.join(" and "))
            }
            Act::Execute(seat, call, word) => {
                format!("{}'s partner {} {}", self.service(*seat), word.verb(), self.seats[*seat].call_name(*call))
            }
            Act::Answer(seat, call) => {
                format!("{} takes the answer to {}", self.service(*seat), self.seats[*seat].call_name(*call))
            }
            Act::LoseAnswer(seat, call) => {
                format!("the answer to {}'s {} gets lost: it asks again", self.service(*seat), self.seats[*seat].call_name(*call))
            }
            Act::Crash(seat) => format!("{} crashes: what it had in memory is gone", self.service(*seat)),
            Act::Sweep(seat) => format!("{} sweeps: what it owes to its stream is published", self.service(*seat)),
            Act::LoseTail(seat, count) => format!("{}'s stream loses its last {count}", self.service(*seat)),
            Act::LoseDisk(seat) => format!("{}'s stream is lost", self.service(*seat)),
            Act::Replay { owner, reader } => {
                format!("{} is sent all of {}'s stream once more", self.service(*reader), self.service(*owner))
            }
            Act::Reconcile(seat) => format!("{} finds that its stream has lost something, and puts it back", self.service(*seat)),
            Act::Unpark => "what came too early is tried again".to_owned(),
        }
    }

    /// The same as a line of a sequence diagram.
    fn arrow(&self, act: &Act) -> String {
        let over = |who: &str| format!("  Note over {who}: {}\n", self.words(act));
        match act {
            Act::Ask(_, wish) => {
                let seat = self.seats.iter().position(|seat| seat.is_asked(wish)).unwrap_or_default();
                format!("  person->>{}: {}\n", self.service(seat), wish_in_words(wish))
            }
            Act::Take { reader, events, acked: _ } => {
                let mut text = String::new();
                for event in events.iter().filter_map(|id| self.event(*id)) {
                    let said = &self.said[event];
                    let _ = writeln!(text, "  {}->>{}: {}", self.service(said.owner), self.service(*reader), self.named(said.id));
                }
                text
            }
            Act::Execute(seat, call, word) => {
                format!("  {}->>partner: {} ({})\n", self.service(*seat), self.seats[*seat].call_name(*call), word.verb())
            }
            Act::Answer(seat, call) => {
                format!("  partner-->>{}: answer to {}\n", self.service(*seat), self.seats[*seat].call_name(*call))
            }
            Act::LoseAnswer(seat, call) => {
                format!("  partner--x{}: answer to {}\n", self.service(*seat), self.seats[*seat].call_name(*call))
            }
            Act::Deadline(seat, ..) | Act::Crash(seat) | Act::Sweep(seat) | Act::Reconcile(seat) => over(self.service(*seat)),
            Act::LoseTail(seat, _) | Act::LoseDisk(seat) | Act::Replay { owner: seat, .. } => over(self.service(*seat)),
            Act::Lapse(_) => over("partner"),
            // Seen when it is taken.
            Act::Publish { .. } | Act::Unpark => String::new(),
        }
    }
}

fn wish_in_words(wish: &Wish) -> String {
    match wish {
        Wish::Order(order, lines) => {
            let lines: Vec<String> = lines.iter().map(|(sku, quantity)| format!("{quantity} {sku}")).collect();
            format!("a customer orders {} as order {}", lines.join(" and "), number(*order))
        }
        Wish::Cancel(order) => format!("the customer cancels order {}", number(*order)),
        Wish::Dispatch(order) => format!("the warehouse dispatches order {}", number(*order)),
        Wish::Count(sku, count) => format!("an operator counts in {count} {sku}"),
    }
}
