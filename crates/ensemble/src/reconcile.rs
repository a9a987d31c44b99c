//! Puts right a service whose database is older than what the service has said: from its own stream, and from the others'
//! outboxes. Whoever owns the database does it, over its admin port; this knows the order of the steps.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

mod plan;

use plan::{Letter, Steps, plan};

use crate::{
    Service, Talk,
    stack::{Addresses, wait},
};

/// How many events are handed over at once.
const PAGE: usize = 200;
const PAUSE: Duration = Duration::from_millis(200);

/// Which services, and how.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// One of order, inventory, payment, shipping [default: each that has stopped].
    #[arg(value_parser = service)]
    pub service: Option<Service>,
    /// Says what was lost and what can be taken again; nothing changes.
    #[arg(long)]
    pub dry_run: bool,
    /// Does not ask.
    #[arg(long)]
    pub yes: bool,
    /// How long the readers and the partners may take, such as 2m; then it goes on without the rest.
    #[arg(long, default_value = "2m", value_parser = humantime::parse_duration)]
    pub patience: Duration,
}

/// What came of one lost event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// What had led to it is known, and would be taken again.
    ToRetake,
    /// A partner's answer had led to it, which would be asked for again; or a deadline, which would not pass again.
    ToAsk,
    /// It was said again, the same: what had led to it has taken effect again.
    SaidAgain,
    /// Something else was said under its id.
    SaidOtherwise,
    /// Nothing has said it again: it is in the outbox as the stream has it, and the state may not know of it.
    PutBack,
}

/// One event that the service had said, and its database does not know.
#[derive(Clone, Debug, Serialize)]
pub struct Lost {
    /// Whose.
    pub service: &'static str,
    /// Which.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// The order that it is about; none: a product.
    pub order: Option<String>,
    /// When it was said.
    #[serde(with = "time::serde::rfc3339")]
    pub said_at: OffsetDateTime,
    /// What came of it.
    pub fate: Fate,
    /// Why what had led to it could not be taken again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// With its headers, as the stream has it.
    #[serde(skip)]
    carried: Value,
    #[serde(skip)]
    causation: Option<String>,
    #[serde(skip)]
    recalled: bool,
}

impl Lost {
    /// The order must be looked at: what was said about it is not what the database says now.
    pub fn is_not_repaired(&self) -> bool {
        matches!(self.fate, Fate::SaidOtherwise | Fate::PutBack)
    }
}

/// What was found and done at one service.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which.
    pub service: &'static str,
    /// What it had stopped for; none when it has lost nothing.
    pub why: Option<String>,
    /// All that its database did not know.
    pub lost: Vec<Lost>,
    /// It takes everything again.
    pub open: bool,
}

impl Report {
    /// It is as if nothing had been lost.
    pub fn is_well(&self) -> bool {
        self.open && !self.lost.iter().any(Lost::is_not_repaired)
    }

    /// The orders that must be looked at, each with what was said about it.
    pub fn named(&self) -> BTreeMap<&str, Vec<&Lost>> {
        let mut named: BTreeMap<&str, Vec<&Lost>> = BTreeMap::new();
        for lost in self.lost.iter().filter(|lost| lost.is_not_repaired()) {
            named.entry(lost.order.as_deref().unwrap_or("-")).or_default().push(lost);
        }
        named
    }
}

fn service(name: &str) -> Result<Service, String> {
    let found = Service::ALL.into_iter().find(|service| service.name() == name);
    found.ok_or_else(|| "order, inventory, payment or shipping".to_owned())
}

/// Reconciles the services of that stack that have stopped, or the one that is named.
///
/// # Errors
/// When a service does not answer or refuses a step; what was done until then stays done, and the same again goes on from there.
pub async fn run(settings: &Settings, addresses: &Addresses, talk: &Talk) -> anyhow::Result<Vec<Report>> {
    let ports = Ports { http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(600)).build()?, addresses };
    let mut standings = Vec::new();
    for service in Service::ALL {
        let shown = ports.ask(service, Method::GET, "restored", None).await?;
        let why = shown["why"].as_str().map(str::to_owned);
        let lost = if why.is_some() { ports.lost(service).await? } else { Vec::new() };
        // One in doubt finds out by itself.
        standings.push((service, Report { service: service.name(), why, lost, open: shown["standing"] == "open" }));
    }
    let mut reports = Vec::new();
    for (service, mut report) in standings.clone() {
        if settings.service.is_some_and(|only| only != service) {
            continue;
        }
        if report.why.is_some() {
            let mut letters = ports.letters(service, &report.lost).await?;
            // What others have lost as well is in their streams.
            let theirs = standings.iter().filter(|(other, _)| *other != service).flat_map(|(_, theirs)| &theirs.lost);
            letters.extend(theirs.map(|lost| (lost.id.clone(), Letter::of(lost))));
            for one in &mut report.lost {
                let known = one.recalled || one.causation.as_ref().is_some_and(|id| letters.contains_key(id));
                one.fate = if known { Fate::ToRetake } else { Fate::ToAsk };
            }
            if !settings.dry_run {
                if !settings.yes {
                    let deed = format!("put right {service}, which has lost {} events", report.lost.len());
                    talk.asks(&deed, "--yes, or --dry-run to see them")?;
                }
                report.open = ports.repair(service, &mut report.lost, &letters, settings.patience, talk).await?;
            }
        }
        reports.push(report);
    }
    Ok(reports)
}

/// What that service has stopped for, if it has and says so.
pub(crate) async fn why(service: Service, addresses: &Addresses) -> Option<String> {
    let url = format!("{}/admin/restored", addresses.admin_url(service));
    let answer = wait::client().get(url).send().await.ok()?.error_for_status().ok()?;
    answer.json::<Value>().await.ok()?["why"].as_str().map(str::to_owned)
}

fn moment(text: Option<&str>) -> anyhow::Result<OffsetDateTime> {
    let text = text.context("an event has its moment")?;
    OffsetDateTime::parse(text, &Rfc3339).with_context(|| format!("`{text}` is no moment"))
}

/// The admin ports of a stack.
struct Ports<'a> {
    http: reqwest::Client,
    addresses: &'a Addresses,
}

impl Ports<'_> {
    async fn ask(&self, service: Service, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let request = self.http.request(method, format!("{}/admin/{path}", self.addresses.admin_url(service)));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.with_context(|| format!("{service} does not answer"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if status != StatusCode::OK {
            bail!("{service}: /admin/{path}: {status} {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{service}: /admin/{path} answers {text}"))
    }

    /// What the service's stream holds and its outbox does not know, oldest first.
    async fn lost(&self, service: Service) -> anyhow::Result<Vec<Lost>> {
        let (mut lost, mut after) = (Vec::<Lost>::new(), 0);
        loop {
            let page = self.ask(service, Method::GET, &format!("restored/lost?after={after}"), None).await?;
            for item in page["items"].as_array().into_iter().flatten() {
                let word = |name: &str| item[name].as_str().map(str::to_owned);
                let id = word("id").context("a lost event has an id")?;
                // Once more, under another generation.
                if lost.iter().any(|other| other.id == id) {
                    continue;
                }
                lost.push(Lost {
                    service: service.name(),
                    id,
                    ty: word("type").unwrap_or_default(),
                    order: word("saga"),
                    said_at: moment(word("said_at").as_deref())?,
                    fate: Fate::ToAsk,
                    why: None,
                    carried: json!({"headers": item["headers"], "body": item["body"]}),
                    causation: word("causation"),
                    recalled: item["recalled"] == true,
                });
            }
            match page["next"].as_u64() {
                Some(next) => after = next,
                None => return Ok(lost),
            }
        }
    }

    /// What the others have said about the orders of those, by id.
    async fn letters(&self, service: Service, lost: &[Lost]) -> anyhow::Result<HashMap<String, Letter>> {
        let orders: BTreeSet<&String> = lost.iter().filter_map(|lost| lost.order.as_ref()).collect();
        let orders: Vec<&String> = orders.into_iter().collect();
        let mut letters = HashMap::new();
        for other in Service::ALL.into_iter().filter(|other| *other != service) {
            for sagas in orders.chunks(PAGE) {
                let found = self.ask(other, Method::POST, "outbox/letters", Some(json!({ "sagas": sagas }))).await?;
                for event in found["items"].as_array().into_iter().flatten() {
                    let header = |name: &str| {
                        let pairs = event["headers"].as_array().into_iter().flatten();
                        pairs.filter(|pair| pair[0] == name).find_map(|pair| pair[1].as_str())
                    };
                    let Some(id) = header("ce-id") else { continue };
                    let (said_at, order) = (moment(header("ce-time"))?, header("ce-correlationid").map(str::to_owned));
                    letters.insert(id.to_owned(), Letter { said_at, order, carried: event.clone() });
                }
            }
        }
        Ok(letters)
    }

    /// All steps. Whether everything is taken again at the end.
    async fn repair(
        &self,
        service: Service,
        lost: &mut [Lost],
        letters: &HashMap<String, Letter>,
        patience: Duration,
        talk: &Talk,
    ) -> anyhow::Result<bool> {
        let until = Instant::now() + patience;
        let step = talk.step(service.name());
        step.now("what it had heard is taken again");
        self.ask(service, Method::POST, "restored/begin", None).await?;
        let refused = self.retake(service, plan(lost, letters), until).await?;
        step.now("its readers follow");
        self.ask(service, Method::POST, "restored/follow", None).await?;
        self.until_followed(service, until).await?;
        step.now("the rest is put back");
        self.put_back(service, lost).await?;
        for one in lost.iter_mut() {
            let asked = if one.recalled { Some(&one.id) } else { one.causation.as_ref() };
            one.why = asked.and_then(|id| refused.get(id)).cloned();
        }
        let opened = self.ask(service, Method::POST, "restored/open", None).await?;
        let again = lost.iter().filter(|lost| lost.fate == Fate::SaidAgain).count();
        step.done(&format!("{} events were lost, {again} are said again", lost.len()));
        Ok(opened["standing"] == "open")
    }

    /// Hands in what may be taken, waits for what partners answer, and goes on. What was not taken, with the reason.
    async fn retake(&self, service: Service, mut steps: Steps, until: Instant) -> anyhow::Result<HashMap<String, String>> {
        let mut refused = HashMap::new();
        loop {
            for page in steps.take_free().chunks(PAGE) {
                let events: Vec<&Value> = page.iter().map(|event| &event.carried).collect();
                let told = self.ask(service, Method::POST, "restored/retake", Some(json!({ "events": events }))).await?;
                for one in told["items"].as_array().into_iter().flatten() {
                    if let (Some(id), Some(says)) = (one["id"].as_str(), one["says"].as_str()) {
                        refused.insert(id.to_owned(), says.to_owned());
                    }
                }
            }
            let awaited = steps.awaited();
            if awaited.is_empty() {
                return Ok(refused);
            }
            // In this order: with the last answer comes what it leads to.
            let shown = self.ask(service, Method::GET, "restored", None).await?;
            let mut lost = BTreeSet::new();
            for ids in awaited.chunks(PAGE) {
                let still = self.ask(service, Method::POST, "restored/still-lost", Some(json!({ "ids": ids }))).await?;
                lost.extend(still["ids"].as_array().into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)));
            }
            if shown["under_way"]["unanswered"] == 0 || Instant::now() >= until {
                // Nobody will answer any more.
                lost.clear();
            }
            if !steps.go_on(&lost) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Until nothing is left to be heard, and no partner is owed an answer; or until that takes too long.
    async fn until_followed(&self, service: Service, until: Instant) -> anyhow::Result<()> {
        loop {
            let shown = self.ask(service, Method::GET, "restored", None).await?;
            let left = |name: &str| shown["under_way"][name].as_u64().unwrap_or_default();
            if left("unheard") + left("unanswered") + left("parked") == 0 || Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn put_back(&self, service: Service, lost: &mut [Lost]) -> anyhow::Result<()> {
        for page in lost.chunks_mut(PAGE) {
            let events: Vec<&Value> = page.iter().map(|one| &one.carried).collect();
            let told = self.ask(service, Method::POST, "restored/put-back", Some(json!({ "events": events }))).await?;
            let told: HashMap<&str, &str> = told["items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| Some((one["id"].as_str()?, one["outcome"].as_str()?)))
                .collect();
            for one in page {
                one.fate = match told.get(one.id.as_str()) {
                    Some(&"said_again") => Fate::SaidAgain,
                    Some(&"said_otherwise") => Fate::SaidOtherwise,
                    Some(_) | None => Fate::PutBack,
                };
            }
        }
        Ok(())
    }
}
