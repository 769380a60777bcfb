//! Which layers of a model have parameters, and which tensors those are. Sums and products with constants that follow a layer
//! are its bias, or its scale and shift, where nothing else reads what is between.

use super::casts;
use super::constants::{Constant, Constants, Form};
use super::error::OnnxError;
use super::layer_names::LayerNames;
use super::model::{Dim, Graph, Model, Node};
use super::patterns;
use super::source::Source;
use crate::size::product;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// A layer with parameters. Kernels are (out, in / groups, height, width) and matrices (out, in), as in PyTorch.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The node, by its place in the graph.
    pub node: usize,
    /// Nodes after it that belong to the layer.
    pub also: Vec<usize>,
    /// The value that the layer gives.
    pub output: String,
    /// The order of its axes there, where a transpose belongs to the layer.
    pub moved: Option<Vec<usize>>,
    pub name: String,
    /// By the names that NeuPy gives them: `weight`, `bias`, `gamma`.
    pub parameters: Vec<(&'static str, Constant)>,
}

impl Layer {
    /// A parameter by its name.
    pub fn parameter(&self, role: &str) -> Option<&Constant> {
        self.parameters.iter().find(|(known, _)| *known == role).map(|(_, constant)| constant)
    }
}

/// A model whose patterns were recognised, with its layers.
#[derive(Debug)]
pub struct Read {
    pub model: Model,
    pub layers: Vec<Layer>,
}

/// Reads a model and finds its layers.
///
/// # Errors
/// If it is cut short, damaged or too large.
pub fn read(path: &Path) -> Result<(Read, Source), OnnxError> {
    let (mut model, source) = Source::open(path)?;
    casts::removed(&mut model.graph);
    let layers = {
        let constants = Constants::of(&model.graph, &source);
        patterns::recognised(&mut model.graph, &constants);
        let needed = patterns::needed(&model.graph.nodes, model.graph.outputs.iter().map(|value| value.name.as_str()));
        let mut keep = needed.into_iter();
        // What a pattern consisted of, and what leads nowhere.
        model.graph.nodes.retain(|_| keep.next().unwrap_or(true));
        Finder::of(&model.graph, &constants).layers()
    };
    Ok((Read { model, layers }, source))
}

/// The epsilon of a batch normalisation that stands for a sum with constants.
pub const SHIFT_EPSILON: f64 = 1e-5;

/// What is added to a score is below, where a mask hides it.
pub const HIDDEN: f64 = -1e4;
/// The most layers that are gone back for the number of channels.
const MAX_BEFORE: usize = 16;
/// Operators whose output has the channels of their first input that is no constant; what they merge has as many.
const KEEP_CHANNELS: [&str; 20] = [
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Dropout",
    "Elu",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "InstanceNormalization",
    "LeakyRelu",
    "MaxPool",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Swish",
    "Tanh",
];

struct Finder<'g> {
    graph: &'g Graph,
    constants: &'g Constants<'g>,
    /// The nodes that read a value.
    users: HashMap<&'g str, Vec<usize>>,
}

impl<'g> Finder<'g> {
    fn of(graph: &'g Graph, constants: &'g Constants<'g>) -> Self {
        let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| users.entry(input.as_str()).or_default().push(at));
        }
        // An output has a user more.
        graph.outputs.iter().for_each(|output| users.entry(output.name.as_str()).or_default().push(usize::MAX));
        Finder { graph, constants, users }
    }

    fn layers(&self) -> Vec<Layer> {
        let mut names = LayerNames::default();
        let mut layers: Vec<Layer> = Vec::new();
        let mut taken = vec![false; self.graph.nodes.len()];
        for (at, node) in self.graph.nodes.iter().enumerate() {
            if taken[at] || !node.domain.is_empty() || node.outputs.is_empty() {
                continue;
            }
            let Some(mut layer) = self.layer(at, node) else { continue };
            layer.also.iter().for_each(|&at| taken[at] = true);
            let tensors: Vec<&str> =
                layer.parameters.iter().filter_map(|(_, one)| tensors(one).first().copied()).collect();
            layer.name = names.of(node, &tensors);
            // The second direction is a layer of its own, named as PyTorch names its tensors.
            let second = match node.text("direction") {
                Some("bidirectional") => self.recurrent(node, 1),
                _ => None,
            };
            let name = format!("{}_reverse", layer.name);
            let backwards = second.map(|parameters| Layer { name, parameters, ..layer.clone() });
            layers.push(layer);
            layers.extend(backwards);
        }
        name_attentions(&mut layers, self.graph);
        name_parts(&mut layers);
        layers
    }

    fn constant(&self, node: &Node, index: usize) -> Option<&'g Constant> {
        self.constants.get(node.input(index)?)
    }

    fn layer(&self, at: usize, node: &Node) -> Option<Layer> {
        let mut layer = Layer {
            node: at,
            also: Vec::new(),
            output: node.output().into(),
            moved: None,
            name: String::new(),
            parameters: Vec::new(),
        };
        match node.op.as_str() {
            "Conv" | "ConvTranspose" => {
                let weight = self.constant(node, 1)?;
                // A transposed convolution of a line is one of an image of one row.
                let row = match weight.shape[..] {
                    [inputs, outputs, size] if node.op == "ConvTranspose" => {
                        Some(weight.reshaped(vec![inputs, outputs, 1, size]))
                    }
                    _ => None,
                };
                let weight = row.as_ref().unwrap_or(weight);
                let groups = usize::try_from(node.int("group", 1)).ok()?;
                let filters = if node.op == "Conv" {
                    *weight.shape.first()?
                } else {
                    weight.shape.get(1)?.checked_mul(groups)?
                };
                layer.parameters.push(("weight", weight.clone()));
                let spatial = weight.shape.len().checked_sub(2)?;
                match node.input(2) {
                    Some(_) => layer.parameters.push(("bias", self.constant(node, 2)?.clone())),
                    None => {
                        self.add(&mut layer, "bias", |shape| is_per_channel(shape, filters, spatial));
                        self.add_to_last(&mut layer, filters, spatial);
                    }
                }
            }
            "Gemm" => {
                let weight = self.constant(node, 1).filter(|weight| weight.shape.len() == 2)?;
                let weight = if node.int("transB", 0) != 0 { weight.clone() } else { weight.transposed() };
                let units = weight.shape[0];
                layer.parameters.push(("weight", scaled(weight, node.float("alpha", 1.0))));
                match node.input(2) {
                    Some(name) => {
                        let bias = self.constant(node, 2)?;
                        let bias = match self.constants.scalar(name) {
                            Some(value) => {
                                Constant { shape: vec![units], key: bias.key.clone(), form: Form::Filled(value) }
                            }
                            None => Some(bias).filter(|bias| is_per_unit(&bias.shape, units))?.reshaped(vec![units]),
                        };
                        layer.parameters.push(("bias", scaled(bias, node.float("beta", 1.0))));
                    }
                    None => self.add(&mut layer, "bias", |shape| is_per_unit(shape, units)),
                }
            }
            // A vector is a matrix of one column.
            "MatMul" if self.constant(node, 1).is_some_and(|weight| weight.shape.len() == 1) => {
                let weight = self.constant(node, 1)?;
                layer.parameters.push(("weight", weight.reshaped(vec![1, weight.len()])));
            }
            "MatMul" => {
                let weight = self.constant(node, 1).filter(|weight| weight.shape.len() == 2)?.transposed();
                let units = weight.shape[0];
                layer.parameters.push(("weight", weight));
                self.add(&mut layer, "bias", |shape| is_per_unit(shape, units));
            }
            "BatchNormalization" => {
                let part = |index: usize| self.constant(node, index).cloned();
                let (mut gamma, mut beta, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
                let channels = gamma.len();
                let fits = |shape: &[usize]| (1..4).any(|spatial| is_per_channel(shape, channels, spatial));
                if let Some((next, scale)) = self.follows(&layer.output, "Mul", fits) {
                    (gamma, beta) = (gamma.times(&scale), beta.times(&scale));
                    self.takes(&mut layer, next);
                }
                if let Some((next, shift)) = self.follows(&layer.output, "Add", fits) {
                    beta = beta.plus(&shift);
                    self.takes(&mut layer, next);
                }
                let roles = ["running_mean", "running_variance", "gamma", "beta"];
                layer.parameters = roles.into_iter().zip([mean, variance, gamma, beta]).collect();
            }
            "InstanceNormalization" | "GroupNormalization" | "LayerNormalization" => {
                let flat = |constant: &Constant| match (node.op.as_str(), self.constants.scalar(&constant.key)) {
                    ("InstanceNormalization", _) => constant.clone(),
                    // A number, where the model has no parameters: each channel has it.
                    ("GroupNormalization", Some(value)) => {
                        let shape = vec![self.channels(node.input(0).unwrap_or_default()).unwrap_or(1)];
                        Constant { shape, key: constant.key.clone(), form: Form::Filled(value) }
                    }
                    _ => constant.reshaped(vec![constant.len()]),
                };
                layer.parameters.push(("gamma", flat(self.constant(node, 1)?)));
                let beta = match node.input(2) {
                    Some(_) => flat(self.constant(node, 2)?),
                    None => {
                        let shape = layer.parameters[0].1.shape.clone();
                        Constant { shape, key: "no beta".into(), form: Form::Filled(0.0) }
                    }
                };
                layer.parameters.push(("beta", beta));
            }
            "PRelu" => {
                let slope = self.constant(node, 1)?;
                layer.parameters.push(("alpha", slope.reshaped(vec![slope.len()])));
            }
            "LSTM" | "GRU" => layer.parameters = self.recurrent(node, 0)?,
            // A table of which rows are taken.
            "Gather" => {
                let table =
                    self.constant(node, 0).filter(|table| table.shape.len() == 2 && node.int("axis", 0) == 0)?;
                if self.constant(node, 1).is_some() {
                    return None;
                }
                layer.parameters.push(("weight", table.clone()));
            }
            // A step in front of a sequence, for each of the batch.
            "Concat" if node.inputs.len() == 2 && matches!(node.int("axis", 0), 1 | -2) => {
                let token = self.constant(node, 0).or_else(|| self.expanded(node.input(0)?))?;
                let is_step = matches!(token.shape[..], [1, 1, features] if features > 1);
                if !is_step || self.constant(node, 1).is_some() {
                    return None;
                }
                layer.parameters.push(("weight", token.clone()));
            }
            // Values for each step of a sequence.
            "Add"
                if (0..2).any(|at| {
                    self.constant(node, at).is_some_and(|constant| is_mask(constant, self.constants.source()))
                }) =>
            {
                return None;
            }
            "Add" => match (0..2).find(|&at| self.constant(node, at).is_some_and(is_for_steps)) {
                Some(place) => {
                    let other = node.input(1 - place).filter(|name| self.constants.get(name).is_none());
                    let steps = self.constant(node, place).filter(|_| other.is_some())?;
                    layer.parameters.push(("weight", steps.clone()));
                }
                None => self.shift(&mut layer, node)?,
            },
            "Sub" => self.shift(&mut layer, node)?,
            // A factor for each channel, or for each value along several axes.
            "Mul" => layer.parameters.push(("gamma", self.operand(node)?.1)),
            "Div" => {
                let (place, divisor) = self.operand(node)?;
                layer.parameters.push(("gamma", if place == 0 { divisor } else { divisor.reciprocal() }));
            }
            _ => return None,
        }
        Some(layer)
    }

    /// The channels of an image or a sequence, as far as the layers before it tell them.
    fn channels(&self, value: &str) -> Option<usize> {
        let mut value = value.to_string();
        for _ in 0..MAX_BEFORE {
            if let Some(input) = self.graph.inputs.iter().find(|input| input.name == value) {
                return match input.shape.as_deref()?.get(1)? {
                    Dim::Known(size) => usize::try_from(*size).ok(),
                    Dim::Open(_) => None,
                };
            }
            let node = self.graph.nodes.iter().find(|node| node.outputs.contains(&value))?;
            let weight = self.constant(node, 1);
            match (node.op.as_str(), weight) {
                ("Conv", Some(weight)) => return weight.shape.first().copied(),
                ("ConvTranspose", Some(weight)) => {
                    return weight.shape.get(1)?.checked_mul(usize::try_from(node.int("group", 1)).ok()?);
                }
                (op, _) if KEEP_CHANNELS.contains(&op) => {
                    value = node.inputs.iter().find(|input| self.constants.get(input).is_none())?.clone();
                }
                _ => return None,
            }
        }
        None
    }

    /// The one operand of a node that is a constant with several values, and its place.
    fn operand(&self, node: &Node) -> Option<(usize, Constant)> {
        let place = (0..2).find(|&at| self.constant(node, at).is_some_and(is_operand))?;
        node.input(1 - place).filter(|name| self.constants.get(name).is_none())?;
        let operand = self.constant(node, place)?;
        Some((place, operand.reshaped(vec![operand.len()])))
    }

    /// The parameters of a batch normalisation that adds or subtracts constants: with the divisors or factors that follow it is how
    /// models normalise their own inputs.
    fn shift(&self, layer: &mut Layer, node: &Node) -> Option<()> {
        let (place, operand) = self.operand(node)?;
        // Its key is a number, which names nothing.
        let filled = |value: f64| Constant { shape: operand.shape.clone(), key: "0".into(), form: Form::Filled(value) };
        let (mean, mut gamma, mut beta) = match (node.op.as_str(), place) {
            ("Add", _) => (filled(0.0), filled(1.0), operand.clone()),
            (_, 0) => (filled(0.0), filled(-1.0), operand.clone()),
            _ => (operand.clone(), filled(1.0), filled(0.0)),
        };
        let shape = &self.constant(node, place)?.shape;
        let fits = |other: &[usize]| other == shape;
        if let Some((next, scale)) = self.follows(&layer.output, "Mul", fits) {
            (gamma, beta) = (gamma.times(&scale), beta.times(&scale));
            self.takes(layer, next);
        } else if let Some((next, divisor)) = self.follows(&layer.output, "Div", fits)
            && self.graph.nodes[next].input(0) == Some(&layer.output)
        {
            let scale = divisor.reciprocal();
            (gamma, beta) = (gamma.times(&scale), beta.times(&scale));
            self.takes(layer, next);
        }
        if !layer.also.is_empty()
            && let Some((next, more)) = self.follows(&layer.output, "Add", fits)
        {
            beta = beta.plus(&more);
            self.takes(layer, next);
        }
        let variance = filled(1.0 - SHIFT_EPSILON);
        let roles = ["running_mean", "running_variance", "gamma", "beta"];
        layer.parameters = roles.into_iter().zip([mean, variance, gamma, beta]).collect();
        Some(())
    }

    /// The constant that is repeated for each of the batch.
    fn expanded(&self, name: &str) -> Option<&'g Constant> {
        let node = self.graph.nodes.iter().find(|node| node.output() == name && node.op == "Expand")?;
        self.constant(node, 0)
    }

    /// The parameters of one direction of a recurrent layer, with NeuPy's names for an LSTM, whose gates get its order, and with
    /// Keras' for a GRU, whose order is ONNX's.
    fn recurrent(&self, node: &Node, direction: usize) -> Option<Vec<(&'static str, Constant)>> {
        let directions = if node.text("direction") == Some("bidirectional") { 2 } else { 1 };
        // The part of a tensor that belongs to the direction.
        let part = |index: usize| {
            let of = self.constant(node, index)?;
            let (&count, rest) = of.shape.split_first()?;
            if count != directions || count == 1 {
                return (count == directions).then(|| of.clone());
            }
            let shape = [&[1], rest].concat();
            let first = direction * product(rest.iter().copied());
            Some(Constant { shape, key: of.key.clone(), form: Form::Range { of: Arc::new(of.clone()), first } })
        };
        let (gates, names): (&'static [usize], _) = match node.op.as_str() {
            "LSTM" => (&[0, 2, 3, 1], ["input_weights", "hidden_weights", "biases"]),
            _ => (&[0, 1, 2], ["weight", "recurrent_kernel", "bias"]),
        };
        let units = usize::try_from(node.int("hidden_size", 0)).ok().filter(|&units| units > 0)?;
        let width = units.checked_mul(gates.len())?;
        let mut parameters = Vec::new();
        for (index, name) in [1, 2].into_iter().zip(names) {
            let of = part(index)?;
            let &[1, rows, inputs] = &of.shape[..] else { return None };
            let form = Form::Gates { of: Arc::new(of.clone()), gates, units };
            (rows == width).then(|| {
                parameters.push((name, Constant { shape: vec![inputs, width], key: of.key.clone(), form }));
            })?;
        }
        let shape = if node.op == "LSTM" { vec![width] } else { vec![2, width] };
        parameters.push(match node.input(3) {
            Some(_) => {
                let of = part(3).filter(|of| of.shape == [1, width * 2])?;
                let form = Form::GateBiases { of: Arc::new(of.clone()), gates, units, added: node.op == "LSTM" };
                (names[2], Constant { shape, key: of.key, form })
            }
            // The layers have biases.
            None => (names[2], Constant { shape, key: "no biases".into(), form: Form::Filled(0.0) }),
        });
        if node.op == "LSTM" && node.input(7).is_some() {
            let of = part(7).filter(|of| of.shape == [1, 3 * units])?;
            let gates = ["weight_cell_to_ingate", "weight_cell_to_outgate", "weight_cell_to_forgetgate"];
            for (at, name) in gates.into_iter().enumerate() {
                let form = Form::Range { of: Arc::new(of.clone()), first: at * units };
                parameters.push((name, Constant { shape: vec![units], key: of.key.clone(), form }));
            }
        }
        Some(parameters)
    }

    /// The sum or product with a constant that alone reads a value.
    fn follows(&self, value: &str, op: &str, fits: impl Fn(&[usize]) -> bool) -> Option<(usize, Constant)> {
        let [next] = self.users.get(value)?[..] else { return None };
        let node = self.graph.nodes.get(next).filter(|node| node.op == op && node.domain.is_empty())?;
        let other = node.inputs.iter().position(|input| input != value)?;
        let constant = self.constant(node, other).filter(|constant| fits(&constant.shape))?;
        Some((next, constant.reshaped(vec![constant.len()])))
    }

    fn takes(&self, layer: &mut Layer, next: usize) {
        layer.also.push(next);
        layer.output = self.graph.nodes[next].output().into();
    }

    /// Takes a constant that is added after a transpose that brings channels to the end, as Keras' exports have it, as the bias.
    fn add_to_last(&self, layer: &mut Layer, filters: usize, spatial: usize) {
        let Some(&[next]) = self.users.get(layer.output.as_str()).map(Vec::as_slice) else { return };
        let Some(node) = self.graph.nodes.get(next).filter(|node| layer.also.is_empty() && node.op == "Transpose")
        else {
            return;
        };
        let order: Vec<usize> = [0].into_iter().chain(2..spatial + 2).chain([1]).collect();
        let found: Option<Vec<usize>> =
            node.ints("perm").and_then(|list| list.iter().map(|&axis| usize::try_from(axis).ok()).collect());
        if found.as_ref() != Some(&order) {
            return;
        }
        if let Some((add, bias)) = self.follows(node.output(), "Add", |shape| is_per_unit(shape, filters)) {
            layer.parameters.push(("bias", bias));
            layer.also.push(next);
            self.takes(layer, add);
            layer.moved = Some(order);
        }
    }

    /// Takes a constant that is added after a layer as its bias.
    fn add(&self, layer: &mut Layer, role: &'static str, fits: impl Fn(&[usize]) -> bool) {
        if let Some((next, bias)) = self.follows(&layer.output, "Add", fits) {
            layer.parameters.push((role, bias));
            self.takes(layer, next);
        }
    }
}

/// A constant times a number.
fn scaled(constant: Constant, factor: f32) -> Constant {
    if factor == 1.0 {
        return constant;
    }
    let factors =
        Constant { shape: constant.shape.clone(), key: factor.to_string(), form: Form::Filled(factor.into()) };
    constant.times(&factors)
}

/// Whether a constant has values for each step and feature of a sequence.
fn is_for_steps(constant: &Constant) -> bool {
    let is_float = !matches!(constant.form, Form::Computed { whole: true, .. });
    is_float && matches!(constant.shape[..], [1, steps, features] if steps > 1 && features > 1)
}

/// Whether a constant hides values to which it is added: it is 0 or very negative everywhere.
pub fn is_mask(constant: &Constant, source: &Source) -> bool {
    let hides = |values: Vec<f64>| {
        let hidden = |value: &f64| *value < HIDDEN;
        values.iter().all(|value| *value == 0.0 || hidden(value)) && values.iter().any(hidden)
    };
    constant.shape.len() > 1 && constant.small(source).is_some_and(|(values, _)| hides(values))
}

/// Whether a constant has several values, which are no integers.
fn is_operand(constant: &Constant) -> bool {
    constant.is_float() && constant.len() > 1
}

/// Whether a constant has a value for each channel of (n, c, …), whatever the pixel.
fn is_per_channel(shape: &[usize], channels: usize, spatial: usize) -> bool {
    let Some((front, pixels)) = shape.split_at_checked(shape.len().saturating_sub(spatial)) else { return false };
    pixels.len() == spatial && pixels.iter().all(|&size| size == 1) && is_per_unit(front, channels)
}

/// Whether a constant has a value for each of the features (n, c).
fn is_per_unit(shape: &[usize], units: usize) -> bool {
    matches!(shape.split_last(), Some((&last, front)) if last == units && front.iter().all(|&size| size == 1))
}

/// The tensors of the file that a constant is made of.
pub fn tensors(constant: &Constant) -> Vec<&str> {
    match &constant.form {
        Form::Product(a, b) | Form::Sum(a, b) => [tensors(a), tensors(b)].concat(),
        Form::Transposed(of)
        | Form::Gates { of, .. }
        | Form::GateBiases { of, .. }
        | Form::Range { of, .. }
        | Form::Reciprocal(of) => tensors(of),
        _ => vec![&constant.key],
    }
}

/// The projections of PyTorch's `MultiheadAttention`.
const PACKED: &str = "in_proj";
const OUTPUT: &str = "out_proj";

/// Names the two projections of PyTorch's attentions, whose weights exporters give numbers, after what is known of one: the bias of
/// the first or the weight of the last. A bias of zeros that an exporter left out is added to the last.
fn name_attentions(layers: &mut [Layer], graph: &Graph) {
    let matrix = |layer: &Layer| {
        let product = matches!(graph.nodes[layer.node].op.as_str(), "MatMul" | "Gemm");
        match layer.parameter("weight").map(|weight| &weight.shape[..]) {
            Some(&[units, inputs]) if product => Some((units, inputs)),
            _ => None,
        }
    };
    for first in 0..layers.len() {
        let Some((packed, features)) = matrix(&layers[first]) else { continue };
        let next = (first + 1..layers.len()).find(|&at| matrix(&layers[at]).is_some());
        let Some(last) = next.filter(|&at| matrix(&layers[at]) == Some((features, features))) else { continue };
        let between = &graph.nodes[layers[first].node..layers[last].node];
        if Some(packed) != features.checked_mul(3) || !between.iter().any(|node| node.op == "Softmax") {
            continue;
        }
        let Some(name) = attention(&layers[first]).or_else(|| attention(&layers[last])) else { continue };
        let names = [format!("{name}.{PACKED}"), format!("{name}.{OUTPUT}")];
        let taken = |at: usize| at != first && at != last && names.contains(&layers[at].name);
        if (0..layers.len()).any(taken) {
            continue;
        }
        let [of_first, of_last] = names;
        (layers[first].name, layers[last].name) = (of_first, of_last);
        if layers[first].parameter("bias").is_some() && layers[last].parameter("bias").is_none() {
            let zeros = Constant { shape: vec![features], key: "no bias".into(), form: Form::Filled(0.0) };
            layers[last].parameters.push(("bias", zeros));
        }
    }
}

/// The name of the attention that the tensors of a projection tell.
fn attention(layer: &Layer) -> Option<String> {
    let tensors = layer.parameters.iter().flat_map(|(_, constant)| tensors(constant));
    let of_tensor = |tensor: &str| {
        let (parent, own) = tensor.rsplit_once('.')?;
        match own {
            "in_proj_weight" | "in_proj_bias" => Some(parent.to_string()),
            _ => parent.strip_suffix(OUTPUT)?.strip_suffix('.').map(str::to_string),
        }
    };
    tensors.into_iter().find_map(of_tensor)
}

/// Names the projections whose weights are rows of the one tensor of PyTorch's `MultiheadAttention` as what they project: queries,
/// keys or values, or keys and values together. The last projection is named after its tensor.
fn name_parts(layers: &mut [Layer]) {
    let rows = |layer: &Layer| {
        let weight = layer.parameter("weight")?;
        let (of, first) = match &weight.form {
            Form::Range { of, first } => (of, *first),
            Form::Transposed(inner) => match &inner.form {
                Form::Transposed(inner) => match &inner.form {
                    Form::Range { of, first } => (of, *first),
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        let parent = of.key.strip_suffix("in_proj_weight")?.strip_suffix('.')?;
        let (&[units, inputs], &[all, _]) = (&weight.shape[..], &of.shape[..]) else { return None };
        let part = match (first, units) {
            (0, units) if units == inputs => "q_proj",
            (first, units) if (first, units) == (inputs * inputs, 2 * inputs) => "kv_proj",
            (first, units) if (first, units) == (inputs * inputs, inputs) => "k_proj",
            (first, units) if (first, units) == (2 * inputs * inputs, inputs) => "v_proj",
            _ => return None,
        };
        (all == 3 * inputs).then(|| (parent.to_string(), format!("{parent}.{part}")))
    };
    let found: Vec<_> = layers.iter().map(rows).collect();
    let parents: Vec<String> = found.iter().flatten().map(|(parent, _)| parent.clone()).collect();
    let names: Vec<Option<String>> = layers
        .iter()
        .zip(found)
        .map(|(layer, part)| match part {
            Some((_, name)) => Some(name),
            None => {
                attention(layer).filter(|parent| parents.contains(parent)).map(|parent| format!("{parent}.{OUTPUT}"))
            }
        })
        .collect();
    let mut wanted: Vec<&String> = names.iter().flatten().collect();
    wanted.sort_unstable();
    let is_taken = |name: &String| layers.iter().zip(&names).any(|(layer, own)| own.is_none() && layer.name == *name);
    if wanted.windows(2).any(|pair| pair[0] == pair[1]) || wanted.iter().any(|name| is_taken(name)) {
        return;
    }
    for (layer, name) in layers.iter_mut().zip(names) {
        layer.name = name.unwrap_or(std::mem::take(&mut layer.name));
    }
}
