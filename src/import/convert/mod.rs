//! From the operators of ONNX to the layers of the language: one table, and a function for each family.
//!
//! ONNX has images as (batch, channels, height, width), netc as (batch, height, width, channels). [`Known::axes`] says for every
//! value where its axes went, so that a transpose costs nothing until a layer needs an order.

mod activation;
mod axes;
mod dense;
mod images;
mod merge;
mod norm;
mod reduce;
mod sequences;

use super::axes::Axes;
use super::layers::Layers;
use super::tree::{Call, Val};
use super::unsupported::Unsupported;
use crate::onnx::constants::{Constant, Constants};
use crate::onnx::model::{BOOL, FLOATS};
use crate::onnx::parameters::Layer;
use crate::onnx::{Graph, Node};
use axes::displaced::{self, Displaced};
use axes::strided::Strided;
use axes::{gather, shape, slice};
use images::{border, convolution, pool, resize};
use sequences::{attention, recurrent, views};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A value of the model that a layer gives.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub item: usize,
    /// Its sizes in ONNX's order, the batch first.
    pub shape: Vec<usize>,
    /// The axes of ONNX in netc's order, without the batch; those that are missing have the size 1.
    pub axes: Vec<usize>,
    /// Of features in which images were flattened: height, width and channels of each, one after another. ONNX has their values
    /// channel by channel, netc pixel by pixel. Empty where both have the same order.
    pub images: Vec<[usize; 3]>,
}

impl Known {
    /// The size of an axis.
    pub fn size(&self, axis: usize) -> usize {
        self.shape.get(axis).copied().unwrap_or(1)
    }

    /// Its sizes in netc, without the batch.
    pub fn sizes(&self) -> Vec<usize> {
        self.axes.iter().map(|&axis| self.size(axis)).collect()
    }

    /// Whether it is an image in netc whose channels are axis 1 in ONNX.
    pub fn is_image(&self) -> bool {
        self.shape.len() == 4 && self.axes == [2, 3, 1]
    }

    /// The same values with the axes of the model in another order.
    fn permuted(self, order: &[usize]) -> Known {
        let place = |axis: &usize| order.iter().position(|from| from == axis).unwrap_or(0);
        let axes = self.axes.iter().map(place).collect();
        let shape = order.iter().map(|&axis| self.size(axis)).collect();
        Known { axes, shape, ..self }
    }

    /// Its axes with more than one value, in the order of these.
    fn large<'a>(&'a self, axes: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        axes.iter().copied().filter(|&axis| self.size(axis) != 1)
    }
}

/// Why a node cannot be expressed, in words that follow "it is" or stand alone.
type Converted = Result<(), String>;

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
    "Concat" => merge::concatenate,
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

/// A model while it is converted.
pub(super) struct Context<'m> {
    pub constants: Constants<'m>,
    pub layers: Layers,
    pub opset: i64,
    /// The axes in front of those of the model: 1 where the model has no axis for the batch, else 0.
    pub front: usize,
    /// Whether flattened images have the model's order in the spec too.
    explicit: bool,
    known: HashMap<String, Known>,
    /// Sequences whose axes are split or moved, and the scores of attentions.
    views: HashMap<String, views::View>,
    scores: HashMap<String, attention::Scores>,
    masks: HashMap<String, attention::Mask>,
    /// Branches times their share of a gate, until their sum is known.
    shares: HashMap<String, Vec<merge::Share>>,
    /// Values whose batch is not their first axis.
    displaced: HashMap<String, Displaced>,
    /// Images of some rows and columns of others.
    strided: HashMap<String, Strided>,
    /// Values that nodes or the outputs read.
    read: HashSet<String>,
    /// Final states of several recurrent layers beside each other.
    beside: HashMap<String, Vec<views::View>>,
    /// Recurrent layers of which all states are read as well as the last.
    whole: HashSet<usize>,
    /// Layers with parameters, by their nodes, and the second direction of recurrent ones.
    parameters: BTreeMap<usize, &'m Layer>,
    backwards: BTreeMap<usize, &'m Layer>,
    /// Values that nothing gives because a node before could not be expressed.
    missing: HashSet<String>,
    pub unsupported: Vec<Unsupported>,
    /// Values that are read as indices only.
    indices: HashSet<String>,
    node: usize,
}

impl<'m> Context<'m> {
    pub fn new(constants: Constants<'m>, layers: &'m [Layer], opset: i64, axes: Axes) -> Self {
        let (mut parameters, mut backwards) = (BTreeMap::new(), BTreeMap::new());
        for layer in layers {
            match parameters.entry(layer.node) {
                Entry::Vacant(place) => drop(place.insert(layer)),
                Entry::Occupied(_) => drop(backwards.insert(layer.node, layer)),
            }
        }
        Context {
            constants,
            layers: Layers::default(),
            opset,
            front: axes.front,
            explicit: axes.explicit,
            known: HashMap::new(),
            views: HashMap::new(),
            scores: HashMap::new(),
            masks: HashMap::new(),
            shares: HashMap::new(),
            displaced: HashMap::new(),
            strided: HashMap::new(),
            read: HashSet::new(),
            beside: HashMap::new(),
            whole: HashSet::new(),
            parameters,
            backwards,
            missing: HashSet::new(),
            unsupported: Vec::new(),
            indices: HashSet::new(),
            node: 0,
        }
    }

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
            if let Err(reason) = result.or_else(|reason| self.settle(node, reason)) {
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
    fn settle(&mut self, node: &Node, reason: String) -> Converted {
        let mut found = false;
        for name in &node.outputs {
            let Some(view) = self.views.get(name).cloned() else { continue };
            found = true;
            if let Some(known) = views::settled(self, &view) {
                self.define(name, known);
            }
        }
        if found { Ok(()) } else { Err(reason) }
    }

    /// The inputs of a node that are no constants.
    fn given(&self, node: &Node) -> Vec<Result<Known, String>> {
        let inputs = (0..node.inputs.len()).filter(|&index| self.constant(node, index).is_none());
        inputs.map(|index| self.input(node, index)).collect()
    }

    /// What can be said of a node whose inputs are not known.
    fn limits(&self, node: &Node) -> Converted {
        let weight = self.constant(node, 1).map(|weight| weight.shape.len());
        match (node.op.as_str(), weight) {
            ("Conv" | "ConvTranspose", Some(rank)) if !(3..5).contains(&rank) => Err(convolution::axes(rank)),
            _ => Ok(()),
        }
    }

    /// Whether a value is read as indices only.
    fn is_index(&self, name: &str) -> bool {
        self.indices.contains(name)
    }

    /// What gives a value, if it was converted.
    pub fn value(&self, name: &str) -> Option<&Known> {
        self.known.get(name)
    }

    /// What gives a value that goes out of the model, and whether it has the time before the batch there.
    pub fn output(&mut self, name: &str) -> Option<(Known, bool)> {
        if let Some(known) = self.value(name) {
            return Some((known.clone(), false));
        }
        let view = self.views.get(name)?.clone();
        let time_first = matches!(view.axes.first(), Some(Some(part)) if part.of == views::Of::Steps);
        let sizes: Vec<usize> = view.parts().iter().map(|part| part.size).collect();
        let view = view.reshaped([&[1], &sizes[..]].concat())?;
        Some((views::settled(self, &view)?, time_first))
    }

    /// Sets that an input is a sequence whose time is before the batch in the model.
    pub fn define_time_first(&mut self, name: &str, item: usize, steps: usize, features: usize) {
        let view = views::View::sequence(views::Source::Layer(item), steps, features);
        let (shape, axes) = (vec![steps, 1, features], vec![view.axes[1], None, view.axes[2]]);
        self.views.insert(name.to_string(), views::View { shape, axes, ..view });
    }

    /// Sets what gives a value.
    pub fn define(&mut self, name: &str, known: Known) {
        self.known.insert(name.to_string(), known);
    }

    /// An input of a node that is no constant.
    fn input(&self, node: &Node, index: usize) -> Result<Known, String> {
        let name = node.input(index).ok_or_else(|| format!("without input {index}"))?;
        match (self.known.get(name), self.constants.get(name)) {
            (Some(known), _) => Ok(known.clone()),
            (None, Some(_)) => Err(format!("its input {name} is a constant")),
            (None, None) => Err(format!("its input {name} is not known")),
        }
    }

    /// The input of a layer that takes images: features that stand for one pixel become an image.
    fn image(&mut self, node: &Node, index: usize) -> Result<Known, String> {
        let known = self.input(node, index)?;
        self.as_image(known)
    }

    fn as_image(&mut self, known: Known) -> Result<Known, String> {
        self.has_batch()?;
        match known.shape.len() {
            4 => Ok(self.ordered(known, &[2, 3, 1])),
            rank => Err(format!("its input has {rank} axes: only images are taken")),
        }
    }

    /// The input of a layer along a sequence: the channels, which ONNX has before the steps, are the features of each.
    fn as_sequence(&mut self, known: Known) -> Result<Known, String> {
        self.has_batch()?;
        Ok(self.ordered(known, &[2, 1]))
    }

    /// Whether the first axis of values is the batch, as operators on images and sequences have it.
    fn has_batch(&self) -> Converted {
        if self.front == 0 { Ok(()) } else { Err("it takes a batch, which the model's inputs are not".into()) }
    }

    /// An axis of a value by its number in the model, which may count from the end.
    fn axis(&self, known: &Known, axis: i64) -> Result<usize, String> {
        let rank = (known.shape.len() - self.front) as i64;
        let at = if axis < 0 { axis + rank } else { axis };
        let place = usize::try_from(at).ok().filter(|_| at < rank).map(|at| at + self.front);
        place.filter(|&place| place > 0).ok_or_else(|| format!("along axis {axis}"))
    }

    /// The parameters of the present node.
    fn layer(&self) -> Option<&'m Layer> {
        self.parameters.get(&self.node).copied()
    }

    /// The parameters of the present node.
    fn parameters(&self) -> Result<&'m Layer, String> {
        self.layer().ok_or_else(|| "its parameters are not constants of the forms that layers have".to_string())
    }

    /// Adds a layer on one input that keeps its shape.
    fn pointwise(&mut self, node: &Node, call: Call, known: Known) -> Converted {
        let item = self.layers.add(call, &[known.item]);
        self.give(node, Known { item, ..known })
    }

    /// Sets the first output of a node, or what the layer gives with the nodes that it took in.
    fn give(&mut self, node: &Node, known: Known) -> Converted {
        let layer = self.layer();
        let name = layer.map_or(node.output(), |layer| layer.output.as_str()).to_string();
        let known = match layer.and_then(|layer| layer.moved.as_ref()) {
            Some(order) if order.len() == known.shape.len() => known.permuted(order),
            _ => known,
        };
        self.define(&name, known);
        Ok(())
    }

    /// The integers of an input, or of an attribute in older models.
    fn integers(&self, node: &Node, index: usize, attribute: &str) -> Option<Vec<i64>> {
        let by_input = node.input(index).and_then(|name| self.constants.integers(name));
        by_input.or_else(|| node.ints(attribute).map(<[i64]>::to_vec))
    }

    fn constant(&self, node: &Node, index: usize) -> Option<&Constant> {
        self.constants.get(node.input(index)?)
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

/// A layer that this version may not have.
fn needs(layer: &str, argument: Option<&str>) -> Result<(), String> {
    match (super::tree::has(layer, argument), argument) {
        (true, _) => Ok(()),
        (false, None) => Err(format!("it needs the layer `{layer}`")),
        (false, Some(argument)) => Err(format!("it needs `{layer}({argument}=…)`")),
    }
}

/// A number as it is written: a short one whose last bits differ at most, else the shortest that gives the same `f32`.
fn number(value: f32) -> Val {
    let written = |digits: usize| format!("{value:.digits$e}").parse::<f64>().unwrap_or(f64::from(value));
    let near = |near: &f64| ((near - f64::from(value)) / f64::from(value).abs().max(1e-30)).abs() < 2e-7;
    let short = (0..4).map(written).find(near);
    let exact = || (4..9).map(written).find(|&written| written as f32 == value);
    Val::Float(short.or_else(exact).unwrap_or(f64::from(value)))
}
