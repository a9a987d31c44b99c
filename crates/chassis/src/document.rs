//! Rows that are one JSON document under a saga's id: what most participants keep. The statement stays in the service's
//! `store.rs`; this is how its answer meets a [`Table`].

use events::OrderId;
use saga::Table;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{FromRow as _, types::Json};
use uuid::Uuid;

use crate::commit::{Opening, Writing};

/// Runs `sql`, which takes `$1::uuid[]` and nothing else and gives `(id, document)`, and fills the table. Asked first, it goes in
/// the message that opens the transaction. It need lock nothing: the sagas are the transaction's own by then, rows that do not
/// exist yet among theirs.
///
/// # Errors
/// What the database says; a document that no longer fits its type is [`sqlx::Error::ColumnDecode`].
pub async fn load<R>(opening: &mut Opening<'_>, sql: &'static str, table: &mut Table<OrderId, R>) -> sqlx::Result<()>
where
    R: Default + Clone + PartialEq + DeserializeOwned + Send + Unpin + 'static,
{
    let ids: Vec<Uuid> = table.missing().into_iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let found = opening.rows(sql, ids).await?;
    let rows: sqlx::Result<Vec<_>> =
        found.iter().map(|row| <(Uuid, Json<R>)>::from_row(row).map(|(id, Json(row))| (OrderId(id), row))).collect();
    table.fill(rows?);
    Ok(())
}

/// Adds `sql`, which takes `$1::uuid[]` and `$2::jsonb[]`, for the documents that differ, if any do.
pub fn save<R>(writing: &mut Writing, sql: &'static str, table: &Table<OrderId, R>)
where
    R: Default + Clone + PartialEq + Serialize,
{
    let (ids, documents): (Vec<Uuid>, Vec<Json<&R>>) = table.changed().map(|(id, row)| (id.0, Json(row))).unzip();
    if !ids.is_empty() {
        writing.add(sql).bind(ids).bind(documents);
    }
}

/// A row as operators see it: for [`Service::state`](crate::Service::state).
///
/// # Errors
/// When it is no document: a mistake of the program.
pub fn shown(row: Option<impl Serialize>) -> sqlx::Result<Option<serde_json::Value>> {
    row.map(serde_json::to_value).transpose().map_err(|error| sqlx::Error::Encode(error.into()))
}
