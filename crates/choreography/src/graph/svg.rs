//! As an SVG that needs nothing to be drawn by: own layout, own colours for light and dark.

use std::fmt::Write as _;

use saga::{Declaration, Kind};

use super::lanes::{Block, Part, Row, Sheet};

const STYLE: &str = include_str!("svg.css");
const MARGIN: usize = 14;
const LANE: usize = 206;
const GAP: usize = 28;
const HEADER: usize = 40;
const HEADING: usize = 34;
const ROW: usize = 42;
const LEGEND: usize = 46;
/// Within a row: where its line runs, and the space above and below a step.
const LINE: usize = 29;
const PAD: usize = 3;
/// From the border of a step to its words.
const INSET: usize = 11;
/// So many letters of a sentence fit between.
const LETTERS: usize = 29;
/// From one line of a sentence to the next.
const LEADING: usize = 14;

/// The choreography as a picture. Services are lanes and events are rows: the line of an event begins at the step that says it
/// and ends at the steps that hear it. What a step says stands inside it, so that no two labels can meet.
pub fn svg(services: &[Declaration]) -> String {
    let sheet = Sheet::of(services);
    let tops = tops(&sheet.rows);
    let lanes = sheet.graph.services.len();
    let width = 2 * MARGIN + lanes * LANE + lanes.saturating_sub(1) * GAP;
    let bottom = tops.last().map_or(HEADER, |top| top + ROW) + PAD + 6;
    let mut drawing = Drawing { text: String::new(), tops };
    drawing.open(width, bottom + LEGEND);
    for (at, service) in sheet.graph.services.iter().enumerate() {
        drawing.lane(at, service, bottom);
    }
    drawing.headings(&sheet.rows, width);
    for (at, row) in sheet.rows.iter().enumerate() {
        drawing.lines(&sheet, at, row);
    }
    for block in &sheet.blocks {
        drawing.block(&sheet, block);
    }
    drawing.legend(bottom);
    drawing.text.push_str("</svg>\n");
    drawing.text
}

/// Where each row begins.
fn tops(rows: &[Row]) -> Vec<usize> {
    let mut y = HEADER;
    let mut part = None;
    let mut tops = Vec::with_capacity(rows.len());
    for row in rows {
        if part != Some(row.part) {
            y += HEADING;
            part = Some(row.part);
        }
        tops.push(y);
        y += ROW;
    }
    tops
}

const fn left(lane: usize) -> usize {
    MARGIN + lane * (LANE + GAP)
}

struct Drawing {
    text: String,
    tops: Vec<usize>,
}

/// Writing to a String cannot fail.
macro_rules! draw {
    ($drawing:ident, $($format:tt)+) => { let _ = writeln!($drawing.text, $($format)+); };
}

impl Drawing {
    fn open(&mut self, width: usize, height: usize) {
        draw!(
            self,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"name\">"
        );
        draw!(self, "<title id=\"name\">The dance: which step says what, and which steps hear it</title>");
        draw!(self, "<style>\n{STYLE}</style>");
        draw!(self, "<rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>");
    }

    fn lane(&mut self, at: usize, service: &str, bottom: usize) {
        let (x, height) = (left(at), bottom - 8);
        draw!(self, "<rect class=\"lane\" x=\"{x}\" y=\"8\" width=\"{LANE}\" height=\"{height}\" rx=\"8\"/>");
        draw!(self, "<text class=\"service\" x=\"{}\" y=\"32\">{service}</text>", x + LANE / 2);
    }

    fn headings(&mut self, rows: &[Row], width: usize) {
        for part in Part::ALL {
            let Some(at) = rows.iter().position(|row| row.part == part) else { continue };
            let y = self.tops[at];
            draw!(
                self,
                "<line class=\"rule\" x1=\"{MARGIN}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
                y - HEADING + 9,
                width - MARGIN,
                y - HEADING + 9
            );
            draw!(self, "<text class=\"heading\" x=\"{}\" y=\"{}\">{}</text>", MARGIN + 10, y - 7, part.heading());
        }
    }

    /// The line of one event: to the farthest reader on each side, with a way up to those that it passes.
    fn lines(&mut self, sheet: &Sheet, at: usize, row: &Row) {
        let y = self.tops[at] + LINE;
        if row.readers.is_empty() {
            let x = left(row.lane) + LANE;
            draw!(self, "<path class=\"line back\" d=\"M{x} {y}h{}\"/>", GAP / 2);
            self.end(x + GAP / 2 + 8, y);
            draw!(self, "<text class=\"note\" x=\"{}\" y=\"{}\">end</text>", x + GAP / 2 + 22, y + 4);
        }
        for (lane, node) in &row.readers {
            let is_right = *lane > row.lane;
            let from = if is_right { left(row.lane) + LANE } else { left(row.lane) };
            let class = if sheet.graph.nodes[*node].is_undo() { " back" } else { "" };
            let is_passed =
                sheet.blocks.iter().any(|block| block.lane == *lane && block.is_passed && block.first <= at && at <= block.last);
            if is_passed {
                let x = left(*lane) + LANE / 2;
                let to = self.tops[at] + 21;
                draw!(self, "<path class=\"line{class}\" d=\"M{x} {y}V{}\"/>", to + 4);
                draw!(self, "<path class=\"head{class}\" d=\"M{x} {to}l-4 7h8z\"/>");
            } else {
                let (to, back) = if is_right { (left(*lane), -8) } else { (left(*lane) + LANE, 8) };
                draw!(self, "<path class=\"line{class}\" d=\"M{from} {y}H{}\"/>", if is_right { to - 6 } else { to + 6 });
                draw!(self, "<path class=\"head{class}\" d=\"M{to} {y}l{back} -5v10z\"/>");
            }
        }
    }

    fn block(&mut self, sheet: &Sheet, block: &Block) {
        let node = &sheet.graph.nodes[block.nodes[0]];
        let (x, top) = (left(block.lane), self.tops[block.first]);
        let (y, bottom) = if block.is_passed { (top + 1, top + 21) } else { (top + PAD, self.tops[block.last] + ROW - PAD) };
        let class = match node.step.kind {
            Kind::Pivot => "box pivot",
            Kind::Undo => "box undo",
            Kind::Compensatable | Kind::Retriable | Kind::Alone => "box",
        };
        let speaks_first = block.says.first().is_some_and(|(row, _)| *row == block.first);
        let names: Vec<&str> = block.nodes.iter().map(|at| sheet.graph.nodes[*at].step.name).collect();
        let title = match (block.is_passed, speaks_first) {
            (true, _) => top + 15,
            (false, true) => top + 18,
            (false, false) if block.first == block.last => top + 26,
            (false, false) => top + 22,
        };
        draw!(self, "<g><title>{}: {}</title>", names.join(", "), escaped(node.step.does));
        draw!(self, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{LANE}\" height=\"{}\" rx=\"7\"/>", bottom - y);
        draw!(self, "<text class=\"step\" x=\"{}\" y=\"{title}\">{}</text>", x + INSET, names.join(", "));
        self.mark(sheet, block, x + LANE - INSET, title);
        let mut free_until = bottom - 4;
        for (row, others) in block.says.iter().rev() {
            let (event, y) = (sheet.rows[*row].event, self.tops[*row] + LINE + 4);
            draw!(self, "<text class=\"event\" x=\"{}\" y=\"{y}\">{}</text>", x + INSET, event.name);
            free_until = y - LEADING;
            if !others.is_empty() {
                let others: Vec<&str> = others.iter().map(|at| sheet.graph.nodes[*at].step.name).collect();
                let below = *row < block.last;
                let y = if below { y + LEADING + 2 } else { y - LEADING - 2 };
                draw!(self, "<text class=\"note\" x=\"{}\" y=\"{y}\">also {}</text>", x + INSET, others.join(", "));
                free_until = free_until.min(y - LEADING);
            }
        }
        if !speaks_first {
            self.sentence(node.step.does, x + INSET, title + 2, free_until);
        }
        draw!(self, "</g>");
    }

    /// What the step does, where there is room for all of it.
    fn sentence(&mut self, does: &str, x: usize, from: usize, until: usize) {
        let lines = wrapped(does);
        if from + lines.len() * LEADING <= until {
            for (at, line) in lines.iter().enumerate() {
                draw!(self, "<text class=\"note\" x=\"{x}\" y=\"{}\">{}</text>", from + (at + 1) * LEADING, escaped(line));
            }
        }
    }

    /// What is special about a step, at its right.
    fn mark(&mut self, sheet: &Sheet, block: &Block, x: usize, y: usize) {
        let nodes = || block.nodes.iter().map(|at| &sheet.graph.nodes[*at]);
        if nodes().any(|node| node.step.kind == Kind::Pivot) {
            draw!(self, "<text class=\"badge side\" x=\"{x}\" y=\"{y}\">pivot</text>");
        } else if nodes().any(|node| node.is_end) && block.says.is_empty() {
            self.end(x - 6, y - 4);
        } else if nodes().any(|node| node.begun_by.is_some()) && !block.says.is_empty() {
            self.begin(x - 5, y - 5);
        }
    }

    fn begin(&mut self, x: usize, y: usize) {
        draw!(self, "<circle class=\"full\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>");
    }

    fn end(&mut self, x: usize, y: usize) {
        draw!(
            self,
            "<circle class=\"end\" cx=\"{x}\" cy=\"{y}\" r=\"7\"/><circle class=\"full\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\"/>"
        );
    }

    fn legend(&mut self, bottom: usize) {
        let (y, mut x) = (bottom + 26, MARGIN + INSET);
        for (class, words) in [("", "leads forward"), (" back", "takes something back")] {
            draw!(
                self,
                "<path class=\"line{class}\" d=\"M{x} {y}h34\"/><path class=\"head{class}\" d=\"M{} {y}l-8 -5v10z\"/>",
                x + 40
            );
            x = self.note(x + 48, y, words);
        }
        for (class, words) in [("pivot", "the pivot"), ("undo", "an undo")] {
            draw!(self, "<rect class=\"box {class}\" x=\"{x}\" y=\"{}\" width=\"28\" height=\"16\" rx=\"5\"/>", y - 8);
            x = self.note(x + 36, y, words);
        }
        self.begin(x + 5, y);
        x = self.note(x + 18, y, "begun by a command or the clock");
        self.end(x + 8, y);
        self.note(x + 22, y, "an end");
    }

    /// Words of the legend; gives where the next item begins, however wide the letters.
    fn note(&mut self, x: usize, y: usize, words: &str) -> usize {
        draw!(self, "<text class=\"note\" x=\"{x}\" y=\"{}\">{words}</text>", y + 4);
        x + words.len() * 7 + 16
    }
}

/// A sentence in lines that fit into a step.
fn wrapped(sentence: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= LETTERS => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
