//! A payment intent: how money is held, taken, let go and given back. Pure.

use std::{collections::BTreeMap, time::Duration};

use redb::{MultimapTableDefinition, TableDefinition};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, serde::rfc3339};

use crate::{card_gateway::wire::Denial, faults::Operation, history::Entry, ledger::Record};

/// Where the money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// The card was declined: nothing is held.
    RequiresPaymentMethod,
    /// The amount is held on the card.
    RequiresCapture,
    /// Taken.
    Succeeded,
    /// Let go.
    Canceled,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// Money given back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) amount: u64,
    #[serde(with = "rfc3339")]
    pub(crate) created: OffsetDateTime,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The record in the ledger; `GET /ledger` shows it as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    /// `metadata[order_id]`.
    pub(crate) order_id: Option<String>,
    pub(crate) status: Status,
    /// Minor units, like all amounts here.
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) amount_received: u64,
    pub(crate) amount_refunded: u64,
    pub(crate) payment_method: String,
    pub(crate) tag: Option<String>,
    pub(crate) brand: String,
    pub(crate) charge: Option<String>,
    /// The word of the decline.
    pub(crate) declined: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(with = "rfc3339")]
    pub(crate) created: OffsetDateTime,
    #[serde(with = "rfc3339")]
    pub(crate) capture_before: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    pub(crate) canceled_at: Option<OffsetDateTime>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) history: Vec<Entry>,
}

impl Intent {
    /// What is held and can still be taken.
    pub(crate) fn amount_capturable(&self) -> u64 {
        if self.status == Status::RequiresCapture { self.amount } else { 0 }
    }

    /// Holds the amount until `now` and a while, or is declined.
    pub(crate) fn authorize(&mut self, decline: Option<&str>, valid_for: Duration) -> Result<(), Denial> {
        if let Some(word) = decline {
            self.declined = Some(word.into());
            return Err(Denial::declined(word));
        }
        self.status = Status::RequiresCapture;
        self.capture_before = self.created + valid_for;
        Ok(())
    }

    /// Takes `amount`, by default all of it; the rest is let go.
    pub(crate) fn capture(&mut self, amount: Option<u64>) -> Result<(), Denial> {
        if self.status != Status::RequiresCapture {
            return Err(Denial::unexpected_state(self, "capture"));
        }
        let amount = amount.unwrap_or(self.amount);
        if amount > self.amount {
            let message = format!("You cannot capture more than {}, the amount capturable.", self.amount);
            return Err(Denial::invalid("amount_too_large", message).param("amount_to_capture"));
        }
        self.status = Status::Succeeded;
        self.amount_received = amount;
        Ok(())
    }

    /// Lets go of what is held.
    pub(crate) fn cancel(&mut self, reason: Option<String>, now: OffsetDateTime) -> Result<(), Denial> {
        if matches!(self.status, Status::Succeeded | Status::Canceled) {
            return Err(Denial::unexpected_state(self, "cancel"));
        }
        self.status = Status::Canceled;
        self.canceled_at = Some(now);
        self.cancellation_reason = reason;
        Ok(())
    }

    /// Gives back `amount`, by default what is left.
    pub(crate) fn refund(&mut self, id: String, order: RefundOrder, now: OffsetDateTime) -> Result<(), Denial> {
        let left = self.amount_received - self.amount_refunded;
        let amount = order.amount.unwrap_or(left);
        if self.status != Status::Succeeded {
            return Err(Denial::unexpected_state(self, "refund"));
        }
        if left == 0 {
            return Err(Denial::invalid("charge_already_refunded", "The charge has already been refunded."));
        }
        if amount > left {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).");
            return Err(Denial::invalid("amount_too_large", message).param("amount"));
        }
        self.amount_refunded += amount;
        self.refunds.push(Refund { id, amount, created: now, reason: order.reason, metadata: order.metadata });
        Ok(())
    }
}

/// How much is to be given back, and why.
pub(crate) struct RefundOrder {
    pub(crate) amount: Option<u64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Record for Intent {
    const TABLE: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("payment_intents");
    const BY_ORDER: MultimapTableDefinition<'static, &'static str, &'static str> =
        MultimapTableDefinition::new("payment_intents_by_order");

    fn id(&self) -> &str {
        &self.id
    }

    fn order_id(&self) -> Option<&str> {
        self.order_id.as_deref()
    }

    /// An authorization that nobody captured lapses by itself.
    fn at(mut self, now: OffsetDateTime) -> Self {
        if self.status == Status::RequiresCapture && self.capture_before <= now {
            self.status = Status::Canceled;
            self.canceled_at = Some(self.capture_before);
            self.cancellation_reason = Some("automatic".into());
            self.history.push(Entry::lapsed(self.capture_before));
        }
        self
    }
}

/// What fault rules know of a call about an intent.
pub(crate) fn facts(intent: &Intent, operation: Operation) -> crate::faults::Facts {
    crate::faults::Facts {
        operation,
        order_id: intent.order_id.clone(),
        payment_method_tag: intent.tag.clone(),
        ship_to_name: None,
    }
}
