//! The chains before and after a layer, of the spec and of the file.

use super::chain::Written;
use super::function::Function;
use super::{LayerConfig, Model};
use crate::graph::{Arity, FusionRole, Graph, NodeId};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::combine::Merge;
use crate::kernels::movement::border::Border;
use crate::ops::convolution::Convolution;
use crate::ops::convolution::separable::SeparableConvolution;
use crate::ops::convolution::window::{Padding, Sliding};
use crate::ops::dense::{Dense, Function as Behind};
use crate::ops::merge::Elementwise;
use crate::ops::merge::concatenate::Concatenate;
use crate::ops::pool::reduce::Reduce;
use crate::ops::pool::{GlobalPool, Pool};
use crate::ops::shape::Transpose;
use crate::ops::shape::pad::{Pad, Sides};
use crate::ops::shape::resize::Upscale;
use crate::plan::steps::pool::Reduction;
use serde_json::Value;

/// The layer at which a chain begins or ends, or why it cannot be followed further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End<T> {
    /// A layer with parameters.
    Layer(T),
    Merge(T),
    /// The input of the net, or its output if the chain is followed forward.
    Outside(T),
    /// An unknown layer.
    Unknown,
    /// Not stated in the file.
    Unstated,
}

/// The role of a layer in its chain.
enum Link {
    Identity,
    Plain(Written),
    /// A layer with parameters, and its activation.
    Layer(Option<Function>),
    Merging,
    Input,
    Unknown,
}

/// The layers without parameters up to a layer, in execution order, and where the chain begins; the layer, or why there is none, is
/// `last`. `input` returns the input of a layer, or why there is none; `begins` returns the end for an input layer.
fn up_to<T: Copy>(
    last: Result<T, End<T>>,
    link: impl Fn(T) -> Link,
    mut input: impl FnMut(T) -> Result<T, End<T>>,
    begins: impl Fn(T) -> End<T>,
) -> (Vec<Written>, End<T>) {
    let (mut chain, mut next) = (Vec::new(), last);
    let end = loop {
        let at = match next {
            Ok(at) => at,
            Err(end) => break end,
        };
        match link(at) {
            Link::Identity => {}
            Link::Plain(written) => chain.push(written),
            Link::Layer(function) => {
                chain.extend(function.map(Written::Function));
                break End::Layer(at);
            }
            Link::Merging => break End::Merge(at),
            Link::Input => break begins(at),
            Link::Unknown => break End::Unknown,
        }
        next = input(at);
    };
    chain.reverse();
    (chain, end)
}

/// The layers without parameters after `from`, starting with its own activation, and where the chain ends. `output` returns the
/// consumer of a layer, or why there is none.
fn after<T: Copy>(
    from: T,
    link: impl Fn(T) -> Link,
    mut output: impl FnMut(T) -> Result<T, End<T>>,
) -> (Vec<Written>, End<T>) {
    let (mut chain, mut at) = (Vec::new(), from);
    match link(from) {
        Link::Layer(function) => chain.extend(function.map(Written::Function)),
        _ => return (chain, End::Unknown),
    }
    loop {
        at = match output(at) {
            Ok(output) => output,
            Err(end) => return (chain, end),
        };
        match link(at) {
            Link::Identity => {}
            Link::Plain(written) => chain.push(written),
            _ => return (chain, End::Unknown),
        }
    }
}

/// The layers without parameters before a node, in execution order, and where the chain begins.
pub(super) fn before_node(graph: &Graph, id: NodeId) -> (Vec<Written>, End<NodeId>) {
    up_to(input_of_node(graph, id), |at| link_of_node(graph, at), |at| input_of_node(graph, at), End::Outside)
}

/// The layers without parameters up to a node, itself among them.
pub(super) fn up_to_node(graph: &Graph, id: NodeId) -> (Vec<Written>, End<NodeId>) {
    up_to(Ok(id), |at| link_of_node(graph, at), |at| input_of_node(graph, at), End::Outside)
}

fn input_of_node(graph: &Graph, id: NodeId) -> Result<NodeId, End<NodeId>> {
    match graph.node(id).inputs[..] {
        [input] => Ok(input),
        _ => Err(End::Unknown),
    }
}

/// The layers without parameters between a node with parameters and the output of the net.
pub(super) fn after_node(graph: &Graph, consumers: &[Vec<NodeId>], id: NodeId) -> (Vec<Written>, End<NodeId>) {
    let output = |at: NodeId| match consumers[at.0][..] {
        [] => Err(End::Outside(at)),
        [next] if !graph.outputs.contains(&at) => Ok(next),
        _ => Err(End::Unknown),
    };
    after(id, |at| link_of_node(graph, at), output)
}

fn link_of_node(graph: &Graph, id: NodeId) -> Link {
    let node = graph.node(id);
    let operation = node.operation.as_any();
    if node.inputs.is_empty() {
        return Link::Input;
    }
    if !node.parameters.is_empty() {
        let function = operation.downcast_ref::<Dense>().and_then(|dense| match dense.function {
            Behind::Elementwise(Activation::Linear) => None,
            Behind::Elementwise(activation) => Some(Function::of_net(activation)),
            Behind::Softmax | Behind::SoftmaxAlong(_) => Some(Function::softmax()),
        });
        return Link::Layer(function);
    }
    match node.operation.fusion_role() {
        FusionRole::Activation(activation) => return Link::Plain(Written::Function(Function::of_net(activation))),
        FusionRole::Softmax => return Link::Plain(Written::Function(Function::softmax())),
        _ => {}
    }
    if node.operation.keeps_values() {
        return Link::Identity;
    }
    if node.operation.arity() == Arity::Many {
        return Link::Merging;
    }
    if let Some(pool) = operation.downcast_ref::<Pool>() {
        return Link::Plain(Written::Pool(pool.average, pool.window));
    }
    if let Some(pool) = operation.downcast_ref::<GlobalPool>() {
        // It is the identity on features.
        let features = graph.input_types(id).first().is_some_and(|input| input.sizes.len() == 1);
        return if features { Link::Identity } else { Link::Plain(Written::Global(pool.reduction)) };
    }
    if let Some(reduce) = operation.downcast_ref::<Reduce>() {
        return if reduce.is_over_pixels() { Link::Plain(Written::Global(reduce.reduction)) } else { Link::Unknown };
    }
    if let Some(&Pad { sides: Sides { top, bottom, left, right }, border: Border::Zero, .. }) = operation.downcast_ref()
    {
        return Link::Plain(Written::Border([[top, bottom], [left, right]]));
    }
    match operation.downcast_ref::<Upscale>() {
        Some(upscale) => Link::Plain(Written::Upscale(upscale.scale)),
        None => Link::Unknown,
    }
}

/// The window of a node, if it is a convolution.
pub(super) fn window_of_node(graph: &Graph, id: NodeId) -> Option<Sliding> {
    let operation = graph.node(id).operation.as_any();
    let separable = || operation.downcast_ref::<SeparableConvolution>().map(|convolution| convolution.window);
    operation.downcast_ref::<Convolution>().map(|convolution| convolution.window).or_else(separable)
}

/// The layers without parameters before a layer of the file, and where the chain begins.
pub(super) fn before_layer(model: &Model, layer: usize) -> (Vec<Written>, End<usize>) {
    up_to_input_of(model, input_of_layer(model, layer))
}

/// The layers without parameters up to a layer of the file, itself among them.
pub(super) fn up_to_layer(model: &Model, layer: usize) -> (Vec<Written>, End<usize>) {
    up_to_input_of(model, Ok(layer))
}

fn up_to_input_of(model: &Model, last: Result<usize, End<usize>>) -> (Vec<Written>, End<usize>) {
    // The file may contain a cycle.
    let mut left = model.layers.len();
    let input = |at: usize| {
        left = left.saturating_sub(1);
        if left > 0 { input_of_layer(model, at) } else { Err(End::Unknown) }
    };
    let begins = |at: usize| if model.layers[at].model.is_empty() { End::Outside(at) } else { End::Unknown };
    up_to(last, |at| link_of_layer(model, at), input, begins)
}

fn input_of_layer(model: &Model, at: usize) -> Result<usize, End<usize>> {
    match model.layers[at].inputs.as_deref() {
        None => Err(End::Unstated),
        Some([]) if model.layers[at].model.is_empty() => Err(End::Outside(at)),
        Some(&[input]) => Ok(input),
        Some(_) => Err(End::Unknown),
    }
}

/// What a merge does with its inputs.
pub(super) fn merge_of_node(graph: &Graph, id: NodeId) -> Option<Joining> {
    let operation = graph.node(id).operation.as_any();
    if operation.is::<Concatenate>() {
        return Some(Joining::Concatenate);
    }
    match operation.downcast_ref::<Elementwise>()?.merge {
        Merge::Add => Some(Joining::Add),
        Merge::Multiply => Some(Joining::Multiply),
        Merge::Average => Some(Joining::Average),
        Merge::Maximum => Some(Joining::Maximum),
        Merge::Minimum => Some(Joining::Minimum),
        Merge::Subtract => Some(Joining::Subtract),
        Merge::SubtractFrom | Merge::Divide | Merge::DivideInto => None,
    }
}

/// What a merge of the file does with its inputs.
pub(super) fn merge_of_layer(model: &Model, at: usize) -> Option<Joining> {
    Joining::ALL.into_iter().find(|joining| joining.name() == model.layers[at].class)
}

/// How a merge joins its inputs, by Keras' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    Add,
    Subtract,
    Multiply,
    Average,
    Maximum,
    Minimum,
    Concatenate,
}

impl Joining {
    const ALL: [Joining; 7] = [
        Joining::Add,
        Joining::Subtract,
        Joining::Multiply,
        Joining::Average,
        Joining::Maximum,
        Joining::Minimum,
        Joining::Concatenate,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Joining::Add => "Add",
            Joining::Subtract => "Subtract",
            Joining::Multiply => "Multiply",
            Joining::Average => "Average",
            Joining::Maximum => "Maximum",
            Joining::Minimum => "Minimum",
            Joining::Concatenate => "Concatenate",
        }
    }

    /// Whether the order of the inputs matters.
    pub fn is_ordered(self) -> bool {
        matches!(self, Joining::Subtract | Joining::Concatenate)
    }
}

/// The layers of the file between a layer and the preceding merge or layer with parameters, known or unknown.
pub(super) fn layers_before(model: &Model, layer: usize) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), layer);
    // The file may contain a cycle.
    while let Some(&[input]) = model.layers[at].inputs.as_deref()
        && found.len() < model.layers.len()
        && !matches!(link_of_layer(model, input), Link::Layer(_) | Link::Merging)
    {
        found.push(input);
        at = input;
    }
    found
}

/// Whether axes are transposed between a node and the preceding merge or layer with parameters.
pub(super) fn transposes_before(graph: &Graph, id: NodeId) -> bool {
    let mut at = id;
    while let [input] = graph.node(at).inputs[..]
        && !matches!(link_of_node(graph, input), Link::Layer(_) | Link::Merging)
    {
        if graph.node(input).operation.as_any().is::<Transpose>() {
            return true;
        }
        at = input;
    }
    false
}

/// The layers without parameters between a layer of the file and the output of the model.
pub(super) fn after_layer(model: &Model, layer: usize) -> (Vec<Written>, End<usize>) {
    let mut left = model.layers.len();
    let output = |at: usize| match model.layers[at].outputs[..] {
        _ if left == 0 || !model.layers[at].model.is_empty() => Err(End::Unknown),
        [] => Err(End::Outside(at)),
        [next] => {
            left -= 1;
            Ok(next)
        }
        _ => Err(End::Unknown),
    };
    after(layer, |at| link_of_layer(model, at), output)
}

fn link_of_layer(model: &Model, at: usize) -> Link {
    let layer = &model.layers[at];
    let is = |written: Option<Written>| written.map_or(Link::Unknown, Link::Plain);
    match layer.class.as_str() {
        "InputLayer" => Link::Input,
        "Dropout"
        | "SpatialDropout1D"
        | "SpatialDropout2D"
        | "SpatialDropout3D"
        | "GaussianNoise"
        | "GaussianDropout"
        | "AlphaDropout"
        | "ActivityRegularization"
        | "Flatten"
        | "Reshape" => Link::Identity,
        "Activation" | "ReLU" | "LeakyReLU" | "ELU" | "ThresholdedReLU" | "Softmax" => {
            is(Function::of_layer(layer, model).map(Written::Function))
        }
        "ZeroPadding2D" => is(border(layer).map(Written::Border)),
        // Along a sequence, a window of one number stands for both axes, as in the spec.
        "MaxPooling1D" | "AveragePooling1D" | "MaxPooling2D" | "AveragePooling2D" => {
            let size = pair(layer.get(&["pool_size"]), 1);
            let stride = layer.get(&["strides"]).map_or(size, |stride| pair(Some(stride), 1));
            let (Some(size), Some(stride)) = (size, stride) else { return Link::Unknown };
            let Some(padding) = padding(layer) else { return Link::Unknown };
            let window = Sliding { size, stride, dilation: [1, 1], padding, ceil: false };
            Link::Plain(Written::Pool(layer.class.starts_with("Average"), window))
        }
        "GlobalAveragePooling1D" | "GlobalAveragePooling2D" => Link::Plain(Written::Global(Reduction::Average)),
        "GlobalMaxPooling1D" | "GlobalMaxPooling2D" => Link::Plain(Written::Global(Reduction::Maximum)),
        "UpSampling2D" => match layer.get(&["interpolation"]).and_then(Value::as_str) {
            None | Some("nearest") => is(pair(layer.get(&["size"]), 1).map(Written::Upscale)),
            Some(_) => Link::Unknown,
        },
        "Add" | "Subtract" | "Multiply" | "Average" | "Maximum" | "Minimum" | "Concatenate" | "Dot" | "Merge" => {
            // A function with a number has one input.
            let merges = layer.inputs.as_ref().is_none_or(|inputs| inputs.len() > 1);
            if merges { Link::Merging } else { Link::Unknown }
        }
        "Conv1D" | "Conv2D" | "Convolution2D" | "DepthwiseConv1D" | "DepthwiseConv2D" | "SeparableConv1D"
        | "SeparableConv2D" | "Conv2DTranspose" | "Deconvolution2D" | "Dense" => {
            match Function::of_keras(layer.config.get("activation").unwrap_or(&Value::Null), model) {
                Some(function) => Link::Layer(Some(function).filter(|function| !function.is_linear())),
                None => Link::Unknown,
            }
        }
        "BatchNormalization" | "GroupNormalization" | "LayerNormalization" | "Embedding" | "LSTM" | "GRU" | "PReLU" => {
            Link::Layer(None)
        }
        _ => Link::Unknown,
    }
}

/// One or two numbers of a configuration, each at least `least` and within the range of window sizes.
pub(super) fn pair(value: Option<&Value>, least: usize) -> Option<[usize; 2]> {
    let number = |value: &Value| -> Option<usize> {
        usize::try_from(value.as_u64()?).ok().filter(|number| (least..=1 << 16).contains(number))
    };
    match value? {
        Value::Array(list) => match &list[..] {
            [one] => Some([number(one)?; 2]),
            [a, b] => Some([number(a)?, number(b)?]),
            _ => None,
        },
        one => Some([number(one)?; 2]),
    }
}

/// `same` or `valid`; the name of the argument depends on the version.
pub(super) fn padding(layer: &LayerConfig) -> Option<Padding> {
    match layer.get(&["padding", "border_mode"]).and_then(Value::as_str)? {
        "valid" => Some(Padding::Valid),
        "same" => Some(Padding::Same),
        _ => None,
    }
}

fn border(layer: &LayerConfig) -> Option<[[usize; 2]; 2]> {
    let value = layer.get(&["padding"])?;
    match value.as_array().map(Vec::as_slice) {
        Some([rows @ Value::Array(_), columns @ Value::Array(_)]) => {
            Some([pair(Some(rows), 0)?, pair(Some(columns), 0)?])
        }
        _ => pair(Some(value), 0).map(|[rows, columns]| [[rows; 2], [columns; 2]]),
    }
}
