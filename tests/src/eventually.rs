//! Waiting for a condition, with a bound, and with what was last seen when it does not come.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Asks until the answer is `Ok`; gives up after `patience` with the last `Err`.
///
/// # Errors
/// When the condition did not come true in time: what was awaited, and what was seen last.
pub async fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(seen) if started.elapsed() > patience => anyhow::bail!("waited {patience:?} for {what}; last seen: {seen:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}
