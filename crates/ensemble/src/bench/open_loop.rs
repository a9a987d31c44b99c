//! Orders come when they come, whether or not the shop is slow just then.
//!
//! A closed loop asks less of a shop that stalls, and so hides the stall: who would have ordered meanwhile is never counted
//! (*coordinated omission*). Here each order has a moment at which it is due, and its latency begins there.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{customers::Customers, samples::Sample};
use crate::Step;

/// So many orders each second, evenly.
pub(super) async fn open_loop(
    customers: &Arc<Customers>,
    rate: f64,
    time: Duration,
    step: &Step<'_>,
) -> anyhow::Result<Vec<Sample>> {
    let started = Instant::now();
    let mut orders = JoinSet::new();
    for (n, due) in due(rate, time).enumerate() {
        tokio::time::sleep_until(started + due).await;
        let customers = customers.clone();
        orders.spawn(async move {
            customers.order_whatever_happens().await?;
            let at = started.elapsed();
            Ok::<_, anyhow::Error>(Sample { at, took: at.saturating_sub(due) })
        });
        if n.is_multiple_of(100) {
            step.now(&format!("{} of {} s, {n} orders", due.as_secs(), time.as_secs()));
        }
    }
    orders.join_all().await.into_iter().collect()
}

/// The moments at which orders are due.
fn due(rate: f64, time: Duration) -> impl Iterator<Item = Duration> {
    let count = (rate * time.as_secs_f64()) as u32;
    (0..count).map(move |n| Duration::from_secs_f64(f64::from(n) / rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_due_evenly_and_within_the_time() {
        let due: Vec<_> = due(4.0, Duration::from_secs(2)).collect();
        assert_eq!(due.len(), 8);
        assert_eq!((due[0], due[1], due[7]), (Duration::ZERO, Duration::from_millis(250), Duration::from_millis(1750)));
    }
}
