//! The one source of chance. The generator is named, so the same seed means the same on every machine and in every release.

use rand::{Rng as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

/// The dice of one schedule.
pub(super) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Those of that schedule under that seed.
    pub(super) fn new(seed: u64, schedule: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&schedule.to_le_bytes());
        bytes[16..24].copy_from_slice(&SPREAD.to_le_bytes());
        let mut generator = Xoshiro256PlusPlus::from_seed(bytes);
        // Neighbours begin alike, and lose it within some draws.
        for _ in 0..16 {
            generator.next_u64();
        }
        Self(generator)
    }

    /// A number below that one; 0 when there is none.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let high = (u128::from(self.0.next_u64()) * limit as u128) >> 64;
        high as usize
    }

    /// Once in so many.
    pub(super) fn once_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// Not all bits of a generator may be zero.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
