//! Without failpoints nothing happens at any boundary.

use clap::Args;
use saga::{Participant, batch::Arrived};

use super::Failpoint;

/// Nothing can be set.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {}

impl Settings {
    pub(crate) const fn arm(&self) {}
}

pub(crate) async fn reached(_: Failpoint) -> std::io::Result<()> {
    Ok(())
}

pub(crate) const fn verb<P: Participant>(_: &[Arrived<P>]) {}
