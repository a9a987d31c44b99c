use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// Removes what a stack leaves behind when the program that started it ends in a way that runs no destructor:
/// a time limit, Ctrl-C, an abort.
///
/// A shell that waits for the end of its input, which comes when the last holder of the other end is gone, however
/// it went. Then it kills the processes that are written down in the stack's directory, removes the containers
/// that carry its name, and the directory. After an orderly end it finds nothing to do.
pub(crate) struct Reaper {
    shell: Child,
}

const SCRIPT: &str = r#"
while read -r _; do :; done
for record in "$1"/run/*; do
  [ -f "$record" ] && read -r pid _ < "$record" && kill -9 "-$pid"
done
if [ "$3" = containers ]; then
  for id in $(docker ps --all --quiet --filter "label=ensemble.stack=$2"); do docker rm --force --volumes "$id"; done
fi
for _ in 1 2 3; do rm -rf "$1" && break; sleep 0.2; done
"#;

impl Reaper {
    /// Watches over the stack of this name with this directory.
    pub(crate) fn watch(dir: &Path, name: &str, containers: bool) -> anyhow::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "reaper"])
            .arg(dir)
            .args([name, if containers { "containers" } else { "processes" }])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the group that Ctrl-C or a test runner's time limit strikes.
            .process_group(0)
            .spawn()
            .context("could not start sh, which removes what an interrupted stack leaves behind")?;
        Ok(Self { shell })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It has its work from its arguments; waiting only makes "nothing left behind" true when we return.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stack::{
        process::{Launch, Process, StopWith},
        wait::eventually,
    };

    #[tokio::test]
    async fn it_kills_what_is_written_down_and_removes_the_directory() {
        let dir = tempfile::tempdir().expect("a directory").keep();
        let run = dir.join("run");
        std::fs::create_dir(&run).expect("made");
        let reaper = Reaper::watch(&dir, "nobody", false).expect("sh");
        let launch = Launch {
            program: "/bin/sleep".into(),
            arguments: vec!["60".to_owned()],
            environment: vec![],
            binary: "/bin/sleep".into(),
            stop_with: StopWith::Terminate,
        };
        let process = Process::start(&launch, &dir.join("log"), &run.join("sleeper")).expect("started");
        assert!(process.is_alive());
        drop(reaper);
        assert!(!dir.exists());
        // It has been told to end, by a signal that it cannot refuse; that takes a moment.
        let ended = || std::future::ready(if process.is_alive() { Err("it is alive") } else { Ok(()) });
        eventually("its end", Duration::from_secs(10), ended).await.expect("it ended");
    }
}
