//! From the layers of Keras to those of the language: one table, and a function for each family.
//!
//! Images are (batch, height, width, channels) in both. What a layer gives is found by the layers of the language themselves
//! ([`Context::add`]): the rules of shapes are theirs.

mod activation;
mod attention;
mod context;
mod convolution;
mod dense;
mod merge;
mod norm;
mod pool;
mod preprocessing;
mod recurrent;
mod shape;
mod training;

use super::config::Layer;
use crate::import::unsupported::Unsupported;
use crate::weights::keras_model::ONLY_IN_TRAINING;
use context::Converted;

pub(super) use context::{Argument, Context, Given, Known, Part};

/// The most layers of the language that a model may become.
pub(super) const MAX_LAYERS: usize = 20_000;

/// A class and how it is converted.
struct Class {
    name: &'static str,
    convert: for<'v> fn(&mut Context<'v>, &Layer<'v>, &Given<'v>) -> Converted,
}

macro_rules! classes {
    ($($($name:literal)|+ => $convert:expr,)*) => {
        &[$($(Class { name: $name, convert: $convert },)+)*]
    };
}

/// Every layer that can be expressed, under its names in Keras 1, 2 and 3.
static LAYERS: &[Class] = classes! {
    "Dense" => dense::dense,
    "Conv1D" | "Convolution1D" => |cx, layer, given| convolution::convolution(cx, layer, given, 1),
    "Conv2D" | "Convolution2D" => |cx, layer, given| convolution::convolution(cx, layer, given, 2),
    "DepthwiseConv1D" => |cx, layer, given| convolution::depthwise(cx, layer, given, 1),
    "DepthwiseConv2D" => |cx, layer, given| convolution::depthwise(cx, layer, given, 2),
    "SeparableConv1D" => |cx, layer, given| convolution::separable(cx, layer, given, 1),
    "SeparableConv2D" | "SeparableConvolution2D" => |cx, layer, given| convolution::separable(cx, layer, given, 2),
    "Conv2DTranspose" | "Deconvolution2D" => convolution::transposed,
    "BatchNormalization" => norm::batch,
    "LayerNormalization" => norm::layer,
    "GroupNormalization" => norm::group,
    "UnitNormalization" => norm::unit,
    "LayerScale" => norm::scale,
    "Activation" => activation::activation,
    "ReLU" => activation::relu,
    "LeakyReLU" => activation::leaky_relu,
    "ELU" => activation::elu,
    "PReLU" => activation::prelu,
    "Softmax" => activation::softmax,
    "MaxPooling1D" | "MaxPool1D" => |cx, layer, given| pool::pool(cx, layer, given, "MaxPool", 1),
    "MaxPooling2D" | "MaxPool2D" => |cx, layer, given| pool::pool(cx, layer, given, "MaxPool", 2),
    "AveragePooling1D" | "AvgPool1D" => |cx, layer, given| pool::pool(cx, layer, given, "AvgPool", 1),
    "AveragePooling2D" | "AvgPool2D" => |cx, layer, given| pool::pool(cx, layer, given, "AvgPool", 2),
    "GlobalAveragePooling1D" | "GlobalAvgPool1D" | "GlobalAveragePooling2D" | "GlobalAvgPool2D" =>
        |cx, layer, given| pool::global(cx, layer, given, "avg"),
    "GlobalMaxPooling1D" | "GlobalMaxPool1D" | "GlobalMaxPooling2D" | "GlobalMaxPool2D" =>
        |cx, layer, given| pool::global(cx, layer, given, "max"),
    "Add" => |cx, layer, given| merge::elementwise(cx, layer, given, "Add"),
    "Subtract" => |cx, layer, given| merge::elementwise(cx, layer, given, "Subtract"),
    "Multiply" => |cx, layer, given| merge::elementwise(cx, layer, given, "Multiply"),
    "Average" => |cx, layer, given| merge::elementwise(cx, layer, given, "Average"),
    "Maximum" => |cx, layer, given| merge::elementwise(cx, layer, given, "Maximum"),
    "Minimum" => |cx, layer, given| merge::elementwise(cx, layer, given, "Minimum"),
    "Concatenate" => merge::concatenate,
    "TFOpLambda" => merge::lambda,
    "Flatten" => shape::flatten,
    "Reshape" => |cx, layer, given| shape::reshape(cx, layer, given, &["target_shape"], 0),
    "Permute" => |cx, layer, given| shape::permute(cx, layer, given, &["dims"], 1),
    "RepeatVector" => shape::repeat,
    "ZeroPadding1D" => |cx, layer, given| shape::sides(cx, layer, given, "ZeroPad", 1),
    "ZeroPadding2D" => |cx, layer, given| shape::sides(cx, layer, given, "ZeroPad", 2),
    "Cropping1D" => |cx, layer, given| shape::sides(cx, layer, given, "Crop", 1),
    "Cropping2D" => |cx, layer, given| shape::sides(cx, layer, given, "Crop", 2),
    "UpSampling1D" => |cx, layer, given| shape::up_sampling(cx, layer, given, 1),
    "UpSampling2D" => |cx, layer, given| shape::up_sampling(cx, layer, given, 2),
    "Embedding" => recurrent::embedding,
    "LSTM" => |cx, layer, given| recurrent::recurrent(cx, layer, given, "LSTM"),
    "GRU" => |cx, layer, given| recurrent::recurrent(cx, layer, given, "GRU"),
    "Bidirectional" => recurrent::bidirectional,
    "TimeDistributed" => time_distributed,
    "MultiHeadAttention" => attention::multi_head,
    "Rescaling" => preprocessing::rescaling,
    "Normalization" => preprocessing::normalization,
    "Resizing" => preprocessing::resizing,
    "CenterCrop" => preprocessing::center_crop,
    "Dropout" => training::dropout,
    "GaussianNoise" => training::noise,
    "Identity" => |_, _, given| given.one(),
};

/// The operations of `keras.ops` that can be expressed.
static OPERATIONS: &[Class] = classes! {
    "Add" => |cx, layer, given| merge::elementwise(cx, layer, given, "Add"),
    "Subtract" => |cx, layer, given| merge::elementwise(cx, layer, given, "Subtract"),
    "Multiply" => |cx, layer, given| merge::elementwise(cx, layer, given, "Multiply"),
    "Divide" | "TrueDivide" => |cx, layer, given| merge::elementwise(cx, layer, given, "Divide"),
    "Maximum" => |cx, layer, given| merge::elementwise(cx, layer, given, "Maximum"),
    "Minimum" => |cx, layer, given| merge::elementwise(cx, layer, given, "Minimum"),
    "Concatenate" => merge::concatenate,
    "Relu" => |cx, _, given| activation::operation(cx, given, "relu"),
    "Relu6" => |cx, _, given| activation::operation(cx, given, "relu6"),
    "Sigmoid" => |cx, _, given| activation::operation(cx, given, "sigmoid"),
    "Tanh" => |cx, _, given| activation::operation(cx, given, "tanh"),
    "Silu" | "Swish" => |cx, _, given| activation::operation(cx, given, "silu"),
    "HardSilu" | "HardSwish" => |cx, _, given| activation::operation(cx, given, "hard_silu"),
    "HardSigmoid" => |cx, _, given| activation::operation(cx, given, "hard_sigmoid"),
    "Softplus" => |cx, _, given| activation::operation(cx, given, "softplus"),
    "Exp" => |cx, _, given| activation::operation(cx, given, "exponential"),
    "Gelu" => activation::gelu,
    "Softmax" => activation::softmax,
    "Absolute" | "Abs" => |cx, _, given| activation::plain(cx, given, "Absolute"),
    "Log" => |cx, _, given| activation::plain(cx, given, "Log"),
    "Sqrt" => |cx, _, given| activation::plain(cx, given, "Sqrt"),
    "Square" => |cx, _, given| activation::plain(cx, given, "Square"),
    "Clip" => activation::clip,
    "Power" => activation::power,
    "GetItem" => shape::item,
    "Mean" => |cx, layer, given| pool::reduce(cx, layer, given, "Mean"),
    "Max" => |cx, layer, given| pool::reduce(cx, layer, given, "Max"),
    "Sum" => |cx, layer, given| pool::reduce(cx, layer, given, "Sum"),
    "Reshape" => |cx, layer, given| shape::reshape(cx, layer, given, &["newshape"], 1),
    "Transpose" => |cx, layer, given| shape::permute(cx, layer, given, &["axes"], 0),
};

/// Classes that take an image of one pixel as features.
const TAKE_PIXELS: [&str; 20] = [
    "Conv2D",
    "Convolution2D",
    "BatchNormalization",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "Dropout",
    "Add",
    "Subtract",
    "Multiply",
    "Divide",
    "Average",
    "Maximum",
    "Minimum",
    "Concatenate",
    "Flatten",
    "Reshape",
    "TFOpLambda",
    "Identity",
];

/// Converts one call of a layer and returns the tensors that it gives. What cannot be expressed is noted; it is taken for a layer
/// that keeps its input, so that what follows is looked at too.
pub(super) fn layer<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, mut given: Given<'v>, shared: bool) -> Vec<Known> {
    cx.shared = shared || cx.within_shared;
    let table = if layer.is_operation() { OPERATIONS } else { LAYERS };
    static LEFT_OUT: Class = Class { name: "left out", convert: training::left_out };
    let is_of_keras = layer.package().is_none_or(is_of_keras);
    let class = table.iter().find(|class| class.name == layer.class).filter(|_| is_of_keras);
    let left_out = is_of_keras && !layer.is_operation() && ONLY_IN_TRAINING.contains(&layer.class);
    let class = class.or(left_out.then_some(&LEFT_OUT));
    let inputs = given.values();
    let result = match class {
        None => Err(unknown(layer)),
        Some(_) if given.missing => return Vec::new(),
        Some(_) if layer.is_channels_first() => {
            Err("it has channels first: load the model with `channels_last` layers and save it again".into())
        }
        Some(class) => match images(cx, class.name, &mut given) {
            Ok(()) => (class.convert)(cx, layer, &given),
            Err(reason) => Err(reason),
        },
    };
    cx.shared = false;
    let guessed = inputs.iter().any(|known| known.guessed);
    match result {
        Ok(known) => vec![Known { guessed: known.guessed || guessed, ..known }],
        Err(reason) => {
            if class.is_none() || !guessed {
                let node = cx.path.iter().copied().chain([layer.name]).collect::<Vec<_>>().join("/");
                cx.unsupported.push(Unsupported { op: layer.class.to_string(), node, reason });
            }
            inputs.into_iter().take(1).map(|known| Known { guessed: true, ..known }).collect()
        }
    }
}

/// The packages of Keras itself; ConvNeXt's layers are registered in its own.
fn is_of_keras(package: &str) -> bool {
    package.eq_ignore_ascii_case("keras")
}

/// Makes images of the pixels that a class does not take as features.
fn images(cx: &mut Context, class: &str, given: &mut Given) -> Result<(), String> {
    if TAKE_PIXELS.contains(&class) {
        return Ok(());
    }
    let keywords = given.keywords.iter_mut().map(|(_, argument)| argument);
    for argument in given.operands.iter_mut().chain(keywords) {
        if let Argument::Value(known) = argument {
            *known = cx.image(known.clone())?;
        }
    }
    Ok(())
}

/// Layers that treat each step, or each pixel, by itself.
const STEPWISE: [&str; 12] = [
    "Dense",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "Softmax",
    "Dropout",
    "BatchNormalization",
    "LayerNormalization",
    "Rescaling",
    "Identity",
    "GaussianNoise",
];

/// `TimeDistributed` of a layer that treats each step by itself.
fn time_distributed<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let inner = layer.inner("layer", layer.name).ok_or("its layer is a model")?;
    let class = LAYERS.iter().find(|class| class.name == inner.class && STEPWISE.contains(&class.name));
    let class = class.ok_or_else(|| format!("of the layer `{}`", inner.class))?;
    let x: Known = given.one()?;
    if x.sizes.len() != 2 {
        return Err(format!("over {:?}: sequences are taken", x.sizes));
    }
    (class.convert)(cx, &inner, &Given { operands: vec![Argument::Value(x)], ..Given::default() })
}

/// Why a class is not in the tables.
fn unknown(layer: &Layer) -> String {
    match layer.class {
        "Lambda" => "it is Python code, which is not run".into(),
        _ if layer.package().is_some_and(|package| !is_of_keras(package)) => {
            "it is custom code, which is not run".into()
        }
        class if class.ends_with("3D") => "along three axes: images and sequences are taken".into(),
        "SimpleRNN" | "RNN" | "ConvLSTM1D" | "ConvLSTM2D" | "StackedRNNCells" | "LSTMCell" | "GRUCell" => {
            "of the recurrent layers only LSTM and GRU are taken".into()
        }
        "StringLookup" | "IntegerLookup" | "TextVectorization" | "Hashing" | "HashedCrossing" | "Discretization"
        | "CategoryEncoding" => "it prepares data: do that before the model".into(),
        _ if layer.is_operation() => "no layer computes this operation of `keras.ops`".into(),
        _ => "no layer computes this".into(),
    }
}
