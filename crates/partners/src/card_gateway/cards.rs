//! Stripe's test payment methods, and the words of a decline.

/// Cards that work.
const BRANDS: [(&str, &str); 8] = [
    ("pm_card_visa", "visa"),
    ("pm_card_visa_debit", "visa"),
    ("pm_card_mastercard", "mastercard"),
    ("pm_card_amex", "amex"),
    ("pm_card_discover", "discover"),
    ("pm_card_diners", "diners"),
    ("pm_card_jcb", "jcb"),
    ("pm_card_unionpay", "unionpay"),
];

/// Cards that are declined, without the prefix `pm_card_` or `pm_card_visa_`, and their decline.
const DECLINED: [(&str, &str); 9] = [
    ("chargeDeclined", "generic_decline"),
    ("chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ("chargeDeclinedLostCard", "lost_card"),
    ("chargeDeclinedStolenCard", "stolen_card"),
    ("chargeDeclinedExpiredCard", "expired_card"),
    ("chargeDeclinedIncorrectCvc", "incorrect_cvc"),
    ("chargeDeclinedProcessingError", "processing_error"),
    ("chargeDeclinedFraudulent", "fraudulent"),
    ("chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded"),
];

/// A test payment method, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) brand: &'static str,
    /// How every authorization with it is declined.
    pub(crate) decline: Option<&'static str>,
    /// What stands behind `__`, by which a fault rule can single it out.
    pub(crate) tag: Option<String>,
}

impl Card {
    /// None: there is no such payment method.
    pub(crate) fn find(payment_method: &str) -> Option<Self> {
        let (name, tag) = match payment_method.split_once("__") {
            Some((name, tag)) => (name, Some(tag.to_owned())),
            None => (payment_method, None),
        };
        let works = BRANDS.iter().find(|(known, _)| *known == name);
        if let Some((_, brand)) = works {
            return Some(Self { brand, decline: None, tag });
        }
        let suffix = name.strip_prefix("pm_card_visa_").or_else(|| name.strip_prefix("pm_card_"))?;
        let (_, decline) = DECLINED.iter().find(|(known, _)| *known == suffix)?;
        Some(Self { brand: "visa", decline: Some(decline), tag })
    }
}

/// A decline by its one word, as Stripe spreads it over three fields.
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<String>,
    pub(crate) message: &'static str,
}

impl Decline {
    pub(crate) fn named(word: &str) -> Self {
        let own_code = |code, message| Self { code, decline_code: None, message };
        let declined = |message| Self { code: "card_declined", decline_code: Some(word.into()), message };
        match word {
            "expired_card" => own_code("expired_card", "Your card has expired."),
            "incorrect_cvc" => own_code("incorrect_cvc", "Your card's security code is incorrect."),
            "processing_error" => {
                own_code("processing_error", "An error occurred while processing your card. Try again in a little bit.")
            }
            "insufficient_funds" => declined("Your card has insufficient funds."),
            _ => declined("Your card was declined."),
        }
    }
}
