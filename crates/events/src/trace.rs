//! W3C trace context as it travels: in a header of an event, in a column of the outbox.

/// `traceparent` and `tracestate` (<https://www.w3.org/TR/trace-context/>), kept as the texts they are on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`; none when nobody traces.
    pub traceparent: Option<String>,
    /// What tracing vendors add; meaningless without the first.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// Keeps what is well-formed; a broken `traceparent` counts as none, as the standard asks.
    pub fn read(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        let Some(parent) = traceparent.filter(|p| well_formed(p)) else { return Self::default() };
        Self { traceparent: Some(parent.to_owned()), tracestate: tracestate.filter(|s| s.len() <= 512).map(str::to_owned) }
    }

    /// The trace id: 32 hex digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref().and_then(|p| p.get(3..35))
    }
}

fn well_formed(parent: &str) -> bool {
    let parts: Vec<&str> = parent.split('-').collect();
    let hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let set = |part: &str| part.bytes().any(|b| b != b'0');
    match parts.as_slice() {
        [version, trace, span, flags, ..] => {
            hex(version, 2)
                && *version != "ff"
                && hex(trace, 32)
                && set(trace)
                && hex(span, 16)
                && set(span)
                && hex(flags, 2)
                && (*version != "00" || parts.len() == 4)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_good_and_drops_the_broken() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceContext::read(Some(good), None).trace_id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::read(Some(bad), Some("a=b")), TraceContext::default(), "{bad}");
        }
    }
}
