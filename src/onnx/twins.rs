//! Layers with the very parameters of a layer before: a model that calls a module several times has a node for each call.

use super::constants::{Constant, Form};
use super::layer_names::{is_numbered, module_of};
use super::model::Graph;
use super::parameters::{Layer, tensors};
use super::source::Source;
use std::collections::HashMap;

/// A layer with the parameters of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// The name of the first layer with them.
    pub first: String,
    /// Whether the parameters tell by themselves that it is meant to be the same layer: exporters store equal values once, and those
    /// of two normalisations may be equal by chance.
    pub is_certain: bool,
}

/// Layers whose weights are matrices or kernels.
const CERTAIN: [&str; 7] = ["Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "Gather"];
/// So many values tell most tensors apart.
const SAMPLE: usize = 64;

/// The layers that have the parameters of one before, by their names; and the first ones, as twins of themselves.
pub fn twins(graph: &Graph, layers: &[Layer], source: &Source) -> HashMap<String, Twin> {
    let mut found: HashMap<String, Twin> = HashMap::new();
    // Those that may be twins have an operator and shapes in common.
    let mut alike: HashMap<String, Vec<&Layer>> = HashMap::new();
    for layer in layers {
        let op = graph.nodes[layer.node].op.as_str();
        let shapes: Vec<_> = layer.parameters.iter().map(|(role, values)| (role, &values.shape)).collect();
        let others = alike.entry(format!("{op}{shapes:?}")).or_default();
        let is_certain = CERTAIN.contains(&op);
        let first = others.iter().find(|other| {
            is_one_module(graph, other, layer)
                && (has_same_tensors(other, layer) || is_certain && is_copy(graph, other, layer, source))
        });
        match first {
            None => others.push(layer),
            Some(first) => {
                let twin = Twin { first: first.name.clone(), is_certain };
                found.insert(first.name.clone(), twin.clone());
                found.insert(layer.name.clone(), twin);
            }
        }
    }
    found
}

/// Whether the nodes of two layers may be calls of one module, as far as their names say it: `/twin/conv/Conv` and
/// `/twin/conv_1/Conv`.
fn is_one_module(graph: &Graph, a: &Layer, b: &Layer) -> bool {
    let (a, b) = (&graph.nodes[a.node], &graph.nodes[b.node]);
    match (module_of(a), module_of(b)) {
        (Some(a), Some(b)) => without_calls(&a) == without_calls(&b),
        _ => a.module == b.module,
    }
}

/// The path of a module without the numbers of its calls.
fn without_calls(module: &str) -> String {
    let part = |part: &str| match part.rsplit_once('_') {
        Some((name, call)) if !name.is_empty() && call.bytes().all(|c| c.is_ascii_digit()) => name.to_string(),
        _ => part.to_string(),
    };
    module.split('.').map(part).collect::<Vec<_>>().join(".")
}

fn has_same_tensors(a: &Layer, b: &Layer) -> bool {
    let same = |a: &Constant, b: &Constant| match (&a.form, &b.form) {
        (Form::Stored(a), Form::Stored(b)) => a == b,
        // Constants with one value everywhere have names.
        (a_form, b_form) => a.key == b.key && format!("{a_form:?}") == format!("{b_form:?}"),
    };
    a.parameters.iter().zip(&b.parameters).all(|((_, a), (_, b))| same(a, b))
}

/// Whether two layers have equal values in tensors that exporters named by numbers. Tensors with names of their own are parameters
/// of their own.
fn is_copy(graph: &Graph, a: &Layer, b: &Layer, source: &Source) -> bool {
    let unnamed = |layer: &Layer| {
        layer
            .parameters
            .iter()
            .flat_map(|(_, constant)| tensors(constant))
            .all(|name| name.is_empty() || is_numbered(name))
    };
    let is_told = |layer: &Layer| module_of(&graph.nodes[layer.node]).is_some();
    if !unnamed(a) || !unnamed(b) || is_told(a) != is_told(b) {
        return false;
    }
    let stored = |layer: &Layer| -> Option<Vec<_>> {
        let tensor = |(_, constant): &(_, Constant)| match &constant.form {
            Form::Stored(tensor) => Some(tensor.clone()),
            Form::Transposed(of) => match &of.form {
                Form::Stored(tensor) => Some(tensor.clone()),
                _ => None,
            },
            _ => None,
        };
        layer.parameters.iter().map(tensor).collect()
    };
    let (Some(first), Some(second)) = (stored(a), stored(b)) else { return false };
    let equal = |most: usize| {
        first.iter().zip(&second).all(|(a, b)| {
            let values = |tensor| source.floats(tensor, 0..a.len().min(most)).ok();
            a == b || matches!((values(a), values(b)), (Some(a), Some(b)) if a == b)
        })
    };
    equal(SAMPLE) && equal(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_module_are_counted_at_the_end_of_its_parts() {
        assert_eq!(without_calls("twin.conv1_1"), without_calls("twin_2.conv1"));
        assert_ne!(without_calls("twin.conv1"), without_calls("twin.conv2"));
        assert_eq!(without_calls("head.0_1"), "head.0");
        assert_eq!(without_calls("_1"), "_1");
    }
}
