//! End to end: the real binaries on real Postgres and NATS, over HTTP only. One stack serves the tests that share; those
//! that kill things or turn time have one of their own. Closing a stack audits it, and the audit is a test like the others.

mod backward;
mod cancel;
mod composed;
mod contention;
mod crash;
mod edge;
mod expiry;
mod fifth;
mod forgetful;
mod forward;
mod partners;
mod readme;
mod schema;
mod throng;
mod world;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let shared = Arc::new(world::Shared::default());
    let forgetful = Arc::new(world::Shared::with(forgetful::options));
    let trials = [
        forward::trials(&shared),
        backward::trials(&shared),
        cancel::trials(&shared),
        contention::trials(&shared),
        partners::trials(&shared),
        edge::trials(&shared),
        fifth::trials(&shared),
        readme::trials(&shared),
        schema::trials(&shared),
        throng::trials(&shared),
        composed::trials(),
        expiry::trials(),
        crash::trials(),
        forgetful::trials(&forgetful),
    ];
    let ended = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    if arguments.list {
        return ended.exit_code();
    }
    let stacks = [("closing::the_shared_stack_adds_up", shared), ("closing::the_forgetful_stack_adds_up", forgetful)];
    let closed = stacks.into_iter().filter(|(_, stack)| stack.started());
    let audits: Vec<_> = closed.map(|(name, stack)| Trial::test(name, move || world::told(stack.close()))).collect();
    let closing = libtest_mimic::run(&Arguments { filter: None, exact: false, skip: Vec::new(), ..arguments }, audits);
    if ended.has_failed() { ended.exit_code() } else { closing.exit_code() }
}
