//! Docs that rot are worse than none: every path and every command in them is looked up.

use std::collections::BTreeSet;

use super::{read, root};

const PAGES: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let mut inside_block = false;
    text.lines()
        .filter(move |line| {
            if line.trim_start().starts_with("```") {
                inside_block = !inside_block;
                return false;
            }
            !inside_block
        })
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn recipes() -> BTreeSet<String> {
    read("justfile")
        .lines()
        .filter(|line| !line.starts_with([' ', '#', '\t', '[']))
        .filter_map(|line| {
            let (head, _) = line.split_once(':')?;
            head.split(' ').next().map(str::to_owned)
        })
        .collect()
}

#[test]
fn every_path_is_there() {
    for page in PAGES {
        for word in quoted(&read(page)) {
            let looks_like_a_path =
                (word.contains('/') || word.ends_with(".rs") || word.ends_with(".md") || word.ends_with(".toml"))
                    && !word.contains([' ', '{', '<', '*', '…', ':', '(', '=', '$', '"'])
                    && !word.starts_with(['/', '-', '.'])
                    && ["crates/", "deploy/", "tests/", "README", "ARCHITECTURE", "CONTRIBUTING"]
                        .iter()
                        .any(|start| word.starts_with(start));
            assert!(!looks_like_a_path || root().join(word).exists(), "{page} names `{word}`, which is not there");
        }
    }
}

#[test]
fn every_recipe_is_there() {
    let recipes = recipes();
    for page in PAGES {
        let text = read(page);
        for (at, _) in text.match_indices("just ") {
            let before = text[..at].chars().next_back();
            let rest = &text[at + 5..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let is_command = before.is_none_or(|c| c == '`' || c == '\n');
            assert!(!is_command || recipes.contains(&name), "{page} says `just {name}`, which is no recipe");
        }
    }
}

#[test]
fn every_recipe_has_a_sentence_and_few_lines() {
    let text = read("justfile");
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let is_recipe = !line.starts_with([' ', '#', '\t', '[', '_']) && line.contains(':') && !line.contains(":=");
        if is_recipe {
            let documented = (0..at).rev().take_while(|n| lines[*n].starts_with(['#', '['])).any(|n| lines[n].starts_with('#'));
            assert!(documented, "justfile: say in a sentence what `{line}` does");
            let body = lines[at + 1..].iter().take_while(|line| line.starts_with([' ', '\t'])).count();
            assert!(body <= 3, "justfile: `{line}` has {body} lines: what needs an `if` is Rust");
        }
    }
}

/// The recipe of a fifth service is the service that the end-to-end tests run.
#[test]
fn the_recipe_is_the_service_that_is_tested() {
    let page = read("CONTRIBUTING.md");
    let mut lines = 0;
    for section in page.split("\n### `tests/loyalty/").skip(1) {
        let (name, rest) = section.split_once('`').expect("a heading ends its backticks");
        let block = rest.split("```").nth(1).expect("a file of the recipe has a block");
        let (_, text) = block.split_once('\n').expect("a block begins with its language");
        assert_eq!(text, read(&format!("tests/loyalty/{name}")), "CONTRIBUTING.md and tests/loyalty/{name} differ");
        lines += text.lines().count();
    }
    assert!((1..300).contains(&lines), "the recipe has {lines} lines: a newcomer was promised fewer than 300");
}
