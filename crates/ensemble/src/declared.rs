//! What can be said of the whole before anything runs, from the declarations alone.

use std::path::{Path, PathBuf};

use anyhow::Context;
use choreography::{SERVICES, asyncapi, graph, nats};
use clap::{Args, ValueEnum};

use crate::stack::edges::edges;

/// What a picture is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// A picture as it is, in light and dark.
    Svg,
    /// A flow chart, as GitHub and GitLab draw it.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
    /// A table in Markdown: who reacts to what.
    Table,
}

/// What `ensemble graph` is told.
#[derive(Args, Clone, Debug)]
pub struct Drawing {
    /// What it is written in.
    #[arg(long, value_enum, default_value = "svg")]
    format: Format,
    /// Writes it to this file, and not to stdout.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// Draws the dance.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(drawing: &Drawing) -> anyhow::Result<()> {
    let text = match drawing.format {
        Format::Svg => graph::svg(&SERVICES),
        Format::Mermaid => graph::mermaid(&SERVICES),
        Format::Dot => graph::dot(&SERVICES),
        Format::Table => graph::table(&SERVICES),
    };
    write(drawing.output.as_deref(), &text)
}

/// Describes every event, who sends and who receives it, as an AsyncAPI document in JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn describe(output: Option<&Path>) -> anyhow::Result<()> {
    write(output, &format!("{:#}\n", asyncapi::document(&SERVICES)))
}

/// What each service may do at the broker, as a block of nats-server's configuration.
///
/// # Errors
/// When the file cannot be written.
pub fn permit(output: Option<&Path>) -> anyhow::Result<()> {
    write(output, &nats::authorization(&SERVICES))
}

/// Who opens a connection to whom, as a table in Markdown or as JSON.
///
/// # Errors
/// None that can happen: plain values.
pub fn connections(json: bool) -> anyhow::Result<()> {
    let edges = edges()?;
    if json {
        return write(None, &format!("{}\n", serde_json::to_string_pretty(&edges)?));
    }
    let lines = edges.iter().map(|edge| format!("| {} | {} | {} | {} |\n", edge.from, edge.to, edge.port, edge.purpose));
    write(None, &format!("| from | to | port | for |\n|---|---|---|---|\n{}", lines.collect::<String>()))
}

/// To the file, where there is one, else to stdout.
fn write(output: Option<&Path>, text: &str) -> anyhow::Result<()> {
    match output {
        Some(file) => std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display())),
        None => {
            anstream::print!("{text}");
            Ok(())
        }
    }
}
