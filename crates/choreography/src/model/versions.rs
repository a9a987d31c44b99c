//! One service a version ahead: what becomes of its events at a reader that does not know that version yet, by the rules that
//! production goes by. To such a reader the type is unknown, so the message is parked ([`saga::park`]). Once the reader is
//! updated it is the same event. Until then it waits as on a slow network; new is only that it may wait for too long.

use std::time::Duration;

use events::{DecodeError, Event};
use saga::{Parked, examples::CONTEXT, park};
use serde_json::{Map, Value, json};

const PATIENCE: Duration = Duration::from_secs(3600);
const WAIT: Duration = Duration::from_secs(5);

/// When a reader tries a message that it does not know yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Try {
    First,
    AtTheDeadline,
}

/// Whether it becomes a dead letter then, or waits on.
pub(super) fn gives_up(at: Try) -> bool {
    let since = CONTEXT.now;
    let now = match at {
        Try::First => since,
        Try::AtTheDeadline => since.after(PATIENCE),
    };
    park(since, now, PATIENCE, WAIT) == Parked::DeadLetter
}

/// What would go wrong with the event in the next version of its type, or by a field more: as its sentence goes on.
pub(super) fn wrong(event: &Event) -> Option<String> {
    let name = event.info().name;
    let Err(DecodeError::UnknownType(_)) = Event::decode(&next_type(event), &with_a_field_more(event)) else {
        return Some(format!("says {name}, and who does not know its next version does not take it for unknown"));
    };
    let read = Event::decode(event.info().ty, &with_a_field_more(event));
    (read.ok().as_ref() != Some(event)).then(|| format!("says {name}, and with a field more it is read as something else"))
}

/// `stock.reserved.v2`, of what is `stock.reserved.v1`.
fn next_type(event: &Event) -> String {
    let (name, ty) = (event.info().name, event.info().ty);
    let version: Option<u32> = ty.strip_prefix(name).and_then(|rest| rest.strip_prefix(".v")).and_then(|rest| rest.parse().ok());
    format!("{name}.v{}", version.expect("a type is a name and a version") + 1)
}

/// The data of that next version: what a reader of either version reads is there, and something that it never heard of.
fn with_a_field_more(event: &Event) -> Vec<u8> {
    let mut data: Map<String, Value> =
        serde_json::from_slice(&event.encode()).expect("an event's data is written as an object with named fields");
    data.insert("field_of_a_later_version".to_owned(), json!({ "amount": 1 }));
    serde_json::to_vec(&data).expect("what was read as JSON can be written so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_at_first_and_is_given_up_at_its_deadline() {
        assert!(!gives_up(Try::First));
        assert!(gives_up(Try::AtTheDeadline));
    }

    #[test]
    fn the_next_version_is_unknown_and_a_field_more_is_not_read() {
        let event = Event::from(events::StockCommitted { order_id: events::OrderId(uuid::Uuid::nil()) });
        assert_eq!(next_type(&event), "stock.committed.v2");
        assert_eq!(wrong(&event), None);
    }
}
