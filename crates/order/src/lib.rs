//! Order takes a customer's order, prices it, and follows it until it stands or everything done for it is undone.
//!
//! It owns the orders, the ledger of what is owed to each of them, and the screen that says in plain words how one
//! stands. It promises that an order ends only when nobody has anything left to undo, that one which stands still is
//! given up and pressed for what is owed, and that the first cause recorded names the end. It does not know stock, cards
//! or carriers, and keeps neither addresses nor payment methods.

mod domain;
mod explanation;
mod reactions;
mod screen;

pub mod examples;

pub use domain::{
    Asking, CancelOrder, Closed, Closes, ClosingWord, Orders, Overdue, PlaceOrder, Product, Purchase, Sale, Standing, Wish,
};
pub use explanation::explanation;
pub use reactions::{Call, Input, Order, step};
pub use screen::{
    Entry, OrderScreen, Owed, Own, Part, ServiceName, Status, Summary, Waiting, owed, own, reason, status, summary,
};
