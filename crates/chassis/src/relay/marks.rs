//! What this process was told is in the stream.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use events::EventId;

/// One acknowledgement: that event is in the stream, in that place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    pub(crate) sequence: u64,
    pub(crate) id: EventId,
}

/// The highest mark of each connection. A server that lives on keeps what it has acknowledged; one that has lived anew may
/// have lost its tail, and if the highest mark from before still stands, so do all below. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Arc<Mutex<BTreeMap<u64, Mark>>>);

impl Marks {
    /// `connects` is the count of connections *before* it was published: its acknowledgement came by that one.
    pub(super) fn set(&self, connects: u64, mark: Mark) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = marks.entry(connects).or_insert(mark);
        if mark.sequence > highest.sequence {
            *highest = mark;
        }
    }

    /// Each connection's.
    pub(super) fn all(&self) -> Vec<(u64, Mark)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(connects, mark)| (*connects, *mark)).collect()
    }

    /// That mark has been looked at; one that was set since then stays. The marks of a connection that lasts stay too.
    pub(super) fn looked_at(&self, connects: u64, mark: Mark, stands: bool, connects_now: u64) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if (!stands || connects < connects_now) && marks.get(&connects) == Some(&mark) {
            marks.remove(&connects);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_highest_of_each_connection_is_kept_until_it_has_been_looked_at() {
        let mark = |sequence, id| Mark { sequence, id: EventId(Uuid::from_u128(id)) };
        let marks = Marks::default();
        marks.set(1, mark(7, 1));
        marks.set(1, mark(6, 2));
        marks.set(2, mark(5, 3));
        assert_eq!(marks.all(), [(1, mark(7, 1)), (2, mark(5, 3))]);
        marks.looked_at(1, mark(7, 1), true, 2);
        marks.looked_at(2, mark(5, 3), true, 2);
        assert_eq!(marks.all(), [(2, mark(5, 3))], "its connection lasts");
        marks.set(2, mark(9, 4));
        marks.looked_at(2, mark(5, 3), false, 2);
        assert_eq!(marks.all(), [(2, mark(9, 4))], "it was set since");
        marks.looked_at(2, mark(9, 4), false, 2);
        assert!(marks.all().is_empty());
    }
}
