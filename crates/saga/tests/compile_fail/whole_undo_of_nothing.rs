//! The hall can free a seat, and no step says that it is undone so.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, StepDecl};
use theatre::*;

const SHUT: StepDecl = step("Shut", Kind::Undo, None, &[FREED]);
const SHUTTING: Declaration = Declaration {
    service: "hall",
    steps: &[HOLD, FREE, SHUT],
    rows: &[on(ASKED, "Hold"), on(REFUSED, "Free"), on(MISSING, "Shut")],
};

const _: () = saga::closed(ALL, &[DESK, SHUTTING, TILL]);

fn main() {}
