//! From the operators of ONNX to the layers of the language: one table, and a function for each family.
//!
//! ONNX has images as (batch, channels, height, width), netc as (batch, height, width, channels). [`Known::axes`] says for every
//! value where its axes went, so that a transpose costs nothing until a layer needs an order.

mod activation;
mod axes;
mod context;
mod dense;
mod images;
mod known;
mod merge;
mod norm;
mod reduce;
mod sequences;

pub(super) use context::Context;
pub(super) use known::Known;

use super::tree::Call;
use super::unsupported::Unsupported;
use crate::onnx::model::{BOOL, FLOATS};
use crate::onnx::{Graph, Node};
use axes::{displaced, gather, shape, slice, strided};
use context::Converted;
use images::{border, convolution, pool, resize};
use sequences::{attention, recurrent, view, views};
use std::collections::HashSet;

/// An operator and how it is converted.
struct Operator {
    name: &'static str,
    convert: fn(&mut Context, &Node) -> Converted,
}

macro_rules! operators {
    ($($name:literal => $convert:expr,)*) => {
        &[$(Operator { name: $name, convert: $convert },)*]
    };
}

/// Every operator that has a layer. (Constants and shapes are computed before.)
static OPERATORS: &[Operator] = operators! {
    "Conv" => convolution::convolution,
    "ConvTranspose" => convolution::transposed,
    "Gemm" => dense::dense,
    "MatMul" => dense::dense,
    "BatchNormalization" => norm::batch,
    "InstanceNormalization" => norm::instance,
    "GroupNormalization" => norm::group,
    "LayerNormalization" => norm::layer,
    "LRN" => norm::local_response,
    "LpNormalization" => norm::length,
    "RMSNormalization" => norm::root_mean_square,
    "Relu" => |cx, node| activation::plain(cx, node, "Relu"),
    "Sigmoid" => |cx, node| activation::plain(cx, node, "Sigmoid"),
    "Tanh" => |cx, node| activation::plain(cx, node, "Tanh"),
    "Softplus" => |cx, node| activation::plain(cx, node, "Softplus"),
    "HardSwish" => |cx, node| activation::plain(cx, node, "HardSwish"),
    "Swish" => activation::swish,
    "Softsign" => activation::softsign,
    "Mish" => activation::mish,
    "Selu" => activation::selu,
    "Celu" => activation::celu,
    "LogSoftmax" => activation::log_softmax,
    "Neg" => |cx, node| activation::affine(cx, node, -1.0),
    "Reciprocal" => activation::reciprocal,
    "Abs" => |cx, node| activation::plain(cx, node, "Absolute"),
    "Exp" => |cx, node| activation::plain(cx, node, "Exp"),
    "Log" => |cx, node| activation::plain(cx, node, "Log"),
    "Sqrt" => |cx, node| activation::plain(cx, node, "Sqrt"),
    "Elu" => activation::elu,
    "Gelu" => activation::gelu,
    "LeakyRelu" => activation::leaky_relu,
    "HardSigmoid" => activation::hard_sigmoid,
    "PRelu" => activation::prelu,
    "Clip" => activation::clip,
    "Softmax" => activation::softmax,
    "Pow" => activation::power,
    "LSTM" => |cx, node| recurrent::layer(cx, node, "LSTM"),
    "GRU" => |cx, node| recurrent::layer(cx, node, "GRU"),
    "Gather" => gather::gather,
    "Expand" => gather::expand,
    "Tile" => gather::tile,
    "MaxPool" => pool::max,
    "AveragePool" => pool::average,
    "GlobalAveragePool" => |cx, node| pool::global(cx, node, "avg"),
    "GlobalMaxPool" => |cx, node| pool::global(cx, node, "max"),
    "LpPool" => pool::by_norm,
    "GlobalLpPool" => pool::global_by_norm,
    "ReduceMean" => |cx, node| reduce::reduce(cx, node, &[], "avg", &[]),
    "ReduceMax" => |cx, node| reduce::reduce(cx, node, &[], "max", &[]),
    "ReduceSum" => |cx, node| reduce::reduce(cx, node, &[], "sum", &[]),
    "ReduceMin" => |cx, node| reduce::reduce(cx, node, &[merge::factor(-1.0)], "max", &[merge::factor(-1.0)]),
    "ReduceL1" => |cx, node| reduce::reduce(cx, node, &[Call::layer("Absolute")], "sum", &[]),
    "ReduceL2" => |cx, node| reduce::reduce(cx, node, &[Call::layer("Square")], "sum", &[Call::layer("Sqrt")]),
    "ReduceSumSquare" => |cx, node| reduce::reduce(cx, node, &[Call::layer("Square")], "sum", &[]),
    "ReduceLogSum" => |cx, node| reduce::reduce(cx, node, &[], "sum", &[Call::layer("Log")]),
    "ReduceLogSumExp" => reduce::log_sum_exp,
    "Add" => |cx, node| merge::elementwise(cx, node, "Add"),
    "Sum" => |cx, node| merge::elementwise(cx, node, "Add"),
    "Mul" => |cx, node| merge::elementwise(cx, node, "Multiply"),
    "Sub" => |cx, node| merge::elementwise(cx, node, "Subtract"),
    "Div" => |cx, node| merge::elementwise(cx, node, "Divide"),
    "Max" => |cx, node| merge::elementwise(cx, node, "Maximum"),
    "Min" => |cx, node| merge::elementwise(cx, node, "Minimum"),
    "Mean" => |cx, node| merge::elementwise(cx, node, "Average"),
    "Concat" => strided::concatenate,
    "Flatten" => shape::flatten,
    "Reshape" => shape::reshape,
    "Squeeze" => shape::squeeze,
    "Unsqueeze" => shape::unsqueeze,
    "Transpose" => shape::transpose,
    "Slice" => slice::slice,
    "Split" => slice::split,
    "Pad" => border::pad,
    "Resize" => resize::resize,
    "Upsample" => resize::resize,
    "DepthToSpace" => |cx, node| resize::blocks(cx, node, "DepthToSpace"),
    "SpaceToDepth" => |cx, node| resize::blocks(cx, node, "SpaceToDepth"),
    "Dropout" => activation::dropout,
    "Identity" => |cx, node| { let x = cx.input(node, 0)?; cx.give(node, x) },
    "Cast" => shape::cast,
    "CastLike" => shape::cast_like,
};

/// Operators whose output has the shape of their one input.
const KEEP_SHAPE: [&str; 25] = [
    "Add",
    "Celu",
    "Clip",
    "Cos",
    "Div",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "LayerNormalization",
    "Log",
    "LogSoftmax",
    "Mish",
    "Mul",
    "Neg",
    "Pow",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sin",
    "Softmax",
    "Softsign",
    "Sqrt",
    "Sub",
    "ThresholdedRelu",
];

impl Context<'_> {
    /// Converts the nodes that are needed.
    pub fn convert(&mut self, graph: &Graph, needed: &[bool]) {
        let mut swallowed = HashSet::new();
        self.indices = indices(graph);
        let nodes = graph.nodes.iter().zip(needed).filter(|(_, needed)| **needed).map(|(node, _)| node);
        self.read = nodes.flat_map(|node| node.inputs.iter().cloned()).collect();
        self.read.extend(graph.outputs.iter().map(|output| output.name.clone()));
        for (at, node) in graph.nodes.iter().enumerate() {
            if !needed[at] || swallowed.contains(&at) {
                continue;
            }
            let (known, views, displaced, front) = (&self.known, &self.views, &self.displaced, self.front);
            let shape_of = |value: &str| {
                let of_layer = known.get(value).map(|known| known.shape[front..].to_vec());
                let of_view = || views.get(value).map(|view| view.shape.clone());
                of_layer.or_else(of_view).or_else(|| Some(displaced.get(value)?.shape()))
            };
            if self.constants.fold(node, shape_of) {
                continue;
            }
            self.node = at;
            let blocked = node.inputs.iter().any(|input| self.missing.contains(input));
            let operator = OPERATORS.iter().find(|known| known.name == node.op && node.domain.is_empty());
            let seen = self.seen(node);
            let result = match operator {
                _ if seen.is_some_and(|keeps_values| !keeps_values) => Ok(()),
                None => Err(match node.domain.as_str() {
                    "" => "no layer computes this".to_string(),
                    domain => format!("an operator of {domain}"),
                }),
                Some(_) if blocked => self.limits(node),
                Some(operator) => (operator.convert)(self, node),
            };
            if let Err(reason) = result.or_else(|reason| self.resolve_views(node, reason)) {
                let (op, title) = (node.op.clone(), node.title().to_string());
                self.unsupported.push(Unsupported { op, node: title, reason });
                // What follows is looked at too, where it is known what it gets.
                if KEEP_SHAPE.contains(&node.op.as_str())
                    && let [Ok(known)] = &self.given(node)[..]
                {
                    let _ = self.give(node, known.clone());
                }
            }
            let layer = self.parameters.get(&at);
            swallowed.extend(layer.into_iter().flat_map(|layer| layer.also.iter().copied()));
            let last = layer.map_or(node.output(), |layer| layer.output.as_str());
            let is_there = |name: &str| {
                self.known.contains_key(name)
                    || self.views.contains_key(name)
                    || self.scores.contains_key(name)
                    || self.masks.contains_key(name)
                    || self.shares.contains_key(name)
                    || self.displaced.contains_key(name)
                    || self.beside.contains_key(name)
            };
            if !is_there(last) && !node.outputs.iter().any(|name| is_there(name)) {
                self.missing.extend(node.outputs.iter().cloned());
                self.missing.insert(last.to_string());
            }
        }
    }

    /// Whether a node moves the axes of a sequence, or is a part of an attention, whose values no layer gives; none if neither.
    fn seen(&mut self, node: &Node) -> Option<bool> {
        if !node.domain.is_empty() || self.front > 0 {
            return None;
        }
        if recurrent::beside(self, node) {
            return Some(false);
        }
        if let Some(views) = views::moved(self, node) {
            let named = node.outputs.iter().cloned().zip(views);
            self.views.extend(named.filter(|(name, _)| !name.is_empty()));
            return Some(true);
        }
        if displaced::moved(self, node) {
            return Some(false);
        }
        match attention::step(self, node)? {
            attention::Made::Scores(scores) => {
                self.scores.insert(node.output().to_string(), scores);
            }
            attention::Made::Mask(mask) => {
                self.masks.insert(node.output().to_string(), mask);
            }
            attention::Made::View(view) => {
                self.views.insert(node.output().to_string(), view);
                // A factor may be that of a layer, too.
                return Some(node.op != "MatMul");
            }
        }
        Some(false)
    }

    /// The outputs of a node that moves axes, where no layer has them in that order: those that are sequences again.
    fn resolve_views(&mut self, node: &Node, reason: String) -> Converted {
        let mut found = false;
        for name in &node.outputs {
            let Some(view) = self.views.get(name).cloned() else { continue };
            found = true;
            if let Some(known) = views::resolved(self, &view) {
                self.define(name, known);
            }
        }
        if found { Ok(()) } else { Err(reason) }
    }

    /// What can be said of a node whose inputs are not known.
    fn limits(&self, node: &Node) -> Converted {
        let weight = self.constant(node, 1).map(|weight| weight.shape.len());
        match (node.op.as_str(), weight) {
            ("Conv" | "ConvTranspose", Some(rank)) if !(3..5).contains(&rank) => Err(convolution::axes(rank)),
            _ => Ok(()),
        }
    }

    /// The inputs of a node that are no constants.
    fn given(&self, node: &Node) -> Vec<Result<Known, String>> {
        let inputs = (0..node.inputs.len()).filter(|&index| self.constant(node, index).is_none());
        inputs.map(|index| self.input(node, index)).collect()
    }

    /// What gives a value that goes out of the model, and whether it has the time before the batch there.
    pub fn output(&mut self, name: &str) -> Option<(Known, bool)> {
        if let Some(known) = self.value(name) {
            return Some((known.clone(), false));
        }
        let view = self.views.get(name)?.clone();
        let time_first = matches!(view.axes.first(), Some(Some(part)) if part.of == view::Of::Steps);
        let sizes: Vec<usize> = view.parts().iter().map(|part| part.size).collect();
        let view = view.reshaped([&[1], &sizes[..]].concat())?;
        Some((views::resolved(self, &view)?, time_first))
    }
}

/// Operators that move values.
const MOVES: [&str; 7] = ["Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// The values that nothing but `Gather` reads, as indices.
fn indices(graph: &Graph) -> HashSet<String> {
    read_only(graph, |_| false)
}

/// The values that may be integers, which are numbers here: nothing reads them but `Gather`, as indices, and casts to
/// floating point or to truth values.
pub(super) fn whole_numbers(graph: &Graph) -> HashSet<String> {
    read_only(graph, |node| {
        let to = node.int("to", 1);
        node.op == "Cast" && (FLOATS.contains(&to) || to == BOOL)
    })
}

/// The values that nothing reads but `Gather`, as indices, and nodes that `fits` takes.
fn read_only(graph: &Graph, fits: impl Fn(&Node) -> bool) -> HashSet<String> {
    let mut found: HashSet<String> = HashSet::new();
    let mut others: HashSet<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    for node in graph.nodes.iter().rev() {
        for (at, name) in node.inputs.iter().enumerate() {
            let wanted = (node.op == "Gather" && at == 1)
                || fits(node)
                || (at == 0 && MOVES.contains(&node.op.as_str()) && found.contains(node.output()));
            match wanted {
                true => drop(found.insert(name.clone())),
                // Its size may be asked for.
                false if node.op == "Shape" => {}
                false => drop(others.insert(name)),
            }
        }
    }
    found.retain(|name| !others.contains(name.as_str()));
    found
}
