//! How long to wait before the next try.

use std::time::Duration;

/// Waits that double from `first` up to `most`, each drawn anew from nothing up to that ("full jitter": those who
/// failed together do not come back together; <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// At most so long after the first try.
    pub first: Duration,
    /// At most so long after any.
    pub most: Duration,
}

impl Backoff {
    /// The most that the wait after that many tries (from 1 on) can be.
    pub fn bound(&self, tries: u32) -> Duration {
        let doublings = tries.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }

    /// The wait after that many tries, drawn.
    pub fn wait(&self, tries: u32) -> Duration {
        rand::random_range(Duration::ZERO..=self.bound(tries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_never_pass_it() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(30) };
        let bounds: Vec<u128> = [1, 2, 3, 9, 10, 1_000_000].map(|tries| backoff.bound(tries).as_millis()).into();
        assert_eq!(bounds, [100, 200, 400, 25_600, 30_000, 30_000]);
        let waits: Vec<Duration> = (0..100).map(|_| backoff.wait(3)).collect();
        assert!(waits.iter().all(|wait| *wait <= backoff.bound(3)));
        assert!(waits.iter().any(|wait| *wait != waits[0]), "drawn, not fixed");
    }
}
