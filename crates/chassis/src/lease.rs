//! Who leads a job, when several replicas could: a row in the database, by the database's clock.
//!
//! A holder that is paused past its lease and wakes may still act: so whatever it writes that must not come late names its
//! *fencing token*, which has grown since (Kleppmann, *How to do distributed locking*, 2016).

use std::time::Duration;

use clap::Args;
use sqlx::PgPool;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{failpoint::Boundary, telemetry::Metrics};

/// How jobs are led.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// A replica that leads a job, and dies or hangs, is followed by another within this, such as 5s.
    #[arg(long, env = "LEASE", default_value = "5s", value_parser = crate::config::duration)]
    pub lease: Duration,
}

impl Settings {
    /// So long a leader leads without renewing. The last part of the lease is for the others to notice.
    fn term(self) -> Duration {
        self.lease * 4 / 5
    }

    /// So often it is renewed, and so often the others ask.
    fn renewal(self) -> Duration {
        self.lease / 5
    }
}

crate::statements! {
    /// `clock_timestamp()`: `now()` stands still within a transaction.
    HOLD = "insert into chassis.leases as l (job, holder, token, expires)
            values ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
            on conflict (job) do update set holder = excluded.holder, expires = excluded.expires,
                token = l.token + case when l.holder = excluded.holder then 0 else 1 end
            where l.holder = excluded.holder or l.expires <= clock_timestamp()
            returning token";

    RELEASE = "update chassis.leases set expires = '-infinity' where job = $1 and holder = $2 and token = $3";
}

/// A job that one replica does at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lease(watch::Receiver<Option<Term>>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Term {
    token: i64,
    /// Counted from before it was asked for: never later than the database thinks.
    ends: Instant,
}

impl Lease {
    /// The fencing token, as long as this replica leads.
    pub fn held(&self) -> Option<i64> {
        self.0.borrow().filter(|term| Instant::now() < term.ends).map(|term| term.token)
    }

    /// Waits until this replica leads; its fencing token.
    pub async fn wait(&mut self) -> i64 {
        loop {
            if let Some(token) = self.held() {
                return token;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Strives for the lease of that job until `stop`, then gives it back at once. The second half is to be run.
pub fn lease(
    job: &'static str,
    settings: Settings,
    pool: PgPool,
    metrics: Metrics,
    stop: CancellationToken,
) -> (Lease, impl Future<Output = ()> + Send + 'static) {
    let (tell, told) = watch::channel(None);
    (Lease(told), strive(job, settings, pool, metrics, stop, tell))
}

async fn strive(
    job: &'static str,
    settings: Settings,
    pool: PgPool,
    metrics: Metrics,
    stop: CancellationToken,
    tell: watch::Sender<Option<Term>>,
) {
    // Drawn, not the host's name: two processes of one host are two holders, and so is one before and after a restart.
    let holder = uuid::Uuid::now_v7().to_string();
    while !stop.is_cancelled() {
        let asked = Instant::now();
        let held = async {
            Boundary::Lease.before().reached().await?;
            let hold = sqlx::query_scalar::<_, i64>(HOLD).bind(job).bind(&holder).bind(settings.term().as_secs_f64());
            let token = hold.fetch_optional(&pool).await?;
            Boundary::Lease.after().reached().await?;
            Ok::<_, sqlx::Error>(token)
        };
        match held.await {
            Ok(token) => {
                let term = token.map(|token| Term { token, ends: asked + settings.term() });
                let before = tell.send_replace(term);
                if before.map(|term| term.token) != token {
                    tracing::info!(job, token, "{}", if token.is_some() { "leads" } else { "leads no more" });
                }
            }
            // The term goes on until it ends.
            Err(error) => tracing::warn!(job, %error, "the lease cannot be asked for"),
        }
        metrics.set_lease_held(job, tell.borrow().is_some_and(|term| Instant::now() < term.ends));
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(settings.renewal()) => {}
        }
    }
    if let Some(Term { token, .. }) = tell.send_replace(None) {
        let release = sqlx::query(RELEASE).bind(job).bind(&holder).bind(token).execute(&pool);
        if !matches!(timeout(Duration::from_secs(1), release).await, Ok(Ok(_))) {
            tracing::info!(job, "the lease was not given back: it runs out by itself");
        }
    }
    metrics.set_lease_held(job, false);
}
