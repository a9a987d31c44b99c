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
    pub(super) time: Duration,
    pub(super) samples: Vec<Sample>,
    /// Orders that were confirmed by the time that all customers had gone: what was spent was spent on these.
    pub(super) confirmed: usize,
}

/// Each of `in_flight` customers orders again as soon as the last order is confirmed.
pub(super) async fn closed_loop(customers: &Customers, in_flight: usize, time: Duration, step: &Step<'_>) -> anyhow::Result<Run> {
    let (started, confirmed) = (Instant::now(), &AtomicUsize::new(0));
    let loads = stream::iter(0..in_flight).map(|_| async move {
        let mut seen = Vec::new();
        while started.elapsed() < time {
            let took = customers.order().await?;
            let at = started.elapsed();
            let so_far = confirmed.fetch_add(1, Ordering::Relaxed) + 1;
            if so_far.is_multiple_of(100) {
                step.now(&format!("{} of {} s, {so_far} orders", at.as_secs(), time.as_secs()));
            }
            // What ends after the time is not counted: the load is falling by then.
            if at < time {
                seen.push(Sample { at, took });
            }
        }
        Ok::<_, anyhow::Error>(seen)
    });
    let samples = loads.buffer_unordered(in_flight).try_concat().await?;
    Ok(Run { time, samples, confirmed: confirmed.load(Ordering::Relaxed) })
}
