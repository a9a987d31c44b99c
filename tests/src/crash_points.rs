//! The crash-point matrix of one service: every failpoint × crash, error, delay, while somebody else sees to it that there is
//! something to do. That nothing was lost and nothing done twice is for whoever walks to say, afterwards.

use std::time::Duration;

use anyhow::Context as _;
use chassis::failpoint::{Failpoint, Mishap};

use crate::eventually;

/// How long a failpoint may take to be reached: what somebody had in hand when he died comes back within that.
const REACHED_WITHIN: Duration = Duration::from_secs(240);
/// So much of a log is shown when it was not.
const LOGGED: usize = 20;

/// A service that can be started again and again.
pub trait Restarted {
    /// Starts it with that in `FAILPOINTS`, ending it before if it still runs. It need not be ready when this returns, and
    /// may have died.
    fn start(&mut self, failpoints: &str) -> impl Future<Output = anyhow::Result<()>>;

    /// Whether it has ended by itself.
    fn has_ended(&self) -> impl Future<Output = bool>;

    /// What it has logged, since this start at least.
    fn log(&self) -> impl Future<Output = anyhow::Result<String>>;
}

/// Lets it die at each of these, one life for each; then meet an error and a delay at each, all in one life, which goes on.
///
/// # Errors
/// When something that was planned does not come about.
pub async fn walk(service: &mut impl Restarted, failpoints: &[Failpoint]) -> anyhow::Result<()> {
    for failpoint in failpoints {
        service.start(&planned(*failpoint, Mishap::Crash)).await?;
        died_at(service, *failpoint).await?;
    }
    let stumbles = [Mishap::Error, Mishap::Delay];
    let actions = stumbles.map(|mishap| format!("1*return({})", mishap.name())).join("->");
    let all: Vec<String> = failpoints.iter().map(|failpoint| format!("{failpoint}={actions}")).collect();
    service.start(&all.join(";")).await?;
    let planned = failpoints.iter().flat_map(|failpoint| stumbles.map(|mishap| (*failpoint, mishap))).collect::<Vec<_>>();
    stumbled_at(service, &planned).await
}

/// `FAILPOINTS` for one mishap, once.
pub fn planned(failpoint: Failpoint, mishap: Mishap) -> String {
    format!("{failpoint}=1*return({})", mishap.name())
}

async fn died_at(service: &impl Restarted, failpoint: Failpoint) -> anyhow::Result<()> {
    let died = eventually(&format!("the death at {failpoint}"), REACHED_WITHIN, || async move {
        if service.has_ended().await { Ok(()) } else { Err("it lives") }
    })
    .await;
    let log = service.log().await?;
    died.with_context(|| {
        let last = log.lines().rev().take(LOGGED).collect::<Vec<_>>();
        format!("it has logged, last first:\n{}", last.join("\n"))
    })?;
    anyhow::ensure!(was_reached(&log, failpoint, Mishap::Crash), "it died, and not at {failpoint}:\n{log}");
    Ok(())
}

async fn stumbled_at(service: &impl Restarted, planned: &[(Failpoint, Mishap)]) -> anyhow::Result<()> {
    eventually("every error and every delay", REACHED_WITHIN, || async move {
        let log = service.log().await?;
        let missing = planned.iter().filter(|(failpoint, mishap)| !was_reached(&log, *failpoint, *mishap));
        let missing: Vec<String> = missing.map(|(failpoint, mishap)| format!("{failpoint}: {}", mishap.name())).collect();
        anyhow::ensure!(missing.is_empty(), "not yet: {missing:?}");
        Ok(())
    })
    .await
}

/// Whether the log has that mishap at that failpoint.
pub fn was_reached(log: &str, failpoint: Failpoint, mishap: Mishap) -> bool {
    let (failpoint, mishap) = (format!(r#""failpoint":"{failpoint}""#), format!(r#""mishap":"{}""#, mishap.name()));
    log.lines().any(|line| line.contains(&failpoint) && line.contains(&mishap))
}
