//! Order's reactions: every input in every state as a table that is reviewed like code, and what each of them must stand.

use std::collections::{BTreeSet, HashSet};

use events::*;
use order::{
    Asking, ClosingWord, Input, Order, Orders, Overdue, PlaceOrder, Product, Standing,
    examples::{ORDER, examples, heard, place, purchase},
    status,
};
use proptest::prelude::*;
use saga::{
    Inputs as _, Kind, Participant as _, Table,
    batch::Verdict,
    examples::{CONTEXT, Tried, attempt},
};

saga::reviewed_table!("src/domain.table.txt", examples());

#[test]
fn repeated() {
    assert_eq!(saga::trials::repeated(&examples()), Vec::<String>::new());
}

/// As the chassis and the checker are told: what is over is left alone, and who waits is asked about again.
#[test]
fn an_order_is_over_when_nothing_changes_it_and_waits_while_its_deadline_asks_again() {
    let examples = examples();
    let placed = examples.states.iter().filter(|orders| orders.orders.get(&ORDER).is_some_and(Option::is_some));
    for before in placed {
        let changes = |(_, input): &(&str, Input)| standing(&attempt::<Order>(before, input).after) != standing(before);
        assert_eq!(!examples.inputs.iter().any(changes), standing(before).is_over(), "{:?}", standing(before));
        let asked = attempt::<Order>(before, &Input::Overdue(Overdue { order: ORDER }));
        let again = asked.taken().is_some_and(|taken| taken.wakes.iter().any(|wake| wake.at.is_some()));
        assert_eq!(again, standing(before).waits(), "{:?}", standing(before));
    }
}

fn after(before: &Orders, input: impl Into<Event>) -> Tried<Order> {
    attempt::<Order>(before, &Input::hear(input.into()).expect("an event that order hears"))
}

fn standing(orders: &Orders) -> &Standing {
    &orders.orders.read(&ORDER).as_ref().expect("the order is there").standing
}

fn open() -> Orders {
    orders(Standing::Open)
}

fn orders(standing: Standing) -> Orders {
    let mut orders = Orders::default();
    orders.orders.put(ORDER, Some(purchase(standing)));
    orders
}

fn closing_words() -> Vec<Event> {
    let closes = |event: &Event| {
        let row = Input::hear(event.clone()).map(|input| input.row().step);
        row.and_then(|step| Order::DECLARATION.step(step)).is_some_and(|step| step.kind == Kind::Undo)
    };
    heard().into_iter().filter(closes).collect()
}

/// What `dance.md` says each word closes, written down a second time.
fn closed_by(word: &Event) -> &'static str {
    match word.info().name {
        "stock.unavailable" => "IPS",
        "stock.released" => "I",
        "payment.declined" => "PS",
        "payment.voided" | "payment.refunded" => "P",
        "shipment.refused" | "shipment.cancelled" => "S",
        "payment.capture_failed" => "",
        other => panic!("{other} closes nobody"),
    }
}

fn cause_of(word: &Event) -> Reason {
    match word.info().name {
        "stock.unavailable" => Reason::OutOfStock,
        "payment.declined" => Reason::PaymentDeclined,
        "payment.capture_failed" => Reason::CaptureFailed,
        "shipment.refused" => Reason::ShipmentRefused,
        _ => Reason::CustomerRequest,
    }
}

fn ends(tried: &Tried<Order>) -> usize {
    tried.said().filter(|event| matches!(event, Event::OrderRejected(_) | Event::OrderCancelled(_))).count()
}

/// Everything that can be reached from `start` by events about the order and its deadline, as rows.
fn reachable(start: Orders) -> HashSet<String> {
    let inputs: Vec<Input> =
        heard().into_iter().filter_map(Input::hear).chain([Input::Overdue(Overdue { order: ORDER })]).collect();
    let (mut known, mut waiting) = (HashSet::new(), vec![start]);
    while let Some(rows) = waiting.pop() {
        // Askings grow without end, and nothing but their number differs.
        if !known.insert(format!("{:?}", calm(rows.clone()))) {
            continue;
        }
        waiting.extend(inputs.iter().map(|input| calm(attempt::<Order>(&rows, input).after)));
    }
    known
}

fn calm(mut rows: Orders) -> Orders {
    let first = Asking { number: 1, wait_s: 10 };
    if let Some(order) = rows.orders.of(&ORDER) {
        match &mut order.standing {
            Standing::Cancelling { asking, .. } | Standing::Closing { asking, .. } => *asking = first,
            Standing::Confirmed { sale: order::Sale::Owed { asking, .. } }
            | Standing::Dispatched { sale: order::Sale::Owed { asking, .. }, .. } => *asking = first,
            Standing::Open | Standing::Confirmed { .. } | Standing::Dispatched { .. } => {}
            Standing::Rejected { .. } | Standing::Cancelled => {}
        }
    }
    let mut fresh = Orders::default();
    fresh.orders.put(ORDER, rows.orders.read(&ORDER).clone());
    fresh
}

#[test]
fn an_end_is_never_left() {
    let ended = [Standing::Rejected { reason: Reason::Expired }, Standing::Cancelled];
    for end in ended {
        assert_eq!(reachable(orders(end.clone())).len(), 1, "{end:?}");
    }
    let gone = Standing::Dispatched { since: CONTEXT.now, sale: order::Sale::Committed };
    assert_eq!(reachable(orders(gone)).len(), 1);
}

#[test]
fn few_states_are_reachable_and_no_deadline_ends_a_confirmed_order() {
    assert!(reachable(open()).len() < 400, "{}", reachable(open()).len());
    let mut rows = after(&open(), heard_named("payment.captured")).after;
    for _ in 0..20 {
        let tried = attempt::<Order>(&rows, &Input::Overdue(Overdue { order: ORDER }));
        assert_eq!(tried.said().map(|event| event.info().name).collect::<Vec<_>>(), ["order.confirmed"]);
        rows = tried.after;
    }
    assert_eq!(status(standing(&rows)).as_str(), "confirmed");
    let sold = after(&rows, heard_named("stock.committed"));
    assert!(sold.taken().is_some_and(|taken| taken.wakes.iter().all(|wake| wake.at.is_none())), "{sold:?}");
}

fn heard_named(name: &str) -> Event {
    heard().into_iter().find(|event| event.info().name == name).expect("an event that order hears")
}

#[test]
fn it_asks_again_ever_more_slowly_with_a_number_that_grows() {
    let mut rows = open();
    let mut asked = Vec::new();
    for _ in 0..8 {
        let tried = attempt::<Order>(&rows, &Input::Overdue(Overdue { order: ORDER }));
        let number = tried.said().find_map(|event| match event {
            Event::OrderCancellationRequested(e) => Some(e.asking),
            _ => None,
        });
        let wake = tried.taken().and_then(|taken| taken.wakes.first()?.at).expect("it wakes again");
        asked.push((number.expect("it asks"), wake.since(CONTEXT.now).as_secs()));
        rows = tried.after;
    }
    assert_eq!(asked, [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300), (8, 300)]);
}

#[test]
fn all_faults_of_an_order_come_at_once() {
    let mut catalog = Table::default();
    let product = |amount, currency| Some(Product { price: Money::new(amount, currency), version: 1 });
    catalog.put("TEA".into(), product(100, Currency::EUR));
    catalog.put("GOLD".into(), product(i64::MAX / 2, Currency::EUR));
    catalog.put("YEN".into(), product(100, Currency::JPY));
    let shop = Orders { orders: Table::default(), catalog };
    let faults =
        |currency, lines: &[(&str, u32)]| match attempt::<Order>(&shop, &Input::PlaceOrder(place(currency, lines))).verdict {
            Verdict::Refused(problem) => {
                assert_eq!((problem.status, problem.slug.as_str()), (422, "order-not-priceable"));
                problem.errors.into_iter().map(|fault| fault.pointer).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
            }
            verdict => panic!("not refused: {verdict:?}"),
        };
    let eur = Currency::EUR;
    assert_eq!(faults(eur, &[("NO", 1), ("TEA", 1), ("NO", 2)]), ["/lines/0/sku", "/lines/2/sku"]);
    assert_eq!(
        faults(eur, &[("NO", 1), ("YEN", 1), ("TEA", 1), ("GOLD", 3)]),
        ["/lines/0/sku", "/lines/1/sku", "/lines/3/quantity"]
    );
    assert_eq!(faults(Currency::USD, &[("TEA", 1), ("NO", 1)]), ["/currency", "/lines/1/sku"]);
    assert_eq!(faults(eur, &[("GOLD", 1), ("GOLD", 1), ("TEA", 1)]), ["/lines"]);
}

#[test]
fn a_product_is_on_as_many_lines_as_the_customer_likes() {
    let placed =
        attempt::<Order>(&examples().states[0], &Input::PlaceOrder(place(Currency::EUR, &[("TEA-001", 2), ("TEA-001", 1)])));
    let Some(Event::OrderPlaced(placed)) = placed.said().next() else { panic!("{placed:?}") };
    assert_eq!((placed.lines.len(), placed.total), (2, Money::new(3750, Currency::EUR)));
}

/// A way into the ledger: open, asked to stop by the customer, or given up.
fn beginnings() -> Vec<(Option<Reason>, Orders)> {
    let cancelled = Input::CancelOrder(order::CancelOrder { order: ORDER });
    vec![
        (None, open()),
        (Some(Reason::CustomerRequest), attempt::<Order>(&open(), &cancelled).after),
        (Some(Reason::Expired), attempt::<Order>(&open(), &Input::Overdue(Overdue { order: ORDER })).after),
    ]
}

proptest! {
    /// The undo of order is not one word but several: it ends exactly when I, P and S are set, once, under the first cause.
    #[test]
    fn any_order_of_closing_words_ends_exactly_when_the_ledger_is_full(
        begin in 0..3_usize,
        words in prop::collection::vec(prop::sample::select(closing_words()), 1..12),
    ) {
        let (cause, mut rows) = beginnings().swap_remove(begin);
        let cause = cause.unwrap_or_else(|| cause_of(&words[0]));
        let (mut bits, mut ended) = (BTreeSet::new(), 0);
        for word in &words {
            let tried = after(&rows, word.clone());
            prop_assert!(tried.taken().is_some(), "{} is always taken", word.info().name);
            bits.extend(closed_by(word).chars());
            ended += ends(&tried);
            let full = bits.len() == 3;
            prop_assert_eq!(ended, usize::from(full), "after {}", word.info().name);
            let expected = match (full, cause) {
                (false, _) => "compensating",
                (true, Reason::CustomerRequest) => "cancelled",
                (true, _) => "rejected",
            };
            prop_assert_eq!(status(standing(&tried.after)).as_str(), expected);
            prop_assert_eq!(order::reason(standing(&tried.after)), Some(cause));
            prop_assert_eq!(order::owed(standing(&tried.after)).is_empty(), full);
            rows = tried.after;
        }
    }

    /// What is priced is the sum of the lines; what does not fit is refused, never wrapped.
    #[test]
    fn the_total_is_the_sum_of_the_lines_or_nothing(lines in prop::collection::vec((0..3_usize, 1..=1_000_000_u32), 1..8)) {
        let prices = [1_i64, 1_250, 4_000_000_000_000];
        let mut shop = Orders::default();
        let skus = ["A", "B", "C"];
        for (sku, price) in skus.iter().zip(prices) {
            shop.catalog.put((*sku).into(), Some(Product { price: Money::new(price, Currency::EUR), version: 1 }));
        }
        let wishes: Vec<_> = lines.iter().map(|&(at, quantity)| (skus[at], quantity)).collect();
        let command: PlaceOrder = place(Currency::EUR, &wishes);
        let sum: i128 = lines.iter().map(|&(at, quantity)| i128::from(prices[at]) * i128::from(quantity)).sum();
        match attempt::<Order>(&shop, &Input::PlaceOrder(command)).verdict {
            Verdict::Taken(taken) => {
                let Some(Event::OrderPlaced(placed)) = taken.outbox.first().map(|out| &out.event) else { panic!("{taken:?}") };
                prop_assert_eq!(i128::from(placed.total.amount), sum);
            }
            Verdict::Refused(problem) => {
                prop_assert_eq!(problem.status, 422);
                prop_assert!(sum > i128::from(i64::MAX));
            }
            verdict => panic!("{verdict:?}"),
        }
    }
}

/// Each closing word is declared with what it closes (the compiler holds it to the list), and the list is `dance.md`'s.
#[test]
fn each_word_closes_whom_the_protocol_says() {
    fn bits<W: ClosingWord>() -> String {
        let closed = order::Closed::default().and(W::CLOSES, CONTEXT.now);
        [("I", closed.inventory), ("P", closed.payment), ("S", closed.shipping)]
            .into_iter()
            .filter_map(|(bit, closed)| closed.map(|_| bit))
            .collect()
    }
    assert_eq!(bits::<StockUnavailable>(), "IPS");
    assert_eq!(bits::<StockReleased>(), "I");
    assert_eq!(bits::<PaymentDeclined>(), "PS");
    assert_eq!(
        (bits::<PaymentVoided>(), bits::<PaymentRefunded>(), bits::<PaymentCaptureFailed>()),
        ("P".into(), "P".into(), "".into())
    );
    assert_eq!((bits::<ShipmentRefused>(), bits::<ShipmentCancelled>()), ("S".into(), "S".into()));
}

/// A database that lost an order gets it back from what it had said: the same, at the prices that were told, and no other.
#[test]
fn a_command_is_recalled_by_what_it_said_and_says_it_again() {
    let priced = |amount| {
        let mut shop = Orders::default();
        shop.catalog.put("TEA-001".into(), Some(Product { price: Money::new(amount, Currency::EUR), version: 1 }));
        shop
    };
    let first = attempt::<Order>(&priced(1_250), &Input::PlaceOrder(place(Currency::EUR, &[("TEA-001", 2)])));
    let placed: Vec<&Event> = first.said().collect();
    let command = order::recalled(placed[0]).expect("an order is recalled by its first word");
    for shop in [priced(9_999), Orders::default()] {
        let again = attempt::<Order>(&shop, &command);
        assert_eq!(again.said().collect::<Vec<_>>(), placed);
        assert_eq!(standing(&again.after), standing(&first.after));
    }

    for before in [open(), orders(Standing::Confirmed { sale: order::Sale::Committed })] {
        let cancelled = attempt::<Order>(&before, &Input::CancelOrder(order::CancelOrder { order: ORDER }));
        let asked: Vec<&Event> = cancelled.said().collect();
        let command = order::recalled(asked[0]).expect("a customer's wish is recalled");
        assert_eq!(attempt::<Order>(&before, &command).said().collect::<Vec<_>>(), asked);
    }
    // What a deadline says is no command.
    let overdue = attempt::<Order>(&open(), &Input::Overdue(Overdue { order: ORDER }));
    assert!(overdue.said().all(|event| order::recalled(event).is_none()));
    assert!(heard().iter().all(|event| order::recalled(event).is_none()));
}
