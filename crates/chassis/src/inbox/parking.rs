//! Tries what is parked again, until it takes effect or its deadline has come. Any replica takes any; none takes one that
//! another has.

use std::{sync::Arc, time::Duration};

use events::TraceContext;
use futures_util::{StreamExt as _, stream};
use saga::Parked as Fate;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    BACKOFF, Done, End, Inbox, NotNow, Reason,
    parked::{self, Parked},
    read,
};
use crate::{service::Service, telemetry};

/// How often what is due is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How many are taken at a time, and together.
const BATCH: usize = 64;
/// Until then nobody else takes one that was found due.
const LEASE: Duration = Duration::from_secs(30);

/// Until `stop`, then ends with the batch in hand.
pub(super) async fn run<S: Service>(inbox: Arc<Inbox<S>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = inbox.intake.until_hears_is(true) => {}
        }
        let found = match parked::take_due(&inbox.pool, BATCH as i64, LEASE).await {
            Ok(due) => {
                let found = due.len();
                stream::iter(due).for_each_concurrent(BATCH, |parked| try_again(&inbox, parked)).await;
                found
            }
            Err(error) => {
                tracing::warn!(%error, "what is parked could not be looked for");
                0
            }
        };
        let wait = if found == BATCH { Duration::ZERO } else { LOOK };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

async fn try_again<S: Service>(inbox: &Inbox<S>, parked: Parked) {
    let span = tracing::info_span!("parked", otel.name = format!("process {}", parked.letter.subject), otel.kind = "consumer");
    let header = |name| parked.letter.header(name);
    telemetry::child_of(&span, &TraceContext::read(header("traceparent"), header("tracestate")));
    let ended = end(inbox, &parked).instrument(span).await;
    if let Err(error) = ended {
        // Its lease runs out, and it is tried again.
        tracing::warn!(%error, id = %parked.id, "what is parked cannot be taken now");
    }
}

async fn end<S: Service>(inbox: &Inbox<S>, parked: &Parked) -> Result<(), NotNow> {
    let heard = read::<S::Input>(|name| parked.letter.header(name), &parked.letter.body);
    let (pool, id) = (&inbox.pool, parked.id);
    let end = inbox.take(&heard).await?;
    if !inbox.intake.hears() {
        // Its lease runs out, and it is tried again.
        return Ok(());
    }
    match end {
        End::Done(Done::Taken | Done::Repeated | Done::Ignored) => parked::remove(pool, id).await?,
        End::NotYet(why) => {
            match saga::park(parked.since, parked.now, inbox.settings.park_deadline, BACKOFF.wait(parked.tries)) {
                Fate::Until(due) => parked::put_back(pool, id, due, &why).await?,
                Fate::DeadLetter => bury(inbox, parked, &why).await?,
            }
        }
        End::Dead(why) => bury(inbox, parked, &why).await?,
    }
    Ok(())
}

async fn bury<S: Service>(inbox: &Inbox<S>, parked: &Parked, why: &Reason) -> sqlx::Result<()> {
    tracing::error!(code = why.code, tries = parked.tries, dead_letter = %parked.id, "a dead letter");
    parked::bury(&inbox.pool, parked.id, why).await
}
