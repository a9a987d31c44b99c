//! Whether the durables still stand where their readers do, asked by one replica for all. Acknowledgements follow the commit,
//! so what a sound durable says is acknowledged has been taken: that is the reader's position, kept with the id that stands
//! there. A durable in doubt is made anew behind the highest position that still stands.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::consumer::PullConsumer;
use events::EventInfo;
use saga::owed::durable::{Doubt, Known, Position, Seen, doubt, worth_keeping};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Inbox,
    durable::{self, NotHad},
};
use crate::{broker::nanos, lease::Lease, service::Service};

/// A stream, as far as its readers care.
#[derive(Clone, Copy)]
struct Ends {
    created: i64,
    first: u64,
    last: u64,
}

/// Until `stop`, while this replica leads; at each `interval`. So old a position may be: what came since then comes again when
/// the broker has lived anew.
pub(super) async fn run<S: Service>(inbox: Arc<Inbox<S>>, (lease, interval): (Lease, Duration), stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(interval) => {}
        }
        let Some(token) = lease.held() else { continue };
        if !inbox.broker.is_connected() || !inbox.intake.hears() {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            looked = inbox.look_at_all(token) => if let Err(error) = looked {
                tracing::warn!(%error, "where the durables stand cannot be told now");
            }
        }
    }
}

impl<S: Service> Inbox<S> {
    async fn look_at_all(&self, token: i64) -> Result<(), NotHad> {
        // Before anything is asked: what a server says that has lived anew meanwhile is doubted at the next look.
        let server = self.broker.server();
        let mut durables = Vec::new();
        for event in self.broker.heard() {
            let name = self.broker.durable_name(event);
            durables.push((event, self.broker.durable(&name, &events::stream(event.owner)).await?));
        }
        // After the durables, or one that has followed its stream meanwhile would seem to stand ahead of it.
        let mut streams = HashMap::new();
        for (event, is) in durables {
            let stream = match streams.entry(event.owner) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(self.ends(event.owner).await?),
            };
            // Where there is no stream, its owner makes it anew.
            if let Some(stream) = stream {
                self.look_at(event, is, stream, &server, token).await?;
            }
        }
        Ok(())
    }

    async fn ends(&self, owner: &str) -> Result<Option<Ends>, NotHad> {
        let info = self.broker.stream(&events::stream(owner)).await?;
        Ok(info.map(|info| Ends {
            created: nanos(info.created),
            first: info.state.first_sequence,
            last: info.state.last_sequence,
        }))
    }

    async fn look_at(
        &self,
        event: &'static EventInfo,
        is: Option<PullConsumer>,
        stream: Ends,
        server: &str,
        token: i64,
    ) -> Result<(), NotHad> {
        let (name, of) = (self.broker.durable_name(event), events::stream(event.owner));
        let positions = durable::positions(&self.pool, &name).await?;
        let highest = positions.first().cloned();
        let Some(known) = durable::known(&self.pool, &name).await? else {
            return match is {
                Some(is) => Ok(durable::remember(&self.broker, &self.pool, &name, stream.created, made(&is)).await?),
                None => Ok(()),
            };
        };
        let there = match &highest {
            Some(position) if (stream.first..=stream.last).contains(&position.sequence) => {
                self.broker.id_at(&of, position.sequence).await?
            }
            _ => None,
        };
        let seen = Seen {
            stream_created: stream.created,
            first: stream.first,
            last: stream.last,
            created: is.as_ref().map(made),
            delivered: is.as_ref().map_or(0, |is| is.cached_info().delivered.stream_sequence),
            server: server.to_owned(),
        };
        if let Some(why) = doubt(&Known { position: highest.clone(), ..known }, &seen, there.as_deref()) {
            self.metrics.rebuilt(&name, why.code());
            return self.make_anew(event, &name, why, is.is_some()).await;
        }
        let Some(is) = is else { return Ok(()) };
        self.mend(event, &name, &is).await?;
        let from = highest.map_or(0, |position| position.sequence);
        let Some(to) = self.taken(&of, &is, from).await? else { return Ok(()) };
        // What a server says that lived anew meanwhile is of another stream, maybe.
        if self.broker.server() != server {
            return Ok(());
        }
        let all: Vec<u64> = positions.iter().map(|position| position.sequence).chain([to.sequence]).collect();
        let mut conn = self.pool.acquire().await?;
        // Asked with the connection in hand: an older database has not taken what the durable says was acknowledged.
        if !self.intake.hears() {
            return Ok(());
        }
        Ok(durable::advance(&mut conn, &name, &to, &worth_keeping(&all), token).await?)
    }

    async fn make_anew(&self, event: &'static EventInfo, name: &str, why: Doubt, is_there: bool) -> Result<(), NotHad> {
        const IN_DOUBT: &str = "a durable is in doubt: it is made anew where its reader stands";
        match why {
            // Nobody has touched it, and most likely nothing is wrong with it.
            Doubt::ServerRestarted => tracing::info!(durable = name, why = why.code(), "{IN_DOUBT}"),
            _ => tracing::warn!(durable = name, why = why.code(), "{IN_DOUBT}"),
        }
        if is_there {
            durable::make_anew(&self.broker, &self.pool, event).await?;
        } else {
            // Its reader may have been quicker.
            durable::have(&self.broker, &self.pool, event).await?;
        }
        Ok(())
    }

    /// A durable that was changed by hand is brought back: updated, or where the server refuses that made anew.
    pub(super) async fn mend(&self, event: &'static EventInfo, name: &str, is: &PullConsumer) -> Result<(), NotHad> {
        let config = &is.cached_info().config;
        let drifts = self.broker.drift_of(event, config);
        if drifts.is_empty() {
            return Ok(());
        }
        self.broker.report(name, &drifts);
        if self.broker.make_durable(event, config.deliver_policy).await.is_err() {
            durable::make_anew(&self.broker, &self.pool, event).await?;
        }
        Ok(())
    }

    /// Up to where everything has been taken, if that is above `from`.
    async fn taken(&self, stream: &str, is: &PullConsumer, from: u64) -> Result<Option<Position>, NotHad> {
        let sequence = is.cached_info().ack_floor.stream_sequence;
        if sequence <= from {
            return Ok(None);
        }
        // None where the message has gone by its age, or is nobody's: the next acknowledgement is another chance.
        let id = self.broker.id_at(stream, sequence).await?;
        Ok(id.map(|id| Position { sequence, id }))
    }
}

/// An identity: nanoseconds since 1970.
fn made(durable: &PullConsumer) -> i64 {
    nanos(durable.cached_info().created)
}
