//! What a test has planned, and how it comes about.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use clap::Args;
use fail_parallel::{FailPointRegistry, fail_point, fail_point_async};
use saga::{Participant, batch::Arrived};

use super::{Failpoint, Mishap};

#[cfg(not(debug_assertions))]
compile_error!("a release build has no failpoints");

/// Long enough that others overtake whoever waits; short beside every timeout.
const DELAY: Duration = Duration::from_millis(400);
/// The failpoint of the verbs. It is no boundary of the shell.
const VERB: &str = "verb";

static ARMED: OnceLock<Armed> = OnceLock::new();

/// What is to happen at the failpoints.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// What happens at the failpoints of this build, such as commit.after=return(crash).
    #[arg(long, env = "FAILPOINTS", value_parser = planned)]
    failpoints: Option<Armed>,
}

impl Settings {
    /// From now on, in this process.
    pub(crate) fn arm(&self) {
        if let Some(armed) = &self.failpoints {
            ARMED.get_or_init(|| armed.clone());
        }
    }
}

#[derive(Clone)]
struct Armed(Arc<FailPointRegistry>);

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(fail_parallel::list(self.0.clone())).finish()
    }
}

fn planned(text: &str) -> Result<Armed, String> {
    let registry = Arc::new(FailPointRegistry::new());
    for one in text.split(';').map(str::trim).filter(|one| !one.is_empty()) {
        let (name, actions) = one.split_once('=').ok_or_else(|| format!("`{one}` is not failpoint=actions"))?;
        if name != VERB && !Failpoint::all().any(|failpoint| failpoint.to_string() == name) {
            return Err(format!("there is no failpoint `{name}`"));
        }
        fail_parallel::cfg(registry.clone(), name, actions).map_err(|error| format!("`{one}`: {error}"))?;
    }
    Ok(Armed(registry))
}

/// # Errors
/// When that is what was planned.
pub(crate) async fn reached(failpoint: Failpoint) -> io::Result<()> {
    let Some(said) = said_at(failpoint).await else { return Ok(()) };
    let Some(mishap) = Mishap::ALL.into_iter().find(|mishap| mishap.name() == said) else {
        panic!("the failpoint {failpoint} returns `{said}`, which is no mishap");
    };
    // Written before anything else happens: it is the proof that the failpoint was reached.
    tracing::warn!(%failpoint, mishap = mishap.name(), "a failpoint was reached");
    match mishap {
        Mishap::Crash => std::process::abort(),
        Mishap::Error => Err(io::Error::other(format!("the failpoint {failpoint}"))),
        Mishap::Delay => {
            tokio::time::sleep(DELAY).await;
            Ok(())
        }
    }
}

async fn said_at(failpoint: Failpoint) -> Option<String> {
    let Armed(registry) = ARMED.get()?;
    fail_point_async!(registry.clone(), &failpoint.to_string(), |said: Option<String>| Some(said.unwrap_or_default()));
    None
}

/// Whoever is given an input of the saga that was named panics.
pub(crate) fn verb<P: Participant>(arrived: &[Arrived<P>]) {
    let of_saga = |named: &str| arrived.iter().filter_map(Arrived::saga).any(|saga| saga.to_string() == named);
    if let Some(named) = named_at_the_verbs()
        && of_saga(&named)
    {
        tracing::warn!(failpoint = VERB, mishap = "panic", "a failpoint was reached");
        panic!("the failpoint of the verbs of {named}");
    }
}

fn named_at_the_verbs() -> Option<String> {
    let Armed(registry) = ARMED.get()?;
    fail_point!(registry.clone(), VERB, |named: Option<String>| named);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_planned_is_said() {
        for (wrong, because) in [
            ("commit.after", "is not failpoint=actions"),
            ("comit.after=return(crash)", "no failpoint `comit.after`"),
            ("commit.after=explode", "unrecognized command"),
        ] {
            let error = planned(wrong).expect_err(wrong);
            assert!(error.contains(because), "{wrong}: {error}");
        }
        planned(" commit.after=3*off->1*return(crash); verb=return(x); ").expect("as the page of this module has it");
    }
}
