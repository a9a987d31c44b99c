//! One row at a time, each in a transaction of its own: what this machine's disk allows.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::{Service, Stack};

const TABLE: &str = "create table bare (id bigint generated always as identity primary key, body text not null)";
const ONE_ROW: &str = "insert into bare (body) values ('one row')";
const NO_TABLE: &str = "drop table bare";
/// What went before still goes on, and the first that follow wait for it.
const SLOWER_AT_FIRST: usize = 20;

/// Into a table of the order service's database.
pub(super) struct BareCommits(PgConnection);

impl BareCommits {
    pub(super) async fn begin(stack: &Stack) -> anyhow::Result<Self> {
        let mut db = PgConnection::connect(&stack.addresses().owner_database_url(Service::Order)).await?;
        sqlx::query(TABLE).execute(&mut db).await?;
        Ok(Self(db))
    }

    /// How long each of so many took.
    pub(super) async fn some(&mut self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        for n in 0..SLOWER_AT_FIRST + count {
            let started = Instant::now();
            sqlx::query(ONE_ROW).execute(&mut self.0).await?;
            if n >= SLOWER_AT_FIRST {
                times.push(started.elapsed());
            }
        }
        Ok(times)
    }

    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        sqlx::query(NO_TABLE).execute(&mut self.0).await?;
        Ok(self.0.close().await?)
    }
}
