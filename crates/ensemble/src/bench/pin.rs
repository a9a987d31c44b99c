//! A transaction that goes on for long, as that of a dump: no vacuum clears away what it may still want to see.

use futures_util::future::try_join_all;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{Service, Stack};

/// One in each database.
pub(super) struct Pin(Vec<PgConnection>);

impl Pin {
    pub(super) async fn set(stack: &Stack) -> anyhow::Result<Self> {
        let set = Service::ALL.map(|service| async move {
            let mut db = PgConnection::connect(&stack.addresses().owner_database_url(service)).await?;
            db.execute("begin isolation level repeatable read, read only").await?;
            // What it has seen is fixed with its first look.
            db.execute("select count(*) from chassis.outbox_pending").await?;
            anyhow::Ok(db)
        });
        Ok(Self(try_join_all(set).await?))
    }

    /// Fails when one of them has not lasted.
    pub(super) async fn lift(self) -> anyhow::Result<()> {
        for mut db in self.0 {
            db.execute("commit").await?;
            db.close().await?;
        }
        Ok(())
    }
}
