//! Every input in every state, one line of text each. The text is committed beside the domain and reviewed like code:
//! reading it is reviewing the domain.

use std::fmt::Write;

use crate::{
    Calls, Declaration, Inputs, Participant,
    batch::{Taken, Verdict},
    examples::{CONTEXT, Examples, attempt, word},
};

/// The table, or what is missing of it.
///
/// # Errors
/// One sentence for each row without an example input, each state without an example, and each word or call that a step
/// declares and no example brings about.
pub fn table<P: Participant>(examples: &Examples<P>) -> Result<String, Vec<String>> {
    let gaps = gaps(examples);
    if gaps.is_empty() { Ok(render(&lines(examples))) } else { Err(gaps) }
}

/// Compares the committed text with the one of today.
///
/// # Errors
/// The lines that differ, `-` as committed and `+` as it is.
pub fn unchanged(committed: &str, today: &str) -> Result<(), String> {
    if committed == today {
        return Ok(());
    }
    let mut differences = String::new();
    for line in committed.lines().filter(|line| !today.lines().any(|other| other == *line)) {
        let _ = writeln!(differences, "- {line}");
    }
    for line in today.lines().filter(|line| !committed.lines().any(|other| other == *line)) {
        let _ = writeln!(differences, "+ {line}");
    }
    Err(format!("the table of reactions differs from the committed text:\n{differences}"))
}

/// One cell: input, state, state afterwards, what came out.
type Line = [String; 4];

fn lines<P: Participant>(examples: &Examples<P>) -> Vec<Vec<Line>> {
    let line = |input: &(&str, P::Input), before: &P::Records| {
        let tried = attempt::<P>(before, &input.1);
        let after = if tried.after == *before { "=".to_owned() } else { (examples.label)(&tried.after) };
        let input = format!("{} {}", word::<P>(&input.1), input.0);
        [input.trim_end().to_owned(), (examples.label)(before), after, outcome(&tried.verdict)]
    };
    examples.inputs.iter().map(|input| examples.states.iter().map(|before| line(input, before)).collect()).collect()
}

fn render(blocks: &[Vec<Line>]) -> String {
    let width = |column: usize| blocks.iter().flatten().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    let mut text = String::new();
    for (at, block) in blocks.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        for [input, before, after, outcome] in block {
            let _ = writeln!(text, "{input:first$}  {before:second$}  -> {after:third$}  {outcome}");
        }
    }
    text
}

fn outcome<P: Participant>(verdict: &Verdict<P>) -> String {
    match verdict {
        Verdict::Taken(taken) => effects(taken),
        Verdict::Repeated => "repeated".to_owned(),
        Verdict::NotYet(because) => format!("not yet {because:?}"),
        Verdict::Contradiction(_) => "contradiction".to_owned(),
        Verdict::Refused(problem) => format!("refused {} {}", problem.status, problem.slug),
    }
}

fn effects<P: Participant>(taken: &Taken<P>) -> String {
    let mut parts = Vec::new();
    let said: Vec<_> = taken.outbox.iter().map(|out| out.event.info().name).collect();
    let asked: Vec<_> = taken.intents.iter().map(|intent| call::<P>(&intent.call)).collect();
    parts.extend(taken.because.map(|because| format!("nothing {because:?}")));
    parts.extend((!said.is_empty()).then(|| format!("say {}", said.join(", "))));
    parts.extend((!asked.is_empty()).then(|| format!("ask {}", asked.join(", "))));
    parts.extend(taken.wakes.iter().map(|wake| match wake.at {
        Some(at) => format!("wake {} in {} s", wake.name, at.since(CONTEXT.now).as_secs()),
        None => format!("rest {}", wake.name),
    }));
    parts.extend(taken.receipt.as_ref().map(|receipt| format!("answer {}", receipt.status)));
    parts.extend(taken.alarm.map(|about| format!("ALARM {about}")));
    parts.join("; ")
}

fn call<P: Participant>(call: &P::Call) -> String {
    match call.attempt() {
        1 => call.name().to_owned(),
        attempt => format!("{} #{attempt}", call.name()),
    }
}

fn gaps<P: Participant>(examples: &Examples<P>) -> Vec<String> {
    let Declaration { service, steps, rows } = P::DECLARATION;
    let add = format!("add one to crates/{service}/src/examples.rs");
    let take = format!("let a verb do so, or take it off the line in crates/{service}/src/reactions.rs");
    let mut gaps = Vec::new();
    for row in rows.iter().filter(|row| !examples.inputs.iter().any(|(_, input)| input.row() == *row)) {
        gaps.push(format!("{service}: no example input for `{}` ({}): {add}", row.input, row.step));
    }
    for name in examples.names.iter().filter(|name| examples.named(name).next().is_none()) {
        gaps.push(format!("{service}: no example of the state `{name}`: {add}"));
    }
    for step in steps {
        let tried: Vec<_> = (examples.inputs.iter())
            .filter(|(_, input)| input.row().step == step.name)
            .flat_map(|(_, input)| examples.states.iter().map(|before| attempt::<P>(before, input)))
            .collect();
        for info in step.says.iter().filter(|info| !tried.iter().any(|one| one.said().any(|event| event.info().ty == info.ty))) {
            gaps.push(format!("{service}: `{}` declares {}, and no example says it: {take}", step.name, info.name));
        }
        for asks in step.asks.iter().filter(|asks| !tried.iter().any(|one| one.asked().any(|call| call.name() == **asks))) {
            gaps.push(format!("{service}: `{}` declares {asks}, and no example asks it: {take}", step.name));
        }
    }
    gaps
}
