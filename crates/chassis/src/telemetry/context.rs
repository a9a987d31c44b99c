//! The trace context on its way: out of the span that works, into a row or a header, and back into another's span.

use std::fmt;

use events::TraceContext;
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, Subscriber, field, span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, layer, registry::LookupSpan};

/// The context of the span that is at work, to be written into an outbox row or a header; empty outside any span.
pub fn current() -> TraceContext {
    of(&Span::current().context())
}

/// Makes `span` a child of the span that sent `context`, across processes. Before the span is entered.
pub fn child_of(span: &Span, context: &TraceContext) {
    if context.traceparent.is_some() {
        // It fails only when no tracer is installed, and then there is no trace to belong to.
        let _ = span.set_parent(remote(context));
    }
}

/// Links `span` (of a batch) to the span that sent `context` (of one message in it).
pub fn linked_to(span: &Span, context: &TraceContext) {
    if context.traceparent.is_some() {
        span.add_link(remote(context).span().span_context().clone());
    }
}

pub(crate) fn of(context: &Context) -> TraceContext {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return TraceContext::default();
    }
    let state = span.trace_state().header();
    TraceContext { traceparent: Some(header(span)), tracestate: (!state.is_empty()).then_some(state) }
}

/// `00-<trace id>-<span id>-<flags>`: `traceparent` on the way out, `traceresponse` on the way back.
pub(crate) fn header(span: &SpanContext) -> String {
    format!("00-{:032x}-{:016x}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags())
}

/// Something of the span context that a log line belongs to.
pub(crate) fn of_log_line(part: impl FnOnce(&SpanContext) -> String) -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| part(span))
}

fn remote(context: &TraceContext) -> Context {
    TraceContextPropagator::new().extract(&Texts(context))
}

struct Texts<'c>(&'c TraceContext);

impl Extractor for Texts<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.0.traceparent.as_deref(),
            "tracestate" => self.0.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// What a span said of itself under [`super::CORRELATION_ID`], kept for the log lines inside it.
pub(super) struct Correlation(pub(super) String);

/// Keeps the correlation id of each span that names one.
pub(super) struct Correlations;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Correlations {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: layer::Context<'_, S>) {
        // Most spans name none: looking at the names costs no visit of the values.
        if attributes.metadata().fields().field(super::CORRELATION_ID).is_none() {
            return;
        }
        let mut found = Found(None);
        attributes.record(&mut found);
        if let (Some(text), Some(span)) = (found.0, context.span(id)) {
            span.extensions_mut().insert(Correlation(text));
        }
    }
}

struct Found(Option<String>);

impl field::Visit for Found {
    fn record_str(&mut self, field: &field::Field, value: &str) {
        if field.name() == super::CORRELATION_ID {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        if field.name() == super::CORRELATION_ID {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_trace_goes_through_a_row_even_when_nothing_is_recorded() {
        let tracers = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
        let subscriber = tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracers.tracer("test")));
        tracing::subscriber::with_default(subscriber, || {
            let row = tracing::info_span!("request").in_scope(current);
            assert_eq!(TraceContext::read(row.traceparent.as_deref(), None), row, "well-formed");

            let consumer = tracing::info_span!("process");
            child_of(&consumer, &row);
            let next = consumer.in_scope(current);
            assert_eq!(next.trace_id(), row.trace_id());
            assert_ne!(next.traceparent, row.traceparent, "a span of its own");

            let stranger = tracing::info_span!("process");
            child_of(&stranger, &TraceContext::default());
            assert_ne!(stranger.in_scope(current).trace_id(), row.trace_id());
        });
        assert_eq!(current(), TraceContext::default(), "outside any span");
    }
}
