//! The choreography as an AsyncAPI 3.0 document: every event with the JSON Schema of its type, who sends and who receives it.
//!
//! Nothing is described here a second time: schemas come from the types, headers from [`Envelope`], examples from the golden
//! files, operations from the declarations.

use events::{
    Described, Envelope, Event, EventId, EventInfo, MalformedEnvelope, OrderId, Timestamp, TraceContext, durable, stream, subject,
};
use saga::Declaration;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Where schemas stand in the document, and where types refer to.
const SCHEMAS: &str = "/components/schemas";

/// The document. Its schemas are of draft 7, as AsyncAPI's default is.
pub fn document(services: &[Declaration]) -> Value {
    let (described, schemas) = described();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ensemble",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Four services that perform together with no conductor: every event that one of them says, and who hears it. Events are CloudEvents 1.0 in the binary mode of the NATS protocol binding: what is about an event is in its headers, and its data alone in the body. They come at least once and in any order; `Nats-Msg-Id` is `ce-id`.",
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "One JetStream stream for each service that says something; whoever hears an event has a durable pull consumer of it.",
            }
        },
        "channels": described.iter().map(|event| (event.info.word(), channel(event.info))).collect::<Map<_, _>>(),
        "operations": operations(services),
        "components": {
            "messages": described.iter().map(|event| (event.info.type_name.to_owned(), message(event))).collect::<Map<_, _>>(),
            "schemas": schemas,
        },
    })
}

/// The schema of the data of each event type, whole and alone.
pub fn schemas() -> Vec<(&'static EventInfo, Value)> {
    let (described, schemas) = described();
    let whole = |event: Described| {
        let mut schema = event.schema.to_value();
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        schema["components"] = json!({"schemas": schemas});
        (event.info, schema)
    };
    described.into_iter().map(whole).collect()
}

fn described() -> (Vec<Described>, Map<String, Value>) {
    let settings = SchemaSettings::draft07().with(|settings| settings.definitions_path = SCHEMAS.into());
    let mut generator = SchemaGenerator::new(settings);
    let described = Event::described(&mut generator);
    (described, generator.take_definitions(true))
}

fn channel(event: &EventInfo) -> Value {
    json!({
        "address": subject(event.name),
        "title": event.name,
        "description": event.means,
        "servers": [{"$ref": "#/servers/nats"}],
        "messages": {event.type_name: {"$ref": format!("#/components/messages/{}", event.type_name)}},
        "x-jetstream-stream": stream(event.owner),
    })
}

fn operations(services: &[Declaration]) -> Map<String, Value> {
    let mut operations = Map::new();
    for service in services {
        for event in service.says() {
            let steps = service.steps.iter().filter(|step| step.says.iter().any(|said| said.ty == event.ty));
            let steps: Vec<_> = steps.map(|step| (step.name, step.does)).collect();
            let operation = operation(service.service, "send", event, &steps);
            operations.insert(format!("{}_says_{}", service.service, event.word()), operation);
        }
        for event in service.heard() {
            let rows = service.rows.iter().filter(|row| row.input == event.ty);
            let steps: Vec<_> = rows.filter_map(|row| service.step(row.step)).map(|step| (step.name, step.does)).collect();
            let mut operation = operation(service.service, "receive", event, &steps);
            operation["bindings"] = json!({"nats": {"queue": durable(service.service, event), "bindingVersion": "0.1.0"}});
            operations.insert(format!("{}_hears_{}", service.service, event.word()), operation);
        }
    }
    operations
}

/// `steps`: those that say or hear it, with their sentences.
fn operation(service: &str, action: &str, event: &EventInfo, steps: &[(&str, &str)]) -> Value {
    let names: Vec<&str> = steps.iter().map(|(name, _)| *name).collect();
    let sentences: Vec<String> = steps.iter().map(|(name, does)| format!("{name}: {does}")).collect();
    json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{}", event.word())},
        "title": format!("{service} {}", names.join(", ")),
        "description": sentences.join("\n\n"),
        "messages": [{"$ref": format!("#/channels/{}/messages/{}", event.word(), event.type_name)}],
        "tags": [{"name": service}],
    })
}

fn message(event: &Described) -> Value {
    let sample = sample(event.info);
    let headers: Map<String, Value> = sample.headers().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    // A golden file that is no JSON fails the tests of `events`.
    let payload: Value = serde_json::from_str(event.example).unwrap_or_default();
    json!({
        "name": event.info.ty,
        "title": event.info.type_name,
        "summary": event.info.means,
        "contentType": "application/json",
        "correlationId": {"location": "$message.header#/ce-correlationid", "description": "The saga: the id of the order."},
        "headers": headers_of(event.info, &sample),
        "payload": event.schema,
        "examples": [{"name": event.info.ty, "headers": headers, "payload": payload}],
    })
}

/// An envelope of that type, with everything that it can have.
fn sample(event: &EventInfo) -> Envelope {
    let id = |last: u128| uuid::Uuid::from_u128(0x019a_b3c4_5d6e_8f80_9a1b_2c3d_4e5f_6070 + last);
    Envelope {
        id: EventId(id(2)),
        source: event.owner.to_owned(),
        ty: event.ty.to_owned(),
        saga: event.of_order.then(|| OrderId(uuid::uuid!("019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"))),
        time: Timestamp::from_micros(1_795_543_441_000_250),
        causation: Some(id(3)),
        trace: TraceContext::read(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), Some("vendor=value")),
    }
}

/// The schema of its headers: those that are always the same are said to be; those without which it cannot be read are required.
fn headers_of(event: &EventInfo, sample: &Envelope) -> Value {
    let headers = sample.headers();
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, value) in &headers {
        let schema = match *name {
            "ce-specversion" | "ce-source" | "ce-type" | "ce-dataschema" | "content-type" => {
                json!({"type": "string", "const": value})
            }
            "ce-time" => json!({"type": "string", "format": "date-time"}),
            "ce-id" | "ce-subject" | "ce-correlationid" | "ce-causationid" => json!({"type": "string", "format": "uuid"}),
            _ => json!({"type": "string"}),
        };
        properties.insert((*name).to_owned(), schema);
        let without = |wanted: &str| {
            let found = headers.iter().find(|(header, _)| header == &wanted && header != name);
            found.map(|(_, value)| value.as_str())
        };
        if matches!(Envelope::read(without), Err(MalformedEnvelope::Missing(_))) {
            required.push(*name);
        }
    }
    json!({"type": "object", "description": format!("The CloudEvents attributes of `{}`.", event.ty), "required": required, "properties": properties})
}
