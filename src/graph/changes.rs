//! The differences between two nets, layer by layer. Layers with a name of the text are matched by it, those with a generated
//! name, whose numbers shift with every layer before them, by their order.

use super::NodeId;
use super::outline::{LayerOutline, Outline};
use crate::diagnostics::numbers::thousands;
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::BTreeMap;
use std::ops::Range;

/// A layer that only one net has, or that differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Added(NodeId),
    Removed(NodeId),
    /// The layer in both nets, and each property that differs: its name, before and after.
    Changed(NodeId, NodeId, Vec<(String, String, String)>),
}

/// The differences in the order of the second net; removed layers are after what they follow in the first.
pub fn changes(a: &Outline, b: &Outline) -> Vec<Change> {
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
    remove_until(a.layers.len(), &mut list);
    list
}

/// The layers of two nets that are the same.
struct Matches {
    /// The layer of the first net for each of the second.
    in_first: Vec<Option<NodeId>>,
    in_second: Vec<Option<NodeId>>,
}

impl Matches {
    fn new(a: &Outline, b: &Outline) -> Matches {
        let mut matches = Matches { in_first: vec![None; b.layers.len()], in_second: vec![None; a.layers.len()] };
        let by_name: BTreeMap<&str, NodeId> =
            a.ids().filter(|&id| !a.layer(id).has_generated_name).map(|id| (a.layer(id).name.as_str(), id)).collect();
        for id in b.ids().filter(|&id| !b.layer(id).has_generated_name) {
            if let Some(&old) = by_name.get(b.layer(id).name.as_str()) {
                matches.add(old, id);
            }
        }
        // First equal layers, then those between them of one kind.
        let all = (0..a.layers.len(), 0..b.layers.len());
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
        a: &Outline,
        b: &Outline,
        within: (Range<usize>, Range<usize>),
        settings: bool,
    ) -> Vec<(Range<usize>, Range<usize>)> {
        let token = |net: &Outline, id: NodeId, other: Option<usize>| {
            let layer = net.layer(id);
            match (layer.has_generated_name, settings) {
                // Names hold the sequences together. A layer that moved is matched already, and must not.
                (false, _) => format!("{} {other:?}", layer.name),
                (true, false) => layer.kind.clone(),
                (true, true) => format!("{} {:?}", layer.kind, layer.settings),
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
fn properties(a: &Outline, old: NodeId, b: &Outline, new: NodeId, matches: &Matches) -> Vec<(String, String, String)> {
    let describe = |net: &Outline, id: NodeId| {
        let layer = net.layer(id);
        let settings: Vec<String> = layer.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let inputs: Vec<&str> = layer.inputs.iter().map(|&input| net.layers[input].name.as_str()).collect();
        [
            ("layer", layer.layer.clone()),
            ("settings", settings.join(", ")),
            ("inputs", inputs.join(", ")),
            ("output", layer.output.clone()),
            ("parameters", thousands(layer.parameters)),
            ("frozen", if layer.frozen { "yes".into() } else { "no".into() }),
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
/// layer after it.
fn inputs(
    net: &Outline,
    id: NodeId,
    matched: &[Option<NodeId>],
    in_first: impl Fn(NodeId) -> Option<NodeId>,
) -> Vec<Option<NodeId>> {
    let beyond = |input: usize| {
        let mut id = NodeId(input);
        while matched[id.0].is_none()
            && let [before] = net.layer(id).inputs[..]
        {
            id = NodeId(before);
        }
        in_first(id)
    };
    net.layer(id).inputs.iter().map(|&input| beyond(input)).collect()
}

impl Change {
    /// The change of a layer as a line: `~ pool  settings function=avg -> function=max`.
    pub fn line(&self, a: &Outline, b: &Outline) -> String {
        match self {
            Change::Added(id) => format!("+ {}", b.layer(*id)),
            Change::Removed(id) => format!("- {}", a.layer(*id)),
            Change::Changed(old, id, what) => {
                let or_none = |text: &str| if text.is_empty() { "none".to_string() } else { text.to_string() };
                let what: Vec<String> = what
                    .iter()
                    .map(|(name, before, after)| format!("{name} {} -> {}", or_none(before), or_none(after)))
                    .collect();
                let (before, after) = (&a.layer(*old).name, &b.layer(*id).name);
                let name = if before == after { after.clone() } else { format!("{before} -> {after}") };
                format!("~ {name}  {}", what.join("; "))
            }
        }
    }
}

impl std::fmt::Display for LayerOutline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings: Vec<&str> = self.settings.iter().map(|(_, value)| value.as_str()).collect();
        let settings = if settings.is_empty() { String::new() } else { format!(" {}", settings.join(", ")) };
        write!(f, "{}  {}{settings} : {}", self.name, self.layer, self.output)?;
        if self.parameters > 0 { write!(f, ", {} parameters", thousands(self.parameters)) } else { Ok(()) }
    }
}
