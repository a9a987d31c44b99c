//! How a transaction opens: what it begins with waits for its first statement and goes with it, for a message costs more than
//! what is said in it.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};
use uuid::Uuid;

use crate::postgres::spanned;

/// A transaction that may not have begun yet.
pub struct Opening<'c> {
    conn: &'c mut PgConnection,
    first: Option<First<'c>>,
}

/// What has not been sent yet. Several statements in one message take no parameters, and are planned anew each time, unless they
/// are prepared under a name: so they are, and the ids that they are for, nothing else, are written into the message.
struct First<'c> {
    prepared: &'c mut Vec<&'static str>,
    prepare: String,
    execute: String,
}

impl<'c> Opening<'c> {
    /// To begin with the statement `lock` for these names. `prepared` are those that the connection knows.
    pub(super) fn new(
        conn: &'c mut PgConnection,
        prepared: &'c mut Vec<&'static str>,
        lock: &'static str,
        names: impl IntoIterator<Item = Uuid>,
    ) -> Self {
        let mut first = First { prepared, prepare: String::new(), execute: "begin".to_owned() };
        first.add(lock, names);
        Self { conn, first: Some(first) }
    }

    /// A transaction that has begun.
    pub(super) fn begun(conn: &'c mut PgConnection) -> Self {
        Self { conn, first: None }
    }

    /// The connection, inside the transaction.
    ///
    /// # Errors
    /// What the database says.
    pub async fn opened(&mut self) -> sqlx::Result<&mut PgConnection> {
        if let Some(first) = self.first.take() {
            first.send(&mut *self.conn).await?;
        }
        Ok(self.conn)
    }

    /// The rows of a statement that takes `$1::uuid[]` and nothing else: if nothing has been sent yet, it goes with the first.
    pub(crate) async fn rows(&mut self, sql: &'static str, ids: Vec<Uuid>) -> sqlx::Result<Vec<PgRow>> {
        match self.first.take() {
            Some(mut first) => {
                first.add(sql, ids);
                first.send(&mut *self.conn).await
            }
            None => sqlx::query(sql).bind(ids).fetch_all(&mut *self.conn).await,
        }
    }
}

impl First<'_> {
    fn add(&mut self, sql: &'static str, ids: impl IntoIterator<Item = Uuid>) {
        let place = self.prepared.iter().position(|known| *known == sql).unwrap_or_else(|| {
            let _ = write!(self.prepare, "prepare opening_{} (uuid[]) as {sql}; ", self.prepared.len());
            self.prepared.push(sql);
            self.prepared.len() - 1
        });
        let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
        let _ = write!(self.execute, "; execute opening_{place} ('{{{}}}')", ids.join(","));
    }

    async fn send(self, conn: &mut PgConnection) -> sqlx::Result<Vec<PgRow>> {
        let message = AssertSqlSafe(self.prepare + &self.execute);
        spanned("begin", sqlx::raw_sql(message).fetch_all(conn)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_prepared_once_for_each_connection() {
        let mut prepared = vec!["select a"];
        let mut first = First { prepared: &mut prepared, prepare: String::new(), execute: "begin".to_owned() };
        first.add("select b", [Uuid::nil(), Uuid::max()]);
        first.add("select a", []);
        assert_eq!(first.prepare, "prepare opening_1 (uuid[]) as select b; ");
        assert_eq!(
            first.execute,
            "begin; execute opening_1 ('{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}'); \
             execute opening_0 ('{}')"
        );
        assert_eq!(prepared, ["select a", "select b"]);
    }
}
