//! The costs of layers, and the text form of layers and numbers.

use crate::graph::{Graph, NodeId};
use std::collections::BTreeSet;

/// The cost of a layer.
pub(crate) struct Cost {
    /// The number of values in its parameters; shared ones count where they are first used.
    pub parameters: u64,
    /// The number of those that are trained.
    pub trainable: u64,
    /// Multiply-adds for one image; `None` if they depend on an unknown size.
    pub macs: Option<u64>,
}

/// The costs of all layers in order.
pub(crate) fn costs(graph: &Graph) -> Vec<Cost> {
    let mut seen = BTreeSet::new();
    graph.ids().map(|id| cost(graph, id, &mut seen)).collect()
}

fn cost(graph: &Graph, id: NodeId, seen: &mut BTreeSet<usize>) -> Cost {
    let node = graph.node(id);
    let (mut parameters, mut trainable) = (0, 0);
    for id in &node.parameters {
        let parameter = &graph.parameters[id.0];
        if parameter.is_fixed() || !seen.insert(id.0) {
            continue;
        }
        parameters += parameter.len() as u64;
        if parameter.trainable && !parameter.frozen {
            trainable += parameter.len() as u64;
        }
    }
    let macs = graph.macs(id);
    // An operation returns zero if it cannot count; a layer with weights and an unknown size has a cost.
    let has_weight = graph.parameter(node, "weight").is_some();
    let unknown = macs == 0 && has_weight && node.output.len().is_none();
    Cost { parameters, trainable, macs: (!unknown).then_some(macs) }
}

/// The main settings in short, as in papers: `3x3, 64, stride 2`.
pub(crate) fn short_settings(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let settings = node.operation.settings();
    let value = |key: &str| settings.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str());
    if node.operation.kind() == "Input" {
        return String::new();
    }
    if let (Some(from), Some(to)) = (value("from"), value("to")) {
        return format!("{from}..{to}");
    }
    let mut parts = Vec::new();
    for (name, value) in &settings {
        match *name {
            "size" | "filters" | "units" | "n_units" | "n_groups" | "function" | "proba" | "keep_proba"
            | "block_size" | "block" | "mode" | "shape" | "perm" | "scale" | "input_size" | "output_size" => {
                parts.push(value.clone())
            }
            "stride" | "dilation" | "groups" | "axis" | "multiplier" => parts.push(format!("{name} {value}")),
            "depth_radius" => parts.push(format!("radius {value}")),
            "backwards" => parts.push("backwards".into()),
            _ => {}
        }
    }
    parts.join(", ")
}

/// The layer, its short settings and what is fused into it: `Convolution 3x3, 64, then relu`.
pub(crate) fn short_layer(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let (name, fused) = (node.operation.definition().name, node.epilogue.describe());
    match short_settings(graph, id) {
        settings if settings.is_empty() => format!("{name}{fused}"),
        settings => format!("{name} {settings}{fused}"),
    }
}

/// Three digits and a unit: `86.7 M`, `1.85 G`.
pub(crate) fn magnitude(number: u64) -> String {
    let mut value = number as f64;
    if number < 1000 {
        return number.to_string();
    }
    let mut unit = "";
    for next in ["k", "M", "G", "T", "P", "E"] {
        // 999.5 would round to four digits.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let decimals = match value {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

/// The sum of the multiply-adds, unknown where one of them is.
pub(crate) fn total_multiply_adds(costs: &[Cost]) -> Option<u64> {
    costs.iter().map(|cost| cost.macs).try_fold(0u64, |sum, cost| Some(sum.saturating_add(cost?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_have_three_digits() {
        let cases = [(0, "0"), (999, "999"), (1000, "1.00 k"), (86_704_128, "86.7 M"), (1_849_688_064, "1.85 G")];
        for (number, text) in cases {
            assert_eq!(magnitude(number), text);
        }
        assert_eq!(magnitude(999_600), "1.00 M");
        assert_eq!(magnitude(999_400), "999 k");
    }
}
