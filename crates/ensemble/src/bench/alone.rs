//! One order after the other, when nothing else goes on: how long a customer waits at least.

use crate::Talk;

use super::{bare_commits::BareCommits, idle, samples::Latency, shop::Shop};

/// Bare commits and orders of either shop in turns, each time so many: all are to meet the same moments of the machine.
const COMMITS_AT_A_TIME: usize = 50;
const ORDERS_AT_A_TIME: usize = 15;

/// How long each took.
pub(super) struct Alone {
    pub(super) ensemble: Latency,
    pub(super) dbos: Latency,
    pub(super) commit: Latency,
    pub(super) commit_to_published: Latency,
}

impl Alone {
    /// So many orders of each.
    pub(super) async fn measure(ours: &Shop, dbos: &Shop, orders: usize, talk: &Talk) -> anyhow::Result<Self> {
        let step = talk.step("alone");
        let mut bare = BareCommits::begin(&ours.stack).await?;
        let (mut confirmed, mut by_dbos, mut commits) = (Vec::new(), Vec::new(), Vec::new());
        while confirmed.len() < orders {
            let count = ORDERS_AT_A_TIME.min(orders - confirmed.len());
            commits.extend(bare.some(COMMITS_AT_A_TIME).await?);
            confirmed.extend(ours.customers.alone(count).await?);
            by_dbos.extend(dbos.customers.alone(count).await?);
        }
        bare.end().await?;
        let alone = Self {
            ensemble: Latency::of_times(confirmed)?,
            dbos: Latency::of_times(by_dbos)?,
            commit: Latency::of_times(commits)?,
            commit_to_published: idle::commit_to_published(&ours.stack, orders).await?,
        };
        let (order, published) = (alone.ensemble.p50_ms, alone.commit_to_published.p50_ms);
        step.done(&format!("p50 {order:.1} ms, dbos {:.1} ms; published {published:.2} ms after a commit", alone.dbos.p50_ms));
        Ok(alone)
    }
}
