//! The partners' own books: one redb file, one writer, no lost line.
//!
//! Every change goes to one thread, which takes all that wait into one transaction and commits
//! them together: hundreds of requests in flight share one fsync. An answer leaves the process
//! only after its commit.

use std::{cell::RefCell, ops::Bound, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use redb::{
    Database, MultimapTable, MultimapTableDefinition, ReadTransaction, ReadableDatabase, ReadableTable as _, Table,
    TableDefinition, TableHandle as _, WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

/// Changes in one transaction at most, so that the first of a crowd does not wait for all of it.
const BATCH_MAX: usize = 512;
/// Behind so many at once the next batch waits a moment for company: it costs one fsync, however many share it.
const BUSY: usize = 4;
const COMPANY: Duration = Duration::from_millis(3);
/// Changes waiting for the writer at most; beyond that requests wait at the door.
const WAITING_MAX: usize = 4096;
/// Memory for the pages of the file, in bytes (redb's own default is 1 GiB).
const CACHE_BYTES: usize = 64 << 20;

/// Fingerprint of the request, status and body of its first answer.
type Answer = (&'static [u8; 32], u16, &'static [u8]);
/// (partner, idempotency key) → the answer.
const ANSWERS: TableDefinition<(&str, &str), Answer> = TableDefinition::new("answers");

/// What is kept in the books under an id and found again by its order.
pub(crate) trait Record: Serialize + DeserializeOwned + Send + 'static {
    /// Id → the record as JSON. Ids begin with time, so the order of ids is the order of creation.
    const TABLE: TableDefinition<'static, &'static str, &'static [u8]>;
    /// Order id → ids.
    const BY_ORDER: MultimapTableDefinition<'static, &'static str, &'static str>;
    /// The partner's own id.
    fn id(&self) -> &str;
    /// Our customer's reference.
    fn order_id(&self) -> Option<&str>;
    /// The record as it stands at `now`: time alone may have changed it.
    fn at(self, now: OffsetDateTime) -> Self;
}

/// Why the books could not be read or written. Always a matter of this process, never of the request.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file failed, or holds what cannot be decoded.
    #[error(transparent)]
    File(Box<redb::Error>),
    /// The batch was given up or the writer is gone: nothing of it was written.
    #[error("the change was not written")]
    NotWritten,
    /// No thread could be started for the writer.
    #[error("no thread for the writer")]
    Writer(#[source] std::io::Error),
}

/// redb has an error type per call, and one that takes them all.
impl<E> From<E> for LedgerError
where
    redb::Error: From<E>,
{
    fn from(error: E) -> Self {
        Self::File(Box::new(error.into()))
    }
}

/// The first answer to an idempotency key.
pub(crate) struct StoredAnswer {
    pub(crate) fingerprint: [u8; 32],
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Tells a waiting request that its change is durable.
type Receipt = Box<dyn FnOnce() + Send>;
type Change = Box<dyn FnOnce(&Books<'_>) -> Result<Receipt, LedgerError> + Send>;

/// A handle on the books. The file is closed when the last handle is gone.
#[derive(Clone)]
pub(crate) struct Ledger {
    database: Arc<Database>,
    changes: mpsc::Sender<Change>,
}

impl Ledger {
    /// Opens or creates the file, and starts the writer, which ends after the last handle.
    pub(crate) fn open(path: &Path) -> Result<(Self, JoinHandle<()>), LedgerError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let database = Arc::new(database);
        let (changes, waiting) = mpsc::channel(WAITING_MAX);
        let writer = {
            let database = Arc::clone(&database);
            std::thread::Builder::new()
                .name("ledger".into())
                .spawn(move || write_all(&database, waiting))
                .map_err(LedgerError::Writer)?
        };
        Ok((Self { database, changes }, writer))
    }

    /// Runs `change` in a transaction that it shares with its neighbours; returns once it is durable.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Books<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (sender, receiver) = oneshot::channel();
        let change: Change = Box::new(move |books| {
            let value = change(books)?;
            // The asker may be gone; the change stands all the same.
            Ok(Box::new(move || drop(sender.send(value))))
        });
        self.changes.send(change).await.map_err(|_| LedgerError::NotWritten)?;
        receiver.await.map_err(|_| LedgerError::NotWritten)
    }

    /// A view of all that is committed.
    pub(crate) fn read(&self) -> Result<Pages, LedgerError> {
        Ok(Pages { transaction: self.database.begin_read()?, now: OffsetDateTime::now_utc() })
    }
}

fn write_all(database: &Database, mut waiting: mpsc::Receiver<Change>) {
    let mut last = 0;
    while let Some(first) = waiting.blocking_recv() {
        if last >= BUSY {
            std::thread::sleep(COMPANY);
        }
        match write_batch(database, first, &mut waiting) {
            Ok(receipts) => {
                last = receipts.len();
                receipts.into_iter().for_each(|tell| tell());
            }
            // The receipts were dropped: each asker hears `NotWritten`.
            Err(error) => tracing::error!(%error, "a batch was given up"),
        }
    }
}

fn write_batch(database: &Database, first: Change, waiting: &mut mpsc::Receiver<Change>) -> Result<Vec<Receipt>, LedgerError> {
    let transaction = database.begin_write()?;
    let mut receipts = Vec::new();
    {
        let books = Books::open(&transaction)?;
        receipts.push(first(&books)?);
        while receipts.len() < BATCH_MAX
            && let Ok(change) = waiting.try_recv()
        {
            receipts.push(change(&books)?);
        }
    }
    transaction.commit()?;
    Ok(receipts)
}

/// The books while the writer has them open: each table is opened once for all that is written together.
pub(crate) struct Books<'txn> {
    transaction: &'txn WriteTransaction,
    answers: RefCell<Table<'txn, (&'static str, &'static str), Answer>>,
    shelves: RefCell<Vec<Shelf<'txn>>>,
    pub(crate) now: OffsetDateTime,
}

/// Where records of one kind stand.
struct Shelf<'txn> {
    records: Table<'txn, &'static str, &'static [u8]>,
    by_order: MultimapTable<'txn, &'static str, &'static str>,
}

impl<'txn> Books<'txn> {
    fn open(transaction: &'txn WriteTransaction) -> Result<Self, LedgerError> {
        let answers = RefCell::new(transaction.open_table(ANSWERS)?);
        Ok(Self { transaction, answers, shelves: RefCell::default(), now: OffsetDateTime::now_utc() })
    }

    fn with_shelf<T: Record, R>(&self, work: impl FnOnce(&mut Shelf<'txn>) -> Result<R, LedgerError>) -> Result<R, LedgerError> {
        let mut shelves = self.shelves.borrow_mut();
        let at = match shelves.iter().position(|shelf| shelf.records.name() == T::TABLE.name()) {
            Some(at) => at,
            None => {
                shelves.push(Shelf {
                    records: self.transaction.open_table(T::TABLE)?,
                    by_order: self.transaction.open_multimap_table(T::BY_ORDER)?,
                });
                shelves.len() - 1
            }
        };
        work(&mut shelves[at])
    }

    pub(crate) fn get<T: Record>(&self, id: &str) -> Result<Option<T>, LedgerError> {
        self.with_shelf::<T, _>(|shelf| {
            let found = shelf.records.get(id)?;
            found.map(|bytes| decode(bytes.value(), self.now)).transpose()
        })
    }

    pub(crate) fn put<T: Record>(&self, record: &T) -> Result<(), LedgerError> {
        let bytes = serde_json::to_vec(record).expect("records are plain data");
        self.with_shelf::<T, _>(|shelf| {
            let new = shelf.records.insert(record.id(), bytes.as_slice())?.is_none();
            if let (true, Some(order_id)) = (new, record.order_id()) {
                shelf.by_order.insert(order_id, record.id())?;
            }
            Ok(())
        })
    }

    pub(crate) fn answer(&self, partner: &str, key: &str) -> Result<Option<StoredAnswer>, LedgerError> {
        let answers = self.answers.borrow();
        let found = answers.get((partner, key))?;
        Ok(found.map(|row| {
            let (fingerprint, status, body) = row.value();
            StoredAnswer { fingerprint: *fingerprint, status, body: body.to_vec() }
        }))
    }

    pub(crate) fn keep_answer(&self, partner: &str, key: &str, answer: &StoredAnswer) -> Result<(), LedgerError> {
        let row = (&answer.fingerprint, answer.status, answer.body.as_slice());
        self.answers.borrow_mut().insert((partner, key), row)?;
        Ok(())
    }
}

/// The books as a reader sees them: a snapshot.
pub(crate) struct Pages {
    transaction: ReadTransaction,
    pub(crate) now: OffsetDateTime,
}

impl Pages {
    pub(crate) fn get<T: Record>(&self, id: &str) -> Result<Option<T>, LedgerError> {
        let Some(table) = written(self.transaction.open_table(T::TABLE))? else {
            return Ok(None);
        };
        table.get(id)?.map(|bytes| decode(bytes.value(), self.now)).transpose()
    }

    /// Everything of one order, oldest first.
    pub(crate) fn of_order<T: Record>(&self, order_id: &str) -> Result<Vec<T>, LedgerError> {
        let Some(index) = written(self.transaction.open_multimap_table(T::BY_ORDER))? else {
            return Ok(Vec::new());
        };
        let mut records = Vec::new();
        for id in index.get(order_id)? {
            records.extend(self.get(id?.value())?);
        }
        Ok(records)
    }

    /// At most `limit` records created after the one called `after`, and whether there are more.
    pub(crate) fn page<T: Record>(&self, after: Option<&str>, limit: usize) -> Result<(Vec<T>, bool), LedgerError> {
        let mut records = Vec::new();
        let Some(table) = written(self.transaction.open_table(T::TABLE))? else {
            return Ok((records, false));
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        for row in table.range::<&str>((start, Bound::Unbounded))? {
            if records.len() == limit {
                return Ok((records, true));
            }
            records.push(decode(row?.1.value(), self.now)?);
        }
        Ok((records, false))
    }
}

/// A table that nothing was ever written to does not exist yet, which is no error to a reader.
fn written<T>(opened: Result<T, redb::TableError>) -> Result<Option<T>, LedgerError> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn decode<T: Record>(bytes: &[u8], now: OffsetDateTime) -> Result<T, LedgerError> {
    let record: T = serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(format!("a record: {error}")))?;
    Ok(record.at(now))
}
