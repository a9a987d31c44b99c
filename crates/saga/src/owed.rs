//! What is still owed to the stream, and what the broker has forgotten: decided without asking anybody, for production and
//! simulator alike. Here the sweep's rule; the reconciler's in [`stream`], the readers' in [`durable`]; and whether it is the
//! database that has forgotten, in [`database`].

pub mod database;
pub mod durable;
pub mod stream;

use std::time::Duration;

use events::{EventId, Timestamp};

/// An event that has been committed and is not known to be in the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Which.
    pub id: EventId,
    /// When it was committed, by the database's clock.
    pub since: Timestamp,
}

/// What the sweep is to publish, in the order of the ids: the oldest sagas first. What is younger than a `moment` has just
/// been committed and is on its way from memory; what is `in_hand` is on its way, however long it takes.
///
/// A clock that jumps makes a sweep early or late, never wrong: a repeat is dropped, and what stays pending stays owed.
pub fn to_publish(
    pending: impl IntoIterator<Item = Pending>,
    now: Timestamp,
    moment: Duration,
    in_hand: impl Fn(EventId) -> bool,
) -> Vec<EventId> {
    let mut owed: Vec<EventId> = pending
        .into_iter()
        .filter(|event| now >= event.since.after(moment) && !in_hand(event.id))
        .map(|event| event.id)
        .collect();
    owed.sort_unstable();
    owed
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn owed_is_what_has_been_pending_for_a_moment_and_nobody_has_in_hand() {
        let (now, moment) = (Timestamp::from_micros(10_000_000), Duration::from_secs(1));
        let pending = |id, since| Pending { id: EventId(Uuid::from_u128(id)), since: Timestamp::from_micros(since) };
        let all = [pending(3, 1), pending(2, 9_000_001), pending(1, 9_000_000), pending(4, 2)];
        let ids = |owed: Vec<EventId>| owed.into_iter().map(|id| id.0.as_u128()).collect::<Vec<_>>();
        assert_eq!(ids(to_publish(all, now, moment, |_| false)), [1, 3, 4]);
        assert_eq!(ids(to_publish(all, now, moment, |id| id.0.as_u128() == 3)), [1, 4]);
        assert_eq!(ids(to_publish(all, now, Duration::ZERO, |_| false)), [1, 2, 3, 4]);
    }
}
