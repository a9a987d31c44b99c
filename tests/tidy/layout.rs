//! The layout shows the architecture.

use std::{collections::BTreeSet, fs};

use super::{files, root};

const SERVICES: [&str; 4] = ["order", "inventory", "payment", "shipping"];

#[test]
fn the_top_level_holds_what_the_design_names() {
    let allowed: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "justfile",
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "deny.toml",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "clippy.toml",
        "bench",
        "crates",
        "deploy",
        "tests",
        "target",
    ]
    .into();
    for entry in fs::read_dir(root()).expect("the root can be read") {
        let name = entry.expect("the root can be read").file_name().into_string().expect("names are UTF-8");
        assert!(
            name.starts_with('.') || allowed.contains(name.as_str()),
            "`{name}` at the top level: move it into a crate, deploy/ or tests/"
        );
    }
}

#[test]
fn the_four_services_have_the_same_rooms() {
    for service in SERVICES {
        let rooms = ["main.rs", "lib.rs", "api.rs", "reactions.rs", "domain.rs", "store.rs", "examples.rs", "domain.table.txt"];
        for room in rooms {
            let path = format!("crates/{service}/src/{room}");
            assert!(root().join(&path).is_file(), "{path} is missing: every service has the same rooms");
        }
        assert!(root().join(format!("crates/{service}/migrations")).is_dir(), "crates/{service}/migrations is missing");
        let calls = root().join(format!("crates/{service}/src/calls.rs")).is_file();
        assert_eq!(calls, ["payment", "shipping"].contains(&service), "calls.rs belongs to who has a partner, and {service}");
        let screen = root().join(format!("crates/{service}/src/screen.rs")).is_file();
        assert_eq!(screen, service == "order", "screen.rs belongs to order alone, and {service}");
    }
}

#[test]
fn a_service_starts_in_one_line() {
    for service in SERVICES {
        let text = super::read(&format!("crates/{service}/src/main.rs"));
        let statements = super::code(&text).filter(|(_, line)| line.contains("chassis::run")).count();
        assert_eq!(statements, 1, "crates/{service}/src/main.rs: `main` is one line, `chassis::run::<…>()`");
    }
}

#[test]
fn no_file_outgrows_a_reader() {
    for (path, text) in files("crates", ".rs").into_iter().chain(files("tests", ".rs")) {
        let lines = text.lines().count();
        // A list of cases may be longer than a train of thought.
        let most = if path.to_string_lossy().contains("tests") { 600 } else { 450 };
        assert!(
            lines <= most,
            "{} has {lines} lines: understand it again, and split it where a second reason to change begins",
            path.display()
        );
    }
}

#[test]
fn no_room_is_called_after_a_kind_of_code() {
    for (path, _) in files("crates", ".rs") {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        assert!(
            !["utils", "util", "common", "helpers", "helper", "manager", "misc", "models"].contains(&name.as_str()),
            "{}: name it for what happens there",
            path.display()
        );
    }
}

#[test]
fn every_library_opens_with_a_paragraph() {
    for (path, text) in files("crates", "src/lib.rs") {
        let opening = text.lines().take_while(|line| line.starts_with("//!")).count();
        let included = text.starts_with("#![doc = include_str!");
        assert!(opening >= 4 || included, "{}: say what it owns, what it promises, what it refuses to know", path.display());
    }
}
