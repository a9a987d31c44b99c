//! One part is killed in the middle of a load: how deep it goes down, and when it is itself again.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::samples::{Sample, over_time};
use crate::{Part, Stack};

/// As long as whoever watches over processes may take to start one again.
const GONE_FOR: Duration = Duration::from_secs(1);
/// Throughput is looked at in stretches of this length.
const STRETCH: Duration = Duration::from_secs(1);
/// A stretch with so much of the usual throughput is a usual stretch.
const USUAL: f64 = 0.9;

/// What a killed part did to the load.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// What was killed.
    pub killed: String,
    /// Sagas per second before.
    pub before_per_second: f64,
    /// In the worst second after.
    pub lowest_per_second: f64,
    /// From the kill until throughput was as before; absent if it was not, within the load.
    pub recovered_after_seconds: Option<f64>,
    /// Orders that ended, second by second since the load began.
    pub per_second: Vec<usize>,
}

/// kill -9 at that moment, and a start a second later.
pub(super) async fn strike(stack: &mut Stack, part: Part, at: Duration) -> anyhow::Result<()> {
    tokio::time::sleep(at).await;
    stack.kill(part).await?;
    tokio::time::sleep(GONE_FOR).await;
    stack.start_part(part).await
}

/// What the samples of the load say about it.
pub(super) fn seen(part: Part, killed_at: Duration, samples: &[Sample], time: Duration) -> anyhow::Result<Fault> {
    let mut per_second: Vec<_> = over_time(samples, STRETCH)?.iter().map(|stretch| stretch.orders).collect();
    // Nothing comes any more after the time: what ends then is the rest.
    per_second.truncate(time.as_secs() as usize);
    let (before, after) = per_second.split_at(per_second.len().min(killed_at.as_secs() as usize));
    // The first second is not yet in step.
    let in_step = before.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(before);
    let before_per_second = in_step.iter().sum::<usize>() as f64 / in_step.len().max(1) as f64;
    let lowest = after.iter().enumerate().min_by_key(|(_, orders)| **orders);
    let recovered_after_seconds = lowest.and_then(|(worst, _)| {
        let usual = |orders: &usize| *orders as f64 >= before_per_second * USUAL;
        Some((worst + after[worst..].iter().position(usual)?) as f64)
    });
    Ok(Fault {
        killed: part.to_string(),
        before_per_second,
        lowest_per_second: lowest.map_or(0.0, |(_, orders)| *orders as f64),
        recovered_after_seconds,
        per_second,
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} killed: from {:.0}/s to {:.0}/s, ", self.killed, self.before_per_second, self.lowest_per_second)?;
        match self.recovered_after_seconds {
            Some(seconds) => write!(f, "as before after {seconds:.0} s"),
            None => write!(f, "not as before within the load"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dip_and_the_recovery_are_found() {
        let per_second = [10, 10, 10, 2, 0, 6, 18, 10];
        let samples: Vec<_> = (0_u64..)
            .zip(per_second)
            .flat_map(|(second, orders)| vec![Sample { at: Duration::from_secs(second), took: Duration::ZERO }; orders])
            .collect();
        let payment = "payment".parse().expect("a part");
        let fault = seen(payment, Duration::from_secs(3), &samples, Duration::from_secs(8)).expect("they fit");
        assert_eq!((fault.before_per_second, fault.lowest_per_second), (10.0, 0.0));
        assert_eq!(fault.recovered_after_seconds, Some(3.0));
        assert_eq!(fault.per_second, per_second);
    }
}
