//! From the outbox to the stream.
//!
//! After a commit the same process publishes its events from memory, and strikes them off the pending list in bulk. That path
//! may drop anything at any time: a crash, a full queue, a broker away. Whatever has been pending for longer than a moment is
//! published by the sweep, one leader for each service. All recovery is that one path: before or after publish, unknown
//! commit, unknown acknowledgement. A repeat is dropped by the broker while it remembers, and by the readers' claims for ever.
//!
//! The outbox is the record, the stream a fast carrier that may forget. The reconciler compares the two by ids, and puts what
//! the stream has lost back on the pending list, under another id at the broker.

use std::time::Duration;

use clap::Args;

mod backlog;
mod marks;
mod publish;
mod reconcile;
mod sweep;

pub(crate) use backlog::Backlog;
pub(crate) use marks::Marks;
pub(crate) use publish::{Outlet, outlet};
pub(crate) use reconcile::Reconciler;
pub(crate) use sweep::Sweep;

pub(crate) const STATEMENTS: &[crate::Statements] =
    &[backlog::STATEMENTS, publish::STATEMENTS, reconcile::STATEMENTS, reconcile::PASS_STATEMENTS, sweep::STATEMENTS];

/// How events get from the outbox to the stream.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Publish right after the commit, from memory; if false, only the sweep publishes.
    #[arg(long, env = "PUBLISH_FROM_MEMORY", default_value_t = true, action = clap::ArgAction::Set)]
    pub publish_from_memory: bool,
    /// How often the sweep looks for what is still pending, such as 500ms.
    #[arg(long, env = "SWEEP_INTERVAL", default_value = "500ms", value_parser = crate::config::duration)]
    pub sweep_interval: Duration,
    /// How often the stream, and the durables on those of others, are looked at for what they may have lost, such as 2s.
    #[arg(long, env = "RECONCILE_INTERVAL", default_value = "2s", value_parser = crate::config::duration)]
    pub reconcile_interval: Duration,
    /// How many of the stream's messages are compared with the outbox at each look, while nothing is in doubt.
    #[arg(long, env = "RECONCILE_WINDOW", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub reconcile_window: u32,
    /// How many events may be pending before commands are turned away with 503.
    #[arg(long, env = "BACKLOG_MAX", default_value_t = 50_000)]
    pub backlog_max: u64,
    /// How many published events may wait for the broker's acknowledgement.
    #[arg(long, env = "PUBLISH_WINDOW", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub publish_window: u32,
}

impl Settings {
    /// How long an event is pending before the sweep takes it up.
    fn moment(&self) -> Duration {
        if self.publish_from_memory { Duration::from_secs(1) } else { Duration::ZERO }
    }
}
