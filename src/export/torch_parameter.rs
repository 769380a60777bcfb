//! A parameter as PyTorch stores it: the inverse of what [`crate::weights::bind`] does to the tensors of a PyTorch file.

use crate::graph::axis::{Segment, places};
use crate::graph::scope::is_in;
use crate::graph::{Graph, Node, Parameter, ParameterKind};
use crate::weights::bind::axis_permutation::Arrangement;
use crate::weights::bind::convert::HIDDEN_BIASES;

/// A tensor for a PyTorch module.
#[derive(Debug, PartialEq)]
pub(super) struct TorchTensor {
    /// The name within the module: `weight`, `running_var`, `bias_hh_l0`; none if the tensor has the name of the layer.
    pub name: Option<&'static str>,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// The tensors for a parameter of a layer, whose values are `values`; `arrangement` is how PyTorch orders them. Initial states
/// that are zero have none, as PyTorch's recurrent modules start there. Where PyTorch itself has no such module, the names are
/// those of timm (`attn.qkv`, `ls1.gamma`) and torchvision (`layer_scale` of a block).
///
/// # Errors
/// What PyTorch has no tensor for.
pub(super) fn torch_tensors(
    graph: &Graph,
    node: &Node,
    parameter: &Parameter,
    arrangement: &Arrangement,
    values: Vec<f32>,
) -> Result<Vec<TorchTensor>, String> {
    let values = arrange(values, &parameter.shape, arrangement);
    if parameter.kind == ParameterKind::Recurrent {
        let has_hidden_biases = graph.parameter(node, HIDDEN_BIASES).is_some();
        return recurrent(node, parameter, values, has_hidden_biases);
    }
    // timm's `cls_token` and `pos_embed` are parameters without a module.
    if matches!(node.operation.kind(), "ClassToken" | "PositionEmbedding") {
        let shape = match parameter.shape[..] {
            [steps, features] => vec![1, steps, features],
            _ => parameter.shape.clone(),
        };
        return Ok(vec![TorchTensor { name: None, shape, values }]);
    }
    // A scale per channel has the name of the block that it ends.
    let is_block =
        |graph: &Graph| graph.nodes.iter().any(|other| other.name != node.name && is_in(&other.name, &node.name));
    if node.operation.kind() == "Scale" && is_block(graph) {
        return Ok(vec![TorchTensor { name: Some("layer_scale"), shape: vec![values.len(), 1, 1], values }]);
    }
    let is_timm = node.name.rsplit(['.', '/']).next() == Some("attn");
    let (name, values) = match parameter.role {
        "in_proj_weight" if is_timm => ("qkv.weight", values),
        "in_proj_bias" if is_timm => ("qkv.bias", values),
        "out_proj_weight" if is_timm => ("proj.weight", values),
        "out_proj_bias" if is_timm => ("proj.bias", values),
        "gamma" if node.operation.kind() == "Scale" => ("gamma", values),
        "weight" | "gamma" => ("weight", values),
        "bias" | "beta" => ("bias", values),
        "alpha" => ("weight", values),
        "in_proj_weight" => ("in_proj_weight", values),
        "in_proj_bias" => ("in_proj_bias", values),
        "out_proj_weight" => ("out_proj.weight", values),
        "out_proj_bias" => ("out_proj.bias", values),
        "running_mean" => ("running_mean", values),
        "running_inv_std" => {
            let epsilon = node.operation.epsilon().unwrap_or(1e-5);
            let variance = |value: f32| (1.0 / f64::from(value).powi(2) - epsilon).max(0.0) as f32;
            ("running_var", values.into_iter().map(variance).collect())
        }
        role => return Err(format!("PyTorch has no parameter for the {role} of `{}`", node.name)),
    };
    let name = Some(name);
    let tensor = match (parameter.kind, &parameter.shape[..]) {
        (ParameterKind::Kernel | ParameterKind::TransposedKernel, [window @ .., inputs, outputs]) => TorchTensor {
            name,
            shape: [&[*outputs, *inputs], window].concat(),
            values: kernel(&values, window.iter().product(), *inputs, *outputs),
        },
        (ParameterKind::Matrix, &[inputs, outputs]) => {
            TorchTensor { name, shape: vec![outputs, inputs], values: transposed(&values, inputs, outputs) }
        }
        (ParameterKind::Table, shape) => TorchTensor { name, shape: shape.to_vec(), values },
        (_, shape) if shape.iter().filter(|&&size| size != 1).count() <= 1 => {
            TorchTensor { name, shape: vec![values.len()], values }
        }
        (_, shape) => return Err(format!("PyTorch has no {} of shape {shape:?} for `{}`", parameter.role, node.name)),
    };
    Ok(vec![tensor])
}

/// The values in the order of the file.
fn arrange(values: Vec<f32>, shape: &[usize], arrangement: &Arrangement) -> Vec<f32> {
    let columns = shape.last().copied().unwrap_or(1).max(1);
    let scatter = |from: &[f32], segments: &[Segment], width: usize| {
        let mut to = vec![0.0; from.len()];
        for (values, place) in from.chunks_exact(width).zip(places(segments)) {
            to[place * width..][..width].copy_from_slice(values);
        }
        to
    };
    let values = match &arrangement.columns {
        Some(segments) => values.chunks_exact(columns).flat_map(|row| scatter(row, segments, 1)).collect(),
        None => values,
    };
    match &arrangement.rows {
        Some(segments) => scatter(&values, segments, columns),
        None => values,
    }
}

/// (window..., inputs, outputs) as (outputs, inputs, window...).
fn kernel(values: &[f32], taps: usize, inputs: usize, outputs: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for (index, value) in values.iter().enumerate() {
        let (tap, channels) = (index / (inputs * outputs), index % (inputs * outputs));
        out[(channels % outputs * inputs + channels / outputs) * taps + tap] = *value;
    }
    out
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// `nn.LSTM` and `nn.GRU`: the bias of the input has the layer's biases; that of the state is zero if the layer has none.
fn recurrent(
    node: &Node,
    parameter: &Parameter,
    values: Vec<f32>,
    has_hidden_biases: bool,
) -> Result<Vec<TorchTensor>, String> {
    let width = parameter.shape.last().copied().unwrap_or(1);
    let in_gates = |values: Vec<f32>| if node.operation.kind() == "GRU" { gru_gates(values, width) } else { values };
    let matrix = |name, values| {
        let rows = parameter.shape[0];
        vec![TorchTensor {
            name: Some(name),
            shape: vec![width, rows],
            values: transposed(&in_gates(values), rows, width),
        }]
    };
    let vector = |name, values| TorchTensor { name: Some(name), shape: vec![width], values };
    match parameter.role {
        "input_weights" => Ok(matrix("weight_ih_l0", values)),
        "hidden_weights" => Ok(matrix("weight_hh_l0", values)),
        "biases" if has_hidden_biases => Ok(vec![vector("bias_ih_l0", in_gates(values))]),
        "biases" => Ok(vec![vector("bias_ih_l0", in_gates(values)), vector("bias_hh_l0", vec![0.0; width])]),
        HIDDEN_BIASES => Ok(vec![vector("bias_hh_l0", in_gates(values))]),
        "cell_init" | "hidden_init" if values.iter().all(|&value| value == 0.0) => Ok(Vec::new()),
        role => Err(format!("PyTorch has no parameter for the {role} of `{}`", node.name)),
    }
}

/// PyTorch's update gate keeps the old state, NeuPy's takes the new one: its sign changes.
fn gru_gates(mut values: Vec<f32>, width: usize) -> Vec<f32> {
    let units = width / 3;
    for row in values.chunks_exact_mut(width.max(1)) {
        row[units..2 * units].iter_mut().for_each(|value| *value = -*value);
    }
    values
}
