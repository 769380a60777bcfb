//! Names of other libraries (Keras, PyTorch, TensorFlow) with their equivalents in the language, for suggestions.
//! Names that differ by case or by a letter are found by [`super::suggest`].

mod layers;
mod lookup;

use super::suggest;

pub use layers::{layer, layer_fix};

use lookup::{look_up, look_up_near, same_name};

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
    (
        &["valid", "val", "validation_data", "validation_split", "val_split", "test", "test_size"],
        Meaning::Name("validation"),
    ),
    (&["early_stopping", "early_stop", "patience"], Meaning::Name("stop")),
    (
        &["monitor"],
        Meaning::Advice(
            "write `keep = best(accuracy)` for the epoch whose weights are kept; `stop = early_stopping(…)` and \
             `schedule = reduce_on_plateau(…)` look at the loss, of the validation data if there is any",
        ),
    ),
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
    (&["validation_split", "val_split", "test_size"], "validation", "split(", ")"),
    (&["patience", "early_stop"], "stop", "early_stopping(", ")"),
];

/// Initialisers of other libraries, and their equivalents. The variances of Glorot and He have the factor 2, which is 1 here
/// unless it is given.
const INITIALIZERS: &[(&[&str], Meaning)] = &[
    (&["Glorot", "GlorotUniform", "Xavier", "xavier_uniform_"], Meaning::Name("XavierUniform(gain=2)")),
    (&["GlorotNormal", "xavier_normal_"], Meaning::Name("XavierNormal(gain=2)")),
    (&["He", "Kaiming", "KaimingNormal", "kaiming_normal_"], Meaning::Name("HeNormal(gain=2)")),
    (&["KaimingUniform", "kaiming_uniform_"], Meaning::Name("HeUniform(gain=2)")),
    (&["LecunNormal"], Meaning::Name("HeNormal(gain=1)")),
    (&["LecunUniform"], Meaning::Name("HeUniform(gain=1)")),
    (&["Zeros", "zeros_", "Zero"], Meaning::Name("0")),
    (&["Ones", "ones_", "One"], Meaning::Name("1")),
    (&["RandomNormal", "normal_", "Gaussian"], Meaning::Name("Normal")),
    (&["RandomUniform", "uniform_"], Meaning::Name("Uniform")),
    (&["constant_"], Meaning::Name("Constant")),
    (&["orthogonal_"], Meaning::Name("Orthogonal")),
    (&["TruncatedNormal", "trunc_normal_"], Meaning::Advice("write `Normal(std=0.02)`: no distribution is truncated")),
    (
        &["VarianceScaling"],
        Meaning::Advice("write `HeNormal(gain=…)` or `XavierNormal(gain=…)`: the gain is the scale"),
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

/// What other libraries do by calls or arguments, and how it is written here.
const CONCEPTS: &[(&[&str], &str)] = &[
    (
        &["trainable", "requires_grad", "freeze"],
        "write `frozen(…)` around the layers that are not trained; `unfreeze` in a recipe trains them from an epoch on",
    ),
    (
        &["ImageFolder", "DataLoader", "image_dataset_from_directory", "ImageDataGenerator", "flow_from_directory"],
        "write `data = images(\"folder\")` in a recipe: the folder has a subfolder of photos for each class",
    ),
    (
        &["save", "save_weights", "load_weights", "load_model", "state_dict", "load_state_dict"],
        "`netc train` writes the weights and the artifact beside the spec, and `weights NAME = \"FILE\"` binds those of a file",
    ),
    (
        &["TensorBoard", "CSVLogger", "ModelCheckpoint"],
        "the run's folder has metrics.csv and TensorBoard's events, and `keep = best` keeps the weights of the best epoch",
    ),
    (&["kernel_regularizer", "bias_regularizer"], "write `regularizer = l2(0.0005)` in the recipe"),
    (
        &["input_shape", "input_dim", "batch_input_shape"],
        "a net begins with `Input(224x224x3)`; the batch is not written",
    ),
    (
        &["OneCycleLR", "CosineAnnealingWarmRestarts", "LambdaLR"],
        "`netc help schedule` lists the schedules that there are",
    ),
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

/// How something is written here that other libraries do by a call or an argument.
pub fn concept(word: &str) -> Option<&'static str> {
    look_up(CONCEPTS, word)
}

/// The command that does what this one does in other tools.
pub fn command(word: &str) -> Option<&'static str> {
    look_up(COMMANDS, word)
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
    look_up_near(VALUES, word)
}

/// The meaning of an unknown initialiser, from another library or mistyped; `known` are those of the language.
pub fn initializer<'a>(word: &str, known: &[&'a str]) -> Option<Meaning<'a>> {
    let near = || suggest::nearest(word, known.iter().copied()).map(Meaning::Name);
    known_initializer(word).or_else(near).or_else(|| look_up_near(INITIALIZERS, word))
}

/// The meaning of an initialiser of another library.
pub fn known_initializer(word: &str) -> Option<Meaning<'static>> {
    look_up(INITIALIZERS, word)
}

/// The meaning of an unknown key of a recipe, from another library or mistyped; `known` are the keys of a recipe.
pub fn recipe_key<'a>(word: &str, known: &[&'a str]) -> Option<Meaning<'a>> {
    let near = || suggest::nearest(word, known.iter().copied()).map(Meaning::Name);
    known_recipe_key(word).or_else(near).or_else(|| look_up_near(RECIPE, word))
}

/// The entry of a recipe that says the same as an option of another library with a value, unless the value is a call, or the
/// recipe has such an entry; `has` tells.
pub fn recipe_entry(word: &str, value: &str, has: impl Fn(&str) -> bool) -> Option<String> {
    let (_, key, before, after) = same_name(RECIPE_VALUES, word, |(words, ..)| words)?;
    (!has(key) && !value.contains('(')).then(|| format!("{key} = {before}{value}{after}"))
}

/// The entry of a recipe whose value takes an option of another library as an argument, and the argument: `optimizer` and `step`
/// for `lr`.
pub fn recipe_argument(word: &str) -> Option<(&'static str, &'static str)> {
    let (_, key, before, _) = same_name(RECIPE_VALUES, word, |(words, ..)| words)?;
    let (_, argument) = before.split_once('(')?;
    Some((*key, argument.strip_suffix('=')?))
}

/// The meaning of a training option of another library.
pub fn known_recipe_key(word: &str) -> Option<Meaning<'static>> {
    look_up(RECIPE, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_names_of_other_libraries() {
        assert_eq!(value("CrossEntropyLoss"), Some("categorical_crossentropy"));
        assert_eq!(value("CrossEntropyLos"), Some("categorical_crossentropy"));
        assert_eq!(value("Perplexity"), None);
    }

    #[test]
    fn keys_and_initialisers_have_the_names_of_other_libraries() {
        for word in ["early_stop", "EarlyStopping", "earlystoping"] {
            assert_eq!(recipe_key(word, &["stop"]), Some(Meaning::Name("stop")), "{word}");
        }
        assert!(matches!(recipe_key("monitor", &[]), Some(Meaning::Advice(_))));
        let known = ["HeNormal", "XavierUniform"];
        let meant = |word| initializer(word, &known);
        for (word, ours) in [
            ("HeNormall", "HeNormal"),
            ("glorot_uniform", "XavierUniform(gain=2)"),
            ("GlorotUnifrom", "XavierUniform(gain=2)"),
            ("zeros", "0"),
        ] {
            assert_eq!(meant(word), Some(Meaning::Name(ours)), "{word}");
        }
        assert_eq!(meant("Dirac"), None);
    }

    #[test]
    fn options_become_entries_unless_they_are_there() {
        let entry = |word: &str, has: Option<&str>| recipe_entry(word, "0.1", |key| Some(key) == has);
        assert_eq!(entry("lr", None).as_deref(), Some("optimizer = Momentum(step=0.1)"));
        assert_eq!(entry("lr", Some("optimizer")), None);
        assert_eq!(entry("wd", None).as_deref(), Some("regularizer = l2(0.1)"));
        assert_eq!(entry("val_split", None).as_deref(), Some("validation = split(0.1)"));
        assert_eq!(recipe_entry("val_split", "split(0.1)", |_| false), None);
        assert_eq!(recipe_argument("lr"), Some(("optimizer", "step")));
        assert_eq!(recipe_argument("weight_decay"), None);
        assert_eq!(entry("epochs", None), None);
    }
}
