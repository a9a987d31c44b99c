//! A shop that has had a million orders, without the hours that they took.
//!
//! One order is played to its end, and every row that it left in the four databases is written again, as often as asked
//! for. What belongs to a saga begins with the saga's birth (the first 48 bits of its ids): another birth in place of that
//! one, in ids and documents alike, makes another saga of it. All moments move by as much: beyond the age that the streams
//! keep, so that nobody looks for these events in a stream, and within that for which the services keep a day.

use anyhow::ensure;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::customers::Customers;
use crate::{Service, Stack, Talk};

/// Behind the streams' greatest age and before the services' retention, in milliseconds: 10 days.
const LONG_AGO: i64 = 10 * DAY;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// The tables that keep what has ended. The others hold what is under way, or for a day.
const CHASSIS: [&str; 2] = ["chassis.claims", "chassis.outbox"];

const fn own(service: Service) -> &'static str {
    match service {
        Service::Order => "public.orders",
        Service::Inventory => "public.reservations",
        Service::Payment => "public.holds",
        Service::Shipping => "public.shipments",
    }
}

/// The columns that are written, each with its kind.
const COLUMNS: &str = "select attname::text, format_type(atttypid, null) from pg_attribute
    where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum";

/// Days of the past have no partitions of themselves.
const MAKE: &str = "select count(*) filter (where chassis.make_day(day)) from generate_series($1::integer, $2::integer) as day";

const KEY: &str = "select attname::text from pg_attribute, pg_index
    where indrelid = $1::text::regclass and indisprimary and attrelid = indrelid and attnum = indkey[0]";

/// Writes so many orders that have ended, as if they had been played.
pub(super) async fn write(stack: &Stack, customers: &Customers, orders: u32, talk: &Talk) -> anyhow::Result<()> {
    let step = talk.step("history");
    step.now(&format!("{orders} orders that have ended"));
    let example = customers.ended_order(stack).await?;
    let written = try_join_all(Service::ALL.map(|service| of_service(stack, service, example, orders))).await?;
    // As the server has done long since: it would be written to the disk while the next orders are measured.
    let mut server = PgConnection::connect(&stack.addresses().superuser_url()).await?;
    sqlx::raw_sql("checkpoint").execute(&mut server).await?;
    server.close().await?;
    step.done(&format!("{orders} orders that have ended, {} rows", written.iter().sum::<u64>()));
    Ok(())
}

async fn of_service(stack: &Stack, service: Service, example: Uuid, orders: u32) -> anyhow::Result<u64> {
    let mut db = PgConnection::connect(&stack.addresses().owner_database_url(service)).await?;
    let youngest = (example.as_u128() >> 80) as i64 - LONG_AGO;
    let (first, last) = ((youngest - i64::from(orders)) / DAY, youngest / DAY);
    sqlx::query(MAKE).bind(i32::try_from(first)?).bind(i32::try_from(last)?).execute(&mut db).await?;
    let mut rows = 0;
    for table in CHASSIS.into_iter().chain([own(service)]) {
        let columns: Vec<(String, String)> = sqlx::query_as(COLUMNS).bind(table).fetch_all(&mut db).await?;
        let key: String = sqlx::query_scalar(KEY).bind(table).fetch_one(&mut db).await?;
        // Names come from PostgreSQL's own catalogue, the rest is bound.
        let copies =
            sqlx::query(AssertSqlSafe(copies(table, &key, &columns))).bind(example).bind(LONG_AGO).bind(i64::from(orders));
        let written = copies.execute(&mut db).await?.rows_affected();
        ensure!(written > 0, "{table} of {service} has nothing of order {example}");
        // As autovacuum has done long since, where orders come one by one.
        sqlx::query(AssertSqlSafe(format!("vacuum analyze {table}"))).execute(&mut db).await?;
        rows += written;
    }
    db.close().await?;
    Ok(rows)
}

/// One statement for all copies of the rows of one order: `$1` is the order, `$2` how long ago its last copy was born, in
/// milliseconds, `$3` how many there are. Each is born a millisecond before the one after it.
fn copies(table: &str, key: &str, columns: &[(String, String)]) -> String {
    let names = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let values = columns.iter().map(|(name, kind)| moved(name, kind)).collect::<Vec<_>>().join(", ");
    format!(
        "with example as (select left($1::uuid::text, 13) as birth),
        copy as (
            select ago, birth, overlay(lpad(to_hex(('x' || replace(birth, '-', ''))::bit(48)::bigint - ago), 12, '0')
                placing '-' from 9 for 0) as born
            from example, generate_series($2::bigint, $2::bigint + $3::bigint - 1) as ago
        )
        insert into {table} ({names})
        select {values} from copy, {table} as original
        where original.{key} between chassis.first_of($1) and chassis.last_of($1)
            and left(original.{key}::text, 13) = copy.birth"
    )
}

fn moved(name: &str, kind: &str) -> String {
    match kind {
        "uuid" | "text" | "json" | "jsonb" => format!("replace(original.{name}::text, birth, born)::{kind}"),
        "timestamp with time zone" => format!("original.{name} - ago * interval '1 millisecond'"),
        _ => format!("original.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_documents_are_born_again_and_moments_move() {
        let column = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
        let columns = [column("id", "uuid"), column("taken_at", "timestamp with time zone"), column("content", "bytea")];
        let sql = copies("chassis.claims", "id", &columns);
        assert!(sql.contains("insert into chassis.claims (id, taken_at, content)"), "{sql}");
        assert!(sql.contains("replace(original.id::text, birth, born)::uuid, original.taken_at - ago"), "{sql}");
        assert!(sql.contains(", original.content from copy"), "{sql}");
    }
}
