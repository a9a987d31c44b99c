//! When a saga needs a person: one rule for list, metric, alert and command line.

use std::time::Duration;

use serde::Serialize;

/// What waits no longer than that is never slow, however fast its like usually are.
pub const SLOW_MIN: Duration = Duration::from_secs(5);
/// So many times the usual is slow.
pub const SLOW_TIMES: u32 = 10;
/// From this try on, people are told.
pub const TRIES_ALARMING: u32 = 3;
/// So long a compensation may be owed.
pub const OWED_MAX: Duration = Duration::from_secs(30);

/// Something that a saga waits for at one participant.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Waiting {
    /// For so long.
    pub waited: Duration,
    /// The 95th percentile of how long its like take, where that is known.
    pub usual: Option<Duration>,
    /// How often it has failed.
    pub failures: u32,
    /// It belongs to a step behind the pivot, where the saga can only go forward.
    pub after_pivot: bool,
    /// It is a compensation, and owed for so long.
    pub owed: Option<Duration>,
    /// Nobody tries it again by themselves.
    pub dead: bool,
}

/// Why a person should look at it, the gravest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// A dead letter.
    DeadLetter,
    /// It fails after the pivot.
    AfterPivot,
    /// It has been tried three times.
    Tries,
    /// A compensation is owed for more than 30 s.
    CompensationOwed,
    /// It waits more than ten times as long as usual, and at least 5 s.
    Slow,
}

/// Why that needs a person: the gravest of its reasons, or none.
pub fn attention(waiting: &Waiting) -> Option<Attention> {
    let Waiting { waited, usual, failures, after_pivot, owed, dead } = *waiting;
    let slow = usual.map_or(SLOW_MIN, |usual| usual.saturating_mul(SLOW_TIMES).max(SLOW_MIN));
    if dead {
        Some(Attention::DeadLetter)
    } else if after_pivot && failures > 0 {
        Some(Attention::AfterPivot)
    } else if failures >= TRIES_ALARMING {
        Some(Attention::Tries)
    } else if owed.is_some_and(|owed| owed > OWED_MAX) {
        Some(Attention::CompensationOwed)
    } else if waited > slow {
        Some(Attention::Slow)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn what_is_fresh_or_has_failed_once_needs_nobody() {
        assert_eq!(attention(&Waiting::default()), None);
        assert_eq!(attention(&Waiting { failures: 2, ..Waiting::default() }), None);
        assert_eq!(attention(&Waiting { after_pivot: true, ..Waiting::default() }), None);
    }

    #[test]
    fn slow_is_ten_times_the_usual_and_at_least_five_seconds() {
        let waited = |waited, usual| attention(&Waiting { waited, usual, ..Waiting::default() });
        assert_eq!(waited(secs(5), None), None);
        assert_eq!(waited(secs(6), None), Some(Attention::Slow));
        assert_eq!(waited(secs(5), Some(Duration::from_millis(2))), None);
        assert_eq!(waited(secs(20), Some(secs(2))), None);
        assert_eq!(waited(secs(21), Some(secs(2))), Some(Attention::Slow));
        assert_eq!(waited(secs(21), Some(Duration::MAX)), None);
    }

    #[test]
    fn each_of_the_other_reasons_is_enough() {
        assert_eq!(attention(&Waiting { failures: 3, ..Waiting::default() }), Some(Attention::Tries));
        assert_eq!(attention(&Waiting { dead: true, ..Waiting::default() }), Some(Attention::DeadLetter));
        let failing = Waiting { failures: 1, after_pivot: true, ..Waiting::default() };
        assert_eq!(attention(&failing), Some(Attention::AfterPivot));
        let owed = |owed| attention(&Waiting { owed: Some(owed), ..Waiting::default() });
        assert_eq!((owed(secs(30)), owed(secs(31))), (None, Some(Attention::CompensationOwed)));
    }
}
