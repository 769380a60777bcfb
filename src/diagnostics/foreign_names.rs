//! What other libraries call things: words that are far from those of the language, and what is meant.
//! Names are those of Keras, PyTorch and TensorFlow; words that differ by case or a letter are found by [`super::suggest`].

use super::suggest;

/// Layers of other libraries, and what to write.
const LAYERS: &[(&[&str], &str)] = &[
    (&["Conv1d", "Conv1D"], "a convolution over time is one over an image of width 1: `Conv(3x1, 64)`"),
    (
        &["Conv2d", "Conv2D", "Convolution2D", "conv2d"],
        "write `Conv(3x3, 64)`: the window, then the filters; the channels that come in are known",
    ),
    (&["ConvTranspose2d", "Conv2DTranspose", "TransposedConv"], "write `Deconv(3x3, 64, stride=2)`"),
    (&["DepthwiseConv2D", "DepthwiseConv2d"], "write `DepthwiseConv(3x3)`"),
    (&["SeparableConv2D", "SeparableConv"], "write `DepthwiseConv(3x3) >> Conv(1x1, 64)`"),
    (&["FC", "FullyConnected", "InnerProduct"], "write `Dense(10)`"),
    (&["MaxPool2d", "MaxPool2D", "MaxPooling2D", "MaxPooling2d"], "write `MaxPool(2x2)`"),
    (&["AvgPool2d", "AvgPool2D", "AveragePooling2D", "AveragePooling2d"], "write `AvgPool(2x2)`"),
    (
        &[
            "GlobalAvgPool",
            "GlobalAveragePool",
            "GlobalAveragePooling",
            "GlobalAveragePooling2D",
            "GlobalAvgPool2D",
            "AdaptiveAvgPool2d",
            "GAP",
        ],
        "write `GlobalPool(avg)`",
    ),
    (
        &["GlobalMaxPool", "GlobalMaxPooling", "GlobalMaxPooling2D", "GlobalMaxPool2D", "AdaptiveMaxPool2d"],
        "write `GlobalPool(max)`",
    ),
    (&["BatchNorm1d", "BatchNorm2d", "BatchNorm2D"], "write `BatchNorm`: the channels are known"),
    (&["Dropout2d", "SpatialDropout2D", "AlphaDropout"], "write `Dropout(0.5)`"),
    (&["UpSampling2D", "Upsample", "Upsampling", "UpsamplingNearest2d"], "write `Upscale(2)`"),
    (&["ZeroPadding2D", "ZeroPad2d"], "write `ZeroPad(1)`"),
    (&["InputLayer"], "write `Input(224x224x3)`: the sizes without the batch"),
    (&["View", "Unsqueeze", "Squeeze", "ExpandDims"], "write `Reshape(…)`: the sizes without the batch"),
    (&["Permute"], "write `Transpose([…])`"),
    (&["Sum", "Plus"], "write `(a | b) >> Add`"),
    (&["Cat", "Merge"], "write `(a | b) >> Concatenate`"),
    (&["Mul", "Product"], "write `(a | b) >> Multiply`"),
    (&["Sub", "Difference", "Minus"], "write `(a | b) >> Subtract`"),
    (&["Activation"], "a function is a layer by itself: `Relu`, `Tanh`, `Softmax`"),
    (
        &["Sequential", "Model", "Module"],
        "layers are chained with `>>`: `net small = Input(784) >> Relu(100) >> Softmax(10)`",
    ),
    (&["LogSoftmax", "Softmax2d"], "write `Softmax`: training takes its logarithm by itself"),
    (&["Noop", "NoOp", "Lambda", "Pass"], "the branch that does nothing is `Identity`"),
    (&["SimpleRNN", "RNN"], "recurrent layers are `LSTM` and `GRU`"),
    (&["LayerNorm", "LayerNormalization"], "a normalisation over all channels of an image is `GroupNorm(1)`"),
    (&["InstanceNorm2d"], "write `GroupNorm(n)` with as many groups as channels"),
];

/// Arguments: the layer that has them (none for any), the words of other libraries, and the name here.
const ARGUMENTS: &[(Option<&str>, &[&str], &str)] = &[
    (None, &["kernel_size", "kernel", "kernel_shape", "filter_size", "window", "pool_size", "ksize", "k"], "size"),
    (None, &["strides", "subsample"], "stride"),
    (None, &["out_channels", "channels", "n_filters", "num_filters", "nb_filter"], "filters"),
    (None, &["pad", "pads", "border_mode"], "padding"),
    (None, &["dilation_rate", "dilations"], "dilation"),
    (None, &["group", "n_groups", "num_groups", "groups"], "n_groups"),
    (None, &["group", "num_groups", "n_groups"], "groups"),
    (None, &["use_bias"], "bias"),
    (None, &["eps"], "epsilon"),
    (None, &["out_features", "features", "size", "n_out", "hidden"], "units"),
    (None, &["units", "hidden_size"], "n_units"),
    (None, &["kernel_initializer", "weights", "init"], "weight"),
    (None, &["bias_initializer"], "bias"),
    (None, &["rate", "p", "prob", "probability"], "proba"),
    (None, &["shape", "input_shape", "sizes"], "shape"),
    (None, &["target_shape"], "shape"),
    (None, &["mode", "pool", "type"], "function"),
    (None, &["factor", "scale_factor", "size"], "scale"),
    (None, &["dim", "dims"], "axis"),
    (None, &["dims", "order", "axes"], "perm"),
    (None, &["num_embeddings", "input_dim", "vocabulary"], "input_size"),
    (None, &["embedding_dim", "output_dim"], "output_size"),
    (None, &["go_backwards", "reverse"], "backwards"),
    (None, &["negative_slope", "slope", "leak"], "alpha"),
    (None, &["depth_multiplier"], "multiplier"),
    (Some("Image"), &["size"], "resize"),
    (Some("LocalResponseNorm"), &["size", "n", "radius"], "depth_radius"),
    (Some("LocalResponseNorm"), &["bias"], "k"),
];

/// Arguments whose meaning differs, and what to write.
const TURNED: &[(&str, &[&str], &str)] = &[
    (
        "BatchNorm",
        &["momentum", "decay"],
        "write `alpha=…`, the share of the new statistics: PyTorch's momentum, 1 - momentum of Keras",
    ),
    ("LSTM", &["return_sequences"], "write `only_return_final=false` for all steps"),
    ("GRU", &["return_sequences"], "write `only_return_final=false` for all steps"),
    ("LeakyRelu", &["alpha", "negative_slope", "slope"], "its slope is 0.01; `Relu(alpha=0.2)` takes another"),
    ("BatchNorm", &["num_features", "units"], "leave it out: the channels that come in are known"),
    ("Convolution", &["in_channels"], "leave it out: the channels that come in are known"),
    (
        "Dense",
        &["in_features", "activation"],
        "leave it out: what comes in is known, and `Relu(10)` is a dense layer with its function",
    ),
    ("Convolution", &["activation"], "the function is a layer behind it: `Conv(3x3, 64) >> Relu`"),
    ("Dropout", &["keep_prob", "keep_proba"], "write `proba=…`: the share that is dropped, 1 - keep_prob"),
    ("Concatenate", &["dim"], "write `axis=…`: the batch is axis 0, the last is -1"),
    ("Input", &["batch", "batch_size"], "leave it out: the batch is always open"),
];

/// Choices, and the words that other libraries have for them.
const CHOICES: &[(&[&str], &str)] = &[
    (&["average", "mean"], "avg"),
    (&["maximum"], "max"),
    (&["half", "full_size", "zeros"], "same"),
    (&["none", "no"], "valid"),
    (&["plus", "sum"], "add"),
    (&["mul", "product"], "multiply"),
];

/// What the words are that a recipe's optimizer takes.
const OF_THE_OPTIMIZER: &str = "it belongs to the optimizer: `optimizer = Momentum(step=0.01, momentum=0.9)`";

/// Keys of a recipe, and the words of other libraries.
const RECIPE: &[(&[&str], Meant)] = &[
    (&["learning_rate", "lr", "step", "momentum", "weight_decay"], Meant::Words(OF_THE_OPTIMIZER)),
    (&["batch_size", "minibatch"], Meant::Name("batch")),
    (&["n_epochs", "num_epochs", "iterations", "epoch"], Meant::Name("epochs")),
    (&["train_data", "dataset", "x", "images", "training"], Meant::Name("data")),
    (&["valid", "val", "validation_data", "validation_split", "test"], Meant::Name("validation")),
    (&["early_stopping", "patience"], Meant::Name("stop")),
    (&["decay", "lr_schedule", "scheduler"], Meant::Name("schedule")),
    (&["augmentation", "transforms"], Meant::Name("augment")),
    (&["regularization", "l2", "l1"], Meant::Name("regularizer")),
    (&["cost", "criterion", "objective"], Meant::Name("loss")),
    (&["class_weight"], Meant::Name("class_weights")),
];

fn said<T: Copy>(table: &[(&[&str], T)], word: &str) -> Option<T> {
    table.iter().find(|(words, _)| words.contains(&word)).map(|(_, said)| *said)
}

/// What to write for a layer of another library.
pub fn layer(word: &str) -> Option<&'static str> {
    said(LAYERS, word)
}

/// What is meant by an argument or key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meant<'a> {
    /// The one of this name.
    Name(&'a str),
    /// Something else: what to write.
    Words(&'static str),
}

/// What an argument of another library's layer means, or one that is mistyped; `known` are those that the layer has.
pub fn argument<'a>(layer: &str, word: &str, known: &[&'a str]) -> Option<Meant<'a>> {
    let turned = TURNED.iter().find(|(of, words, _)| *of == layer && words.contains(&word));
    if let Some((_, _, text)) = turned {
        return Some(Meant::Words(text));
    }
    let fits = |(of, words, name): &&(Option<&str>, &[&str], &str)| {
        of.is_none_or(|of| of == layer) && words.contains(&word) && known.contains(name) && word != *name
    };
    let spelled: Option<&'a str> = ARGUMENTS.iter().find(fits).map(|(_, _, name)| *name);
    spelled.or_else(|| suggest::nearest(word, known.iter().copied())).map(Meant::Name)
}

/// The choice that a word of another library means.
pub fn choice(word: &str, choices: &[&str]) -> Option<&'static str> {
    said(CHOICES, word).filter(|choice| choices.contains(choice))
}

/// What a key of a recipe means that is another library's, or mistyped; `known` are those of a recipe.
pub fn recipe_key<'a>(word: &str, known: &[&'a str]) -> Option<Meant<'a>> {
    said(RECIPE, word).or_else(|| suggest::nearest(word, known.iter().copied()).map(Meant::Name))
}
