//! Inventory under any sequence of inputs, in any batches, with repeats: nothing is oversold, nothing is lost, and a batch
//! is no more than its inputs one by one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    slice,
};

use events::*;
use inventory::{AdjustStock, AnnounceProducts, Input, IntroduceProduct, Inventory, PutProduct, Reservation, Shelves};
use proptest::{collection::vec, prelude::*, sample::Index};
use saga::{
    Claim, Records,
    batch::{Arrived, Verdict, decide, wanted},
    examples::CONTEXT,
};
use uuid::Uuid;

const PRODUCTS: usize = 3;
const ORDERS: usize = 5;

/// One of the batches that a run is made of.
type Batch = Vec<Arrived<Inventory>>;

/// The shelves after each batch, and every verdict.
struct Run {
    shelves: Vec<Shelves>,
    verdicts: Vec<Verdict<Inventory>>,
}

fn sku(product: usize) -> Sku {
    Sku(format!("P-{product}"))
}

fn order(number: usize) -> OrderId {
    OrderId(Uuid::from_u128((0x0193_5d3e_8000_7000 << 64) | (0x8000_0000_0000_0000 + number as u128)))
}

fn price() -> Money {
    Money::new(1250, Currency::EUR)
}

/// An order always has the same lines, however often it is placed; a SKU may be on two of them.
fn placed(number: usize) -> OrderPlaced {
    let line = |product, quantity| Line { sku: sku(product), quantity, unit_price: price() };
    let (first, second) = (number % PRODUCTS, (number + 1) % PRODUCTS);
    OrderPlaced {
        order_id: order(number),
        customer_id: "c-1001".into(),
        lines: vec![line(first, 1), line(second, 2), line(first, number as u32)],
        total: price(),
        payment_method: "pm_card_visa".into(),
        ship_to: Address {
            name: "Ada".into(),
            street: "1 Main St".into(),
            city: "Berlin".into(),
            postal_code: "10115".into(),
            country: "DE".into(),
        },
    }
}

fn input() -> impl Strategy<Value = Input> {
    let about_order = (0..ORDERS, 0..5_u8).prop_map(|(number, what)| {
        let order_id = order(number);
        match what {
            0 => Input::OrderPlaced(placed(number)),
            1 => Input::OrderConfirmed(OrderConfirmed { order_id }),
            2 => Input::PaymentDeclined(PaymentDeclined { order_id, code: "card_declined".into() }),
            3 => Input::ShipmentRefused(ShipmentRefused { order_id, code: "destination_not_served".into() }),
            _ => Input::ShipmentCancelled(ShipmentCancelled { order_id, because: Reason::CustomerRequest }),
        }
    });
    let by_operator = (0..PRODUCTS, 0..4_u8, -4..6_i64).prop_map(|(product, what, delta)| {
        let (sku, name) = (sku(product), format!("Tea {delta}"));
        match what {
            0 => Input::IntroduceProduct(IntroduceProduct { sku, name, price: price(), count: 6 }),
            1 => Input::PutProduct(PutProduct { sku, name, price: price(), seen: u64::try_from(delta).ok() }),
            2 => Input::AdjustStock(AdjustStock { sku, delta, reason: "counted".into() }),
            _ => Input::AnnounceProducts(AnnounceProducts { skus: vec![sku] }),
        }
    });
    prop_oneof![4 => about_order, 1 => by_operator]
}

/// The products are introduced; then anything comes, some of it twice under its claim, in batches of any size.
fn batches() -> impl Strategy<Value = Vec<Batch>> {
    (vec(input(), 1..60), vec(any::<Index>(), 0..10), vec(1..9_usize, 60)).prop_map(|(inputs, repeats, sizes)| {
        let introduce = |product| {
            Input::IntroduceProduct(IntroduceProduct { sku: sku(product), name: "Tea".into(), price: price(), count: 6 })
        };
        let inputs = (0..PRODUCTS).map(introduce).chain(inputs);
        let mut all: Batch = (1_u128..)
            .zip(inputs)
            .map(|(id, input)| Arrived { claim: Claim::Event(EventId(Uuid::from_u128(id))), input })
            .collect();
        for repeat in repeats {
            let again = repeat.get(&all).clone();
            all.push(again);
        }
        let mut rest = all.as_slice();
        let mut batches = Vec::new();
        for size in sizes.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (batch, left) = rest.split_at(size.min(rest.len()));
            batches.push(batch.to_vec());
            rest = left;
        }
        batches
    })
}

/// As production does it: want, load, decide, write.
fn run<'a>(batches: impl IntoIterator<Item = &'a [Arrived<Inventory>]>) -> Run {
    let (mut store, mut claimed) = (Shelves::default(), HashSet::new());
    let mut run = Run { shelves: Vec::new(), verdicts: Vec::new() };
    for batch in batches {
        let mut shelves = wanted::<Inventory>(batch);
        shelves.load(&store);
        let verdicts = decide(&mut shelves, batch, &claimed, &CONTEXT);
        shelves.write(&mut store);
        let taken = batch.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Taken(_)));
        claimed.extend(taken.map(|(arrived, _)| arrived.claim.id()));
        run.verdicts.extend(verdicts);
        run.shelves.push(store.clone());
    }
    run
}

fn in_batches(batches: &[Batch]) -> Run {
    run(batches.iter().map(Vec::as_slice))
}

fn one_by_one(batches: &[Batch]) -> Run {
    run(batches.iter().flatten().map(slice::from_ref))
}

/// What reservations say is set aside and sold, by product.
fn promised(shelves: &Shelves) -> BTreeMap<Sku, (u32, u32)> {
    let mut promised: BTreeMap<Sku, (u32, u32)> = BTreeMap::new();
    for (_, reservation) in shelves.reservations.rows() {
        match reservation {
            Reservation::Reserved { lines } => {
                lines.iter().for_each(|pick| promised.entry(pick.sku.clone()).or_default().0 += pick.quantity)
            }
            Reservation::Committed { lines } => {
                lines.iter().for_each(|pick| promised.entry(pick.sku.clone()).or_default().1 += pick.quantity)
            }
            Reservation::Absent | Reservation::Unavailable { .. } | Reservation::Released { .. } => {}
        }
    }
    promised
}

proptest! {
    /// Counts cannot be below zero (they are unsigned, and tests check overflow), so what adds up is not oversold.
    #[test]
    fn stock_is_conserved_and_never_oversold(batches in batches()) {
        let run = in_batches(&batches);
        for shelves in &run.shelves {
            let mut promised = promised(shelves);
            for (sku, stock) in shelves.stock.rows() {
                let Some(stock) = stock else { continue };
                prop_assert_eq!(stock.on_hand + stock.reserved + stock.sold, stock.received);
                prop_assert_eq!((stock.reserved, stock.sold), promised.remove(sku).unwrap_or_default());
            }
            prop_assert!(promised.is_empty(), "promised, and no such product: {promised:?}");
        }
    }

    /// What was received is what operators counted, whatever orders did.
    #[test]
    fn only_an_operator_adds(batches in batches()) {
        let run = in_batches(&batches);
        let mut received: HashMap<Sku, i64> = HashMap::new();
        for (arrived, verdict) in batches.iter().flatten().zip(&run.verdicts) {
            let Verdict::Taken(taken) = verdict else { continue };
            match &arrived.input {
                Input::AdjustStock(adjust) => *received.entry(adjust.sku.clone()).or_default() += adjust.delta,
                Input::IntroduceProduct(new) if taken.because.is_none() => *received.entry(new.sku.clone()).or_default() += i64::from(new.count),
                _ => {}
            }
        }
        let last = run.shelves.last().cloned().unwrap_or_default();
        for (sku, stock) in last.stock.rows() {
            prop_assert_eq!(stock.as_ref().map_or(0, |stock| i64::from(stock.received)), received.get(sku).copied().unwrap_or(0));
        }
    }

    /// A version is an entity tag: whoever has seen it has seen these counts.
    #[test]
    fn a_version_is_one_content(batches in batches()) {
        let mut seen = HashMap::new();
        for shelves in &one_by_one(&batches).shelves {
            for (sku, stock) in shelves.stock.rows() {
                let Some(stock) = stock else { continue };
                let first = seen.entry((sku.clone(), stock.version)).or_insert_with(|| stock.clone());
                prop_assert_eq!(&*first, stock);
            }
        }
    }

    /// Batches are an economy: the same rows, verdicts and ids as one by one.
    #[test]
    fn a_batch_is_its_inputs_one_by_one(batches in batches()) {
        let (many, single) = (in_batches(&batches), one_by_one(&batches));
        prop_assert_eq!(many.shelves.last(), single.shelves.last());
        prop_assert_eq!(many.verdicts, single.verdicts);
    }

    #[test]
    fn what_does_not_take_effect_changes_nothing(batches in batches()) {
        let run = one_by_one(&batches);
        let before = std::iter::once(Shelves::default()).chain(run.shelves.iter().cloned());
        for ((before, after), verdict) in before.zip(&run.shelves).zip(&run.verdicts) {
            if !matches!(verdict, Verdict::Taken(_)) {
                prop_assert_eq!(&before, after, "{:?}", verdict);
            }
        }
    }

    /// Run again, everything has the same id; no two events share one; and an order's ids begin with its birth.
    #[test]
    fn ids_are_stable(batches in batches()) {
        let (once, again) = (in_batches(&batches), in_batches(&batches));
        prop_assert_eq!(&once.verdicts, &again.verdicts);
        let mut seen = HashSet::new();
        for verdict in &once.verdicts {
            let Verdict::Taken(taken) = verdict else { continue };
            for out in &taken.outbox {
                prop_assert!(seen.insert(out.id), "{:?} has the id of another event", out);
                let birth = out.event.order().map_or(0, OrderId::birth_ms);
                prop_assert_eq!(out.id.0.as_u128() >> 80, u128::from(birth));
            }
        }
    }
}
