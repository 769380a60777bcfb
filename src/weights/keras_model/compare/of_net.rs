//! The chains before and after a layer of the spec.

use super::chain::Written;
use super::function::Function;
use super::walk::{End, Link, MergeKind, after, up_to};
use crate::graph::{Arity, FusionRole, Graph, NodeId};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::combine::Merge;
use crate::kernels::movement::border::Border;
use crate::kernels::movement::resample::Interpolation;
use crate::ops::convolution::Convolution;
use crate::ops::convolution::separable::SeparableConvolution;
use crate::ops::convolution::window::Sliding;
use crate::ops::dense::{Dense, Function as Behind};
use crate::ops::merge::Elementwise;
use crate::ops::merge::concatenate::Concatenate;
use crate::ops::pool::reduce::Reduce;
use crate::ops::pool::{GlobalPool, Pool};
use crate::ops::shape::pad::{Crop, Pad, Sides};
use crate::ops::shape::rearrange::Rearrange;
use crate::ops::shape::resize::{Resize, Upscale};
use crate::ops::shape::{RESHAPE, Transpose};
use crate::tensor::TensorType;
use std::any::Any;

/// The layers without parameters before a node, in execution order, and where the chain begins.
pub(super) fn before_node(graph: &Graph, id: NodeId) -> (Vec<Written>, End<NodeId>) {
    up_to_node_of(graph, input_of_node(graph, id), |_| false)
}

/// The layers without parameters up to a node, itself among them.
pub(super) fn up_to_node(graph: &Graph, id: NodeId) -> (Vec<Written>, End<NodeId>) {
    up_to_node_of(graph, Ok(id), |_| false)
}

/// As [`up_to_node`], beyond the unknown nodes that `passes` lets through.
pub(super) fn up_to_node_of(
    graph: &Graph,
    last: Result<NodeId, End<NodeId>>,
    passes: impl FnMut(NodeId) -> bool,
) -> (Vec<Written>, End<NodeId>) {
    up_to(last, |at| link_of_node(graph, at), |at| input_of_node(graph, at), End::Outside, passes)
}

pub(super) fn input_of_node(graph: &Graph, id: NodeId) -> Result<NodeId, End<NodeId>> {
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

/// The softmax that a node computes, along the last axis where it does not say another.
fn softmax(graph: &Graph, id: NodeId) -> Option<Function> {
    let node = graph.node(id);
    let sizes = node.output.sizes.len();
    let named = match node.operation.as_any().downcast_ref() {
        Some(Dense { function: Behind::SoftmaxAlong(axis), .. }) => axis.place(sizes)?,
        _ => sizes.checked_sub(1)?,
    };
    Some(Function::softmax_along(named, sizes))
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
            Behind::Softmax | Behind::SoftmaxAlong(_) => softmax(graph, id),
        });
        return Link::Layer(function);
    }
    if let Some(Dense { function: Behind::SoftmaxAlong(_), .. }) = operation.downcast_ref() {
        return softmax(graph, id).map_or(Link::Unknown, |function| Link::Plain(Written::Function(function)));
    }
    match node.operation.fusion_role() {
        FusionRole::Activation(activation) => return Link::Plain(Written::Function(Function::of_net(activation))),
        FusionRole::Softmax => {
            return softmax(graph, id).map_or(Link::Unknown, |function| Link::Plain(Written::Function(function)));
        }
        _ => {}
    }
    if node.operation.keeps_values() || node.operation.is_stochastic() {
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
    if let Some(&Crop { sides: Sides { top, bottom, left, right } }) = operation.downcast_ref() {
        return Link::Plain(Written::Crop([[top, bottom], [left, right]]));
    }
    if let Some(upscale) = operation.downcast_ref::<Upscale>() {
        return Link::Plain(Written::Upscale(upscale.scale, Interpolation::Nearest));
    }
    match operation.downcast_ref::<Resize>().and_then(|resize| whole_scale(graph, id, resize)) {
        Some(scale) => Link::Plain(Written::Upscale(scale, Interpolation::Bilinear)),
        None => Link::Unknown,
    }
}

/// The factors of a bilinear interpolation as Keras computes it, if they are whole.
fn whole_scale(graph: &Graph, id: NodeId, resize: &Resize) -> Option<[usize; 2]> {
    let sizes = |of: &TensorType| of.image().and_then(|(height, width, _)| Some([height.known()?, width.known()?]));
    let (input, output) = (sizes(graph.input_types(id).first()?)?, sizes(&graph.node(id).output)?);
    let whole = [0, 1].iter().all(|&axis| output[axis].is_multiple_of(input[axis]));
    let is_plain = resize.interpolation == Interpolation::Bilinear && !resize.align_corners;
    (whole && is_plain).then(|| [output[0] / input[0], output[1] / input[1]])
}

/// The window of a node, if it is a convolution.
pub(super) fn window_of_node(graph: &Graph, id: NodeId) -> Option<Sliding> {
    let operation = graph.node(id).operation.as_any();
    let separable = || operation.downcast_ref::<SeparableConvolution>().map(|convolution| convolution.window);
    operation.downcast_ref::<Convolution>().map(|convolution| convolution.window).or_else(separable)
}

/// What a merge does with its inputs.
pub(super) fn merge_of_node(graph: &Graph, id: NodeId) -> Option<MergeKind> {
    let operation = graph.node(id).operation.as_any();
    if operation.is::<Concatenate>() {
        return Some(MergeKind::Concatenate);
    }
    match operation.downcast_ref::<Elementwise>()?.merge {
        Merge::Add => Some(MergeKind::Add),
        Merge::Multiply => Some(MergeKind::Multiply),
        Merge::Average => Some(MergeKind::Average),
        Merge::Maximum => Some(MergeKind::Maximum),
        Merge::Minimum => Some(MergeKind::Minimum),
        Merge::Subtract => Some(MergeKind::Subtract),
        Merge::SubtractFrom | Merge::Divide | Merge::DivideInto => None,
    }
}

/// The nodes between a node and the preceding merge or node with parameters.
fn nodes_before(graph: &Graph, id: NodeId) -> Vec<NodeId> {
    let (mut found, mut at) = (Vec::new(), id);
    while let [input] = graph.node(at).inputs[..]
        && !matches!(link_of_node(graph, input), Link::Layer(_) | Link::Merging)
    {
        found.push(input);
        at = input;
    }
    found
}

/// Whether axes are transposed between a node and the preceding merge or layer with parameters.
pub(super) fn transposes_before(graph: &Graph, id: NodeId) -> bool {
    let transposes = |operation: &dyn Any| operation.is::<Transpose>() || operation.is::<Rearrange>();
    nodes_before(graph, id).iter().any(|&at| transposes(graph.node(at).operation.as_any()))
}

/// Sizes above 1 after the only `Reshape` between a node and the preceding merge or layer with parameters.
pub(super) fn reshaped_before_node(graph: &Graph, id: NodeId) -> Option<Vec<usize>> {
    let reshapes = |at: &NodeId| graph.node(*at).operation.definition().name == RESHAPE.name;
    let found: Vec<NodeId> = nodes_before(graph, id).into_iter().filter(reshapes).collect();
    let &[only] = &found[..] else { return None };
    Some(graph.node(only).output.known()?.into_iter().filter(|&size| size > 1).collect())
}
