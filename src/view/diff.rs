//! The differences between two nets, layer by layer, matched by name and, where names are generated, by their order.

use super::number_format::{short_layer, thousands};
use crate::graph::signature::definition::kebab_case;
use crate::graph::{Graph, Node, NodeId};
use serde_json::{Value, json};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

/// A layer that only one net has, or that differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Added(NodeId),
    Removed(NodeId),
    /// The layer in both nets, and each property that differs: its name, before and after.
    Changed(NodeId, NodeId, Vec<(String, String, String)>),
}

/// The differences in the order of the second net; removed layers are at their position in the first.
pub fn changes(a: &Graph, b: &Graph) -> Vec<Change> {
    let names = |graph: &Graph| graph.nodes.iter().map(named).collect::<Vec<_>>();
    let (first, second) = (names(a), names(b));
    let ops = capture_diff_slices(Algorithm::Myers, &first, &second);
    let mut pairs: HashMap<NodeId, NodeId> = HashMap::new();
    for op in ops.iter().filter(|op| matches!(op, DiffOp::Equal { .. })) {
        pairs.extend(op.new_range().map(NodeId).zip(op.old_range().map(NodeId)));
    }
    // The edit script removes and adds a moved layer, which is no difference here.
    let matched: HashSet<NodeId> = pairs.values().copied().collect();
    let left: HashMap<&str, NodeId> =
        a.ids().filter(|id| !matched.contains(id)).map(|id| (a.node(id).name.as_str(), id)).collect();
    for id in b.ids() {
        if !pairs.contains_key(&id)
            && let Some(&old) = left.get(b.node(id).name.as_str())
        {
            pairs.insert(id, old);
        }
    }
    let renamed: HashMap<NodeId, NodeId> = pairs.iter().map(|(&new, &old)| (old, new)).collect();
    // What the second net calls a layer of the first.
    let name_in_second =
        |id: NodeId| renamed.get(&id).map_or(a.node(id).name.as_str(), |&new| b.node(new).name.as_str());
    let mut list = Vec::new();
    for op in ops {
        if !matches!(op, DiffOp::Equal { .. }) {
            let removed = op.old_range().map(NodeId).filter(|id| !renamed.contains_key(id));
            list.extend(removed.map(Change::Removed));
        }
        for id in op.new_range().map(NodeId) {
            match pairs.get(&id) {
                None => list.push(Change::Added(id)),
                Some(&old) => {
                    let what = properties(a, old, b, id, name_in_second);
                    if !what.is_empty() {
                        list.push(Change::Changed(old, id, what));
                    }
                }
            }
        }
    }
    list
}

/// What a layer is matched by: its name, or what a generated name says without its number, which shifts with the layers before.
fn named(node: &Node) -> String {
    let stem = kebab_case(node.operation.kind());
    let (scope, last) = node.name.rsplit_once('/').unwrap_or(("", &node.name));
    let number = last.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('-'));
    match number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit())) {
        true => format!("{scope}/{stem}-"),
        false => node.name.clone(),
    }
}

/// The properties of a layer that differ between the nets; `name_in_second` is what the second net calls a layer of the first.
fn properties<'g>(
    a: &'g Graph,
    old: NodeId,
    b: &'g Graph,
    new: NodeId,
    name_in_second: impl Fn(NodeId) -> &'g str,
) -> Vec<(String, String, String)> {
    let describe = |graph: &Graph, id: NodeId, inputs: Vec<&str>| {
        let node = graph.node(id);
        let settings: Vec<String> =
            node.operation.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
        [
            ("layer", node.operation.definition().name.to_string()),
            ("settings", settings.join(", ")),
            ("inputs", inputs.join(", ")),
            ("output", node.output.to_string()),
            ("parameters", thousands(parameters(graph, id))),
            ("frozen", if node.frozen { "yes".into() } else { "no".into() }),
        ]
    };
    let before = a.node(old).inputs.iter().map(|&input| name_in_second(input)).collect();
    let after = b.node(new).inputs.iter().map(|&input| b.node(input).name.as_str()).collect();
    let pairs = describe(a, old, before).into_iter().zip(describe(b, new, after));
    pairs
        .filter(|((_, before), (_, after))| before != after)
        .map(|((name, before), (_, after))| (name.to_string(), before, after))
        .collect()
}

fn parameters(graph: &Graph, id: NodeId) -> u64 {
    let parameters = graph.node(id).parameters.iter().map(|id| &graph.parameters[id.0]);
    parameters.filter(|parameter| !parameter.is_fixed()).map(|parameter| parameter.len() as u64).sum()
}

/// The summaries of both nets, a line for each difference, and the counts.
pub fn text(a: &Graph, b: &Graph) -> String {
    let changes = changes(a, b);
    let mut out = format!("- {}: {}\n+ {}: {}\n", a.name, a.summary(), b.name, b.summary());
    if !changes.is_empty() {
        out.push('\n');
    }
    let describe = |graph: &Graph, id: NodeId| {
        let (node, count) = (graph.node(id), parameters(graph, id));
        let count = if count == 0 { String::new() } else { format!(", {} parameters", thousands(count)) };
        format!("{}  {} : {}{count}", node.name, short_layer(graph, id), node.output)
    };
    let (mut added, mut removed, mut changed) = (0, 0, 0);
    for change in &changes {
        let _ = match change {
            Change::Added(id) => {
                added += 1;
                writeln!(out, "+ {}", describe(b, *id))
            }
            Change::Removed(id) => {
                removed += 1;
                writeln!(out, "- {}", describe(a, *id))
            }
            Change::Changed(_, id, what) => {
                changed += 1;
                let what: Vec<String> = what
                    .iter()
                    .map(|(name, before, after)| format!("{name} {} -> {}", or_none(before), or_none(after)))
                    .collect();
                writeln!(out, "~ {}  {}", b.node(*id).name, what.join("; "))
            }
        };
    }
    let same = b.nodes.len() - added - changed;
    let (before, after) = (a.parameter_count() as u64, b.parameter_count() as u64);
    let _ = writeln!(out, "\n{added} added, {removed} removed, {changed} changed, {same} the same");
    let _ = writeln!(out, "parameters {} -> {}", thousands(before), thousands(after));
    out
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// `{"a": {"net", "summary", "parameters"}, "b", "added": [{"name", "kind", "output", "parameters"}], "removed",
/// "changed": [{"name", "what": {"output": [before, after]}}]}`.
pub fn document(a: &Graph, b: &Graph) -> Value {
    let head =
        |graph: &Graph| json!({ "net": graph.name, "summary": graph.summary(), "parameters": graph.parameter_count() });
    let describe = |graph: &Graph, id: NodeId| {
        let node = graph.node(id);
        json!({
            "name": node.name,
            "kind": node.operation.kind(),
            "output": node.output.to_string(),
            "parameters": parameters(graph, id),
        })
    };
    let (mut added, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes(a, b) {
        match change {
            Change::Added(id) => added.push(describe(b, id)),
            Change::Removed(id) => removed.push(describe(a, id)),
            Change::Changed(_, id, what) => {
                let what: serde_json::Map<String, Value> =
                    what.into_iter().map(|(name, before, after)| (name, json!([before, after]))).collect();
                changed.push(json!({ "name": b.node(id).name, "what": what }));
            }
        }
    }
    json!({ "a": head(a), "b": head(b), "added": added, "removed": removed, "changed": changed })
}
