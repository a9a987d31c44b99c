//! A body against its description: the schema in the API's document is the check, so the two cannot differ.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use jsonschema::{Draft, ValidationError, Validator, error::ValidationErrorKind};
use saga::Fault;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::Segment;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{
    Problem,
    problem::{INVALID, MALFORMED_JSON},
};

/// Nobody reads more, and a body of 256 KiB can hold a hundred thousand mistakes.
const FAULTS_MAX: usize = 100;

/// A body as its type, and the fingerprint of its canonical form (SHA-256 of RFC 8785).
///
/// An empty body counts as `{}`. Refuses with all faults at once; values are not repeated in messages.
pub(super) fn read<T: DeserializeOwned + ToSchema + 'static>(bytes: &[u8]) -> Result<(T, [u8; 32]), Problem> {
    let body: Value = if bytes.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(bytes).map_err(|error| {
            Problem::of(&MALFORMED_JSON).saying(format!("Not JSON at line {}, column {}.", error.line(), error.column()))
        })?
    };
    let mut faults = Vec::new();
    unstorable(&body, &mut String::new(), &mut faults);
    let validator = validator_of::<T>();
    if !validator.is_valid(&body) {
        faults.extend(validator.iter_errors(&body).flat_map(|error| faults_of(&error)));
    }
    if !faults.is_empty() {
        faults.truncate(FAULTS_MAX);
        return Err(invalid(faults));
    }
    let value = T::deserialize(&body).map_err(|_| unreadable::<T>(&body))?;
    let canonical = serde_json_canonicalizer::to_vec(&body)
        .map_err(|error| Problem::of(&MALFORMED_JSON).saying(format!("It has no canonical form: {error}.")))?;
    Ok((value, Sha256::digest(canonical).into()))
}

fn invalid(faults: Vec<Fault>) -> Problem {
    let detail = match faults.len() {
        1 => "One field is at fault.".to_owned(),
        FAULTS_MAX => format!("More than {} fields are at fault.", FAULTS_MAX - 1),
        count => format!("{count} fields are at fault."),
    };
    Problem::of(&INVALID).saying(detail).at(faults)
}

/// What the schema cannot say but the type can: that a number fits, that a code is one of a list.
fn unreadable<T: DeserializeOwned>(body: &Value) -> Problem {
    let fault = match serde_path_to_error::deserialize::<_, T>(body) {
        Ok(_) => Fault { pointer: String::new(), detail: "cannot be read".to_owned() },
        Err(error) => Fault {
            pointer: error.path().iter().fold(String::new(), |pointer, segment| match segment {
                Segment::Seq { index } => format!("{pointer}/{index}"),
                Segment::Map { key } => format!("{pointer}/{}", escaped(key)),
                Segment::Enum { variant } => format!("{pointer}/{}", escaped(variant)),
                Segment::Unknown => pointer,
            }),
            detail: error.inner().to_string(),
        },
    };
    invalid(vec![fault])
}

/// Faults of one error. What is missing, or too much, is pointed at itself and not at the object around it.
fn faults_of(error: &ValidationError<'_>) -> Vec<Fault> {
    let at = error.instance_path().as_str();
    let inside = |name: &str, detail: &str| Fault { pointer: format!("{at}/{}", escaped(name)), detail: detail.to_owned() };
    match error.kind() {
        ValidationErrorKind::Required { property } => vec![inside(property.as_str().unwrap_or_default(), "is required")],
        ValidationErrorKind::AdditionalProperties { unexpected } | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().map(|name| inside(name, "is not a field of this")).collect()
        }
        _ => vec![Fault { pointer: at.to_owned(), detail: error.masked_with("the value").to_string() }],
    }
}

/// U+0000 is a character of JSON, but of no text in Postgres.
fn unstorable(value: &Value, pointer: &mut String, faults: &mut Vec<Fault>) {
    let mut inside = |name: &str, value: &Value, faults: &mut Vec<Fault>| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(name);
        unstorable(value, pointer, faults);
        pointer.truncate(length);
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| inside(&index.to_string(), item, faults)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| inside(&escaped(name), field, faults)),
        Value::String(text) if text.contains('\0') => {
            faults.push(Fault { pointer: pointer.clone(), detail: "contains U+0000".to_owned() });
        }
        Value::String(_) => {}
    }
}

/// A name as a part of a JSON pointer (RFC 6901 §3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The check of a type, compiled when it is first met.
fn validator_of<T: ToSchema + 'static>() -> Arc<Validator> {
    static COMPILED: LazyLock<RwLock<HashMap<TypeId, Arc<Validator>>>> = LazyLock::new(RwLock::default);
    let key = TypeId::of::<T>();
    if let Some(known) = COMPILED.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known.clone();
    }
    let compiled = Arc::new(compile::<T>());
    COMPILED.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(compiled).clone()
}

fn compile<T: ToSchema>() -> Validator {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let named: HashMap<_, _> = named.into_iter().collect();
    let schema = json!({"allOf": [T::schema()], "components": {"schemas": named}});
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .build(&schema)
        .expect("utoipa derives a schema of JSON Schema 2020-12")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, ToSchema, Debug)]
    #[serde(deny_unknown_fields)]
    struct Basket {
        #[schema(min_length = 1, max_length = 8)]
        owner: String,
        #[schema(min_items = 1, max_items = 2)]
        items: Vec<Item>,
        note: Option<String>,
    }

    #[derive(Deserialize, ToSchema, Debug)]
    struct Item {
        #[schema(pattern = "^[A-Z0-9-]+$")]
        sku: String,
        #[schema(minimum = 1)]
        count: u8,
    }

    fn faults(body: &str) -> Vec<(String, String)> {
        let problem = read::<Basket>(body.as_bytes()).expect_err("at fault");
        assert_eq!(problem.status(), 422, "{problem:?}");
        let mut faults: Vec<_> = problem.errors().iter().map(|f| (f.pointer.clone(), f.detail.clone())).collect();
        faults.sort();
        faults
    }

    #[test]
    fn a_good_body_is_read_and_its_fingerprint_knows_no_layout() {
        let (basket, one) = read::<Basket>(br#"{"owner": "ada", "items": [{"sku": "TEA", "count": 2}]}"#).unwrap();
        assert_eq!(
            (basket.owner.as_str(), basket.items[0].sku.as_str(), basket.items[0].count, basket.note),
            ("ada", "TEA", 2, None)
        );
        let (_, same) = read::<Basket>(b"{\"items\":[{\"count\":2,\"sku\":\"T\\u0045A\"}],\n\"owner\":\"ada\"}").unwrap();
        let (_, other) = read::<Basket>(br#"{"owner": "ada", "items": [{"sku": "TEA", "count": 3}]}"#).unwrap();
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn all_faults_come_at_once_without_a_value() {
        let found = faults(r#"{"items": [{"sku": "tea", "count": 0}, {"count": "two"}], "note": 7, "a/b": 1}"#);
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/a~1b", "/items/0/count", "/items/0/sku", "/items/1/count", "/items/1/sku", "/note", "/owner"]);
        assert!(found.iter().all(|(_, detail)| !detail.contains("tea") && !detail.contains("two")), "{found:?}");
        assert_eq!(found[1].1, "the value is less than the minimum of 1");
        assert_eq!(found[6].1, "is required");
    }

    #[test]
    fn what_only_the_type_knows_is_pointed_at_too() {
        let found = faults(r#"{"owner": "ada", "items": [{"sku": "TEA", "count": 300}]}"#);
        assert_eq!(found[0].0, "/items/0/count");
        assert_eq!(faults("{\"owner\": \"a\\u0000\", \"items\": [{\"sku\": \"TEA\", \"count\": 1}]}")[0].0, "/owner");
        assert_eq!(faults("").len(), 2, "an empty body is an object without fields");
    }

    #[test]
    fn garbage_is_refused_and_never_repeated() {
        let deep = "[".repeat(100_000);
        for garbage in ["{", "{\"owner\": }", "nul", "1e999", "\"\\ud800\"", deep.as_str()] {
            let problem = read::<Basket>(garbage.as_bytes()).expect_err(garbage);
            assert_eq!(problem.status(), 400, "{garbage}");
        }
        assert_eq!(read::<Basket>(b"\"\xff\xfe\"").expect_err("not UTF-8").status(), 400);
        for wrong in ["null", "[]", "42", "\"owner\""] {
            assert_eq!(faults(wrong)[0].0, "", "{wrong}");
        }
    }
}
