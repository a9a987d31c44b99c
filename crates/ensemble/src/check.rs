//! What is wrong with the choreography, found before anything runs: by its declarations, by a search through its states, and by
//! many orders under random faults.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use choreography::{
    SERVICES, catalog, checks,
    model::{self, Channel, Counterexample, Settings},
};

use crate::{Talk, simulate, workspace};

/// Small schedules, and many: what goes wrong does so among few orders.
const SIMULATED: simulate::Settings = simulate::Settings { schedules: 100_000, seed: 7, orders: 3, only: None, threads: None };

/// Checks the declarations, then searches every world, then simulates, and prints what it finds. What is wrong in a world is
/// also written as a test, to that directory or to `target/ensemble/found`. Gives whether all is well.
///
/// # Errors
/// When a test cannot be written.
pub fn run(tests: Option<&Path>, talk: &Talk) -> anyhow::Result<bool> {
    let tests = tests.map_or_else(|| workspace::workshop().join("found"), Path::to_owned);
    let findings = [checks::check(), catalog::check()].concat();
    findings.iter().for_each(|finding| anstream::println!("{finding}"));
    let mut well = findings.is_empty();
    for (number, world) in worlds().into_iter().enumerate() {
        if let Some(found) = search(world, talk) {
            well = false;
            let path = write_test(&found, number, &tests)?;
            anstream::println!("\n{found}\n{}\nThe same steps as a test: {}", found.mermaid(), path.display());
        }
    }
    let simulated = simulate::quietly(&SIMULATED, 0..SIMULATED.schedules, talk).failure.is_none();
    Ok(well && simulated)
}

/// Two worlds may have the same wrong, by different ways: hence the number.
fn write_test(found: &Counterexample, world: usize, directory: &Path) -> anyhow::Result<PathBuf> {
    let path = directory.join(format!("{}_{world}.rs", found.name()));
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, found.test()));
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// One after the other: what one order can meet, one lost message on each channel, a service a version ahead, and two orders.
fn worlds() -> Vec<Settings> {
    let healed = Channel::all().into_iter().filter(|channel| *channel != Channel::FATAL);
    let nothing_repeated = Settings { stock: 0, ..Settings::repeated() };
    let mut worlds = vec![Settings::one_order(), Settings::nothing_there(), Settings::repeated(), nothing_repeated];
    worlds.extend(healed.map(Settings::losing));
    worlds.extend(SERVICES.iter().map(|service| Settings::ahead(service.service)));
    worlds.extend([Settings::last_piece(), Settings::last_piece_repeated()]);
    worlds
}

fn search(settings: Settings, talk: &Talk) -> Option<Counterexample> {
    let begun = Instant::now();
    let step = talk.step(&settings.to_string());
    let report = model::check(settings, &mut |progress| {
        step.now(&format!("{} states, {} deep", progress.states, progress.depth));
        ControlFlow::Continue(())
    });
    let seconds = begun.elapsed().as_secs_f64();
    let extent = match &report.counterexample {
        Some(_) => "something is wrong",
        None if report.complete => "all visited",
        None => "not all visited",
    };
    anstream::println!("{}: {} states, {} deep, {extent}, {seconds:.1} s", report.settings, report.states, report.depth);
    report.counterexample
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use super::*;

    /// Compiles a written test as cargo would in `crates/choreography/tests`, and runs it.
    fn run_test(file: &Path) -> Output {
        let built = std::env::current_exe().expect("a test has a program");
        let built = built.parent().expect("it is in a directory");
        let library = fs::read_dir(built).expect("it can be read").filter_map(Result::ok).filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libchoreography-") && name.ends_with(".rlib")
        });
        // Other features and older sources may have left libraries of their own.
        let library = library.max_by_key(|entry| entry.metadata().and_then(|of| of.modified()).ok()).expect("it is built");
        let program = file.with_extension("program");
        let rustc = Command::new("rustc")
            .args(["--test", "--edition", "2024", "--deny", "warnings", "--deny", "missing_docs", "-L"])
            .arg(format!("dependency={}", built.display()))
            .args(["--extern", &format!("choreography={}", library.path().display()), "-o"])
            .args([&program, file])
            .output()
            .expect("rustc starts");
        assert!(rustc.status.success(), "{}", String::from_utf8_lossy(&rustc.stderr));
        Command::new(program).output().expect("it starts")
    }

    /// The one message whose loss an order does not survive stands for a choreography that is broken.
    #[test]
    fn what_is_found_is_written_as_a_test_that_fails_until_it_is_put_right() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut found = search(Settings::losing(Channel::FATAL), &Talk::silent()).expect("the loss is found");
        let written = write_test(&found, 1, &directory.path().join("found")).expect("it can be written");
        let output = run_test(&written);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && told.contains("no rest can be reached"), "{told}");

        let last = found.steps.pop();
        assert!(last.is_some_and(|step| step.contains("never gets")), "all is well until the message is lost");
        let written = write_test(&found, 2, directory.path()).expect("it can be written");
        let output = run_test(&written);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
