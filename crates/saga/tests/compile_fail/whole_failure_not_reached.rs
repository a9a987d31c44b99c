//! The card is refused, and the hall does not hear of it: the seat stays held.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::Declaration;
use theatre::*;

const DEAF: Declaration = Declaration { service: "hall", steps: &[HOLD, FREE], rows: &[on(ASKED, "Hold"), on(MISSING, "Free")] };

const _: () = saga::closed(ALL, &[DESK, DEAF, TILL]);

fn main() {}
