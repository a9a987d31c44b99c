//! An orderly end: not ready, stop taking, finish what is in hand, flush, exit.
//!
//! Two kinds of task run in a service. What *takes* (the HTTP listener, the consumers, the deadlines) ends first, each
//! after what it has in hand. What *carries out* (commit, relay, calls) ends when nobody can hand it anything any more.
//! A task that ends before it was told to is a fault and takes the service down with it: half a service is worse than
//! none, and whoever supervises the process starts it again.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Args;
use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long an orderly end may take.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long finishing what is in hand may take before the process ends anyway, such as 9s.
    #[arg(long, env = "SHUTDOWN_DEADLINE", default_value = "9s", value_parser = crate::config::duration)]
    pub shutdown_deadline: Duration,
    /// How long to go on taking requests while not ready, so that a load balancer notices, such as 0s.
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "0s", value_parser = crate::config::duration)]
    pub shutdown_grace: Duration,
}

/// The tokens and the tasks of a running service. Cheap to clone.
///
/// The life of its tokens: `draining` is cancelled by a signal or a fault; `intake` after the grace; `work` when every
/// task that takes has ended, or the deadline has come.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    draining: CancellationToken,
    intake: CancellationToken,
    work: CancellationToken,
    takers: TaskTracker,
    workers: TaskTracker,
    fault: Mutex<Option<&'static str>>,
}

/// How a service ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Told to, and all that was in hand is finished.
    Orderly,
    /// Told to, but something was still in hand at the deadline. Nothing is lost: what is owed is in the database.
    Hasty,
    /// This task ended by itself.
    Fault(&'static str),
}

impl Shutdown {
    /// Cancelled as soon as the end begins: readiness turns false.
    pub fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    /// Cancelled when nothing more may be taken.
    pub fn intake(&self) -> CancellationToken {
        self.0.intake.clone()
    }

    /// Cancelled when everything that was taken has been handed on.
    pub fn work(&self) -> CancellationToken {
        self.0.work.clone()
    }

    /// Begins the end, as a signal does.
    pub fn drain(&self) {
        self.0.draining.cancel();
    }

    /// Runs a task that takes. It ends, after what it has in hand, once [`Self::intake`] is cancelled.
    pub fn spawn_taker(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.0.takers.spawn(self.clone().watched(name, self.intake(), task));
    }

    /// Runs a task that carries out. It ends once [`Self::work`] is cancelled.
    pub fn spawn_worker(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.0.workers.spawn(self.clone().watched(name, self.work(), task));
    }

    /// A task of its own, so that a panic in it is an end that is seen and not one that is swallowed.
    async fn watched(self, name: &'static str, told: CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
        let ended = tokio::spawn(task).await;
        if ended.is_err() || !told.is_cancelled() {
            tracing::error!(task = name, panicked = ended.is_err_and(|e| e.is_panic()), "a task ended by itself");
            self.0.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(name);
            self.drain();
        }
    }

    /// Waits for SIGTERM, SIGINT or a fault, then goes through the phases. Flushing telemetry is the caller's, last.
    pub async fn run(&self, settings: &Settings) -> End {
        tokio::select! {
            () = signal() => self.drain(),
            () = self.0.draining.cancelled() => {}
        }
        tracing::info!("draining: not ready any more");
        tokio::time::sleep(settings.shutdown_grace).await;

        let deadline = Instant::now() + settings.shutdown_deadline;
        self.0.intake.cancel();
        self.0.takers.close();
        // A quarter is kept for those who carry out: a request that hangs must not cost the publishing of another's events.
        let taken = timeout_at(deadline - settings.shutdown_deadline / 4, self.0.takers.wait()).await;
        self.0.work.cancel();
        self.0.workers.close();
        let done = timeout_at(deadline, self.0.workers.wait()).await;

        let fault = *self.0.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match fault {
            Some(task) => End::Fault(task),
            None if taken.is_err() || done.is_err() => End::Hasty,
            None => End::Orderly,
        }
    }
}

/// The first SIGTERM or SIGINT.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals cannot be heard: only a kill will end this process");
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { shutdown_deadline: Duration::from_secs(9), shutdown_grace: Duration::ZERO };

    #[tokio::test(start_paused = true)]
    async fn what_takes_ends_before_what_carries_out() {
        let (shutdown, order) = (Shutdown::default(), Arc::new(Mutex::new(Vec::new())));
        for (name, token) in [("taker", shutdown.intake()), ("worker", shutdown.work())] {
            let order = order.clone();
            let task = async move {
                token.cancelled().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                order.lock().unwrap().push(name);
            };
            if name == "taker" { shutdown.spawn_taker(name, task) } else { shutdown.spawn_worker(name, task) }
        }
        shutdown.drain();
        assert_eq!(shutdown.run(&SETTINGS).await, End::Orderly);
        assert_eq!(*order.lock().unwrap(), ["taker", "worker"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_left_behind_at_the_deadline() {
        let shutdown = Shutdown::default();
        shutdown.spawn_taker("stuck", std::future::pending());
        shutdown.drain();
        let started = Instant::now();
        assert_eq!(shutdown.run(&SETTINGS).await, End::Hasty);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_or_panics_by_itself_ends_the_service() {
        let shutdown = Shutdown::default();
        shutdown.spawn_worker("quitter", async {});
        assert_eq!(shutdown.run(&SETTINGS).await, End::Fault("quitter"));

        let shutdown = Shutdown::default();
        shutdown.spawn_taker("clumsy", async { panic!("on purpose") });
        assert_eq!(shutdown.run(&SETTINGS).await, End::Fault("clumsy"));
    }
}
