//! Everything that is counted, by the names that dashboards and alerts use. No id and no person in a label.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::{Resource, error::OTelSdkError, metrics::SdkMeterProvider};
use prometheus::{Registry, TextEncoder};

/// Seconds: from a commit of a fifth of a millisecond to a partner that takes its time.
const SECONDS: [f64; 16] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds of a whole saga, which may wait for people.
const SAGA_SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0];

/// Where something waits: the label of `ensemble_dwell_seconds`, which tells the waits apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// From commit to the broker's acknowledgement.
    Outbox,
    /// From there to the reader's delivery.
    Broker,
    /// From delivery to the start of its batch.
    Inbox,
    /// From the start of the batch to its commit.
    Handler,
}

impl Wait {
    const fn label(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Broker => "broker",
            Self::Inbox => "inbox",
            Self::Handler => "handler",
        }
    }
}

type Probe = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Everything that is counted. Cheap to clone; recording takes no lock that waits.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

struct Inner {
    registry: Registry,
    // Instruments stop recording when their provider is dropped.
    _provider: SdkMeterProvider,
    probes: Mutex<Vec<Probe>>,

    saga_duration: Histogram<f64>,
    process_duration: Histogram<f64>,
    client_duration: Histogram<f64>,
    dwell: Histogram<f64>,
    redeliveries: Counter<u64>,
    shed: Counter<u64>,
    put_back: Counter<u64>,
    durables_rebuilt: Counter<u64>,
    broker_drifts: Counter<u64>,
    sagas_in_flight: Gauge<u64>,
    sagas_needing_attention: Gauge<u64>,
    compensations_owed: Gauge<u64>,
    outbox_backlog: Gauge<u64>,
    outbox_oldest_age: Gauge<f64>,
    consumer_lag: Gauge<u64>,
    parked: Gauge<u64>,
    dead_letters: Gauge<u64>,
    intake_stopped: Gauge<u64>,
    partitions_ahead: Gauge<u64>,
    partitions_held: Gauge<u64>,
    lease_held: Gauge<u64>,
    circuit_state: Gauge<u64>,
    bulkhead_in_use: Gauge<u64>,
}

impl Metrics {
    /// Instruments of their own, and the process-wide meter provider that libraries record into.
    pub(crate) fn start(resource: Resource) -> Result<Self, OTelSdkError> {
        let metrics = Self::new(resource)?;
        opentelemetry::global::set_meter_provider(metrics.0._provider.clone());
        Ok(metrics)
    }

    /// Instruments that nobody else records into: for a test that starts no telemetry.
    pub fn detached() -> Self {
        Self::new(Resource::builder_empty().build()).expect("a registry of its own refuses no collector")
    }

    fn new(resource: Resource) -> Result<Self, OTelSdkError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false).build()?;
        let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(exporter).build();
        let meter = provider.meter("chassis");
        Ok(Self(Arc::new(Inner {
            registry,
            _provider: provider,
            probes: Mutex::default(),
            saga_duration: seconds(
                &meter,
                "ensemble.saga.duration",
                &SAGA_SECONDS,
                "From the request to the end of the saga, by how it ended.",
            ),
            process_duration: seconds(&meter, "messaging.process.duration", &SECONDS, "Processing one message."),
            client_duration: seconds(&meter, "http.client.request.duration", &SECONDS, "Duration of HTTP client requests."),
            dwell: seconds(&meter, "ensemble.dwell", &SECONDS, "How long a message waits, by where."),
            redeliveries: counter(&meter, "ensemble.redeliveries", "Messages that were delivered before."),
            shed: counter(&meter, "ensemble.shed", "Requests turned away because there were too many, by why."),
            put_back: counter(&meter, "ensemble.put_back", "Events that the stream had lost, published again."),
            durables_rebuilt: counter(
                &meter,
                "ensemble.durables_rebuilt",
                "Durables made anew because they were in doubt, by why.",
            ),
            broker_drifts: counter(&meter, "ensemble.broker_drifts", "What was otherwise at the broker than declared."),
            sagas_in_flight: gauge(&meter, "ensemble.sagas_in_flight", "Sagas that are not at rest."),
            sagas_needing_attention: gauge(&meter, "ensemble.sagas_needing_attention", "Sagas that a person should look at."),
            compensations_owed: gauge(&meter, "ensemble.compensations_owed", "Compensations asked for and not confirmed."),
            outbox_backlog: gauge(&meter, "ensemble.outbox_backlog", "Events committed and not known to be in the stream."),
            outbox_oldest_age: meter
                .f64_gauge("ensemble.outbox_oldest_age")
                .with_unit("s")
                .with_description("The age of the oldest of them.")
                .build(),
            consumer_lag: gauge(&meter, "ensemble.consumer_lag", "Messages that a consumer has not taken yet."),
            parked: gauge(&meter, "ensemble.parked", "Deliveries that came too early and wait."),
            dead_letters: gauge(&meter, "ensemble.dead_letters", "Deliveries that nobody will try again by themselves."),
            intake_stopped: gauge(&meter, "ensemble.intake_stopped", "1 while the database is older than what was said."),
            partitions_ahead: gauge(&meter, "ensemble.partitions_ahead", "Days after today that have their partitions."),
            partitions_held: gauge(
                &meter,
                "ensemble.partitions_held",
                "Days past retention that are kept for what has not ended.",
            ),
            lease_held: gauge(&meter, "ensemble.lease_held", "1 where this replica leads the job."),
            circuit_state: gauge(&meter, "ensemble.circuit_state", "0 closed, 1 half open, 2 open."),
            bulkhead_in_use: gauge(&meter, "ensemble.bulkhead_in_use", "Calls under way in a compartment."),
        })))
    }

    /// The metrics as Prometheus reads them, after every probe has brought its gauges up to date.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        for probe in self.0.probes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            probe(self);
        }
        TextEncoder::new().encode_to_string(&self.0.registry.gather())
    }

    /// Runs `probe` before each scrape: for gauges that are cheaper to read than to follow.
    pub fn probe(&self, probe: impl Fn(&Self) + Send + Sync + 'static) {
        self.0.probes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Box::new(probe));
    }

    /// A saga came to its end, or is to stand. `event` is the type that says so, `order.confirmed.v1`: its second word is the
    /// outcome.
    pub fn saga_ended(&self, event: &str, took: Duration) {
        let outcome = event.split('.').nth(1).unwrap_or(event).to_owned();
        self.0.saga_duration.record(took.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    /// One message was processed: `destination` is its subject, `error` the class of what went wrong.
    pub fn processed(&self, destination: &'static str, error: Option<&'static str>, took: Duration) {
        let system = KeyValue::new("messaging.system", "nats");
        let destination = KeyValue::new("messaging.destination.name", destination);
        let took = took.as_secs_f64();
        match error {
            None => self.0.process_duration.record(took, &[system, destination]),
            Some(error) => self.0.process_duration.record(took, &[system, destination, KeyValue::new("error.type", error)]),
        }
    }

    /// A call to another process ended: `outcome` is its status code, or a word for why there is none.
    pub fn called(&self, dependency: &'static str, method: &str, outcome: &str, took: Duration) {
        self.0.client_duration.record(
            took.as_secs_f64(),
            &[
                KeyValue::new("dependency", dependency),
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("outcome", outcome.to_owned()),
            ],
        );
    }

    /// A message waited there for so long.
    pub fn waited(&self, at: Wait, time: Duration) {
        self.0.dwell.record(time.as_secs_f64(), &[KeyValue::new("wait", at.label())]);
    }

    /// A message came that had been delivered before.
    pub fn redelivered(&self, destination: &'static str) {
        self.0.redeliveries.add(1, &[KeyValue::new("messaging.destination.name", destination)]);
    }

    /// A request was turned away: `why` is `in_flight`, `backlog`, `queue`.
    pub fn shed(&self, why: &'static str) {
        self.0.shed.add(1, &[KeyValue::new("why", why)]);
    }

    /// So many events were gone from the stream and are published again.
    pub fn put_back(&self, events: u64) {
        self.0.put_back.add(events, &[]);
    }

    /// A durable was in doubt, and was made anew.
    pub(crate) fn rebuilt(&self, durable: &str, why: &'static str) {
        self.0.durables_rebuilt.add(1, &[KeyValue::new("durable", durable.to_owned()), KeyValue::new("why", why)]);
    }

    /// A stream or a durable was configured otherwise than declared: `what` is the field.
    pub(crate) fn drifted(&self, name: &str, what: &'static str) {
        self.0.broker_drifts.add(1, &[KeyValue::new("name", name.to_owned()), KeyValue::new("what", what)]);
    }

    /// Sagas that are not at rest.
    pub fn set_sagas_in_flight(&self, count: u64) {
        self.0.sagas_in_flight.record(count, &[]);
    }

    /// Sagas that a person should look at.
    pub fn set_sagas_needing_attention(&self, count: u64) {
        self.0.sagas_needing_attention.record(count, &[]);
    }

    /// Compensations asked for and not confirmed.
    pub fn set_compensations_owed(&self, count: u64) {
        self.0.compensations_owed.record(count, &[]);
    }

    /// Events committed and not known to be in the stream, and the age of the oldest.
    pub fn set_outbox(&self, backlog: u64, oldest: Duration) {
        self.0.outbox_backlog.record(backlog, &[]);
        self.0.outbox_oldest_age.record(oldest.as_secs_f64(), &[]);
    }

    /// Messages that a consumer has not taken yet.
    pub fn set_consumer_lag(&self, consumer: &str, count: u64) {
        self.0.consumer_lag.record(count, &[KeyValue::new("consumer", consumer.to_owned())]);
    }

    /// Deliveries that came too early and wait.
    pub fn set_parked(&self, count: u64) {
        self.0.parked.record(count, &[]);
    }

    /// Deliveries that nobody will try again by themselves.
    pub fn set_dead_letters(&self, count: u64) {
        self.0.dead_letters.record(count, &[]);
    }

    /// Whether nothing is taken because the database has lost something.
    pub fn set_intake_stopped(&self, stopped: bool) {
        self.0.intake_stopped.record(u64::from(stopped), &[]);
    }

    /// Days after today that have their partitions.
    pub(crate) fn set_partitions_ahead(&self, days: u64) {
        self.0.partitions_ahead.record(days, &[]);
    }

    /// Days past retention that are kept for what has not ended.
    pub(crate) fn set_partitions_held(&self, days: u64) {
        self.0.partitions_held.record(days, &[]);
    }

    /// Whether this replica leads the job.
    pub fn set_lease_held(&self, job: &'static str, held: bool) {
        self.0.lease_held.record(u64::from(held), &[KeyValue::new("job", job)]);
    }

    /// 0 closed, 1 half open, 2 open.
    pub(crate) fn set_circuit_state(&self, dependency: &'static str, state: u64) {
        self.0.circuit_state.record(state, &[KeyValue::new("dependency", dependency)]);
    }

    /// Calls under way in a compartment.
    pub(crate) fn set_bulkhead_in_use(&self, compartment: &'static str, count: u64) {
        self.0.bulkhead_in_use.record(count, &[KeyValue::new("compartment", compartment)]);
    }
}

fn seconds(meter: &Meter, name: &'static str, boundaries: &[f64], description: &'static str) -> Histogram<f64> {
    meter.f64_histogram(name).with_unit("s").with_boundaries(boundaries.to_vec()).with_description(description).build()
}

fn counter(meter: &Meter, name: &'static str, description: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(description).build()
}

fn gauge(meter: &Meter, name: &'static str, description: &'static str) -> Gauge<u64> {
    meter.u64_gauge(name).with_description(description).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_the_name_that_dashboards_use() {
        let (metrics, moment) = (Metrics::detached(), Duration::from_millis(7));
        metrics.saga_ended("order.confirmed.v1", moment);
        metrics.processed("some.subject", Some("poison"), moment);
        metrics.called("partner", "POST", "200", moment);
        metrics.waited(Wait::Outbox, moment);
        metrics.redelivered("some.subject");
        metrics.shed("in_flight");
        metrics.put_back(3);
        metrics.rebuilt("a-durable", "gone");
        metrics.drifted("STREAM", "max_age");
        metrics.set_sagas_in_flight(1);
        metrics.set_sagas_needing_attention(1);
        metrics.set_compensations_owed(1);
        metrics.set_outbox(3, moment);
        metrics.set_consumer_lag("a-consumer", 1);
        metrics.set_parked(1);
        metrics.set_dead_letters(1);
        metrics.set_intake_stopped(true);
        metrics.set_partitions_ahead(7);
        metrics.set_partitions_held(1);
        metrics.set_lease_held("sweep", true);
        metrics.probe(|metrics| metrics.set_circuit_state("partner", 2));
        metrics.probe(|metrics| metrics.set_bulkhead_in_use("partner", 5));

        let text = metrics.render().unwrap();
        for line in [
            r#"ensemble_saga_duration_seconds_count{outcome="confirmed"} 1"#,
            "messaging_process_duration_seconds_bucket{",
            "http_client_request_duration_seconds_bucket{",
            r#"ensemble_dwell_seconds_bucket{wait="outbox",le="0.01"} 1"#,
            r#"ensemble_redeliveries_total{messaging_destination_name="some.subject"} 1"#,
            r#"ensemble_shed_total{why="in_flight"} 1"#,
            "ensemble_put_back_total 3",
            r#"ensemble_durables_rebuilt_total{durable="a-durable",why="gone"} 1"#,
            r#"ensemble_broker_drifts_total{name="STREAM",what="max_age"} 1"#,
            "ensemble_sagas_in_flight 1",
            "ensemble_sagas_needing_attention 1",
            "ensemble_compensations_owed 1",
            "ensemble_outbox_backlog 3",
            "ensemble_outbox_oldest_age_seconds 0.007",
            r#"ensemble_consumer_lag{consumer="a-consumer"} 1"#,
            "ensemble_parked 1",
            "ensemble_dead_letters 1",
            "ensemble_intake_stopped 1",
            "ensemble_partitions_ahead 7",
            "ensemble_partitions_held 1",
            r#"ensemble_lease_held{job="sweep"} 1"#,
            r#"ensemble_circuit_state{dependency="partner"} 2"#,
            r#"ensemble_bulkhead_in_use{compartment="partner"} 5"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
