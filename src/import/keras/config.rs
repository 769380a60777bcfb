//! A model configuration as layers, the calls of each, and what they are called with.

use crate::weights::keras_model::{Place, place, places};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The deepest nesting of models.
const MAX_DEPTH: usize = 32;
/// Sizes, strides and units are below this.
const MAX_NUMBER: u64 = 1 << 30;

/// A model: its layers in the order of the file.
#[derive(Debug)]
pub(super) struct Model<'v> {
    pub name: &'v str,
    pub layers: Vec<Layer<'v>>,
    /// Layers by name.
    pub index: HashMap<&'v str, usize>,
    pub inputs: Vec<Place<'v>>,
    pub outputs: Vec<Place<'v>>,
}

/// A layer, or a nested model.
#[derive(Debug)]
pub(super) struct Layer<'v> {
    pub name: &'v str,
    pub class: &'v str,
    /// The module of its class: `keras.layers`, or of an operation `keras.src.ops.numpy`.
    module: &'v str,
    /// The name under which code of a user registered its class: `Package>Class`.
    registered: Option<&'v str>,
    config: &'v Value,
    pub calls: Vec<Call<'v>>,
    pub model: Option<Box<Model<'v>>>,
}

/// What a layer is called with.
#[derive(Debug, Default)]
pub(super) struct Call<'v> {
    pub operands: Vec<Operand<'v>>,
    pub keywords: Vec<(&'v str, Operand<'v>)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operand<'v> {
    Tensor(Place<'v>),
    /// Anything else: a number, an index.
    Constant(&'v Value),
}

impl Call<'_> {
    /// The tensors that it takes, in order.
    pub fn tensors(&self) -> impl Iterator<Item = Place<'_>> {
        let all = self.operands.iter().chain(self.keywords.iter().map(|(_, operand)| operand));
        all.filter_map(|operand| if let Operand::Tensor(place) = operand { Some(*place) } else { None })
    }
}

impl<'v> Model<'v> {
    /// Reads a model.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "the model".
    pub fn read(value: &'v Value) -> Result<Model<'v>, String> {
        model(value, 0)
    }

    /// The layer of this name.
    pub fn find(&self, name: &str) -> Option<&Layer<'v>> {
        self.index.get(name).map(|&at| &self.layers[at])
    }

    /// All layers, with those of nested models.
    pub fn count(&self) -> usize {
        self.layers.iter().map(|layer| 1 + layer.model.as_ref().map_or(0, |model| model.count())).sum()
    }
}

fn model(value: &Value, depth: usize) -> Result<Model<'_>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("nests models more than {MAX_DEPTH} deep"));
    }
    let config = &value["config"];
    let list = config.as_array().or_else(|| config["layers"].as_array()).ok_or("has no list of layers")?;
    let mut layers = Vec::with_capacity(list.len());
    for value in list {
        layers.push(layer(value, depth)?);
    }
    let name = config["name"].as_str().unwrap_or("model");
    let (inputs, outputs) = match value["class_name"].as_str() {
        Some("Sequential") => sequential(config, list, &mut layers)?,
        _ => (places(&config["input_layers"]), places(&config["output_layers"])),
    };
    let index = layers.iter().enumerate().map(|(at, layer)| (layer.name, at)).collect::<HashMap<_, _>>();
    if index.len() < layers.len() {
        return Err("has two layers of one name".into());
    }
    Ok(Model { name, layers, index, inputs, outputs })
}

fn layer(value: &Value, depth: usize) -> Result<Layer<'_>, String> {
    let config = &value["config"];
    let name = value["name"].as_str().or_else(|| config["name"].as_str()).unwrap_or("");
    let class = value["class_name"].as_str().ok_or("has a layer without a class")?;
    let calls: Vec<Call> = value["inbound_nodes"].as_array().into_iter().flatten().map(call).collect();
    // In Keras 1, the config of a Sequential is the list itself.
    let is_model = config["layers"].is_array() || class == "Sequential" && config.is_array();
    let model = if is_model { Some(Box::new(model(value, depth + 1)?)) } else { None };
    let registered = value["registered_name"].as_str().or(Some(class)).filter(|name| name.contains('>'));
    let class = class.rsplit('>').next().unwrap_or(class);
    let module = value["module"].as_str().unwrap_or(if is_bare_operation(value) { "keras.ops" } else { "" });
    Ok(Layer { name, class, module, registered, config, calls, model })
}

/// Whether Keras 3 wrote an operation of `keras.ops` into HDF5, where no class has a module: all layers say whether they are trainable.
fn is_bare_operation(value: &Value) -> bool {
    let config = &value["config"];
    let is_layer = ["trainable", "dtype", "batch_shape"].iter().any(|key| config.get(*key).is_some());
    config.is_object() && !is_layer && value["inbound_nodes"][0]["args"].is_array()
}

/// Calls the layers of a `Sequential` one after another; its input may only be said by the first of them.
fn sequential<'v>(
    config: &'v Value,
    list: &'v [Value],
    layers: &mut Vec<Layer<'v>>,
) -> Result<(Vec<Place<'v>>, Vec<Place<'v>>), String> {
    let first = layers.first().ok_or("has no layers")?;
    let begins = first.class == "InputLayer";
    if !begins {
        // What `Layer::shape` reads.
        let shaped = |value: &&Value| shape_of(value).is_some();
        let of_first = list.first().map(|value| &value["config"]);
        let nested = || first.model.as_ref()?.layers.first().map(|layer| layer.config);
        let config =
            of_first.filter(shaped).or_else(|| Some(config).filter(shaped)).or_else(|| nested().filter(shaped));
        let config = config.ok_or("is a Sequential that was never built: the sizes of its input are not known")?;
        let (name, class, module) = ("input of the Sequential", "InputLayer", "");
        layers.insert(0, Layer { name, class, module, registered: None, config, calls: Vec::new(), model: None });
    }
    for at in 1..layers.len() {
        let from = Place { layer: layers[at - 1].name, call: 0, tensor: 0 };
        layers[at].calls = vec![Call { operands: vec![Operand::Tensor(from)], keywords: Vec::new() }];
    }
    let place = |layer: Option<&Layer<'v>>| layer.map(|layer| Place { layer: layer.name, call: 0, tensor: 0 });
    Ok((place(layers.first()).into_iter().collect(), place(layers.last()).into_iter().collect()))
}

/// The sizes of an input with the batch, under any of their names.
fn shape_of(config: &Value) -> Option<&Value> {
    let keys = ["batch_shape", "batch_input_shape", "build_input_shape"];
    keys.iter().map(|key| &config[*key]).find(|value| value.is_array())
}

/// A call in the form of Keras 3, `{"args": […], "kwargs": {…}}`, or the list of the older ones.
fn call(value: &Value) -> Call<'_> {
    let mut call = Call::default();
    match value {
        Value::Object(map) => {
            map.get("args").into_iter().for_each(|args| operands(args, &mut call.operands));
            keywords(map.get("kwargs"), &mut call.keywords);
        }
        Value::Array(list) => {
            let alone = place(value).is_some();
            for part in if alone { std::slice::from_ref(value) } else { &list[..] } {
                operands(part, &mut call.operands);
                keywords(part.get(3), &mut call.keywords);
            }
        }
        _ => {}
    }
    call
}

/// Tensors and constants, with lists of tensors flattened.
fn operands<'v>(value: &'v Value, out: &mut Vec<Operand<'v>>) {
    match (place(value), value) {
        (Some(place), _) => out.push(Operand::Tensor(place)),
        (None, Value::Array(list)) if !places(value).is_empty() => list.iter().for_each(|value| operands(value, out)),
        (None, _) => out.push(Operand::Constant(value)),
    }
}

fn keywords<'v>(value: Option<&'v Value>, out: &mut Vec<(&'v str, Operand<'v>)>) {
    for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
        match place(value) {
            Some(place) => out.push((name, Operand::Tensor(place))),
            None if value.is_null() => {}
            // A list of tensors, such as the first states of a recurrent layer.
            None => match places(value).first() {
                Some(first) => out.push((name, Operand::Tensor(*first))),
                None => out.push((name, Operand::Constant(value))),
            },
        }
    }
}

/// What a layer does wrong if it has `what` as the value of an argument.
fn wrong(key: &str, value: &Value) -> String {
    format!("its {key} is {}", shortened(value))
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { text.chars().take(60).chain(['…']).collect() } else { text }
}

impl<'v> Layer<'v> {
    /// The layer that a wrapper such as `TimeDistributed` has as an argument, under the name of the wrapper.
    pub fn inner(&self, key: &str, name: &'v str) -> Option<Layer<'v>> {
        let value = self.config.get(key)?;
        let class = value["class_name"].as_str()?;
        let (module, config) = (value["module"].as_str().unwrap_or(""), &value["config"]);
        if config["layers"].is_array() {
            return None;
        }
        Some(Layer { name, class, module, registered: None, config, calls: Vec::new(), model: None })
    }

    /// Whether it is an operation of `keras.ops`, not a layer.
    pub fn is_operation(&self) -> bool {
        self.module.contains(".ops.") || self.module.ends_with(".ops")
    }

    /// The package in which code of a user registered its class.
    pub fn package(&self) -> Option<&'v str> {
        self.registered.and_then(|name| name.split_once('>')).map(|(package, _)| package)
    }

    /// The first of these arguments that it has: their names differ between versions of Keras.
    pub fn get(&self, keys: &[&str]) -> Option<&'v Value> {
        keys.iter().find_map(|key| self.config.get(*key)).filter(|value| !value.is_null())
    }

    pub fn text(&self, keys: &[&str]) -> Option<&'v str> {
        self.get(keys).and_then(Value::as_str)
    }

    /// A truth value; the default where it has none.
    pub fn is(&self, key: &str, default: bool) -> bool {
        self.get(&[key]).and_then(Value::as_bool).unwrap_or(default)
    }

    /// A number; the default where it has none.
    pub fn number(&self, keys: &[&str], default: f64) -> Result<f64, String> {
        self.get(keys).map_or(Ok(default), |value| value.as_f64().ok_or_else(|| wrong(keys[0], value)))
    }

    /// A size: an integer from 0 on.
    pub fn size(&self, keys: &[&str], default: Option<usize>) -> Result<usize, String> {
        match (self.get(keys), default) {
            (Some(value), _) => size(value).ok_or_else(|| wrong(keys[0], value)),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(format!("it has no {}", keys[0])),
        }
    }

    /// As many sizes as the layer has axes: a number stands for all.
    pub fn sizes(&self, keys: &[&str], axes: usize, default: Option<usize>) -> Result<Vec<usize>, String> {
        let Some(value) = self.get(keys) else {
            return Ok(vec![self.size(keys, default)?; axes]);
        };
        let sizes = match value {
            Value::Array(list) => list.iter().map(size).collect::<Option<Vec<_>>>(),
            one => size(one).map(|one| vec![one; axes]),
        };
        sizes.filter(|sizes| sizes.len() == axes).ok_or_else(|| wrong(keys[0], value))
    }

    /// Integers, of either sign; a single one is a list of one.
    pub fn integers(&self, keys: &[&str]) -> Result<Option<Vec<i64>>, String> {
        let Some(value) = self.get(keys) else { return Ok(None) };
        let small = |value: &Value| value.as_i64().filter(|number| number.unsigned_abs() < MAX_NUMBER);
        let list = match value {
            Value::Array(list) => list.iter().map(small).collect(),
            one => small(one).map(|one| vec![one]),
        };
        list.map(Some).ok_or_else(|| wrong(keys[0], value))
    }

    /// Numbers: one, or a list of them, possibly nested in lists of one.
    pub fn numbers(&self, keys: &[&str]) -> Result<Option<Vec<f64>>, String> {
        let Some(value) = self.get(keys) else { return Ok(None) };
        let mut list = value;
        while let Value::Array(outer) = list
            && let [inner @ Value::Array(_)] = &outer[..]
        {
            list = inner;
        }
        let numbers = match list {
            Value::Array(list) => list.iter().map(Value::as_f64).collect(),
            one => one.as_f64().map(|one| vec![one]),
        };
        numbers.map(Some).ok_or_else(|| wrong(keys[0], value))
    }

    /// The sizes of an input, with the batch; open ones are `None`.
    ///
    /// # Errors
    /// If it has none, or they are no sizes.
    pub fn shape(&self) -> Result<Vec<Option<usize>>, String> {
        let value = shape_of(self.config).ok_or("has no shape")?;
        let sizes = value.as_array().into_iter().flatten().map(|value| match value {
            Value::Null => Some(None),
            value => size(value).filter(|&size| size > 0).map(Some),
        });
        sizes.collect::<Option<Vec<_>>>().ok_or_else(|| format!("has the shape {}", shortened(value)))
    }

    /// Whether images are (channels, height, width) for it.
    pub fn is_channels_first(&self) -> bool {
        matches!(self.text(&["data_format", "dim_ordering"]), Some("channels_first" | "th"))
    }

    /// The arguments of a function that is written as a layer.
    pub fn of_function(name: &'v str, value: &'v Map<String, Value>) -> Option<Layer<'v>> {
        let (class, config) = (value.get("class_name")?.as_str()?, value.get("config")?);
        let module = value.get("module").and_then(Value::as_str).unwrap_or("");
        Some(Layer { name, class, module, registered: None, config, calls: Vec::new(), model: None })
    }
}

fn size(value: &Value) -> Option<usize> {
    value.as_u64().filter(|&size| size < MAX_NUMBER).map(|size| size as usize)
}
