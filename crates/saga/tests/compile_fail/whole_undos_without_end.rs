//! The desk says that the visit ended, the hall frees the seat again and says so, the desk ends the visit again.
#[path = "kept/theatre.rs"]
mod theatre;
use saga::{Declaration, Row};
use theatre::*;

const ROWS: &[Row] = &[on(ASKED, "Hold"), on(REFUSED, "Free"), on(ENDED, "Free")];
const ECHO: Declaration = Declaration { service: "hall", steps: &[HOLD, FREE], rows: ROWS };

const _: () = saga::closed(ALL, &[DESK, ECHO, TILL]);

fn main() {}
