//! A partition of claims and outbox for each day on which sagas are born: made a week ahead, dropped whole when every saga born
//! then has ended. Nothing is deleted row by row, and what has ended does not slow down what goes on.
//!
//! What is about a day without a partition is *late*, and kept beside the days: a duplicate from long ago, or an order that is
//! cancelled after its day has gone. So no input ever waits for a partition, and none is refused for its age. Whoever says
//! that he was born after all days that are made is refused by the partitions, and becomes a dead letter.
//!
//! A day is given up by one write, which the fencing token guards. From then on what is about it is late, and its partitions
//! only wait to be detached and dropped: by whoever leads, however often that is broken off, and for as long as somebody reads.

use std::time::Duration;

use clap::Args;
use events::SagaId;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _, postgres::PgConnectOptions};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{lease::Lease, service::Service, telemetry::Metrics};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// So many days beside today have their partitions.
const AHEAD: i32 = 7;
/// With fewer, somebody should look before there are none.
const AHEAD_MIN: i32 = 3;
/// So long whatever stands in the way of a drop is waited for, before the next look.
pub(crate) const READER_PATIENCE: &str = "2s";

/// How long the past is kept.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long claims and outbox are kept after the day on which a saga was born, and after what happened last to one of that day, such as 14d. Longer than any stream keeps an event.
    #[arg(long, env = "RETENTION", default_value = "14d", value_parser = crate::config::duration)]
    pub retention: Duration,
    /// How often partitions are made and dropped, such as 10m.
    #[arg(long, env = "PARTITIONS_INTERVAL", default_value = "10m", value_parser = crate::config::duration)]
    pub partitions_interval: Duration,
}

/// Whether what is born on `c.day` is late. Beyond today and the days that are made nothing is.
macro_rules! late {
    () => {
        "c.day not in (select day from chassis.days)
            and c.day <= (select greatest(max(day), extract(epoch from clock_timestamp())::bigint / 86400) from chassis.days)"
    };
}
pub(crate) use late;

crate::statements! {
    /// By the database's clock.
    NOW = "select extract(epoch from clock_timestamp())::bigint";

    DAYS = "select day from chassis.days order by day";

    MAKE = "select chassis.make_day($1)";

    /// Why a day cannot go yet: `$1` and `$2` bound its ids, and what happened since `$3` may come again.
    HELD = "select case
        when exists (select from chassis.outbox_pending where id >= $1 and id < $2) then 'an event is not published'
        when exists (select from chassis.intents where id >= $1 and id < $2) then 'a partner has not answered'
        when exists (select from chassis.deadlines where saga >= $1 and saga < $2) then 'a saga is under way'
        when exists (select from chassis.parked where saga >= $1 and saga < $2) then 'a delivery is parked'
        when exists (select from chassis.dead_letters where saga >= $1 and saga < $2 and state = 'dead') then 'there is a dead letter'
        when exists (select from chassis.outbox where id >= $1 and id < $2 and not late and said_at >= to_timestamp($3))
            or exists (select from chassis.claims where id >= $1 and id < $2 and not late and taken_at >= to_timestamp($3))
            then 'something happened lately'
        end";

    /// A leader whose term has ended gives up nothing.
    GIVE_UP = "delete from chassis.days where day = $1
        and exists (select from chassis.leases where job = 'partitions' and token = $2 and expires > clock_timestamp())";

    /// The partitions of days that were given up, and how far they have come.
    GIVEN_UP = "select c.relname::text as name, i.inhrelid is not null as attached, coalesce(i.inhdetachpending, false) as detaching
        from pg_class as c left join pg_inherits as i on i.inhrelid = c.oid
        where c.relnamespace = 'chassis'::regnamespace and c.relkind = 'r' and c.relname ~ '^(claims|outbox)_[0-9]{8}$'
            and right(c.relname, 8) not in (select chassis.name_of_day(day) from chassis.days)
        order by c.relname";

    DROP = "select chassis.drop_detached($1, to_timestamp($2))";
}

/// The day on which whatever has this id was born, counted since 1970-01-01 UTC.
pub(crate) fn day(id: Uuid) -> i32 {
    let birth = Duration::from_millis(SagaId::from(id).birth_ms());
    i32::try_from(birth.as_secs() / DAY.as_secs()).expect("48 bits of milliseconds are fewer days")
}

/// The least and the greatest of these ids: between them the partitions are found before any is opened.
pub(crate) fn bounds(ids: &[Uuid]) -> (Option<Uuid>, Option<Uuid>) {
    (ids.iter().min().copied(), ids.iter().max().copied())
}

/// The first id of that day.
fn first_of(day: i32) -> Uuid {
    let birth = u128::from(day.unsigned_abs()) * DAY.as_millis();
    Uuid::from_u128(birth << 80)
}

/// What is to be done about the days that there are.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Plan {
    /// Without partitions as yet.
    make: Vec<i32>,
    /// Old enough to go, once nothing holds them.
    old: Vec<i32>,
}

/// `now` in seconds since 1970; `days` have their partitions.
fn plan(now: i64, days: &[i32], retention: Duration) -> Plan {
    let (length, retention) = (DAY.as_secs().cast_signed(), i64::try_from(retention.as_secs()).unwrap_or(i64::MAX));
    let today = today(now);
    let ended = |day: &i32| (i64::from(*day) + 1).saturating_mul(length).saturating_add(retention) <= now;
    Plan {
        make: (today..=today.saturating_add(AHEAD)).filter(|day| !days.contains(day)).collect(),
        old: days.iter().copied().filter(ended).collect(),
    }
}

fn today(now: i64) -> i32 {
    i32::try_from(now / DAY.as_secs().cast_signed()).unwrap_or(i32::MAX)
}

/// How many days after today have their partitions, without a gap.
fn ahead(now: i64, days: &[i32]) -> i32 {
    (1..).take_while(|n| days.contains(&today(now).saturating_add(*n))).last().unwrap_or(0)
}

/// Makes what is missing of today and the week ahead. Whoever comes at the same time waits, and finds it made.
pub(crate) async fn make(conn: &mut PgConnection, retention: Duration) -> sqlx::Result<()> {
    let now: i64 = sqlx::query_scalar(NOW).fetch_one(&mut *conn).await?;
    let days: Vec<i32> = sqlx::query_scalar(DAYS).fetch_all(&mut *conn).await?;
    for day in plan(now, &days, retention).make {
        if sqlx::query_scalar::<_, bool>(MAKE).bind(day).fetch_one(&mut *conn).await? {
            tracing::info!(day, "the partitions of a day are made");
        }
    }
    Ok(())
}

/// The one who makes and drops partitions.
pub(crate) struct Upkeep {
    pub(crate) lease: Lease,
    /// As the owner of the tables: the role of the service can make and drop nothing.
    pub(crate) owner: PgConnectOptions,
    pub(crate) pool: PgPool,
    pub(crate) metrics: Metrics,
    pub(crate) settings: Settings,
}

impl Upkeep {
    /// Until `stop`.
    pub(crate) async fn run<S: Service>(mut self, stop: CancellationToken) {
        loop {
            let token = tokio::select! {
                () = stop.cancelled() => return,
                token = self.lease.wait() => token,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                passed = self.pass::<S>(token) => if let Err(error) = passed {
                    tracing::warn!(%error, "partitions are looked after later");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(self.settings.partitions_interval) => {}
            }
        }
    }

    async fn pass<S: Service>(&self, token: i64) -> sqlx::Result<()> {
        let mut conn = PgConnection::connect_with(&self.owner).await?;
        let made = make(&mut conn, self.settings.retention).await;
        let now: i64 = sqlx::query_scalar(NOW).fetch_one(&mut conn).await?;
        let days: Vec<i32> = sqlx::query_scalar(DAYS).fetch_all(&mut conn).await?;
        let ahead = ahead(now, &days);
        self.metrics.set_partitions_ahead(ahead.unsigned_abs().into());
        if ahead < AHEAD_MIN {
            tracing::error!(ahead, "partitions are not made a week ahead");
        }
        let since = now.saturating_sub_unsigned(self.settings.retention.as_secs());
        let given_up = self.give_up::<S>(&mut conn, token, plan(now, &days, self.settings.retention).old, since).await;
        clear(&mut conn, since).await?;
        made.and(given_up)?;
        conn.close().await
    }

    /// Gives up those of the old days that nothing holds.
    async fn give_up<S: Service>(&self, conn: &mut PgConnection, token: i64, old: Vec<i32>, since: i64) -> sqlx::Result<()> {
        let mut held = 0;
        for day in old {
            match self.holds::<S>(conn, day, since).await? {
                Some(why) => {
                    held += 1;
                    tracing::info!(day, why, "an old day is kept");
                }
                None => {
                    if sqlx::query(GIVE_UP).bind(day).bind(token).execute(&mut *conn).await?.rows_affected() == 1 {
                        tracing::info!(day, "a day is given up");
                    }
                }
            }
        }
        self.metrics.set_partitions_held(held);
        Ok(())
    }

    /// Why that day cannot go yet, if it cannot.
    async fn holds<S: Service>(&self, conn: &mut PgConnection, day: i32, since: i64) -> sqlx::Result<Option<String>> {
        let (first, until) = (first_of(day), first_of(day + 1));
        if S::has_open_between(&self.pool, first.into(), until.into()).await? {
            return Ok(Some("a saga has not ended".to_owned()));
        }
        sqlx::query_scalar(HELD).bind(first).bind(until).bind(since as f64).fetch_one(conn).await
    }
}

/// Detaches and drops what was given up, as far as nobody reads there.
async fn clear(conn: &mut PgConnection, since: i64) -> sqlx::Result<()> {
    for row in sqlx::query(GIVEN_UP).fetch_all(&mut *conn).await? {
        let name: String = row.try_get("name")?;
        if let Err(error) = clear_one(conn, &name, row.try_get("attached")?, row.try_get("detaching")?, since).await {
            tracing::info!(partition = name, %error, "a partition waits to be dropped");
        }
    }
    Ok(())
}

/// It is not waited for whoever reads elsewhere: he may take hours, and goes on reading what he has begun with.
async fn clear_one(conn: &mut PgConnection, name: &str, attached: bool, detaching: bool, since: i64) -> sqlx::Result<()> {
    if attached {
        let table = name.split('_').next().unwrap_or_default();
        let how = if detaching { "finalize" } else { "concurrently" };
        // Its name comes from the catalogue, and has no other characters than these.
        let detach = format!("alter table chassis.{table}_by_day detach partition chassis.{name} {how}");
        sqlx::raw_sql(AssertSqlSafe(detach)).execute(&mut *conn).await?;
    }
    let moved: i64 = sqlx::query_scalar(DROP).bind(name).bind(since as f64).fetch_one(conn).await?;
    tracing::info!(partition = name, moved, "a partition is dropped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 20_000 * 86_400 + 43_200;

    #[test]
    fn today_and_a_week_are_made_and_only_what_is_missing() {
        let all: Vec<i32> = (20_000..=20_007).collect();
        assert_eq!(plan(NOON, &[], DAY).make, all);
        assert_eq!(plan(NOON, &all, DAY), Plan { make: vec![], old: vec![] });
        let midnight = 20_001 * 86_400;
        assert_eq!(plan(midnight, &all, DAY).make, [20_008]);
        assert_eq!(plan(midnight - 1, &all, DAY).make, [] as [i32; 0]);
        assert_eq!(plan(NOON, &[20_000, 20_002, 20_003, 20_004, 20_005, 20_007], DAY).make, [20_001, 20_006]);
    }

    #[test]
    fn a_day_is_old_when_its_end_is_past_retention() {
        let days = [19_998, 19_999, 20_000, 20_001];
        assert_eq!(plan(NOON, &days, DAY).old, [19_998]);
        assert_eq!(plan(NOON, &days, DAY / 2).old, [19_998, 19_999]);
        assert_eq!(plan(NOON, &days, Duration::ZERO).old, [19_998, 19_999]);
        assert_eq!(plan(NOON, &days, Duration::MAX).old, [] as [i32; 0]);
    }

    #[test]
    fn what_is_ahead_is_counted_up_to_the_first_gap() {
        assert_eq!(ahead(NOON, &[]), 0);
        assert_eq!(ahead(NOON, &[20_000, 20_001, 20_002, 20_004]), 2);
    }

    #[test]
    fn an_id_is_of_the_day_of_its_birth() {
        assert_eq!(day(first_of(20_000)), 20_000);
        assert_eq!(day(Uuid::from_u128(first_of(20_001).as_u128() - 1)), 20_000);
        assert_eq!(day(Uuid::nil()), 0);
        assert_eq!(day(Uuid::max()), 3_257_812);
    }
}
