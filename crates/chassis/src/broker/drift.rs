//! How a stream or a consumer is configured, beside how it was declared. The server fills in what is left open, so only what
//! was said is compared.

use std::fmt;

use async_nats::jetstream::{consumer, stream};

/// One thing that is otherwise than declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Drift {
    pub(crate) what: &'static str,
    is: String,
    declared: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, is, declared } = self;
        write!(f, "{what} is {is}, declared {declared}")
    }
}

/// All of them in one line.
pub(crate) fn listed(drifts: &[Drift]) -> String {
    drifts.iter().map(Drift::to_string).collect::<Vec<_>>().join("; ")
}

macro_rules! differing {
    ($is:expr, $declared:expr; $($field:ident),+ $(,)?) => {{
        let mut drifts = Vec::new();
        $( if $is.$field != $declared.$field {
            drifts.push(Drift {
                what: stringify!($field),
                is: format!("{:?}", $is.$field),
                declared: format!("{:?}", $declared.$field),
            });
        } )+
        drifts
    }};
}

pub(super) fn of_stream(is: &stream::Config, declared: &stream::Config) -> Vec<Drift> {
    differing!(is, declared; subjects, retention, discard, discard_new_per_subject, max_age, max_bytes, max_messages,
        max_messages_per_subject, max_consumers, duplicate_window, storage, num_replicas, no_ack, sealed, allow_rollup,
        mirror, subject_transform)
}

pub(super) fn of_consumer(is: &consumer::Config, declared: &consumer::Config) -> Vec<Drift> {
    differing!(is, declared; deliver_subject, ack_policy, ack_wait, max_deliver, max_ack_pending, filter_subject,
        filter_subjects, backoff, headers_only, replay_policy, rate_limit, inactive_threshold, max_batch, max_bytes,
        max_expires, memory_storage)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_differs_is_named_with_both_values_and_what_the_server_filled_in_is_not() {
        let declared = stream::Config { max_age: Duration::from_secs(60), ..stream::Config::default() };
        let filled = stream::Config { max_message_size: -1, allow_direct: true, ..declared.clone() };
        assert_eq!(of_stream(&filled, &declared), []);
        let changed = stream::Config { max_age: Duration::from_secs(1), max_bytes: 7, ..filled };
        assert_eq!(listed(&of_stream(&changed, &declared)), "max_age is 1s, declared 60s; max_bytes is 7, declared 0");
    }
}
