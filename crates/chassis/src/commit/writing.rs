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
        self.sql.push_str(if self.parts == 0 { "with " } else { ", " });
        let _ = write!(self.sql, "part_{} as (", self.parts);
        number_on(&mut self.sql, sql, self.values.len());
        self.sql.push(')');
        self.parts += 1;
        Part { writing: self }
    }

    /// Runs them.
    pub(super) async fn run(self, conn: &mut PgConnection) -> sqlx::Result<Counts> {
        if let Some(unfit) = self.unfit {
            return Err(sqlx::Error::Encode(unfit));
        }
        if self.parts == 0 {
            return Ok(Counts::default());
        }
        let count = |which| {
            let parts = self.counted.iter().filter(|(counted, _)| *counted == which);
            parts.fold("0::bigint".to_owned(), |sum, (_, part)| format!("{sum} + (select count(*) from part_{part})"))
        };
        let sql = format!("{} select {}, {}", self.sql, count(Counted::Claims), count(Counted::Said));
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
