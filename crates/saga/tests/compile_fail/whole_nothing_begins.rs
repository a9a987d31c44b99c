//! The hall can warm the seat, and nothing ever asks it to.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, StepDecl};
use theatre::*;

const WARM: StepDecl = step("Warm", Kind::Retriable, None, &[]);
const WARMING: Declaration =
    Declaration { service: "hall", steps: &[HOLD, WARM, FREE], rows: &[on(ASKED, "Hold"), on(REFUSED, "Free")] };

const _: () = saga::closed(ALL, &[DESK, WARMING, TILL]);

fn main() {}
