//! The counts of a product, and what an operator does to it.

use events::*;
use saga::{Because::Known, Command, Context, Outcome, Problem, Receipt, Reply, nothing, say};
use serde::{Deserialize, Serialize};

use super::Shelves;
use crate::reactions::{Input, step};

/// How many of one product can ever be received: what a 32-bit integer of Postgres holds. Every count stays below it,
/// since on hand + reserved + sold is what was received.
pub const RECEIVED_MAX: u32 = i32::MAX as u32;

/// A product with its counts. On hand + reserved + sold = received.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Stock {
    /// What people call it.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// On the shelf and free to be set aside: what is available.
    pub on_hand: u32,
    /// Set aside for orders that may still fail.
    pub reserved: u32,
    /// Sold.
    pub sold: u32,
    /// What was ever counted in, less what was counted out.
    pub received: u32,
    /// Of the row: grows with every change, also of a count. The entity tag, and what names a `product.changed`.
    pub version: u64,
}

/// What `GET /v1/products/{sku}` shows, and what a change answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProductView {
    /// Which.
    pub sku: Sku,
    /// What people call it.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// On the shelf and not set aside.
    pub on_hand: u32,
    /// Set aside for orders.
    pub reserved: u32,
    /// How many can be ordered: the same as `on_hand`, since what is set aside is not counted there.
    pub available: u32,
    /// Grows with every change, also of a count; the entity tag.
    pub version: u64,
}

/// Lists a product of the first catalog.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct IntroduceProduct {
    /// Which.
    pub sku: Sku,
    /// What people call it.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// How many there are; at most [`RECEIVED_MAX`].
    pub count: u32,
}

/// Gives a product its name and price.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PutProduct {
    /// Which.
    pub sku: Sku,
    /// What people call it.
    pub name: String,
    /// What one costs.
    pub price: Money,
    /// The version that the operator has seen (`If-Match`); none: whatever there is.
    pub seen: Option<u64>,
}

/// Counts goods in or out.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct AdjustStock {
    /// Of which.
    pub sku: Sku,
    /// How many: in when positive, out when negative.
    pub delta: i64,
    /// The operator's word for why: `goods in`, `broken`. The answer, which the request's claim keeps, repeats it.
    pub reason: String,
}

/// Asks for a `product.changed` of each of these, under a new version.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct AnnounceProducts {
    /// Which.
    pub skus: Vec<Sku>,
}

/// What an operator had done to a product, told by what was said of it: it comes back behind a lost database.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RecallProduct {
    /// As it was announced.
    pub told: ProductChanged,
}

/// The command behind an event of inventory's own.
pub fn recalled(event: &Event) -> Option<Input> {
    let Event::ProductChanged(told) = event else { return None };
    Some(Input::RecallProduct(RecallProduct { told: told.clone() }))
}

macro_rules! about_no_order {
    ($($command:ident),+) => { $( impl Command for $command {
        fn order(&self) -> Option<OrderId> {
            None
        }
    } )+ };
}
about_no_order!(IntroduceProduct, PutProduct, AdjustStock, AnnounceProducts, RecallProduct);

impl Stock {
    fn new(name: &str, price: Money, count: u32) -> Self {
        Self { name: name.to_owned(), price, on_hand: count, reserved: 0, sold: 0, received: count, version: 1 }
    }

    /// From the shelf into a reservation. Asked only for what is there.
    pub(super) fn set_aside(&mut self, quantity: u32) {
        self.on_hand -= quantity;
        self.reserved += quantity;
        self.version += 1;
    }

    /// Out of a reservation, back on the shelf.
    pub(super) fn put_back(&mut self, quantity: u32) {
        self.reserved -= quantity;
        self.on_hand += quantity;
        self.version += 1;
    }

    /// Out of a reservation, sold.
    pub(super) fn sell(&mut self, quantity: u32) {
        self.reserved -= quantity;
        self.sold += quantity;
        self.version += 1;
    }

    /// Sold, but the goods never left: back on the shelf.
    pub(super) fn take_back(&mut self, quantity: u32) {
        self.sold -= quantity;
        self.on_hand += quantity;
        self.version += 1;
    }

    /// As the outside sees it.
    pub fn view(&self, sku: &Sku) -> ProductView {
        let Self { name, price, on_hand, reserved, version, .. } = self.clone();
        ProductView { sku: sku.clone(), name, price, on_hand, reserved, available: on_hand, version }
    }

    fn changed(&self, sku: &Sku) -> ProductChanged {
        let Self { name, price, on_hand, version, .. } = self.clone();
        ProductChanged { sku: sku.clone(), name, price, available: on_hand, version }
    }
}

/// Lists a product with its count, unless it is known: it may be asked at every start.
pub(crate) fn introduce(shelves: &mut Shelves, c: &IntroduceProduct, _: &Context) -> Reply<step::Introduce> {
    match shelves.stock.of(&c.sku) {
        Some(stock) => Ok(nothing(Known).answering(Receipt::new(200, &stock.view(&c.sku)))),
        None if c.count > RECEIVED_MAX => Err(too_many(&c.sku)),
        new @ None => {
            let stock = new.insert(Stock::new(&c.name, c.price, c.count));
            Ok(said(say(stock.changed(&c.sku)), 201, stock, &c.sku))
        }
    }
}

/// Gives a product its name and price, if nobody changed it since it was seen.
pub(crate) fn put(shelves: &mut Shelves, c: &PutProduct, _: &Context) -> Reply<step::Put> {
    let row = shelves.stock.of(&c.sku);
    if c.seen.is_some_and(|seen| row.as_ref().is_none_or(|stock| stock.version != seen)) {
        let now = row.as_ref().map_or("it does not exist".to_owned(), |stock| format!("its version is {}", stock.version));
        return Err(Problem::new(412, "precondition-failed", "It has changed meanwhile", format!("Product {}: {now}.", c.sku)));
    }
    match row {
        Some(stock) if stock.name == c.name && stock.price == c.price => {
            Ok(nothing(Known).answering(Receipt::new(200, &stock.view(&c.sku))))
        }
        Some(stock) => {
            *stock = Stock { name: c.name.clone(), price: c.price, version: stock.version + 1, ..stock.clone() };
            Ok(said(say(stock.changed(&c.sku)), 200, stock, &c.sku))
        }
        new @ None => {
            let stock = new.insert(Stock::new(&c.name, c.price, 0));
            Ok(said(say(stock.changed(&c.sku)), 201, stock, &c.sku))
        }
    }
}

/// Counts goods in or out. What is set aside cannot be counted out.
pub(crate) fn adjust(shelves: &mut Shelves, c: &AdjustStock, _: &Context) -> Reply<step::Adjust> {
    let Some(stock) = shelves.stock.of(&c.sku) else { return Err(unknown(&c.sku)) };
    let counted = |count: u32| i64::from(count).saturating_add(c.delta);
    if counted(stock.received) > i64::from(RECEIVED_MAX) {
        return Err(too_many(&c.sku));
    }
    let (Ok(on_hand), Ok(received)) = (u32::try_from(counted(stock.on_hand)), u32::try_from(counted(stock.received))) else {
        let detail =
            format!("There are {} of {} on hand; {} cannot be counted out.", stock.on_hand, c.sku, c.delta.unsigned_abs());
        return Err(Problem::new(409, "stock-below-zero", "There are not that many", detail));
    };
    *stock = Stock { on_hand, received, version: stock.version + 1, ..stock.clone() };
    #[derive(Serialize)]
    struct Adjusted<'a> {
        #[serde(flatten)]
        product: ProductView,
        delta: i64,
        reason: &'a str,
    }
    let adjusted = Adjusted { product: stock.view(&c.sku), delta: c.delta, reason: &c.reason };
    Ok(say(stock.changed(&c.sku)).answering(Receipt::new(200, &adjusted)))
}

/// Brings a product to the version that was told. Every change of a row is a version, so from the one before it the difference
/// in what is available is what was counted; from any other it is not known.
pub(crate) fn recall(shelves: &mut Shelves, c: &RecallProduct, _: &Context) -> Reply<step::Adjust> {
    let ProductChanged { sku, name, price, available, version } = &c.told;
    let row = shelves.stock.of(sku);
    let known = row.as_ref().map_or(0, |stock| stock.version);
    if known >= *version {
        return Ok(nothing(Known).answering(Receipt::new(200, &c.told)));
    }
    let stock = row.clone().unwrap_or(Stock { version: 0, ..Stock::new(name, *price, 0) });
    let received = i64::from(stock.received) + i64::from(*available) - i64::from(stock.on_hand);
    let (true, Ok(received)) = (known + 1 == *version, u32::try_from(received)) else {
        let detail = format!("Version {version} of {sku} was told, and {known} is known: count it, then announce it.");
        return Err(Problem::new(409, "not-the-next-version", "What it was before is not known", detail));
    };
    let stock =
        row.insert(Stock { name: name.clone(), price: *price, on_hand: *available, received, version: *version, ..stock });
    Ok(said(say(stock.changed(sku)), 200, stock, sku))
}

/// Says of each of these what is known, under a new version: one that was said before would be dropped as a repeat.
pub(crate) fn announce(shelves: &mut Shelves, c: &AnnounceProducts, _: &Context) -> Reply<step::Announce> {
    let mut skus = c.skus.clone();
    skus.sort();
    skus.dedup();
    #[derive(Serialize)]
    struct Announced {
        announced: usize,
    }
    let mut outcome: Outcome<step::Announce> = nothing(Known);
    for sku in &skus {
        let Some(stock) = shelves.stock.of(sku) else { return Err(unknown(sku)) };
        stock.version += 1;
        outcome = outcome.and_say(stock.changed(sku));
    }
    Ok(outcome.answering(Receipt::new(200, &Announced { announced: skus.len() })))
}

fn said<S: saga::Step>(outcome: Outcome<S>, status: u16, stock: &Stock, sku: &Sku) -> Outcome<S> {
    outcome.answering(Receipt::new(status, &stock.view(sku)))
}

fn unknown(sku: &Sku) -> Problem {
    Problem::new(404, "not-found", "Not found", format!("There is no product {sku}."))
}

fn too_many(sku: &Sku) -> Problem {
    let detail = format!("No more than {RECEIVED_MAX} of {sku} can ever be received.");
    Problem::new(409, "stock-above-limit", "That is too many", detail)
}
