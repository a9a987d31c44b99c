//! The seat is held, the desk writes it down, and the till does not hear of it.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, Row, StepDecl};
use theatre::*;

const NOTE: StepDecl = step("Note", Kind::Alone, None, &[]);
const ROWS: &[Row] = &[BUY, on(TAKEN, "Thank"), on(MISSING, "Close"), on(REFUSED, "Close"), on(FREED, "Close"), on(HELD, "Note")];
const NOTING: Declaration = Declaration { service: "desk", steps: &[ASK, THANK, CLOSE, NOTE], rows: ROWS };
const PAID_ON_ASKING: Declaration = Declaration { service: "till", steps: &[CHARGE], rows: &[on(ASKED, "Charge")] };

const _: () = saga::closed(ALL, &[NOTING, HALL, PAID_ON_ASKING]);

fn main() {}
