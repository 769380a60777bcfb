//! A model while it is made: its nodes and tensors, and where the axes of each layer's output are.

use crate::compile::Build;
use crate::graph::{Graph, Node, NodeId, ParameterId};
use crate::onnx;
use crate::onnx::model::Value as Attribute;
use crate::onnx::write::{Initializer, Values};
use crate::size::product;
use ndarray::{ArrayD, IxDyn};
use std::collections::{HashMap, HashSet};

/// A value of the model that stands for the output of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub name: String,
    /// The sizes in netc, without the batch.
    pub sizes: Vec<usize>,
    /// Axis i + 1 of the model is axis `order[i]` of `sizes`.
    pub order: Vec<usize>,
    /// For features that were an image: its sizes, and the order of its axes in which the model flattened it, if that is not
    /// netc's.
    pub flattened: Option<(Vec<usize>, Vec<usize>)>,
}

impl Value {
    pub fn new(name: String, sizes: Vec<usize>, order: Vec<usize>) -> Value {
        Value { name, sizes, order, flattened: None }
    }

    /// The axis in the model of an axis of netc, counted with the batch.
    pub fn axis(&self, place: usize) -> i64 {
        1 + self.order.iter().position(|&axis| axis == place).unwrap_or(place) as i64
    }

    /// The axis in the model of the channels, or features.
    pub fn channel_axis(&self) -> i64 {
        self.axis(self.sizes.len().saturating_sub(1))
    }

    /// The sizes in the model's order.
    pub fn ordered(&self) -> Vec<usize> {
        self.order.iter().map(|&axis| self.sizes[axis]).collect()
    }

    pub fn is_in_order(&self) -> bool {
        self.order.is_sorted()
    }
}

/// The order of netc's axes.
pub(super) fn in_order(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}

/// The order with the channels first, as convolutions have it.
pub(super) fn channels_first(rank: usize) -> Vec<usize> {
    (0..rank).cycle().skip(rank.saturating_sub(1)).take(rank).collect()
}

/// What a layer becomes, or why ONNX cannot express it, in words that follow its name.
pub(super) type Exported = Result<Value, String>;

/// Attributes by their names.
pub(super) type Attributes = Vec<(&'static str, Attribute)>;

/// The values of a parameter in another order: seen in the sizes `view`, with axis i from `order[i]`, as a tensor of `shape`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Arrangement {
    pub view: Vec<usize>,
    pub order: Vec<usize>,
    pub shape: Vec<usize>,
}

impl Arrangement {
    /// The values as they are.
    pub fn plain(shape: &[usize]) -> Arrangement {
        Arrangement { view: shape.to_vec(), order: in_order(shape.len()), shape: shape.to_vec() }
    }

    /// The values with their axes in another order.
    pub fn permuted(view: &[usize], order: &[usize]) -> Arrangement {
        let shape = order.iter().map(|&axis| view[axis]).collect();
        Arrangement { view: view.to_vec(), order: order.to_vec(), shape }
    }

    /// As a tensor of another shape with as many values.
    pub fn shaped(self, shape: &[usize]) -> Arrangement {
        Arrangement { shape: shape.to_vec(), ..self }
    }

    fn apply(&self, values: Vec<f32>) -> Result<Vec<f32>, String> {
        if self.order.is_sorted() {
            return Ok(values);
        }
        let array = ArrayD::from_shape_vec(IxDyn(&self.view), values).map_err(|error| error.to_string())?;
        Ok(array.permuted_axes(IxDyn(&self.order)).iter().copied().collect())
    }
}

/// The model, and what of the net it has already.
pub(super) struct Context<'b> {
    pub build: &'b Build,
    pub graph: &'b Graph,
    pub nodes: Vec<onnx::Node>,
    pub initializers: Vec<Initializer<'b>>,
    /// The values that stand for the layers, in their order.
    pub values: Vec<Option<Value>>,
    consumers: Vec<Vec<NodeId>>,
    /// The layer that is being expressed.
    layer: &'b str,
    names: HashSet<String>,
    tensors: HashMap<(ParameterId, Arrangement), String>,
    computed: HashMap<(Vec<ParameterId>, &'static str), String>,
    constants: HashMap<(Vec<usize>, Vec<u32>), String>,
    lists: HashMap<Vec<i64>, String>,
    transposed: HashMap<(String, Vec<usize>), String>,
}

impl<'b> Context<'b> {
    pub fn new(build: &'b Build) -> Context<'b> {
        let graph = &build.graph;
        Context {
            build,
            graph,
            nodes: Vec::new(),
            initializers: Vec::new(),
            values: vec![None; graph.nodes.len()],
            consumers: graph.consumers(),
            layer: "",
            names: HashSet::new(),
            tensors: HashMap::new(),
            computed: HashMap::new(),
            constants: HashMap::new(),
            lists: HashMap::new(),
            transposed: HashMap::new(),
        }
    }

    /// A name that no value, tensor or node has yet.
    pub fn unique(&mut self, name: &str) -> String {
        let mut found = name.to_string();
        let mut count = 1;
        while !self.names.insert(found.clone()) {
            count += 1;
            found = format!("{name}_{count}");
        }
        found
    }

    /// The layers that read a layer's output.
    pub fn readers(&self, id: NodeId) -> &[NodeId] {
        &self.consumers[id.0]
    }

    /// Expresses a layer by `express`; its last node gets the layer's name.
    pub fn layer(&mut self, id: NodeId, express: impl FnOnce(&mut Self, &'b Node) -> Exported) -> Result<(), String> {
        let node = self.graph.node(id);
        self.layer = &node.name;
        let first = self.nodes.len();
        let mut value = express(self, node)?;
        let last = self.nodes[first..].iter().rposition(|node| node.outputs == [value.name.clone()]);
        if let Some(last) = last.map(|last| first + last) {
            let name = self.unique(&node.name);
            self.nodes[last].outputs = vec![name.clone()];
            self.nodes[last].name.clone_from(&name);
            self.transposed.retain(|(known, _), transposed| *known != value.name && *transposed != value.name);
            self.names.remove(&value.name);
            value.name = name;
        }
        self.values[id.0] = Some(value);
        Ok(())
    }

    /// The value of a layer's input.
    pub fn input(&self, node: &Node, index: usize) -> Exported {
        let value = node.inputs.get(index).and_then(|id| self.values[id.0].clone());
        value.ok_or_else(|| "its input could not be expressed".to_string())
    }

    /// The value of a layer's input with its axes in an order.
    pub fn input_in(&mut self, node: &Node, index: usize, order: &[usize]) -> Exported {
        let value = self.input(node, index)?;
        Ok(self.in_order_of(&value, order))
    }

    /// The value of a layer's input with netc's axes.
    pub fn input_in_order(&mut self, node: &Node, index: usize) -> Exported {
        let rank = self.input(node, index)?.sizes.len();
        self.input_in(node, index, &in_order(rank))
    }

    /// The value of a layer's input with the channels first.
    pub fn input_channels_first(&mut self, node: &Node, index: usize) -> Exported {
        let rank = self.input(node, index)?.sizes.len();
        self.input_in(node, index, &channels_first(rank))
    }

    /// A value with its axes in an order: transposed where it has another, once for all layers that ask.
    pub fn in_order_of(&mut self, value: &Value, order: &[usize]) -> Value {
        if value.order == order {
            return value.clone();
        }
        let key = (value.name.clone(), order.to_vec());
        let name = match self.transposed.get(&key) {
            Some(name) => name.clone(),
            None => {
                let moves = std::iter::once(0).chain(order.iter().map(|&axis| value.axis(axis))).collect();
                let name = self.emit("Transpose", &[&value.name], vec![("perm", Attribute::Ints(moves))]);
                self.transposed.insert(key, name.clone());
                name
            }
        };
        Value { name, order: order.to_vec(), ..value.clone() }
    }

    /// Adds a node with one output, and returns that.
    pub fn emit(&mut self, op: &str, inputs: &[&str], attributes: Attributes) -> String {
        self.emit_many(op, inputs, attributes, 1).pop().unwrap_or_default()
    }

    /// Adds a node with several outputs.
    pub fn emit_many(&mut self, op: &str, inputs: &[&str], attributes: Attributes, outputs: usize) -> Vec<String> {
        let hint = format!("{}/{op}", self.layer);
        let outputs: Vec<String> = (0..outputs).map(|_| self.unique(&hint)).collect();
        self.nodes.push(onnx::Node {
            name: outputs.first().cloned().unwrap_or_default(),
            op: op.into(),
            domain: String::new(),
            inputs: inputs.iter().map(|input| (*input).to_string()).collect(),
            outputs: outputs.clone(),
            attributes: attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
            ..onnx::Node::default()
        });
        outputs
    }

    /// The name of a tensor in PyTorch's way: `encoder.conv1.weight`.
    fn tensor_name(&mut self, owner: &str, part: &str) -> String {
        let name = format!("{}.{part}", owner.replace('/', "."));
        self.unique(&name)
    }

    /// The tensor of a parameter, as `part` of its layer. A parameter that several layers share has one.
    pub fn parameter(&mut self, id: ParameterId, part: &str, arrangement: Arrangement) -> String {
        let key = (id, arrangement);
        if let Some(name) = self.tensors.get(&key) {
            return name.clone();
        }
        let (build, parameter, arrangement) = (self.build, &self.graph.parameters[id.0], key.1.clone());
        let name = self.tensor_name(&parameter.layer, part);
        let shape = arrangement.shape.clone();
        let read = move || arrangement.apply(build.values(id).map_err(|error| error.to_string())?);
        self.initializers.push(Initializer { name: name.clone(), shape, values: Values::Later(Box::new(read)) });
        self.tensors.insert(key, name.clone());
        name
    }

    /// A tensor that is computed of parameters, as `part` of the layer of the first.
    pub fn computed(
        &mut self,
        of: &[ParameterId],
        part: &'static str,
        shape: &[usize],
        compute: impl Fn(&[Vec<f32>]) -> Vec<f32> + 'b,
    ) -> String {
        let key = (of.to_vec(), part);
        if let Some(name) = self.computed.get(&key) {
            return name.clone();
        }
        let owner = of.first().map_or("", |id| &self.graph.parameters[id.0].layer);
        let name = self.tensor_name(owner, part);
        let (build, of) = (self.build, of.to_vec());
        let read = move || {
            let values = of.iter().map(|&id| build.values(id).map_err(|error| error.to_string()));
            Ok(compute(&values.collect::<Result<Vec<_>, String>>()?))
        };
        let values = Values::Later(Box::new(read));
        self.initializers.push(Initializer { name: name.clone(), shape: shape.to_vec(), values });
        self.computed.insert(key, name.clone());
        name
    }

    /// A constant of numbers; equal ones are one tensor.
    pub fn constant(&mut self, shape: &[usize], values: Vec<f32>) -> String {
        let key = (shape.to_vec(), values.iter().map(|value| value.to_bits()).collect());
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let name = self.unique(&format!("constant_{}", self.constants.len() + 1));
        self.initializers.push(Initializer {
            name: name.clone(),
            shape: shape.to_vec(),
            values: Values::Floats(values),
        });
        self.constants.insert(key, name.clone());
        name
    }

    /// A constant number.
    pub fn scalar(&mut self, value: f32) -> String {
        self.constant(&[], vec![value])
    }

    /// A constant list of integers, such as a shape.
    pub fn list(&mut self, values: &[i64]) -> String {
        if let Some(name) = self.lists.get(values) {
            return name.clone();
        }
        let name = self.unique(&format!("list_{}", self.lists.len() + 1));
        self.initializers.push(Initializer {
            name: name.clone(),
            shape: vec![values.len()],
            values: Values::Integers(values.to_vec()),
        });
        self.lists.insert(values.to_vec(), name.clone());
        name
    }

    /// The same values in another shape, whose batch stays.
    pub fn reshape(&mut self, name: &str, sizes: &[usize]) -> String {
        // Size 0 is that of the input.
        let shape: Vec<i64> = std::iter::once(0).chain(sizes.iter().map(|&size| size as i64)).collect();
        let shape = self.list(&shape);
        self.emit("Reshape", &[name, &shape], Vec::new())
    }

    /// A range of an axis, counted with the batch.
    pub fn slice(&mut self, name: &str, axis: i64, from: usize, to: usize) -> String {
        let (from, to, axis) = (self.list(&[from as i64]), self.list(&[to as i64]), self.list(&[axis]));
        self.emit("Slice", &[name, &from, &to, &axis], Vec::new())
    }

    /// A constant of one sample, of this shape, for each of the batch of a value.
    pub fn for_each_sample(&mut self, batch_of: &str, batch_axis: usize, tensor: &str, shape: &[usize]) -> String {
        let sizes = self.emit("Shape", &[batch_of], vec![("start", Attribute::Int(0)), ("end", Attribute::Int(1))]);
        let sides = |sides: &[usize]| sides.iter().map(|&side| side as i64).collect::<Vec<_>>();
        let (before, after) = shape.split_at(batch_axis.min(shape.len()));
        let after = after.get(1..).unwrap_or_default();
        let mut parts = Vec::new();
        for (place, list) in [before, after].into_iter().enumerate() {
            if place == 1 {
                parts.push(sizes.clone());
            }
            if !list.is_empty() {
                parts.push(self.list(&sides(list)));
            }
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let target = self.emit("Concat", &parts, vec![("axis", Attribute::Int(0))]);
        self.emit("Expand", &[tensor, &target], Vec::new())
    }

    /// A value for each channel or feature of another, in a shape that is broadcast over its other axes.
    pub fn per_channel(&self, of: &Value) -> Vec<usize> {
        let channels = of.sizes.last().copied().unwrap_or(1);
        let after = of.order.len() - of.channel_axis().max(1) as usize;
        [vec![channels], vec![1; after]].concat()
    }

    /// Gives a value the name of an output, which no other may have.
    pub fn give_name(&mut self, value: &str, wanted: &str) {
        let other = (value != wanted && self.names.contains(wanted)).then(|| self.unique(&format!("{wanted}/inner")));
        let renamed = |name: &mut String| match &other {
            Some(other) if name == wanted => name.clone_from(other),
            _ if name == value => *name = wanted.to_string(),
            _ => {}
        };
        for node in &mut self.nodes {
            node.inputs.iter_mut().chain(&mut node.outputs).chain([&mut node.name]).for_each(renamed);
        }
        // Other outputs may be the same value.
        self.values.iter_mut().flatten().for_each(|known| renamed(&mut known.name));
        let transposed = std::mem::take(&mut self.transposed).into_iter();
        self.transposed = transposed
            .map(|((mut from, order), mut to)| {
                renamed(&mut from);
                renamed(&mut to);
                ((from, order), to)
            })
            .collect();
        self.names.insert(wanted.to_string());
    }

    /// The values of a parameter.
    pub fn read(&self, id: ParameterId) -> Result<Vec<f32>, String> {
        self.build.values(id).map_err(|error| error.to_string())
    }

    /// The number of values of a parameter.
    pub fn len(&self, id: ParameterId) -> usize {
        product(self.graph.parameters[id.0].shape.iter().copied())
    }
}
