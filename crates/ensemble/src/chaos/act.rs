//! The schedule is carried out, one stroke after the other.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::plan::{Fault, Mischief, Outsider, Plan, Planned};
use crate::{
    Part, Service, Stack, Talk,
    stack::{Broker, Cable, Disk, Partner},
};

/// A fault, as it was in the end.
#[derive(Clone, Debug)]
pub(super) struct Injected {
    pub(super) fault: Fault,
    /// Since the load began.
    pub(super) began: Duration,
    pub(super) ended: Duration,
    /// What did not go as planned.
    pub(super) note: Option<String>,
}

/// The power is cut so long before the broker is started again.
const POWER_CUT: Duration = Duration::from_secs(1);
/// Somebody who speaks to a partner or to the broker does not wait for one that is just then away.
const HAND_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stroke {
    End,
    Begin,
    PowerCut,
}

/// Every stroke, by its time.
fn strokes(plan: &Plan) -> Vec<(Duration, Stroke, usize)> {
    let of = |(n, planned): (usize, &Planned)| {
        let cut = (planned.fault == Fault::OlderDisk).then(|| (planned.ends - POWER_CUT, Stroke::PowerCut, n));
        [(planned.begins, Stroke::Begin, n), (planned.ends, Stroke::End, n)].into_iter().chain(cut)
    };
    let mut all: Vec<_> = plan.0.iter().enumerate().flat_map(of).collect();
    all.sort();
    all
}

/// Carries it out; when this returns, nothing is wrong any more, but not everything may have healed.
///
/// # Errors
/// When something cannot be killed, paused or started.
pub(super) async fn carry_out(plan: &Plan, stack: &mut Stack, talk: &Talk) -> anyhow::Result<Vec<Injected>> {
    let began = Instant::now();
    let mut injected: Vec<Injected> = plan
        .0
        .iter()
        .map(|planned| Injected { fault: planned.fault.clone(), began: planned.begins, ended: planned.ends, note: None })
        .collect();
    let mut copy = None;
    for (due, stroke, n) in strokes(plan) {
        sleep_until(began + due).await;
        let one = &mut injected[n];
        match stroke {
            Stroke::Begin => {
                one.began = began.elapsed();
                talk.say(&format!("{:>6.1} s  {}", one.began.as_secs_f64(), one.fault));
                one.note = begin(&one.fault, stack, &mut copy).await.with_context(|| one.fault.to_string())?;
            }
            Stroke::PowerCut => power_cut(stack, copy.take()).await.with_context(|| one.fault.to_string())?,
            Stroke::End => {
                end(&one.fault, stack).await.with_context(|| format!("{} ends", one.fault))?;
                one.ended = began.elapsed();
            }
        }
    }
    Ok(injected)
}

async fn begin(fault: &Fault, stack: &Stack, copy: &mut Option<Disk>) -> anyhow::Result<Option<String>> {
    match fault {
        Fault::Kill(part) => stack.kill(*part).await?,
        Fault::Freeze(part) => stack.pause(*part).await?,
        // It waits for what it needs, and that may be away just then.
        Fault::Restart(part) => return Ok(stack.stop(*part).await.err().map(|error| format!("{error:#}"))),
        Fault::OlderDisk => *copy = Some(Disk::copied(stack).await?),
        Fault::LostDisk => {
            stack.kill(Part::Nats).await?;
            Disk::of(stack).is_lost().await?;
        }
        Fault::Cut(service) => cable(stack, *service)?.cut(),
        Fault::Slow(service, ms) => cable(stack, *service)?.delay(Duration::from_millis(*ms)),
        Fault::Partner(who, mischief) => {
            let partner = partner(stack, *who);
            return Ok(in_time(partner.shall(rule(*mischief), json!({}), None)).await);
        }
        Fault::Repeat { of, events, from } => return Ok(in_time(repeat(stack, *of, *events, *from)).await),
    }
    Ok(None)
}

async fn end(fault: &Fault, stack: &mut Stack) -> anyhow::Result<()> {
    match fault {
        Fault::Kill(part) | Fault::Restart(part) => stack.launch(*part).await,
        Fault::Freeze(part) => stack.resume(*part).await,
        Fault::OlderDisk | Fault::LostDisk => stack.launch(Part::Nats).await,
        Fault::Cut(service) => cable(stack, *service).map(Cable::mend),
        Fault::Slow(service, _) => cable(stack, *service).map(|cable| cable.delay(Duration::ZERO)),
        Fault::Partner(who, _) => partner(stack, *who).behaves().await,
        Fault::Repeat { .. } => Ok(()),
    }
}

async fn power_cut(stack: &Stack, copy: Option<Disk>) -> anyhow::Result<()> {
    let copy = copy.context("the disk was copied before")?;
    stack.kill(Part::Nats).await?;
    Disk::of(stack).is_again(&copy).await
}

fn cable(stack: &Stack, service: Service) -> anyhow::Result<&Cable> {
    stack.cable(service).context("every service has a cable")
}

fn partner(stack: &Stack, who: Outsider) -> Partner {
    Partner::at(match who {
        Outsider::Gateway => stack.gateway_url(),
        Outsider::Carrier => stack.carrier_url(),
    })
}

/// In the words of the partners' fault API.
fn rule(mischief: Mischief) -> Value {
    match mischief {
        Mischief::Latency(ms) => json!({"latency": {"ms": ms}}),
        Mischief::Error5xx => json!("error_5xx"),
        Mischief::Unavailable => json!("unavailable"),
        Mischief::TooManyRequests => json!("too_many_requests"),
        Mischief::Refuse => json!("refuse"),
        Mischief::AnswerLost => json!("answer_lost"),
        Mischief::Stored500 { executed } => json!({"stored_500": {"executed": executed}}),
        Mischief::LookupLags(ms) => json!({"lookup_lags": {"ms": ms}}),
        Mischief::Decline => json!({"decline": {"code": "generic_decline"}}),
    }
}

/// A part of a stream, as it was said, under message ids that the broker has never seen.
async fn repeat(stack: &Stack, of: Service, events: u64, from: u64) -> anyhow::Result<()> {
    let broker = Broker::at(&stack.nats_url()).await?;
    let stream = of.name().to_uppercase();
    let state = broker.stream(&stream).await?.state;
    let first = state.first_sequence + state.last_sequence.saturating_sub(state.first_sequence) * from / 1000;
    broker.repeat(&stream, first..(first + events).min(state.last_sequence + 1)).await
}

/// What went wrong, if it did.
async fn in_time(does: impl Future<Output = anyhow::Result<()>>) -> Option<String> {
    match tokio::time::timeout(HAND_PATIENCE, does).await {
        Ok(done) => done.err().map(|error| format!("not done: {error:#}")),
        Err(_) => Some(format!("not done within {HAND_PATIENCE:?}")),
    }
}
