//! A database that is older than what the service has said and heard: a failover that lost its last seconds, a backup that was
//! restored, an older data directory.
//!
//! 1. **A doubt.** Each new connection looks where the database stands ([`Intake::meets`]): another server, another database,
//!    another timeline, a log that ends before it did. A process that starts is in doubt, too. While it is, nothing is taken.
//! 2. **Evidence**, by ids (`evidence.rs`): the own stream holds an event that the outbox does not know; or a delivery was
//!    acknowledged of which the database has no trace. The reconciler looks for the first all the time. Without any the doors open.
//! 3. **Stopped**: a row in the database says so to all replicas, whatever is restarted, until it is put right.
//! 4. **The repair** (`repair.rs`), by an operator: what was heard about the sagas of lost events is handed in again, in its
//!    order, with the commands that the own stream tells; partners are asked under the keys of before; then the readers begin
//!    where they stood in this database. Ids are derived, so all of that says what was said already, and nobody is told anything
//!    new. What is not said again is put back into the outbox as the stream has it, and named.

mod evidence;
mod intake;
mod watch;

pub(crate) mod repair;

pub(crate) use evidence::{Unsettled, unknown};
pub(crate) use intake::{Intake, Standing};
pub(crate) use watch::Watch;

pub(crate) const STATEMENTS: &[crate::Statements] =
    &[evidence::STATEMENTS, intake::STATEMENTS, repair::STATEMENTS, watch::STATEMENTS];
