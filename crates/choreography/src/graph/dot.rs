//! As a graph for Graphviz.

use std::fmt::Write as _;

use saga::{Declaration, Kind};

use super::{Graph, Node};

/// The choreography in the DOT language: a cluster for each service. Ways back are dashed and do not push their readers to the
/// right, so that the way forward reads from left to right.
pub fn dot(services: &[Declaration]) -> String {
    let graph = Graph::of(services);
    let mut text = String::from(
        "digraph dance {\n  rankdir=LR; newrank=true; fontname=\"sans-serif\";\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n",
    );
    for service in &graph.services {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  subgraph cluster_{service} {{ label=\"{service}\";");
        for node in graph.nodes.iter().filter(|node| node.service == *service) {
            let _ = writeln!(text, "    {};", shape(node));
        }
        text.push_str("  }\n");
    }
    for edge in &graph.edges {
        let (from, to) = (graph.nodes[edge.from].id(), graph.nodes[edge.to].id());
        let back = if graph.is_way_back(edge) { ", style=dashed, constraint=false" } else { "" };
        let _ = writeln!(text, "  {from} -> {to} [label=\"{}\"{back}];", edge.event.name);
    }
    for (node, event) in graph.last_words() {
        let end = event.word();
        let _ = writeln!(text, "  {end} [label=\"{}\", shape=doublecircle, style=solid];", event.name);
        let _ = writeln!(text, "  {} -> {end} [style=dashed];", node.id());
    }
    text.push_str("}\n");
    text
}

fn shape(node: &Node) -> String {
    let look = match node.step.kind {
        Kind::Pivot => "shape=hexagon, style=solid, penwidth=3, ",
        Kind::Undo => "style=\"rounded,dashed\", ",
        Kind::Compensatable | Kind::Retriable | Kind::Alone if node.is_end => "shape=doublecircle, style=solid, ",
        Kind::Compensatable | Kind::Retriable | Kind::Alone => "",
    };
    format!("{} [{look}label=\"{}\", tooltip=\"{}\"]", node.id(), node.step.name, node.step.does.replace('"', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SERVICES;

    #[test]
    fn the_way_back_is_dashed_and_ends_are_double() {
        let graph = dot(&SERVICES);
        for line in [
            "order_Place -> inventory_Reserve [label=\"order.placed\"];",
            "shipping_Cancel -> payment_GiveBack [label=\"shipment.cancelled\", style=dashed, constraint=false];",
            "order_cancelled [label=\"order.cancelled\", shape=doublecircle, style=solid];",
        ] {
            assert!(graph.contains(line), "no `{line}` in\n{graph}");
        }
        assert_eq!(graph.matches('{').count(), graph.matches('}').count());
    }
}
