//! What an order costs, from order's own copy of the catalog: nobody is asked on the way in.

use events::*;
use saga::{Fault, Problem, Table};
use serde::{Deserialize, Serialize};

use super::PlaceOrder;

/// What a product costs, as inventory last announced it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Product {
    /// One.
    pub price: Money,
    /// Of the owner's row: what is not newer changes nothing.
    pub version: u64,
}

/// The lines with their prices, and their sum.
///
/// Refuses with every fault at once: products that the catalog does not know or that have another currency, and
/// amounts that do not fit.
pub(super) fn price(order: &PlaceOrder, catalog: &Table<Sku, Option<Product>>) -> Result<(Vec<Line>, Money), Problem> {
    let prices: Vec<Option<Money>> =
        order.lines.iter().map(|line| catalog.read(&line.sku).map(|product| product.price)).collect();
    let foreign = foreign_prices(order, &prices);
    let mut faults: Vec<Fault> = foreign;
    let (mut lines, mut total) = (Vec::with_capacity(prices.len()), Ok(Money::new(0, order.currency)));
    for (at, (wish, price)) in order.lines.iter().zip(prices).enumerate() {
        let Some(unit_price) = price else {
            faults.push(fault(format!("/lines/{at}/sku"), "is not in the catalog"));
            continue;
        };
        match unit_price.times(wish.quantity) {
            Ok(amount) => total = total.and_then(|sum| sum.plus(Money::new(amount.amount, order.currency))),
            Err(error) => faults.push(fault(format!("/lines/{at}/quantity"), error.to_string())),
        }
        lines.push(Line { sku: wish.sku.clone(), quantity: wish.quantity, unit_price });
    }
    match total {
        Ok(total) if faults.is_empty() => Ok((lines, total)),
        Ok(_) => Err(refused(faults)),
        Err(error) => {
            faults.push(fault("/lines".into(), format!("all together: {error}")));
            Err(refused(faults))
        }
    }
}

/// When nothing has the order's currency, it is the currency that is wrong; else it is those lines.
fn foreign_prices(order: &PlaceOrder, prices: &[Option<Money>]) -> Vec<Fault> {
    let foreign: Vec<(usize, Currency)> = prices
        .iter()
        .enumerate()
        .filter_map(|(at, price)| price.map(|price| (at, price.currency)))
        .filter(|(_, currency)| *currency != order.currency)
        .collect();
    if let [(_, currency), ..] = foreign[..]
        && foreign.len() == prices.iter().flatten().count()
    {
        return vec![fault("/currency".into(), format!("the catalog prices this in {}", currency.code()))];
    }
    let at_line = |(at, currency): (usize, Currency)| {
        fault(format!("/lines/{at}/sku"), format!("is priced in {}, not in {}", currency.code(), order.currency.code()))
    };
    foreign.into_iter().map(at_line).collect()
}

fn fault(pointer: String, detail: impl Into<String>) -> Fault {
    Fault { pointer, detail: detail.into() }
}

fn refused(faults: Vec<Fault>) -> Problem {
    let detail = match faults.len() {
        1 => "One field is at fault.".to_owned(),
        count => format!("{count} fields are at fault."),
    };
    Problem::new(422, "order-not-priceable", "The order cannot be priced", detail).with(faults)
}
