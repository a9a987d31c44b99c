//! Rows that are one JSON document under a saga's id: what most participants keep. The statement stays in the service's
//! `store.rs`; this is how its answer meets a [`Table`].

use events::OrderId;
use saga::Table;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{PgConnection, Postgres, types::Json};
use uuid::Uuid;

/// Runs `sql`, which takes `$1::uuid[]`, locks in key order and gives `(id, document)`, and fills the table.
///
/// # Errors
/// What the database says; a document that no longer fits its type is [`sqlx::Error::ColumnDecode`].
pub async fn load<R>(conn: &mut PgConnection, sql: &'static str, table: &mut Table<OrderId, R>) -> sqlx::Result<()>
where
    R: Default + Clone + PartialEq + DeserializeOwned + Send + Unpin + 'static,
{
    let ids: Vec<Uuid> = table.missing().into_iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let found = sqlx::query_as::<Postgres, (Uuid, Json<R>)>(sql).bind(ids).fetch_all(conn).await?;
    table.fill(found.into_iter().map(|(id, Json(row))| (OrderId(id), row)));
    Ok(())
}

/// Runs `sql`, which takes `$1::uuid[]` and `$2::jsonb[]`, for the documents that differ.
///
/// # Errors
/// What the database says.
pub async fn save<R>(conn: &mut PgConnection, sql: &'static str, table: &Table<OrderId, R>) -> sqlx::Result<()>
where
    R: Default + Clone + PartialEq + Serialize + Send + Sync,
{
    let (ids, documents): (Vec<Uuid>, Vec<Json<&R>>) = table.changed().map(|(id, row)| (id.0, Json(row))).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(sql).bind(ids).bind(documents).execute(conn).await?;
    Ok(())
}

/// A row as operators see it: for [`Service::state`](crate::Service::state).
///
/// # Errors
/// When it is no document: a mistake of the program.
pub fn shown(row: Option<impl Serialize>) -> sqlx::Result<Option<serde_json::Value>> {
    row.map(serde_json::to_value).transpose().map_err(|error| sqlx::Error::Encode(error.into()))
}
