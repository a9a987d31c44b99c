//! What nobody could take, over all four services, through their admin ports: listed, looked at, tried out, replayed,
//! discarded or set aside. Whoever owns a dead letter decides; this only asks.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{Service, Talk, stack::Addresses};

/// What is done about dead letters.
#[derive(Subcommand, Clone, Debug)]
#[allow(missing_docs, reason = "a doc line on a flattened field would stand for the verb's in `--help`")]
pub enum Desk {
    /// Lists them, the oldest first.
    List {
        #[command(flatten)]
        which: Which,
        /// Those that stand so.
        #[arg(long, value_enum, default_value = "dead")]
        state: State,
    },
    /// Shows them whole, with their original headers and bytes.
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Asks what the service's real reaction would do with them now; nothing changes.
    DryRun {
        #[command(flatten)]
        which: Which,
    },
    /// Sends them through the door again. However often that is done, each takes effect once.
    Replay {
        #[command(flatten)]
        which: Which,
        /// At most so many in a second.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: u32,
        /// Stops once so many still cannot be taken.
        #[arg(long, default_value_t = 5)]
        stop_after: usize,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Gives them up: they never take effect.
    Discard {
        #[command(flatten)]
        which: Which,
        /// Why.
        #[arg(long)]
        note: Option<String>,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Sets them aside: nobody need look at them now.
    Park {
        #[command(flatten)]
        which: Which,
        /// Who does, and until when.
        #[arg(long)]
        note: String,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Which dead letters are meant: those named, or all that fit.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// Their ids. The same event may be dead in several services: then each is meant.
    ids: Vec<Uuid>,
    /// All of them, as far as the other conditions hold.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Of that type, such as payment.authorized.v1.
    #[arg(long = "type")]
    ty: Option<String>,
    /// Buried since then: a moment (RFC 3339), or how long ago, such as 2h.
    #[arg(long, value_parser = since)]
    since: Option<OffsetDateTime>,
    /// Of that service alone: order, inventory, payment or shipping.
    #[arg(long, value_parser = service)]
    service: Option<Service>,
}

impl Which {
    /// Every one that waits.
    pub const fn all() -> Self {
        Self { ids: Vec::new(), all: true, ty: None, since: None, service: None }
    }
}

/// How a dead letter stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has done anything about it.
    Dead,
    /// It took effect after all.
    Replayed,
    /// It never will.
    Discarded,
    /// It waits, with a note.
    SetAside,
}

/// One dead letter, or what came of asking for something to be done about it.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Whose.
    pub service: &'static str,
    /// Which.
    pub id: Uuid,
    /// In one line.
    pub says: String,
    /// It was done, or would be.
    pub well: bool,
    /// What the service answered.
    pub answer: Value,
}

fn since(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(moment);
    }
    let ago = humantime::parse_duration(text).map_err(|_| "a moment (RFC 3339) or how long ago, such as 2h".to_owned())?;
    Ok(OffsetDateTime::now_utc() - ago)
}

fn service(name: &str) -> Result<Service, String> {
    let found = Service::ALL.into_iter().find(|service| service.name() == name);
    found.ok_or_else(|| "order, inventory, payment or shipping".to_owned())
}

/// Asks the services of that stack.
///
/// # Errors
/// When a service does not answer, or something that changes dead letters was neither confirmed nor told `--yes`.
pub async fn ask(desk: &Desk, addresses: &Addresses, talk: &Talk) -> anyhow::Result<Vec<Told>> {
    let ports = Ports { http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?, addresses };
    let free = Pace { between: Duration::ZERO, failures_max: usize::MAX };
    match desk {
        Desk::List { which, state } => ports.list(which, *state).await,
        Desk::Show { which } => ports.each(ports.meant(which).await?, Method::GET, "", None, &free).await,
        Desk::DryRun { which } => ports.each(ports.meant(which).await?, Method::POST, "/dry-run", None, &free).await,
        Desk::Replay { which, rate, stop_after, yes } => {
            let pace = Pace { between: Duration::from_secs(1) / *rate, failures_max: *stop_after };
            let meant = sure("replay", which, ports.meant(which).await?, *yes, talk)?;
            ports.each(meant, Method::POST, "/replay", None, &pace).await
        }
        Desk::Discard { which, note, yes } => {
            let meant = sure("discard", which, ports.meant(which).await?, *yes, talk)?;
            ports.each(meant, Method::POST, "/discard", Some(json!({ "note": note })), &free).await
        }
        Desk::Park { which, note, yes } => {
            let meant = sure("park", which, ports.meant(which).await?, *yes, talk)?;
            ports.each(meant, Method::POST, "/park", Some(json!({ "note": note })), &free).await
        }
    }
}

/// How fast, and how much may go wrong.
struct Pace {
    between: Duration,
    failures_max: usize,
}

/// The admin ports of a stack.
struct Ports<'a> {
    http: reqwest::Client,
    addresses: &'a Addresses,
}

impl Ports<'_> {
    async fn list(&self, which: &Which, state: State) -> anyhow::Result<Vec<Told>> {
        let mut all = Vec::new();
        for service in Service::ALL.into_iter().filter(|service| which.service.is_none_or(|only| only == *service)) {
            let mut cursor = None;
            loop {
                let page = self.page(service, which, state, cursor.as_deref()).await?;
                for item in page["items"].as_array().into_iter().flatten() {
                    let id: Uuid = item["id"].as_str().unwrap_or_default().parse().context("a dead letter without an id")?;
                    if which.ids.is_empty() || which.ids.contains(&id) {
                        let word = |name: &str| item[name].as_str().unwrap_or("-").to_owned();
                        let says = format!("{}: {} ({})", word("type"), word("reason"), word("code"));
                        all.push(Told { service: service.name(), id, says, well: true, answer: item.clone() });
                    }
                }
                cursor = page["next"].as_str().map(str::to_owned);
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(all)
    }

    async fn page(&self, service: Service, which: &Which, state: State, cursor: Option<&str>) -> anyhow::Result<Value> {
        let state = json!(state).as_str().unwrap_or_default().to_owned();
        let since = which.since.map(|moment| moment.format(&Rfc3339)).transpose()?;
        let conditions = [
            ("state", Some(state.as_str())),
            ("type", which.ty.as_deref()),
            ("since", since.as_deref()),
            ("cursor", cursor),
            ("limit", Some("200")),
        ];
        let query: Vec<_> = conditions.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let url = format!("{}/admin/dead-letters", self.addresses.admin_url(service));
        let answer = self.http.get(url).query(&query).send().await;
        let answer = answer.with_context(|| format!("{} does not answer", service.name()))?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        if status != StatusCode::OK {
            bail!("{}: {}", service.name(), said_by(&body));
        }
        Ok(body)
    }

    /// Asks for each that is meant, one after the other.
    async fn each(
        &self,
        meant: Vec<Told>,
        method: Method,
        what: &str,
        body: Option<Value>,
        pace: &Pace,
    ) -> anyhow::Result<Vec<Told>> {
        let (mut told, mut failures) = (Vec::new(), 0);
        for one in meant {
            let service = Service::ALL.into_iter().find(|service| service.name() == one.service).context("a service")?;
            let url = format!("{}/admin/dead-letters/{}{what}", self.addresses.admin_url(service), one.id);
            let request = self.http.request(method.clone(), url);
            let request = match &body {
                Some(body) => request.json(body),
                None => request,
            };
            let answer = request.send().await.with_context(|| format!("{} does not answer", service.name()))?;
            let well = answer.status().is_success();
            let answer: Value = answer.json().await?;
            let says = if what.is_empty() { one.says } else { said_by(&answer) };
            told.push(Told { service: one.service, id: one.id, says, well, answer });
            failures += usize::from(!well);
            if failures >= pace.failures_max {
                bail!(
                    "stopped: {failures} still cannot be taken; the last says: {}",
                    told.pop().map_or(String::new(), |last| last.says)
                );
            }
            tokio::time::sleep(pace.between).await;
        }
        Ok(told)
    }

    async fn meant(&self, which: &Which) -> anyhow::Result<Vec<Told>> {
        if which.ids.is_empty() && !which.all && which.ty.is_none() && which.since.is_none() {
            bail!("which ones? Give their ids, or --all, --type or --since: `ensemble dead-letters list` shows them");
        }
        let found = self.list(which, State::Dead).await?;
        if let Some(missing) = which.ids.iter().find(|id| !found.iter().any(|one| one.id == **id)) {
            bail!("there is no dead letter {missing} that still waits: `ensemble dead-letters list` shows them");
        }
        Ok(found)
    }
}

/// What changes many things asks first; where nobody can answer it must have been told.
fn sure(verb: &str, which: &Which, meant: Vec<Told>, yes: bool, talk: &Talk) -> anyhow::Result<Vec<Told>> {
    if !yes && which.ids.len() != 1 {
        talk.asks(&format!("{verb} {} dead letters", meant.len()), "--yes")?;
    }
    Ok(meant)
}

/// An answer in one line: what a dry run foretells, an outcome, or a problem's detail.
fn said_by(answer: &Value) -> String {
    let words = ["says", "detail", "title", "outcome"];
    words.iter().find_map(|word| answer[word].as_str()).map_or_else(|| answer.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_moment_or_how_long_ago() {
        assert_eq!(since("2026-01-01T00:00:00Z").map(|moment| moment.unix_timestamp()), Ok(1_767_225_600));
        let ago = OffsetDateTime::now_utc() - since("2h").unwrap();
        assert!((ago - time::Duration::hours(2)).abs() < time::Duration::seconds(5), "{ago}");
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn an_answer_is_told_in_one_line() {
        assert_eq!(said_by(&json!({"outcome": "bury", "says": "would do nothing"})), "would do nothing");
        assert_eq!(said_by(&json!({"title": "It still cannot be taken", "detail": "poison: no"})), "poison: no");
        assert_eq!(said_by(&json!({"outcome": "taken"})), "taken");
    }
}
