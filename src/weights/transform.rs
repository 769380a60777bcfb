//! What a file's tensor goes through before a layer takes it: other makers' orders of axes, rows, gates and statistics.

use super::store::{Layout, Role, Store};
use std::collections::HashMap;

/// Keras' name of a recurrent layer's weights of the state.
pub(super) const RECURRENT_KERNEL: &str = "recurrent_kernel";

/// What a file's values go through before the layer takes them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Transform {
    None,
    /// One value for all.
    Repeated,
    /// A variance (Keras) becomes an inverse standard deviation (NeuPy), with the layer's epsilon.
    InverseStd {
        epsilon: f64,
    },
    /// A kernel (out, in, height, width) becomes (height, width, in, out).
    KernelFromPyTorch,
    /// Gates of a GRU: Keras has update, reset, hidden, and its update gate keeps the old state where NeuPy's takes the new one.
    GatesFromKeras,
    /// A GRU's biases, where Keras has one row for the input and one for the state.
    GateBiasesFromKeras,
    /// A matrix (out, in) becomes (in, out); rows that are the values of an image flattened channels first are put in order.
    MatrixFromPyTorch {
        flattened: Option<[usize; 3]>,
    },
}

/// What must be known of a parameter's layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LayerFacts {
    /// NeuPy's class.
    pub kind: &'static str,
    pub epsilon: Option<f64>,
    /// Whether a parameter of the layer is a constant: see [`crate::graph::Parameter::is_fixed`].
    pub fixed: bool,
}

/// What a net needs of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'g> {
    pub shape: &'g [usize],
    pub role: &'g str,
    /// See [`crate::graph::Parameter::flattened`].
    pub flattened: Option<[usize; 3]>,
}

/// Whether files of a layout have no tensor of this role: recurrent layers of Keras and PyTorch begin at zero.
pub(super) fn starts_anew(role: &str, layout: Layout) -> bool {
    layout != Layout::Neupy && matches!(role, "cell_init" | "hidden_init")
}

/// The tensor of a layer for a role, under any of the names that layouts have for it.
pub(super) fn find_role(
    index: &HashMap<(&str, &Role), usize>,
    layer: &str,
    role: &str,
    layout: Layout,
    facts: LayerFacts,
) -> Option<usize> {
    let wanted = Role::from_neupy(role);
    let mut roles = vec![wanted.clone()];
    match wanted {
        // PyTorch calls a normalisation's scale and shift weight and bias.
        Role::Gamma if layout == Layout::Safetensors => roles.push(Role::Weight),
        Role::Beta if layout == Layout::Safetensors => roles.push(Role::Bias),
        // So it does with a parametric rectifier's slopes.
        Role::Alpha if layout == Layout::Safetensors => roles.push(Role::Weight),
        // Keras 3 numbers a layer's variables: of a normalisation's three, the first is the one that it has.
        Role::Gamma | Role::Beta if facts.fixed => roles.push(Role::Other("vars/0".into())),
        Role::RunningMean if facts.fixed => roles.push(Role::Other("vars/1".into())),
        Role::RunningInvStd => {
            roles.push(Role::RunningVariance);
            roles.extend(facts.fixed.then(|| Role::Other("vars/2".into())));
        }
        Role::InputWeights => roles.push(Role::Weight),
        Role::HiddenWeights => roles.push(Role::Other(RECURRENT_KERNEL.into())),
        Role::Biases => roles.push(Role::Bias),
        Role::Weight => roles.push(Role::Other("depthwise_kernel".into())),
        _ => {}
    }
    roles.iter().find_map(|role| index.get(&(layer, role)).copied())
}

/// How a tensor of a file becomes a parameter, or why it cannot.
pub(super) fn fit(store: &dyn Store, at: usize, wanted: &Shape, facts: LayerFacts) -> Result<Transform, String> {
    let Shape { shape, role, flattened } = *wanted;
    let (entry, layout) = (&store.entries()[at], store.layout());
    if facts.kind == "GRU" && matches!(layout, Layout::Keras | Layout::Keras3) {
        return fit_gates(store, at, wanted);
    }
    let bare = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().skip_while(|&size| size == 1).collect() };
    let other = || match (layout == Layout::Safetensors && role == "weight", shape) {
        // The file is read in PyTorch's order of axes; said in it, shapes that look alike are seen to differ.
        (true, &[h, w, inputs, outputs]) => format!(
            "the net needs {shape:?}, which is {:?} in the order of safetensors; the file has {:?}",
            [outputs, inputs, h, w],
            entry.shape
        ),
        (true, &[inputs, outputs]) => format!(
            "the net needs {shape:?}, which is {:?} in the order of safetensors; the file has {:?}",
            [outputs, inputs],
            entry.shape
        ),
        _ => format!("the net needs {shape:?}, the file has {:?}", entry.shape),
    };
    if layout == Layout::Safetensors && role == "weight" {
        return match (shape, &entry.shape[..]) {
            (&[h, w, inputs, outputs], &[o, i, kh, kw]) if [h, w, inputs, outputs] == [kh, kw, i, o] => {
                Ok(Transform::KernelFromPyTorch)
            }
            // A convolution along one axis: the other side of its window is one.
            (&[h @ 1, w, inputs, outputs] | &[h, w @ 1, inputs, outputs], &[o, i, k])
                if [h * w, inputs, outputs] == [k, i, o] =>
            {
                Ok(Transform::KernelFromPyTorch)
            }
            (&[inputs, outputs], &[o, i]) if [inputs, outputs] == [i, o] => {
                Ok(Transform::MatrixFromPyTorch { flattened: flattened.filter(|[h, w, _]| h * w > 1) })
            }
            _ => Err(other()),
        };
    }
    if role == "alpha" {
        // Keras keeps the axes that share a slope, PyTorch has one for all channels by default.
        let sides = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|&side| side != 1).collect() };
        return match entry.elements() {
            1 => Ok(Transform::Repeated),
            _ if sides(&entry.shape) == sides(shape) => Ok(Transform::None),
            _ => Err(other()),
        };
    }
    // Keras stores a depthwise kernel as (height, width, channels, multiplier): the same values in the same order.
    let depthwise = |file: &[usize]| match (shape, file) {
        (&[h, w, 1, filters], &[kh, kw, channels, multiplier]) => {
            h == kh && w == kw && filters == channels * multiplier
        }
        _ => false,
    };
    if entry.shape != shape && bare(&entry.shape) != bare(shape) && !depthwise(&entry.shape) {
        return Err(other());
    }
    match (role, &entry.role) {
        // A numbered variable is one of Keras 3, whose statistics are variances.
        ("running_inv_std", Role::RunningVariance | Role::Other(_)) => {
            Ok(Transform::InverseStd { epsilon: facts.epsilon.unwrap_or(1e-5) })
        }
        _ => Ok(Transform::None),
    }
}

/// How the gates of a Keras GRU become NeuPy's. Both compute the candidate as tanh(x W + b + r * (h U)) where Keras has
/// `reset_after`, and Keras' h' = z * h + (1 - z) * c is NeuPy's with u = 1 - z, so that the update gate changes its sign.
fn fit_gates(store: &dyn Store, at: usize, wanted: &Shape) -> Result<Transform, String> {
    let (entry, shape) = (&store.entries()[at], wanted.shape);
    match (wanted.role, shape, &entry.shape[..]) {
        ("biases", &[width], &[2, found]) if found == width => {
            let values = store.read(at).map_err(|fault| fault.to_string())?;
            match values.get(width + 2 * width / 3..).is_some_and(|rest| rest.iter().all(|&bias| bias == 0.0)) {
                true => Ok(Transform::GateBiasesFromKeras),
                false => Err("it was made with reset_after=True and the state has a bias of its own in the hidden gate, which this GRU has not".into()),
            }
        }
        ("biases", &[width], &[found]) if found == width => Err(
            "it was made with reset_after=False: its reset gate comes before the state's weights, here it comes behind"
                .into(),
        ),
        ("input_weights" | "hidden_weights", ..) if entry.shape == shape => Ok(Transform::GatesFromKeras),
        _ => Err(format!("the net needs {shape:?}, the file has {:?}", entry.shape)),
    }
}

/// Rows of update, reset and hidden gates as reset, turned update and hidden ones.
fn gates(values: &[f32], width: usize) -> Vec<f32> {
    let units = width / 3;
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks(width.max(1)) {
        out.extend_from_slice(&row[units..2 * units]);
        out.extend(row[..units].iter().map(|value| -value));
        out.extend_from_slice(&row[2 * units..]);
    }
    out
}

/// A GRU's values in Keras' order of gates: the other way round than what a Keras file goes through.
pub(crate) fn gates_to_keras(values: &[f32], width: usize) -> Vec<f32> {
    let units = width / 3;
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks(width.max(1)) {
        out.extend(row[units..2 * units].iter().map(|value| -value));
        out.extend_from_slice(&row[..units]);
        out.extend_from_slice(&row[2 * units..]);
    }
    out
}

impl Transform {
    /// The values as the layer takes them.
    pub fn apply(self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        match (self, shape) {
            (Transform::InverseStd { epsilon }, _) => {
                values.into_iter().map(|variance| (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32).collect()
            }
            (Transform::Repeated, shape) => vec![values.first().copied().unwrap_or(0.0); shape.iter().product()],
            (Transform::KernelFromPyTorch, &[height, width, inputs, outputs]) => {
                let taps = height * width;
                let mut out = vec![0.0; values.len()];
                for (index, slot) in out.iter_mut().enumerate() {
                    let (tap, rest) = (index / (inputs * outputs), index % (inputs * outputs));
                    *slot = values[(rest % outputs * inputs + rest / outputs) * taps + tap];
                }
                out
            }
            (Transform::MatrixFromPyTorch { flattened }, &[inputs, outputs]) => {
                let mut out = vec![0.0; values.len()];
                for row in 0..inputs {
                    let from = match flattened {
                        Some([height, width, channels]) => row % channels * height * width + row / channels,
                        None => row,
                    };
                    for column in 0..outputs {
                        out[row * outputs + column] = values[column * inputs + from];
                    }
                }
                out
            }
            (Transform::GatesFromKeras, _) => gates(&values, shape.last().copied().unwrap_or(1)),
            (Transform::GateBiasesFromKeras, &[width]) => {
                let both: Vec<f32> = (0..width).map(|at| values[at] + values[width + at]).collect();
                let mut biases = gates(&both, width);
                // The state's bias of the last gate was found to be zero.
                let hidden = 2 * width / 3..width;
                biases[hidden.clone()].copy_from_slice(&values[hidden]);
                biases
            }
            _ => values,
        }
    }

    /// What the report says of it.
    pub fn note(self, layer: &str) -> Option<String> {
        Some(match self {
            Transform::None
            | Transform::Repeated
            | Transform::KernelFromPyTorch
            | Transform::MatrixFromPyTorch { flattened: None } => {
                return None;
            }
            Transform::GatesFromKeras | Transform::GateBiasesFromKeras => {
                format!("gates of {layer} were put in NeuPy's order")
            }
            Transform::InverseStd { epsilon } => format!("variances became inverse deviations (epsilon {epsilon})"),
            Transform::MatrixFromPyTorch { flattened: Some([h, w, c]) } => {
                format!("rows of {layer} were permuted: the file flattens {c}x{h}x{w} channels first")
            }
        })
    }
}
