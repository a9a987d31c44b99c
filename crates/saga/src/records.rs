//! The rows that a batch of inputs works on. One type is key set, working set and, in a test or a model, the store.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    hash::{Hash, Hasher},
};

/// A participant's tables, in the order in which they are locked. Written by [`records!`](macro@crate::records).
pub trait Records: Default + Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// Fills what is wanted from a store in memory, table by table; rows of an earlier table may want rows of a later one.
    fn load(&mut self, from: &Self);
    /// Writes what differs from what was loaded.
    fn write(self, to: &mut Self);
    /// From here on changes can be taken back.
    fn begin(&mut self);
    /// Takes back what was changed since [`begin`](Self::begin).
    fn rollback(&mut self);
}

/// Rows by key. A row that is not stored is `R::default()`.
#[derive(Clone)]
pub struct Table<K, R> {
    rows: BTreeMap<K, Slot<R>>,
    touched: Vec<K>,
}

#[derive(Clone, Default)]
struct Slot<R> {
    loaded: bool,
    /// Whether the store has it.
    stored: bool,
    now: R,
    /// As it was loaded, if it has been in hand to change before the last [`Records::begin`].
    loaded_as: Option<R>,
    /// As it was at [`Records::begin`]; none while nobody has had it in hand since.
    before: Option<R>,
}

impl<R> Slot<R> {
    const fn stored(row: R) -> Self {
        Self { loaded: true, stored: true, now: row, loaded_as: None, before: None }
    }
}

impl<R: Default + PartialEq> Slot<R> {
    fn is_changed(&self) -> bool {
        let unwritten = !self.stored && self.now != R::default();
        unwritten || self.stored && self.loaded_as.as_ref().or(self.before.as_ref()).is_some_and(|loaded| *loaded != self.now)
    }
}

impl<K, R> Default for Table<K, R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), touched: Vec::new() }
    }
}

impl<K: Ord + Clone + Debug, R: Default + Clone + PartialEq> Table<K, R> {
    /// Marks rows as wanted.
    pub fn want(&mut self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            self.rows.entry(key).or_default();
        }
    }

    /// The keys that are wanted and not loaded, in order: what the store is to read, and to lock where others than its saga write it.
    pub fn missing(&self) -> Vec<K> {
        self.rows.iter().filter(|(_, slot)| !slot.loaded).map(|(key, _)| key.clone()).collect()
    }

    /// Takes the rows that the store found for [`missing`](Self::missing). What it did not find is not stored.
    pub fn fill(&mut self, found: impl IntoIterator<Item = (K, R)>) {
        for (key, row) in found {
            self.rows.insert(key, Slot::stored(row));
        }
        for slot in self.rows.values_mut() {
            slot.loaded = true;
        }
    }

    /// The row, to change.
    ///
    /// # Panics
    /// When `touches` did not want it: the batch must not go on, for the row was not read.
    pub fn of(&mut self, key: &K) -> &mut R {
        let slot = self
            .rows
            .get_mut(key)
            .filter(|slot| slot.loaded)
            .unwrap_or_else(|| panic!("`{key:?}` is used, but `touches` did not name it"));
        if slot.before.is_none() {
            slot.before = Some(slot.now.clone());
            self.touched.push(key.clone());
        }
        &mut slot.now
    }

    /// The row, to read; none when it is not stored.
    ///
    /// # Panics
    /// As [`of`](Self::of).
    pub fn read(&self, key: &K) -> &R {
        let slot = self
            .rows
            .get(key)
            .filter(|slot| slot.loaded)
            .unwrap_or_else(|| panic!("`{key:?}` is read, but `touches` did not name it"));
        &slot.now
    }

    /// The rows that differ from what was loaded, in order of their keys.
    pub fn changed(&self) -> impl Iterator<Item = (&K, &R)> {
        self.rows.iter().filter(|(_, slot)| slot.is_changed()).map(|(key, slot)| (key, &slot.now))
    }

    /// The row, if it is there: for who looks into a store in memory.
    pub fn get(&self, key: &K) -> Option<&R> {
        self.rows.get(key).map(|slot| &slot.now)
    }

    /// The rows that are there, in order of their keys.
    pub fn rows(&self) -> impl Iterator<Item = (&K, &R)> {
        self.rows.iter().map(|(key, slot)| (key, &slot.now))
    }

    /// Puts a row there as if it had been stored: for a store in memory.
    pub fn put(&mut self, key: K, row: R) {
        self.rows.insert(key, Slot::stored(row));
    }

    /// [`Records::load`] of one table.
    pub fn load(&mut self, from: &Self) {
        for (key, slot) in self.rows.iter_mut().filter(|(_, slot)| !slot.loaded) {
            if let Some(found) = from.rows.get(key) {
                *slot = Slot::stored(found.now.clone());
            }
            slot.loaded = true;
        }
    }

    /// [`Records::write`] of one table.
    pub fn write(self, to: &mut Self) {
        for (key, slot) in self.rows {
            if slot.is_changed() {
                to.put(key, slot.now);
            }
        }
    }

    /// [`Records::begin`] of one table.
    pub fn begin(&mut self) {
        for key in self.touched.drain(..) {
            if let Some(slot) = self.rows.get_mut(&key) {
                let before = slot.before.take();
                slot.loaded_as = slot.loaded_as.take().or(before);
            }
        }
    }

    /// [`Records::rollback`] of one table.
    pub fn rollback(&mut self) {
        for key in self.touched.drain(..) {
            if let Some(slot) = self.rows.get_mut(&key)
                && let Some(before) = slot.before.take()
            {
                slot.now = before;
            }
        }
    }

    fn present(&self) -> impl Iterator<Item = (&K, &R)> {
        let absent = R::default();
        self.rows.iter().filter(move |(_, slot)| slot.now != absent).map(|(key, slot)| (key, &slot.now))
    }
}

impl<K: Ord + Clone + Debug, R: Default + Clone + PartialEq> PartialEq for Table<K, R> {
    /// A row that is not stored equals the default, so only what is there counts.
    fn eq(&self, other: &Self) -> bool {
        self.present().eq(other.present())
    }
}

impl<K: Ord + Clone + Debug, R: Default + Clone + Eq> Eq for Table<K, R> {}

impl<K: Ord + Clone + Debug + Hash, R: Default + Clone + PartialEq + Hash> Hash for Table<K, R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for row in self.present() {
            row.hash(state);
        }
    }
}

impl<K: Ord + Clone + Debug, R: Default + Clone + PartialEq + Debug> Debug for Table<K, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.present()).finish()
    }
}

/// Declares a participant's tables in the order in which they are locked, and, where rows of an earlier table name
/// rows of a later one, how (`reach`; called after each table is loaded, it only ever wants more of later tables).
///
/// ```
/// use saga::{Records, Table};
/// saga::records! {
///     /// What a library keeps.
///     pub struct Shelves {
///         /// Who has which book.
///         pub loans: Table<u32, Vec<String>>,
///         /// Copies there.
///         pub books: Table<String, u32>,
///     }
///     reach |shelves| {
///         let named: Vec<String> = shelves.loans.rows().flat_map(|(_, books)| books.clone()).collect();
///         shelves.books.want(named);
///     }
/// }
/// ```
#[macro_export]
macro_rules! records {
    ( $(#[$doc:meta])* pub struct $name:ident { $( $(#[$fdoc:meta])* pub $table:ident : $type:ty ),+ $(,)? } $( reach |$this:ident| $reach:block )? ) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
        pub struct $name { $( $(#[$fdoc])* pub $table: $type, )+ }

        impl $name {
            /// Wants the rows that rows already loaded name.
            pub fn reach(&mut self) {
                $( let $this = self; $reach )?
            }
        }

        impl $crate::Records for $name {
            fn load(&mut self, from: &Self) {
                $( self.$table.load(&from.$table); self.reach(); )+
            }
            fn write(self, to: &mut Self) {
                $( self.$table.write(&mut to.$table); )+
            }
            fn begin(&mut self) {
                $( self.$table.begin(); )+
            }
            fn rollback(&mut self) {
                $( self.$table.rollback(); )+
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let mut store: Table<u8, u32> = Table::default();
        store.put(1, 10);
        let mut work: Table<u8, u32> = Table::default();
        work.want([1, 2, 3]);
        assert_eq!(work.missing(), [1, 2, 3]);
        work.load(&store);
        *work.of(&1) += 1;
        *work.of(&2) += 5;
        *work.of(&3) += 0;
        assert_eq!(work.changed().collect::<Vec<_>>(), [(&1, &11), (&2, &5)]);
    }

    #[test]
    fn changes_can_be_taken_back() {
        let mut work: Table<u8, u32> = Table::default();
        work.want([1]);
        work.fill([(1, 10)]);
        work.begin();
        *work.of(&1) = 11;
        work.begin();
        *work.of(&1) = 12;
        *work.of(&1) = 13;
        work.rollback();
        assert_eq!(*work.read(&1), 11);
    }

    #[test]
    #[should_panic(expected = "`7` is used, but `touches` did not name it")]
    fn a_row_that_nobody_wanted_cannot_be_used() {
        Table::<u8, u32>::default().of(&7);
    }
}
