//! That the products hold exactly what two orders can do, and that a mistake between the two is found.

use std::ops::ControlFlow;

use inventory::Reservation;

use super::*;
use crate::model::{
    explore::{Search, State},
    world::Act,
};

fn visited(world: World) -> (Pairs, Option<Counterexample>) {
    let mut pairs = Pairs::within(world);
    let (cut, found) = pairs.visit_all(&mut |_| ControlFlow::Continue(()));
    assert!(!cut);
    (pairs, found)
}

/// What the plain search meets, step by step, must lie in a product.
#[test]
fn whatever_two_orders_do_one_after_the_other_lies_in_a_product() {
    let (pairs, found) = visited(World::new(Settings::last_piece()));
    assert_eq!(found, None);
    let (products, sets) = (pairs.products, pairs.sets);
    let mut world = pairs.world;
    world.settings.states_max = Some(100_000);
    let mut search = Search::within(world);
    let (_, found) = search.visit_all(&mut |_| ControlFlow::Continue(()));
    assert_eq!(found, None);
    for number in 0..search.states.len() as u32 {
        let state = State::unpack(search.states.get(number));
        let holds = |product: &Product| {
            let within = |order: usize| sets.get(product.sets[order]).binary_search(&state.parts[order]).is_ok();
            product.shelf == state.shelf && within(0) && within(1)
        };
        assert!((0..products.len() as u32).any(|product| holds(products.get(product))), "{state:?} is in no product");
    }
}

/// One order's step takes the other's goods: neither alone can see that.
#[test]
fn a_release_of_what_the_other_has_reserved_is_found() {
    let (mut pairs, found) = visited(World::new(Settings::last_piece()));
    assert_eq!(found, None);
    let ids = [0, 1].map(|order: usize| pairs.world.universes[order].id);
    let reservation = |world: &World, shelf: u32, order: usize| {
        let rows = world.shelves.get(shelf).reservations.rows();
        rows.filter(|(id, _)| **id == ids[order]).map(|(_, row)| row.clone()).next().unwrap_or_default()
    };
    let mut planted = 0;
    let steps: Vec<usize> = pairs.world.expanded(0).flat_map(|(_, steps)| steps).collect();
    for at in steps {
        let shelf = pairs.world.edges[at].shelf;
        if !matches!(reservation(&pairs.world, shelf, 1), Reservation::Reserved { .. }) {
            continue;
        }
        let own = reservation(&pairs.world, shelf, 0);
        let without = (0..pairs.world.shelves.len() as u32).find(|other| {
            reservation(&pairs.world, *other, 0) == own && reservation(&pairs.world, *other, 1) == Reservation::Absent
        });
        if let Some(without) = without {
            pairs.world.edges[at].shelf = without;
            planted += 1;
        }
    }
    assert!(planted > 0);
    let (_, found) = visited(pairs.world);
    let found = found.expect("the other order sells what it has not");
    assert!(found.steps.iter().any(|step| step.starts_with("A: ")), "{found}");
    assert!(found.steps.iter().any(|step| step.starts_with("B: ")), "{found}");
}

/// Payment forgets that it was answered: the call is made, answered and forgotten, for as long as anybody looks.
#[test]
fn an_order_that_comes_back_to_where_it_was_is_found() {
    let (mut pairs, found) = visited(World::new(Settings::last_piece()));
    assert_eq!(found, None);
    assert!(pairs.longest().is_ok());
    let steps = |world: &World| world.expanded(1).collect::<Vec<_>>();
    let is = |world: &World, call: u8| world.universes[1].calls.get(call.into()).name() == "AuthorizeCard";
    let mut asked = HashMap::new();
    for (part, at) in steps(&pairs.world) {
        let executed =
            pairs.world.edges[at].iter().filter(|edge| matches!(edge.act, Act::Execute(call, _) if is(&pairs.world, call)));
        asked.extend(executed.map(|edge| (edge.part, part)));
    }
    for (part, at) in steps(&pairs.world) {
        for at in at {
            let answers = matches!(pairs.world.edges[at].act, Act::Answer(call) if is(&pairs.world, call));
            if let (true, Some(before)) = (answers, asked.get(&part)) {
                pairs.world.edges[at].part = *before;
            }
        }
    }
    let report = Pairs::within(pairs.world).run(&mut |_| ControlFlow::Continue(()));
    let found = report.counterexample.expect("it goes round");
    assert_eq!(found.what, "there is a cycle without progress");
    assert!(!report.complete);
    assert_eq!(found.steps.last().map(String::as_str), Some("B: payment takes stock.reserved"), "{found}");
}
