//! The document is a sound AsyncAPI 3.0 one, and its schemas are those of the events as they are.

use std::{collections::BTreeSet, fs};

use choreography::{SERVICES, asyncapi};
use jsonschema::Validator;
use roas_asyncapi::{v3_0::Document, validation::Validate as _};
use serde_json::{Value, json};

fn golden(ty: &str) -> Value {
    let path = format!("{}/../events/golden/{ty}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))).expect("it is JSON")
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap_or_else(|error| panic!("{error}: {schema}"))
}

/// Every value that is a part of this one, with its pointer.
fn parts(value: &Value, pointer: &str, found: &mut Vec<(String, Value)>) {
    found.push((pointer.to_owned(), value.clone()));
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, part)| parts(part, &format!("{pointer}/{name}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, part)| parts(part, &format!("{pointer}/{at}"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_golden_file_fits_the_schema_of_its_type() {
    let schemas = asyncapi::schemas();
    assert_eq!(schemas.len(), events::Event::ALL.len());
    for (event, schema) in schemas {
        let written = golden(event.ty);
        if let Err(error) = validator(&schema).validate(&written) {
            panic!("{}: {error} at {}", event.ty, error.instance_path());
        }
    }
}

/// What serde refuses to read, the schema refuses too: each field left out, and each value made another type.
#[test]
fn a_wrong_one_fits_neither_the_schema_nor_the_type() {
    let mut tried = 0;
    for (event, schema) in asyncapi::schemas() {
        let (validator, written) = (validator(&schema), golden(event.ty));
        let mut found = Vec::new();
        parts(&written, "", &mut found);
        for (pointer, part) in found.iter().filter(|(pointer, _)| !pointer.is_empty()) {
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a slash");
            let (mut without, mut other) = (written.clone(), written.clone());
            if let Some(Value::Object(fields)) = without.pointer_mut(parent) {
                fields.remove(name);
            }
            *other.pointer_mut(pointer).expect("it was found there") = if part.is_boolean() { json!("x") } else { json!(true) };
            for wrong in [without, other].iter().filter(|wrong| **wrong != written) {
                let is_read = events::Event::decode(event.ty, wrong.to_string().as_bytes()).is_ok();
                assert_eq!(validator.is_valid(wrong), is_read, "{}: the type and its schema differ on {wrong}", event.ty);
                assert!(!is_read, "{}: {pointer} does not matter", event.ty);
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn the_examples_fit_their_messages() {
    let document = asyncapi::document(&SERVICES);
    let messages = document["components"]["messages"].as_object().expect("there are messages");
    for (ty, message) in messages {
        let example = &message["examples"][0];
        let mut payload = message["payload"].clone();
        payload["components"] = document["components"].clone();
        assert!(validator(&payload).is_valid(&example["payload"]), "{ty}");
        let headers = validator(&message["headers"]);
        assert!(headers.is_valid(&example["headers"]), "{ty}");
        let mut of_another = example["headers"].clone();
        of_another["ce-type"] = json!("something.else.v1");
        assert!(!headers.is_valid(&of_another), "{ty}");
        assert_eq!(message["headers"]["required"], json!(["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time"]));
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = asyncapi::document(&SERVICES);
    let mut found = Vec::new();
    parts(&document, "", &mut found);
    let references: Vec<&str> = found.iter().filter(|(at, _)| at.ends_with("/$ref")).filter_map(|(_, to)| to.as_str()).collect();
    assert!(references.len() > 100, "{}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leaves the document"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// By an implementation of the specification that is not ours: fields, names, references, schemas. Each breakage is found too.
#[test]
fn it_is_a_document_of_version_3_0() {
    let faults = |document: Value| match serde_json::from_value::<Document>(document) {
        Ok(document) => document.validate(Default::default()).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    let sound = asyncapi::document(&SERVICES);
    assert_eq!(faults(sound.clone()), None);
    let breakages: [(&str, Value); 6] = [
        ("/asyncapi", json!("2.0.0")),
        ("/operations/order_says_order_placed/action", json!("shout")),
        ("/operations/order_says_order_placed/channel/$ref", json!("#/channels/nowhere")),
        ("/operations/order_says_order_placed/messages/0/$ref", json!("#/channels/order_confirmed/messages/OrderConfirmed")),
        ("/components/messages/OrderPlaced/correlationId/location", json!("somewhere")),
        ("/components/schemas/Money/type", json!("money")),
    ];
    for (pointer, wrong) in breakages {
        let mut broken = sound.clone();
        *broken.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not there")) = wrong;
        assert!(faults(broken).is_some(), "{pointer} may be anything");
    }
}

/// The fields that version 3.0.0 of the specification knows, as far as they are used here.
#[test]
fn the_objects_have_the_fields_of_the_specification() {
    let document = asyncapi::document(&SERVICES);
    let only = |object: &Value, needs: &[&str], may: &[&str], what: &str| {
        let fields: BTreeSet<&str> = object.as_object().expect("it is an object").keys().map(String::as_str).collect();
        assert!(needs.iter().all(|field| fields.contains(field)), "{what} lacks one of {needs:?}");
        let unknown: Vec<_> =
            fields.iter().filter(|field| !needs.contains(field) && !may.contains(field) && !field.starts_with("x-")).collect();
        assert!(unknown.is_empty(), "{what} has {unknown:?}");
    };
    only(
        &document,
        &["asyncapi", "info"],
        &["id", "servers", "defaultContentType", "channels", "operations", "components"],
        "it",
    );
    only(&document["info"], &["title", "version"], &["description", "license"], "info");
    let each = |group: &Value, needs: &[&str], may: &[&str]| {
        let entries = group.as_object().expect("it is an object");
        assert!(!entries.is_empty());
        for (name, object) in entries {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name} is no name");
            only(object, needs, may, name);
        }
    };
    each(&document["servers"], &["host", "protocol"], &["description"]);
    each(&document["channels"], &[], &["address", "messages", "title", "description", "servers"]);
    each(&document["operations"], &["action", "channel"], &["title", "description", "bindings", "messages", "tags"]);
    let message = ["headers", "payload", "correlationId", "contentType", "name", "title", "summary", "examples"];
    each(&document["components"]["messages"], &[], &message);
    for operation in document["operations"].as_object().expect("there are operations").values() {
        assert!(["send", "receive"].contains(&operation["action"].as_str().expect("it is a text")));
    }
}

#[test]
fn every_event_is_sent_by_its_owner_and_received_by_who_declares_it() {
    let document = asyncapi::document(&SERVICES);
    let operations = document["operations"].as_object().expect("there are operations");
    for event in events::Event::ALL {
        assert!(operations.contains_key(&format!("{}_says_{}", event.owner, event.name.replace('.', "_"))), "{}", event.name);
    }
    let hears: usize = SERVICES.iter().map(|service| service.hears().count()).sum();
    assert_eq!(operations.len(), events::Event::ALL.len() + hears);
    let scheduled = &operations["payment_hears_shipment_scheduled"];
    assert_eq!(scheduled["bindings"]["nats"]["queue"], "payment-shipment_scheduled");
    assert_eq!(document["channels"]["shipment_scheduled"]["address"], "ensemble.shipment.scheduled");
}
