//! The weights and labels that a spec asks for: plain data, which [`crate::elaborate`] reads from the spec's items and
//! [`crate::weights`] and [`crate::compile`] open.

use crate::ops::preprocessing::Preprocessing;
use crate::source::Span;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The options of a weights block.
pub const WEIGHTS_OPTIONS: [&str; 6] = ["layout", "missing", "rename", "sha256", "image", "config"];

/// The value of the option `layout` that detects it; the others are the names of [`Layout::ALL`].
pub const DETECT_LAYOUT: &str = "auto";

/// The layouts of weights files: how a file arranges its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// NeuPy's `storage.save`: a group per layer, the order in the JSON attribute `layer_names`.
    Neupy,
    /// Keras 1 and 2 (and `.h5` files of Keras 3): weights alone or a full model.
    Keras,
    /// Keras 3: `.weights.h5` and `.keras` archives.
    Keras3,
    /// Hugging Face's safetensors: a JSON header, then the bytes.
    Safetensors,
    /// ONNX: the tensors of a model.
    Onnx,
}

impl Layout {
    /// All layouts, in the order in which messages list them.
    pub const ALL: [Layout; 5] = [Layout::Neupy, Layout::Keras, Layout::Keras3, Layout::Safetensors, Layout::Onnx];

    /// Its name in the option `layout` and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Neupy => "neupy",
            Layout::Keras => "keras",
            Layout::Keras3 => "keras3",
            Layout::Safetensors => "safetensors",
            Layout::Onnx => "onnx",
        }
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
        Layout::ALL.into_iter().find(|layout| layout.name() == text).ok_or_else(|| {
            format!("'{text}' is not a layout of weights: it is one of {}", Layout::ALL.map(Layout::name).join(", "))
        })
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
    /// From names in the file to layers of the net, as the spec says.
    pub rename: BTreeMap<String, String>,
    /// The same from the table that ships with the net; `rename` has priority.
    pub shipped_rename: BTreeMap<String, String>,
    /// The expected digest of the file, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Whether the model description in the file is compared with the net.
    pub check_configuration: bool,
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
