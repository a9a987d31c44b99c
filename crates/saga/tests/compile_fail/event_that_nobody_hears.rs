//! An event is said, is not `terminal`, and nobody reacts to it.
use events::{Event, EventData, PaymentVoided, StockReserved};
use saga::{Declaration, Door, Kind, Row, StepDecl, closed};

const GIVE_BACK: StepDecl = StepDecl {
    name: "GiveBack",
    kind: Kind::Retriable,
    undone_by: None,
    says: &[PaymentVoided::INFO],
    asks: &[],
    does: "Gives it back.",
};
const ROW: Row = Row { door: Door::Event, input: StockReserved::INFO.ty, verb: "give_back", step: "GiveBack" };
const PAYMENT: Declaration = Declaration { service: "payment", steps: &[GIVE_BACK], rows: &[ROW] };

/// The contract, were these all events there are.
const ALL: &[&events::EventInfo] = &[PaymentVoided::INFO];

const _: () = closed(ALL, &[PAYMENT]);

fn main() {
    let _ = Event::ALL;
}
