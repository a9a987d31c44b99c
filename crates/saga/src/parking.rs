//! What becomes of an input that came before what it stands on, or in a version that nobody here knows yet.
//!
//! It waits, but not for ever: what it stands on comes within moments, or after a rolling update, or never.

use std::time::Duration;

use events::Timestamp;

/// What to do with a parked input that still cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parked {
    /// Try again then.
    Until(Timestamp),
    /// Nobody tries again by themselves: a dead letter.
    DeadLetter,
}

/// The rule. `since` is when it came first, `wait` the backoff that is due. The last try is at the deadline itself, so that
/// a long wait does not cost the time that is left.
pub fn park(since: Timestamp, now: Timestamp, patience: Duration, wait: Duration) -> Parked {
    let deadline = since.after(patience);
    if now >= deadline { Parked::DeadLetter } else { Parked::Until(now.after(wait).min(deadline)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    #[test]
    fn waits_then_tries_once_more_at_the_deadline_then_gives_up() {
        let park = |now| park(at(100), at(now), 10 * SECOND, 4 * SECOND);
        assert_eq!(park(100), Parked::Until(at(104)));
        assert_eq!(park(104), Parked::Until(at(108)));
        assert_eq!(park(108), Parked::Until(at(110)), "not past the deadline");
        assert_eq!(park(110), Parked::DeadLetter);
        assert_eq!(park(90), Parked::Until(at(94)), "a clock that went back shortens nothing");
    }
}
