//! Everything that a transaction writes, gathered into one statement: a message costs more than what is said in it.

use std::fmt::Write as _;

use sqlx::{Arguments as _, AssertSqlSafe, Encode, PgConnection, Postgres, Type, error::BoxDynError, postgres::PgArguments};

use crate::postgres::spanned;

/// Statements that change rows, to be run as one. Each sees what was there before all of them, so no row may be changed by two
/// ([data-modifying statements in `with`](https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING)).
#[derive(Default)]
pub struct Writing {
    sql: String,
    parts: usize,
    values: PgArguments,
    counted: Vec<(Counted, usize)>,
    unfit: Option<BoxDynError>,
}

/// One of the statements: a value is to be bound for each of its `$1`, `$2`, and so on.
pub struct Part<'w> {
    writing: &'w mut Writing,
}

/// What is written beside the claims, when some of it may be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beside {
    /// Nothing is there of what comes of claims that are new; and where one is not, nothing is written. To look for each row
    /// before it is written costs an eighth of all that a batch costs PostgreSQL.
    NewClaims,
    /// What is there stays, and the new rows are counted.
    AnyClaims,
}

/// Whose new rows are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counted {
    Claims,
    Said,
}

/// How many rows were new.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub(super) claims: usize,
    pub(super) said: usize,
}

impl Writing {
    /// Adds a statement. It is no `select`, and has no `$` but those of its parameters.
    pub fn add(&mut self, sql: &'static str) -> Part<'_> {
        self.part(sql, "")
    }

    /// So many claims are to be new: what is added behind this [`Beside::NewClaims`] is written if they are.
    pub(super) fn expect_claims(&mut self, claims: usize) {
        let count = self.count(Counted::Claims);
        self.begin();
        let _ = write!(self.sql, " claimed as (select {count} = ${} as all_new)", self.values.len() + 1);
        Part { writing: self }.bind(i64::try_from(claims).unwrap_or(i64::MAX));
    }

    /// Adds an `insert` that ends with what it reads from.
    pub(super) fn insert(&mut self, sql: &'static str, beside: Beside) -> Part<'_> {
        let end = match beside {
            Beside::NewClaims => " where (select all_new from claimed)",
            Beside::AnyClaims => " on conflict do nothing returning id",
        };
        self.part(sql, end)
    }

    fn part(&mut self, sql: &str, end: &str) -> Part<'_> {
        self.begin();
        let _ = write!(self.sql, " part_{} as (", self.parts);
        number_on(&mut self.sql, sql, self.values.len());
        let _ = write!(self.sql, "{end})");
        self.parts += 1;
        Part { writing: self }
    }

    fn begin(&mut self) {
        self.sql.push_str(if self.sql.is_empty() { "with" } else { "," });
    }

    fn count(&self, which: Counted) -> String {
        let parts = self.counted.iter().filter(|(counted, _)| *counted == which);
        parts.fold("0::bigint".to_owned(), |sum, (_, part)| format!("{sum} + (select count(*) from part_{part})"))
    }

    /// Runs them.
    pub(super) async fn run(self, conn: &mut PgConnection) -> sqlx::Result<Counts> {
        if let Some(unfit) = self.unfit {
            return Err(sqlx::Error::Encode(unfit));
        }
        if self.parts == 0 {
            return Ok(Counts::default());
        }
        let sql = format!("{} select {}, {}", self.sql, self.count(Counted::Claims), self.count(Counted::Said));
        let written = sqlx::query_as_with::<_, (i64, i64), _>(AssertSqlSafe(sql), self.values);
        let (claims, said) = spanned("write", written.fetch_one(conn)).await?;
        let count = |count: i64| usize::try_from(count).unwrap_or_default();
        Ok(Counts { claims: count(claims), said: count(said) })
    }
}

impl Part<'_> {
    /// Binds its next value.
    pub fn bind<'q, T: Encode<'q, Postgres> + Type<Postgres>>(self, value: T) -> Self {
        if let Err(unfit) = self.writing.values.add(value) {
            self.writing.unfit.get_or_insert(unfit);
        }
        self
    }

    /// Its `returning` is counted.
    pub(super) fn counted(self, counted: Counted) -> Self {
        self.writing.counted.push((counted, self.writing.parts - 1));
        self
    }
}

/// Appends the statement, whose parameters come behind so many that are bound before: `$1` becomes `$8` behind seven.
fn number_on(text: &mut String, sql: &str, bound: usize) {
    let mut pieces = sql.split('$');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = piece.split_at(digits);
        let _ = match number.parse::<usize>() {
            Ok(number) => write!(text, "${}{rest}", bound + number),
            Err(_) => write!(text, "${piece}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_claims_that_are_new_nothing_is_looked_for() {
        let written = |beside| {
            let mut writing = Writing::default();
            writing.add("insert into a select $1 returning id").bind(1).counted(Counted::Claims);
            writing.expect_claims(1);
            writing.insert("insert into b select $1", beside).bind(2);
            writing.sql
        };
        let claims = "with part_0 as (insert into a select $1 returning id), \
                      claimed as (select 0::bigint + (select count(*) from part_0) = $2 as all_new), ";
        assert_eq!(
            written(Beside::NewClaims),
            format!("{claims}part_1 as (insert into b select $3 where (select all_new from claimed))")
        );
        assert_eq!(
            written(Beside::AnyClaims),
            format!("{claims}part_1 as (insert into b select $3 on conflict do nothing returning id)")
        );
    }

    #[test]
    fn parameters_are_numbered_on() {
        let mut writing = Writing::default();
        writing.add("delete from a where id = any($1) and n < $2").bind(vec![1]).bind(2);
        writing.add("insert into b select $2, $1 returning id").bind(3).bind(4).counted(Counted::Said);
        assert_eq!(
            writing.sql,
            "with part_0 as (delete from a where id = any($1) and n < $2), part_1 as (insert into b select $4, $3 returning id)"
        );
        assert_eq!(writing.counted, [(Counted::Said, 1)]);
    }
}
