//! A Keras model while it is made: layers, their calls and their weights.

use crate::tensor::{Size, TensorType};
use crate::weights::save::keras_form::Variable;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};

/// The module of Keras' layers.
pub(super) const LAYERS: &str = "keras.layers";
/// The modules of its operations, by which it finds them.
pub(super) const NUMPY: &str = "keras.src.ops.numpy";
pub(super) const NEURAL: &str = "keras.src.ops.nn";

/// What a call of a layer gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tensor {
    pub layer: usize,
    pub call: usize,
}

/// What a layer is called with.
#[derive(Clone, Debug)]
pub(super) enum Argument {
    One(Tensor),
    List(Vec<Tensor>),
    /// A number, an index or the like.
    Constant(Value),
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub arguments: Vec<Argument>,
    pub keywords: Vec<(&'static str, Argument)>,
    /// The type of what it gives.
    pub output: TensorType,
}

/// Variables of a layer or of a part of it, with the path of the part, such as `cell`.
pub(super) type Variables = (&'static str, Vec<Variable>);

#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub name: String,
    pub class: &'static str,
    pub module: &'static str,
    /// The constructor's arguments, without the name.
    pub config: Map<String, Value>,
    pub calls: Vec<Call>,
    pub variables: Vec<Variables>,
}

/// A functional model: layers in an order in which each follows what it takes.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub layers: Vec<Layer>,
    names: BTreeSet<String>,
    /// All calls, in the order in which they were made.
    calls: Vec<Tensor>,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
}

impl Call {
    fn tensors(&self) -> impl Iterator<Item = Tensor> + '_ {
        let all = self.arguments.iter().chain(self.keywords.iter().map(|(_, argument)| argument));
        all.flat_map(|argument| match argument {
            Argument::One(tensor) => std::slice::from_ref(tensor),
            Argument::List(list) => list,
            Argument::Constant(_) => &[],
        })
        .copied()
    }
}

impl Model {
    /// Adds a layer with one call. Names in Keras have no `/`, in its torch backend no `.`, and are unique.
    pub fn add(&mut self, name: &str, class: &'static str, module: &'static str, config: Value, call: Call) -> Tensor {
        let base = name.replace(['/', '.'], "_");
        let numbered = (2usize..).map(|number| format!("{base}_{number}"));
        let free = |name: &String| !self.names.contains(name);
        let name = std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or(base);
        self.names.insert(name.clone());
        let config = if let Value::Object(config) = config { config } else { Map::new() };
        self.layers.push(Layer { name, class, module, config, calls: vec![call], variables: Vec::new() });
        let tensor = Tensor { layer: self.layers.len() - 1, call: 0 };
        self.calls.push(tensor);
        tensor
    }

    /// Calls a layer again, with the same variables.
    pub fn call_again(&mut self, layer: usize, call: Call) -> Tensor {
        self.layers[layer].calls.push(call);
        let tensor = Tensor { layer, call: self.layers[layer].calls.len() - 1 };
        self.calls.push(tensor);
        tensor
    }

    pub fn output(&self, tensor: Tensor) -> &TensorType {
        &self.layers[tensor.layer].calls[tensor.call].output
    }

    /// The layers in Keras' order, which its weights follow within a class: the deepest first, those of equal depth in the order
    /// of a walk from the outputs (`map_graph` in keras/src/ops/function.py).
    pub fn order(&self) -> Vec<usize> {
        let mut of_calls: HashMap<Tensor, usize> = HashMap::new();
        let mut depths = vec![0; self.layers.len()];
        for &call in self.calls.iter().rev() {
            let depth = of_calls.get(&call).copied().unwrap_or(0).max(depths[call.layer]);
            depths[call.layer] = depth;
            for before in self.layers[call.layer].calls[call.call].tensors() {
                let known = of_calls.entry(before).or_default();
                *known = (*known).max(depth + 1);
            }
        }
        let mut visited = vec![usize::MAX; self.layers.len()];
        let mut pending: Vec<usize> = self.outputs.iter().rev().map(|tensor| tensor.layer).collect();
        let mut count = 0;
        while let Some(layer) = pending.pop() {
            if visited[layer] == usize::MAX {
                visited[layer] = count;
                count += 1;
                let from: Vec<usize> =
                    self.layers[layer].calls.iter().flat_map(Call::tensors).map(|tensor| tensor.layer).collect();
                pending.extend(from.into_iter().rev());
            }
        }
        let mut order: Vec<usize> = (0..self.layers.len()).collect();
        order.sort_by_key(|&layer| (std::cmp::Reverse(depths[layer]), visited[layer]));
        order
    }

    /// The configuration of a functional model, as `keras.saving` reads it.
    pub fn configuration(&self, name: &str) -> Value {
        let layers: Vec<Value> = self.order().into_iter().map(|at| self.layer(&self.layers[at])).collect();
        let places = |list: &[Tensor]| -> Value { list.iter().map(|tensor| self.place(*tensor)).collect() };
        json!({
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "config": {
                "name": name,
                "trainable": true,
                "layers": layers,
                "input_layers": places(&self.inputs),
                "output_layers": places(&self.outputs),
            },
            "registered_name": "Functional",
        })
    }

    fn place(&self, tensor: Tensor) -> Value {
        json!([self.layers[tensor.layer].name, tensor.call, 0])
    }

    fn layer(&self, layer: &Layer) -> Value {
        let mut config = layer.config.clone();
        config.insert("name".into(), json!(layer.name));
        // Input layers are called with nothing.
        let calls: Vec<Value> = match layer.class {
            "InputLayer" => Vec::new(),
            _ => layer.calls.iter().map(|call| self.call(call)).collect(),
        };
        let registered = if layer.module == LAYERS { Value::Null } else { json!(layer.class) };
        json!({
            "module": layer.module,
            "class_name": layer.class,
            "config": config,
            "registered_name": registered,
            "name": layer.name,
            "inbound_nodes": calls,
        })
    }

    fn call(&self, call: &Call) -> Value {
        let keywords: Map<String, Value> =
            call.keywords.iter().map(|(name, argument)| (name.to_string(), self.argument(argument))).collect();
        let arguments: Vec<Value> = call.arguments.iter().map(|argument| self.argument(argument)).collect();
        json!({ "args": arguments, "kwargs": keywords })
    }

    fn argument(&self, argument: &Argument) -> Value {
        match argument {
            Argument::One(tensor) => self.tensor(*tensor),
            Argument::List(list) => list.iter().map(|tensor| self.tensor(*tensor)).collect(),
            Argument::Constant(value) => value.clone(),
        }
    }

    fn tensor(&self, tensor: Tensor) -> Value {
        json!({
            "class_name": "__keras_tensor__",
            "config": {
                "shape": shape(self.output(tensor)),
                "dtype": "float32",
                "keras_history": self.place(tensor),
            },
        })
    }
}

/// The sizes with the batch; what is open is null.
pub(super) fn shape(output: &TensorType) -> Value {
    std::iter::once(Size::Open).chain(output.sizes.iter().copied()).map(|size| json!(size.known())).collect()
}
