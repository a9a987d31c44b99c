//! Whether a service's database is still the one that it was: a failover, a data directory that was put back, or a copy that
//! was restored may have lost what had been committed. A doubt proves nothing: what is lost is looked for by ids.

/// Where a database stands, as a connection finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The server's identity: drawn when its data directory was made.
    pub system: i64,
    /// The database's identity within the server: a copy has another.
    pub database: i64,
    /// Grows with each failover and each recovery to a moment.
    pub timeline: i64,
    /// How far the write-ahead log is on disk, in bytes. It never goes back.
    pub flushed: i64,
}

/// Why a database may have lost something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// It is on another server.
    OtherServer,
    /// It was dropped and made again, or another has taken its name.
    OtherDatabase,
    /// Another server has taken over, or it was recovered to a moment.
    OtherTimeline,
    /// Its log ends before it did: an older data directory.
    Shorter,
}

impl Doubt {
    /// In logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::OtherServer => "other_server",
            Self::OtherDatabase => "other_database",
            Self::OtherTimeline => "other_timeline",
            Self::Shorter => "shorter",
        }
    }
}

/// What is in doubt about a database that stood at `before` and stands at `now`.
pub fn doubt(before: &Place, now: &Place) -> Option<Doubt> {
    if now.system != before.system {
        Some(Doubt::OtherServer)
    } else if now.database != before.database {
        Some(Doubt::OtherDatabase)
    } else if now.timeline != before.timeline {
        Some(Doubt::OtherTimeline)
    } else if now.flushed < before.flushed {
        Some(Doubt::Shorter)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_only_grew_is_not_in_doubt_and_each_way_back_is() {
        let before = Place { system: 1, database: 2, timeline: 3, flushed: 40 };
        for (now, found) in [
            (before, None),
            (Place { flushed: 41, ..before }, None),
            (Place { system: 9, ..before }, Some(Doubt::OtherServer)),
            (Place { database: 9, flushed: 50, ..before }, Some(Doubt::OtherDatabase)),
            (Place { timeline: 4, flushed: 50, ..before }, Some(Doubt::OtherTimeline)),
            (Place { timeline: 2, flushed: 50, ..before }, Some(Doubt::OtherTimeline)),
            (Place { flushed: 39, ..before }, Some(Doubt::Shorter)),
        ] {
            assert_eq!(doubt(&before, &now), found, "{now:?}");
        }
    }
}
