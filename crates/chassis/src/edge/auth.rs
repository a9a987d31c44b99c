//! Who asks. Until auth comes everybody is `anonymous` and may do everything.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};

/// Who sent a request: part of the scope of its idempotency key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal(String);

impl Principal {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self("anonymous".to_owned())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::anonymous())
    }
}
