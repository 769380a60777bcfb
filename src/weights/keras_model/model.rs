//! A Keras model as data.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// Classes of layers that give their input outside of training.
pub const ONLY_IN_TRAINING: [&str; 33] = [
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "StochasticDepth",
    "RandomFlip",
    "RandomRotation",
    "RandomZoom",
    "RandomTranslation",
    "RandomContrast",
    "RandomBrightness",
    "RandomHeight",
    "RandomWidth",
    "RandomCrop",
    "RandomColorJitter",
    "RandomErasing",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandAugment",
    "AugMix",
    "MixUp",
    "CutMix",
];

/// A model as the file describes it: the layers of all nested models in one list.
#[derive(Debug, Default)]
pub struct Model {
    pub layers: Vec<LayerConfig>,
    /// Whether Keras 3 wrote it, which redefines some functions.
    pub keras3: bool,
    /// Indices by name, with and without the nested model as a prefix; `None` if several layers have the name.
    pub(super) index: HashMap<String, Option<usize>>,
}

/// A layer as the file describes it.
#[derive(Debug)]
pub struct LayerConfig {
    pub name: String,
    /// The nested model that contains it; empty for the outermost.
    pub model: String,
    /// The Keras class: `Conv2D`.
    pub class: String,
    /// The constructor's arguments.
    pub config: Map<String, Value>,
    /// How many times it is called; 0 if the file does not state it.
    pub calls: usize,
    /// The layers whose outputs it takes; `None` if the file does not state them or the layer is called several times.
    pub inputs: Option<Vec<usize>>,
    /// The layers that take its output.
    pub outputs: Vec<usize>,
}

impl Model {
    /// The layer that is named `name` in the weights.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied().flatten()
    }

    /// The name of a layer in the model; a separable convolution is two layers here.
    pub(super) fn whole(&self, layer: usize) -> &str {
        let name = self.layers[layer].name.as_str();
        name.strip_suffix("/depthwise").or_else(|| name.strip_suffix("/pointwise")).unwrap_or(name)
    }

    /// The class of the layer that is named `name` in the weights.
    pub fn class_of(&self, name: &str) -> Option<&str> {
        self.find(name).map(|at| self.layers[at].class.as_str())
    }
}

impl LayerConfig {
    /// A layer that nothing calls yet.
    pub(super) fn new(name: &str, model: &str, class: &str, config: Map<String, Value>) -> Self {
        let (name, model, class) = (name.into(), model.into(), class.into());
        LayerConfig { name, model, class, config, calls: 0, inputs: None, outputs: Vec::new() }
    }

    /// The first of these arguments that it has: the names of arguments differ between versions of Keras.
    pub fn get(&self, keys: &[&str]) -> Option<&Value> {
        keys.iter().find_map(|key| self.config.get(*key)).filter(|value| !value.is_null())
    }

    /// Whether it takes images as (channels, height, width).
    pub(super) fn is_channels_first(&self) -> bool {
        let word = self.get(&["data_format", "dim_ordering"]).and_then(Value::as_str);
        matches!(word, Some("channels_first" | "th"))
    }

    /// Whether it gives axes another order.
    pub(super) fn permutes(&self) -> bool {
        let dims = self.get(&["dims"]).and_then(Value::as_array);
        let in_order = dims.is_some_and(|dims| dims.is_sorted_by_key(|dim| dim.as_u64().unwrap_or(0)));
        self.class == "Permute" && !in_order
    }

    /// Its `axis`, if it is a single one; the batch is axis 0.
    pub(super) fn axis(&self) -> Option<i64> {
        match self.get(&["axis"])? {
            Value::Array(list) => {
                if let [axis] = &list[..] {
                    axis.as_i64()
                } else {
                    None
                }
            }
            axis => axis.as_i64(),
        }
    }

    /// Whether it is a nested model.
    pub fn is_model(&self) -> bool {
        self.config.get("layers").is_some_and(Value::is_array)
    }
}
