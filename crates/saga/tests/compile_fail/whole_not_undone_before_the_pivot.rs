//! The seat is held before the money is taken, and nothing frees it when the card is refused.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, Row, StepDecl};
use theatre::*;

const HOLD_FOR_EVER: StepDecl = step("Hold", Kind::Retriable, None, &[HELD]);
const STUBBORN: Declaration = Declaration { service: "hall", steps: &[HOLD_FOR_EVER], rows: &[on(ASKED, "Hold")] };
const ROWS: &[Row] = &[BUY, on(TAKEN, "Thank"), on(REFUSED, "Close")];
const PLAIN: Declaration = Declaration { service: "desk", steps: &[ASK, THANK, CLOSE], rows: ROWS };

const _: () = saga::closed(&[ASKED, ENDED, HELD, TAKEN, REFUSED], &[PLAIN, STUBBORN, TILL]);

fn main() {}
