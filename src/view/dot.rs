//! A net in the DOT language of Graphviz.

use super::number_format::short_layer;
use crate::graph::Graph;
use std::fmt::Write;

/// The net as a directed graph: a node for each layer with its name, settings and output, an edge for each tensor, and the outputs.
pub fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&graph.name));
    out.push_str(
        "  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=11];\n  edge [color=\"#5c6570\"];\n",
    );
    for id in graph.layers() {
        let node = graph.node(id);
        let label = format!("{}\n{}\n{}", node.name, short_layer(graph, id), node.output);
        let _ = writeln!(out, "  n{} [label={}];", id.0, quoted(&label));
    }
    for id in graph.layers() {
        // The placeholders of a fragment are not drawn.
        for input in graph.node(id).inputs.iter().filter(|input| input.0 >= graph.open_inputs) {
            let _ = writeln!(out, "  n{} -> n{};", input.0, id.0);
        }
    }
    for (index, (id, name)) in graph.outputs.iter().zip(graph.output_names()).enumerate() {
        let label = quoted(&format!("output {name}"));
        let _ = writeln!(out, "  out{index} [shape=plaintext, style=\"\", label={label}];\n  n{} -> out{index};", id.0);
    }
    out.push_str("}\n");
    out
}

/// A quoted string of DOT, in which only quotes, backslashes and line ends need escapes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
