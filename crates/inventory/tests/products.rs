//! What an operator does to a product, to the last field: the table shows counts, and neither names, prices nor limits.

use events::{Currency, Event, Money, ProductChanged, Reason, Sku, StockReleased};
use inventory::{
    AdjustStock, Input, IntroduceProduct, Inventory, PutProduct, RECEIVED_MAX, RecallProduct, Shelves, Stock, examples::ORDER,
};
use saga::{
    batch::Verdict,
    examples::{Tried, attempt},
};

fn sku() -> Sku {
    "TEA-001".into()
}

fn price(cents: i64) -> Money {
    Money::new(cents, Currency::EUR)
}

fn there() -> Stock {
    Stock { name: "Assam".to_owned(), price: price(1250), on_hand: 10, reserved: 2, sold: 3, received: 15, version: 4 }
}

fn attempted(before: Option<Stock>, input: Input) -> Tried<Inventory> {
    let mut shelves = Shelves::default();
    shelves.stock.put(sku(), before);
    attempt::<Inventory>(&shelves, &input)
}

fn after(tried: &Tried<Inventory>) -> Option<Stock> {
    assert!(matches!(tried.verdict, Verdict::Taken(_)), "{:?}", tried.verdict);
    tried.after.stock.get(&sku()).cloned().flatten()
}

#[test]
fn a_product_gets_its_new_name_and_price_and_keeps_its_counts() {
    let input = Input::PutProduct(PutProduct { sku: sku(), name: "Darjeeling".to_owned(), price: price(1300), seen: Some(4) });
    let expected = Stock { name: "Darjeeling".to_owned(), price: price(1300), version: 5, ..there() };
    assert_eq!(after(&attempted(Some(there()), input)), Some(expected));
}

#[test]
fn as_many_as_can_be_counted_come_in_and_not_one_more() {
    let introduced = |count| {
        let input = IntroduceProduct { sku: sku(), name: "Assam".to_owned(), price: price(1250), count };
        attempted(None, Input::IntroduceProduct(input))
    };
    for count in [7, RECEIVED_MAX] {
        assert_eq!(after(&introduced(count)).map(|stock| (stock.on_hand, stock.received)), Some((count, count)));
    }
    assert!(matches!(introduced(RECEIVED_MAX + 1).verdict, Verdict::Refused(_)));

    let counted_in = |delta| {
        let input = AdjustStock { sku: sku(), delta, reason: "goods in".to_owned() };
        attempted(Some(there()), Input::AdjustStock(input))
    };
    let room = i64::from(RECEIVED_MAX) - 15;
    assert_eq!(after(&counted_in(room)).map(|stock| stock.received), Some(RECEIVED_MAX));
    assert!(matches!(counted_in(room + 1).verdict, Verdict::Refused(_)));
}

#[test]
fn what_was_said_of_a_product_brings_it_back_as_it_was() {
    let told = ProductChanged { sku: sku(), name: "Darjeeling".to_owned(), price: price(1300), available: 12, version: 5 };
    let input = inventory::recalled(&Event::from(told.clone())).expect("a product is recalled by what was said of it");
    assert_eq!(input, Input::RecallProduct(RecallProduct { told }));
    let expected = Stock { name: "Darjeeling".to_owned(), price: price(1300), on_hand: 12, received: 17, version: 5, ..there() };
    assert_eq!(after(&attempted(Some(there()), input)), Some(expected));
    let other = StockReleased { order_id: ORDER, because: Reason::CustomerRequest };
    assert_eq!(inventory::recalled(&Event::from(other)), None);
}
