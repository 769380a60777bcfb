//! Casts between formats of floating-point numbers, which are nothing here: all values are float32.

use super::model::{FLOATS, Graph, Node};
use std::collections::{HashMap, HashSet};

/// Operators whose output is no floating-point number where their input is one, or that may give either.
const OTHER_TYPES: [&str; 24] = [
    "And",
    "ArgMax",
    "ArgMin",
    "Cast",
    "CastLike",
    "Constant",
    "ConstantOfShape",
    "DequantizeLinear",
    "EyeLike",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "If",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "Loop",
    "NonZero",
    "Not",
    "OneHot",
    "QuantizeLinear",
    "Shape",
    "Size",
];

/// Takes out the casts to floating point of values that are floating point: what reads them reads what they are made of.
pub(super) fn removed(graph: &mut Graph) {
    let outputs: HashSet<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
    let is_float = |element: i64| FLOATS.contains(&element);
    let inputs = graph.inputs.iter().filter(|input| is_float(input.element)).map(|input| input.name.clone());
    let stored = graph.initializers.iter().filter(|tensor| is_float(tensor.element)).map(|tensor| tensor.name.clone());
    let mut floats: HashSet<String> = inputs.chain(stored).collect();
    let mut renamed: HashMap<String, String> = HashMap::new();
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        for input in &mut node.inputs {
            if let Some(name) = renamed.get(input.as_str()) {
                input.clone_from(name);
            }
        }
        let takes_float = node.input(0).is_some_and(|input| floats.contains(input));
        let to_float = is_cast_to_float(&node);
        match (takes_float, to_float, outputs.contains(node.output())) {
            (true, true, false) => {
                renamed.insert(node.output().to_string(), node.inputs[0].clone());
                continue;
            }
            (_, true, _) => drop(floats.insert(node.output().to_string())),
            (true, false, _) if node.domain.is_empty() && !OTHER_TYPES.contains(&node.op.as_str()) => {
                floats.extend(node.outputs.first().cloned());
            }
            _ => {}
        }
        kept.push(node);
    }
    graph.nodes = kept;
}

fn is_cast_to_float(node: &Node) -> bool {
    node.op == "Cast" && node.domain.is_empty() && FLOATS.contains(&node.int("to", 1)) && node.outputs.len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::model::{Value, ValueInfo};

    fn node(op: &str, input: &str, output: &str, to: i64) -> Node {
        let attributes = if to > 0 { vec![("to".to_string(), Value::Int(to))] } else { Vec::new() };
        Node { op: op.into(), inputs: vec![input.into()], outputs: vec![output.into()], attributes, ..Node::default() }
    }

    #[test]
    fn casts_stay_where_they_change_a_number() {
        let port = |name: &str, element| ValueInfo { name: name.into(), element, shape: None };
        let nodes = vec![
            node("Cast", "x", "a", 10),
            node("Relu", "a", "b", 0),
            node("Cast", "b", "c", 1),
            node("Cast", "c", "whole", 7),
            node("Cast", "whole", "d", 1),
            node("Add", "d", "e", 0),
            node("Cast", "e", "y", 1),
        ];
        let mut graph = Graph { nodes, inputs: vec![port("x", 1)], outputs: vec![port("y", 1)], ..Graph::default() };
        removed(&mut graph);
        let left: Vec<(&str, &str)> =
            graph.nodes.iter().map(|node| (node.op.as_str(), node.inputs[0].as_str())).collect();
        assert_eq!(left, [("Relu", "x"), ("Cast", "b"), ("Cast", "whole"), ("Add", "d"), ("Cast", "e")]);
    }
}
