//! One order's share of a state, its place on the shelves aside: numbers and bits, so that it is hashed at once.

use super::universe::{CALLS_MAX, Service};
use crate::partners::Ledger;

/// Everything about one order but its place on the shelves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Part {
    pub(super) purchase: u32,
    pub(super) hold: u32,
    pub(super) shipment: u32,
    /// A bit for each message that waits. Without claims, for each that was ever said: it may come again at any time.
    pub(super) waiting: u128,
    /// With claims: a bit for each that waits a second time.
    more: u128,
    /// Four bits for each call.
    calls: u64,
    pub(super) ledger: Ledger,
    pub(super) overdue: bool,
    /// How often the deadline passed while something was under way.
    pub(super) early: u8,
    pub(super) lost: bool,
    /// A bit for each service that has had its rolling update.
    updated: u8,
    /// How often order said that it is confirmed, rejected, cancelled; 2 stands for more.
    pub(super) told: [u8; 3],
}

/// Of a call, in its four bits: asked, what its partner did, and that this was taken.
pub(super) const ASKED: u64 = 1;
pub(super) const EXECUTED: u64 = 2;
pub(super) const TAKEN: u64 = 8;

impl Part {
    pub(super) fn call(&self, call: u8) -> u64 {
        (self.calls >> (call * 4)) & 0xf
    }

    pub(super) fn set_call(&mut self, call: u8, to: u64) {
        self.calls = (self.calls & !(0xf << (call * 4))) | (to << (call * 4));
    }

    /// Calls that no answer was taken of.
    pub(super) fn calls_open(&self) -> usize {
        (0..CALLS_MAX as u8).filter(|call| (ASKED..TAKEN).contains(&self.call(*call))).count()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.waiting == 0 && self.calls_open() == 0
    }

    pub(super) fn is_updated(&self, service: Service) -> bool {
        self.updated & (1 << service as u8) != 0
    }

    pub(super) fn update(&mut self, service: Service) {
        self.updated |= 1 << service as u8;
    }

    pub(super) fn say(&mut self, message: u8, claims: bool) {
        let bit = 1 << message;
        if claims && self.waiting & bit != 0 {
            self.more |= bit;
        }
        self.waiting |= bit;
    }

    /// One that was waiting is gone.
    pub(super) fn take(&mut self, message: u8) {
        let bit = 1 << message;
        if self.more & bit != 0 {
            self.more &= !bit;
        } else {
            self.waiting &= !bit;
        }
    }
}
