//! Every state that was visited: a number each, and the one that it was first reached from.

/// States by number. A state is 64 bits, whole: nothing is hashed away, so two states are never taken for one.
pub(super) struct States {
    all: Vec<u64>,
    parents: Vec<u32>,
    /// Open addressing: the number of the state, plus one; 0: free.
    table: Vec<u32>,
}

impl States {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), parents: Vec::new(), table: vec![0; 1 << 12] }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, number: u32) -> u64 {
        self.all[number as usize]
    }

    pub(super) fn parent(&self, number: u32) -> Option<u32> {
        let parent = self.parents[number as usize];
        (parent != u32::MAX).then_some(parent)
    }

    /// Its number, if it was visited.
    pub(super) fn find(&self, state: u64) -> Option<u32> {
        let place = self.place(state);
        self.table[place].checked_sub(1)
    }

    /// Notes it, unless it was visited.
    pub(super) fn visit(&mut self, state: u64, parent: u32) {
        if self.all.len() * 2 >= self.table.len() {
            self.grow();
        }
        let place = self.place(state);
        if self.table[place] == 0 {
            self.all.push(state);
            self.parents.push(parent);
            self.table[place] = u32::try_from(self.all.len()).expect("fewer than four thousand million states");
        }
    }

    fn place(&self, state: u64) -> usize {
        let mask = self.table.len() - 1;
        let mixed = (state ^ (state >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut place = (mixed >> 20) as usize & mask;
        loop {
            match self.table[place] {
                0 => return place,
                number if self.all[number as usize - 1] == state => return place,
                _ => place = (place + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.table = vec![0; self.table.len() * 4];
        for at in 0..self.all.len() {
            let place = self.place(self.all[at]);
            // It was given that number when it was first visited.
            self.table[place] = at as u32 + 1;
        }
    }
}
