use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use anyhow::bail;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;

/// What a program says to whoever watches it work: on stderr, moving on a terminal, one line for each finished
/// step elsewhere. Results go to stdout and do not pass through here.
#[derive(Clone)]
pub struct Talk(Manner);

#[derive(Clone)]
enum Manner {
    Silent,
    LinesWhenSlow,
    Lines,
    Moving(MultiProgress),
}

impl Talk {
    /// Moving on a terminal, else lines.
    pub fn to_the_user() -> Self {
        if std::io::stderr().is_terminal() { Self(Manner::Moving(MultiProgress::new())) } else { Self::in_lines() }
    }

    /// One line for each finished step.
    pub fn in_lines() -> Self {
        Self(Manner::Lines)
    }

    /// As in lines, but only of what took so long that somebody may wonder: for tests.
    pub fn in_lines_when_slow() -> Self {
        Self(Manner::LinesWhenSlow)
    }

    /// Nothing.
    pub fn silent() -> Self {
        Self(Manner::Silent)
    }

    /// One line, now.
    pub fn say(&self, line: &str) {
        match &self.0 {
            Manner::Silent => {}
            Manner::Lines | Manner::LinesWhenSlow => anstream::eprintln!("{line}"),
            Manner::Moving(bars) => bars.suspend(|| anstream::eprintln!("{line}")),
        }
    }

    /// Asks before what cannot be taken back; `flags` are what whoever cannot be asked must have said.
    ///
    /// # Errors
    /// When the answer is no, or nobody can answer.
    pub(crate) fn asks(&self, deed: &str, flags: &str) -> anyhow::Result<()> {
        if !std::io::stdin().is_terminal() {
            bail!("this would {deed}: say {flags}");
        }
        self.say(&format!("{deed}? [y/N]"));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !answer.trim().eq_ignore_ascii_case("y") {
            bail!("nothing was done");
        }
        Ok(())
    }

    /// Something begins that takes a while.
    pub fn step(&self, name: &str) -> Step<'_> {
        let bar = match &self.0 {
            Manner::Moving(bars) => bars.add(spinner(name)),
            Manner::Silent | Manner::Lines | Manner::LinesWhenSlow => ProgressBar::hidden(),
        };
        Step { talk: self, name: name.to_owned(), since: Instant::now(), bar }
    }

    /// Something begins of which so much is to be done; seen on a terminal only.
    pub fn progress(&self, name: &str, of: u64) -> Progress {
        Progress(match &self.0 {
            Manner::Moving(bars) => bars.add(bar(name, of)),
            Manner::Silent | Manner::Lines | Manner::LinesWhenSlow => ProgressBar::hidden(),
        })
    }
}

fn bar(name: &str, of: u64) -> ProgressBar {
    let template = "{prefix:<10} {wide_bar} {human_pos} of {human_len}, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a template that indicatif knows");
    ProgressBar::new(of).with_style(style).with_prefix(name.to_owned())
}

/// How far something is; the bar goes with it.
pub struct Progress(ProgressBar);

impl Progress {
    /// So much is done.
    pub fn at(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn spinner(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix:<10} {msg}").expect("a template that indicatif knows");
    let bar = ProgressBar::new_spinner().with_style(style).with_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A step under way.
pub struct Step<'a> {
    talk: &'a Talk,
    name: String,
    since: Instant,
    bar: ProgressBar,
}

impl Step<'_> {
    /// What it does just now; seen on a terminal only.
    pub fn now(&self, doing: &str) {
        self.bar.set_message(doing.to_owned());
    }

    /// It is done, and this came of it.
    pub fn done(self, outcome: &str) {
        self.bar.finish_and_clear();
        let unremarkable = self.since.elapsed() < Duration::from_secs(5);
        if matches!(self.talk.0, Manner::LinesWhenSlow) && unremarkable {
            return;
        }
        let took = format!("{:.1} s", self.since.elapsed().as_secs_f64());
        self.talk.say(&format!("{} {:<10} {outcome} {}", "✓".green(), self.name, took.dimmed()));
    }
}

/// A step that failed leaves no spinner behind; the error says the rest.
impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
