//! What is absent, written down.

use super::{code, files};

/// Fails for every line of code in `folder` that holds one of `words`, except in files whose path holds one of `rooms`.
fn only(rooms: &[&str], folder: &str, words: &[&str], rule: &str) {
    for (path, text) in files(folder, ".rs") {
        let path = path.to_string_lossy().into_owned();
        if rooms.iter().any(|room| path.contains(room)) || path.ends_with("tests.rs") || path.contains("/tests/") {
            continue;
        }
        for (number, line) in code(&text) {
            for word in words {
                assert!(!line.contains(word), "{path}:{number}: `{word}`: {rule}\n{line}");
            }
        }
    }
}

#[test]
fn only_commit_begins_a_transaction() {
    let words = [".begin(", ".begin_with(", "\"begin", "BEGIN;"];
    only(&["src/commit"], "crates/chassis/src", &words, "only `commit` begins a transaction");
    for service in ["order", "inventory", "payment", "shipping"] {
        only(&[], &format!("crates/{service}/src"), &words, "a service never begins a transaction: return an outcome");
    }
}

#[test]
fn only_broker_inbox_and_relay_speak_nats() {
    only(
        &["src/broker", "src/inbox", "src/relay"],
        "crates/chassis/src",
        &["async_nats::"],
        "only `broker`, `inbox` and `relay` speak NATS",
    );
    for service in ["order", "inventory", "payment", "shipping"] {
        only(&[], &format!("crates/{service}/src"), &["async_nats::"], "a service does not know that there is a broker");
    }
}

#[test]
fn only_edge_admin_calls_and_screen_speak_http() {
    let rooms = ["src/edge", "src/admin", "src/calls", "src/telemetry"];
    only(
        &rooms,
        "crates/chassis/src",
        &["reqwest::", " axum::", "(axum::", "<axum::"],
        "only `edge`, `admin`, `calls` (and `telemetry` for OTLP) speak HTTP",
    );
    for service in ["order", "inventory", "payment", "shipping"] {
        let rooms = ["src/api", "src/calls", "src/screen"];
        only(
            &rooms,
            &format!("crates/{service}/src"),
            &["reqwest::", " axum::", "(axum::", "<axum::"],
            "only `api`, `calls` and `screen` speak HTTP",
        );
    }
}

#[test]
fn the_chassis_knows_no_service_and_no_event() {
    let mut words: Vec<String> =
        ["inventory", "payment", "shipping", "shipment", "Payment", "Shipment", "Inventory"].map(str::to_owned).into();
    words.extend(
        ["OrderPlaced", "OrderConfirmed", "StockReserved", "stock.reserved", "order.placed", "order.confirmed"]
            .map(str::to_owned),
    );
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    only(&[], "crates/chassis/src", &words, "the chassis contains no service's name and no event's name");
}

#[test]
fn the_core_has_no_clock_no_chance_and_no_async() {
    for folder in ["crates/events/src", "crates/saga/src", "crates/choreography/src"] {
        let words = ["async fn", "SystemTime", "Instant::now", "now_utc", "rand::", "now_v7", "std::fs", "std::net"];
        // The trials read and rewrite the committed table, in a service's tests alone.
        only(&["src/trials.rs"], folder, &words, "the core is pure: what is not is handed in by `Context`");
    }
    for service in ["order", "inventory", "payment", "shipping"] {
        for (path, text) in files(&format!("crates/{service}/src"), ".rs") {
            let path = path.to_string_lossy().into_owned();
            if path.contains("domain") || path.contains("reactions") {
                for (number, line) in code(&text) {
                    for word in ["async ", "now_utc", "Instant::", "rand", "sqlx", "chassis"] {
                        assert!(!line.contains(word), "{path}:{number}: `{word}`: a domain is pure\n{line}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_domain_answers_in_every_state_by_name() {
    for service in ["order", "inventory", "payment", "shipping"] {
        for (path, text) in files(&format!("crates/{service}/src"), ".rs") {
            let path = path.to_string_lossy().into_owned();
            if path.ends_with("domain.rs") || path.contains("/domain/") {
                for (number, line) in code(&text) {
                    assert!(
                        !line.trim_start().starts_with("_ =>"),
                        "{path}:{number}: name the states: a new one must stop the build\n{line}"
                    );
                }
            }
        }
    }
}

#[test]
fn relay_decodes_no_event() {
    only(&[], "crates/chassis/src/relay", &["Event::decode", "from_slice"], "the relay carries bytes");
}

#[test]
fn nothing_of_the_workshop_is_left() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), "dbg!(", "todo!(", "unimplemented!("];
    for folder in ["crates", "tests"] {
        for (path, text) in files(folder, ".rs") {
            for (number, line) in text.lines().enumerate() {
                let of_this_test = path.ends_with("tidy/absences.rs");
                assert!(
                    of_this_test || !marks.iter().any(|mark| line.contains(mark)),
                    "{}:{}: finish it\n{line}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}
