//! As a Mermaid flow chart, which GitHub and GitLab draw.

use std::fmt::Write as _;

use saga::{Declaration, Kind};

use super::{Graph, Node};

/// The choreography as a Mermaid flow chart: a box for each service, its steps inside, an arrow for each event. Ways back are
/// dashed, the pivot is thick, ends are round.
pub fn mermaid(services: &[Declaration]) -> String {
    let graph = Graph::of(services);
    let mut text = String::from("flowchart LR\n");
    for service in &graph.services {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  subgraph {service}");
        for node in graph.nodes.iter().filter(|node| node.service == *service) {
            let _ = writeln!(text, "    {}", shape(node));
        }
        text.push_str("  end\n");
    }
    for edge in &graph.edges {
        let (line, head) = if graph.is_way_back(edge) { ("-.", ".->") } else { ("--", "-->") };
        let (from, to) = (graph.nodes[edge.from].id(), graph.nodes[edge.to].id());
        let _ = writeln!(text, "  {from} {line}\"{}\"{head} {to}", edge.event.name);
    }
    for (node, event) in graph.last_words() {
        let _ = writeln!(text, "  {} -.-> {}(((\"{}\")))", node.id(), event.word(), event.name);
    }
    text.push_str("  classDef pivot stroke-width:4px\n  classDef undo stroke-dasharray:4 3\n");
    text
}

fn shape(node: &Node) -> String {
    let (id, name) = (node.id(), node.step.name);
    match node.step.kind {
        Kind::Pivot => format!("{id}{{{{{name}}}}}:::pivot"),
        Kind::Undo => format!("{id}([{name}]):::undo"),
        Kind::Compensatable | Kind::Retriable | Kind::Alone if node.is_end => format!("{id}((({name})))"),
        Kind::Compensatable | Kind::Retriable | Kind::Alone => format!("{id}[{name}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SERVICES;

    #[test]
    fn the_chart_shows_the_way_forward_and_the_ways_back() {
        let chart = mermaid(&SERVICES);
        for line in [
            "order_Place --\"order.placed\"--> inventory_Reserve",
            "shipping_Cancel -.\"shipment.cancelled\".-> payment_GiveBack",
            "payment_Capture{{Capture}}:::pivot",
            "order_Close -.-> order_rejected(((\"order.rejected\")))",
            "order_Complete(((Complete)))",
        ] {
            assert!(chart.contains(line), "no `{line}` in\n{chart}");
        }
    }
}
