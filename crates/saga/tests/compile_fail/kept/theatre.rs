//! A theatre that sells a seat, small and sound: what the broken ones beside it are made from. The desk asks the hall to hold
//! a seat, the till takes the money, the desk thanks.
#![allow(dead_code)]

use events::EventInfo;
use saga::{Declaration, Door, Kind, Row, StepDecl};

macro_rules! event {
    ($name:ident $type:ident $text:literal $owner:literal $terminal:literal) => {
        pub const $name: &EventInfo = &EventInfo {
            ty: concat!($text, ".v1"),
            name: $text,
            owner: $owner,
            terminal: $terminal,
            of_order: true,
            means: "",
            type_name: stringify!($type),
        };
    };
}
event! { ASKED SeatAsked "visit.asked" "desk" false }
event! { ENDED VisitEnded "visit.ended" "desk" true }
event! { HELD SeatHeld "seat.held" "hall" false }
event! { MISSING SeatMissing "seat.missing" "hall" false }
event! { FREED SeatFreed "seat.freed" "hall" false }
event! { WARMED SeatWarmed "seat.warmed" "hall" false }
event! { TAKEN MoneyTaken "money.taken" "till" false }
event! { REFUSED MoneyRefused "money.refused" "till" false }

pub const ALL: &[&EventInfo] = &[ASKED, ENDED, HELD, MISSING, FREED, TAKEN, REFUSED];

pub const fn step(
    name: &'static str,
    kind: Kind,
    undone_by: Option<&'static str>,
    says: &'static [&'static EventInfo],
) -> StepDecl {
    StepDecl { name, kind, undone_by, says, asks: &[], does: "" }
}

pub const fn on(event: &'static EventInfo, step: &'static str) -> Row {
    Row { door: Door::Event, input: event.ty, verb: "", step }
}

pub const ASK: StepDecl = step("Ask", Kind::Compensatable, Some("Close"), &[ASKED]);
pub const THANK: StepDecl = step("Thank", Kind::Retriable, None, &[]);
pub const CLOSE: StepDecl = step("Close", Kind::Undo, None, &[ENDED]);
pub const HOLD: StepDecl = step("Hold", Kind::Compensatable, Some("Free"), &[HELD, MISSING]);
pub const FREE: StepDecl = step("Free", Kind::Undo, None, &[FREED]);
pub const CHARGE: StepDecl = step("Charge", Kind::Pivot, None, &[TAKEN, REFUSED]);

pub const BUY: Row = Row { door: Door::Command, input: "Buy", verb: "ask", step: "Ask" };
pub const DESK_ROWS: &[Row] = &[BUY, on(TAKEN, "Thank"), on(MISSING, "Close"), on(REFUSED, "Close"), on(FREED, "Close")];

pub const DESK: Declaration = Declaration { service: "desk", steps: &[ASK, THANK, CLOSE], rows: DESK_ROWS };
pub const HALL: Declaration =
    Declaration { service: "hall", steps: &[HOLD, FREE], rows: &[on(ASKED, "Hold"), on(REFUSED, "Free")] };
pub const TILL: Declaration = Declaration { service: "till", steps: &[CHARGE], rows: &[on(HELD, "Charge")] };
