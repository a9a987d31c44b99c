//! A partner, told to misbehave, and its own ledger.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// The card gateway or the carrier.
#[derive(Clone, Debug)]
pub struct Partner {
    http: reqwest::Client,
    url: String,
}

impl Partner {
    /// At that address.
    pub fn at(url: impl Into<String>) -> Self {
        Self { http: reqwest::Client::new(), url: url.into() }
    }

    /// From now on, within `scope`, `kind` happens; `times` at most.
    ///
    /// # Errors
    /// When the partner does not take the rule.
    pub async fn shall(&self, kind: Value, scope: Value, times: Option<u32>) -> anyhow::Result<()> {
        let rule = json!({"kind": kind, "scope": scope, "times": times});
        let answer = self.http.post(format!("{}/faults", self.url)).json(&rule).send().await?;
        let status = answer.status();
        ensure!(status == 201, "the partner did not take the fault: {status} {}", answer.text().await?);
        Ok(())
    }

    /// No rule is left.
    ///
    /// # Errors
    /// When the partner does not say so.
    pub async fn behaves(&self) -> anyhow::Result<()> {
        self.http.delete(format!("{}/faults", self.url)).send().await?.error_for_status()?;
        Ok(())
    }

    /// What its ledger holds of an order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn ledger_of(&self, order: &str) -> anyhow::Result<Vec<Value>> {
        let answer: Value = self.http.get(format!("{}/ledger/{order}", self.url)).send().await?.json().await?;
        Ok(answer["items"].as_array().context("a ledger has items")?.clone())
    }
}
