//! After the money is taken another step may still fail for good.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, Row, StepDecl};
use theatre::*;

const SEAL: StepDecl = step("Seal", Kind::Pivot, None, &[]);
const ROWS: &[Row] = &[on(ASKED, "Hold"), on(TAKEN, "Seal"), on(REFUSED, "Free")];
const SEALING: Declaration = Declaration { service: "hall", steps: &[HOLD, SEAL, FREE], rows: ROWS };

const _: () = saga::closed(ALL, &[DESK, SEALING, TILL]);

fn main() {}
