//! Names of other libraries (Keras, PyTorch, TensorFlow) with their equivalents in the language, for suggestions.
//! Names that differ by case or by a letter are found by [`super::suggest`].

use super::suggest;

/// What replaces the name of a layer of another library.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Replacement {
    /// A name: its arguments have the same order.
    Name(&'static str),
    /// A name, if all arguments are named or there are none: they have another order.
    NamedArguments(&'static str),
    /// A text, if there are no arguments.
    Alone(&'static str),
    /// Nothing of the same form.
    None,
}

/// Layers of other libraries, what replaces each, and the advice.
const LAYERS: &[(&[&str], Replacement, &str)] = &[
    (
        &["Conv1d", "Conv1D"],
        Replacement::NamedArguments("Conv"),
        "write `Conv(3, 64)`: over a sequence it slides along the time",
    ),
    (
        &["Conv2d", "Conv2D", "Convolution2D", "conv2d"],
        Replacement::NamedArguments("Conv"),
        "write `Conv(3x3, 64)`: the kernel size, then the filters; the input channels are inferred",
    ),
    (
        &["ConvTranspose2d", "Conv2DTranspose", "TransposedConv"],
        Replacement::NamedArguments("ConvTranspose"),
        "write `ConvTranspose(4x4, 64, stride=2, padding=1)`",
    ),
    (&["DepthwiseConv2D", "DepthwiseConv2d"], Replacement::Name("DepthwiseConv"), "write `DepthwiseConv(3x3)`"),
    (
        &["SeparableConv2D", "SeparableConv2d", "SeparableConv1D"],
        Replacement::NamedArguments("SeparableConv"),
        "write `SeparableConv(3x3, 64)`",
    ),
    (&["FC", "FullyConnected", "InnerProduct"], Replacement::Name("Dense"), "write `Dense(10)`"),
    (&["MaxPool2d", "MaxPool2D", "MaxPooling2D", "MaxPooling2d"], Replacement::Name("MaxPool"), "write `MaxPool(2x2)`"),
    (
        &["AvgPool2d", "AvgPool2D", "AveragePooling2D", "AveragePooling2d"],
        Replacement::Name("AvgPool"),
        "write `AvgPool(2x2)`",
    ),
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
        Replacement::Alone("GlobalPool(avg)"),
        "write `GlobalPool(avg)`",
    ),
    (
        &["GlobalMaxPool", "GlobalMaxPooling", "GlobalMaxPooling2D", "GlobalMaxPool2D", "AdaptiveMaxPool2d"],
        Replacement::Alone("GlobalPool(max)"),
        "write `GlobalPool(max)`",
    ),
    (
        &["BatchNorm1d", "BatchNorm2d", "BatchNorm2D"],
        Replacement::NamedArguments("BatchNorm"),
        "write `BatchNorm`: the channels are inferred",
    ),
    (&["Dropout2d", "SpatialDropout2D", "AlphaDropout"], Replacement::Name("Dropout"), "write `Dropout(0.5)`"),
    (
        &["UpSampling2D", "Upsample", "Upsampling", "UpsamplingNearest2d"],
        Replacement::Name("Upscale"),
        "write `Upscale(2)`",
    ),
    (&["UpsamplingBilinear2d", "Interpolate", "Resizing"], Replacement::None, "write `Resize(scale=2, mode=bilinear)`"),
    (&["ZeroPadding2D", "ZeroPad2d"], Replacement::Name("ZeroPad"), "write `ZeroPad(1)`"),
    (&["ReflectionPad2d", "ReflectPad"], Replacement::None, "write `Pad(1, mode=reflect)`"),
    (&["ReplicationPad2d", "EdgePad"], Replacement::None, "write `Pad(1, mode=edge)`"),
    (&["Cropping2D", "CenterCrop"], Replacement::Name("Crop"), "write `Crop(1)`: the pixels to cut off each side"),
    (&["PixelShuffle"], Replacement::None, "write `DepthToSpace(2, order=crd)`"),
    (&["PixelUnshuffle"], Replacement::None, "write `SpaceToDepth(2, order=crd)`"),
    (&["InputLayer"], Replacement::NamedArguments("Input"), "write `Input(224x224x3)`: the sizes without the batch"),
    (
        &["View", "Unsqueeze", "Squeeze", "ExpandDims"],
        Replacement::None,
        "write `Reshape(…)`: the sizes without the batch",
    ),
    (&["Permute"], Replacement::None, "write `Transpose([…])`"),
    (&["Plus"], Replacement::Alone("Add"), "write `(a | b) >> Add`"),
    (&["Cat", "Merge"], Replacement::Alone("Concatenate"), "write `(a | b) >> Concatenate`"),
    (&["Mul", "Product"], Replacement::Alone("Multiply"), "write `(a | b) >> Multiply`"),
    (&["Sub", "Difference", "Minus"], Replacement::Alone("Subtract"), "write `(a | b) >> Subtract`"),
    (&["Div", "Quotient"], Replacement::Alone("Divide"), "write `(a | b) >> Divide`"),
    (&["Pow"], Replacement::None, "write `Power(2)`"),
    (&["Clamp", "Hardtanh", "ClipByValue"], Replacement::NamedArguments("Clip"), "write `Clip(-1, 1)`"),
    (
        &["ReduceMean", "ReduceSum", "ReduceMax"],
        Replacement::None,
        "write `Mean`, `Sum` or `Max` with an axis: `Mean([height, width])`",
    ),
    (&["Activation"], Replacement::None, "activations are layers: `Relu`, `Tanh`, `Softmax`"),
    (
        &["Sequential", "Model", "Module"],
        Replacement::None,
        "layers are chained with `>>`: `net small = Input(784) >> Relu(100) >> Softmax(10)`",
    ),
    (&["LogSoftmax", "Softmax2d"], Replacement::Alone("Softmax"), "write `Softmax`: the loss takes the logarithm"),
    (
        &["Noop", "NoOp", "Lambda", "Pass"],
        Replacement::Alone("Identity"),
        "write `Identity` for a branch without layers",
    ),
    (&["SimpleRNN", "RNN"], Replacement::None, "recurrent layers are `LSTM` and `GRU`"),
    (
        &["Bidirectional", "BiLSTM", "BiGRU"],
        Replacement::None,
        "write both directions: `(LSTM(64) | LSTM(64, backwards=true)) >> Concatenate`",
    ),
    (
        &["TimeDistributed"],
        Replacement::None,
        "leave it out: on a sequence `Dense`, norms, activations and `Dropout` act on each step",
    ),
    (
        &["MatMul", "Gemm"],
        Replacement::None,
        "write `Dense(10)` for a product with learnt weights, `Attention(8)` for attention",
    ),
    (
        &["Conv3D", "Conv3d", "MaxPool3d", "MaxPooling3D", "AvgPool3d", "AveragePooling3D", "BatchNorm3d"],
        Replacement::None,
        "there are no layers on volumes: images and sequences only",
    ),
    (
        &["Rescaling", "Normalization", "Normalize2d", "ToTensor"],
        Replacement::None,
        "preprocessing is the input's: `Input(224x224x3, image=Torch)`; `netc help Image` describes it",
    ),
    (
        &["RandomFlip", "RandomRotation", "RandomCrop"],
        Replacement::None,
        "random changes are the recipe's: `augment = [flip, crop(0.5)]`",
    ),
    (
        &["MultiheadAttention", "SelfAttention", "SelfAttn", "MHA", "ScaledDotProductAttention"],
        Replacement::NamedArguments("Attention"),
        "write `Attention(8)`: the number of heads; the features are inferred",
    ),
    (
        &["PositionalEncoding", "PositionalEmbedding", "PosEmbed"],
        Replacement::NamedArguments("PositionEmbedding"),
        "write `PositionEmbedding`: learnt values of each step",
    ),
    (&["ClsToken", "CLS"], Replacement::NamedArguments("ClassToken"), "write `ClassToken`"),
    (
        &["LayerNormalization", "LayerNorm2d"],
        Replacement::NamedArguments("LayerNorm"),
        "write `LayerNorm`: the channels are inferred",
    ),
    (&["InstanceNorm2d"], Replacement::None, "write `GroupNorm(n)` with as many groups as channels"),
];

/// Arguments: the layer (`None` for any), the names in other libraries, and the name here.
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
    (None, &["min_val", "min_value", "clip_value_min"], "min"),
    (None, &["max_val", "max_value", "clip_value_max"], "max"),
    (None, &["exponent", "power"], "p"),
    (None, &["approximate", "approximation"], "tanh"),
    (None, &["init_values", "init_value", "layer_scale"], "gamma"),
    (None, &["scale_factor", "scales", "factor"], "scale"),
    (None, &["upscale_factor", "downscale_factor", "block_size", "blocksize"], "block"),
    (None, &["interpolation", "padding_mode"], "mode"),
    (Some("Attention"), &["num_heads", "n_heads", "nhead", "num_attention_heads"], "heads"),
    (Some("Attention"), &["is_causal", "use_causal_mask"], "causal"),
    (Some("Attention"), &["attn_drop", "dropout_p", "attention_dropout"], "dropout"),
    (Some("Attention"), &["qkv_bias"], "bias"),
    (Some("Image"), &["size"], "resize"),
    (Some("LocalResponseNorm"), &["size", "n", "radius"], "depth_radius"),
    (Some("LocalResponseNorm"), &["bias"], "k"),
];

/// Arguments whose meaning differs, and the advice.
const DIFFERENT_ARGUMENTS: &[(&str, &[&str], &str)] = &[
    (
        "BatchNorm",
        &["momentum", "decay"],
        "write `alpha=…`, the weight of the new batch's statistics: PyTorch's momentum, or 1 - momentum of Keras",
    ),
    ("LSTM", &["return_sequences"], "write `only_return_final=false` for the outputs of all time steps"),
    ("GRU", &["return_sequences"], "write `only_return_final=false` for the outputs of all time steps"),
    (
        "Attention",
        &["embed_dim", "dim", "d_model", "key_dim"],
        "leave it out: the features are inferred, and a head has features / heads of them",
    ),
    ("LayerNorm", &["normalized_shape", "units"], "leave it out: it is over the last axis, whose size is inferred"),
    ("BatchNorm", &["num_features", "units"], "leave it out: the channels are inferred"),
    ("Convolution", &["in_channels"], "leave it out: the input channels are inferred"),
    (
        "Dense",
        &["in_features", "activation"],
        "leave it out: the input features are inferred, and `Relu(10)` is a dense layer with an activation",
    ),
    ("Convolution", &["activation"], "the activation is a layer of its own: `Conv(3x3, 64) >> Relu`"),
    ("Dropout", &["keep_prob", "keep_proba"], "write `proba=…`, the probability to drop a value: 1 - keep_prob"),
    ("Concatenate", &["dim"], "write `axis=…`: the batch is axis 0, the last axis is -1"),
    ("Input", &["batch", "batch_size"], "leave it out: the batch size is always open"),
    (
        "Adam",
        &["weight_decay", "decay"],
        "write `regularizer = l2(…)` for a penalty, or take `AdamW(decay=…)` for decoupled decay",
    ),
    ("Momentum", &["weight_decay", "decay"], "write `regularizer = l2(…)` in the recipe"),
];

/// Keywords of other libraries, and their equivalents.
const KEYWORDS: &[(&[&str], &str)] = &[
    (&["average", "mean"], "avg"),
    (&["linear", "bilinear2d"], "bilinear"),
    (&["cubic"], "bicubic"),
    (&["replicate", "replication"], "edge"),
    (&["constant"], "zero"),
    (&["maximum"], "max"),
    (&["half", "full_size", "zeros"], "same"),
    (&["none", "no"], "valid"),
    (&["plus", "sum"], "add"),
    (&["mul", "product"], "multiply"),
];

/// Training options of other libraries, and the keys of a recipe.
const RECIPE: &[(&[&str], Meaning)] = &[
    (
        &["learning_rate", "lr", "step", "base_lr"],
        Meaning::Advice("the learning rate is the optimizer's `step`: `optimizer = Momentum(step=0.01)`"),
    ),
    (
        &["momentum", "nesterov"],
        Meaning::Advice("it is the optimizer's: `optimizer = Momentum(step=0.01, momentum=0.9)`"),
    ),
    (
        &["weight_decay", "wd", "decay_weights"],
        Meaning::Advice("write `regularizer = l2(0.0005)`, or `optimizer = AdamW(decay=0.01)` for decoupled decay"),
    ),
    (
        &["clipnorm", "clip_norm", "grad_clip", "gradient_clip_val", "max_grad_norm"],
        Meaning::Advice("it is an argument of the optimizer: `optimizer = Momentum(clip_norm=1)`"),
    ),
    (
        &["callbacks", "callback"],
        Meaning::Advice(
            "keys do it: `stop = early_stopping(…)`, `keep = best` (ModelCheckpoint), `schedule = reduce_on_plateau(…)`; \
             the run's folder has metrics.csv (CSVLogger) and TensorBoard's events",
        ),
    ),
    (&["batch_size", "minibatch", "train_batch_size"], Meaning::Name("batch")),
    (&["n_epochs", "num_epochs", "iterations", "epoch", "max_epochs", "nb_epoch"], Meaning::Name("epochs")),
    (&["train_data", "dataset", "x", "images", "training"], Meaning::Name("data")),
    (&["valid", "val", "validation_data", "validation_split", "test"], Meaning::Name("validation")),
    (&["early_stopping", "patience"], Meaning::Name("stop")),
    (&["decay", "lr_schedule", "scheduler", "lr_scheduler"], Meaning::Name("schedule")),
    (&["augmentation", "transforms", "transform"], Meaning::Name("augment")),
    (&["regularization", "l2", "l1"], Meaning::Name("regularizer")),
    (&["cost", "criterion", "objective", "losses", "loss_fn"], Meaning::Name("loss")),
    (
        &["loss_weights"],
        Meaning::Advice(
            "a loss has its factor in front: `loss = { species = categorical_crossentropy, box = 0.5 * mse }`",
        ),
    ),
    (&["class_weight"], Meaning::Name("class_weights")),
    (&["save_best_only", "restore_best_weights", "model_checkpoint"], Meaning::Name("keep")),
    (&["random_state", "random_seed"], Meaning::Name("seed")),
];

/// Training options of other libraries whose value has a place in another entry: the entry, and the text around the value.
const RECIPE_VALUES: &[(&[&str], &str, &str, &str)] = &[
    (&["learning_rate", "lr", "step", "base_lr"], "optimizer", "Momentum(step=", ")"),
    (&["momentum"], "optimizer", "Momentum(momentum=", ")"),
    (&["nesterov"], "optimizer", "Momentum(nesterov=", ")"),
    (&["weight_decay", "wd", "decay_weights"], "regularizer", "l2(", ")"),
    (
        &["clipnorm", "clip_norm", "grad_clip", "gradient_clip_val", "max_grad_norm"],
        "optimizer",
        "Momentum(clip_norm=",
        ")",
    ),
];

/// Arguments of recipes' values in other libraries, and ours.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["learning_rate", "lr"], "step"),
    (&["weight_decay"], "decay"),
    (&["clipnorm", "grad_clip"], "clip_norm"),
    (&["clipvalue"], "clip_value"),
    (&["eps"], "epsilon"),
    (&["beta_1"], "beta1"),
    (&["beta_2"], "beta2"),
];

/// Commands of other tools, and ours.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["compile", "make"], "build"),
    (&["fit"], "train"),
    (&["evaluate", "validate", "score"], "eval"),
    (&["run", "infer", "inference", "classify"], "predict"),
    (&["init", "create"], "new"),
    (&["summary", "summarize", "print", "plot", "draw", "view"], "show"),
    (&["info", "describe", "dump"], "inspect"),
    (&["format"], "fmt"),
    (&["lint"], "check"),
    (&["benchmark", "profile", "time"], "bench"),
    (&["convert"], "import"),
    (&["features", "extract"], "embed"),
    (&["compare"], "diff"),
];

/// Losses, optimizers, schedules, metrics and changes of photos of other libraries, and ours.
const VALUES: &[(&[&str], &str)] = &[
    (&["SGD"], "GradientDescent"),
    (
        &[
            "CrossEntropyLoss",
            "CategoricalCrossentropy",
            "SparseCategoricalCrossentropy",
            "sparse_categorical_crossentropy",
            "cross_entropy",
            "crossentropy",
            "NLLLoss",
            "nll",
        ],
        "categorical_crossentropy",
    ),
    (&["BCELoss", "BCEWithLogitsLoss", "BinaryCrossentropy", "bce", "logistic"], "binary_crossentropy"),
    (&["MSELoss", "MeanSquaredError", "mean_squared_error", "l2_loss"], "mse"),
    (&["L1Loss", "MeanAbsoluteError", "mean_absolute_error", "l1_loss"], "mae"),
    (&["MeanSquaredLogarithmicError", "mean_squared_logarithmic_error"], "msle"),
    (&["RootMeanSquaredError", "root_mean_squared_error"], "rmse"),
    (&["HuberLoss", "SmoothL1Loss", "smooth_l1_loss"], "huber"),
    (&["FocalLoss", "sigmoid_focal_loss", "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy"], "focal"),
    (&["KLDivLoss", "KLDivergence", "kl_div"], "kl_divergence"),
    (&["CosineEmbeddingLoss", "CosineSimilarity", "cosine_similarity"], "cosine"),
    (&["TripletMarginLoss", "TripletLoss", "triplet_margin_loss"], "triplet"),
    (&["ContrastiveLoss"], "contrastive"),
    (&["DiceLoss"], "dice"),
    (&["Hinge", "hinge"], "binary_hinge"),
    (&["MultiMarginLoss", "CategoricalHinge"], "categorical_hinge"),
    (&["acc", "categorical_accuracy", "binary_accuracy"], "accuracy"),
    (&["TopKCategoricalAccuracy", "top_k_categorical_accuracy"], "top5"),
    (&["AUROC", "roc_auc", "roc_auc_score"], "auc"),
    (&["F1Score", "f1_score"], "f1"),
    (&["JaccardIndex", "MeanIoU", "BinaryIoU", "jaccard"], "iou"),
    (&["R2Score", "r2_score"], "r2"),
    (&["EarlyStopping"], "early_stopping"),
    (&["ReduceLROnPlateau"], "reduce_on_plateau"),
    (&["CosineAnnealingLR", "CosineDecay"], "cosine_decay"),
    (&["ExponentialLR", "ExponentialDecay"], "exponential_decay"),
    (&["StepLR", "MultiStepLR"], "step_decay"),
    (&["RandomHorizontalFlip", "RandomFlip", "horizontal_flip"], "flip"),
    (&["RandomResizedCrop", "RandomCrop"], "crop"),
    (&["RandomRotation"], "rotate"),
    (&["ColorJitter"], "colour"),
];

fn look_up<T: Copy>(table: &[(&[&str], T)], word: &str) -> Option<T> {
    table.iter().find(|(words, _)| words.contains(&word)).map(|(_, entry)| *entry)
}

/// The command that does what this one does in other tools.
pub fn command(word: &str) -> Option<&'static str> {
    look_up(COMMANDS, word)
}

/// Advice for a layer of another library.
pub fn layer(word: &str) -> Option<&'static str> {
    LAYERS.iter().find(|(words, ..)| words.contains(&word)).map(|(.., advice)| *advice)
}

/// What to write in place of a layer of another library, `word` or a call of it: the part of `written` that is replaced, in bytes
/// from its start, and the text. `None` where its arguments would change their meaning.
pub fn layer_fix(word: &str, written: &str) -> Option<(usize, &'static str)> {
    let (_, replacement, _) = LAYERS.iter().find(|(words, ..)| words.contains(&word))?;
    let arguments = written.strip_prefix(word)?.trim();
    let arguments = arguments.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(arguments).trim();
    match replacement {
        Replacement::Name(name) => Some((word.len(), name)),
        Replacement::NamedArguments(name) => all_named(arguments).then_some((word.len(), name)),
        Replacement::Alone(text) => arguments.is_empty().then_some((written.len(), text)),
        Replacement::None => None,
    }
}

/// Whether each of the arguments of a call, separated by commas, has a name.
fn all_named(arguments: &str) -> bool {
    let mut depth = 0usize;
    let mut pieces = vec![String::new()];
    for c in arguments.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => pieces.push(String::new()),
            _ => {}
        }
        if let Some(piece) = pieces.last_mut().filter(|_| c != ',' || depth > 0) {
            piece.push(c);
        }
    }
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_named = |piece: &String| piece.split_once('=').is_some_and(|(name, _)| is_name(name.trim()));
    pieces.iter().filter(|piece| !piece.trim().is_empty()).all(is_named)
}

/// The likely meaning of an unknown name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning<'a> {
    /// A name to write instead.
    Name(&'a str),
    /// Something without an equivalent name: advice.
    Advice(&'static str),
}

/// The meaning of an unknown argument of a layer, from another library or mistyped; `known` are the layer's arguments.
pub fn argument<'a>(layer: &str, word: &str, known: &[&'a str]) -> Option<Meaning<'a>> {
    let different = DIFFERENT_ARGUMENTS.iter().find(|(of, words, _)| *of == layer && words.contains(&word));
    if let Some((_, _, text)) = different {
        return Some(Meaning::Advice(text));
    }
    if let Some(name) = option(word, known) {
        return Some(Meaning::Name(name));
    }
    let fits = |(of, words, name): &&(Option<&str>, &[&str], &str)| {
        of.is_none_or(|of| of == layer) && words.contains(&word) && known.contains(name) && word != *name
    };
    let equivalent: Option<&'a str> = ARGUMENTS.iter().find(fits).map(|(_, _, name)| *name);
    equivalent.or_else(|| suggest::nearest(word, known.iter().copied())).map(Meaning::Name)
}

/// The equivalent of a keyword of another library among the allowed ones.
pub fn keyword(word: &str, allowed: &[&str]) -> Option<&'static str> {
    look_up(KEYWORDS, word).filter(|keyword| allowed.contains(keyword))
}

/// The name among `known` of an argument that another library gives to an optimizer, a loss or a schedule.
pub fn option<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let ours = look_up(OPTIONS, word)?;
    known.iter().copied().find(|name| *name == ours)
}

/// The equivalent of a value of a recipe in another library, also if its name is mistyped.
pub fn value(word: &str) -> Option<&'static str> {
    look_up(VALUES, word).or_else(|| {
        let words = VALUES.iter().flat_map(|(words, _)| words.iter().copied());
        look_up(VALUES, suggest::nearest(word, words)?)
    })
}

/// The meaning of an unknown key of a recipe, from another library or mistyped; `known` are the keys of a recipe.
pub fn recipe_key<'a>(word: &str, known: &[&'a str]) -> Option<Meaning<'a>> {
    known_recipe_key(word).or_else(|| suggest::nearest(word, known.iter().copied()).map(Meaning::Name))
}

/// The entry of a recipe that says the same as an option of another library with a value, unless the recipe has such an entry;
/// `has` tells.
pub fn recipe_entry(word: &str, value: &str, has: impl Fn(&str) -> bool) -> Option<String> {
    let (_, key, before, after) = RECIPE_VALUES.iter().find(|(words, ..)| words.contains(&word))?;
    (!has(key)).then(|| format!("{key} = {before}{value}{after}"))
}

/// The meaning of a training option of another library.
pub fn known_recipe_key(word: &str) -> Option<Meaning<'static>> {
    look_up(RECIPE, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_replaced_where_their_arguments_keep_their_meaning() {
        for (word, written, fixed) in [
            ("MaxPool2d", "MaxPool2d(2)", Some((9, "MaxPool"))),
            ("GAP", "GAP", Some((3, "GlobalPool(avg)"))),
            ("GlobalAveragePooling2D", "GlobalAveragePooling2D( )", Some((25, "GlobalPool(avg)"))),
            ("GlobalAveragePooling2D", "GlobalAveragePooling2D(keepdims=true)", None),
            ("Conv2D", "Conv2D(filters=64, kernel_size=(3))", Some((6, "Conv"))),
            // Keras has the filters first, PyTorch the input channels.
            ("Conv2D", "Conv2D(64, kernel_size=3)", None),
            ("Conv2d", "Conv2d(3, 64, 3)", None),
            ("Model", "Model", None),
        ] {
            assert_eq!(layer_fix(word, written), fixed, "{written}");
        }
    }

    #[test]
    fn values_have_the_names_of_other_libraries() {
        assert_eq!(value("CrossEntropyLoss"), Some("categorical_crossentropy"));
        assert_eq!(value("CrossEntropyLos"), Some("categorical_crossentropy"));
        assert_eq!(value("Perplexity"), None);
    }

    #[test]
    fn options_become_entries_unless_they_are_there() {
        let entry = |word: &str, has: Option<&str>| recipe_entry(word, "0.1", |key| Some(key) == has);
        assert_eq!(entry("lr", None).as_deref(), Some("optimizer = Momentum(step=0.1)"));
        assert_eq!(entry("lr", Some("optimizer")), None);
        assert_eq!(entry("wd", None).as_deref(), Some("regularizer = l2(0.1)"));
        assert_eq!(entry("epochs", None), None);
    }
}
