//! Every state of an order and every input: for the table, the trials and the checker.

use events::*;
use saga::{
    Table,
    examples::{CONTEXT, Examples, name_of, names_of},
};

use crate::{
    Asking, CancelOrder, Closed, Input, Order, Orders, Overdue, PlaceOrder, Product, Purchase, Sale, Standing, Wish,
    reactions::Call,
};

/// The examples. All are about one order of two tins of tea for 25.00 EUR.
pub fn examples() -> Examples<Order> {
    let mut states = vec![keep(None)];
    states.extend(standings().into_iter().map(|standing| keep(Some(purchase(standing)))));
    Examples {
        states,
        names: names_of::<Standing>(),
        label: |orders| purchase_of(orders).as_ref().map_or_else(|| "absent".to_owned(), |purchase| label(&purchase.standing)),
        inputs: inputs(),
        answers: |call: &Call| match *call {},
        clean: |orders| match purchase_of(orders).as_ref().map(|purchase| &purchase.standing) {
            None | Some(Standing::Rejected { .. } | Standing::Cancelled) => true,
            Some(Standing::Open | Standing::Confirmed { .. } | Standing::Dispatched { .. }) => false,
            Some(Standing::Cancelling { .. } | Standing::Closing { .. }) => false,
        },
        answered_again: &[],
        closing: &[],
    }
}

/// The order that all examples are about.
pub const ORDER: OrderId = OrderId(uuid::uuid!("01935d3e-8000-7000-8000-000000000001"));

/// When it was placed: two seconds ago.
pub const PLACED: Timestamp = Timestamp::from_micros(CONTEXT.now.micros() - 2_000_000);

/// The order, as it stands so.
pub fn purchase(standing: Standing) -> Purchase {
    let price = Money::new(1250, Currency::EUR);
    Purchase {
        customer_id: "c-1001".into(),
        lines: vec![Line { sku: "TEA-001".into(), quantity: 2, unit_price: price }],
        total: Money::new(2500, Currency::EUR),
        placed_at: PLACED,
        changed_at: PLACED,
        standing,
    }
}

fn keep(purchase: Option<Purchase>) -> Orders {
    let (mut orders, mut catalog) = (Table::default(), Table::default());
    orders.put(ORDER, purchase);
    catalog.put("TEA-001".into(), Some(Product { price: Money::new(1250, Currency::EUR), version: 3 }));
    Orders { orders, catalog }
}

fn purchase_of(orders: &Orders) -> &Option<Purchase> {
    orders.orders.read(&ORDER)
}

/// Its name, and what decides.
fn label(standing: &Standing) -> String {
    let sale = |sale: &Sale| match sale {
        Sale::Owed { asking, .. } if asking.number > 1 => format!("sale owed, asked {}", asking.number),
        Sale::Owed { .. } => "sale owed".to_owned(),
        Sale::Committed => "sold".to_owned(),
    };
    let asked = |asking: &Asking| if asking.number > 1 { format!(", asked {}", asking.number) } else { String::new() };
    let more = match standing {
        Standing::Open | Standing::Cancelled => return name_of(standing),
        Standing::Confirmed { sale: of } | Standing::Dispatched { sale: of, .. } => sale(of),
        Standing::Cancelling { cause, confirmed, asking, .. } => {
            let confirmed = confirmed.as_ref().map(|of| format!(", {}", sale(of))).unwrap_or_default();
            format!("{}{confirmed}{}", cause.as_str(), asked(asking))
        }
        Standing::Closing { cause, closed, asking, .. } => {
            let bit = |name: &str, closed: Option<Timestamp>| closed.map_or_else(|| "-".to_owned(), |_| name.to_owned());
            let bits = [bit("I", closed.inventory), bit("P", closed.payment), bit("S", closed.shipping)].concat();
            format!("{bits} {}{}", cause.as_str(), asked(asking))
        }
        Standing::Rejected { reason } => reason.as_str().to_owned(),
    };
    format!("{}: {more}", name_of(standing))
}

fn standings() -> Vec<Standing> {
    let since = PLACED;
    let asking = Asking { number: 1, wait_s: 10 };
    let sale = Sale::Owed { since, asking };
    let at = |closed: bool| closed.then_some(since);
    let closed = |i, p, s| Closed { inventory: at(i), payment: at(p), shipping: at(s) };
    let cancelling = |cause, confirmed| Standing::Cancelling { since, cause, confirmed, asking };
    let closing = |cause, closed| Standing::Closing { since, cause, closed, asking };
    vec![
        Standing::Open,
        Standing::Confirmed { sale },
        Standing::Confirmed { sale: Sale::Committed },
        cancelling(Reason::CustomerRequest, None),
        cancelling(Reason::CustomerRequest, Some(sale)),
        cancelling(Reason::CustomerRequest, Some(Sale::Committed)),
        cancelling(Reason::Expired, None),
        closing(Reason::CaptureFailed, closed(false, false, false)),
        closing(Reason::CaptureFailed, closed(true, true, false)),
        closing(Reason::PaymentDeclined, closed(false, true, true)),
        closing(Reason::CustomerRequest, closed(true, false, true)),
        Standing::Dispatched { since, sale },
        Standing::Dispatched { since, sale: Sale::Committed },
        Standing::Rejected { reason: Reason::PaymentDeclined },
        Standing::Cancelled,
    ]
}

/// The command with these lines.
pub fn place(currency: Currency, lines: &[(&str, u32)]) -> PlaceOrder {
    let (name, street, city) = ("Ada".into(), "1 Main St".into(), "Berlin".into());
    PlaceOrder {
        order: ORDER,
        customer_id: "c-1001".into(),
        currency,
        lines: lines.iter().map(|&(sku, quantity)| Wish { sku: sku.into(), quantity }).collect(),
        payment_method: "pm_card_visa".into(),
        ship_to: Address { name, street, city, postal_code: "10115".into(), country: "DE".into() },
        agreed: None,
    }
}

fn inputs() -> Vec<(&'static str, Input)> {
    let mut inputs = vec![
        ("", Input::PlaceOrder(place(Currency::EUR, &[("TEA-001", 2)]))),
        ("unknown", Input::PlaceOrder(place(Currency::EUR, &[("NONE-1", 2), ("TEA-001", 1)]))),
        ("", Input::CancelOrder(CancelOrder { order: ORDER })),
        ("", Input::Overdue(Overdue { order: ORDER })),
    ];
    inputs.extend(heard().into_iter().filter_map(|event| Some(("", <Input as saga::Inputs>::hear(event)?))));
    let product = |version, amount| ProductChanged {
        sku: "TEA-001".into(),
        name: "Tea".into(),
        price: Money::new(amount, Currency::EUR),
        available: 7,
        version,
    };
    inputs.push(("newer", Input::ProductChanged(product(4, 1300))));
    inputs.push(("older", Input::ProductChanged(product(2, 1200))));
    inputs
}

/// Every event about the order that it hears, once.
pub fn heard() -> Vec<Event> {
    let (order_id, because) = (ORDER, Reason::CustomerRequest);
    let total = Money::new(2500, Currency::EUR);
    let place = place(Currency::EUR, &[]);
    let (payment_method, ship_to, charge) = (place.payment_method, place.ship_to, Charge::from("pi_1"));
    let missing = vec![Missing { sku: "TEA-001".into(), wanted: 2, available: 1 }];
    vec![
        StockReserved { order_id, total, payment_method, ship_to: ship_to.clone() }.into(),
        StockUnavailable { order_id, missing }.into(),
        StockReleased { order_id, because }.into(),
        StockCommitted { order_id }.into(),
        PaymentAuthorized { order_id, ship_to, charge: charge.clone(), capture_before: CONTEXT.now }.into(),
        PaymentDeclined { order_id, code: "insufficient_funds".into() }.into(),
        PaymentCaptured { order_id, charge, amount: total }.into(),
        PaymentCaptureFailed { order_id, code: "expired".into() }.into(),
        PaymentVoided { order_id, because }.into(),
        PaymentRefunded { order_id, because, amount: total }.into(),
        ShipmentScheduled { order_id, tracking: "T-1".into(), pick_up: CONTEXT.now }.into(),
        ShipmentRefused { order_id, code: "destination_not_served".into() }.into(),
        ShipmentCancelled { order_id, because }.into(),
        ShipmentCancellationRefused { order_id }.into(),
        ShipmentDispatched { order_id, tracking: "T-1".into() }.into(),
    ]
}
