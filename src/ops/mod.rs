//! The layers, one file per family. A layer is a type that implements [`Operation`](crate::graph::Operation) and a line in
//! [`LAYERS`].

pub mod activation;
pub mod attention;
pub mod convolution;
pub mod dense;
pub mod input;
pub mod merge;
pub mod named_axis;
pub mod norm;
pub mod output_kind;
pub mod pool;
pub mod quantize;
pub mod scale;
pub mod sequence;
pub mod shape;
pub mod stochastic;
pub mod values;

use crate::graph::Definition;

/// Every layer, in the order of the documentation.
pub static LAYERS: &[&Definition] = &[
    &input::INPUT,
    &dense::DENSE,
    &activation::functions::RELU,
    &activation::functions::LEAKY_RELU,
    &dense::RELU6,
    &dense::ABSOLUTE,
    &activation::prelu::PRELU,
    &dense::ELU,
    &dense::SIGMOID,
    &activation::functions::HARD_SIGMOID,
    &dense::TANH,
    &dense::SOFTPLUS,
    &dense::SWISH,
    &dense::HARD_SWISH,
    &activation::functions::GELU,
    &activation::functions::SOFTMAX,
    &activation::functions::CLIP,
    &activation::functions::EXP,
    &activation::functions::LOG,
    &activation::functions::SQRT,
    &activation::functions::SQUARE,
    &activation::functions::POWER,
    &activation::functions::AFFINE,
    &scale::SCALE,
    &convolution::CONVOLUTION,
    &convolution::DEPTHWISE,
    &convolution::separable::SEPARABLE,
    &convolution::transposed_convolution::CONV_TRANSPOSE,
    &convolution::transposed_convolution::DECONVOLUTION,
    &shape::resize::UPSCALE,
    &shape::resize::RESIZE,
    &shape::pad::ZERO_PAD,
    &shape::pad::PAD,
    &shape::pad::CROP,
    &shape::rearrange::SPACE_TO_DEPTH,
    &shape::rearrange::DEPTH_TO_SPACE,
    &shape::rearrange::SHUFFLE,
    &pool::MAX_POOLING,
    &pool::AVERAGE_POOLING,
    &pool::GLOBAL_POOLING,
    &pool::reduce::MEAN,
    &pool::reduce::SUM,
    &pool::reduce::MAX,
    &norm::batch_norm::BATCH_NORM,
    &norm::layer_norm::LAYER_NORM,
    &norm::GROUP_NORM,
    &norm::LOCAL_RESPONSE_NORM,
    &norm::NORMALIZE,
    &sequence::embedding::EMBEDDING,
    &attention::ATTENTION,
    &sequence::tokens::CLASS_TOKEN,
    &sequence::tokens::POSITION_EMBEDDING,
    &sequence::recurrent::LSTM,
    &sequence::recurrent::GRU,
    &shape::FLATTEN,
    &shape::RESHAPE,
    &shape::TRANSPOSE,
    &shape::SLICE,
    &stochastic::IDENTITY,
    &stochastic::DROPOUT,
    &stochastic::DROP_BLOCK,
    &stochastic::GAUSSIAN_NOISE,
    &merge::concatenate::CONCATENATE,
    &merge::ADD,
    &merge::MULTIPLY,
    &merge::DIVIDE,
    &merge::AVERAGE,
    &merge::MAXIMUM,
    &merge::MINIMUM,
    &merge::SUBTRACT,
    &merge::ELEMENTWISE,
    &merge::gated_average::GATED_AVERAGE,
];

/// Finds a layer by its full or short name.
pub fn find(name: &str) -> Option<&'static Definition> {
    LAYERS.iter().copied().find(|definition| definition.names().any(|known| known == name))
}

/// All names, full and short.
pub fn names() -> impl Iterator<Item = &'static str> {
    LAYERS.iter().flat_map(|definition| definition.names())
}

/// All layers as a page in Markdown: `docs/layers.md`.
pub fn page() -> String {
    let mut text = String::from(
        "# Layers\n\nEvery layer, its arguments in their order, and what it computes. `netc help Conv` prints one, `netc help --all` \
         this page.\n",
    );
    LAYERS.iter().for_each(|definition| text += &definition.section());
    text
}
