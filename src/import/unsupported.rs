//! What of a model cannot be expressed, all of it in one answer.

use super::convert::Unsupported;
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::onnx::Graph;
use std::collections::BTreeMap;

/// Nodes that are named for each reason.
const MAX_NAMED: usize = 4;

/// One diagnostic with every operator that has no layer, the reason, how many nodes there are and which.
pub(super) fn diagnostic(file: &str, graph: &Graph, list: &[Unsupported]) -> Diagnostic {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for Unsupported { op, node, reason } in list {
        by_reason.entry((op, reason)).or_default().push(node);
    }
    let nodes = graph.nodes.len();
    let message = format!("{} of the {} of {file} cannot be expressed", list.len(), counted(nodes, "node"));
    let mut diagnostic = Diagnostic::new(Code::ImportUnsupported, message);
    for ((op, reason), nodes) in by_reason {
        let mut names: Vec<String> = nodes.iter().take(MAX_NAMED).map(|name| format!("`{name}`")).collect();
        if nodes.len() > MAX_NAMED {
            names.push("…".into());
        }
        diagnostic =
            diagnostic.note(format!("{op} ({}): {reason}: {}", counted(nodes.len(), "node"), names.join(", ")));
    }
    // The nodes that lead to the first of them can be imported.
    let first = list.first().and_then(|first| graph.nodes.iter().find(|node| node.title() == first.node));
    let before = first.and_then(|node| {
        node.inputs.iter().find_map(|input| graph.nodes.iter().find(|node| node.outputs.contains(input)))
    });
    match before {
        Some(node) => diagnostic.help(format!("`--until {}` imports what comes before", node.title())),
        None => diagnostic,
    }
}
