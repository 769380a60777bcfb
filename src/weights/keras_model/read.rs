//! Reading a model configuration in the dialects of Keras 1, 2 and 3.

use super::super::store::{MAX_ITEMS, StoreError};
use super::{LayerConfig, Model, places};
use crate::weights::layouts::hdf5_file::{corrupt, too_many};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::HashMap;

/// The maximum nesting depth of models.
const MAX_DEPTH: usize = 32;
/// The maximum length of a configuration; parsed, it takes about ten times as much memory.
const MAX_BYTES: usize = 16 << 20;

impl Model {
    /// Parses the JSON text at `location`.
    ///
    /// # Errors
    /// If it is not JSON, or too long.
    pub fn parse(text: &str, location: &str) -> Result<Value, StoreError> {
        if text.len() > MAX_BYTES {
            return Err(too_many(location, text.len() as u64, "bytes"));
        }
        serde_json::from_str(&without_special_numbers(text))
            .map_err(|error| corrupt(location, format!("its JSON: {error}")))
    }

    /// Reads the configuration at `location`, written by this version of Keras.
    ///
    /// # Errors
    /// If it has too many layers.
    pub fn read(value: &Value, version: Option<&str>, location: &str) -> Result<Model, StoreError> {
        let mut model = Model { keras3: version.is_some_and(|version| version.starts_with('3')), ..Model::default() };
        model.scope(value, "", 0, location)?;
        for at in 0..model.layers.len() {
            for input in model.layers[at].inputs.clone().unwrap_or_default() {
                model.layers[input].outputs.push(at);
            }
            let LayerConfig { name, model: outer, .. } = &model.layers[at];
            let mut names = vec![name.clone()];
            names.extend((!outer.is_empty()).then(|| format!("{outer}/{name}")));
            for name in names {
                model.index.entry(name).and_modify(|known| *known = None).or_insert(Some(at));
            }
        }
        Ok(model)
    }

    /// Adds the layers of the model that `value` describes.
    fn scope(&mut self, value: &Value, outer: &str, depth: usize, location: &str) -> Result<(), StoreError> {
        if depth > MAX_DEPTH {
            let what = format!("models are nested more than {MAX_DEPTH} deep");
            return Err(StoreError::Refused { location: location.into(), what });
        }
        // In Keras 1, the config of a Sequential is the list itself; later, an object with the list.
        let Some(list) = value["config"].as_array().or_else(|| value["config"]["layers"].as_array()) else {
            return Ok(());
        };
        let sequential = value["class_name"].as_str() == Some("Sequential");
        // The layer that produces the output of each name, and the first layer of each.
        let mut ends: HashMap<&str, usize> = HashMap::new();
        let mut begins: Vec<(usize, &Value)> = Vec::new();
        let mut last = None;
        for layer in list {
            let config = &layer["config"];
            let name = layer["name"].as_str().or_else(|| config["name"].as_str()).unwrap_or("");
            let class = layer["class_name"].as_str().unwrap_or("");
            let class = class.rsplit('>').next().unwrap_or(class);
            let arguments = config.as_object().cloned().unwrap_or_default();
            let (begin, end) = self.push(name, outer, class, arguments);
            if self.layers.len() > MAX_ITEMS {
                return Err(too_many(location, self.layers.len() as u64, "layers"));
            }
            ends.insert(name, end);
            if sequential {
                self.layers[begin].inputs = Some(last.into_iter().collect());
            }
            begins.push((begin, layer));
            last = Some(end);
            if config.is_array() || self.layers[begin].is_model() {
                self.scope(layer, name, depth + 1, location)?;
            }
        }
        if !sequential {
            for (begin, layer) in begins {
                if let Some([call]) = layer["inbound_nodes"].as_array().map(Vec::as_slice) {
                    let config = &mut self.layers[begin].config;
                    flags(call, &mut |flag| _ = config.entry(flag).or_insert(json!(true)));
                }
                let calls =
                    layer["inbound_nodes"].as_array().map(|calls| calls.iter().map(sources).collect::<Vec<_>>());
                self.layers[begin].calls = calls.as_ref().map_or(0, Vec::len);
                self.layers[begin].inputs = match calls.as_deref() {
                    Some([]) => Some(Vec::new()),
                    Some([call]) => call.iter().map(|name| ends.get(name).copied()).collect(),
                    _ => None,
                };
            }
        }
        Ok(())
    }

    /// Adds a layer and returns its first and last index: some Keras layers are several here.
    fn push(&mut self, name: &str, outer: &str, class: &str, config: Map<String, Value>) -> (usize, usize) {
        let inner = |key: &str| -> Option<(String, Map<String, Value>)> {
            let class = config.get(key)?["class_name"].as_str()?.to_string();
            Some((class, config.get(key)?["config"].as_object()?.clone()))
        };
        match class {
            "SeparableConv2D" | "SeparableConvolution2D" => {
                let depthwise = Map::from_iter([("activation".to_string(), json!("linear"))]);
                let depthwise = config
                    .iter()
                    .filter(|(key, _)| key.as_str() != "activation")
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .chain(depthwise)
                    .collect();
                let mut pointwise = config;
                for key in ["strides", "subsample", "dilation_rate", "padding", "border_mode"] {
                    pointwise.remove(key);
                }
                pointwise.insert("kernel_size".into(), json!([1, 1]));
                let begin = self.add(&format!("{name}/depthwise"), outer, "DepthwiseConv2D", depthwise);
                let end = self.add(&format!("{name}/pointwise"), outer, "Conv2D", pointwise);
                self.layers[end].inputs = Some(vec![begin]);
                (begin, end)
            }
            "TimeDistributed" => {
                let (class, config) = inner("layer").unwrap_or((class.to_string(), config));
                let at = self.add(name, outer, &class, config);
                (at, at)
            }
            "Bidirectional" => {
                let forward = inner("layer");
                let backward = inner("backward_layer").or_else(|| {
                    let (class, mut config) = forward.clone()?;
                    let turned = !config.get("go_backwards").and_then(Value::as_bool).unwrap_or(false);
                    config.insert("go_backwards".into(), json!(turned));
                    Some((class, config))
                });
                for (part, layer) in [("forward", forward), ("backward", backward)] {
                    if let Some((class, config)) = layer {
                        self.add(&format!("{name}/{part}"), outer, &class, config);
                    }
                }
                let at = self.add(name, outer, class, config);
                (at, at)
            }
            _ => {
                let at = self.add(name, outer, class, config);
                (at, at)
            }
        }
    }

    fn add(&mut self, name: &str, outer: &str, class: &str, config: Map<String, Value>) -> usize {
        self.layers.push(LayerConfig::new(name, outer, class, config));
        self.layers.len() - 1
    }
}

/// Arguments of a call that are true, such as `use_causal_mask`: `{"args": […], "kwargs": {…}}`, or of older versions a list of
/// `[layer, call, tensor, {…}]`.
fn flags(call: &Value, put: &mut impl FnMut(&str)) {
    let arguments = match call {
        Value::Object(call) => vec![call.get("kwargs")],
        Value::Array(inputs) => inputs.iter().map(|input| input.get(3)).collect(),
        _ => return,
    };
    for (key, value) in arguments.into_iter().flatten().filter_map(Value::as_object).flatten() {
        if value == &Value::Bool(true) {
            put(key);
        }
    }
}

/// The layers whose outputs are the inputs of a call.
fn sources(call: &Value) -> Vec<&str> {
    places(call).into_iter().map(|place| place.layer).collect()
}

/// Replaces `NaN` and `Infinity`, which Python writes but are not JSON, with `null`.
fn without_special_numbers(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if WORDS.iter().all(|word| !text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(next) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !quoted && rest.starts_with(**word));
        let taken = match (word, next) {
            (Some(word), _) => {
                out.push_str("null");
                word.len()
            }
            // An escaped character does not end the string.
            (None, '\\') if quoted => {
                let len = rest.chars().take(2).map(char::len_utf8).sum();
                out.push_str(&rest[..len]);
                len
            }
            (None, _) => {
                quoted ^= next == '"';
                out.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Cow::Owned(out)
}
