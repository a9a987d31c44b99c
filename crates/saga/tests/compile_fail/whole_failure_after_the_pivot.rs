//! The money is taken, and then the hall says that there is no seat after all.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, Row, StepDecl};
use theatre::*;

const SEAT: StepDecl = step("Seat", Kind::Retriable, None, &[MISSING]);
const ROWS: &[Row] = &[on(ASKED, "Hold"), on(TAKEN, "Seat"), on(REFUSED, "Free")];
const SEATING: Declaration = Declaration { service: "hall", steps: &[HOLD, SEAT, FREE], rows: ROWS };

const _: () = saga::closed(ALL, &[DESK, SEATING, TILL]);

fn main() {}
