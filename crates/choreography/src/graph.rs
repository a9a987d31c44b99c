//! The dance as a picture, from the declarations alone.
//!
//! [`Graph`] is what all pictures are drawn from: the steps in the order of the dance, and an edge for each event from a
//! step that says it to a step that hears it. What only keeps a record is left out.

mod dot;
mod lanes;
mod mermaid;
mod svg;
mod table;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;
pub use table::table;

use events::EventInfo;
use saga::{Declaration, Door, Kind, StepDecl};

/// Steps and the events between them.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The services, as they were given.
    pub services: Vec<&'static str>,
    /// The steps, in the order of the dance: the way forward from its beginning, then what takes it back.
    pub nodes: Vec<Node>,
    /// The events between them.
    pub edges: Vec<Edge>,
}

/// A step of a service.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Whose.
    pub service: &'static str,
    /// Which.
    pub step: &'static StepDecl,
    /// What begins it, if not an event: a command or a deadline.
    pub begun_by: Option<Door>,
    /// No undo takes it back, and it leads to nothing new.
    pub is_end: bool,
}

/// An event on its way from one step to another.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// The place among the nodes of the step that says it.
    pub from: usize,
    /// And of the one that hears it.
    pub to: usize,
    /// What is said.
    pub event: &'static EventInfo,
}

impl Node {
    /// It takes another step back.
    pub fn is_undo(&self) -> bool {
        self.step.kind == Kind::Undo
    }

    /// A step of the way forward.
    pub fn is_forward(&self) -> bool {
        matches!(self.step.kind, Kind::Compensatable | Kind::Pivot | Kind::Retriable)
    }

    /// `payment_Authorize`: what diagrams call it.
    fn id(&self) -> String {
        format!("{}_{}", self.service, self.step.name)
    }
}

impl Graph {
    /// Of these services.
    pub fn of(services: &[Declaration]) -> Self {
        let shown = services.iter().flat_map(|service| {
            service.steps.iter().filter(|step| is_shown(service, step)).map(|step| Node {
                service: service.service,
                step,
                begun_by: begun_by(service, step),
                is_end: false,
            })
        });
        let mut graph = Self {
            services: services.iter().map(|service| service.service).collect(),
            nodes: shown.collect(),
            edges: Vec::new(),
        };
        graph.edges = edges(services, &graph.nodes);
        graph.put_in_order();
        graph.mark_ends();
        graph
    }

    /// Whether the event is on a way back: it ends in an undo.
    pub fn is_way_back(&self, edge: &Edge) -> bool {
        self.nodes[edge.to].is_undo()
    }

    /// What ends a saga, with the step that says it.
    fn last_words(&self) -> impl Iterator<Item = (&Node, &'static EventInfo)> {
        let said = self.nodes.iter().flat_map(|node| node.step.says.iter().map(move |event| (node, *event)));
        said.filter(|(_, event)| event.terminal)
    }

    /// Breadth first along what leads forward: from the step that begins a saga, then from what is commanded later, then undos,
    /// those first whose words other undos wait for.
    fn put_in_order(&mut self) {
        let mut order: Vec<usize> = Vec::new();
        let begins = |kind: Kind| move |node: &Node| node.begun_by == Some(Door::Command) && node.step.kind == kind;
        for kind in [Kind::Compensatable, Kind::Pivot, Kind::Retriable] {
            let roots: Vec<usize> = self.all(begins(kind)).collect();
            for root in roots {
                self.walk(root, &mut order);
            }
        }
        let rest: Vec<usize> = self.all(|node| !node.is_undo()).collect();
        for node in rest {
            self.walk(node, &mut order);
        }
        let mut undos: Vec<usize> = self.all(Node::is_undo).collect();
        let depths = self.depths();
        undos.sort_by_key(|at| depths[*at]);
        order.extend(undos);
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new;
        }
        self.nodes = order.iter().map(|old| self.nodes[*old]).collect();
        for edge in &mut self.edges {
            (edge.from, edge.to) = (place[edge.from], place[edge.to]);
        }
        self.edges.sort_by_key(|edge| (edge.from, edge.to));
    }

    fn walk(&self, root: usize, order: &mut Vec<usize>) {
        if order.contains(&root) {
            return;
        }
        let mut next = order.len();
        order.push(root);
        while let Some(from) = order.get(next).copied() {
            for edge in self.edges.iter().filter(|edge| edge.from == from && !self.is_way_back(edge)) {
                if !order.contains(&edge.to) {
                    order.push(edge.to);
                }
            }
            next += 1;
        }
    }

    /// How many undos come before each at the most; a cycle counts as far as there are nodes.
    fn depths(&self) -> Vec<usize> {
        let mut depths = vec![0_usize; self.nodes.len()];
        for _ in 0..self.nodes.len() {
            for edge in self.edges.iter().filter(|edge| self.nodes[edge.from].is_undo() && self.is_way_back(edge)) {
                depths[edge.to] = depths[edge.to].max(depths[edge.from] + 1);
            }
        }
        depths
    }

    fn mark_ends(&mut self) {
        let ends: Vec<bool> = (0..self.nodes.len())
            .map(|at| {
                let node = &self.nodes[at];
                let leads_on = self.edges.iter().any(|edge| edge.from == at && (edge.to > at || self.is_way_back(edge)));
                node.is_forward() && node.step.undone_by.is_none() && node.step.kind != Kind::Pivot && !leads_on
            })
            .collect();
        for (node, is_end) in self.nodes.iter_mut().zip(ends) {
            node.is_end = is_end;
        }
    }

    fn all(&self, wanted: impl Fn(&Node) -> bool) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(move |at| wanted(&self.nodes[*at]))
    }
}

/// A step that is on a way forward or back; keeping a record is neither.
fn is_shown(service: &Declaration, step: &StepDecl) -> bool {
    match step.kind {
        Kind::Alone => begun_by(service, step).is_some() && step.says.iter().any(|event| event.of_order),
        Kind::Compensatable | Kind::Pivot | Kind::Retriable | Kind::Undo => true,
    }
}

fn begun_by(service: &Declaration, step: &StepDecl) -> Option<Door> {
    let mut doors = service.rows.iter().filter(|row| row.step == step.name).map(|row| row.door);
    doors.find(|door| matches!(door, Door::Command | Door::Deadline))
}

fn edges(services: &[Declaration], nodes: &[Node]) -> Vec<Edge> {
    let hears = |node: &Node, event: &EventInfo| {
        let rows = services.iter().filter(|service| service.service == node.service).flat_map(|service| service.rows);
        rows.clone().any(|row| row.door == Door::Event && row.step == node.step.name && row.input == event.ty)
    };
    let mut edges = Vec::new();
    for (from, speaker) in nodes.iter().enumerate() {
        for event in speaker.step.says {
            let readers = nodes.iter().enumerate().filter(|(_, reader)| hears(reader, event));
            edges.extend(readers.map(|(to, _)| Edge { from, to, event }));
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SERVICES;

    #[test]
    fn the_steps_stand_in_the_order_of_the_dance() {
        let graph = Graph::of(&SERVICES);
        let names: Vec<String> = graph.nodes.iter().map(Node::id).collect();
        let forward = ["order_Place", "inventory_Reserve", "payment_Authorize", "shipping_Book", "payment_Capture"];
        assert_eq!(names[..5], forward);
        let place = |name: &str| names.iter().position(|id| id == name).unwrap();
        assert!(place("shipping_Dispatch") > place("inventory_Commit"), "{names:?}");
        assert!(place("shipping_Cancel") < place("payment_GiveBack") && place("payment_GiveBack") < place("order_Close"));
    }

    #[test]
    fn an_end_is_what_nobody_takes_back_and_leads_to_nothing_new() {
        let graph = Graph::of(&SERVICES);
        let ends: Vec<String> = graph.nodes.iter().filter(|node| node.is_end).map(Node::id).collect();
        assert_eq!(ends, ["order_Complete"]);
    }
}
