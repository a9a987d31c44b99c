//! Processes that outlive the function, and perhaps the program, that started them.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::stack::wait;

/// How to start a process: enough to start it again, and to tell whether one that runs is of this making.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// The program itself where `program` only starts it; what a new build replaces.
    pub(crate) binary: PathBuf,
    /// SIGTERM, but for PostgreSQL, which takes that to mean "when the last client has left".
    pub(crate) stop_with: StopWith,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StopWith {
    Terminate,
    Interrupt,
}

impl Launch {
    /// Changes when the arguments, the environment or the binary do.
    fn stamp(&self) -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        if let Ok(file) = std::fs::metadata(&self.binary) {
            file.len().hash(&mut hasher);
            file.modified().ok().hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }
}

/// A process that was started, known by its id *and* by when it was born: an id alone is given out again,
/// and what bears it later is not ours to kill.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pid: Pid,
    born: String,
    stamp: String,
    stop_with: StopWith,
    /// Set once it has ended, when it was started by this program.
    ended: Arc<OnceLock<ExitStatus>>,
}

impl Process {
    /// Starts it in a process group of its own, its output appended to `log`, and writes down in `record` which
    /// process it is.
    pub(crate) fn start(launch: &Launch, log: &Path, record: &Path) -> anyhow::Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("could not open the log {}", log.display()))?;
        let mut child = Command::new(&launch.program)
            .args(&launch.arguments)
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("could not share the log between stdout and stderr")?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {}", launch.program.display()))?;

        let pid = Pid::from_child(&child);
        let ended = Arc::new(OnceLock::new());
        let process = Self {
            pid,
            born: birth(pid).unwrap_or_default(),
            stamp: launch.stamp(),
            stop_with: launch.stop_with,
            ended: Arc::clone(&ended),
        };
        // Somebody must collect a child that has ended, or it stays in the table as a zombie.
        std::thread::spawn(move || child.wait().map(|status| ended.set(status)));
        process.write(record)?;
        Ok(process)
    }

    fn write(&self, record: &Path) -> anyhow::Result<()> {
        let stop = match self.stop_with {
            StopWith::Terminate => "TERM",
            StopWith::Interrupt => "INT",
        };
        let line = format!("{} {} {} {stop}\n", self.pid.as_raw_nonzero(), self.born, self.stamp);
        std::fs::write(record, line).with_context(|| format!("could not write {}", record.display()))
    }

    /// The process that [`Process::start`] wrote down, if it still runs.
    pub(crate) fn recorded(record: &Path) -> Option<Self> {
        let line = std::fs::read_to_string(record).ok()?;
        let mut words = line.split_whitespace();
        let process = Self {
            pid: Pid::from_raw(words.next()?.parse().ok()?)?,
            born: words.next()?.to_owned(),
            stamp: words.next()?.to_owned(),
            stop_with: if words.next()? == "INT" { StopWith::Interrupt } else { StopWith::Terminate },
            ended: Arc::default(),
        };
        process.is_alive().then_some(process)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether it was started in this way, from this binary.
    pub(crate) fn is_of(&self, launch: &Launch) -> bool {
        self.stamp == launch.stamp()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.ended.get().is_none() && birth(self.pid).is_some_and(|born| born == self.born)
    }

    /// How it ended, when it has and this program started it.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.ended.get().copied()
    }

    /// Sends a signal to it and to all that it started.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        match kill_process_group(self.pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("could not signal process {}", self.pid())),
        }
    }

    /// SIGSTOP, to it and to all that it started: PostgreSQL's are no longer in its group.
    pub(crate) fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        self.signal_children(Signal::STOP)
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) -> anyhow::Result<()> {
        self.signal_children(Signal::CONT)?;
        self.signal(Signal::CONT)
    }

    fn signal_children(&self, signal: Signal) -> anyhow::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        for child in children(self.pid) {
            match kill_process(child, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("could not signal process {}", child.as_raw_nonzero())),
            }
        }
        Ok(())
    }

    /// kill -9, and waits until it is gone.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.gone_within(Duration::from_secs(5)).await
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// When it is still there after `grace`; it is then killed.
    pub(crate) async fn stop(&self, grace: Duration) -> anyhow::Result<()> {
        self.signal(match self.stop_with {
            StopWith::Terminate => Signal::TERM,
            StopWith::Interrupt => Signal::INT,
        })?;
        // One that was paused hears it only now.
        self.signal(Signal::CONT)?;
        let asked = self.gone_within(grace).await;
        if asked.is_err() {
            self.kill().await?;
        }
        asked
    }

    async fn gone_within(&self, bound: Duration) -> anyhow::Result<()> {
        wait::until(Instant::now() + bound, || async {
            if self.is_alive() { Err(format!("process {} still runs", self.pid())) } else { Ok(()) }
        })
        .await
    }
}

/// The processes that it started itself; known on Linux alone (proc(5): the parent is the fourth field).
fn children(parent: Pid) -> Vec<Pid> {
    let of = |entry: std::fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let its_parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (its_parent == parent.as_raw_nonzero().get()).then_some(pid)
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}

/// When the process was born, in whatever the system counts; nothing for one that has ended.
fn birth(pid: Pid) -> Option<String> {
    if cfg!(target_os = "linux") {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The second field is the program's name in parentheses, which may hold anything; state is the third
        // field, start time the twenty-second (proc(5)).
        let (_, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?;
        // A process that was killed is a zombie as soon as its first thread has ended; its files and ports are its own until
        // the last one has.
        let threads = || std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).map_or(0, Iterator::count);
        let gone = state == "X" || (state == "Z" && threads() <= 1);
        (!gone).then(|| fields.nth(18).map(str::to_owned)).flatten()
    } else {
        let output = Command::new("ps").args(["-o", "lstart=,stat=", "-p", &pid.as_raw_nonzero().to_string()]).output().ok()?;
        let line = String::from_utf8(output.stdout).ok()?;
        let (born, state) = line.trim().rsplit_once(' ')?;
        (!state.starts_with('Z')).then(|| born.split_whitespace().collect::<Vec<_>>().join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: vec![],
            binary: "/bin/sh".into(),
            stop_with: StopWith::Terminate,
        }
    }

    #[tokio::test]
    async fn a_recorded_process_is_found_again_until_it_ends() {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, record) = (dir.path().join("log"), dir.path().join("record"));
        let launch = sleeper("sleep 60");
        let started = Process::start(&launch, &log, &record).expect("started");
        let found = Process::recorded(&record).expect("it runs");
        assert_eq!(found.pid(), started.pid());
        assert!(found.is_of(&launch));
        assert!(!found.is_of(&sleeper("sleep 61")));

        found.stop(Duration::from_secs(5)).await.expect("SIGTERM ends it");
        assert!(Process::recorded(&record).is_none());
        assert!(!started.is_alive());
    }

    #[tokio::test]
    async fn what_is_frozen_does_nothing_and_neither_does_what_it_started() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("log");
        // As PostgreSQL's: each child in a session of its own.
        let launch =
            sleeper("setsid sh -c 'while :; do echo child; sleep 0.02; done' & while :; do echo parent; sleep 0.02; done");
        let process = Process::start(&launch, &log, &dir.path().join("record")).expect("started");
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let both = async |since: usize| {
            wait::until(Instant::now() + Duration::from_secs(5), || async {
                let new = said().split_off(since);
                if new.contains("child") && new.contains("parent") { Ok(()) } else { Err(new) }
            })
            .await
        };
        both(0).await.expect("both speak");
        process.freeze().expect("frozen");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let frozen = said().len();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(said().len(), frozen);
        process.thaw().expect("thawed");
        both(frozen).await.expect("both speak again");
        process.signal_children(Signal::KILL).expect("gone");
        process.kill().await.expect("gone");
    }

    #[tokio::test]
    async fn an_id_that_was_given_to_another_process_is_not_ours() {
        let dir = tempfile::tempdir().expect("a directory");
        let record = dir.path().join("record");
        std::fs::write(&record, format!("{} 1 0 TERM\n", std::process::id())).expect("written");
        assert!(Process::recorded(&record).is_none());
    }

    #[tokio::test]
    async fn what_does_not_listen_is_killed_and_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("log");
        let process =
            Process::start(&sleeper("trap '' TERM; echo deaf; while :; do sleep 0.05; done"), &log, &dir.path().join("record"))
                .expect("started");
        wait::until(Instant::now() + Duration::from_secs(5), || async {
            std::fs::read_to_string(&log).ok().filter(|log| log.contains("deaf")).map(drop).ok_or("no trap yet".to_owned())
        })
        .await
        .expect("the trap is set");
        let error = process.stop(Duration::from_millis(200)).await.expect_err("it is deaf").to_string();
        assert!(error.contains("still runs"), "{error}");
        assert!(!process.is_alive());
    }
}
