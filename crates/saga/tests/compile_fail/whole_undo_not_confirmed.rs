//! The hall says that the seat is free again, and who hears it only writes it down.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, Row, StepDecl};
use theatre::*;

const NOTE: StepDecl = step("Note", Kind::Alone, None, &[]);
const ROWS: &[Row] = &[BUY, on(TAKEN, "Thank"), on(MISSING, "Close"), on(REFUSED, "Close"), on(FREED, "Note")];
const NOTING: Declaration = Declaration { service: "desk", steps: &[ASK, THANK, CLOSE, NOTE], rows: ROWS };

const _: () = saga::closed(ALL, &[NOTING, HALL, TILL]);

fn main() {}
