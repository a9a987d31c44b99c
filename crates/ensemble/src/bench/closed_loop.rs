//! As many orders under way as there are customers: what the whole can do at most.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{customers::Customers, samples::Sample};
use crate::Step;

/// What a load came to.
pub(super) struct Run {
    /// Until the last order was confirmed.
    pub(super) time: Duration,
    pub(super) samples: Vec<Sample>,
}

impl Run {
    /// Whole sagas.
    pub(super) fn per_second(&self) -> f64 {
        self.samples.len() as f64 / self.time.as_secs_f64()
    }
}

/// Each of `in_flight` customers orders again as soon as the last order is confirmed, until that `time` is over.
///
/// What is under way then is counted, and so is the time that it takes. All come at the same moment, and for a while nobody's
/// order is confirmed: were the time cut off, a slow shop would be paid for less of its work than a fast one.
pub(super) async fn closed_loop(customers: &Customers, in_flight: usize, time: Duration, step: &Step<'_>) -> anyhow::Result<Run> {
    let (started, confirmed) = (Instant::now(), &AtomicUsize::new(0));
    let loads = stream::iter(0..in_flight).map(|_| async move {
        let mut seen = Vec::new();
        while started.elapsed() < time {
            let took = customers.order().await?;
            seen.push(Sample { at: started.elapsed(), took });
            let so_far = confirmed.fetch_add(1, Ordering::Relaxed) + 1;
            if so_far.is_multiple_of(100) {
                step.now(&format!("{} of {} s, {so_far} orders", started.elapsed().as_secs(), time.as_secs()));
            }
        }
        Ok::<_, anyhow::Error>(seen)
    });
    let samples = loads.buffer_unordered(in_flight).try_concat().await?;
    Ok(Run { time: started.elapsed(), samples })
}
