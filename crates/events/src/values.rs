//! The small values that events are made of.

use serde::{Deserialize, Serialize};

use crate::{Money, OrderId};

macro_rules! text {
    ($(#[$doc:meta])* $name:ident $(, $secret:ident)?) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                text!(@debug self f $($secret)?)
            }
        }
        text!(@display $name $($secret)?);
    };
    (@debug $this:ident $f:ident secret) => { { let _ = $this; $f.write_str("***") } };
    (@debug $this:ident $f:ident) => { write!($f, "{}", $this.0) };
    (@display $name:ident secret) => {};
    (@display $name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// Who ordered.
    CustomerId
}
text! {
    /// A stock keeping unit: what the catalog calls a product.
    Sku
}
text! {
    /// The gateway's name for a payment: a Stripe PaymentIntent, `pi_…`.
    Charge
}
text! {
    /// The carrier's tracking code.
    Tracking
}
text! {
    /// A token that stands for a card at the gateway. Never shown in a log.
    PaymentMethod, secret
}
text! {
    /// A partner's own word for why it declined: `insufficient_funds`, `destination_not_served`.
    Code
}

/// Where the goods go. Never shown in a log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Address {
    /// Of the person.
    pub name: String,
    /// And number.
    pub street: String,
    /// Or town.
    pub city: String,
    /// As the country writes it.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// One line of an order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// How many; at least one.
    pub quantity: u32,
    /// What one of them cost when the order was placed.
    pub unit_price: Money,
}

/// A line that could not be had.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Missing {
    /// What.
    pub sku: Sku,
    /// How many were ordered.
    pub wanted: u32,
    /// How many there were.
    pub available: u32,
}

/// Why an order ended otherwise than the customer hoped. The first one that is recorded names the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not every line could be set aside.
    OutOfStock,
    /// The card was declined.
    PaymentDeclined,
    /// The carrier would not take it.
    ShipmentRefused,
    /// The money was held but could not be taken.
    CaptureFailed,
    /// The customer cancelled.
    CustomerRequest,
    /// It stood still past its deadline.
    Expired,
}

impl Reason {
    /// As on the wire: `out_of_stock`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::PaymentDeclined => "payment_declined",
            Self::ShipmentRefused => "shipment_refused",
            Self::CaptureFailed => "capture_failed",
            Self::CustomerRequest => "customer_request",
            Self::Expired => "expired",
        }
    }
}

/// What is about an order knows which.
pub trait OfOrder {
    /// The order it is about.
    fn order(&self) -> OrderId;
}

/// An event that starts, or passes on, a way back.
pub trait Why {
    /// The failure that it all goes back to.
    fn why(&self) -> Reason;
}
