//! The invariants of a graph, checked after each pass in debug builds and in tests.

use super::{Epilogue, Graph, NodeId, ParameterId, type_inference};
use crate::tensor::{Size, TensorType};

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {message}")]
pub struct GraphError {
    /// The name of the node or parameter, or `outputs`.
    pub subject: String,
    pub message: String,
}

impl Graph {
    /// Checks that nodes are in topological order, ids are in range, types are what the operations infer, parameters have
    /// the shapes that the operations declare, and layers support their epilogues.
    ///
    /// A type or parameter that depends on an open size is checked as far as its sizes are known.
    ///
    /// # Errors
    /// The first broken invariant.
    pub fn verify(&self) -> Result<(), GraphError> {
        let error = |subject: &str, message: String| Err(GraphError { subject: subject.to_string(), message });
        if self.open_inputs > self.nodes.len() {
            return error("inputs", format!("{} open inputs of {} nodes", self.open_inputs, self.nodes.len()));
        }
        for id in self.ids() {
            let name = &self.node(id).name;
            self.verify_node(id).or_else(|message| error(name, message))?;
        }
        for (index, parameter) in self.parameters.iter().enumerate() {
            let sources = parameter.derived.iter().flat_map(|derivation| derivation.sources());
            if let Some(ParameterId(source)) = sources.into_iter().find(|source| source.0 >= index) {
                return error(
                    &parameter.path(),
                    format!("it is derived from parameter {source}, which is not before it"),
                );
            }
        }
        match self.outputs.iter().find(|output| output.0 >= self.nodes.len()) {
            Some(NodeId(output)) => error("outputs", format!("there is no node {output}")),
            None => Ok(()),
        }
    }

    /// Panics in debug builds if [`Graph::verify`] fails.
    pub fn debug_verify(&self, stage: &str) {
        if cfg!(debug_assertions) {
            let result = self.verify();
            debug_assert!(result.is_ok(), "the graph `{}` is invalid after {stage}: {result:?}\n{self}", self.name);
        }
    }

    fn verify_node(&self, id: NodeId) -> Result<(), String> {
        let node = self.node(id);
        if let Some(NodeId(input)) = node.inputs.iter().find(|input| **input >= id) {
            return Err(format!("its input is node {input}, which is not before node {}", id.0));
        }
        if let Some(ParameterId(parameter)) = node.parameters.iter().find(|id| id.0 >= self.parameters.len()) {
            return Err(format!("there is no parameter {parameter}"));
        }
        if node.operation.changes() > node.parameters.len() {
            return Err(format!("it changes {} of {} parameters", node.operation.changes(), node.parameters.len()));
        }
        let epilogue = &node.epilogue;
        let supports = node.operation.supports();
        let unsupported = [
            ("a residual", epilogue.residual && !supports.residual),
            ("an activation", epilogue.activation != Default::default() && !supports.activation),
            ("a pool", epilogue.pool && !supports.pool),
            ("a softmax", epilogue.softmax && !supports.softmax),
        ];
        if let Some((part, _)) = unsupported.into_iter().find(|(_, is_unsupported)| *is_unsupported) {
            return Err(format!("its epilogue has {part}, which the layer does not support"));
        }
        let mut inputs = self.input_types(id);
        let residual = if epilogue.residual { inputs.pop() } else { None };
        if epilogue.residual && residual.is_none() {
            return Err("its epilogue adds a residual, but it has no inputs".into());
        }
        let is_known = inputs.iter().all(|input| input.known().is_some());
        let (output, specs) = match type_inference::infer(&*node.operation, &inputs) {
            Ok(inferred) => inferred,
            // A pass may have removed the `Input` that gave a size.
            Err(_) if !is_known => return Ok(()),
            Err(error) => return Err(error.message),
        };
        if let Some(residual) = residual.filter(|residual| !residual.agrees(&output)) {
            return Err(format!("its epilogue adds {residual} to {output}"));
        }
        let output = after_epilogue(output, epilogue).ok_or("its epilogue pools what is no image")?;
        let is_equal = if output.known().is_some() { node.output == output } else { node.output.agrees(&output) };
        if !is_equal {
            return Err(format!("its type is {}, but its operation gives {output}", node.output));
        }
        if specs.len() != node.parameters.len() {
            return Err(format!(
                "it has {} parameters, but its operation declares {}",
                node.parameters.len(),
                specs.len()
            ));
        }
        for (spec, parameter) in specs.iter().zip(&node.parameters) {
            let parameter = &self.parameters[parameter.0];
            // A part of a layer calls a parameter otherwise than the layer does.
            if spec.kind != parameter.kind || spec.shape != parameter.shape {
                let (declared, found) = ((spec.kind, &spec.shape), (parameter.kind, &parameter.shape));
                return Err(format!("its operation declares the parameter {declared:?}, but it has {found:?}"));
            }
        }
        Ok(())
    }
}

/// The type after an epilogue; `None` for a pool over something else than an image.
fn after_epilogue(output: TensorType, epilogue: &Epilogue) -> Option<TensorType> {
    if !epilogue.pool {
        return Some(output);
    }
    let (height, width, channels) = output.image()?;
    let half = |size: Size| size.map(|size| size / 2);
    Some(TensorType::batched([half(height), half(width), channels]))
}
