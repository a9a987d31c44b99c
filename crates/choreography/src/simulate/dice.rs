//! The one source of chance. It is drawn from a seed and from nothing else, and the generator is named, so the same seed means
//! the same on every machine and in every release.

use rand_pcg::{Pcg64, rand_core::Rng as _};

/// The dice of one schedule, of the simulator or of `ensemble chaos`.
pub struct Dice(Pcg64);

impl Dice {
    /// Those of that schedule under that seed: a stream of its own.
    pub fn new(seed: u64, schedule: u64) -> Self {
        let mut generator = Pcg64::new(seed.into(), schedule.into());
        // Neighbours begin alike, and lose it within some draws.
        for _ in 0..16 {
            generator.next_u64();
        }
        Self(generator)
    }

    /// A number below that one; 0 when there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        let high = (u128::from(self.0.next_u64()) * limit as u128) >> 64;
        high as usize
    }

    /// Once in so many.
    pub fn once_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}
