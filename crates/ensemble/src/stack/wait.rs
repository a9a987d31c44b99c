//! Waiting for a condition, with a bound and a word on what was last seen.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sqlx::{Connection, PgConnection};

use crate::part::{Part, Service};
use crate::stack::addresses::Addresses;

const PAUSE: Duration = Duration::from_millis(25);
/// What has been waited for for long is asked for less often, up to so seldom: hundreds who go on asking a service that is not
/// well keep it from getting well.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Of what has been waited so far; so much later than it could, at most, a wait ends.
const PAUSE_SHARE: u32 = 8;

/// Tries until it succeeds or the deadline has passed; the error is what the last try saw.
pub(crate) async fn until<T, F>(deadline: Instant, attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, String>>,
{
    until_paced(deadline, PAUSE, attempt).await
}

async fn until_paced<T, F>(deadline: Instant, pause: Duration, mut attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, String>>,
{
    let since = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() >= deadline => bail!(seen),
            Err(_) => tokio::time::sleep((since.elapsed() / PAUSE_SHARE).clamp(pause, pause.max(PAUSE_MAX))).await,
        }
    }
}

/// Asks until the answer is `Ok`; gives up after `patience` with the last `Err`.
///
/// # Errors
/// When the condition did not come true in time: what was awaited, and what was seen last.
pub async fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    patience: Duration,
    ask: impl FnMut() -> F,
) -> anyhow::Result<T> {
    eventually_paced(what, patience, PAUSE, ask).await
}

/// As [`eventually`], with a longer pause between two questions: for hundreds who ask a service that is not well.
///
/// # Errors
/// As [`eventually`].
pub async fn eventually_paced<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    patience: Duration,
    pause: Duration,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T> {
    until_paced(Instant::now() + patience, pause, || {
        let answer = ask();
        async move { answer.await.map_err(|seen| format!("{seen:?}")) }
    })
    .await
    .with_context(|| format!("waited {patience:?} for {what}; last seen"))
}

/// Whether a part does its work now.
///
/// # Errors
/// What it answered instead, in a few words.
pub(crate) async fn probe(part: Part, addresses: &Addresses) -> anyhow::Result<()> {
    if part == Part::Postgres {
        return databases(addresses).await;
    }
    for url in addresses.ready_urls(part) {
        let answer = client().get(&url).send().await.map_err(|error| anyhow::anyhow!("{url}: {}", innermost(&error)))?;
        if !answer.status().is_success() {
            let status = answer.status();
            let body = answer.text().await.unwrap_or_default();
            bail!("{url} answers {status} {}", body.trim());
        }
    }
    Ok(())
}

/// Until order knows of every product, where it and inventory are both among the parts: what inventory brings along is announced
/// as everything is, and arrives a moment after both are ready.
///
/// # Errors
/// When it knows of fewer by then, or a database does not answer.
pub(crate) async fn until_stocked(deadline: Instant, parts: &[Part], addresses: &Addresses) -> anyhow::Result<()> {
    if ![Service::Order, Service::Inventory].iter().all(|service| parts.contains(&Part::Service(*service))) {
        return Ok(());
    }
    until(deadline, || async { knows_products(addresses).await.map_err(|seen| format!("{seen:#}")) }).await
}

async fn knows_products(addresses: &Addresses) -> anyhow::Result<()> {
    let there = rows("select count(*) from stock", Service::Inventory, addresses).await?;
    let known = rows("select count(*) from catalog", Service::Order, addresses).await?;
    if known >= there { Ok(()) } else { bail!("order knows of {known} products, and inventory has {there}") }
}

async fn rows(count: &'static str, of: Service, addresses: &Addresses) -> anyhow::Result<i64> {
    let connected = PgConnection::connect(&addresses.database_url(of)).await;
    let mut connection = connected.with_context(|| format!("the database of {of}"))?;
    let rows = sqlx::query_scalar(count).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(rows)
}

/// The server answers before its databases are made, so what is asked is a service's own database. The last one
/// that the script makes.
async fn databases(addresses: &Addresses) -> anyhow::Result<()> {
    let url = addresses.database_url(Service::Shipping);
    let connect = PgConnection::connect(&url);
    let mut connection = tokio::time::timeout(Duration::from_secs(2), connect)
        .await
        .context("PostgreSQL takes the connection and says nothing")?
        .map_err(|error| match error.as_database_error().and_then(|error| error.code()).as_deref() {
            // invalid_password (PostgreSQL, appendix A).
            Some("28P01") => anyhow::anyhow!(
                "PostgreSQL refuses the password: its data is of another making. `ensemble down --volumes` drops it"
            ),
            _ => anyhow::anyhow!("PostgreSQL: {error}"),
        })?;
    sqlx::query("select 1").execute(&mut connection).await.context("PostgreSQL: select 1")?;
    Ok(connection.close().await?)
}

/// One for the program: it keeps connections and the certificates it trusts.
pub(crate) fn client() -> &'static reqwest::Client {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(1))
            .timeout(Duration::from_secs(5))
            .build()
            .expect("no option above can be refused")
    })
}

/// "connection refused" is the last in a chain that begins with "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_first_success() {
        let mut tries = 0;
        let found = until(Instant::now() + Duration::from_secs(60), || {
            tries += 1;
            let now = tries;
            async move { if now == 3 { Ok(now) } else { Err("not yet".to_owned()) } }
        })
        .await;
        assert_eq!(found.expect("the third try"), 3);
    }

    #[tokio::test]
    async fn it_says_what_it_saw_last() {
        let error = until::<(), _>(Instant::now(), || async { Err("the server sleeps".to_owned()) }).await;
        assert_eq!(error.expect_err("never").to_string(), "the server sleeps");
    }
}
