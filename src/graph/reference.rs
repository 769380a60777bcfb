//! The f64 reference of a graph, by plain loops: what compiled plans are measured against.

use super::{Derivation, Epilogue, Graph, NodeId, ParameterId};
use ndarray::{ArrayD, Axis, IxDyn, Zip};

/// Runs a graph on a batch. `parameter` returns the values of a parameter that is not derived, row-major. `observe` is
/// called with each node's output. Returns the net's outputs.
pub fn evaluate(
    graph: &Graph,
    inputs: &[ArrayD<f64>],
    parameter: &mut dyn FnMut(ParameterId) -> Vec<f32>,
    observe: &mut dyn FnMut(NodeId, &ArrayD<f64>),
) -> Vec<ArrayD<f64>> {
    run(graph, inputs, &mut ReadOnly { graph, parameter }, observe)
}

/// Runs the graph of a training step on a batch, and changes the parameters as the step does. Returns the step's outputs.
/// `parameters` has the values of each parameter of the graph, none of which is derived.
pub fn evaluate_step(graph: &Graph, inputs: &[ArrayD<f64>], parameters: &mut [ArrayD<f64>]) -> Vec<ArrayD<f64>> {
    run(graph, inputs, parameters, &mut |_, _| {})
}

/// The parameters of a graph while it runs.
trait Parameters {
    fn load(&mut self, id: ParameterId) -> ArrayD<f64>;

    fn store(&mut self, id: ParameterId, values: ArrayD<f64>);
}

struct ReadOnly<'a> {
    graph: &'a Graph,
    parameter: &'a mut dyn FnMut(ParameterId) -> Vec<f32>,
}

impl Parameters for ReadOnly<'_> {
    fn load(&mut self, id: ParameterId) -> ArrayD<f64> {
        parameter_value(self.graph, id, self.parameter)
    }

    fn store(&mut self, _: ParameterId, _: ArrayD<f64>) {}
}

impl Parameters for [ArrayD<f64>] {
    fn load(&mut self, id: ParameterId) -> ArrayD<f64> {
        self[id.0].clone()
    }

    fn store(&mut self, id: ParameterId, values: ArrayD<f64>) {
        self[id.0] = values;
    }
}

fn run<P: Parameters + ?Sized>(
    graph: &Graph,
    inputs: &[ArrayD<f64>],
    parameters: &mut P,
    observe: &mut dyn FnMut(NodeId, &ArrayD<f64>),
) -> Vec<ArrayD<f64>> {
    let mut remaining_uses: Vec<usize> = graph.consumers().iter().map(Vec::len).collect();
    for output in &graph.outputs {
        remaining_uses[output.0] += 1;
    }
    let mut given = inputs.iter();
    let mut values: Vec<Option<ArrayD<f64>>> = vec![None; graph.nodes.len()];
    for id in graph.ids() {
        let node = graph.node(id);
        let arguments: Vec<&ArrayD<f64>> = match node.inputs.is_empty() {
            true => given.next().into_iter().collect(),
            false => node.inputs.iter().filter_map(|input| values[input.0].as_ref()).collect(),
        };
        let mut loaded: Vec<ArrayD<f64>> = node.parameters.iter().map(|&id| parameters.load(id)).collect();
        let (residual, arguments) = match arguments.split_last() {
            Some((last, others)) if node.epilogue.residual => (Some(*last), others),
            _ => (None, &arguments[..]),
        };
        let output = node.operation.evaluate(arguments, &loaded.iter().collect::<Vec<_>>());
        let output = epilogue(&node.epilogue, output, residual);
        let changes = node.operation.changes();
        if changes > 0 {
            node.operation.evaluate_changes(arguments, &mut loaded);
            node.parameters.iter().zip(loaded).take(changes).for_each(|(&id, value)| parameters.store(id, value));
        }
        observe(id, &output);
        values[id.0] = Some(output);
        for input in &node.inputs {
            remaining_uses[input.0] -= 1;
            if remaining_uses[input.0] == 0 {
                values[input.0] = None;
            }
        }
    }
    graph.outputs.iter().filter_map(|output| values[output.0].clone()).collect()
}

fn parameter_value(graph: &Graph, id: ParameterId, parameter: &mut dyn FnMut(ParameterId) -> Vec<f32>) -> ArrayD<f64> {
    let values = derived_values(graph, id, parameter);
    let shape = IxDyn(&graph.parameters[id.0].shape);
    ArrayD::from_shape_vec(shape, values).unwrap_or_else(|_| ArrayD::zeros(IxDyn(&[0])))
}

/// A parameter's values in f64, derived from others if it has a derivation.
pub fn derived_values(graph: &Graph, id: ParameterId, parameter: &mut dyn FnMut(ParameterId) -> Vec<f32>) -> Vec<f64> {
    let mut read = |id: ParameterId| derived_values(graph, id, parameter);
    match &graph.parameters[id.0].derived {
        None => parameter(id).into_iter().map(f64::from).collect(),
        Some(Derivation::ScaledWeight { weight, norm, parameters }) => {
            let mut values = read(*weight);
            let sources: Vec<Vec<f64>> = parameters.iter().map(|&id| read(id)).collect();
            if let Some(affine) = norm.fusion_role().affine() {
                let (scale, _) = affine.scale_shift(&sources);
                let parameter = &graph.parameters[weight.0];
                // The values of an output next to each other.
                let run: usize = parameter.shape.iter().skip(parameter.output_axis() + 1).product();
                let runs = values.chunks_exact_mut(run.max(1));
                runs.zip(scale.iter().cycle())
                    .for_each(|(run, scale)| run.iter_mut().for_each(|value| *value *= scale));
            }
            values
        }
        Some(Derivation::ShiftedBias { bias, norm, parameters }) => {
            let sources: Vec<Vec<f64>> = parameters.iter().map(|&id| read(id)).collect();
            let (scale, shift) =
                norm.fusion_role().affine().map_or((Vec::new(), Vec::new()), |affine| affine.scale_shift(&sources));
            let mut values = bias.map_or_else(|| vec![0.0; shift.len()], read);
            for ((value, scale), shift) in values.iter_mut().zip(&scale).zip(&shift) {
                *value = *value * scale + shift;
            }
            values
        }
    }
}

fn epilogue(epilogue: &Epilogue, mut output: ArrayD<f64>, residual: Option<&ArrayD<f64>>) -> ArrayD<f64> {
    if let Some(residual) = residual {
        Zip::from(&mut output).and(residual).for_each(|a, b| *a += b);
    }
    output.mapv_inplace(|x| epilogue.activation.exact(x));
    if epilogue.pool {
        output = pool_2x2(&output);
    }
    if epilogue.softmax {
        let last = output.ndim().saturating_sub(1);
        softmax(&mut output, last);
    }
    output
}

fn pool_2x2(x: &ArrayD<f64>) -> ArrayD<f64> {
    let shape = x.shape();
    ArrayD::from_shape_fn(IxDyn(&[shape[0], shape[1] / 2, shape[2] / 2, shape[3]]), |at| {
        let value = |dy: usize, dx: usize| x[[at[0], 2 * at[1] + dy, 2 * at[2] + dx, at[3]]];
        value(0, 0).max(value(0, 1)).max(value(1, 0)).max(value(1, 1))
    })
}

/// Softmax along an axis, in place.
pub fn softmax(x: &mut ArrayD<f64>, axis: usize) {
    for mut row in x.lanes_mut(Axis(axis)) {
        let max = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        row.mapv_inplace(|value| (value - max).exp());
        let sum = row.sum();
        row.mapv_inplace(|value| value / sum);
    }
}
