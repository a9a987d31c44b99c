//! The table of reactions as data: what graph, pictures, permissions, explanations and checks are made from.

use std::collections::BTreeSet;

use events::{Event, EventInfo};

/// What one service declares.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Its name.
    pub service: &'static str,
    /// Its steps, as they stand in the table.
    pub steps: &'static [StepDecl],
    /// Its rows, as they stand in the table.
    pub rows: &'static [Row],
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct StepDecl {
    /// `Authorize`.
    pub name: &'static str,
    /// How it can be undone, if at all.
    pub kind: Kind,
    /// The undo that takes it back.
    pub undone_by: Option<&'static str>,
    /// What it may say; of an undo: what confirms it.
    pub says: &'static [&'static EventInfo],
    /// What it may ask of a partner.
    pub asks: &'static [&'static str],
    /// Its sentence.
    pub does: &'static str,
}

/// What kind of step. The words are those of the literature (Garcia-Molina and Salem 1987; Richardson, *Microservices Patterns*, §4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Can be taken back.
    Compensatable,
    /// From here on the saga goes forward.
    Pivot,
    /// After the pivot: succeeds in the end.
    Retriable,
    /// Belongs to no way forward or back.
    Alone,
    /// Takes a step back.
    Undo,
}

/// By which of the four doors an input comes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Door {
    /// HTTP.
    Command,
    /// NATS.
    Event,
    /// A partner.
    Answer,
    /// The clock.
    Deadline,
}

/// One line: what comes by which door, and who answers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    /// By which door.
    pub door: Door,
    /// The event's type, or the name of the command, call or deadline.
    pub input: &'static str,
    /// The function in `domain.rs`.
    pub verb: &'static str,
    /// The step that it belongs to.
    pub step: &'static str,
}

impl Declaration {
    /// The event types that it reacts to.
    pub fn hears(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().filter(|row| row.door == Door::Event).map(|row| row.input)
    }

    /// The events that it reacts to.
    pub fn heard(&self) -> impl Iterator<Item = &'static EventInfo> {
        Event::ALL.iter().copied().filter(|event| self.is_heard(event.ty))
    }

    /// Whether it reacts to that type of event, version and all.
    pub fn is_heard(&self, ty: &str) -> bool {
        self.hears().any(|heard| heard == ty)
    }

    /// Of each event that it reacts to one version: all of them travel under one subject, and so come by one durable.
    pub fn durables(&self) -> impl Iterator<Item = &'static EventInfo> {
        let mut names = BTreeSet::new();
        self.heard().filter(move |event| names.insert(event.name))
    }

    /// The event types that it may say, each once.
    pub fn says(&self) -> Vec<&'static EventInfo> {
        let mut all: Vec<&'static EventInfo> = self.steps.iter().flat_map(|step| step.says.iter().copied()).collect();
        all.sort_by_key(|info| info.ty);
        all.dedup_by_key(|info| info.ty);
        all
    }

    /// Whether nobody waits for what comes of that row: its step belongs to no way forward or back, says nothing and asks
    /// nobody.
    pub fn takes_note(&self, row: &Row) -> bool {
        self.step(row.step).is_some_and(|step| step.kind == Kind::Alone && step.says.is_empty() && step.asks.is_empty())
    }

    /// Whether that event tells how a saga has come out. Who says what ends one, says also what lets one stand: what its steps
    /// behind the pivot say.
    pub fn tells_outcome(&self, ty: &str) -> bool {
        let said = |kind: Kind| self.steps.iter().filter(move |step| step.kind == kind).flat_map(|step| step.says);
        let mut ends = said(Kind::Undo).filter(|event| event.terminal).peekable();
        ends.peek().is_some() && ends.chain(said(Kind::Retriable)).any(|event| event.ty == ty)
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&'static StepDecl> {
        self.steps.iter().find(|step| step.name == name)
    }
}
