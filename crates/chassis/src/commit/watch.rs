//! Waiting for a saga to move, without asking the database again and again.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use events::SagaId;
use tokio::sync::watch;

/// A move that another replica committed is seen after so long at the latest.
const LOOK_ANYWAY: Duration = Duration::from_millis(500);

/// Who waits for which saga in this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchers(Arc<Mutex<HashMap<SagaId, watch::Sender<Outcome>>>>);

/// How often it was told how the saga has come out, and by which event at last.
#[derive(Clone, Debug, Default)]
struct Outcome {
    times: u64,
    event: Cow<'static, str>,
}

/// Waits for one saga, until it is dropped.
#[derive(Debug)]
pub struct Watching {
    saga: SagaId,
    moved: watch::Receiver<Outcome>,
    /// How often that had been told when it was last looked at.
    told: u64,
    watchers: Watchers,
}

impl Watchers {
    /// From now on; look at the saga *after* this, or a move in between is missed.
    pub(crate) fn watch(&self, saga: SagaId) -> Watching {
        let moved = self.watched().entry(saga).or_default().subscribe();
        let told = moved.borrow().times;
        Watching { saga, moved, told, watchers: self.clone() }
    }

    /// These have moved, and of those it was told how they have come out: by which event.
    pub(crate) fn wake(
        &self,
        moved: impl IntoIterator<Item = SagaId>,
        came_out: impl IntoIterator<Item = (SagaId, Cow<'static, str>)>,
    ) {
        let watched = self.watched();
        if watched.is_empty() {
            return;
        }
        for (saga, event) in came_out {
            if let Some(watching) = watched.get(&saga) {
                watching.send_modify(|told| *told = Outcome { times: told.times + 1, event });
            }
        }
        for saga in moved {
            if let Some(watching) = watched.get(&saga) {
                watching.send_modify(|_| ());
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<SagaId, watch::Sender<Outcome>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    /// Returns when the saga has moved since the last time, or may have: look, and wait again.
    pub async fn moved(&mut self) {
        // The sender is in the map as long as this is; and a time-out is a reason to look.
        let _ = tokio::time::timeout(LOOK_ANYWAY, self.moved.changed()).await;
    }

    /// As [`moved`](Self::moved), for whoever waits for the end: returns when the service has told how the saga has come out, or
    /// may have. The type of the event that told it; none when it was not told here.
    pub async fn came_out(&mut self) -> Option<Cow<'static, str>> {
        let before = self.told;
        let _ = tokio::time::timeout(LOOK_ANYWAY, self.moved.wait_for(|told| told.times != before)).await;
        let told = self.moved.borrow();
        self.told = told.times;
        (told.times != before).then(|| told.event.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watched = self.watchers.watched();
        // This one's own receiver is still there.
        if watched.get(&self.saga).is_some_and(|moved| moved.receiver_count() <= 1) {
            watched.remove(&self.saga);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_move_wakes_those_who_wait_for_it_and_nobody_stays_in_the_map() {
        let watchers = Watchers::default();
        let (one, other) = (SagaId::from(Uuid::from_u128(1)), SagaId::from(Uuid::from_u128(2)));
        let (mut first, mut second, mut third) = (watchers.watch(one), watchers.watch(one), watchers.watch(other));
        watchers.wake([one], []);
        let start = tokio::time::Instant::now();
        first.moved().await;
        second.moved().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        third.moved().await;
        assert_eq!(start.elapsed(), LOOK_ANYWAY, "looked anyway");

        let start = tokio::time::Instant::now();
        watchers.wake([one], []);
        assert_eq!(first.came_out().await, None);
        assert_eq!(start.elapsed(), LOOK_ANYWAY, "a move that is no end");
        watchers.wake([one], [(one, "order.confirmed.v1".into())]);
        assert_eq!(first.came_out().await.as_deref(), Some("order.confirmed.v1"));
        assert_eq!(start.elapsed(), LOOK_ANYWAY, "an end");
        drop((first, third));
        assert_eq!(watchers.watched().len(), 1);
        drop(second);
        assert!(watchers.watched().is_empty());
    }
}
