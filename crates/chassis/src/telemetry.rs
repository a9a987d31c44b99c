//! What a running service tells: logs, traces, metrics.
//!
//! One trace goes from the request to the last event of its saga: the context travels in HTTP headers, in the outbox
//! row and in the event's headers. Without an OTLP endpoint nothing is recorded or exported, but trace ids are still
//! made and passed on, so that logs and timelines can be joined.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _};

mod context;
mod metrics;

pub(crate) use context::header;
pub use context::{child_of, current, linked_to};
pub use metrics::{Metrics, Wait};

/// What libraries say below this is not about our work; `RUST_LOG` can ask for more.
const QUIET: &str = "hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,rustls=warn,opentelemetry=warn,opentelemetry_sdk=warn,\
                     opentelemetry_otlp=warn,async_nats=warn,sqlx=warn,tower=warn";

/// The name of the span field that a log line repeats as `correlation_id`: the saga's id.
pub const CORRELATION_ID: &str = "correlation_id";

/// Logs, traces, metrics.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// What to log: a level, or levels for modules, such as info,sqlx=debug.
    #[arg(long = "log", env = "RUST_LOG", default_value = "info", value_parser = directives)]
    pub log: String,
    /// The form of a log line; auto is pretty on a terminal and JSON elsewhere.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// Where spans are sent over OTLP/HTTP, such as http://127.0.0.1:4318; nowhere when not set.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<reqwest::Url>,
    /// The share of traces that is recorded when spans are sent, between 0 and 1.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0, value_parser = share)]
    pub trace_share: f64,
}

/// The form of a log line.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

fn directives(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "not a number from 0 to 1".to_owned())
}

/// Why telemetry does not start.
#[derive(thiserror::Error, Debug)]
pub enum StartError {
    /// The OTLP exporter cannot be built.
    #[error("cannot export spans over OTLP")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// A subscriber is set already: telemetry starts once in a process.
    #[error("logging is set up already")]
    Subscriber(#[source] tracing_subscriber::util::TryInitError),
    /// The metrics cannot be offered to Prometheus.
    #[error("cannot offer metrics")]
    Metrics(#[source] opentelemetry_sdk::error::OTelSdkError),
}

/// What [`start`] set up; kept until the end, to flush it.
pub struct Telemetry {
    /// Everything that is counted.
    pub metrics: Metrics,
    tracers: SdkTracerProvider,
}

/// Sets up logs, traces and metrics for the process. Once, before anything else that logs or counts.
pub fn start(service: &'static str, settings: &Settings) -> Result<Telemetry, StartError> {
    let resource = Resource::builder().with_service_name(service).build();
    let metrics = Metrics::start(resource.clone()).map_err(StartError::Metrics)?;
    let tracers = tracers(resource, settings)?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    opentelemetry::global::set_tracer_provider(tracers.clone());

    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("chassis"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    let pretty = match settings.log_format {
        LogFormat::Auto => std::io::stdout().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    };
    let lines = if pretty { tracing_subscriber::fmt::layer().compact().boxed() } else { json(service, std::io::stdout).boxed() };
    tracing_subscriber::registry()
        .with(EnvFilter::new(format!("{QUIET},{}", settings.log)))
        .with(context::Correlations)
        .with(spans)
        .with(lines)
        .try_init()
        .map_err(StartError::Subscriber)?;
    Ok(Telemetry { metrics, tracers })
}

impl Telemetry {
    /// Sends what has not been sent yet. Blocks for a moment: the last thing that a process does.
    pub fn flush(self) {
        if let Err(error) = self.tracers.shutdown_with_timeout(std::time::Duration::from_secs(1)) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

fn tracers(resource: Resource, settings: &Settings) -> Result<SdkTracerProvider, StartError> {
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(builder.with_sampler(Sampler::AlwaysOff).build());
    };
    let traces = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(traces).build().map_err(StartError::Exporter)?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.trace_share)));
    Ok(builder.with_sampler(sampler).with_batch_exporter(exporter).build())
}

/// One JSON object a line: `timestamp`, `level`, `service`, `target`, the event's own fields with `message`, and
/// `trace_id`, `span_id`, `correlation_id` where there are any.
fn json<S, W>(service: &'static str, to: W) -> json_subscriber::JsonLayer<S, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + 'static,
{
    let mut lines = json_subscriber::JsonLayer::new(to);
    lines.with_timer("timestamp", tracing_subscriber::fmt::time::SystemTime);
    lines.with_level("level");
    lines.add_static_field("service", service.into());
    lines.with_target("target");
    lines.with_flattened_event();
    lines.add_dynamic_field("trace_id", |_, _| context::of_log_line(|span| span.trace_id().to_string()));
    lines.add_dynamic_field("span_id", |_, _| context::of_log_line(|span| span.span_id().to_string()));
    lines.add_from_span(CORRELATION_ID, |span| {
        span.scope().find_map(|span| span.extensions().get::<context::Correlation>().map(|id| id.0.clone()))
    });
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_line_is_one_object_with_the_ids_of_its_trace() {
        let lines = Lines::default();
        let to = lines.clone();
        let tracers = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(tracers.tracer("test")))
            .with(context::Correlations)
            .with(json("toy", move || to.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!("outer", correlation_id = %"saga-1").entered();
            let inner = tracing::info_span!("inner").entered();
            tracing::warn!(tries = 3, "still waiting");
            drop((inner, outer));
            tracing::info!("alone");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [inside, alone] = lines.as_slice() else { panic!("two lines expected: {text}") };
        assert_eq!(inside["message"], "still waiting");
        assert_eq!(inside["level"], "WARN");
        assert_eq!(inside["service"], "toy");
        assert_eq!(inside["tries"], 3);
        assert_eq!(inside["correlation_id"], "saga-1");
        assert_eq!(inside["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(inside["span_id"].as_str().unwrap().len(), 16);
        assert!(inside["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(alone.get("trace_id"), None);
    }
}
