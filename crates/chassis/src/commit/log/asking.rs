//! Those who ask at the same moment are answered by one query: when a batch is committed, whoever waited for one of its sagas asks;
//! and whoever has waited long looks anyway, as all do who wait.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use events::SagaId;
use serde::de::DeserializeOwned;
use sqlx::{Decode, PgPool, Postgres, Row as _, Type, postgres::PgRow};
use tokio::{
    sync::oneshot,
    task::yield_now,
    time::{error::Elapsed, sleep, timeout},
};
use uuid::Uuid;

use super::{Entry, own_and_entries};

/// A query that takes longer hangs on a connection that nobody answers on.
const QUERY_MAX: Duration = Duration::from_secs(10);
/// So long a look that nothing has called for waits for company.
const COMPANY: Duration = Duration::from_millis(20);

/// Of one saga, or why it cannot be read: for all who asked together.
type Answer = Result<Arc<Vec<PgRow>>, Arc<sqlx::Error>>;

/// Reads rows of sagas, by statements that take `$1::uuid[]` and nothing else, and give `saga` beside what was asked for. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pool: PgPool,
    service: &'static str,
    /// By statement: who waits for the query that is about to be sent.
    waiting: Arc<Mutex<HashMap<&'static str, Vec<Asked>>>>,
}

#[derive(Debug)]
struct Asked {
    saga: Uuid,
    answer: oneshot::Sender<Answer>,
}

impl Asking {
    pub(crate) fn new(pool: PgPool, service: &'static str) -> Self {
        Self { pool, service, waiting: Arc::default() }
    }

    /// What `sql`, which [`with_log!`](macro@crate::with_log) has made, gives for that saga.
    pub(crate) async fn told<R>(&self, sql: &'static str, saga: SagaId) -> Result<Option<(R, Vec<Entry>)>, Arc<sqlx::Error>>
    where
        R: DeserializeOwned + Send + Unpin + 'static,
    {
        let rows = self.rows(sql, saga, Duration::ZERO).await?;
        own_and_entries(&rows, self.service).map_err(Arc::new)
    }

    /// The column `seen` of that saga's row, in a moment.
    pub(crate) async fn seen<T>(&self, sql: &'static str, saga: SagaId) -> Result<Option<T>, Arc<sqlx::Error>>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let rows = self.rows(sql, saga, COMPANY).await?;
        rows.first().map(|row| row.try_get("seen")).transpose().map_err(Arc::new)
    }

    async fn rows(&self, sql: &'static str, saga: SagaId, company: Duration) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self.is_first(sql, Asked { saga: saga.0, answer }) {
            let asking = self.clone();
            // Nobody's alone: whoever asked first may go.
            tokio::spawn(async move {
                // Whoever is about to ask comes first.
                if company.is_zero() {
                    yield_now().await;
                } else {
                    sleep(company).await;
                }
                asking.answer(sql).await;
            });
        }
        answered.await.unwrap_or_else(|_| Err(Arc::new(sqlx::Error::WorkerCrashed)))
    }

    fn is_first(&self, sql: &'static str, asked: Asked) -> bool {
        let mut waiting = self.waiting();
        let waiting = waiting.entry(sql).or_default();
        waiting.push(asked);
        waiting.len() == 1
    }

    async fn answer(&self, sql: &'static str) {
        let asked = self.waiting().get_mut(sql).map(mem::take).unwrap_or_default();
        let rows = self.read(sql, &asked).await.map_err(Arc::new);
        for Asked { saga, answer } in asked {
            let own = rows.as_ref().map(|rows| rows.get(&saga).cloned().unwrap_or_default());
            // Whoever asked may have gone.
            let _ = answer.send(own.map_err(Arc::clone));
        }
    }

    async fn read(&self, sql: &'static str, asked: &[Asked]) -> sqlx::Result<HashMap<Uuid, Arc<Vec<PgRow>>>> {
        let sagas: BTreeSet<Uuid> = asked.iter().map(|asked| asked.saga).collect();
        let query = sqlx::query(sql).bind(Vec::from_iter(sagas)).fetch_all(&self.pool);
        let mut by_saga: HashMap<Uuid, Vec<PgRow>> = HashMap::new();
        for row in timeout(QUERY_MAX, query).await.map_err(|_: Elapsed| sqlx::Error::PoolTimedOut)?? {
            by_saga.entry(row.try_get("saga")?).or_default().push(row);
        }
        Ok(by_saga.into_iter().map(|(saga, rows)| (saga, Arc::new(rows))).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<&'static str, Vec<Asked>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
