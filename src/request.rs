//! The weights and labels that a spec asks for: plain data, which [`crate::elaborate`] reads from the spec's items and
//! [`crate::weights`] and [`crate::compile`] open.

use crate::ops::preprocessing::Preprocessing;
use crate::source::Span;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The options of a weights block.
pub const WEIGHTS_OPTIONS: [&str; 6] = ["layout", "missing", "rename", "sha256", "image", "config"];

/// The values of the option `layout`: the names of the layouts, and `auto` to detect it.
pub const LAYOUT_NAMES: [&str; 5] = ["auto", "neupy", "keras", "keras3", "safetensors"];

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
    /// `neupy`, `keras`, `keras3` or `safetensors`; `None` to detect it.
    pub layout: Option<String>,
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
