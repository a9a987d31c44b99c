//! `tests/DEFENCES.md` is made of the list of defences. `UPDATE_DOCS=1` writes it anew, and then fails.

use std::{env, fmt::Write as _, fs};

use super::{files, root};

const PAGE: &str = "tests/DEFENCES.md";

const OPENING: &str = "# What each defence is for

Each line is a defence against a fault, and the test that fails without it. `just defences` takes them out of the real source, one at
a time, in a copy of the workspace, and runs that test. (`just defences sweep` takes out those whose name contains that.)

This page is made of `tests/defences.toml`, which has how each is taken out. That each can still be taken out, and that its test still has
that name, are tests themselves. The whole list has not been run in one go yet: a line is what is expected until `just defences` has shown it.

| defence | what it does | the test that fails without it |
|---|---|---|
";

#[test]
fn the_page_is_what_the_list_says() {
    let mut made = OPENING.to_owned();
    for defence in ensemble::defences::list().expect("the list can be read") {
        writeln!(made, "| {} | {} | `cargo test {}` |", defence.name, defence.says, defence.test)
            .expect("a string takes everything");
    }
    let held = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    if held != made && env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join(PAGE), &made).expect("the page can be written");
    }
    assert!(held == made, "{PAGE} is stale: run the tests once with UPDATE_DOCS=1 and review what changed");
}

/// A filter that matches nothing would run nothing, and nothing would fail.
#[test]
fn every_defence_has_its_test() {
    let texts: Vec<(std::path::PathBuf, String)> = files("tests/e2e", ".rs").into_iter().collect();
    for defence in ensemble::defences::list().expect("the list can be read") {
        let Some((_, filters)) = defence.test.split_once(" -- ") else { continue };
        for filter in filters.split_whitespace() {
            let (module, name) = filter.split_once("::").unwrap_or((filter, ""));
            let is_there = texts.iter().any(|(path, text)| {
                path.file_stem().is_some_and(|stem| stem == module) && text.contains(&format!("\"{name}"))
                    || text.contains(&format!("\"{filter}"))
            });
            assert!(is_there, "{}: no test is called {filter}", defence.name);
        }
    }
}
