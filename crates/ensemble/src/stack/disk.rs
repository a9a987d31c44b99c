//! The broker's disk, as a power cut or somebody careless leaves it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::fs;
use uuid::Uuid;

use super::{
    Stack,
    command::{command, output},
};
use crate::part::Part;

/// Where the broker of a stack keeps what it keeps, on this machine.
#[derive(Clone, Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// That stack's.
    pub fn of(stack: &Stack) -> Self {
        Self(stack.data(Part::Nats))
    }

    /// As a power cut would find it now: whatever the server has written, synced or not. `kill -9` alone keeps all that the
    /// system has not written down yet.
    ///
    /// # Errors
    /// When the broker cannot be paused meanwhile, or the disk not copied.
    pub async fn copied(stack: &Stack) -> anyhow::Result<Self> {
        let disk = Self::of(stack);
        let copy = Self(disk.0.with_file_name(format!("nats-{}", Uuid::now_v7())));
        stack.pause(Part::Nats).await?;
        let copied = cp(&disk.0, &copy.0).await;
        stack.resume(Part::Nats).await?;
        copied.map(|()| copy)
    }

    /// Nothing is left on it. The broker must not run.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn is_lost(&self) -> anyhow::Result<()> {
        let mut entries = fs::read_dir(&self.0).await?;
        while let Some(entry) = entries.next_entry().await? {
            fs::remove_dir_all(entry.path()).await?;
        }
        Ok(())
    }

    /// It is as that copy of it. The broker must not run.
    ///
    /// # Errors
    /// When something cannot be removed or copied.
    pub async fn is_again(&self, copy: &Self) -> anyhow::Result<()> {
        self.is_lost().await?;
        let mut entries = fs::read_dir(&copy.0).await?;
        while let Some(entry) = entries.next_entry().await? {
            cp(&entry.path(), &self.0).await?;
        }
        Ok(())
    }

    /// What lies there is as in that copy of it, and all else stays. The broker must not run.
    ///
    /// # Errors
    /// When it cannot be removed or copied.
    pub async fn has_again(&self, copy: &Self, within: &Path) -> anyhow::Result<()> {
        fs::remove_dir_all(self.0.join(within)).await?;
        cp(&copy.0.join(within), &self.0.join(within)).await
    }
}

async fn cp(from: &Path, to: &Path) -> anyhow::Result<()> {
    output(command("cp").arg("-a").args([from, to])).await.map(drop).context("the broker's disk cannot be copied")
}
