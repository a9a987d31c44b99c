//! The catalog: what operators do to a product at inventory, and order's copy of its price. No order is about it, so the
//! model does not meet it; here every short sequence of commands is tried, and what they say heard in every order.

use std::panic::catch_unwind;

use events::{Currency, Event, Money, ProductChanged, Sku};
use inventory::{AdjustStock, AnnounceProducts, Input, IntroduceProduct, Inventory, PutProduct, Shelves, Stock};
use order::{Order, Orders};
use saga::examples::attempt;

use crate::checks::in_panic;

/// How many commands follow each other.
const COMMANDS_MAX: usize = 3;

/// Everything that is wrong with the catalog, a sentence for each shortest sequence that shows it.
pub fn check() -> Vec<String> {
    let mut wrong = Vec::new();
    let mut sequences: Vec<Vec<Input>> = vec![vec![introduce()]];
    let mut at = 0;
    while let Some(sequence) = sequences.get(at).cloned() {
        at += 1;
        match followed(&sequence) {
            Err(what) => wrong.push(format!("after {}: {what}", names(&sequence))),
            Ok(()) if sequence.len() <= COMMANDS_MAX => {
                sequences.extend(commands().into_iter().map(|command| [sequence.as_slice(), &[command]].concat()));
            }
            Ok(()) => {}
        }
    }
    wrong
}

/// As [`follow`], and a panic is a finding.
fn followed(commands: &[Input]) -> Result<(), String> {
    catch_unwind(|| follow(commands)).unwrap_or_else(|panic| Err(format!("a reaction panics: {}", in_panic(&*panic))))
}

/// Gives inventory these commands, and order what it says of them.
fn follow(commands: &[Input]) -> Result<(), String> {
    let mut shelves = Shelves::default();
    let mut said: Vec<ProductChanged> = Vec::new();
    for command in commands {
        let tried = attempt::<Inventory>(&shelves, command);
        let changes: Vec<ProductChanged> = tried.said().filter_map(changed).collect();
        let (before, after) = (stock(&shelves), stock(&tried.after));
        let accepted = tried.taken().map(|_| command);
        counted(accepted, before.as_ref(), after.as_ref())?;
        if before != after && changes.is_empty() {
            return Err("inventory changes a product, and does not say so".to_owned());
        }
        said.extend(changes);
        shelves = tried.after;
    }
    let mut versions: Vec<u64> = said.iter().map(|change| change.version).collect();
    versions.dedup();
    if versions.len() != said.len() {
        return Err("inventory says two things of a product under one version".to_owned());
    }
    let price = stock(&shelves).map(|stock| stock.price);
    match permutations(&said).into_iter().find(|heard| copied(heard) != price) {
        Some(heard) => {
            let versions: Vec<u64> = heard.iter().map(|change| change.version).collect();
            Err(format!("order hears versions {versions:?} in this order, and does not have the price of the last"))
        }
        None => Ok(()),
    }
}

/// On hand, reserved and sold make what was received, which moves as the operator says.
fn counted(accepted: Option<&Input>, before: Option<&Stock>, after: Option<&Stock>) -> Result<(), String> {
    let Some(after) = after else { return Ok(()) };
    if u64::from(after.on_hand) + u64::from(after.reserved) + u64::from(after.sold) != u64::from(after.received) {
        return Err("what is on hand, reserved and sold is not what was received".to_owned());
    }
    let moved = i64::from(after.received) - before.map_or(0, |before| i64::from(before.received));
    let counted = match accepted {
        Some(Input::IntroduceProduct(command)) if before.is_none() => i64::from(command.count),
        Some(Input::AdjustStock(command)) => command.delta,
        _ => 0,
    };
    if moved == counted { Ok(()) } else { Err(format!("{counted} were counted in, and {moved} were received")) }
}

/// The price that order has, once it has heard these.
fn copied(heard: &[ProductChanged]) -> Option<Money> {
    let mut orders = Orders::default();
    for change in heard {
        orders = attempt::<Order>(&orders, &order::Input::ProductChanged(change.clone())).after;
    }
    orders.catalog.read(&sku()).map(|product| product.price)
}

fn permutations(said: &[ProductChanged]) -> Vec<Vec<ProductChanged>> {
    if said.is_empty() {
        return vec![Vec::new()];
    }
    let first = |at: usize| {
        let (mut rest, one) = (said.to_vec(), said[at].clone());
        rest.remove(at);
        permutations(&rest).into_iter().map(move |rest| [vec![one.clone()], rest].concat())
    };
    (0..said.len()).flat_map(first).collect()
}

fn changed(event: &Event) -> Option<ProductChanged> {
    if let Event::ProductChanged(change) = event { Some(change.clone()) } else { None }
}

fn stock(shelves: &Shelves) -> Option<Stock> {
    shelves.stock.rows().find_map(|(_, stock)| stock.clone())
}

fn sku() -> Sku {
    "TEA-001".into()
}

fn introduce() -> Input {
    let (name, price) = ("Darjeeling".to_owned(), Money::new(1250, Currency::EUR));
    Input::IntroduceProduct(IntroduceProduct { sku: sku(), name, price, count: 5 })
}

/// Each command that an operator has, with what it may be worth trying with.
fn commands() -> Vec<Input> {
    let put = |amount, seen| {
        let (name, price) = ("Darjeeling".to_owned(), Money::new(amount, Currency::EUR));
        Input::PutProduct(PutProduct { sku: sku(), name, price, seen })
    };
    let adjust = |delta| Input::AdjustStock(AdjustStock { sku: sku(), delta, reason: "counted".to_owned() });
    let announce = Input::AnnounceProducts(AnnounceProducts { skus: vec![sku()] });
    vec![put(1250, None), put(1300, None), put(1400, Some(1)), adjust(3), adjust(-2), announce, introduce()]
}

fn names(sequence: &[Input]) -> String {
    let names: Vec<&str> = sequence.iter().map(|command| saga::Inputs::row(command).input).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_is_copied_whatever_comes_first() {
        assert_eq!(check(), Vec::<String>::new());
    }
}
