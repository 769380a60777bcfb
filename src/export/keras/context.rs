//! A net while it is converted to layers of Keras.

use super::model::{Argument, Call, LAYERS, Model, Tensor, Variables};
use crate::graph::{Graph, Node, NodeId, ParameterId};
use crate::tensor::TensorType;
use crate::weights::save::keras_form::{self, Variable};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A net while it is converted.
pub(super) struct Context<'a> {
    pub graph: &'a Graph,
    pub model: Model,
    /// The Keras tensor of each node.
    pub tensors: Vec<Option<Tensor>>,
    /// The Keras layers of nodes with parameters, by the first of these.
    owners: HashMap<ParameterId, usize>,
    /// The values of parameters.
    read: &'a dyn Fn(ParameterId) -> Result<Vec<f32>, String>,
}

/// What a layer gives in Keras, or why Keras lacks it.
pub(super) type Converted = Result<Tensor, String>;

impl<'a> Context<'a> {
    pub fn new(graph: &'a Graph, read: &'a dyn Fn(ParameterId) -> Result<Vec<f32>, String>) -> Self {
        let tensors = vec![None; graph.nodes.len()];
        Context { graph, model: Model::default(), tensors, owners: HashMap::new(), read }
    }

    /// A placeholder for a node that cannot be written, so that the nodes after it can be checked.
    pub fn stand_in(&mut self, id: NodeId) -> Tensor {
        let node = self.graph.node(id);
        let call = Call { arguments: Vec::new(), keywords: Vec::new(), output: node.output.clone() };
        self.model.add(&node.name, "InputLayer", LAYERS, json!({}), call)
    }

    /// The Keras tensor of a node.
    pub fn tensor(&self, id: NodeId) -> Option<Tensor> {
        self.tensors[id.0]
    }

    /// A layer of Keras on these inputs: several are a list.
    pub fn layer(
        &mut self,
        node: &Node,
        class: &'static str,
        config: Value,
        inputs: &[Tensor],
        output: TensorType,
    ) -> Tensor {
        let arguments = match inputs {
            [one] => vec![Argument::One(*one)],
            list => vec![Argument::List(list.to_vec())],
        };
        let call = Call { arguments, keywords: Vec::new(), output };
        self.model.add(&node.name, class, LAYERS, config, call)
    }

    /// An operation of `keras.ops`.
    pub fn operation(
        &mut self,
        node: &Node,
        module: &'static str,
        class: &'static str,
        config: Value,
        arguments: Vec<Argument>,
        output: TensorType,
    ) -> Tensor {
        self.model.add(&node.name, class, module, config, Call { arguments, keywords: Vec::new(), output })
    }

    /// A layer with variables: if they are those of a layer before, that is called again.
    pub fn with_variables(
        &mut self,
        node: &Node,
        class: &'static str,
        config: Value,
        input: Tensor,
        output: TensorType,
        part: &'static str,
    ) -> Converted {
        let call = Call { arguments: vec![Argument::One(input)], keywords: Vec::new(), output };
        self.call_with_variables(node, (class, LAYERS), config, call, |cx| {
            let list = cx.variables(node)?;
            Ok(vec![(part, list)])
        })
    }

    pub fn call_with_variables(
        &mut self,
        node: &Node,
        (class, module): (&'static str, &'static str),
        config: Value,
        call: Call,
        variables: impl FnOnce(&Self) -> Result<Vec<Variables>, String>,
    ) -> Converted {
        let first = node.parameters.first().copied();
        if let Some(&layer) = first.and_then(|first| self.owners.get(&first)) {
            return Ok(self.model.call_again(layer, call));
        }
        let variables = variables(self)?;
        let tensor = self.model.add(&node.name, class, module, config, call);
        self.model.layers[tensor.layer].variables = variables;
        self.owners.extend(first.map(|first| (first, tensor.layer)));
        Ok(tensor)
    }

    /// The variables of a node in Keras' order and form.
    pub fn variables(&self, node: &Node) -> Result<Vec<Variable>, String> {
        let mut values = Vec::new();
        for &id in &node.parameters {
            values.push((self.read)(id)?);
        }
        keras_form::variables(self.graph, node, values)
    }

    /// The values of a node's parameter, and its shape.
    pub fn parameter(&self, node: &Node, role: &str) -> Result<Option<Variable>, String> {
        let found = self.graph.parameter(node, role);
        found.map(|id| Ok((self.graph.parameters[id.0].shape.clone(), (self.read)(id)?))).transpose()
    }
}

/// Why a layer cannot be written.
pub(super) fn lacks(node: &Node) -> String {
    format!("Keras has no layer for `{}`, a {}", node.name, node.operation.definition().name)
}

/// The same values in another shape.
pub(super) fn reshape(cx: &mut Context, node: &Node, x: Tensor, output: TensorType) -> Tensor {
    if *cx.model.output(x) == output {
        return x;
    }
    if output.sizes.len() == 1 {
        return cx.layer(node, "Flatten", json!({}), &[x], output);
    }
    let sizes: Value = output.sizes.iter().map(|size| size.known().map_or(json!(-1), |size| json!(size))).collect();
    cx.layer(node, "Reshape", json!({ "target_shape": sizes }), &[x], output)
}
