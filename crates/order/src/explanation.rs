//! What happened to an order, or what it waits for, in plain sentences: the same words on the screen, on the command
//! line and in the console.

mod words;

use events::*;

use crate::{
    domain::{Purchase, Sale, Standing},
    screen::{Entry, ServiceName, Waiting, owed},
};
use words::{WORDS, Word, capital, span};

/// A few plain sentences about the order. `waiting` is what the services say that they wait for, where it is known.
pub fn explanation(order: &Purchase, timeline: &[Entry], waiting: &[(ServiceName, Waiting)], now: Timestamp) -> String {
    let story = Story { order, timeline, waiting, now };
    let told = match order.standing {
        Standing::Open => story.open(),
        Standing::Confirmed { sale } => story.confirmed(sale),
        Standing::Dispatched { since, sale } => story.dispatched(since, sale),
        Standing::Cancelling { since, cause, .. } => story.cancelling(since, cause),
        Standing::Closing { since, cause, .. } => story.closing(since, cause),
        Standing::Rejected { reason } => story.ended("Rejected", reason),
        Standing::Cancelled => story.ended("Cancelled", Reason::CustomerRequest),
    };
    told + &story.dead_letters()
}

struct Story<'a> {
    order: &'a Purchase,
    timeline: &'a [Entry],
    waiting: &'a [(ServiceName, Waiting)],
    now: Timestamp,
}

impl Story<'_> {
    /// Nothing is decided: who has not answered what.
    fn open(&self) -> String {
        let asked = |entry: &Entry| words::of(&entry.ty).and_then(|word| Some((entry.time, word.event.name, word.awaits?)));
        let last = self.timeline.iter().filter_map(asked).max_by_key(|(time, ..)| *time);
        let (since, name, service) = last.unwrap_or((self.order.placed_at, OrderPlaced::INFO.name, ServiceName::Inventory));
        format!("Waiting {} for {service} to answer {name}{}.", self.for_now(since), self.trouble(service))
    }

    fn confirmed(&self, sale: Sale) -> String {
        let at = self.first::<OrderConfirmed>().unwrap_or(self.order.changed_at);
        format!("Confirmed in {}.{}", self.took(at), self.unsold(sale))
    }

    fn dispatched(&self, since: Timestamp, sale: Sale) -> String {
        let at = self.first::<ShipmentDispatched>().unwrap_or(since);
        let how = match self.first::<OrderConfirmed>().filter(|confirmed| *confirmed < at) {
            Some(confirmed) => {
                format!("Confirmed in {}, dispatched {} later", self.took(confirmed), span(at.since(confirmed)))
            }
            None => format!("Dispatched in {}", self.took(at)),
        };
        let too_late = self.first::<OrderCancellationRequested>().map_or("", |_| " The wish to cancel came too late.");
        format!("{how}.{too_late}{}", self.unsold(sale))
    }

    fn cancelling(&self, since: Timestamp, cause: Reason) -> String {
        let (cause, trouble) = (words::cause(cause), self.trouble(ServiceName::Shipping));
        format!("Cancelling for {}: {cause}. Shipping decides whether it is too late{trouble}.", self.for_now(since))
    }

    fn closing(&self, since: Timestamp, cause: Reason) -> String {
        let owes = |owed: crate::screen::Owed| format!("{} owes {}{}", owed.service, owed.what, self.trouble(owed.service));
        let owed: Vec<String> = owed(&self.order.standing).into_iter().map(owes).collect();
        format!("Undoing for {}: {}. {}.", self.for_now(since), words::cause(cause), capital(&owed.join("; ")))
    }

    /// It is over: why, what each had done and undone, and that nothing is left.
    fn ended(&self, how: &str, reason: Reason) -> String {
        let services = [ServiceName::Inventory, ServiceName::Payment, ServiceName::Shipping];
        let deeds: Vec<String> = services.into_iter().filter_map(|service| self.undone(service)).collect();
        let deeds = if deeds.is_empty() { String::new() } else { format!(" {}.", capital(&deeds.join("; "))) };
        let charged = self.first::<PaymentCaptured>().or(self.first::<PaymentRefunded>());
        // Without a timeline nobody knows.
        let charged = if charged.is_some() || self.timeline.is_empty() { "" } else { " Nothing was charged." };
        format!("{how}: {}.{deeds}{charged} Nothing is owed.", words::cause(reason))
    }

    /// What that service had done, and undid.
    fn undone(&self, service: ServiceName) -> Option<String> {
        let (did, done) = self.last_deed(service, |word| word.does)?;
        let (undid, undone) = self.last_deed(service, |word| word.undoes)?;
        Some(format!("{service} had {did} and {undid} {} later", span(undone.since(done))))
    }

    fn last_deed(&self, service: ServiceName, deed: fn(&Word) -> Option<&'static str>) -> Option<(String, Timestamp)> {
        let told = |word: &'static Word| Some((deed(word)?, self.first_of(word.event)?));
        let (deed, at) = WORDS.iter().filter(|word| word.service == service).filter_map(told).next_back()?;
        let pieces = self.order.lines.iter().map(|line| u64::from(line.quantity)).sum::<u64>();
        let told = deed
            .replace("{goods}", &words::goods(&self.order.lines))
            .replace("{them}", if pieces == 1 { "it" } else { "them" })
            .replace("{total}", &self.order.total.to_string());
        Some((told, at))
    }

    /// Inventory's debt on the way forward, once it had to be asked again.
    fn unsold(&self, sale: Sale) -> String {
        match sale {
            Sale::Owed { since, asking } if asking.number > 1 => {
                let trouble = self.trouble(ServiceName::Inventory);
                format!(" Inventory has owed stock.committed for {}{trouble}.", self.for_now(since))
            }
            Sale::Owed { .. } | Sale::Committed => String::new(),
        }
    }

    /// What keeps that service, when it says so.
    fn trouble(&self, service: ServiceName) -> String {
        let Some((_, waiting)) = self.waiting.iter().find(|(who, _)| *who == service) else { return String::new() };
        match (waiting.tries, &waiting.last_error) {
            (0, _) => String::new(),
            (tries, None) => format!(": try {tries}"),
            (tries, Some(error)) => format!(": try {tries}, {}", words::plain(error)),
        }
    }

    /// Whoever they wait with, and however the order stands: it may have come to rest around them.
    fn dead_letters(&self) -> String {
        let dead = self.waiting.iter().filter_map(|(service, waiting)| Some((service, waiting.dead_letter.as_ref()?)));
        dead.map(|(service, code)| format!(" A dead letter ({code}) at {service} waits for an operator.")).collect()
    }

    fn first<E: EventData>(&self) -> Option<Timestamp> {
        self.first_of(E::INFO)
    }

    fn first_of(&self, event: &EventInfo) -> Option<Timestamp> {
        self.timeline.iter().filter(|entry| entry.ty == event.ty).map(|entry| entry.time).min()
    }

    fn took(&self, at: Timestamp) -> String {
        span(at.since(self.order.placed_at))
    }

    fn for_now(&self, since: Timestamp) -> String {
        span(self.now.since(since))
    }
}

#[cfg(test)]
mod tests;
