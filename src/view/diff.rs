//! The differences between two nets as text and JSON: what `netc diff` prints.

use super::number_format::short_layer;
use crate::diagnostics::numbers::thousands;
use crate::graph::changes::{Change, changes};
use crate::graph::outline::Outline;
use crate::graph::{Graph, NodeId};
use serde_json::{Value, json};
use std::fmt::Write;

/// The summaries of both nets, a line for each difference, and the counts.
pub fn text(a: &Graph, b: &Graph) -> String {
    let (before, after) = (Outline::of(a), Outline::of(b));
    let changes = changes(&before, &after);
    let mut out = format!("- {}: {}\n+ {}: {}\n", a.name, a.summary(), b.name, b.summary());
    if !changes.is_empty() {
        out.push('\n');
    }
    let describe = |graph: &Graph, outline: &Outline, id: NodeId| {
        let (node, count) = (graph.node(id), outline.layers[id.0].parameters);
        let count = if count == 0 { String::new() } else { format!(", {} parameters", thousands(count)) };
        format!("{}  {} : {}{count}", node.name, short_layer(graph, id), node.output)
    };
    let (mut added, mut removed, mut changed) = (0, 0, 0);
    for change in &changes {
        let _ = match change {
            Change::Added(id) => {
                added += 1;
                writeln!(out, "+ {}", describe(b, &after, *id))
            }
            Change::Removed(id) => {
                removed += 1;
                writeln!(out, "- {}", describe(a, &before, *id))
            }
            Change::Changed(..) => {
                changed += 1;
                writeln!(out, "{}", change.line(&before, &after))
            }
        };
    }
    let same = b.nodes.len() - added - changed;
    let (before, after) = (a.parameter_count() as u64, b.parameter_count() as u64);
    let _ = writeln!(out, "\n{added} added, {removed} removed, {changed} changed, {same} the same");
    let _ = writeln!(out, "parameters {} -> {}", thousands(before), thousands(after));
    out
}

/// `{"a": {"net", "summary", "parameters"}, "b", "added": [{"name", "kind", "output", "parameters"}], "removed",
/// "changed": [{"name", "what": {"output": [before, after]}}]}`.
pub fn document(a: &Graph, b: &Graph) -> Value {
    let head =
        |graph: &Graph| json!({ "net": graph.name, "summary": graph.summary(), "parameters": graph.parameter_count() });
    let (before, after) = (Outline::of(a), Outline::of(b));
    let describe = |outline: &Outline, id: NodeId| {
        let layer = &outline.layers[id.0];
        json!({
            "name": layer.name,
            "kind": layer.kind,
            "output": layer.output,
            "parameters": layer.parameters,
        })
    };
    let (mut added, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes(&before, &after) {
        match change {
            Change::Added(id) => added.push(describe(&after, id)),
            Change::Removed(id) => removed.push(describe(&before, id)),
            Change::Changed(_, id, what) => {
                let what: serde_json::Map<String, Value> =
                    what.into_iter().map(|(name, before, after)| (name, json!([before, after]))).collect();
                changed.push(json!({ "name": b.node(id).name, "what": what }));
            }
        }
    }
    json!({ "a": head(a), "b": head(b), "added": added, "removed": removed, "changed": changed })
}
