//! Whether everything adds up: the six invariants over the four databases and the partners' own ledgers.
//!
//! This and `record` alone read other services' tables, and they only read.

mod read;

pub(crate) use read::{AT_ONE_MOMENT, database, touched};

use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, Instant},
};

use choreography::{Violation, violations};
use events::OrderId;
use serde::Serialize;
use uuid::Uuid;

use crate::stack::Addresses;

/// How long what is still under way may take to be finished: what a killed replica had in hand comes back within that.
const QUIET_WITHIN: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(500);

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// How many orders there are.
    pub orders: usize,
    /// How many events were said.
    pub events: usize,
    /// Everything that does not add up.
    pub violations: Vec<Violation>,
    /// Orders that do not add up, and to which something happened within the grace period.
    pub young: BTreeSet<OrderId>,
    /// Dead letters that an operator has decided about.
    pub settled: Vec<Settled>,
}

/// A delivery that its reader will not take, because an operator said so.
#[derive(Clone, Debug, Serialize)]
pub struct Settled {
    /// Whose reader.
    pub service: &'static str,
    /// Its event, or the id it was given when it had none.
    pub id: Uuid,
    /// The order that it is about.
    pub order: Option<Uuid>,
    /// `discarded` or `set_aside`.
    pub decision: String,
    /// What the operator wrote down.
    pub note: Option<String>,
}

impl Report {
    /// Passes when all adds up.
    ///
    /// # Errors
    /// When it does not: the whole report.
    pub fn must_be_clean(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.violations.is_empty(), "the audit found:\n{self}");
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "{}", in_words(violation))?;
        }
        write!(f, "{} orders, {} events, {} violations", self.orders, self.events, self.violations.len())?;
        if self.young.is_empty() { Ok(()) } else { write!(f, "; {} orders still under way are left out", self.young.len()) }
    }
}

/// The invariant, the order, and what was seen.
pub(crate) fn in_words(Violation { invariant, order, what }: &Violation) -> String {
    let order = order.map_or_else(|| "-".to_owned(), |order| order.to_string());
    format!("{:<52} {order:<36} {what}", invariant.means())
}

/// Waits until nothing is under way any more, at most a minute and a half, then says what does not add up.
///
/// # Errors
/// When a database or a ledger cannot be read.
pub async fn at_rest(addresses: &Addresses) -> anyhow::Result<Report> {
    let started = Instant::now();
    loop {
        let report = look(addresses, Duration::ZERO).await?;
        if report.violations.is_empty() || started.elapsed() > QUIET_WITHIN {
            return Ok(report);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Of a stack under load: leaves out each order to which something has happened within `grace`, and everything else that is as
/// young. Those that were young at first are looked at until they add up, or are young no longer.
///
/// # Errors
/// When a database or a ledger cannot be read.
pub async fn under_load(addresses: &Addresses, grace: Duration) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut report = look(addresses, grace).await?;
    let mut awaited = report.young.clone();
    while report.violations.is_empty() && !awaited.is_empty() && started.elapsed() < grace {
        tokio::time::sleep(PAUSE).await;
        report = look(addresses, grace).await?;
        awaited.retain(|order| report.young.contains(order));
    }
    Ok(report)
}

/// What does not add up just now, without what is younger than `grace`.
async fn look(addresses: &Addresses, grace: Duration) -> anyhow::Result<Report> {
    let started = Instant::now();
    let (snapshot, settled) = read::everything(addresses, grace).await?;
    let (orders, events) = (snapshot.orders.len(), snapshot.published.len());
    let mut report = Report { orders, events, violations: violations(&snapshot), young: BTreeSet::new(), settled };
    if report.violations.is_empty() || grace.is_zero() {
        return Ok(report);
    }
    // The databases were read one after the other: what moved meanwhile may look as if it did not add up.
    let touched = touched(addresses, grace + started.elapsed()).await?;
    let (young, violations): (Vec<_>, Vec<_>) =
        report.violations.into_iter().partition(|found| found.order.is_some_and(|order| touched.contains(&order)));
    report.violations = violations;
    report.young = young.into_iter().filter_map(|found| found.order).collect();
    Ok(report)
}
