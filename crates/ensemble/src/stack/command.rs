//! Other people's programs, run to their end.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;

/// A command without input, ended if nobody waits for it any more.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it and returns what it said on stdout.
///
/// # Errors
/// When it cannot be started or does not end well; with the last lines that it said.
pub(crate) async fn output(command: &mut Command) -> anyhow::Result<String> {
    let line = described(command);
    let output = command.output().await.with_context(|| format!("could not run `{line}`"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("`{line}` ended with {}:\n{}", output.status, last_lines(&String::from_utf8_lossy(&said), 15));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// As [`output`], given up after a while; for questions to which no answer is an answer.
pub(crate) async fn answer(command: &mut Command, bound: Duration) -> Option<String> {
    tokio::time::timeout(bound, output(command)).await.ok()?.ok()
}

fn described(command: &Command) -> String {
    let command = command.as_std();
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// The end of a long text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_says_what_was_run_and_what_it_said() {
        let error = output(command("sh").args(["-c", "echo no such thing >&2; exit 3"])).await.expect_err("it fails").to_string();
        assert!(error.contains("no such thing") && error.contains("sh -c") && error.contains('3'), "{error}");
    }

    #[tokio::test]
    async fn no_answer_in_time_is_no_answer() {
        assert_eq!(answer(command("sleep").arg("30"), Duration::from_millis(50)).await, None);
    }

    #[test]
    fn the_last_lines() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
