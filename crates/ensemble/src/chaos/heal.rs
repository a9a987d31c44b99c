//! Whether everybody is ready, and when everything adds up again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::{task::AbortHandle, time::Instant};

use crate::{
    Part, Service, Stack,
    customer::{Customer, Placed},
    stack::{Addresses, wait},
};

const LOOK: Duration = Duration::from_millis(250);

/// Somebody who asks all services all the time whether they are ready.
pub(super) struct Watcher {
    looks: Arc<Mutex<Vec<(Duration, bool)>>>,
    task: AbortHandle,
}

impl Watcher {
    /// From now on.
    pub(super) fn of(addresses: Addresses) -> Self {
        let (looks, began) = (Arc::<Mutex<Vec<_>>>::default(), Instant::now());
        let seen = looks.clone();
        let task = tokio::spawn(async move {
            loop {
                let at = began.elapsed();
                let ready = join_all(Service::ALL.map(|service| wait::probe(service.into(), &addresses))).await;
                let all = ready.iter().all(Result::is_ok);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((at, all));
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { looks, task: task.abort_handle() }
    }

    /// How long after that moment all were ready for the first time.
    pub(super) fn ready_after(&self, moment: Duration) -> Option<Duration> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, _) = looks.iter().find(|(at, all)| *all && *at >= moment)?;
        Some(*at - moment)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until every part does its work again.
///
/// # Errors
/// When one does not within a minute, or has ended by itself.
pub(super) async fn everybody_is_ready(stack: &Stack) -> anyhow::Result<()> {
    for part in Part::ALL {
        stack.wait_until_ready(part).await?;
    }
    Ok(())
}

/// How the orders ended, as the customers see it: each that was accepted is there, once, and no other is.
///
/// # Errors
/// When one is missing, or one too many is there.
pub(super) async fn ends(customer: &Customer, accepted: &[Placed]) -> anyhow::Result<BTreeMap<String, usize>> {
    let (mut listed, mut next) = (BTreeMap::new(), Some("/v1/orders?limit=200".to_owned()));
    while let Some(path) = next {
        let answer = customer.request(reqwest::Method::GET, &path).send().await?.error_for_status()?;
        let link = answer.headers().get("link").and_then(|link| link.to_str().ok()).map(str::to_owned);
        next = link.and_then(|link| Some(link.split_once('<')?.1.split_once('>')?.0.to_owned()));
        let page: Value = answer.json().await?;
        for item in page["items"].as_array().context("a page has items")? {
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            listed.insert(text("id"), text("status"));
        }
    }
    for order in accepted {
        ensure!(listed.contains_key(&order.id), "order {} was accepted, and is gone", order.id);
    }
    ensure!(listed.len() == accepted.len(), "{} orders were accepted, and there are {}", accepted.len(), listed.len());
    let mut ends = BTreeMap::new();
    for status in listed.into_values() {
        *ends.entry(status).or_insert(0) += 1;
    }
    Ok(ends)
}
