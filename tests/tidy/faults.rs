//! `tests/FAULTS.md` is made of the list of faults and the names of the tests. `UPDATE_DOCS=1` writes it anew, and then fails.

mod rows;

use std::{collections::BTreeMap, env, fmt::Write as _, fs};

use super::{files, root};
use rows::ROWS;

const PAGE: &str = "tests/FAULTS.md";

/// Rows that no test shows yet, with what they wait for. A row that has a test may not stand here.
const NOT_YET: [(usize, &str); 1] = [(33, "the console")];

/// What the tests of a row leave out.
const LEFT_OUT: [(usize, &str); 1] = [(25, "429, which comes with the rate limits")];

const OPENING: &str = "# What is survived, and the tests that show it

Each test injects its fault into the real programs, on PostgreSQL and NATS, and ends with the audit of the six invariants and a replay of what was done; a few look at one part alone. Those below `tests/e2e` run by name: `cargo test --test e2e -- row_13` for one row. `just chaos` injects many of them at once, drawn from a seed, under load; `tests/e2e/chaos.rs` is a minute of that.

This page is made of the list in `tests/tidy/faults/rows.rs` and of the names of the tests: a row without one fails the build, and so does a name without its row.

| # | fault | what must happen | shown by |
|---|---|---|---|
";

/// The tests of each row, by file: names that begin with `row_`, alone or behind their module.
fn shown() -> BTreeMap<usize, Vec<String>> {
    let mut shown: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (path, text) in files("crates", ".rs").into_iter().chain(files("tests", ".rs")) {
        if path.starts_with("tests/tidy") {
            continue;
        }
        // Unit tests stand below the code, so here the whole file counts.
        for name in text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(names) {
            for row in numbers(name) {
                shown.entry(row).or_default().push(format!("`{name}` ({})", path.display()));
            }
        }
    }
    shown
}

/// `"row_…"` and `"module::row_…"` of trials, `fn row_…` of tests.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("row_").filter_map(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let begins = ["\"", "::", "fn "].iter().any(|start| before.ends_with(start));
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        (begins && rest["row_".len()..].starts_with(|c: char| c.is_ascii_digit())).then_some(&rest[..length])
    })
}

/// 11 and 31 of `row_11_and_31_late_replays`.
fn numbers(name: &str) -> Vec<usize> {
    let mut words = name.split('_').skip(1);
    let mut numbers = Vec::new();
    while let Some(number) = words.next().and_then(|word| word.parse().ok()) {
        numbers.push(number);
        if words.next() != Some("and") {
            break;
        }
    }
    numbers
}

fn page(shown: &BTreeMap<usize, Vec<String>>) -> String {
    let mut page = OPENING.to_owned();
    for (number, row) in (1..).zip(&ROWS) {
        let tests = shown.get(&number).into_iter().flatten().cloned();
        let missing = NOT_YET.iter().chain(&LEFT_OUT).filter(|(row, _)| *row == number);
        let tests = tests.chain(missing.map(|(_, what)| format!("*not shown yet*: {what}")));
        let tests = tests.collect::<Vec<_>>().join("<br>");
        writeln!(page, "| {number} | {} | {} | {tests} |", row.fault, row.promise).expect("a string takes everything");
    }
    page
}

#[test]
fn every_row_has_its_test() {
    let shown = shown();
    for number in 1..=ROWS.len() {
        let waits = NOT_YET.iter().any(|(row, _)| *row == number);
        let has = shown.contains_key(&number);
        assert!(has || waits, "row {number} of the faults has no test: name one `row_{number:02}_…`, which injects it");
        assert!(!(has && waits), "row {number} of the faults has a test: strike it off `NOT_YET`");
    }
    for (number, tests) in shown {
        assert!((1..=ROWS.len()).contains(&number), "there is no row {number}, and a test is named after it: {tests:?}");
    }
}

#[test]
fn the_page_is_what_the_tests_say() {
    let made = page(&shown());
    let held = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    if held != made && env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join(PAGE), &made).expect("the page can be written");
    }
    assert!(held == made, "{PAGE} is stale: run the tests once with UPDATE_DOCS=1 and review what changed");
}

#[test]
fn a_name_may_carry_several_rows() {
    assert_eq!(numbers("row_07_duplicate_hours_later"), [7]);
    assert_eq!(numbers("row_11_and_31_late_replays"), [11, 31]);
    assert_eq!(
        names(r#"alone("crash::row_12_kill", x); fn row_03_a() {}; arrow_12"#).collect::<Vec<_>>(),
        ["row_12_kill", "row_03_a"]
    );
}
