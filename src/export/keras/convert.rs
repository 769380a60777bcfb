//! From the layers of a net to those of Keras: by their types.

use super::context::{Context, Converted, lacks, reshape};
use super::model::{Argument, Call, LAYERS, NUMPY, Tensor};
use super::{activation, images, sequences};
use crate::graph::{Node, NodeId};
use crate::kernels::elementwise::combine::Merge;
use crate::kernels::movement::border::Border;
use crate::ops::activation::prelu::PRelu;
use crate::ops::attention::Attention;
use crate::ops::convolution::Convolution;
use crate::ops::convolution::separable::SeparableConvolution;
use crate::ops::convolution::transposed_convolution::TransposedConvolution;
use crate::ops::dense::Dense;
use crate::ops::input::Input;
use crate::ops::merge::Elementwise;
use crate::ops::merge::concatenate::Concatenate;
use crate::ops::norm::batch_norm::BatchNorm;
use crate::ops::norm::layer_norm::LayerNorm;
use crate::ops::norm::{GroupNorm, Normalize};
use crate::ops::pool::reduce::Reduce;
use crate::ops::pool::{GlobalPool, Pool};
use crate::ops::scale::Scale;
use crate::ops::sequence::embedding::Embedding;
use crate::ops::sequence::recurrent::Recurrent;
use crate::ops::shape::pad::{Crop, Pad};
use crate::ops::shape::rearrange::Rearrange;
use crate::ops::shape::resize::{Resize, Upscale};
use crate::ops::shape::{Reshape, Slice, Transpose};
use crate::ops::stochastic::Stochastic;
use crate::plan::steps::pool::Reduction;
use crate::tensor::{Size, TensorType};
use serde_json::{Value, json};

/// The module of ConvNeXt's learnt scale.
const CONVNEXT: &str = "keras.src.applications.convnext";

/// Converts a node.
///
/// # Errors
/// What Keras lacks; what follows is looked at all the same.
pub(super) fn node(cx: &mut Context, id: NodeId) -> Result<(), String> {
    let inputs: Vec<Tensor> = cx.graph.node(id).inputs.iter().filter_map(|&input| cx.tensors[input.0]).collect();
    let converted = convert(cx, id, &inputs);
    let tensor = match &converted {
        Ok(tensor) => *tensor,
        Err(_) => cx.stand_in(id),
    };
    cx.tensors[id.0] = Some(tensor);
    converted.map(|_| ())
}

fn convert(cx: &mut Context, id: NodeId, inputs: &[Tensor]) -> Converted {
    let graph = cx.graph;
    let node = graph.node(id);
    let any = node.operation.as_any();
    let output = node.output.clone();
    if let Some(layer) = any.downcast_ref::<Input>() {
        // One in the middle of a chain is an assertion.
        return match inputs {
            [one] => Ok(*one),
            _ => Ok(input(cx, node, &layer.shape)),
        };
    }
    if let Some(merge) = any.downcast_ref::<Elementwise>() {
        return elementwise(cx, node, merge.merge, inputs, output);
    }
    if let Some(layer) = any.downcast_ref::<Concatenate>() {
        return Ok(cx.layer(node, "Concatenate", json!({ "axis": layer.axis }), inputs, output));
    }
    if any.is::<Attention>() {
        return sequences::attention(cx, id, inputs);
    }
    let &[x] = inputs else { return Err(lacks(node)) };
    let of_input = cx.model.output(x).clone();
    if let Some(layer) = any.downcast_ref::<Dense>() {
        return activation::dense(cx, id, layer, x);
    }
    if let Some(layer) = any.downcast_ref::<PRelu>() {
        return activation::prelu(cx, id, layer, x);
    }
    if let Some(layer) = any.downcast_ref::<Convolution>() {
        return images::convolution(cx, id, layer, x);
    }
    if let Some(layer) = any.downcast_ref::<SeparableConvolution>() {
        return images::separable(cx, id, layer, x);
    }
    if let Some(layer) = any.downcast_ref::<TransposedConvolution>() {
        return images::transposed(cx, id, layer, x);
    }
    if let Some(layer) = any.downcast_ref::<Pool>() {
        return images::pool(cx, id, layer, x);
    }
    if let Some(layer) = any.downcast_ref::<GlobalPool>() {
        return Ok(global_pool(cx, node, layer.reduction, x, &of_input));
    }
    if let Some(layer) = any.downcast_ref::<Reduce>() {
        return reduce(cx, node, layer, x, &of_input);
    }
    if let Some(layer) = any.downcast_ref::<BatchNorm>() {
        let config = json!({
            "axis": -1,
            "momentum": rounded(1.0 - layer.alpha),
            "epsilon": layer.epsilon,
            "center": layer.beta.is_some(),
            "scale": layer.gamma.is_some(),
        });
        return cx.with_variables(node, "BatchNormalization", config, x, output, "");
    }
    if let Some(layer) = any.downcast_ref::<LayerNorm>() {
        let config = json!({ "axis": -1, "epsilon": layer.epsilon });
        return cx.with_variables(node, "LayerNormalization", config, x, output, "");
    }
    if let Some(layer) = any.downcast_ref::<GroupNorm>() {
        let config = json!({ "groups": layer.groups, "axis": -1, "epsilon": layer.epsilon });
        return cx.with_variables(node, "GroupNormalization", config, x, output, "");
    }
    if any.is::<Normalize>() {
        return Ok(cx.layer(node, "UnitNormalization", json!({ "axis": -1 }), &[x], output));
    }
    if any.is::<Scale>() {
        let config = json!({ "init_values": 1.0, "projection_dim": output.channels().known() });
        let call = Call { arguments: vec![Argument::One(x)], keywords: Vec::new(), output };
        return cx.call_with_variables(node, ("LayerScale", CONVNEXT), config, call, |cx| {
            Ok(vec![("", cx.variables(node)?)])
        });
    }
    if let Some(layer) = any.downcast_ref::<Embedding>() {
        let config = json!({ "input_dim": layer.rows, "output_dim": layer.features });
        return cx.with_variables(node, "Embedding", config, x, output, "");
    }
    if let Some(layer) = any.downcast_ref::<Recurrent>() {
        return sequences::recurrent(cx, id, layer, x);
    }
    if let Some(layer) = any.downcast_ref::<Upscale>() {
        let config = json!({ "size": layer.scale, "interpolation": "nearest" });
        return Ok(cx.layer(node, "UpSampling2D", config, &[x], output));
    }
    if let Some(layer) = any.downcast_ref::<Resize>() {
        return images::resize(cx, id, layer, x);
    }
    if let Some(layer) = any.downcast_ref::<Pad>() {
        let sides = layer.sides;
        return match layer.border {
            Border::Zero => {
                let config = json!({ "padding": [[sides.top, sides.bottom], [sides.left, sides.right]] });
                Ok(cx.layer(node, "ZeroPadding2D", config, &[x], output))
            }
            _ => Err(lacks(node)),
        };
    }
    if let Some(layer) = any.downcast_ref::<Crop>() {
        let sides = layer.sides;
        let config = json!({ "cropping": [[sides.top, sides.bottom], [sides.left, sides.right]] });
        return Ok(cx.layer(node, "Cropping2D", config, &[x], output));
    }
    if let Some(layer) = any.downcast_ref::<Rearrange>() {
        return images::rearrange(cx, id, layer, x);
    }
    if any.is::<Reshape>() {
        return Ok(reshape(cx, node, x, output));
    }
    if let Some(layer) = any.downcast_ref::<Transpose>() {
        let dims = layer.order.get(1..).unwrap_or_default();
        return Ok(cx.layer(node, "Permute", json!({ "dims": dims }), &[x], output));
    }
    if let Some(layer) = any.downcast_ref::<Slice>() {
        let slice = |from: Option<usize>, to: Option<usize>| json!({ "class_name": "__slice__", "config": { "start": from, "stop": to, "step": null } });
        let mut key = vec![slice(None, None); of_input.sizes.len()];
        key.push(slice(Some(layer.from), Some(layer.to)));
        let arguments = vec![Argument::One(x), Argument::Constant(Value::Array(key))];
        return Ok(cx.operation(node, NUMPY, "GetItem", json!({}), arguments, output));
    }
    if let Some(layer) = any.downcast_ref::<Stochastic>() {
        let setting = |name: &str| layer.settings.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        return Ok(match (layer.definition.name, setting("proba"), setting("std")) {
            ("Dropout", Some(rate), _) => cx.layer(node, "Dropout", json!({ "rate": rate }), &[x], output),
            ("GaussianNoise", _, Some(std)) => cx.layer(node, "GaussianNoise", json!({ "stddev": std }), &[x], output),
            // It acts only in training.
            _ => x,
        });
    }
    match node.operation.keeps_values() && node.parameters.is_empty() {
        true => Ok(reshape(cx, node, x, output)),
        false => Err(lacks(node)),
    }
}

/// A number without the noise of its last digits.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

fn input(cx: &mut Context, node: &Node, shape: &TensorType) -> Tensor {
    let config = json!({ "batch_shape": super::model::shape(shape), "dtype": "float32" });
    let call = Call { arguments: Vec::new(), keywords: Vec::new(), output: shape.clone() };
    let tensor = cx.model.add(&node.name, "InputLayer", LAYERS, config, call);
    cx.model.inputs.push(tensor);
    tensor
}

fn elementwise(cx: &mut Context, node: &Node, merge: Merge, inputs: &[Tensor], output: TensorType) -> Converted {
    // Features beside an image are those of one pixel.
    let mut values = Vec::new();
    for &input in inputs {
        let known = cx.model.output(input).clone();
        values.push(match (&known.sizes[..], output.sizes.len()) {
            (&[channels], 3) => {
                let pixel = TensorType::batched([Size::Known(1), Size::Known(1), channels]);
                reshape(cx, node, input, pixel)
            }
            _ => input,
        });
    }
    let class = match merge {
        Merge::Add => "Add",
        Merge::Multiply => "Multiply",
        Merge::Average => "Average",
        Merge::Maximum => "Maximum",
        Merge::Minimum => "Minimum",
        Merge::Subtract if values.len() == 2 => "Subtract",
        Merge::Divide if values.len() == 2 => {
            let arguments = values.into_iter().map(Argument::One).collect();
            return Ok(cx.operation(node, NUMPY, "Divide", json!({}), arguments, output));
        }
        _ => return Err(lacks(node)),
    };
    Ok(cx.layer(node, class, json!({}), &values, output))
}

fn global_pool(cx: &mut Context, node: &Node, reduction: Reduction, x: Tensor, input: &TensorType) -> Tensor {
    let output = node.output.clone();
    let (average, axes): (_, &[usize]) = match input.sizes.len() {
        3 => (["GlobalAveragePooling2D", "GlobalMaxPooling2D"], &[1, 2]),
        2 => (["GlobalAveragePooling1D", "GlobalMaxPooling1D"], &[1]),
        // Features pass through.
        _ => return x,
    };
    match reduction {
        Reduction::Average => cx.layer(node, average[0], json!({}), &[x], output),
        Reduction::Maximum => cx.layer(node, average[1], json!({}), &[x], output),
        Reduction::Sum => {
            let config = json!({ "axis": axes, "keepdims": false });
            cx.operation(node, NUMPY, "Sum", config, vec![Argument::One(x)], output)
        }
    }
}

fn reduce(cx: &mut Context, node: &Node, layer: &Reduce, x: Tensor, input: &TensorType) -> Converted {
    let places: Option<Vec<usize>> =
        layer.axes.iter().map(|axis| axis.place(input.sizes.len()).map(|place| place + 1)).collect();
    let places = places.ok_or_else(|| lacks(node))?;
    // Channels stay as one, the other axes disappear.
    let channels = places.contains(&input.sizes.len());
    if channels && places.len() > 1 {
        return Err(lacks(node));
    }
    let class = match layer.reduction {
        Reduction::Average => "Mean",
        Reduction::Maximum => "Max",
        Reduction::Sum => "Sum",
    };
    let config = json!({ "axis": places, "keepdims": channels });
    Ok(cx.operation(node, NUMPY, class, config, vec![Argument::One(x)], node.output.clone()))
}
