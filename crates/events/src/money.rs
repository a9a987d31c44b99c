//! Money: integer minor units and an ISO 4217 code. No floats; overflow is an error, never a wrap.

use serde::{Deserialize, Serialize};

pub use iso_currency::Currency;

/// An amount of money in minor units (cents) of one currency: `{"amount": 1250, "currency": "EUR"}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Money {
    /// Minor units: 1250 is 12.50 EUR.
    pub amount: i64,
    /// ISO 4217.
    #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = "^[A-Z]{3}$")))]
    pub currency: Currency,
}

/// Why two amounts do not make a third.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MoneyError {
    /// The result does not fit 64 bits.
    #[error("the amount is too large")]
    Overflow,
    /// Amounts of two currencies were added.
    #[error("the currencies differ: {0} and {1}", left.code(), right.code())]
    Mixed {
        /// Of the first amount.
        left: Currency,
        /// Of the second.
        right: Currency,
    },
}

impl Money {
    /// So many minor units of that currency.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// The sum.
    ///
    /// # Errors
    /// When it overflows, or the currencies differ.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed { left: self.currency, right: other.currency });
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// So many times this amount.
    ///
    /// # Errors
    /// When it overflows.
    pub fn times(self, factor: u32) -> Result<Self, MoneyError> {
        let amount = self.amount.checked_mul(i64::from(factor)).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = usize::from(self.currency.exponent().unwrap_or(0));
        let unit = 10_i64.pow(u32::try_from(digits).unwrap_or(0));
        let (whole, part) = (self.amount / unit, (self.amount % unit).abs());
        match digits {
            0 => write!(f, "{whole} {}", self.currency.code()),
            _ => write!(f, "{whole}.{part:0digits$} {}", self.currency.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_as_people_write_it() {
        assert_eq!(Money::new(1250, Currency::EUR).to_string(), "12.50 EUR");
        assert_eq!(Money::new(1250, Currency::JPY).to_string(), "1250 JPY");
    }

    proptest! {
        #[test]
        fn never_wraps(a: i64, b: i64, n: u32) {
            let (x, y) = (Money::new(a, Currency::EUR), Money::new(b, Currency::EUR));
            prop_assert_eq!(x.plus(y).ok().map(|m| i128::from(m.amount)), i64::try_from(i128::from(a) + i128::from(b)).ok().map(i128::from));
            prop_assert_eq!(x.times(n).ok().map(|m| i128::from(m.amount)), i64::try_from(i128::from(a) * i128::from(n)).ok().map(i128::from));
        }
    }
}
