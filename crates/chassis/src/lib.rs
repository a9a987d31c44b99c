//! The shell that every service runs in: whatever happens to a service comes in by one of four doors, meets the service's
//! pure function in one transaction, and goes out by one door.
//!
//! ```text
//! HTTP request ──► edge ───┐ claim: principal, method, path, key       ┌─ states
//! NATS delivery ─► inbox ──┤ claim: event id                           ├─ claims
//! partner answer ► calls ──┼──► decide (pure) ──► commit: one tx ──────┼─ outbox ──► publish ──► NATS
//! clock ────────► deadline ┘ claim: call id │ saga and deadline        └─ intents ─► calls ────► partner
//! ```
//! A claim is the proof that an input has taken effect; it commits with the effect. So delivery is at least once and effect
//! exactly once. A service hands over its participant, its tables and its routes ([`Service`]); [`run`] does the rest. This
//! crate knows no service's name and no event's.

use std::{process::ExitCode, sync::Arc};

use events::SagaId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub mod admin;
pub mod calls;
pub mod commit;
pub mod config;
pub mod document;
pub mod edge;
pub mod failpoint;
pub mod lease;
pub mod service;
pub mod shutdown;
pub mod telemetry;

mod broker;
mod deadline;
mod inbox;
mod partitions;
mod postgres;
mod relay;
mod restored;
mod rooms;

pub use commit::{Opening, Writing};
pub use service::Service;

/// Statements by name: what a test prepares against a migrated schema.
pub type Statements = &'static [(&'static str, &'static str)];

/// What a service's handlers get. Cheap to clone.
pub struct House<S: Service> {
    /// The door of commands.
    pub door: commit::Door<S>,
    /// Connections to read with.
    pub pool: PgPool,
    /// The service's own settings.
    pub settings: Arc<S::Settings>,
    /// Everything that is counted.
    pub metrics: telemetry::Metrics,
    log: commit::log::Asking,
    watchers: commit::Watchers,
    draining: CancellationToken,
}

impl<S: Service> House<S> {
    /// Waits for that saga to move, from now on: look at it after this.
    pub fn watch(&self, saga: SagaId) -> commit::Watching {
        self.watchers.watch(saga)
    }

    /// A row of the service's own with what happened to that saga here, in order, both of one moment: `sql` is made by
    /// [`with_log!`](macro@crate::with_log). None when there is no such row.
    ///
    /// # Errors
    /// What the database says, to all who asked at that moment; a row that no longer fits its type is
    /// [`sqlx::Error::ColumnDecode`].
    pub async fn told<R>(&self, sql: &'static str, saga: SagaId) -> Result<Option<(R, Vec<commit::log::Entry>)>, Arc<sqlx::Error>>
    where
        R: serde::de::DeserializeOwned + Send + Unpin + 'static,
    {
        self.log.told(sql, saga).await
    }

    /// One column of a row of the service's own, for whoever waits and looks: asked together with all who look within the next
    /// moment. `sql` takes `$1::uuid[]` and gives `saga` and `seen`. None when there is no such row.
    ///
    /// # Errors
    /// As [`told`](Self::told).
    pub async fn seen<T>(&self, sql: &'static str, saga: SagaId) -> Result<Option<T>, Arc<sqlx::Error>>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.log.seen(sql, saga).await
    }

    /// What that saga waits for here; none when for nothing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn waiting(&self, saga: SagaId) -> sqlx::Result<Option<calls::Waiting>> {
        calls::intents::waiting::<S::Call>(&self.pool, saga).await
    }

    /// Cancelled when the service begins to end: whoever waits for something to happen waits no longer.
    pub fn stopping(&self) -> &CancellationToken {
        &self.draining
    }
}

impl<S: Service> Clone for House<S> {
    fn clone(&self) -> Self {
        Self {
            door: self.door.clone(),
            pool: self.pool.clone(),
            log: self.log.clone(),
            settings: self.settings.clone(),
            metrics: self.metrics.clone(),
            watchers: self.watchers.clone(),
            draining: self.draining.clone(),
        }
    }
}

/// Every statement that the service `S` can send, the chassis' own among them.
pub fn statements<S: Service>() -> Vec<(&'static str, &'static str)> {
    [
        commit::STATEMENTS,
        relay::STATEMENTS,
        restored::STATEMENTS,
        inbox::STATEMENTS,
        admin::STATEMENTS,
        &[calls::intents::STATEMENTS, deadline::STATEMENTS, lease::STATEMENTS, partitions::STATEMENTS, S::STATEMENTS],
    ]
    .concat()
    .concat()
}

/// Runs a service until it is told to end: the whole of its `main`, but for the choice of an allocator, which is a program's own. A
/// service allocates small things for each message, and the four of Ensemble take jemalloc for them.
pub fn run<S: Service>() -> ExitCode {
    rooms::run::<S>()
}
