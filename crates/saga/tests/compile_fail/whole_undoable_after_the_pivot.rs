//! The money is taken, and then the hall does something that counts on being taken back.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, Row, StepDecl};
use theatre::*;

const WARM: StepDecl = step("Warm", Kind::Compensatable, Some("Free"), &[]);
const ROWS: &[Row] = &[on(ASKED, "Hold"), on(TAKEN, "Warm"), on(REFUSED, "Free")];
const WARMING: Declaration = Declaration { service: "hall", steps: &[HOLD, WARM, FREE], rows: ROWS };

const _: () = saga::closed(ALL, &[DESK, WARMING, TILL]);

fn main() {}
