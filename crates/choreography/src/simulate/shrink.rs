//! A schedule that went wrong, made small: whatever can be left out is.

use super::{Failure, Settings, act::Act, actor::Wish, attempt, dice::Dice, guarded, heal, story::Narrator, world::World};

/// Runs that schedule again and leaves out what it goes wrong without: orders first, then ever shorter runs of acts.
pub(super) fn failure(settings: &Settings, seed: u64, schedule: u64) -> Failure {
    let (mut acts, mut world) = (Vec::new(), World::new(settings));
    let first = attempt(&mut world, seed, schedule, &mut acts).err().unwrap_or_default();
    let all = acts.len();
    let still = |acts: &[Act]| replay(&mut World::new(settings), seed, schedule, acts).is_err_and(|what| alike(&what, &first));
    for number in 0..settings.orders {
        let order = super::world::order(number);
        let without: Vec<Act> = acts.iter().filter(|act| !is_about(act, order)).cloned().collect();
        if still(&without) {
            acts = without;
        }
    }
    let mut width = acts.len().div_ceil(2);
    while width > 0 {
        let mut from = 0;
        while from < acts.len() {
            let to = (from + width).min(acts.len());
            let without: Vec<Act> = acts[..from].iter().chain(&acts[to..]).cloned().collect();
            if still(&without) {
                acts = without;
            } else {
                from = to;
            }
        }
        width /= 2;
    }
    tell(settings, (seed, schedule), &acts, (all, first))
}

fn tell(settings: &Settings, (seed, schedule): (u64, u64), acts: &[Act], (all, first): (usize, String)) -> Failure {
    let mut world = World::new(settings);
    world.narrator = Some(Narrator::default());
    let what = replay(&mut world, seed, schedule, acts).err().unwrap_or(first);
    let Narrator { steps, arrows } = world.narrator.take().unwrap_or_default();
    let services = world.seats.iter().map(|seat| seat.declaration().service).collect();
    Failure { seed, schedule, what, acts: (all, acts.len()), steps, arrows, services }
}

/// These acts, then no more faults.
fn replay(world: &mut World, seed: u64, schedule: u64, acts: &[Act]) -> Result<(), String> {
    let mut dice = Dice::new(seed, schedule);
    guarded(world, |world| {
        world.begin(&mut dice);
        acts.iter().try_for_each(|act| world.happens(act))?;
        heal(world)
    })
}

/// The same kind of thing is wrong: up to the first colon, what is wrong is said without an order's number.
fn alike(one: &str, other: &str) -> bool {
    one.split(':').next() == other.split(':').next()
}

fn is_about(act: &Act, order: events::OrderId) -> bool {
    match act {
        Act::Ask(_, Wish::Order(about, _) | Wish::Cancel(about) | Wish::Dispatch(about)) => *about == order,
        Act::Deadline(_, about, _) | Act::Lapse(about) => *about == order,
        Act::Ask(_, Wish::Count(..)) | Act::Publish { .. } | Act::Take { .. } | Act::Execute(..) | Act::Answer(..) => false,
        Act::LoseAnswer(..) | Act::Crash(_) | Act::Sweep(_) | Act::LoseTail(..) | Act::LoseDisk(_) => false,
        Act::Replay { .. } | Act::Reconcile(_) | Act::Unpark => false,
    }
}
