//! Every version of every event that was ever published can be read, for ever. A golden file is never edited: a breaking
//! change is a new version with a file of its own, beside the old one.

use std::{collections::BTreeSet, fs, path::PathBuf};

use events::{DecodeError, Event};
use serde_json::{Value, json};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn read(ty: &str) -> Value {
    let path = golden().join(format!("{ty}.json"));
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}: every event has a golden file", path.display()));
    serde_json::from_str(&text).expect("a golden file is JSON")
}

#[test]
fn every_version_is_read_and_written_as_it_was() {
    for info in Event::ALL {
        let written = read(info.ty);
        let event = Event::decode(info.ty, written.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(event.info().ty, info.ty);
        assert_eq!(serde_json::from_slice::<Value>(&event.encode()).expect("an event is JSON"), written, "{}", info.ty);
    }
}

#[test]
fn no_golden_file_has_lost_its_event() {
    let known: BTreeSet<String> = Event::ALL.iter().map(|info| format!("{}.json", info.ty)).collect();
    for entry in fs::read_dir(golden()).expect("golden/ is there") {
        let name = entry.expect("golden/ can be read").file_name().into_string().expect("names are UTF-8");
        assert!(known.contains(&name), "golden/{name}: this version was published, and can no longer be read");
    }
}

#[test]
fn a_tolerant_reader_ignores_what_it_does_not_know() {
    for info in Event::ALL {
        let mut data = read(info.ty);
        let plain = Event::decode(info.ty, data.to_string().as_bytes()).expect("read above");
        data["a_field_of_next_year"] = json!({"deep": [1, 2, 3]});
        assert_eq!(Event::decode(info.ty, data.to_string().as_bytes()).expect("unknown fields are ignored"), plain);
    }
}

#[test]
fn what_cannot_be_read_says_which_of_the_two_failures_it_is() {
    assert!(
        matches!(Event::decode("payment.authorized.v9", b"{}"), Err(DecodeError::UnknownType(ty)) if ty == "payment.authorized.v9")
    );
    for bytes in [&b""[..], b"{", b"{}", b"null", b"[]", &[0xff, 0xfe], br#"{"order_id":"not an id"}"#] {
        assert!(matches!(Event::decode("payment.declined.v1", bytes), Err(DecodeError::Data { .. })), "{bytes:?}");
    }
}
