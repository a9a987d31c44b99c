//! Loyalty among the other services, under faults.

use choreography::{
    Snapshot,
    simulate::{Actor, Settings, run},
};
use events::OrderId;
use order::Standing;

use crate::{
    domain::{Card, Cards},
    reactions::Loyalty,
};

impl Actor for Loyalty {
    type State = Card;
    type Partner = ();

    fn state(cards: &Cards, order: OrderId) -> Option<&Card> {
        cards.cards.get(&order)
    }

    fn wrong_at_rest(cards: &Cards, whole: &Snapshot) -> Vec<String> {
        let stands = |order: &Standing| matches!(order, Standing::Confirmed { .. } | Standing::Dispatched { .. });
        let earned = |order: &OrderId| matches!(cards.cards.get(order), Some(Card::Earned { .. }));
        let wrong = whole.orders.iter().filter(|(id, order)| earned(id) != stands(&order.standing));
        wrong.map(|(id, order)| format!("{:?} has {:?}", order.standing, cards.cards.get(id))).collect()
    }
}

#[test]
fn whoever_keeps_the_goods_keeps_the_points() {
    let report = run(&Settings::new(4).with::<Loyalty>(), 7, 0..500, 2, &|_| ());
    assert!(report.failure.is_none(), "{}", report.failure.map(|failure| failure.to_string()).unwrap_or_default());
    assert!(report.coverage.visits("loyalty", "payment.refunded.v1", "earned") > 0, "{}", report.coverage);
}
