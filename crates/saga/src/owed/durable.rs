//! Whether a reader's durable consumer still stands where the reader does, and from where it is made anew when it does not.

/// A place in a stream up to which everything has been taken, and what stands there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The place.
    pub sequence: u64,
    /// The `Nats-Msg-Id` of the message there: it tells whether the stream below is the one that was read.
    pub id: String,
}

/// What the reader has written down about a durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// When its stream was made, in nanoseconds since 1970.
    pub stream_created: i64,
    /// When the durable was made, in nanoseconds since 1970.
    pub created: i64,
    /// The life of the server that it was last seen in.
    pub server: String,
    /// The highest place up to which everything has been taken.
    pub position: Option<Position>,
}

/// What the broker says about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// When its stream was made, in nanoseconds since 1970.
    pub stream_created: i64,
    /// The lowest sequence of the stream.
    pub first: u64,
    /// The highest.
    pub last: u64,
    /// When the durable was made, in nanoseconds since 1970; none when there is none.
    pub created: Option<i64>,
    /// The highest sequence that it has delivered.
    pub delivered: u64,
    /// The life of the server.
    pub server: String,
}

/// Why the durable may have skipped something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// It is not there.
    Gone,
    /// Its stream is another one of the same name.
    OtherStream,
    /// It is another one of the same name, and may have begun anywhere.
    OtherDurable,
    /// The server lived anew. It keeps durables in memory; one that it still had on disk may stand beside an older stream, for
    /// of two stores neither is synced with the other.
    ServerRestarted,
    /// The stream ends before what was taken from it.
    StreamShorter,
    /// It stands ahead of its stream. NATS 2.10 then delivers nothing until the stream has caught up, and never what it was
    /// filled with until then.
    Ahead,
    /// Another message stands where the reader was.
    Refilled,
}

impl Doubt {
    /// In logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::OtherStream => "other_stream",
            Self::OtherDurable => "other_durable",
            Self::ServerRestarted => "server_restarted",
            Self::StreamShorter => "stream_shorter",
            Self::Ahead => "ahead",
            Self::Refilled => "refilled",
        }
    }
}

/// What is in doubt about a durable; `there` is what its stream holds where the reader's position is.
pub fn doubt(known: &Known, seen: &Seen, there: Option<&str>) -> Option<Doubt> {
    if seen.stream_created != known.stream_created {
        return Some(Doubt::OtherStream);
    }
    // First, for a server that lives anew has forgotten its durables, or may give them another moment of birth.
    if seen.server != known.server {
        return Some(Doubt::ServerRestarted);
    }
    let Some(created) = seen.created else { return Some(Doubt::Gone) };
    if created != known.created {
        return Some(Doubt::OtherDurable);
    }
    if seen.delivered > seen.last {
        return Some(Doubt::Ahead);
    }
    let position = known.position.as_ref()?;
    if position.sequence > seen.last {
        Some(Doubt::StreamShorter)
    } else if position.sequence >= seen.first && there != Some(position.id.as_str()) {
        Some(Doubt::Refilled)
    } else {
        None
    }
}

/// Of positions, those that are worth keeping: one for each doubling of the distance from the highest. Whatever part of its
/// tail a stream has lost, a durable that begins at the highest position that still stands reads little more than twice that
/// again.
pub fn worth_keeping(positions: &[u64]) -> Vec<u64> {
    let Some(highest) = positions.iter().copied().max() else { return Vec::new() };
    let mut kept: Vec<(u32, u64)> = Vec::new();
    let mut sorted = positions.to_vec();
    sorted.sort_unstable();
    for sequence in sorted {
        // The number of bits: 0 for the highest itself. The lowest of each stays, or none would ever grow old.
        let distance = u64::BITS - (highest - sequence).leading_zeros();
        if kept.iter().all(|(other, _)| *other != distance) {
            kept.push((distance, sequence));
        }
    }
    kept.into_iter().map(|(_, sequence)| sequence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known { stream_created: 1, created: 2, server: "a".into(), position: Some(Position { sequence: 7, id: "x".into() }) }
    }

    fn seen() -> Seen {
        Seen { stream_created: 1, first: 1, last: 9, created: Some(2), delivered: 9, server: "a".into() }
    }

    #[test]
    fn a_durable_that_stands_where_its_reader_does_is_left_alone() {
        assert_eq!(doubt(&known(), &seen(), Some("x")), None);
        assert_eq!(doubt(&Known { position: None, ..known() }, &seen(), None), None);
        assert_eq!(doubt(&known(), &Seen { first: 8, ..seen() }, None), None, "what was taken has gone by its age");
    }

    #[test]
    fn each_way_to_skip_something_is_a_doubt() {
        let found = |seen: Seen, there| doubt(&known(), &seen, there);
        assert_eq!(found(Seen { created: None, ..seen() }, Some("x")), Some(Doubt::Gone));
        assert_eq!(found(Seen { stream_created: 3, ..seen() }, Some("x")), Some(Doubt::OtherStream));
        assert_eq!(found(Seen { created: Some(3), ..seen() }, Some("x")), Some(Doubt::OtherDurable));
        assert_eq!(found(Seen { server: "b".into(), ..seen() }, Some("x")), Some(Doubt::ServerRestarted));
        let forgotten = Seen { server: "b".into(), created: None, ..seen() };
        assert_eq!(found(forgotten, Some("x")), Some(Doubt::ServerRestarted), "nobody has deleted it");
        assert_eq!(found(Seen { last: 6, delivered: 5, ..seen() }, None), Some(Doubt::StreamShorter));
        assert_eq!(found(Seen { last: 8, ..seen() }, Some("x")), Some(Doubt::Ahead));
        assert_eq!(found(seen(), Some("y")), Some(Doubt::Refilled));
        assert_eq!(found(seen(), None), Some(Doubt::Refilled));
    }

    #[test]
    fn positions_thin_out_with_their_distance_and_the_oldest_stay() {
        assert_eq!(worth_keeping(&[]), [0_u64; 0]);
        assert_eq!(worth_keeping(&[5]), [5]);
        let mut kept = Vec::new();
        for sequence in 1..=10_000 {
            kept.push(sequence);
            kept = worth_keeping(&kept);
            assert!(kept.len() <= 15, "{kept:?}");
        }
        for lost in [1_u64, 10, 100, 1_000, 5_000] {
            let stands = kept.iter().copied().filter(|kept| *kept <= 10_000 - lost).max().expect("one still stands");
            assert!(10_000 - stands <= lost * 4, "{lost} were lost, and {stands} is the highest that stands: {kept:?}");
        }
    }
}
