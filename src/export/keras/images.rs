//! Windows over images and sequences: convolutions and pools, with the borders that Keras has as layers of their own.

use super::context::{Context, Converted, lacks, reshape};
use super::model::Tensor;
use crate::graph::{FusionRole, Graph, Node, NodeId};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::movement::resample::Interpolation;
use crate::ops::convolution::Convolution;
use crate::ops::convolution::separable::SeparableConvolution;
use crate::ops::convolution::transposed_convolution::TransposedConvolution;
use crate::ops::convolution::window::{Padding, Sliding};
use crate::ops::dense::{Dense, Function};
use crate::ops::merge::concatenate::Concatenate;
use crate::ops::pool::Pool;
use crate::ops::shape::rearrange::{BlockOrder, Kind, Rearrange};
use crate::ops::shape::resize::Resize;
use crate::tensor::{Size, TensorType};
use serde_json::{Value, json};

/// Sizes of a window: two over an image, one along a sequence.
fn along(sizes: [usize; 2], single: bool) -> Value {
    if single { json!([sizes[1]]) } else { json!(sizes) }
}

/// Zeros around an image, or before and after a sequence.
fn padded(cx: &mut Context, node: &Node, x: Tensor, sides: [[usize; 2]; 2], single: bool) -> Tensor {
    if sides == [[0; 2]; 2] {
        return x;
    }
    let mut output = cx.model.output(x).clone();
    let axes: &[usize] = if single { &[1] } else { &[0, 1] };
    for (size, &axis) in output.sizes.iter_mut().zip(axes) {
        *size = size.map(|size| size.saturating_add(sides[axis][0]).saturating_add(sides[axis][1]));
    }
    match single {
        true => cx.layer(node, "ZeroPadding1D", json!({ "padding": sides[1] }), &[x], output),
        false => cx.layer(node, "ZeroPadding2D", json!({ "padding": sides }), &[x], output),
    }
}

/// The border before a window that Keras has no word for, and the word that is left.
fn border(window: &Sliding) -> ([[usize; 2]; 2], &'static str) {
    match window.padding {
        Padding::Same => ([[0; 2]; 2], "same"),
        Padding::Valid => ([[0; 2]; 2], "valid"),
        Padding::Pixels(pixels) => (pixels.map(|pixels| [pixels; 2]), "valid"),
        Padding::Sides(sides) => (sides, "valid"),
    }
}

/// Whether windows along a sequence are meant.
fn is_sequence(cx: &Context, x: Tensor) -> bool {
    cx.model.output(x).sizes.len() == 2
}

/// Keras refuses a stride together with a dilation.
fn check_steps(node: &Node, window: &Sliding) -> Result<(), String> {
    match window.stride != [1, 1] && window.dilation != [1, 1] {
        true => Err(format!("Keras' convolutions have a stride or a dilation: `{}` has both", node.name)),
        false => Ok(()),
    }
}

pub(super) fn convolution(cx: &mut Context, id: NodeId, layer: &Convolution, x: Tensor) -> Converted {
    let node = cx.graph.node(id);
    let single = is_sequence(cx, x);
    check_steps(node, &layer.window)?;
    let channels = cx.model.output(x).channels().known();
    let (sides, word) = border(&layer.window);
    let x = padded(cx, node, x, sides, single);
    let mut config = json!({
        "kernel_size": along(layer.window.size, single),
        "strides": along(layer.window.stride, single),
        "padding": word,
        "dilation_rate": along(layer.window.dilation, single),
        "use_bias": layer.bias.is_some(),
    });
    let class = match (layer.depthwise, single, channels) {
        (true, _, Some(channels)) if channels > 0 => {
            let filters = node.output.channels().known().unwrap_or(channels);
            config["depth_multiplier"] = json!(filters / channels);
            if single { "DepthwiseConv1D" } else { "DepthwiseConv2D" }
        }
        (true, ..) => return Err(lacks(node)),
        (false, ..) => {
            config["filters"] = json!(layer.filters);
            config["groups"] = json!(layer.groups);
            if single { "Conv1D" } else { "Conv2D" }
        }
    };
    cx.with_variables(node, class, config, x, node.output.clone(), "")
}

pub(super) fn separable(cx: &mut Context, id: NodeId, layer: &SeparableConvolution, x: Tensor) -> Converted {
    let node = cx.graph.node(id);
    let single = is_sequence(cx, x);
    check_steps(node, &layer.window)?;
    let (sides, word) = border(&layer.window);
    let x = padded(cx, node, x, sides, single);
    let config = json!({
        "filters": layer.filters,
        "kernel_size": along(layer.window.size, single),
        "strides": along(layer.window.stride, single),
        "padding": word,
        "dilation_rate": along(layer.window.dilation, single),
        "depth_multiplier": layer.multiplier,
        "use_bias": layer.bias.is_some(),
    });
    let class = if single { "SeparableConv1D" } else { "SeparableConv2D" };
    cx.with_variables(node, class, config, x, node.output.clone(), "")
}

/// `Conv2DTranspose` gives all that its windows cover, or the stride where that is wider; what netc crops is a layer behind.
pub(super) fn transposed(cx: &mut Context, id: NodeId, layer: &TransposedConvolution, x: Tensor) -> Converted {
    let node = cx.graph.node(id);
    let spreading = layer.spreading;
    if layer.groups > 1 || spreading.stride != [1, 1] && spreading.dilation != [1, 1] {
        return Err(format!(
            "Keras' transposed convolutions have no groups, and no stride beside a dilation: `{}`",
            node.name
        ));
    }
    let mut config = json!({
        "filters": layer.filters,
        "kernel_size": spreading.size,
        "strides": spreading.stride,
        "dilation_rate": spreading.dilation,
        "use_bias": layer.bias.is_some(),
    });
    if spreading.padding == Padding::Same {
        config["padding"] = json!("same");
        return cx.with_variables(node, "Conv2DTranspose", config, x, node.output.clone(), "");
    }
    config["padding"] = json!("valid");
    let sizes = &cx.model.output(x).sizes;
    let (Some(Size::Known(height)), Some(Size::Known(width))) = (sizes.first(), sizes.get(1)) else {
        return Err(format!("the size of the input of `{}` is open", node.name));
    };
    let mut crop = [[0; 2]; 2];
    let mut covered = [Size::Open; 2];
    for (axis, size) in [*height, *width].into_iter().enumerate() {
        let extent = (spreading.size[axis] - 1).saturating_mul(spreading.dilation[axis]).saturating_add(1);
        let whole =
            (size - 1).saturating_mul(spreading.stride[axis]).saturating_add(extent.max(spreading.stride[axis]));
        let (out, front) = spreading.along(axis, size).ok_or_else(|| lacks(node))?;
        let behind = whole.checked_sub(out.saturating_add(front)).ok_or_else(|| {
            format!(
                "the output padding of `{}` adds pixels that Keras' transposed convolution does not have",
                node.name
            )
        })?;
        crop[axis] = [front, behind];
        covered[axis] = Size::Known(whole);
    }
    let covered = TensorType::batched([covered[0], covered[1], node.output.channels()]);
    let tensor = cx.with_variables(node, "Conv2DTranspose", config, x, covered, "")?;
    match crop == [[0; 2]; 2] {
        true => Ok(tensor),
        false => Ok(cx.layer(node, "Cropping2D", json!({ "cropping": crop }), &[tensor], node.output.clone())),
    }
}

/// Pools: Keras pads by `same` alone. Zeros in front of a maximum change nothing where no value is negative.
pub(super) fn pool(cx: &mut Context, id: NodeId, layer: &Pool, x: Tensor) -> Converted {
    let graph = cx.graph;
    let node = graph.node(id);
    let single = is_sequence(cx, x);
    let sizes = cx.model.output(x).sizes.clone();
    let window = layer.window;
    let mut sides = [[0; 2]; 2];
    let mut word = "same";
    if window.padding != Padding::Same {
        word = "valid";
        for (place, axis) in if single { vec![(0, 1)] } else { vec![(0, 0), (1, 1)] } {
            let (before, after) = match window.padding {
                Padding::Pixels(pixels) => (pixels[axis], pixels[axis]),
                Padding::Sides(sides) => (sides[axis][0], sides[axis][1]),
                Padding::Valid | Padding::Same => (0, 0),
            };
            sides[axis] = [before, after];
            // A last window that goes over the end.
            if window.ceil {
                let Some(Size::Known(size)) = sizes.get(place) else {
                    return Err(format!("`{}` rounds sizes up, and the size of its input is open", node.name));
                };
                let (out, _) = window.along(axis, *size).ok_or_else(|| lacks(node))?;
                let end = (out - 1).saturating_mul(window.stride[axis]).saturating_add(window.size[axis]);
                sides[axis][1] = after.max(end.saturating_sub(size.saturating_add(before)));
            }
        }
    }
    let same = Sliding { padding: Padding::Same, ceil: false, ..window };
    let is_same = |place: usize, axis: usize| match sizes.get(place) {
        Some(Size::Known(size)) => window.along(axis, *size) == same.along(axis, *size),
        _ => false,
    };
    let all_same = if single { is_same(0, 1) } else { is_same(0, 0) && is_same(1, 1) };
    let mut x = x;
    if sides != [[0; 2]; 2] {
        if all_same {
            word = "same";
        } else if !layer.average && is_nowhere_negative(graph, node.inputs[0]) {
            x = padded(cx, node, x, sides, single);
        } else {
            return Err(format!("Keras' pools have no padding but `same`: `{}` has another", node.name));
        }
    }
    let config = json!({
        "pool_size": along(window.size, single),
        "strides": along(window.stride, single),
        "padding": word,
    });
    let class = match (layer.average, single) {
        (true, false) => "AveragePooling2D",
        (true, true) => "AveragePooling1D",
        (false, false) => "MaxPooling2D",
        (false, true) => "MaxPooling1D",
    };
    Ok(cx.layer(node, class, config, &[x], node.output.clone()))
}

/// Whether no value of a node is negative, by the functions that lead to it.
fn is_nowhere_negative(graph: &Graph, id: NodeId) -> bool {
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        let node = graph.node(id);
        let any = node.operation.as_any();
        let function = match (any.downcast_ref::<Dense>(), node.operation.fusion_role()) {
            (Some(Dense { function: Function::Elementwise(activation), .. }), _) => Some(*activation),
            (Some(_), _) => continue,
            (None, FusionRole::Activation(activation)) => Some(activation),
            (None, FusionRole::Softmax) => continue,
            _ => None,
        };
        match function {
            Some(
                Activation::Relu { alpha: 0.0 }
                | Activation::Relu6
                | Activation::Sigmoid
                | Activation::HardSigmoid { .. }
                | Activation::Softplus
                | Activation::Exp
                | Activation::Sqrt
                | Activation::Square,
            ) => {}
            Some(Activation::Clip { min, .. }) if min >= 0.0 => {}
            Some(Activation::Linear) | None if !node.inputs.is_empty() => {
                let passes = node.operation.keeps_values() && node.parameters.is_empty();
                let joins = any.is::<Concatenate>() || any.is::<Pool>();
                if !passes && !joins {
                    return false;
                }
                open.extend(&node.inputs);
            }
            _ => return false,
        }
    }
    true
}

/// Interpolation by whole factors, or to a size.
pub(super) fn resize(cx: &mut Context, id: NodeId, layer: &Resize, x: Tensor) -> Converted {
    let node = cx.graph.node(id);
    let known = |sizes: &[Size]| match *sizes {
        [Size::Known(height), Size::Known(width), _] => Some([height, width]),
        _ => None,
    };
    let from = known(&cx.model.output(x).sizes).ok_or_else(|| lacks(node))?;
    let to = known(&node.output.sizes).ok_or_else(|| lacks(node))?;
    let whole = (0..2).all(|axis| to[axis].is_multiple_of(from[axis]));
    let word = match (layer.interpolation, layer.align_corners) {
        (Interpolation::Nearest, false) if whole => "nearest",
        (Interpolation::Bilinear, false) if whole => "bilinear",
        _ => return Err(format!("Keras interpolates by whole factors, without aligned corners: `{}`", node.name)),
    };
    let config = json!({ "size": [to[0] / from[0], to[1] / from[1]], "interpolation": word });
    Ok(cx.layer(node, "UpSampling2D", config, &[x], node.output.clone()))
}

/// Rearranged channels and pixels: the axes are split, permuted and joined.
pub(super) fn rearrange(cx: &mut Context, id: NodeId, layer: &Rearrange, x: Tensor) -> Converted {
    let node = cx.graph.node(id);
    let sizes = cx.model.output(x).known().ok_or_else(|| lacks(node))?;
    let &[height, width, channels] = &sizes[..] else { return Err(lacks(node)) };
    let k = layer.count.max(1);
    let (split, order): (Vec<usize>, Vec<usize>) = match layer.kind {
        Kind::Shuffle => (vec![height, width, k, channels / k], vec![1, 2, 4, 3]),
        Kind::SpaceToDepth(block) => {
            let order = if block == BlockOrder::Dcr { vec![1, 3, 2, 4, 5] } else { vec![1, 3, 5, 2, 4] };
            (vec![height / k, k, width / k, k, channels], order)
        }
        Kind::DepthToSpace(BlockOrder::Dcr) => (vec![height, width, k, k, channels / k / k], vec![1, 3, 2, 4, 5]),
        Kind::DepthToSpace(BlockOrder::Crd) => (vec![height, width, channels / k / k, k, k], vec![1, 4, 2, 5, 3]),
    };
    let permuted: Vec<usize> = order.iter().filter_map(|&axis| split.get(axis - 1)).copied().collect();
    let x = reshape(cx, node, x, TensorType::of(&split));
    let x = cx.layer(node, "Permute", json!({ "dims": order }), &[x], TensorType::of(&permuted));
    Ok(reshape(cx, node, x, node.output.clone()))
}
