//! Each way that an order can go, as a reader meets it.

use std::time::Duration;

use saga::examples::CONTEXT;

use super::*;
use crate::{
    domain::{Asking, Closed},
    examples::purchase,
};

const PLACED: Timestamp = crate::examples::PLACED;
const FIRST: Asking = Asking { number: 1, wait_s: 10 };

fn ms(after: u64) -> Timestamp {
    PLACED.after(Duration::from_millis(after))
}

fn timeline(events: &[(&EventInfo, u64)]) -> Vec<Entry> {
    let entry = |(at, (info, after)): (usize, &(&EventInfo, u64))| Entry {
        id: EventId(uuid::Uuid::from_u128(at as u128)),
        ty: info.ty.to_owned(),
        source: info.owner.to_owned(),
        time: ms(*after),
        causation_id: None,
        trace_id: None,
    };
    events.iter().enumerate().map(entry).collect()
}

/// What is said two seconds after the order was placed.
fn said(standing: Standing, events: &[(&EventInfo, u64)]) -> String {
    explanation(&purchase(standing), &timeline(events), &[], CONTEXT.now)
}

fn troubled(standing: Standing, events: &[(&EventInfo, u64)], service: ServiceName, waiting: Waiting) -> String {
    explanation(&purchase(standing), &timeline(events), &[(service, waiting)], CONTEXT.now)
}

fn waiting(tries: u32, last_error: Option<&str>, dead_letter: Option<&str>) -> Waiting {
    let (last_error, dead_letter) = (last_error.map(str::to_owned), dead_letter.map(str::to_owned));
    Waiting { call: Some("AuthorizeCard".into()), tries, last_error, next_try: None, dead_letter }
}

const P: (&EventInfo, u64) = (OrderPlaced::INFO, 0);
const RESERVED: (&EventInfo, u64) = (StockReserved::INFO, 100);
const HELD: (&EventInfo, u64) = (PaymentAuthorized::INFO, 300);
const BOOKED: (&EventInfo, u64) = (ShipmentScheduled::INFO, 500);
const TAKEN: (&EventInfo, u64) = (PaymentCaptured::INFO, 800);
const CONFIRMED: (&EventInfo, u64) = (OrderConfirmed::INFO, 812);

#[test]
fn under_way() {
    assert_eq!(said(Standing::Open, &[]), "Waiting 2.0 s for inventory to answer order.placed.");
    assert_eq!(said(Standing::Open, &[P, RESERVED]), "Waiting 1.9 s for payment to answer stock.reserved.");
    assert_eq!(
        troubled(
            Standing::Open,
            &[P, RESERVED],
            ServiceName::Payment,
            waiting(3, Some("in doubt: the gateway answered 503"), None)
        ),
        "Waiting 1.9 s for payment to answer stock.reserved: try 3, the gateway answered 503."
    );
    assert_eq!(
        troubled(Standing::Open, &[P, RESERVED], ServiceName::Payment, waiting(0, None, None)),
        "Waiting 1.9 s for payment to answer stock.reserved.",
        "a first try is no trouble"
    );
    assert_eq!(
        troubled(Standing::Open, &[P, RESERVED, HELD], ServiceName::Shipping, waiting(0, None, Some("too_early"))),
        "Waiting 1.7 s for shipping to answer payment.authorized. A dead letter (too_early) at shipping waits for an operator."
    );
}

#[test]
fn confirmed() {
    let sale = Sale::Owed { since: ms(812), asking: FIRST };
    let way = [P, RESERVED, HELD, BOOKED, TAKEN, CONFIRMED];
    assert_eq!(said(Standing::Confirmed { sale }, &way), "Confirmed in 812 ms.");
    assert_eq!(said(Standing::Confirmed { sale: Sale::Committed }, &way), "Confirmed in 812 ms.");
    let sale = Sale::Owed { since: ms(812), asking: FIRST.again() };
    assert_eq!(said(Standing::Confirmed { sale }, &way), "Confirmed in 812 ms. Inventory has owed stock.committed for 1.2 s.");
}

#[test]
fn dispatched() {
    let gone = Standing::Dispatched { since: ms(1500), sale: Sale::Committed };
    let way = [P, RESERVED, HELD, BOOKED, TAKEN, CONFIRMED, (ShipmentDispatched::INFO, 1400)];
    assert_eq!(said(gone.clone(), &way), "Confirmed in 812 ms, dispatched 588 ms later.");
    let overtaken = [P, RESERVED, HELD, BOOKED, (ShipmentDispatched::INFO, 1400), (OrderConfirmed::INFO, 1500)];
    assert_eq!(said(gone.clone(), &overtaken), "Dispatched in 1.4 s.");
    let too_late = [P, TAKEN, CONFIRMED, (OrderCancellationRequested::INFO, 1300), (ShipmentCancellationRefused::INFO, 1400)];
    assert_eq!(said(gone, &too_late), "Confirmed in 812 ms, dispatched 688 ms later. The wish to cancel came too late.");
}

#[test]
fn cancelling() {
    let asked = |cause| Standing::Cancelling { since: ms(1000), cause, confirmed: None, asking: FIRST };
    assert_eq!(
        said(asked(Reason::CustomerRequest), &[P, RESERVED]),
        "Cancelling for 1.0 s: the customer asked for it. Shipping decides whether it is too late."
    );
    assert_eq!(
        troubled(asked(Reason::Expired), &[P], ServiceName::Shipping, waiting(4, Some("no connection"), None)),
        "Cancelling for 1.0 s: it stood still for too long. Shipping decides whether it is too late: try 4, no connection."
    );
}

#[test]
fn closing() {
    let closing = |cause, closed| Standing::Closing { since: ms(1000), cause, closed, asking: FIRST };
    let declined = Closed { inventory: None, payment: Some(ms(1000)), shipping: Some(ms(1000)) };
    assert_eq!(
        said(closing(Reason::PaymentDeclined, declined), &[P, RESERVED, (PaymentDeclined::INFO, 1000)]),
        "Undoing for 1.0 s: the card was declined. Inventory owes stock.released."
    );
    assert_eq!(
        said(closing(Reason::CaptureFailed, Closed::default()), &[P, RESERVED]),
        "Undoing for 1.0 s: the money was held but could not be taken. Inventory owes stock.released, waiting for shipping; \
         payment owes payment.voided or payment.refunded, waiting for shipping; shipping owes shipment.cancelled."
    );
}

#[test]
fn out_of_stock() {
    assert_eq!(
        said(Standing::Rejected { reason: Reason::OutOfStock }, &[P, (StockUnavailable::INFO, 40)]),
        "Rejected: not every line was in stock. Nothing was charged. Nothing is owed."
    );
}

#[test]
fn declined() {
    let way = [P, RESERVED, (PaymentDeclined::INFO, 120), (StockReleased::INFO, 141), (OrderRejected::INFO, 150)];
    assert_eq!(
        said(Standing::Rejected { reason: Reason::PaymentDeclined }, &way),
        "Rejected: the card was declined. Inventory had reserved 2 × TEA-001 and released them 41 ms later. Nothing was charged. \
         Nothing is owed."
    );
}

#[test]
fn refused_by_the_carrier() {
    let way = [P, RESERVED, HELD, (ShipmentRefused::INFO, 400), (StockReleased::INFO, 450), (PaymentVoided::INFO, 1300)];
    assert_eq!(
        said(Standing::Rejected { reason: Reason::ShipmentRefused }, &way),
        "Rejected: the carrier would not take it. Inventory had reserved 2 × TEA-001 and released them 350 ms later; payment had \
         held 25.00 EUR and let go of it 1.0 s later. Nothing was charged. Nothing is owed."
    );
}

#[test]
fn capture_failed() {
    let failed = (PaymentCaptureFailed::INFO, 600);
    let back = [(ShipmentCancelled::INFO, 700), (PaymentVoided::INFO, 650), (StockReleased::INFO, 710)];
    let way = [&[P, RESERVED, HELD, BOOKED, failed][..], &back].concat();
    assert_eq!(
        said(Standing::Rejected { reason: Reason::CaptureFailed }, &way),
        "Rejected: the money was held but could not be taken. Inventory had reserved 2 × TEA-001 and released them 610 ms later; \
         payment had held 25.00 EUR and let go of it 350 ms later; shipping had booked the carrier and cancelled the booking \
         200 ms later. Nothing was charged. Nothing is owed."
    );
}

#[test]
fn cancelled_after_it_was_paid() {
    let back = [(ShipmentCancelled::INFO, 1000), (PaymentRefunded::INFO, 1100), (StockReleased::INFO, 1050)];
    let way = [&[P, RESERVED, HELD, BOOKED, TAKEN, CONFIRMED, (StockCommitted::INFO, 850)][..], &back].concat();
    assert_eq!(
        said(Standing::Cancelled, &way),
        "Cancelled: the customer asked for it. Inventory had sold 2 × TEA-001 and released them 200 ms later; payment had taken \
         25.00 EUR and paid it back 300 ms later; shipping had booked the carrier and cancelled the booking 500 ms later. \
         Nothing is owed."
    );
}

#[test]
fn cancelled_before_anybody_acted() {
    let back = [(ShipmentCancelled::INFO, 50), (PaymentVoided::INFO, 60), (StockReleased::INFO, 70)];
    assert_eq!(
        said(Standing::Cancelled, &[&[P][..], &back].concat()),
        "Cancelled: the customer asked for it. Nothing was charged. Nothing is owed."
    );
}

/// Whoever it waits with: order itself, too.
#[test]
fn a_dead_letter_is_told_of_when_nothing_is_owed() {
    let left = waiting(0, None, Some("poison"));
    let way = [P, (StockUnavailable::INFO, 40)];
    assert_eq!(
        troubled(Standing::Rejected { reason: Reason::OutOfStock }, &way, ServiceName::Shipping, left.clone()),
        "Rejected: not every line was in stock. Nothing was charged. Nothing is owed. A dead letter (poison) at shipping waits for \
         an operator."
    );
    assert_eq!(
        troubled(Standing::Confirmed { sale: Sale::Committed }, &[P, CONFIRMED], ServiceName::Order, left),
        "Confirmed in 812 ms. A dead letter (poison) at order waits for an operator."
    );
}

#[test]
fn nothing_is_made_up_without_a_timeline() {
    assert_eq!(said(Standing::Cancelled, &[]), "Cancelled: the customer asked for it. Nothing is owed.");
    assert_eq!(said(Standing::Confirmed { sale: Sale::Committed }, &[]), "Confirmed in 0 ms.");
}

#[test]
fn expired() {
    let way = [P, RESERVED, (ShipmentCancelled::INFO, 1100), (PaymentVoided::INFO, 1200), (StockReleased::INFO, 1300)];
    assert_eq!(
        said(Standing::Rejected { reason: Reason::Expired }, &way),
        "Rejected: it stood still for too long. Inventory had reserved 2 × TEA-001 and released them 1.2 s later. Nothing was \
         charged. Nothing is owed."
    );
}

#[test]
fn a_long_list_of_goods_is_cut_short() {
    let line = |sku: &str| Line { sku: sku.into(), quantity: 1, unit_price: Money::new(1, Currency::EUR) };
    let lines: Vec<Line> = ["A", "B", "C", "D", "E"].map(line).into();
    assert_eq!(words::goods(&lines[..1]), "1 × A");
    assert_eq!(words::goods(&lines[..2]), "1 × A and 1 × B");
    assert_eq!(words::goods(&lines[..4]), "1 × A, 1 × B, 1 × C and one more line");
    assert_eq!(words::goods(&lines), "1 × A, 1 × B, 1 × C and 2 more lines");
}

#[test]
fn a_length_of_time_is_said_as_people_say_it() {
    let spans =
        [(0, "0 ms"), (812, "812 ms"), (59_949, "59.9 s"), (60_000, "1 min"), (7_200_000, "2 h"), (172_800_000, "2 days")];
    for (millis, text) in spans {
        assert_eq!(span(Duration::from_millis(millis)), text);
    }
}
