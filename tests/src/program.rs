//! A program of ours beside a stack, started by a test.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;

/// Ends with the test, whatever becomes of it.
#[derive(Debug)]
pub struct Program {
    child: Mutex<Child>,
    log: PathBuf,
}

impl Program {
    /// Starts it; what it says goes to that file below `target/e2e`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &mut Command, log: &str) -> anyhow::Result<Self> {
        let folder = ensemble::root().join("target/e2e");
        std::fs::create_dir_all(&folder)?;
        let log = folder.join(log);
        let said = std::fs::File::create(&log)?;
        Ok(Self { child: Mutex::new(command.stdout(said).spawn().context("the program does not start")?), log })
    }

    /// Ends it now, if it still runs.
    pub fn kill(&self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.child().try_wait(), Ok(Some(_)))
    }

    /// What it has said.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn log(&self) -> std::io::Result<String> {
        std::fs::read_to_string(&self.log)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the binary of that name is built.
    pub fn built(name: &str) -> PathBuf {
        ensemble::target().join("debug").join(name)
    }

    /// A port that nobody listens on now.
    ///
    /// # Errors
    /// When there is none.
    pub fn free_port() -> anyhow::Result<u16> {
        Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
