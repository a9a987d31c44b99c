//! A program of ours beside a stack, started by a test.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command},
};

use anyhow::Context as _;

/// Ends with the test, whatever becomes of it.
#[derive(Debug)]
pub struct Program(Child);

impl Program {
    /// Starts it; what it says goes to that file below `target/e2e`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &mut Command, log: &str) -> anyhow::Result<Self> {
        let folder = ensemble::root().join("target/e2e");
        std::fs::create_dir_all(&folder)?;
        let log = std::fs::File::create(folder.join(log))?;
        Ok(Self(command.stdout(log).spawn().context("the program does not start")?))
    }

    /// Where the binary of that name is built.
    pub fn built(name: &str) -> PathBuf {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| ensemble::root().join("target"), Into::into);
        target.join("debug").join(name)
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
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
