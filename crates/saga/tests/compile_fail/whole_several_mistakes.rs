//! Two new events without a reader, and one that nobody says: all that is wrong is said at once.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Kind, Row, StepDecl};
use theatre::*;

const WARM: StepDecl = step("Warm", Kind::Alone, None, &[WARMED, FREED]);
const ROWS: &[Row] = &[BUY, on(TAKEN, "Thank"), on(REFUSED, "Close"), on(MISSING, "Close")];
const PLAIN: Declaration = Declaration { service: "desk", steps: &[ASK, THANK, CLOSE], rows: ROWS };
const BARE_HOLD: StepDecl = step("Hold", Kind::Compensatable, Some("Free"), &[HELD]);
const BARE: Declaration = Declaration {
    service: "hall",
    steps: &[BARE_HOLD, WARM, FREE],
    rows: &[on(ASKED, "Hold"), on(REFUSED, "Free"), on(HELD, "Warm")],
};

const _: () = saga::closed(&[ASKED, ENDED, HELD, MISSING, FREED, WARMED, TAKEN, REFUSED], &[PLAIN, BARE, TILL]);

fn main() {}
