use std::io::IsTerminal;

use anyhow::bail;
use tokio::process::Command;

use crate::stack::command::command;

/// Whether this program runs as root, as it does in containers and on CI.
pub(crate) fn are_we() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a program of this name is in the path.
pub(crate) fn has(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// A command that runs as root: as it is when we are root, else through sudo, which may ask for the password
/// where somebody can give it.
///
/// # Errors
/// When there is neither; with the command, for somebody to run.
pub(crate) fn as_root(program: &str, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut prepared = if are_we() {
        command(program)
    } else if has("sudo") {
        let mut sudo = command("sudo");
        if !std::io::stdin().is_terminal() {
            sudo.arg("--non-interactive");
        }
        sudo.arg(program);
        sudo
    } else {
        bail!("this needs root: `{program} {}`", arguments.join(" "));
    };
    prepared.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(prepared)
}
