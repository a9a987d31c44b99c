//! Postgres: connections in compartments, migrations, and what its errors mean.

use std::{future::Future, str::FromStr as _, time::Duration};

use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable as _};
use clap::Args;
use futures_util::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    Connection as _, PgConnection, PgPool, Row as _,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tracing::{Instrument as _, Span, instrument::Instrumented};

use crate::{
    admin::{Denied, Health},
    commit::Kind,
    partitions,
    restored::Intake,
};

/// Where the database is.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// The service's database, as the role that reads and writes, such as postgres://user:password@127.0.0.1:5432/name.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
    /// The same database as the owner of its tables, for migrations at the start; the one above when not set.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub database_owner_url: Option<SecretString>,
    /// How many connections may read at once for the API, and as many for timelines, beside about a dozen that each have their own purpose.
    #[arg(long, env = "DATABASE_READERS_MAX", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub database_readers_max: u32,
}

/// So long somebody waits for a connection; then the compartment is full, or the database is away.
const ACQUIRE_MAX: Duration = Duration::from_secs(2);
/// A committer has nobody beside it, so it waits for a connection that is being made. One that is given up is begun anew, and a
/// service that is overrun would never get one, for it is overrun by those who wait for what this committer does not do.
const DOOR_ACQUIRE_MAX: Duration = Duration::from_secs(5);
const PING_MAX: u32 = 1;
/// For each committer one in use, and one while a broken one is being replaced.
const DOOR_MAX: u32 = 2;
const BACKGROUND_MAX: u32 = 4;
/// The publisher strikes off by one statement at a time.
const PUBLISHER_MAX: u32 = 2;

/// The connections of a service, in compartments: whoever uses up his own takes none from the others.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    doors: [PgPool; Kind::ALL.len()],
    /// For what the API reads.
    pub(crate) reads: PgPool,
    /// For what happened to one saga: by key, over all partitions.
    pub(crate) log: PgPool,
    /// For relay, leases, sweeps and operators.
    pub(crate) background: PgPool,
    /// For the publisher, which writes down what has arrived, and what has not.
    pub(crate) publisher: PgPool,
    ping: PgPool,
    /// What the doors may not do any more.
    pub(crate) denied: Denied,
}

impl Pools {
    /// Connects when somebody needs it, not before.
    pub(crate) fn new(service: &str, settings: &Settings, intake: &Intake) -> anyhow::Result<Self> {
        let options = options(service, &settings.database_url).context("DATABASE_URL is wrong")?;
        // Statements of the doors, and of the log, find their rows by key, however many there are: planned once, and never as
        // a scan, also not while a table is empty. Planned anew each time, the planning would cost as much as the rest.
        let by_key = options.clone().options([("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan")]);
        // Only committers begin transactions, and only their connections can come back inside one.
        let door = watched(pool(DOOR_MAX, DOOR_ACQUIRE_MAX), intake).after_release(|conn, _| Box::pin(is_idle(conn)));
        let pool = |max| watched(pool(max, ACQUIRE_MAX), intake);
        Ok(Self {
            doors: std::array::from_fn(|_| door.clone().connect_lazy_with(by_key.clone())),
            reads: pool(settings.database_readers_max).connect_lazy_with(options.clone()),
            log: pool(settings.database_readers_max).connect_lazy_with(by_key.clone()),
            background: pool(BACKGROUND_MAX).connect_lazy_with(options.clone()),
            // What it wrote in the server's last moment may be lost: that is one more publication, and its readers' claims
            // drop it. So it does not stand in the doors' way to the disk.
            publisher: pool(PUBLISHER_MAX).connect_lazy_with(by_key.options([("synchronous_commit", "off")])),
            ping: pool(PING_MAX).connect_lazy_with(options),
            denied: Denied::by("postgres"),
        })
    }

    /// Opens one connection for each purpose, before anybody is served. Whoever waits too long for one gives up, and it is
    /// begun anew: a service that is overrun from its first moment would never have any.
    pub(crate) async fn open(&self) {
        let single = [&self.reads, &self.log, &self.background, &self.publisher, &self.ping];
        let opened = join_all(self.doors.iter().chain(single).map(|pool| async { pool.acquire().await.map(drop) })).await;
        for error in opened.into_iter().filter_map(Result::err) {
            tracing::info!(%error, "a connection is opened when somebody needs it");
        }
    }

    /// Those of that door.
    pub(crate) fn door(&self, kind: Kind) -> PgPool {
        self.doors[kind as usize].clone()
    }

    /// Ready only while the database answers, and permits what the doors do.
    pub(crate) fn probed_by(&self, health: &Health) {
        let (ping, denied) = (self.ping.clone(), self.denied.clone());
        health.depends_on("postgres", move || {
            let (ping, denied) = (ping.clone(), denied.clone());
            async move {
                sqlx::raw_sql("select 1").execute(&ping).await.map_err(|error| error.to_string())?;
                denied.check()
            }
        });
    }
}

/// Each new connection looks whether it is still the database that it was, before anybody has it.
fn watched(pool: PgPoolOptions, intake: &Intake) -> PgPoolOptions {
    let intake = intake.clone();
    pool.after_connect(move |conn, _| {
        let intake = intake.clone();
        Box::pin(async move {
            intake.meets(conn).await;
            Ok(())
        })
    })
}

fn pool(max: u32, acquire_max: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(acquire_max)
        .acquire_slow_threshold(acquire_max)
        // Asked before each use, a connection that is busy all the time would be asked more than it is used.
        .test_before_acquire(false)
        .before_acquire(|conn, known| Box::pin(is_alive(conn, known.idle_for)))
}

/// One that has not been used for a moment may have lost its server.
async fn is_alive(conn: &mut PgConnection, idle: Duration) -> sqlx::Result<bool> {
    const MOMENT: Duration = Duration::from_secs(1);
    if idle >= MOMENT {
        conn.ping().await?;
    }
    Ok(true)
}

/// Inside a transaction the clock stands where it began. A panic, or a future that was dropped at the wrong await, can leave
/// a connection there (sqlx issue 4393): it is closed, for whoever got it next would commit into somebody else's work.
///
/// By the simple protocol: in the extended one `Execute` sets the statement's time anew, and every connection would look
/// as if it were inside a transaction, be closed, and be opened again by the next statement.
async fn is_idle(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::raw_sql("select transaction_timestamp() = statement_timestamp()").fetch_one(conn).await?.try_get(0)
}

fn options(service: &str, url: &SecretString) -> sqlx::Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(url.expose_secret())?.application_name(service).options([
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "15s"),
        // A peer that is gone without a word is noticed, and its locks are free, within 15 s.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "2"),
        ("tcp_user_timeout", "15000"),
        // Statements are short: compiling one takes longer than running it.
        ("jit", "off"),
    ]))
}

/// As the owner of the tables: for migrations and partitions.
pub(crate) fn owner(settings: &Settings) -> anyhow::Result<PgConnectOptions> {
    let url = settings.database_owner_url.as_ref().unwrap_or(&settings.database_url);
    PgConnectOptions::from_str(url.expose_secret()).context("DATABASE_OWNER_URL is wrong")
}

/// Brings both schemas up to date: the chassis', then the service's, each with its own history; then makes the partitions that
/// the first insert needs. Waits for the database, and for whoever is migrating already (sqlx holds an advisory lock).
pub(crate) async fn migrate(settings: &Settings, own: fn() -> Migrator, retention: Duration) -> anyhow::Result<()> {
    let options = owner(settings)?;
    let attempt = || async {
        let mut conn = PgConnection::connect_with(&options).await?;
        let mut chassis = sqlx::migrate!();
        chassis.create_schema("chassis");
        chassis.dangerous_set_table_name("chassis.migrations");
        for mut migrations in [chassis, own()] {
            // A version that is rolled back meets the schema of the one after it, and works with it.
            migrations.set_ignore_missing(true);
            migrations.run(&mut conn).await?;
        }
        partitions::make(&mut conn, retention).await?;
        conn.close().await?;
        Ok(())
    };
    attempt
        .retry(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(50))
                .with_max_delay(Duration::from_secs(2))
                .without_max_times()
                .with_jitter(),
        )
        .when(is_away)
        .notify(|error: &MigrateError, wait| tracing::warn!(%error, ?wait, "waiting for the database"))
        .await
        .context("the database cannot be migrated")
}

fn is_away(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => match error {
            sqlx::Error::Database(told) => told.code().is_some_and(|code| matches!(&code[..2], "08" | "53" | "57")),
            _ => class(error) == Class::Retry,
        },
        _ => false,
    }
}

/// What is to be done about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// The world: the same again may succeed.
    Retry,
    /// The data: the same again fails again.
    Poison,
}

/// What that error means. What speaks of a whole deployment (no such table, not permitted, disk full) is the world, too: no
/// input is at fault, and none must become a dead letter for it.
pub(crate) fn class(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Database(told) => told.code().map_or(Class::Retry, |code| class_of_state(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::Configuration(_)
        | sqlx::Error::ConfigFile(_)
        | sqlx::Error::Migrate(_) => Class::Retry,
        sqlx::Error::InvalidArgument(_)
        | sqlx::Error::RowNotFound
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::AnyDriverError(_)
        | sqlx::Error::InvalidSavePointStatement => Class::Poison,
        // sqlx may add more without saying so: the world, until somebody has looked.
        _ => Class::Retry,
    }
}

/// The service may no longer do it, or may no longer come in: somebody has revoked it.
pub(crate) fn is_denied(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "42501" || code.starts_with("28"))
}

/// By the classes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn class_of_state(code: &str) -> Class {
    match code {
        // The transaction was aborted and somebody swallowed the error: with these inputs it will be again.
        "25P02" => Class::Poison,
        _ => match code.get(..2) {
            // Cardinality, data exception, integrity, triggered data change, check option, program limit, raised by PL/pgSQL.
            Some("21" | "22" | "23" | "27" | "44" | "54" | "P0") => Class::Poison,
            _ => Class::Retry,
        },
    }
}

/// Within a span of its own, where there is one to belong to; `summary` is the operation and the table, for people and
/// dashboards.
pub(crate) fn spanned<F: Future>(summary: &'static str, statement: F) -> Instrumented<F> {
    let span = if Span::current().is_none() {
        Span::none()
    } else {
        tracing::info_span!(
            "sql",
            otel.name = summary,
            otel.kind = "client",
            db.system.name = "postgresql",
            db.query.summary = summary,
        )
    };
    statement.instrument(span)
}

/// Names a room's or a store's statements, so that a test can prepare every one of them against a migrated schema.
///
/// ```
/// chassis::statements! {
///     /// Why it is as it is.
///     READ = "select hold from holds where order_id = $1";
/// }
/// assert_eq!(STATEMENTS, [("READ", READ)]);
/// ```
#[macro_export]
macro_rules! statements {
    ( $( $(#[$doc:meta])* $name:ident = $sql:expr; )+ ) => {
        $( $(#[$doc])* const $name: &str = $sql; )+

        /// All statements of this file by name.
        pub(crate) const STATEMENTS: $crate::Statements = &[ $( (stringify!($name), $name), )+ ];
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_speaks_of_the_data_is_poison() {
        for world in ["40001", "40P01", "55P03", "57P01", "57014", "08006", "53100", "25006", "42P01", "42501", "XX000", "25P03"]
        {
            assert_eq!(class_of_state(world), Class::Retry, "{world}");
        }
        for data in ["22P02", "22021", "23505", "23514", "54000", "25P02", "P0001"] {
            assert_eq!(class_of_state(data), Class::Poison, "{data}");
        }
        assert_eq!(class(&sqlx::Error::PoolTimedOut), Class::Retry);
        assert_eq!(class(&sqlx::Error::RowNotFound), Class::Poison);
    }
}
