//! What is generated from the declarations and committed is what they give today. `UPDATE_DOCS=1` writes it anew, and the
//! test fails all the same, so that somebody reviews it.

use std::{env, fs, path::PathBuf};

use choreography::{SERVICES, graph, simulate};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares the whole file.
fn is_fresh(path: &str, generated: &str) {
    let file = root().join(path);
    let held = fs::read_to_string(&file).unwrap_or_default();
    if held != generated && env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, generated).expect("the repository can be written");
    }
    assert!(held == generated, "{path} is stale: run the tests once with UPDATE_DOCS=1 and review what changed");
}

/// Compares what stands between the two marks of that name.
fn holds(page: &str, mark: &str, generated: &str) {
    let text = fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (begin, end) = (format!("<!-- {mark}: generated -->\n"), format!("\n<!-- {mark}: end -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no {end}"));
    is_fresh(page, &format!("{before}{begin}{}{end}{after}", generated.trim_end()));
}

#[test]
fn the_picture_is_of_today_and_the_pages_show_it() {
    for page in ["README.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert!(text.contains("](crates/choreography/dance.svg)"), "{page} does not show the picture");
    }
    is_fresh("crates/choreography/dance.svg", &graph::svg(&SERVICES));
}

#[test]
fn the_table_of_readers_is_of_today() {
    holds("ARCHITECTURE.md", "readers", &graph::table(&SERVICES));
}

/// The same seed gives the same bytes, today and on every machine. It changes when a domain does, or what chance draws.
#[test]
fn a_schedule_of_one_order_is_of_today() {
    is_fresh("crates/choreography/tests/schedule.txt", &simulate::transcript(&simulate::Settings::new(1), 7, 9));
}
