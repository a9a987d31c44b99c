//! Dependencies point one way, and Cargo says so.

use std::{collections::BTreeSet, process::Command};

use super::root;

/// The packages that `package` is built from without its default features.
fn tree(package: &str) -> BTreeSet<String> {
    tree_with(package, &["--no-default-features"])
}

fn tree_with(package: &str, features: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "-p", package, "-e", "normal", "--prefix", "none", "--format", "{p}", "--offline"];
    let ran =
        Command::new(cargo).args(arguments).args(features).current_dir(root()).output().expect("cargo ran this test, so it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[test]
fn the_domains_are_pure() {
    for package in ["events", "saga", "order", "inventory", "payment", "shipping", "choreography"] {
        let built_from = tree(package);
        for world in ["sqlx", "async-nats", "axum", "tokio", "reqwest", "hyper", "rand", "chassis", "tracing"] {
            assert!(
                !built_from.contains(world),
                "{package} is built from {world} without its shell: keep the world out of the core"
            );
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    let ours = ["events", "saga", "chassis", "order", "inventory", "payment", "shipping", "choreography", "partners", "ensemble"];
    let allowed: [(&str, &[&str]); 6] = [
        ("events", &[]),
        ("saga", &["events"]),
        ("chassis", &["events", "saga"]),
        ("payment", &["events", "saga"]),
        ("choreography", &["events", "saga", "order", "inventory", "payment", "shipping"]),
        ("partners", &[]),
    ];
    for (package, may) in allowed {
        for other in tree(package) {
            let is_ours = ours.contains(&other.as_str()) && other != package;
            assert!(!is_ours || may.contains(&other.as_str()), "{package} must not know {other}");
        }
    }
}

/// Not their library, nor the feature that brings it; and where somebody asks for the feature, a release build has no code of it.
#[test]
fn what_is_shipped_has_no_failpoints() {
    for package in ["order", "inventory", "payment", "shipping", "loyalty", "ensemble"] {
        assert!(!tree_with(package, &[]).contains("fail-parallel"), "{package} is shipped with failpoints");
    }
    let room = super::read("crates/chassis/src/failpoint.rs");
    assert!(
        room.contains("#[cfg(all(feature = \"failpoints\", debug_assertions))]\nmod armed;"),
        "failpoints are compiled without debug assertions"
    );
    let armed = super::read("crates/chassis/src/failpoint/armed.rs");
    assert!(armed.contains("#[cfg(not(debug_assertions))]\ncompile_error!("), "nothing stops failpoints in a release build");
}
