//! What is wrong with a choreography, in words that the compiler can print.

use std::fmt;

/// What a choreography must keep, as far as its declarations show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A noun has one owner.
    Owned,
    /// An undo takes a step back.
    Needed,
    /// Every event has a reader, or is `terminal`.
    Heard,
    /// What a step forward says is heard by more than who writes it down.
    Continued,
    /// Every step is begun by an event, a command or a deadline.
    Begun,
    /// Everything that is heard is said.
    Said,
    /// Every failure that can follow a step reaches its undo.
    Reached,
    /// What confirms an undo leads the saga to an end.
    Confirmed,
    /// What comes before the pivot can be taken back.
    Undone,
    /// What comes after the pivot succeeds in the end.
    AfterPivot,
    /// A saga has one pivot.
    OnePivot,
    /// A retriable step does not fail.
    Retried,
    /// Undos do not wake each other for ever.
    Progress,
}

/// One thing that is wrong: a sentence that names the type and the file to change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// A const function cannot format: these are joined when they are printed.
    parts: [&'static str; PARTS],
}

const PARTS: usize = 24;
/// So many are kept; who has more begins with these.
const MOST: usize = 32;
/// So much the compiler is given to print.
const LETTERS: usize = 8 * 1024;

impl Finding {
    pub(crate) const fn new<const N: usize>(rule: Rule, words: [&'static str; N]) -> Self {
        let mut parts = [""; PARTS];
        let mut at = 0;
        while at < N {
            parts[at] = words[at];
            at += 1;
        }
        Self { rule, parts }
    }

    const fn is(&self, other: &Self) -> bool {
        let mut at = 0;
        while at < PARTS {
            if !same(self.parts[at], other.parts[at]) {
                return false;
            }
            at += 1;
        }
        true
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| f.write_str(part))
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A list that a const function can grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings {
    list: [Option<Finding>; MOST],
    count: usize,
}

impl Findings {
    pub(crate) const fn none() -> Self {
        Self { list: [None; MOST], count: 0 }
    }

    /// Adds it, unless the same words are there.
    pub(crate) const fn add(&mut self, finding: Finding) {
        let mut at = 0;
        while at < self.count {
            if let Some(known) = &self.list[at]
                && known.is(&finding)
            {
                return;
            }
            at += 1;
        }
        if self.count < MOST {
            self.list[self.count] = Some(finding);
            self.count += 1;
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.list.into_iter().flatten().collect()
    }

    /// Panics with all of them, a line each; at compile time that is the compiler's message.
    pub(crate) const fn or_panic(&self) {
        if self.count == 0 {
            return;
        }
        let (mut text, mut length, mut at) = ([0_u8; LETTERS], 0, 0);
        while at < self.count {
            if let Some(finding) = &self.list[at] {
                if at > 0 {
                    length = write(&mut text, length, "\n");
                }
                let mut part = 0;
                while part < PARTS {
                    length = write(&mut text, length, finding.parts[part]);
                    part += 1;
                }
            }
            at += 1;
        }
        let (written, _) = text.split_at(length);
        match std::str::from_utf8(written) {
            Ok(words) => panic!("{}", words),
            Err(_) => panic!("the choreography is broken, in more words than fit here"),
        }
    }
}

const fn write(text: &mut [u8; LETTERS], mut length: usize, words: &str) -> usize {
    let (words, mut at) = (words.as_bytes(), 0);
    while at < words.len() && length < LETTERS {
        text[length] = words[at];
        at += 1;
        length += 1;
    }
    length
}

/// `==` of texts is not const.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = a.len();
    // From behind: names of one service begin alike.
    while at > 0 {
        at -= 1;
        if a[at] != b[at] {
            return false;
        }
    }
    true
}
