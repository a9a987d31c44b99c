//! How results look on stdout: for people, or as JSON.

use std::fmt::Write;

use choreography::Invariant;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::json;

use crate::audit::Report;
use crate::bench::Figures;
use crate::chaos;
use crate::dead_letters::{Desk, Told};
use crate::demo::Played;
use crate::doctor::{Finding, Verdict};
use crate::part::Service;
use crate::reconcile::{self, Fate};
use crate::stack::attention::Needing;
use crate::stack::standing::Fare;
use crate::stack::{Addresses, Housing};
use crate::{
    defences,
    mutants::{Finder, Outcome},
};

/// The four lines of a stack that is up: the API, an order to paste, the demo, how to stop.
pub fn welcome(addresses: &Addresses) -> String {
    let api = addresses.url(Service::Order);
    let order = r#"{"customer_id":"c-1001","currency":"EUR","lines":[{"sku":"TEA-001","quantity":2}],"payment_method":"pm_card_visa","ship_to":{"name":"Ada","street":"1 Main St","city":"Berlin","postal_code":"10115","country":"DE"}}"#;
    let curl = format!(
        "curl -sS {api}/v1/orders -H 'Content-Type: application/json' -H \"Idempotency-Key: \\\"try-$(date +%s)\\\"\" -H 'Prefer: wait=10' -d '{order}'"
    );
    let lines = [
        ("API", format!("{api}/v1/orders, described at {api}/docs")),
        ("Order", curl),
        ("Demo", "just demo".to_owned()),
        ("Stop", "just down".to_owned()),
    ];
    lines.map(|(name, value)| format!("{:<6} {value}", name.bold())).join("\n")
}

/// How each part fares.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn status(fares: &[Fare], housing: Housing, json: bool) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Status<'a> {
        housing: Housing,
        parts: &'a [Fare],
    }
    if json {
        return Ok(serde_json::to_string_pretty(&Status { housing, parts: fares })?);
    }
    let rows = fares.iter().map(|fare| {
        let (word, color) = if fare.ready { ("ready", Color::Green) } else { ("not ready", Color::Red) };
        let seen = fare.seen.as_deref().unwrap_or_default();
        [Cell::new(&fare.part), Cell::new(word).fg(color), Cell::new(&fare.address), Cell::new(seen)]
    });
    let needing =
        fares.iter().flat_map(|fare| fare.attention.iter().map(move |needing| (fare, needing))).flat_map(|(fare, needing)| {
            let beyond = needing.count.saturating_sub(needing.first.len());
            let one = |needing: &Needing| {
                let failed =
                    needing.seen.as_ref().map(|seen| format!("; failed {} times: {seen}", needing.tries)).unwrap_or_default();
                let what = needing.ty.as_deref().unwrap_or_default();
                let waits = format!("{} {what} since {}{failed}", needing.what, needing.since);
                [Cell::new(&fare.part), Cell::new(&needing.why).fg(Color::Yellow), Cell::new(&needing.saga), Cell::new(waits)]
            };
            let more = (beyond > 0)
                .then(|| [Cell::new(&fare.part), Cell::new(""), Cell::new(""), Cell::new(format!("and {beyond} more"))]);
            needing.first.iter().map(one).chain(more).collect::<Vec<_>>()
        });
    let needing: Vec<_> = needing.collect();
    let parts = table(rows);
    if needing.is_empty() {
        Ok(parts)
    } else {
        Ok(format!("{parts}\n\nOrders that need attention:\n{}", table(needing.into_iter())))
    }
}

/// What the doctor found.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn findings(findings: &[Finding], json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string_pretty(findings)?);
    }
    let rows = findings.iter().map(|finding| {
        let (word, color) = match finding.verdict {
            Verdict::Good => ("good", Color::Green),
            Verdict::Optional => ("optional", Color::Grey),
            Verdict::Comes => ("comes", Color::Yellow),
            Verdict::Bad => ("missing", Color::Red),
        };
        let fix = finding.fix.as_deref().unwrap_or_default();
        [Cell::new(word).fg(color), Cell::new(finding.what), Cell::new(&finding.seen), Cell::new(fix)]
    });
    Ok(table(rows))
}

/// What became of one mistake.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn spoiled(outcome: &Outcome, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string(outcome)?);
    }
    let by = outcome.by.map_or_else(|| format!("{:<12}", "not found").red().to_string(), |by| format!("{:<12}", finder(by)));
    let steps = if outcome.steps > 0 { format!(" ({} steps)", outcome.steps) } else { String::new() };
    let told = if outcome.by.is_some() { format!("{}{steps}", outcome.told) } else { outcome.says.clone() };
    Ok(format!("{:<46} {by} {:>5.1} s  {told}", outcome.mutant, outcome.seconds))
}

/// Who failed without a defence.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn disarmed(outcome: &defences::Outcome, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string(outcome)?);
    }
    let failed = match &*outcome.failed {
        [] => "not missed by its test".red().to_string(),
        failed => failed.join(", "),
    };
    Ok(format!("{:<34} {:>5.1} s  {failed}", outcome.defence, outcome.seconds))
}

/// How many mistakes were found, and by whom.
pub fn found(outcomes: &[Outcome]) -> String {
    let count = |is: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    let found = count(&|outcome| outcome.by.is_some());
    let mut text = format!("\n{found} of {} found ({:.1} %)", outcomes.len(), found as f64 * 100.0 / outcomes.len() as f64);
    for by in Finder::ALL {
        let _ = write!(text, "\n{:>5} by {}", count(&|outcome| outcome.by == Some(by)), finder(by));
    }
    let _ = write!(text, "\nnot counted: {} change a committed table", count(&|outcome| outcome.table));
    text
}

const fn finder(by: Finder) -> &'static str {
    match by {
        Finder::Compiler => "compiler",
        Finder::Assertion => "assertion",
        Finder::Declarations => "declarations",
        Finder::Model => "model",
        Finder::Simulator => "simulator",
    }
}

/// Aligned columns without a frame: as good to `grep` as to read.
fn table(rows: impl Iterator<Item = [Cell; 4]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.add_rows(rows);
    table.trim_fmt()
}

/// One order of the demo: its timeline and its sentence.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn played(played: &Played, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string(played)?);
    }
    let order = &played.order;
    let mut text = format!("{}  {} {}\n", played.title.bold(), order.status, order.reason.as_deref().unwrap_or_default());
    let began = order.timeline.first().map(|moment| moment.time);
    for moment in &order.timeline {
        let after = began.map_or(0.0, |began| (moment.time - began).as_seconds_f64() * 1000.0);
        let what = moment.what.rsplit_once(".v").map_or(moment.what.as_str(), |(name, _)| name);
        let who = moment.source.rsplit('/').next().unwrap_or_default();
        writeln!(text, "  {:>8} {what:<28} {who}", format!("+{after:.0} ms").dimmed())?;
    }
    writeln!(text, "  {}", order.explanation)?;
    if !played.ended_as_foretold() {
        let (status, reason) = played.foretold;
        writeln!(text, "  {} it was to end {status} {}", "but".red(), reason.unwrap_or_default())?;
    }
    Ok(text)
}

/// What the audit found: a line for each invariant that holds, and for each thing that breaks one.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn audit(report: &Report, json: bool) -> anyhow::Result<String> {
    let Report { orders, events, violations, young, settled } = report;
    if json {
        let violations: Vec<_> = violations
            .iter()
            .map(|found| json!({"invariant": found.invariant.means(), "order": found.order, "what": found.what}))
            .collect();
        let whole = json!({"orders": orders, "events": events, "violations": violations, "young": young, "settled": settled});
        return Ok(serde_json::to_string_pretty(&whole)?);
    }
    let mut rows = Vec::new();
    for invariant in Invariant::ALL {
        let broken: Vec<_> = violations.iter().filter(|found| found.invariant == invariant).collect();
        if broken.is_empty() {
            rows.push([Cell::new(invariant.means()), Cell::new("holds").fg(Color::Green), Cell::new(""), Cell::new("")]);
        }
        rows.extend(broken.into_iter().map(|found| {
            let order = found.order.map(|order| order.to_string()).unwrap_or_default();
            [Cell::new(invariant.means()), Cell::new("broken").fg(Color::Red), Cell::new(order), Cell::new(&found.what)]
        }));
    }
    rows.extend(settled.iter().map(|letter| {
        let order = letter.order.map(|order| order.to_string()).unwrap_or_default();
        let note = letter.note.as_deref().unwrap_or("without a note");
        let what = format!("{} {}: {note}", letter.service, letter.id);
        [Cell::new("an operator has decided"), Cell::new(&letter.decision).fg(Color::Yellow), Cell::new(order), Cell::new(what)]
    }));
    let mut text = table(rows.into_iter());
    let _ = write!(text, "\n\n{orders} orders, {events} events, {} violations", violations.len());
    if !young.is_empty() {
        let _ = write!(text, "; {} orders are still under way and younger than the grace period", young.len());
    }
    Ok(text)
}

/// What went wrong, how long it took to heal, and what does not add up.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn chaos(outcome: &chaos::Outcome, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string_pretty(outcome)?);
    }
    let mut text = table(outcome.faults.iter().map(|fault| {
        let healed =
            fault.ready_after_seconds.map_or_else(|| "with the rest".to_owned(), |after| format!("{after:.1} s after it"));
        let note = fault.note.as_deref().unwrap_or_default();
        let lasted = format!("for {:.1} s", fault.ended_seconds - fault.began_seconds);
        let began = Cell::new(format!("{:.1} s", fault.began_seconds)).set_alignment(CellAlignment::Right);
        [began, Cell::new(&fault.what), Cell::new(lasted), Cell::new(format!("all ready {healed} {note}"))]
    }));
    let ends: Vec<_> = outcome.ends.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let _ = write!(text, "\n\n{} orders: {}", outcome.orders, ends.join(", "));
    match outcome.quiet_after_seconds {
        Some(after) => drop(write!(text, "\nquiet, and all adds up, {after:.1} s after the last fault")),
        None => text.push_str("\nnot quiet"),
    }
    for finding in &outcome.findings {
        let _ = write!(text, "\n{} {finding}", "found:".red());
    }
    if let Some(logs) = &outcome.logs {
        let _ = write!(text, "\nlogs:  {}\nagain: {}", logs.display(), outcome.again);
    }
    Ok(text)
}

/// Dead letters, or what came of asking for something to be done about them.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn dead_letters(desk: &Desk, told: &[Told], json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string_pretty(told)?);
    }
    if told.is_empty() {
        return Ok("no dead letter".to_owned());
    }
    if matches!(desk, Desk::Show { .. }) {
        return Ok(told.iter().map(|one| format!("{} {:#}", one.service, one.answer)).collect::<Vec<_>>().join("\n"));
    }
    Ok(table(told.iter().map(|one| {
        let mark = if one.well { Cell::new("") } else { Cell::new("not done").fg(Color::Red) };
        [Cell::new(one.service), Cell::new(one.id), mark, Cell::new(&one.says)]
    })))
}

/// What services had lost, what has been put right, and the orders that must be looked at.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn reconciled(reports: &[reconcile::Report], json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string_pretty(reports)?);
    }
    let mut text = table(reports.iter().map(|report| {
        let count = |fate: &Fate| report.lost.iter().filter(|lost| lost.fate == *fate).count();
        let (word, color) = match (&report.why, report.open) {
            (None, true) => ("has lost nothing", Color::Green),
            (Some(_), true) => ("put right", Color::Green),
            (_, false) => ("stands still", Color::Red),
        };
        let fates = [
            (Fate::ToRetake, "to be taken again"),
            (Fate::ToAsk, "to be asked for again"),
            (Fate::SaidAgain, "said again"),
            (Fate::SaidOtherwise, "said otherwise"),
            (Fate::PutBack, "put back as they were"),
        ];
        let lost = fates.iter().map(|(fate, words)| (count(fate), words)).filter(|(count, _)| *count > 0);
        let lost: Vec<_> = lost.map(|(count, words)| format!("{count} events {words}")).collect();
        let why = report.why.as_deref().unwrap_or_default();
        [Cell::new(report.service), Cell::new(word).fg(color), Cell::new(lost.join(", ")), Cell::new(why)]
    }));
    let mut named = reports.iter().flat_map(|report| report.named().into_values().flatten().collect::<Vec<_>>()).peekable();
    if named.peek().is_some() {
        let rows = named.map(|lost| {
            let order = lost.order.as_deref().unwrap_or("a product");
            let said = if lost.fate == Fate::PutBack { "not said again" } else { "said otherwise" };
            let why = lost.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            let what = format!("{} of {}{why}", lost.ty, lost.said_at);
            [Cell::new(lost.service), Cell::new(order), Cell::new(said).fg(Color::Yellow), Cell::new(what)]
        });
        let _ = write!(text, "\n\nLook at these, beside what the database says now:\n{}", table(rows));
    }
    Ok(text)
}

/// What was measured.
///
/// # Errors
/// None that can happen: JSON of plain values.
pub fn figures(figures: &Figures, json: bool) -> anyhow::Result<String> {
    if json { Ok(serde_json::to_string_pretty(figures)?) } else { Ok(figures.to_string()) }
}
