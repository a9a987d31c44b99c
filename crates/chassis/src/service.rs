//! What a service hands over: its participant, its tables, its routes, and its partner if it has one. Everything else
//! is the chassis'.

use std::fmt::Debug;

use events::{Event, SagaId};
use futures_util::future::BoxFuture;
use saga::{Participant, batch::Arrived};
use sqlx::{PgPool, migrate::Migrator};

use crate::{
    calls::{self, ClientError},
    commit::{Opening, Writing},
    edge::ProblemPage,
    telemetry::Metrics,
};

/// A participant that can be run. Implemented by the type that `reactions!` makes; `main.rs` is
/// `chassis::run::<payment::Payment>()`.
pub trait Service: Participant {
    /// What it does, in a sentence: the first line of `--help` and of its API's description.
    const DOES: &'static str;
    /// Defaults of its own for the chassis' variables: `("HTTP_ADDR", "127.0.0.1:8081")`.
    const DEFAULTS: &'static [(&'static str, &'static str)];
    /// The problems that only its API knows, with the pages that explain them.
    const PROBLEMS: &'static [ProblemPage];
    /// The statements of its `store.rs`, for the test that prepares each one: see [`statements!`](macro@crate::statements).
    const STATEMENTS: crate::Statements;

    /// The variables that it reads beside the chassis' own; `chassis::config::NoArgs` for none.
    type Settings: clap::Args + Clone + Debug + Send + Sync + 'static;

    /// Its own tables, in schema `public`, with their own history.
    fn migrations() -> Migrator;

    /// Locks and reads what is wanted: one statement for each table, in the order of the tables, keys in order. The first goes
    /// with what opens the transaction, if it is [`document::load`](crate::document::load).
    ///
    /// # Errors
    /// What the database says.
    fn load(opening: &mut Opening<'_>, records: &mut Self::Records) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Adds what differs to what is written: one statement for each table, and none for what is as it was.
    fn save(writing: &mut Writing, records: &Self::Records);

    /// Its routes.
    fn routes(house: crate::House<Self>) -> utoipa_axum::router::OpenApiRouter;

    /// Its own rows about that saga, as operators see them; none when it has never heard of it.
    ///
    /// # Errors
    /// What the database says.
    fn state(_pool: &PgPool, _saga: SagaId) -> impl Future<Output = sqlx::Result<Option<serde_json::Value>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Whether a saga born between these has not ended here, as far as the service alone knows: its day is kept. Of what the
    /// chassis itself has in hand it need not speak.
    ///
    /// # Errors
    /// What the database says.
    fn has_open_between(_pool: &PgPool, _first: SagaId, _until: SagaId) -> impl Future<Output = sqlx::Result<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// Whom its calls go to. None for a service whose table has no `asks`.
    ///
    /// # Errors
    /// When no client can be made from the settings.
    fn partner(_settings: &Self::Settings, _metrics: &Metrics) -> Result<Option<Box<dyn Partner<Self>>>, ClientError> {
        Ok(None)
    }

    /// The command that had led to that event of its own: with it an event that outlived the service's database brings back
    /// what the database has lost. None where that cannot be told from the event.
    fn recalled(_event: &Event) -> Option<Self::Input> {
        None
    }

    /// Inputs that are taken at every start; their claims make them take effect once.
    fn seed(_settings: &Self::Settings) -> Vec<Arrived<Self>> {
        Vec::new()
    }
}

/// A partner, as the calls room sees it: it knows keys and answers, never when to repeat.
pub trait Partner<P: Participant>: Send + Sync + 'static {
    /// Makes one try. `key` is the idempotency key: the same for every try of one attempt.
    ///
    /// # Errors
    /// When there is no answer; see [`Failure`].
    fn call<'a>(&'a self, call: &'a P::Call, key: &'a str) -> BoxFuture<'a, Result<P::Input, Failure>>;

    /// What became of a call whose key holds a stored error. Asked only after [`lag_bound`](Self::lag_bound) has passed since then; none: not executed.
    ///
    /// # Errors
    /// When there is no answer; see [`Failure`].
    fn look_up<'a>(&'a self, call: &'a P::Call) -> BoxFuture<'a, Result<Option<P::Input>, Failure>>;

    /// The answer for a call whose key is burned and that was not executed.
    fn burned(&self, call: &P::Call) -> P::Input;

    /// How far the partner's look-up may lag behind what it executed.
    fn lag_bound(&self) -> std::time::Duration;
}

/// Why a try brought no answer. None of these says what happened at the partner's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// It never left: connection refused, circuit open, bulkhead full. *Retry* under the same key.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have been executed: a timeout, a reset, a 5xx, something unreadable. *Retry* under the same key.
    #[error("in doubt: {0}")]
    InDoubt(String),
    /// The partner keeps an error under this key and gives it again whatever happened: look up, then maybe the next key.
    #[error("stored error: {0}")]
    StoredError(String),
}

impl From<calls::Failure> for Failure {
    fn from(failure: calls::Failure) -> Self {
        match failure {
            calls::Failure::NotSent(why) => Self::NotSent(why.to_string()),
            calls::Failure::InDoubt(why) => Self::InDoubt(why.to_string()),
        }
    }
}
