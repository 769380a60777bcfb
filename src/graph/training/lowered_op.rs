//! [`LoweredOp`]: an operation of a training step, described by the kernel that computes it.

use crate::diagnostics::Code;
use crate::graph::{
    Arity, Category, Definition, Graph, Lowered, Lowering, NodeId, Operation, Parameter, ParameterId, ParameterSpec,
    ShapeError, Supports,
};
use crate::plan::Kernel;
use crate::plan::kernel_step::Inputs;
use crate::plan::training_reference;
use crate::size::product;
use crate::tensor::TensorType;
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A gradient, a loss or an update: an operation of a training step that no spec can write. It holds its kernel from the
/// start, as all sizes are known when it is made.
#[derive(Debug)]
pub struct LoweredOp {
    output: TensorType,
    lowered: Lowered,
    parameters: Vec<ParameterSpec>,
    changes: usize,
}

static LOWERED: Definition = Definition {
    name: "step",
    aliases: &[],
    kind: "Step",
    category: Category::Shape,
    summary: "A step of training.",
    arguments: &[],
    details: "",
    example: "",
    build: |arguments| Err(arguments.wrong("step", "a spec cannot write it")),
};

impl LoweredOp {
    /// Whether the f64 reference can compute it.
    pub fn has_reference(&self) -> bool {
        match &self.lowered {
            Lowered::Step(kernel) | Lowered::InPlace(kernel) => training_reference::has_reference(kernel),
            Lowered::View | Lowered::Channels(_) => true,
            Lowered::Concatenate { .. } => false,
        }
    }

    /// Why inputs with these numbers of values per image are wrong for its kernel.
    fn size_error(&self, inputs: &[&TensorType]) -> Option<String> {
        let lens: Vec<usize> = inputs.iter().map(|input| input.len().unwrap_or(0)).collect();
        let len = |&(pixels, channels): &(usize, usize)| product([pixels, channels]);
        let output = self.output.len().unwrap_or(0);
        let (expected, gives): (Vec<usize>, usize) = match &self.lowered {
            Lowered::Step(kernel) | Lowered::InPlace(kernel) => {
                let sizes = kernel.sizes();
                let expected = match &sizes.inputs {
                    Inputs::Fixed(list) => list.iter().map(len).collect(),
                    Inputs::Variadic(size) => vec![len(size); lens.len().max(1)],
                    Inputs::Gated(gate, size) => (0..lens.len())
                        .map(|index| if index == *gate { lens.len().saturating_sub(1) } else { len(size) })
                        .collect(),
                };
                (expected, len(&sizes.output))
            }
            Lowered::View => (vec![output], output),
            Lowered::Channels(from) => {
                let (width, channels) = (inputs.first()?.channels().known()?, self.output.channels().known()?);
                let fits = lens.len() == 1 && from + channels <= width && lens[0] / width * channels == output;
                return (!fits).then(|| format!("channels {from}.. of {} are no {}", inputs[0], self.output));
            }
            Lowered::Concatenate { .. } => (lens.clone(), lens.iter().sum()),
        };
        let fits = expected == lens && gives == output;
        (!fits).then(|| format!("its kernel turns {expected:?} values into {gives}, not {lens:?} into {output}"))
    }
}

impl Operation for LoweredOp {
    fn definition(&self) -> &'static Definition {
        &LOWERED
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let text = match &self.lowered {
            Lowered::Step(kernel) | Lowered::InPlace(kernel) => kernel.describe(),
            Lowered::View => "the same values".into(),
            Lowered::Channels(from) => format!("from {from} on"),
            Lowered::Concatenate { rows } => format!("{rows} rows beside each other"),
        };
        vec![("does", text)]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        match self.size_error(inputs) {
            None => Ok(self.output.clone()),
            Some(message) => Err(ShapeError::new(Code::Mismatch, message, "a step of training")),
        }
    }

    fn parameters(&self, _: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        Ok(self.parameters.clone())
    }

    /// NaN for an operation without a reference: see [`LoweredOp::has_reference`].
    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let flat = |arrays: &[&ArrayD<f64>]| -> Vec<Vec<f64>> {
            arrays.iter().map(|array| array.iter().copied().collect()).collect()
        };
        let (sizes, values) = (self.output.known().unwrap_or_default(), flat(inputs));
        let batch = self.output.batched.then(|| inputs.first().map_or(1, |input| input.shape()[0]));
        let shape: Vec<usize> = batch.into_iter().chain(sizes).collect();
        let result = match &self.lowered {
            Lowered::Step(kernel) | Lowered::InPlace(kernel) => {
                training_reference::evaluate(kernel, &values, &flat(parameters))
            }
            Lowered::View => values.into_iter().next(),
            Lowered::Channels(from) => {
                let width = inputs.first().and_then(|input| input.shape().last().copied()).unwrap_or(1);
                let channels = shape.last().copied().unwrap_or(1);
                let rows = values.iter().flat_map(|values| values.chunks_exact(width.max(1)));
                Some(rows.flat_map(|row| &row[*from..from + channels]).copied().collect())
            }
            Lowered::Concatenate { .. } => None,
        };
        let result = result.and_then(|values| ArrayD::from_shape_vec(IxDyn(&shape), values).ok());
        result.unwrap_or_else(|| ArrayD::from_elem(IxDyn(&shape), f64::NAN))
    }

    fn evaluate_changes(&self, inputs: &[&ArrayD<f64>], parameters: &mut [ArrayD<f64>]) {
        if let Lowered::Step(kernel) | Lowered::InPlace(kernel) = &self.lowered {
            let inputs: Vec<Vec<f64>> = inputs.iter().map(|array| array.iter().copied().collect()).collect();
            training_reference::apply_changes(kernel, &inputs, parameters);
        }
    }

    fn supports(&self) -> Supports {
        Supports { activation: matches!(self.lowered, Lowered::Step(Kernel::BatchNorm(_))), ..Supports::default() }
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let mut lowered = self.lowered.clone();
        if let Lowered::Step(Kernel::BatchNorm(step)) = &mut lowered {
            step.activation = cx.epilogue.activation;
        }
        Ok(lowered)
    }

    fn arity(&self) -> Arity {
        Arity::Many
    }

    fn changes(&self) -> usize {
        self.changes
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Graph {
    /// Adds a step of training after its inputs. It changes the first `changes` of the parameters.
    pub fn push_lowered(
        &mut self,
        name: &str,
        output: TensorType,
        lowered: Lowered,
        inputs: &[NodeId],
        parameters: &[ParameterId],
        changes: usize,
    ) -> NodeId {
        let origin = self.node(inputs.first().copied().unwrap_or(NodeId(0))).origin.clone();
        let spec = |id: &ParameterId| {
            let Parameter { role, kind, shape, initializer, trainable, .. } = self.parameters[id.0].clone();
            ParameterSpec { role, kind, shape, initializer, trainable }
        };
        let specs = parameters.iter().map(spec).collect();
        let operation = Arc::new(LoweredOp { output: output.clone(), lowered, parameters: specs, changes });
        self.push_node(name, operation, inputs, parameters, output, origin)
    }
}
