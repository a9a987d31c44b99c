//! An operator, who speaks to one service's admin port.

use anyhow::{Context as _, ensure};
use reqwest::StatusCode;
use serde_json::Value;

/// Somebody who looks after one service.
#[derive(Clone, Debug)]
pub struct Operator {
    http: reqwest::Client,
    url: String,
}

impl Operator {
    /// At that admin port.
    pub fn at(url: impl Into<String>) -> Self {
        Self { http: reqwest::Client::new(), url: url.into() }
    }

    /// What is there.
    ///
    /// # Errors
    /// When it is not 200.
    pub async fn sees(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}/admin/{path}", self.url)).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status == StatusCode::OK, "GET /admin/{path}: {status} {text}");
        serde_json::from_str(&text).with_context(|| format!("GET /admin/{path}: {text}"))
    }

    /// What comes of doing that.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn does(&self, path: &str, body: Option<Value>) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.http.post(format!("{}/admin/{path}", self.url));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).with_context(|| format!("POST /admin/{path}: {status} {text}"))?;
        Ok((status, body))
    }

    /// The value of a metric that has no labels.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.http.get(format!("{}/metrics", self.url)).send().await?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.with_context(|| format!("no metric {name}"))?.parse().context("a metric's value is a number")
    }
}
