//! End to end: the real binaries on real Postgres and NATS, over HTTP only. One stack serves the tests that share; those
//! that kill things or turn time have one of their own. Closing a stack, after the last test on it, audits it and replays what
//! was done on it, which is a test like the others.

mod backward;
mod burst;
mod cancel;
mod chaos;
mod composed;
mod contention;
mod crash;
mod crash_points;
mod databases;
mod days;
mod dead_letters;
mod edge;
mod expiry;
mod failover;
mod failpoints;
mod fifth;
mod forgetful;
mod forward;
mod garbage;
mod late_calls;
mod leases;
mod partition;
mod partners;
mod readme;
mod repeated;
mod replicas;
mod restored;
mod revoked;
mod schema;
mod throng;
mod unknown_commits;
mod versions;
mod world;

use std::process::ExitCode;

use ensemble::Options;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // The broker forgets ids as soon as it may: that it remembers them must not matter.
    let shared = world::Shared::of(|| Options::default().set_all("STREAM_DEDUP_WINDOW", "100ms"));
    let forgetful = world::Shared::of(forgetful::options);
    let desk = world::Shared::of(dead_letters::options);
    let days = world::Shared::of(days::options);
    let failing = world::Shared::of(failpoints::options);
    let trials = [
        // First: it compiles the next version, and each stack that stands by then takes its part of the machine. Then those that
        // share a stack, so that it is gone while others kill and count.
        versions::trials(),
        forward::trials(&shared),
        backward::trials(&shared),
        cancel::trials(&shared),
        contention::trials(&shared),
        partners::trials(&shared),
        edge::trials(&shared),
        garbage::trials(&shared),
        fifth::trials(&shared),
        readme::trials(&shared),
        schema::trials(&shared),
        throng::trials(&shared),
        forgetful::trials(&forgetful),
        dead_letters::trials(&desk),
        repeated::trials(&desk),
        leases::trials(&desk),
        days::trials(&days),
        failpoints::trials(&failing),
        chaos::trials(),
        composed::trials(),
        expiry::trials(),
        crash::trials(),
        crash_points::trials(),
        databases::trials(),
        failover::trials(),
        late_calls::trials(),
        partition::trials(),
        replicas::trials(),
        restored::trials(),
        revoked::trials(),
        burst::trials(),
        unknown_commits::trials(),
    ];
    let ended = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    let closing: Vec<Trial> =
        [("shared", shared), ("forgetful", forgetful), ("desk", desk), ("days", days), ("failing", failing)]
            .into_iter()
            .filter(|(_, stack)| stack.started())
            .map(|(name, stack)| {
                Trial::test(format!("closing::the_{name}_stack_conforms_and_adds_up"), move || world::told(stack.close()))
            })
            .collect();
    if arguments.list || closing.is_empty() {
        return ended.exit_code();
    }
    let closing = libtest_mimic::run(&Arguments { filter: None, exact: false, skip: Vec::new(), ..arguments }, closing);
    if ended.has_failed() { ended.exit_code() } else { closing.exit_code() }
}
