//! The states of an order, and its verbs: each answers in every state.

mod ledger;
mod price;
mod purchase;

use events::*;
use saga::{
    Because::{AlreadyDone, Ended, Known, Recorded, Tombstone, TooEarly, UnderWay},
    Command, Context, Inputs as _, Outcome, Problem, Receipt, Reply, Says, Step, Table, confirmed, confirms_later, contradiction,
    not_yet, nothing, say,
};
use serde::{Deserialize, Serialize};

pub use ledger::{Closed, Closes, ClosingWord};
pub use price::Product;
pub use purchase::{Asking, Purchase, Sale, Standing};

use crate::{
    reactions::{Input, Order, step},
    screen,
};

saga::records! {
    /// What order keeps.
    pub struct Orders {
        /// What was ordered. An order is never deleted: it is the last defence against something years late.
        pub orders: Table<OrderId, Option<Purchase>>,
        /// Order's own copy of the catalog.
        pub catalog: Table<Sku, Option<Product>>,
    }
}

/// A customer orders.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PlaceOrder {
    /// Drawn at the edge.
    pub order: OrderId,
    /// Who.
    pub customer_id: CustomerId,
    /// Of every price in it.
    pub currency: Currency,
    /// What; at least one. The same product may stand on several lines.
    pub lines: Vec<Wish>,
    /// What pays for it.
    pub payment_method: PaymentMethod,
    /// Where it goes.
    pub ship_to: Address,
    /// What the customer was told that it costs, when the order comes back behind a lost database.
    pub agreed: Option<Agreed>,
}

/// Prices that were told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Agreed {
    /// Of each line.
    pub lines: Vec<Line>,
    /// Of all.
    pub total: Money,
}

/// One line of what a customer wants.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// What.
    pub sku: Sku,
    /// How many; at least one.
    pub quantity: u32,
}

/// A customer no longer wants what was ordered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CancelOrder {
    /// Which.
    pub order: OrderId,
}

impl Command for PlaceOrder {
    fn order(&self) -> Option<OrderId> {
        Some(self.order)
    }
}

impl Command for CancelOrder {
    fn order(&self) -> Option<OrderId> {
        Some(self.order)
    }
}

saga::deadline! {
    /// The order has stood still for too long.
    Overdue
}

/// The command behind an event of order's own: with it an order comes back that the database has lost. Each later asking, and
/// one whose cause is another, comes of a deadline.
pub fn recalled(event: &Event) -> Option<Input> {
    if let Event::OrderPlaced(e) = event {
        return Some(Input::PlaceOrder(PlaceOrder {
            order: e.order_id,
            customer_id: e.customer_id.clone(),
            currency: e.total.currency,
            lines: e.lines.iter().map(|line| Wish { sku: line.sku.clone(), quantity: line.quantity }).collect(),
            payment_method: e.payment_method.clone(),
            ship_to: e.ship_to.clone(),
            agreed: Some(Agreed { lines: e.lines.clone(), total: e.total }),
        }));
    }
    let Event::OrderCancellationRequested(e) = event else { return None };
    let wished = e.because == Reason::CustomerRequest && e.asking == 1;
    wished.then_some(Input::CancelOrder(CancelOrder { order: e.order_id }))
}

/// An order's own row, and the products that it names.
pub(crate) fn touches(input: &Input, orders: &mut Orders) {
    orders.orders.want(input.saga());
    match input {
        Input::PlaceOrder(c) => orders.catalog.want(c.lines.iter().map(|line| line.sku.clone())),
        Input::ProductChanged(e) => orders.catalog.want([e.sku.clone()]),
        Input::CancelOrder(_) | Input::Overdue(_) => {}
        Input::StockReserved(_) | Input::StockUnavailable(_) | Input::StockReleased(_) | Input::StockCommitted(_) => {}
        Input::PaymentAuthorized(_) | Input::PaymentDeclined(_) | Input::PaymentCaptured(_) => {}
        Input::PaymentCaptureFailed(_) | Input::PaymentVoided(_) | Input::PaymentRefunded(_) => {}
        Input::ShipmentScheduled(_) | Input::ShipmentRefused(_) | Input::ShipmentCancelled(_) => {}
        Input::ShipmentCancellationRefused(_) | Input::ShipmentDispatched(_) => {}
    }
}

/// Prices the order, or refuses it with every fault at once.
pub(crate) fn place(orders: &mut Orders, c: &PlaceOrder, ctx: &Context) -> Reply<step::Place> {
    let row = orders.orders.of(&c.order);
    if let Some(order) = row {
        return Ok(nothing(AlreadyDone).answering(receipt(202, c.order, order, ctx)));
    }
    let (lines, total) = match &c.agreed {
        Some(Agreed { lines, total }) => (lines.clone(), *total),
        None => price::price(c, &orders.catalog)?,
    };
    let (placed_at, changed_at) = (if c.agreed.is_some() { c.order.born() } else { ctx.now }, ctx.now);
    let customer_id = c.customer_id.clone();
    let order = Purchase { customer_id, lines, total, placed_at, changed_at, standing: Standing::Open };
    let placed = OrderPlaced {
        order_id: c.order,
        customer_id: order.customer_id.clone(),
        lines: order.lines.clone(),
        total,
        payment_method: c.payment_method.clone(),
        ship_to: c.ship_to.clone(),
    };
    let receipt = receipt(202, c.order, &order, ctx);
    *row = Some(order);
    Ok(say(placed).and_wake::<Overdue>(ctx.now.after(ctx.patience)).answering(receipt))
}

/// `payment.captured`: the order stands. While shipping decides, its verdict alone counts.
pub(crate) fn confirm(orders: &mut Orders, e: &PaymentCaptured, ctx: &Context) -> Outcome<step::Confirm> {
    let Some(order) = orders.orders.of(&e.order_id) else { return not_yet(TooEarly) };
    match order.standing {
        Standing::Open => {
            order.stands(Standing::Confirmed { sale: Sale::owed(ctx.now) }, ctx.now);
            say_confirmed(e.order_id, ctx)
        }
        Standing::Confirmed { .. } | Standing::Dispatched { .. } => nothing(AlreadyDone),
        Standing::Cancelling { .. } => nothing(UnderWay),
        Standing::Closing { .. } => nothing(Tombstone),
        Standing::Rejected { .. } | Standing::Cancelled => nothing(Ended),
    }
}

/// `stock.committed`: inventory has followed, so nothing is owed on the way forward.
pub(crate) fn sold(orders: &mut Orders, e: &StockCommitted, _: &Context) -> Outcome<step::Confirm> {
    let Some(order) = orders.orders.of(&e.order_id) else { return not_yet(TooEarly) };
    match &mut order.standing {
        Standing::Confirmed { sale } | Standing::Dispatched { sale, .. } => match sale {
            Sale::Owed { .. } => {
                *sale = Sale::Committed;
                nothing(Recorded).and_rest::<Overdue>()
            }
            Sale::Committed => nothing(AlreadyDone),
        },
        Standing::Cancelling { confirmed, .. } => {
            *confirmed = confirmed.map(|_| Sale::Committed);
            nothing(Known)
        }
        Standing::Open => not_yet(TooEarly),
        Standing::Closing { .. } => nothing(Tombstone),
        Standing::Rejected { .. } | Standing::Cancelled => nothing(Ended),
    }
}

/// `shipment.dispatched`, `shipment.cancellation_refused`: the goods are gone. That proves that they are paid, also when
/// it overtakes `payment.captured`.
pub(crate) fn complete(orders: &mut Orders, e: &impl OfOrder, ctx: &Context) -> Outcome<step::Complete> {
    let Some(order) = orders.orders.of(&e.order()) else { return not_yet(TooEarly) };
    let confirmed = match order.standing {
        Standing::Open => None,
        Standing::Confirmed { sale } => Some(sale),
        Standing::Cancelling { confirmed, .. } => confirmed,
        Standing::Dispatched { .. } => return nothing(AlreadyDone),
        Standing::Closing { .. } | Standing::Rejected { .. } | Standing::Cancelled => return contradiction(),
    };
    let sale = confirmed.unwrap_or(Sale::owed(ctx.now));
    order.stands(Standing::Dispatched { since: ctx.now, sale }, ctx.now);
    match confirmed {
        None => say_confirmed(e.order(), ctx),
        Some(Sale::Owed { asking, .. }) => nothing(Recorded).and_wake::<Overdue>(asking.due(ctx.now)),
        Some(Sale::Committed) => nothing(Recorded).and_rest::<Overdue>(),
    }
}

/// The customer no longer wants it: shipping decides whether it is too late.
pub(crate) fn cancel(orders: &mut Orders, c: &CancelOrder, ctx: &Context) -> Reply<step::Cancel> {
    let Some(order) = orders.orders.of(&c.order) else {
        return Err(Problem::new(404, "not-found", "Not found", "There is no such order."));
    };
    let outcome = match order.standing {
        Standing::Open => stop(order, c.order, Reason::CustomerRequest, None, ctx),
        Standing::Confirmed { sale } => stop(order, c.order, Reason::CustomerRequest, Some(sale), ctx),
        Standing::Cancelling { .. } => nothing(AlreadyDone),
        Standing::Closing { .. } => return Err(too_late("The order cannot be carried out, and is ending already.")),
        Standing::Dispatched { .. } => return Err(too_late("The goods are gone.")),
        Standing::Rejected { .. } => return Err(too_late("The order has ended: it was rejected.")),
        Standing::Cancelled => return Ok(nothing(Ended).answering(receipt(200, c.order, order, ctx))),
    };
    Ok(outcome.answering(receipt(202, c.order, order, ctx)))
}

fn too_late(why: &str) -> Problem {
    Problem::new(409, "too-late-to-cancel", "It is too late to cancel", why)
}

/// The order has stood still for too long: while it is open it is given up; otherwise what is owed is asked for again.
pub(crate) fn chase(orders: &mut Orders, due: &Overdue, ctx: &Context) -> Outcome<step::Chase> {
    let (order_id, now) = (due.order, ctx.now);
    let Some(order) = orders.orders.of(&order_id) else { return contradiction() };
    match &mut order.standing {
        Standing::Open => stop(order, order_id, Reason::Expired, None, ctx),
        Standing::Confirmed { sale: Sale::Owed { asking, .. } }
        | Standing::Dispatched { sale: Sale::Owed { asking, .. }, .. } => {
            *asking = asking.again();
            say(OrderConfirmed { order_id }).and_wake::<Overdue>(asking.due(now))
        }
        Standing::Cancelling { cause, asking, .. } => {
            *asking = asking.again();
            say_cancellation_requested(order_id, *cause, *asking, now)
        }
        Standing::Closing { cause, asking, .. } => {
            *asking = asking.again();
            say_cancellation_requested(order_id, *cause, *asking, now).and_alarm("an order has asked again for a compensation")
        }
        Standing::Confirmed { sale: Sale::Committed } => nothing(Known),
        Standing::Dispatched { sale: Sale::Committed, .. } => nothing(Ended),
        Standing::Rejected { .. } | Standing::Cancelled => nothing(Ended),
    }
}

/// Every word after which the order cannot succeed fills the ledger; it ends exactly when the ledger is full.
pub(crate) fn close<W: ClosingWord>(orders: &mut Orders, e: &W, ctx: &Context) -> Outcome<step::Close> {
    let (order_id, now) = (e.order(), ctx.now);
    let Some(order) = orders.orders.of(&order_id) else { return not_yet(TooEarly) };
    match order.standing {
        Standing::Open => shut(order, order_id, e.why(), Closed::default().and(W::CLOSES, now), Asking::begin(0), ctx),
        Standing::Cancelling { cause, asking, .. } => {
            shut(order, order_id, cause, Closed::default().and(W::CLOSES, now), Asking::begin(asking.number), ctx)
        }
        Standing::Closing { since, cause, closed, asking } => {
            let closed = closed.and(W::CLOSES, now);
            if closed.all() {
                return end(order, order_id, cause, ctx);
            }
            order.standing = Standing::Closing { since, cause, closed, asking };
            confirms_later()
        }
        Standing::Confirmed { .. } | Standing::Dispatched { .. } => contradiction(),
        Standing::Rejected { .. } | Standing::Cancelled => confirmed(),
    }
}

/// Progress is written down, in every state; while the order is open it also buys time.
pub(crate) fn record(orders: &mut Orders, e: &impl OfOrder, ctx: &Context) -> Outcome<step::Record> {
    let Some(order) = orders.orders.of(&e.order()) else { return not_yet(TooEarly) };
    match order.standing {
        Standing::Open => nothing(Recorded).and_wake::<Overdue>(ctx.now.after(ctx.patience)),
        Standing::Confirmed { .. } | Standing::Cancelling { .. } | Standing::Closing { .. } => nothing(Recorded),
        Standing::Dispatched { .. } | Standing::Rejected { .. } | Standing::Cancelled => nothing(Recorded),
    }
}

/// `product.changed`: the newest version holds, in whatever order they come.
pub(crate) fn follow(orders: &mut Orders, e: &ProductChanged, _: &Context) -> Outcome<step::Follow> {
    let product = orders.catalog.of(&e.sku);
    match product {
        Some(known) if known.version >= e.version => nothing(Known),
        Some(_) | None => {
            *product = Some(Product { price: e.price, version: e.version });
            nothing(Recorded)
        }
    }
}

/// Asks shipping, the arbiter, to stop.
fn stop<S>(order: &mut Purchase, order_id: OrderId, cause: Reason, confirmed: Option<Sale>, ctx: &Context) -> Outcome<S>
where
    S: Step<Of = Order> + Says<OrderCancellationRequested>,
{
    let asking = Asking::begin(1);
    order.stands(Standing::Cancelling { since: ctx.now, cause, confirmed, asking }, ctx.now);
    say_cancellation_requested(order_id, cause, asking, ctx.now)
}

/// The first word after which the order cannot succeed.
fn shut(
    order: &mut Purchase,
    order_id: OrderId,
    cause: Reason,
    closed: Closed,
    asking: Asking,
    ctx: &Context,
) -> Outcome<step::Close> {
    if closed.all() {
        return end(order, order_id, cause, ctx);
    }
    order.stands(Standing::Closing { since: ctx.now, cause, closed, asking }, ctx.now);
    confirms_later().and_wake::<Overdue>(asking.due(ctx.now))
}

/// Nobody has anything left to undo.
fn end(order: &mut Purchase, order_id: OrderId, cause: Reason, ctx: &Context) -> Outcome<step::Close> {
    let (standing, outcome) = match cause {
        Reason::CustomerRequest => (Standing::Cancelled, say(OrderCancelled { order_id, reason: cause })),
        Reason::OutOfStock | Reason::PaymentDeclined | Reason::ShipmentRefused | Reason::CaptureFailed | Reason::Expired => {
            (Standing::Rejected { reason: cause }, say(OrderRejected { order_id, reason: cause }))
        }
    };
    order.stands(standing, ctx.now);
    outcome.and_rest::<Overdue>()
}

fn say_confirmed<S: Step<Of = Order> + Says<OrderConfirmed>>(order_id: OrderId, ctx: &Context) -> Outcome<S> {
    say(OrderConfirmed { order_id }).and_wake::<Overdue>(Asking::begin(1).due(ctx.now))
}

fn say_cancellation_requested<S>(order_id: OrderId, because: Reason, asking: Asking, now: Timestamp) -> Outcome<S>
where
    S: Step<Of = Order> + Says<OrderCancellationRequested>,
{
    say(OrderCancellationRequested { order_id, because, asking: asking.number }).and_wake::<Overdue>(asking.due(now))
}

/// The order's own part of its screen: nothing is fetched for it.
fn receipt(status: u16, id: OrderId, order: &Purchase, ctx: &Context) -> Receipt {
    Receipt::new(status, &screen::own(id, order, &[], &[], ctx.now))
}
