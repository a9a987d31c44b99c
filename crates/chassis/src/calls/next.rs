//! What comes after a try at a partner. Pure: the whole rule of the dance's *Calls* (`dance.md`).
//!
//! Whatever leaves doubt is repeated under the same key, for ever. Only a stored error *and* a look-up past the partner's
//! lag bound burn a key: the stored answer fences it, so nothing can land under it later.

use crate::service::Failure;

/// What is asked of a partner about an intent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// The call itself, under its key.
    Call,
    /// What became of it: its key holds a stored error.
    LookUp,
}

/// What comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Next<I> {
    /// The answer goes through the door.
    Take(I),
    /// The key is burned: that is the answer.
    Burned,
    /// This is asked after a backoff.
    AfterBackoff(Ask, String),
    /// This is asked soon: nothing was sent, so nobody is spared by a longer wait.
    Soon(Ask, String),
    /// A look-up is asked once the partner's lag bound has passed.
    AfterLag(String),
}

/// After a call.
pub(crate) fn after_call<I>(tried: Result<I, Failure>) -> Next<I> {
    match tried {
        Ok(answer) => Next::Take(answer),
        Err(failure @ Failure::NotSent(_)) => Next::Soon(Ask::Call, failure.to_string()),
        Err(failure @ Failure::InDoubt(_)) => Next::AfterBackoff(Ask::Call, failure.to_string()),
        Err(failure @ Failure::StoredError(_)) => Next::AfterLag(failure.to_string()),
    }
}

/// After a look-up.
pub(crate) fn after_look_up<I>(tried: Result<Option<I>, Failure>) -> Next<I> {
    match tried {
        Ok(Some(answer)) => Next::Take(answer),
        Ok(None) => Next::Burned,
        Err(failure @ Failure::NotSent(_)) => Next::Soon(Ask::LookUp, failure.to_string()),
        Err(failure @ (Failure::InDoubt(_) | Failure::StoredError(_))) => Next::AfterBackoff(Ask::LookUp, failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_repeats_the_call_and_never_burns_its_key() {
        assert!(matches!(after_call::<()>(Err(Failure::InDoubt("timeout".into()))), Next::AfterBackoff(Ask::Call, _)));
        assert!(matches!(after_call::<()>(Err(Failure::NotSent("circuit open".into()))), Next::Soon(Ask::Call, _)));
        assert_eq!(after_call(Ok("granted")), Next::Take("granted"));
    }

    #[test]
    fn only_a_stored_error_and_a_look_up_after_the_lag_burn_a_key() {
        assert!(matches!(after_call::<()>(Err(Failure::StoredError("500".into()))), Next::AfterLag(_)));
        assert_eq!(after_look_up(Ok(Some("granted"))), Next::Take("granted"));
        assert_eq!(after_look_up::<()>(Ok(None)), Next::Burned);
        for failure in [Failure::InDoubt("".into()), Failure::StoredError("".into())] {
            assert!(matches!(after_look_up::<()>(Err(failure)), Next::AfterBackoff(Ask::LookUp, _)));
        }
        assert!(matches!(after_look_up::<()>(Err(Failure::NotSent("".into()))), Next::Soon(Ask::LookUp, _)));
    }
}
