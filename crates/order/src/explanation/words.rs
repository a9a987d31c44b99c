//! Words for every event about an order. Whoever adds an event adds its words, or the build stops here.

use std::time::Duration;

use events::*;

use crate::screen::ServiceName::{self, Inventory, Order, Payment, Shipping};

/// What one event means to somebody who reads about the order.
pub(super) struct Word {
    pub(super) event: &'static EventInfo,
    /// Who says it.
    pub(super) service: ServiceName,
    /// Who has to answer it before the order goes on.
    pub(super) awaits: Option<ServiceName>,
    /// What its speaker has done with it: "inventory had …".
    pub(super) does: Option<&'static str>,
    /// What its speaker has undone with it: "… and …".
    pub(super) undoes: Option<&'static str>,
}

/// Of each service in the order in which it says them: a later deed stands for the earlier ones. `{goods}`, `{them}` and
/// `{total}` are the order's.
pub(super) const WORDS: &[Word] = &[
    said::<OrderPlaced>(Order).awaits(Inventory),
    said::<OrderConfirmed>(Order),
    said::<OrderCancellationRequested>(Order).awaits(Shipping),
    said::<OrderCancelled>(Order),
    said::<OrderRejected>(Order),
    said::<StockReserved>(Inventory).does("reserved {goods}").awaits(Payment),
    said::<StockUnavailable>(Inventory),
    said::<StockCommitted>(Inventory).does("sold {goods}"),
    said::<StockReleased>(Inventory).undoes("released {them}"),
    said::<PaymentAuthorized>(Payment).does("held {total}").awaits(Shipping),
    said::<PaymentDeclined>(Payment),
    said::<PaymentCaptured>(Payment).does("taken {total}"),
    said::<PaymentCaptureFailed>(Payment),
    said::<PaymentVoided>(Payment).undoes("let go of it"),
    said::<PaymentRefunded>(Payment).undoes("paid it back"),
    said::<ShipmentScheduled>(Shipping).does("booked the carrier").awaits(Payment),
    said::<ShipmentRefused>(Shipping),
    said::<ShipmentCancelled>(Shipping).undoes("cancelled the booking"),
    said::<ShipmentCancellationRefused>(Shipping),
    said::<ShipmentDispatched>(Shipping),
];

const _: () = {
    let mut at = 0;
    while at < Event::ALL.len() {
        if Event::ALL[at].of_order && !has_words(Event::ALL[at].ty) {
            panic!("an event about an order has no words: add it to WORDS in crates/order/src/explanation/words.rs");
        }
        at += 1;
    }
};

/// The words for the event of that type; none for one that is not about an order.
pub(super) fn of(ty: &str) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.event.ty == ty)
}

/// Why an order is not carried out, as a sentence without its full stop.
pub(super) const fn cause(reason: Reason) -> &'static str {
    match reason {
        Reason::OutOfStock => "not every line was in stock",
        Reason::PaymentDeclined => "the card was declined",
        Reason::ShipmentRefused => "the carrier would not take it",
        Reason::CaptureFailed => "the money was held but could not be taken",
        Reason::CustomerRequest => "the customer asked for it",
        Reason::Expired => "it stood still for too long",
    }
}

/// The lines as people write them: `2 × TEA-001 and 1 × CUP-002`. A long list is cut short.
pub(super) fn goods(lines: &[Line]) -> String {
    const SHOWN: usize = 3;
    let mut parts: Vec<String> = lines.iter().take(SHOWN).map(|line| format!("{} × {}", line.quantity, line.sku)).collect();
    match lines.len().saturating_sub(SHOWN) {
        0 => {}
        1 => parts.push("one more line".to_owned()),
        more => parts.push(format!("{more} more lines")),
    }
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// A length of time as people say it: `812 ms`, `4.2 s`, `12 min`.
pub(super) fn span(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{:.1} s", span.as_millis() as f64 / 1_000.0),
        60..7_200 => format!("{} min", span.as_secs() / 60),
        7_200..172_800 => format!("{} h", span.as_secs() / 3_600),
        _ => format!("{} days", span.as_secs() / 86_400),
    }
}

/// Why a try brought no answer, without its class: whether it was sent matters to who repeats it, not to who reads.
pub(super) fn plain(error: &str) -> &str {
    let classes = ["not sent: ", "in doubt: ", "stored error: "];
    classes.iter().find_map(|class| error.strip_prefix(class)).unwrap_or(error)
}

/// With a capital first letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

const fn said<E: EventData>(service: ServiceName) -> Word {
    Word { event: E::INFO, service, awaits: None, does: None, undoes: None }
}

impl Word {
    const fn awaits(mut self, service: ServiceName) -> Self {
        self.awaits = Some(service);
        self
    }
    const fn does(mut self, deed: &'static str) -> Self {
        self.does = Some(deed);
        self
    }
    const fn undoes(mut self, deed: &'static str) -> Self {
        self.undoes = Some(deed);
        self
    }
}

const fn has_words(ty: &str) -> bool {
    let mut at = 0;
    while at < WORDS.len() {
        if same(WORDS[at].event.ty.as_bytes(), ty.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

/// `==` of slices is not const.
const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
