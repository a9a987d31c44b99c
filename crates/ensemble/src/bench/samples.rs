//! What was seen of each order, and what follows from many of them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// One order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When it was confirmed, since the load began.
    pub(super) at: Duration,
    /// How long that took.
    pub(super) took: Duration,
}

/// How long orders took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// The median, in milliseconds.
    pub p50_ms: f64,
    /// One of a hundred takes longer.
    pub p99_ms: f64,
    /// One of a thousand takes longer.
    pub p99_9_ms: f64,
}

impl Latency {
    pub(super) fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> anyhow::Result<Self> {
        Self::of_times(samples.into_iter().map(|sample| sample.took))
    }

    pub(super) fn of_times(times: impl IntoIterator<Item = Duration>) -> anyhow::Result<Self> {
        let mut seen = Histogram::<u64>::new(3)?;
        for time in times {
            seen.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))?;
        }
        let at = |percentile| seen.value_at_percentile(percentile) as f64 / 1000.0;
        Ok(Self { p50_ms: at(50.0), p99_ms: at(99.0), p99_9_ms: at(99.9) })
    }
}

/// A stretch of a load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) from: Duration,
    pub(super) orders: usize,
    /// Absent where nothing was confirmed.
    pub(super) latency: Option<Latency>,
}

/// A load, cut into stretches of the same length.
pub(super) fn over_time(samples: &[Sample], length: Duration) -> anyhow::Result<Vec<Stretch>> {
    let place = |sample: &Sample| (sample.at.as_nanos() / length.as_nanos()) as usize;
    let count = samples.iter().map(place).max().map_or(0, |last| last + 1);
    let mut cut = vec![Vec::new(); count];
    for sample in samples {
        cut[place(sample)].push(*sample);
    }
    let stretches = cut.iter().zip(0_u32..).map(|(samples, n)| {
        let latency = if samples.is_empty() { None } else { Some(Latency::of(samples)?) };
        Ok(Stretch { from: length * n, orders: samples.len(), latency })
    });
    stretches.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn percentiles_are_those_of_what_was_seen() {
        let latency = Latency::of_times((1..=1000).map(millis)).expect("they fit");
        for (seen, exact) in [(latency.p50_ms, 500.0), (latency.p99_ms, 990.0), (latency.p99_9_ms, 999.0)] {
            assert!((seen - exact).abs() <= exact / 500.0, "{seen} is not {exact}");
        }
    }

    #[test]
    fn a_stretch_without_an_order_is_kept_and_has_no_latency() {
        let samples = [100, 200, 2500].map(|at| Sample { at: millis(at), took: millis(10) });
        let stretches = over_time(&samples, millis(1000)).expect("they fit");
        assert_eq!(stretches.iter().map(|stretch| stretch.orders).collect::<Vec<_>>(), [2, 0, 1]);
        assert!(stretches[1].latency.is_none() && stretches[2].from == millis(2000));
    }

    #[test]
    fn nothing_seen_is_nothing_over_time() {
        assert!(over_time(&[], millis(1000)).expect("nothing fits").is_empty());
    }
}
