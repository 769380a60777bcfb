//! The differences between two nets, layer by layer. Layers with a name of the text are matched by it, those with a generated
//! name, whose numbers shift with every layer before them, by their order.

use super::number_format::short_layer;
use crate::diagnostics::numbers::thousands;
use crate::graph::{Graph, NodeId};
use serde_json::{Value, json};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

/// A layer that only one net has, or that differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Added(NodeId),
    Removed(NodeId),
    /// The layer in both nets, and each property that differs: its name, before and after.
    Changed(NodeId, NodeId, Vec<(String, String, String)>),
}

/// The differences in the order of the second net; removed layers are behind what they follow in the first.
pub fn changes(a: &Graph, b: &Graph) -> Vec<Change> {
    let matches = Matches::new(a, b);
    let mut list = Vec::new();
    let mut next = 0;
    // Up to here, the layers of the first net that have no match.
    let mut remove_until = |end: usize, list: &mut Vec<Change>| {
        let removed = (next..end).map(NodeId).filter(|id| matches.in_second[id.0].is_none());
        list.extend(removed.map(Change::Removed));
        next = next.max(end);
    };
    for id in b.ids() {
        let Some(old) = matches.in_first[id.0] else {
            list.push(Change::Added(id));
            continue;
        };
        remove_until(old.0, &mut list);
        let what = properties(a, old, b, id, &matches);
        if !what.is_empty() {
            list.push(Change::Changed(old, id, what));
        }
    }
    remove_until(a.nodes.len(), &mut list);
    list
}

/// The layers of two nets that are the same.
struct Matches {
    /// The layer of the first net for each of the second.
    in_first: Vec<Option<NodeId>>,
    in_second: Vec<Option<NodeId>>,
}

impl Matches {
    fn new(a: &Graph, b: &Graph) -> Matches {
        let mut matches = Matches { in_first: vec![None; b.nodes.len()], in_second: vec![None; a.nodes.len()] };
        let by_name: BTreeMap<&str, NodeId> =
            a.ids().filter(|&id| !a.node(id).has_generated_name()).map(|id| (a.node(id).name.as_str(), id)).collect();
        for id in b.ids().filter(|&id| !b.node(id).has_generated_name()) {
            if let Some(&old) = by_name.get(b.node(id).name.as_str()) {
                matches.add(old, id);
            }
        }
        // First equal layers, then those between them of one kind.
        let all = (0..a.nodes.len(), 0..b.nodes.len());
        for gap in matches.align(a, b, all, true) {
            matches.align(a, b, gap, false);
        }
        matches
    }

    fn add(&mut self, old: NodeId, new: NodeId) {
        self.in_first[new.0] = Some(old);
        self.in_second[old.0] = Some(new);
    }

    /// Matches the layers with generated names in these ranges by a longest common subsequence. Returns the ranges in which layers
    /// are left.
    fn align(
        &mut self,
        a: &Graph,
        b: &Graph,
        within: (Range<usize>, Range<usize>),
        settings: bool,
    ) -> Vec<(Range<usize>, Range<usize>)> {
        let token = |graph: &Graph, id: NodeId, other: Option<usize>| {
            let node = graph.node(id);
            match (node.has_generated_name(), settings) {
                // Names hold the sequences together. A layer that moved is matched already, and must not.
                (false, _) => format!("{} {other:?}", node.name),
                (true, false) => node.operation.kind().to_string(),
                (true, true) => format!("{} {:?}", node.operation.kind(), node.operation.settings()),
            }
        };
        let (first, second) = within;
        let number =
            |id: Option<NodeId>, own: NodeId, is_first: bool| id.map(|other| if is_first { own.0 } else { other.0 });
        let old: Vec<String> =
            first.clone().map(NodeId).map(|id| token(a, id, number(self.in_second[id.0], id, true))).collect();
        let new: Vec<String> =
            second.clone().map(NodeId).map(|id| token(b, id, number(self.in_first[id.0], id, false))).collect();
        let mut gaps = Vec::new();
        for op in capture_diff_slices(Algorithm::Patience, &old, &new) {
            let shifted = |range: Range<usize>, by: usize| range.start + by..range.end + by;
            let (old, new) = (shifted(op.old_range(), first.start), shifted(op.new_range(), second.start));
            if !matches!(op, DiffOp::Equal { .. }) {
                gaps.push((old, new));
                continue;
            }
            for (old, new) in old.zip(new).map(|(old, new)| (NodeId(old), NodeId(new))) {
                if self.in_second[old.0].is_none() && self.in_first[new.0].is_none() {
                    self.add(old, new);
                }
            }
        }
        gaps
    }
}

/// The properties of a layer that differ between the nets.
fn properties(a: &Graph, old: NodeId, b: &Graph, new: NodeId, matches: &Matches) -> Vec<(String, String, String)> {
    let describe = |graph: &Graph, id: NodeId| {
        let node = graph.node(id);
        let settings: Vec<String> =
            node.operation.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let inputs: Vec<&str> = node.inputs.iter().map(|&input| graph.node(input).name.as_str()).collect();
        [
            ("layer", node.operation.definition().name.to_string()),
            ("settings", settings.join(", ")),
            ("inputs", inputs.join(", ")),
            ("output", node.output.to_string()),
            ("parameters", thousands(parameters(graph, id))),
            ("frozen", if node.frozen { "yes".into() } else { "no".into() }),
        ]
    };
    let differs = |name: &str, before: &str, after: &str| match name {
        "inputs" => {
            let before = inputs(a, old, &matches.in_second, Some);
            before != inputs(b, new, &matches.in_first, |id| matches.in_first[id.0])
        }
        _ => before != after,
    };
    let pairs = describe(a, old).into_iter().zip(describe(b, new));
    pairs
        .filter(|((name, before), (_, after))| differs(name, before, after))
        .map(|((name, before), (_, after))| (name.to_string(), before, after))
        .collect()
}

/// The inputs of a layer as layers of the first net, beyond layers that only its own net has: what is put into a chain changes no
/// layer behind it.
fn inputs(
    graph: &Graph,
    id: NodeId,
    matched: &[Option<NodeId>],
    in_first: impl Fn(NodeId) -> Option<NodeId>,
) -> Vec<Option<NodeId>> {
    let beyond = |mut id: NodeId| {
        while matched[id.0].is_none()
            && let [before] = graph.node(id).inputs[..]
        {
            id = before;
        }
        in_first(id)
    };
    graph.node(id).inputs.iter().map(|&input| beyond(input)).collect()
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
            Change::Changed(old, id, what) => {
                changed += 1;
                let what: Vec<String> = what
                    .iter()
                    .map(|(name, before, after)| format!("{name} {} -> {}", or_none(before), or_none(after)))
                    .collect();
                let (before, after) = (&a.node(*old).name, &b.node(*id).name);
                let name = if before == after { after.clone() } else { format!("{before} -> {after}") };
                writeln!(out, "~ {name}  {}", what.join("; "))
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
