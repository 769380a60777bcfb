//! The weights and labels that a spec requests: plain data, which [`crate::elaborate`] reads from the spec's items and
//! [`crate::weights`] and [`crate::compile`] open.

use crate::ops::input::preprocessing::Preprocessing;
use crate::source::Span;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Defines an enum of the keys of an item from its variants and their names in specs.
macro_rules! keys {
    ($(#[$doc:meta])* $keys:ident { $($variant:ident $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $keys {
            $($variant,)+
        }

        impl $keys {
            /// All keys, in the order of help and completion.
            pub const ALL: &[$keys] = &[$($keys::$variant,)+];

            /// Its name in specs.
            pub const fn name(self) -> &'static str {
                match self {
                    $($keys::$variant => $name,)+
                }
            }

            /// The key of a name.
            pub fn find(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|key| key.name() == name)
            }
        }
    };
}

keys! {
    /// The options of a weights block.
    WeightsOption {
        Layout "layout",
        Missing "missing",
        Rename "rename",
        Sha256 "sha256",
        Image "image",
        Config "config",
        Axes "axes",
    }
}

impl WeightsOption {
    /// The words that it takes, the default first; none where it takes other values.
    pub fn choices(self) -> Vec<&'static str> {
        match self {
            WeightsOption::Layout => {
                std::iter::once(DETECT_LAYOUT).chain(Layout::ALL.iter().map(|layout| layout.name())).collect()
            }
            WeightsOption::Missing => vec!["error", "initialize"],
            WeightsOption::Config => vec!["check", "ignore"],
            WeightsOption::Axes => vec!["inferred", "explicit"],
            WeightsOption::Image => Preprocessing::PRESETS.to_vec(),
            WeightsOption::Rename | WeightsOption::Sha256 => Vec::new(),
        }
    }
}

keys! {
    /// The keys of a training recipe; [`crate::train::recipe`] defines what each takes.
    RecipeKey {
        Data "data",
        Validation "validation",
        Optimizer "optimizer",
        Loss "loss",
        Epochs "epochs",
        Batch "batch",
        Seed "seed",
        Shuffle "shuffle",
        Metrics "metrics",
        Regularizer "regularizer",
        Schedule "schedule",
        Stop "stop",
        Keep "keep",
        Augment "augment",
        Checkpoint "checkpoint",
        ClassWeights "class_weights",
        LabelSmoothing "label_smoothing",
        Mixup "mixup",
        Rates "rates",
        Unfreeze "unfreeze",
        Accumulate "accumulate",
        Average "average",
    }
}

/// The value of the option `layout` that detects it; the others are the names of [`Layout::ALL`].
pub const DETECT_LAYOUT: &str = "auto";

macro_rules! layouts {
    ($($(#[$doc:meta])* $layout:ident: $name:literal, $writer:literal;)*) => {
        /// The layouts of weights files: how a file arranges its tensors.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Layout {
            $($(#[$doc])* $layout,)*
        }

        impl Layout {
            /// All layouts, in the order in which messages list them.
            pub const ALL: &[Layout] = &[$(Layout::$layout),*];

            /// Its name in the option `layout` and in messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Layout::$layout => $name,)*
                }
            }

            /// The programs that write it.
            pub const fn writer(self) -> &'static str {
                match self {
                    $(Layout::$layout => $writer,)*
                }
            }
        }
    };
}

layouts! {
    /// NeuPy's `storage.save`: a group per layer, the order in the JSON attribute `layer_names`.
    Neupy: "neupy", "NeuPy, or netc";
    /// Keras 1 and 2 (and `.h5` files of Keras 3): weights alone or a full model.
    Keras: "keras", "Keras 1 or 2";
    /// Keras 3: `.weights.h5` and `.keras` archives.
    Keras3: "keras3", "Keras 3";
    /// Hugging Face's safetensors: a JSON header, then the bytes; or the index of several such files.
    Safetensors: "safetensors", "safetensors (PyTorch, Hugging Face)";
    /// PyTorch's `torch.save` of a state dict: `.pth`, `.pt`.
    PyTorch: "pytorch", "PyTorch";
    /// The initialisers of an ONNX model.
    Onnx: "onnx", "an ONNX model";
}

impl Layout {
    /// Whether a layer's parameters may have PyTorch's names: a norm's `weight` and `bias`.
    pub const fn has_torch_names(self) -> bool {
        matches!(self, Layout::Safetensors | Layout::PyTorch | Layout::Onnx)
    }

    /// All names in a list for messages: `neupy, keras and safetensors`.
    pub fn list() -> String {
        let names: Vec<&str> = Layout::ALL.iter().map(|layout| layout.name()).collect();
        names.split_last().map_or_else(String::new, |(last, others)| format!("{} and {last}", others.join(", ")))
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Layout::ALL.iter().copied().find(|layout| layout.name() == text);
        known.ok_or_else(|| format!("'{text}' is not a weights layout; the layouts are {}", Layout::list()))
    }
}

/// A weights file for a net.
#[derive(Clone, Debug)]
pub struct WeightsRequest {
    pub net: String,
    /// The path of the file, relative paths resolved.
    pub path: PathBuf,
    /// The file's name in the spec; the net's name for a file from the command line or from training.
    pub span: Span,
    /// Whether `netc train` has written the file for this net, and neither the spec nor the user has named it.
    pub trained: bool,
    /// `None` to detect it.
    pub layout: Option<Layout>,
    /// Whether parameters that the file lacks start from their initializers.
    pub initialize_missing: bool,
    /// From names in the file to layers of the net, by the spec.
    pub rename: BTreeMap<String, String>,
    /// The same from the table that ships with the net; `rename` has priority.
    pub shipped_rename: BTreeMap<String, String>,
    /// The expected digest of the file, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Whether the model description in the file is compared with the net.
    pub check_configuration: bool,
    /// Whether the net's transposes and reshapes are those of the file's framework, so that flattened values are in the same
    /// order in both; otherwise the order is inferred.
    pub explicit_axes: bool,
    /// The preprocessing that the weights were trained with.
    pub image: Option<(Preprocessing, Span)>,
}

/// The class names of a net's outputs.
#[derive(Clone, Debug)]
pub enum LabelsRequest {
    List(Vec<String>, Span),
    /// A text file with one name per line.
    File(PathBuf, Span),
}
