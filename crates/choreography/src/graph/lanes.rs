//! The dance laid out: services side by side, events one under the other, so that no two labels can meet.

use events::EventInfo;
use saga::{Declaration, Kind};

use super::Graph;

/// A part of the picture, under a heading of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    /// What leads to success.
    Forward,
    /// What a forward step says when it cannot.
    Failing,
    /// What begins a way back without a failure.
    Stopping,
    /// What undos say.
    Back,
}

impl Part {
    pub(super) const ALL: [Self; 4] = [Self::Forward, Self::Failing, Self::Stopping, Self::Back];

    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Forward => "The way forward",
            Self::Failing => "What can fail",
            Self::Stopping => "Asked to stop",
            Self::Back => "The ways back",
        }
    }
}

/// One event: who says it, and who hears it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) part: Part,
    pub(super) event: &'static EventInfo,
    /// The column of who says it.
    pub(super) lane: usize,
    /// The steps that say it, the foremost first.
    pub(super) speakers: Vec<usize>,
    /// Who hears it: column and step.
    pub(super) readers: Vec<(usize, usize)>,
}

/// One step's place in its column, over one row or several on end.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) lane: usize,
    /// The step, and those that say the same.
    pub(super) nodes: Vec<usize>,
    pub(super) first: usize,
    pub(super) last: usize,
    /// The events that it says, each beside its row, with the further steps that say it too.
    pub(super) says: Vec<(usize, Vec<usize>)>,
    /// The line of its row goes on to somebody behind it, so it stands above the line.
    pub(super) is_passed: bool,
}

/// Everything, in its place.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    pub(super) graph: Graph,
    pub(super) rows: Vec<Row>,
    pub(super) blocks: Vec<Block>,
}

impl Sheet {
    pub(super) fn of(services: &[Declaration]) -> Self {
        let graph = Graph::of(services);
        let rows = rows(&graph);
        let blocks = (0..graph.services.len()).flat_map(|lane| blocks(&rows, lane)).collect();
        Self { graph, rows, blocks }
    }
}

fn rows(graph: &Graph) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        for event in node.step.says {
            if rows.iter().any(|row| row.event.ty == event.ty) {
                continue;
            }
            let lane = lane_of(graph, at);
            let mut speakers: Vec<usize> = (at..graph.nodes.len()).filter(|node| says(graph, *node, event)).collect();
            // An undo that says it, says it foremost: for the others it is an exception.
            speakers.sort_by_key(|at| !graph.nodes[*at].is_undo());
            let edges = graph.edges.iter().filter(|edge| edge.from == at && edge.event.ty == event.ty);
            let readers: Vec<(usize, usize)> = edges.map(|edge| (lane_of(graph, edge.to), edge.to)).collect();
            let is_way_back = readers.iter().any(|(_, reader)| graph.nodes[*reader].is_undo()) || event.terminal;
            let part = part(graph, &speakers, is_way_back);
            rows.push(Row { part, event, lane, speakers, readers });
        }
    }
    rows.sort_by_key(|row| (row.part, row.event.terminal, row.speakers.first().copied()));
    rows
}

fn part(graph: &Graph, speakers: &[usize], is_way_back: bool) -> Part {
    let any = |kinds: &[Kind]| speakers.iter().any(|at| kinds.contains(&graph.nodes[*at].step.kind));
    if any(&[Kind::Undo]) {
        Part::Back
    } else if !is_way_back {
        Part::Forward
    } else if any(&[Kind::Alone]) {
        Part::Stopping
    } else {
        Part::Failing
    }
}

fn says(graph: &Graph, node: usize, event: &EventInfo) -> bool {
    graph.nodes[node].step.says.iter().any(|said| said.ty == event.ty)
}

fn lane_of(graph: &Graph, node: usize) -> usize {
    let service = graph.nodes[node].service;
    graph.services.iter().position(|name| *name == service).unwrap_or_default()
}

fn blocks(rows: &[Row], lane: usize) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let (node, says, is_passed) = if row.lane == lane {
            let Some(node) = row.speakers.first() else { continue };
            (*node, true, false)
        } else {
            let Some((_, node)) = row.readers.iter().find(|(reader, _)| *reader == lane) else { continue };
            let beyond = |other: usize| if lane > row.lane { other > lane } else { other < lane };
            (*node, false, row.readers.iter().any(|(other, _)| beyond(*other)))
        };
        let others: Vec<usize> = if says { row.speakers[1..].to_vec() } else { Vec::new() };
        let grows = blocks.last_mut().filter(|block| {
            block.nodes[0] == node && block.last + 1 == at && rows[block.last].part == row.part && !block.is_passed && !is_passed
        });
        let said = says.then_some((at, others.clone()));
        match grows {
            Some(block) => {
                block.last = at;
                block.says.extend(said);
            }
            None => {
                let nodes = [node].into_iter().chain(others).collect();
                let said = said.map(|(at, _)| (at, Vec::new()));
                blocks.push(Block { lane, nodes, first: at, last: at, says: said.into_iter().collect(), is_passed });
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SERVICES;

    #[test]
    fn every_event_of_an_order_has_one_row_and_every_block_its_place() {
        let sheet = Sheet::of(&SERVICES);
        let mut shown: Vec<&str> = sheet.rows.iter().map(|row| row.event.name).collect();
        assert_eq!(shown[..4], ["order.placed", "stock.reserved", "payment.authorized", "shipment.scheduled"]);
        assert_eq!(shown[shown.len() - 2..], ["order.rejected", "order.cancelled"]);
        let mut all: Vec<&str> = events::Event::ALL.iter().filter(|event| event.of_order).map(|event| event.name).collect();
        shown.sort_unstable();
        all.sort_unstable();
        assert_eq!(shown, all);
        for (at, block) in sheet.blocks.iter().enumerate() {
            let meets = |other: &Block| other.lane == block.lane && other.first <= block.last && block.first <= other.last;
            assert!(!sheet.blocks[at + 1..].iter().any(meets), "two steps in one place: {block:?}");
        }
    }

    #[test]
    fn no_line_runs_through_a_step_that_does_not_hear_it() {
        let sheet = Sheet::of(&SERVICES);
        for (at, row) in sheet.rows.iter().enumerate() {
            let reached: Vec<usize> = row.readers.iter().map(|(lane, _)| *lane).chain([row.lane]).collect();
            let (first, last) = (reached.iter().min().copied().unwrap(), reached.iter().max().copied().unwrap());
            for block in sheet.blocks.iter().filter(|block| block.first <= at && at <= block.last) {
                let is_inside = first < block.lane && block.lane < last && block.lane != row.lane;
                assert!(!is_inside || block.is_passed, "{} runs through {block:?}", row.event.name);
            }
        }
    }
}
