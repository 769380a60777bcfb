//! The chains before and after a layer of the file.

use super::super::{LayerConfig, Model, ONLY_IN_TRAINING};
use super::chain::Written;
use super::function::Function;
use super::walk::{End, Link, MergeKind, after, up_to};
use crate::kernels::movement::resample::Interpolation;
use crate::ops::convolution::window::{Padding, Sliding};
use crate::plan::steps::pool::Reduction;
use serde_json::Value;

/// Layers that join queries, keys and values without weights of their own.
pub(super) const WEIGHTLESS_ATTENTION: [&str; 2] = ["Attention", "AdditiveAttention"];

/// The layers without parameters before a layer of the file, and where the chain begins.
pub(super) fn before_layer(model: &Model, layer: usize) -> (Vec<Written>, End<usize>) {
    up_to_layer_of(model, input_of_layer(model, layer), |_| false)
}

/// The layers without parameters up to a layer of the file, itself among them.
pub(super) fn up_to_layer(model: &Model, layer: usize) -> (Vec<Written>, End<usize>) {
    up_to_layer_of(model, Ok(layer), |_| false)
}

/// As [`up_to_layer`], beyond the unknown layers that `passes` lets through.
pub(super) fn up_to_layer_of(
    model: &Model,
    last: Result<usize, End<usize>>,
    passes: impl FnMut(usize) -> bool,
) -> (Vec<Written>, End<usize>) {
    // The file may contain a cycle.
    let mut left = model.layers.len();
    let input = |at: usize| {
        left = left.saturating_sub(1);
        if left > 0 { input_of_layer(model, at) } else { Err(End::Unknown) }
    };
    let begins = |at: usize| if model.layers[at].model.is_empty() { End::Outside(at) } else { End::Unknown };
    up_to(last, |at| link_of_layer(model, at), input, begins, passes)
}

pub(super) fn input_of_layer(model: &Model, at: usize) -> Result<usize, End<usize>> {
    match model.layers[at].inputs.as_deref() {
        None => Err(End::Unstated),
        Some([]) if model.layers[at].model.is_empty() => Err(End::Outside(at)),
        Some(&[input]) => Ok(input),
        Some(_) => Err(End::Unknown),
    }
}

/// What a merge of the file does with its inputs.
pub(super) fn merge_of_layer(model: &Model, at: usize) -> Option<MergeKind> {
    MergeKind::ALL.into_iter().find(|kind| kind.name() == model.layers[at].class)
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

/// Sizes above 1 after the only `Reshape` between a layer of the file and the preceding merge or layer with parameters.
pub(super) fn reshaped_before_layer(model: &Model, layer: usize) -> Option<Vec<usize>> {
    let found: Vec<usize> =
        layers_before(model, layer).into_iter().filter(|&at| model.layers[at].class == "Reshape").collect();
    let &[only] = &found[..] else { return None };
    let sizes = model.layers[only].get(&["target_shape"])?.as_array()?;
    let sizes = sizes.iter().map(|size| number(Some(size), 1)).collect::<Option<Vec<_>>>()?;
    Some(sizes.into_iter().filter(|&size| size > 1).collect())
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
        class if ONLY_IN_TRAINING.contains(&class) => Link::Identity,
        "Flatten" | "Reshape" | "Identity" => Link::Identity,
        "ZeroPadding1D" | "ZeroPadding2D" => is(sides(layer, "padding").map(Written::Border)),
        "Cropping1D" | "Cropping2D" => is(sides(layer, "cropping").map(Written::Crop)),
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
        "UpSampling1D" => {
            is(number(layer.get(&["size", "length"]), 1)
                .map(|steps| Written::Upscale([steps, 1], Interpolation::Nearest)))
        }
        "UpSampling2D" => {
            let interpolation = match layer.get(&["interpolation"]).and_then(Value::as_str) {
                None | Some("nearest") => Interpolation::Nearest,
                Some("bilinear") => Interpolation::Bilinear,
                Some(_) => return Link::Unknown,
            };
            is(pair(layer.get(&["size"]), 1).map(|scale| Written::Upscale(scale, interpolation)))
        }
        class if WEIGHTLESS_ATTENTION.contains(&class) => Link::Merging,
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
        _ => is(Function::of_layer(layer, model).map(Written::Function)),
    }
}

/// A number of a configuration, at least `least` and within the range of window sizes.
fn number(value: Option<&Value>, least: usize) -> Option<usize> {
    usize::try_from(value?.as_u64()?).ok().filter(|number| (least..=1 << 16).contains(number))
}

/// One or two numbers of a configuration.
pub(super) fn pair(value: Option<&Value>, least: usize) -> Option<[usize; 2]> {
    match value? {
        Value::Array(list) => match &list[..] {
            [one] => Some([number(Some(one), least)?; 2]),
            [a, b] => Some([number(Some(a), least)?, number(Some(b), least)?]),
            _ => None,
        },
        one => Some([number(Some(one), least)?; 2]),
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

/// What is added to or taken off the sides of an image, or the ends of a sequence, which is the first axis alone.
fn sides(layer: &LayerConfig, key: &str) -> Option<[[usize; 2]; 2]> {
    let value = layer.get(&[key])?;
    if layer.class.ends_with("1D") {
        return Some([pair(Some(value), 0)?, [0; 2]]);
    }
    match value.as_array().map(Vec::as_slice) {
        Some([rows @ Value::Array(_), columns @ Value::Array(_)]) => {
            Some([pair(Some(rows), 0)?, pair(Some(columns), 0)?])
        }
        _ => pair(Some(value), 0).map(|[rows, columns]| [[rows; 2], [columns; 2]]),
    }
}
