//! Whether the own stream still holds what was said: by ids, for a tail can be lost and its sequences filled again.

use std::collections::HashSet;

use events::{EventId, SagaId, Timestamp, derived};
use uuid::Uuid;

/// What an event is published as, in `Nats-Msg-Id`: under each generation another, or the broker's memory of the lost one
/// would swallow the new one.
pub fn published_as(id: EventId, generation: i32) -> String {
    match generation {
        0 => id.to_string(),
        n => format!("{id}/g{n}"),
    }
}

/// The event behind that `Nats-Msg-Id`, whatever its generation; none when it is nobody's.
pub fn published(msg_id: &str) -> Option<EventId> {
    msg_id.split('/').next()?.parse().ok()
}

/// No input says more events of one type.
const ORDINALS_MAX: u32 = 16;

/// Whether somebody who takes inputs by their claims has said that event: its id derives from its cause, as no id that was
/// drawn or made up does. So a message that somebody put into the stream by hand proves nothing about the database.
pub fn is_derived(id: EventId, saga: SagaId, causation: Uuid, ty: &str) -> bool {
    (0..ORDINALS_MAX).any(|ordinal| derived(saga.birth_ms(), causation, ty, ordinal) == id.0)
}

/// What a stream is known by: as it was when all that it should hold was last known to be there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Footing {
    /// When it was made, in nanoseconds since 1970: another stream of the same name has another.
    pub created: i64,
    /// Its lowest sequence.
    pub first: u64,
    /// When the message there was stored.
    pub first_at: Timestamp,
    /// Its highest sequence.
    pub last: u64,
    /// The `Nats-Msg-Id` of the message there.
    pub last_id: Option<String>,
    /// How many sequences between the two hold nothing.
    pub gaps: u64,
}

/// Why the stream may have lost something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// It is another stream of the same name: deleted, made by hand, or its disk was lost.
    Remade,
    /// It ends before it did: its tail was lost.
    Shorter,
    /// Its first messages have gone before their time: it was purged.
    Purged,
    /// Some are gone from its middle.
    Holes,
    /// Another message stands where one was: its tail was lost, and filled again.
    Refilled,
}

impl Doubt {
    /// In logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Remade => "remade",
            Self::Shorter => "shorter",
            Self::Purged => "purged",
            Self::Holes => "holes",
            Self::Refilled => "refilled",
        }
    }
}

/// What is in doubt about a stream that was `before` and is `now`, which holds `there` where it ended before. What was stored
/// before `expired` may have gone by its age. Who changes nothing but the end is not in doubt.
pub fn doubt(before: &Footing, now: &Footing, there: Option<&str>, expired: Timestamp) -> Option<Doubt> {
    let still_there = before.last >= now.first && before.last_id.is_some();
    if now.created != before.created {
        Some(Doubt::Remade)
    } else if now.last < before.last {
        Some(Doubt::Shorter)
    } else if now.first > before.first && before.first_at >= expired {
        Some(Doubt::Purged)
    } else if now.gaps > before.gaps {
        Some(Doubt::Holes)
    } else if still_there && there != before.last_id.as_deref() {
        Some(Doubt::Refilled)
    } else {
        None
    }
}

/// What was said beside what the stream holds, as both are read, each in its own order. What has met its counterpart is
/// forgotten, so no more is kept than the two are apart.
#[derive(Clone, Default, Debug)]
pub struct Comparison {
    said: HashSet<EventId>,
    held: HashSet<EventId>,
}

impl Comparison {
    /// It was said, and its arrival was acknowledged.
    pub fn say(&mut self, id: EventId) {
        if !self.held.remove(&id) {
            self.said.insert(id);
        }
    }

    /// The stream holds it.
    pub fn hold(&mut self, id: EventId) {
        if !self.said.remove(&id) {
            self.held.insert(id);
        }
    }

    /// Whether the stream has been seen to hold all that was said.
    pub fn adds_up(&self) -> bool {
        self.said.is_empty()
    }

    /// What was said and not seen in the stream, the oldest sagas first.
    pub fn missing(&self) -> Vec<EventId> {
        let mut missing: Vec<EventId> = self.said.iter().copied().collect();
        missing.sort_unstable();
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> EventId {
        EventId(Uuid::from_u128(n))
    }

    #[test]
    fn every_generation_of_an_event_is_the_event() {
        for generation in [0, 1, 12] {
            assert_eq!(published(&published_as(id(7), generation)), Some(id(7)));
        }
        assert_ne!(published_as(id(7), 0), published_as(id(7), 1));
        assert_eq!(published("somebody else's"), None);
        assert_eq!(published(""), None);
    }

    #[test]
    fn an_id_that_does_not_derive_from_its_cause_proves_nothing() {
        let (saga, cause, ty) = (SagaId::from(Uuid::from_u128(7 << 80)), Uuid::from_u128(5), "a.thing.v1");
        for ordinal in [0, 1, 15] {
            assert!(is_derived(EventId(derived(7, cause, ty, ordinal)), saga, cause, ty));
        }
        assert!(!is_derived(EventId(derived(7, cause, ty, 0)), saga, cause, "b.thing.v1"));
        assert!(!is_derived(EventId(derived(7, cause, ty, 0)), saga, Uuid::from_u128(6), ty));
        assert!(!is_derived(EventId(derived(8, cause, ty, 0)), saga, cause, ty));
        assert!(!is_derived(id(9), saga, cause, ty));
    }

    #[test]
    fn missing_is_what_was_said_and_is_not_held_in_whatever_order_the_two_are_read() {
        let mut comparison = Comparison::default();
        comparison.hold(id(9));
        for n in [1, 2, 3, 9] {
            comparison.say(id(n));
        }
        comparison.hold(id(2));
        // Once more, under another generation.
        comparison.hold(id(2));
        comparison.hold(id(77));
        assert!(!comparison.adds_up());
        assert_eq!(comparison.missing(), [id(1), id(3)]);
        comparison.hold(id(3));
        comparison.hold(id(1));
        assert!(comparison.adds_up());
    }

    #[test]
    fn a_stream_that_only_grew_or_aged_is_not_in_doubt() {
        let expired = Timestamp::from_micros(100);
        let before =
            Footing { created: 5, first: 3, first_at: Timestamp::from_micros(90), last: 9, last_id: Some("a".into()), gaps: 1 };
        assert_eq!(doubt(&before, &before, Some("a"), expired), None);
        let grown = Footing { last: 12, last_id: Some("b".into()), ..before.clone() };
        assert_eq!(doubt(&before, &grown, Some("a"), expired), None);
        let aged = Footing { first: 11, gaps: 0, ..grown };
        assert_eq!(doubt(&before, &aged, None, expired), None);
        let nothing =
            Footing { created: 5, first: 0, first_at: Timestamp::from_micros(i64::MIN), last: 0, last_id: None, gaps: 0 };
        let filled = Footing { gaps: 0, ..before };
        assert_eq!(doubt(&nothing, &filled, None, expired), None, "an empty stream that filled");
    }

    #[test]
    fn each_way_to_lose_something_is_a_doubt() {
        let expired = Timestamp::from_micros(100);
        let before =
            Footing { created: 5, first: 3, first_at: Timestamp::from_micros(200), last: 9, last_id: Some("a".into()), gaps: 1 };
        let found = |now: Footing, there| doubt(&before, &now, there, expired);
        assert_eq!(found(Footing { created: 6, ..before.clone() }, Some("a")), Some(Doubt::Remade));
        assert_eq!(found(Footing { last: 8, ..before.clone() }, None), Some(Doubt::Shorter));
        assert_eq!(found(Footing { first: 10, last: 9, ..before.clone() }, None), Some(Doubt::Purged));
        assert_eq!(found(Footing { gaps: 2, ..before.clone() }, Some("a")), Some(Doubt::Holes));
        assert_eq!(found(Footing { last: 20, ..before.clone() }, Some("b")), Some(Doubt::Refilled));
        assert_eq!(found(Footing { last: 20, ..before.clone() }, None), Some(Doubt::Refilled));
    }
}
