//! A dependency that answers, and no longer permits what the service must do: a privilege, a subject or a credential was revoked
//! while it ran. No input is at fault, so none is given up; nothing is skipped, and it is tried again as after any failure of
//! the world. But nobody here can mend it: somebody has to be told, by the probe and by an alarm.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What was denied is tried again at least this often: not heard of for so long, it is permitted again, or needed no more.
const STANDS: Duration = Duration::from_secs(15);
/// An alarm that lasts is given again so often.
const AGAIN: Duration = Duration::from_secs(60);

/// What one dependency has denied of late. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    by: &'static str,
    last: Arc<Mutex<Option<Denial>>>,
}

#[derive(Debug)]
struct Denial {
    what: String,
    at: Instant,
    told: Instant,
}

impl Denied {
    /// Nothing as yet.
    pub(crate) fn by(dependency: &'static str) -> Self {
        Self { by: dependency, last: Arc::default() }
    }

    /// It was denied just now, in the dependency's words.
    pub(crate) fn tell(&self, what: impl Display) {
        let (what, now) = (what.to_string(), Instant::now());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let told = last.as_ref().filter(|last| last.what == what && now - last.told < AGAIN && now - last.at < STANDS);
        let told = told.map(|last| last.told);
        if told.is_none() {
            tracing::error!("{} does not permit it, and it waits until it does: {what}", self.by);
        }
        *last = Some(Denial { what, at: now, told: told.unwrap_or(now) });
    }

    /// Fine unless something was denied of late; else what.
    pub(crate) fn check(&self) -> Result<(), String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref().filter(|last| last.at.elapsed() < STANDS) {
            Some(last) => Err(format!("not permitted: {}", last.what)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_denied_of_late_is_why_it_is_not_ready() {
        let denied = Denied::by("postgres");
        assert_eq!(denied.check(), Ok(()));
        denied.tell("permission denied for table outbox");
        denied.tell("permission denied for table claims");
        assert_eq!(denied.clone().check(), Err("not permitted: permission denied for table claims".to_owned()));
    }
}
