//! Two services that answer each other for ever: order says `order.confirmed` whenever it hears that the stock is sold, and
//! inventory sells whenever it hears that the order is confirmed. Each looks sound alone, and so do their declarations.

#![allow(unreachable_pub, reason = "`records!` and `reactions!` make what is public")]

use events::{OrderConfirmed, OrderId, StockCommitted};
use saga::{
    Table,
    examples::{Examples, name_of, names_of},
};
use serde::{Deserialize, Serialize};

/// The order of the examples.
const ORDER: OrderId = OrderId(uuid::uuid!("01935d3e-8000-7000-8000-000000000001"));

/// What both of them remember of an order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Sale {
    #[default]
    Open,
    Done,
}

saga::records! {
    /// A sale for each order.
    pub struct Sales {
        /// By order.
        pub sales: Table<OrderId, Sale>,
    }
}

fn states() -> Vec<Sales> {
    let keep = |sale| {
        let mut sales = Table::default();
        sales.put(ORDER, sale);
        Sales { sales }
    };
    [Sale::Open, Sale::Done].into_iter().map(keep).collect()
}

fn examples<P: saga::Participant<Records = Sales>>(input: P::Input, names: Vec<&'static str>) -> Examples<P> {
    Examples {
        states: states(),
        names,
        label: |sales| name_of(sales.sales.read(&ORDER)),
        inputs: vec![("", input)],
        answers: |_| Vec::new(),
        clean: |_| true,
        answered_again: &[],
        closing: &[],
    }
}

pub mod order {
    use events::{OrderConfirmed, StockCommitted};
    use saga::{Context, Outcome, say};

    use super::{ORDER, Sale, Sales};

    saga::reactions! {
        "order": Order keeps Sales;
        /// Lets the order stand.
        step Confirm: retriable {
            on       StockCommitted => confirm;
            says     OrderConfirmed;
        }
    }

    fn touches(_: &Input, sales: &mut Sales) {
        sales.sales.want([ORDER]);
    }

    fn confirm(sales: &mut Sales, e: &StockCommitted, _: &Context) -> Outcome<step::Confirm> {
        *sales.sales.of(&e.order_id) = Sale::Done;
        say(OrderConfirmed { order_id: e.order_id })
    }

    pub fn examples() -> saga::examples::Examples<Order> {
        super::examples(Input::StockCommitted(super::StockCommitted { order_id: ORDER }), super::names_of::<Sale>())
    }
}

pub mod inventory {
    use events::{OrderConfirmed, StockCommitted};
    use saga::{Context, Outcome, say};

    use super::{ORDER, Sale, Sales};

    saga::reactions! {
        "inventory": Inventory keeps Sales;
        /// Turns what was set aside into a sale.
        step Commit: retriable {
            on       OrderConfirmed => commit;
            says     StockCommitted;
        }
    }

    fn touches(_: &Input, sales: &mut Sales) {
        sales.sales.want([ORDER]);
    }

    fn commit(sales: &mut Sales, e: &OrderConfirmed, _: &Context) -> Outcome<step::Commit> {
        *sales.sales.of(&e.order_id) = Sale::Done;
        say(StockCommitted { order_id: e.order_id })
    }

    pub fn examples() -> saga::examples::Examples<Inventory> {
        super::examples(Input::OrderConfirmed(super::OrderConfirmed { order_id: ORDER }), super::names_of::<Sale>())
    }
}
