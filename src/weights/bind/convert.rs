//! What a file's tensor goes through before a layer takes it: other makers' orders of axes, rows, gates and statistics.

use super::axis_permutation::{Arrangement, Framework};
use crate::graph::ParameterKind;
use crate::graph::axis::{Segment, places};
use crate::request::Layout;
use crate::weights::layouts::torch_recurrent;
use crate::weights::store::{Entry, Role, Store};
use std::collections::HashMap;
use std::sync::Arc;

/// Keras' name of a recurrent layer's weights of the state.
pub(crate) const RECURRENT_KERNEL: &str = "recurrent_kernel";

/// What a file's values go through before the layer takes them, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Transform {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// A variance (Keras) becomes an inverse standard deviation (NeuPy), with the layer's epsilon.
    InverseStd {
        epsilon: f64,
    },
    /// A kernel (out, in, window) becomes (window, in, out), with a window of one or two sides.
    KernelFromPyTorch,
    /// Gates of a GRU: the update gate of Keras and PyTorch keeps the old state where NeuPy's takes the new one.
    Gates(GateOrder),
    /// A GRU's biases: one row for the input and one for the state.
    GateBiases(GateOrder),
    /// A matrix (out, in) becomes (in, out).
    MatrixFromPyTorch,
    /// One value for all, as PyTorch's PReLU has by default.
    Repeat,
    /// Rows, or the values along the last axis, stand where the layer's values do.
    Rows(Arc<[Segment]>),
    Columns(Arc<[Segment]>),
}

/// The order of a GRU's gates in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum GateOrder {
    /// Update, reset, hidden.
    Keras,
    /// Reset, update, hidden, as NeuPy's.
    PyTorch,
}

/// What must be known of a parameter's layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerFacts {
    /// NeuPy's class.
    pub kind: &'static str,
    pub epsilon: Option<f64>,
    /// Whether a parameter of the layer is a constant: see [`crate::graph::Parameter::is_fixed`].
    pub fixed: bool,
    /// Whether the layer has no other parameter.
    pub single: bool,
}

/// What a net needs of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'g> {
    pub shape: &'g [usize],
    pub role: &'g str,
    pub kind: ParameterKind,
}

/// Whether files of a layout have no tensor of this role: recurrent layers of Keras and PyTorch begin at zero.
pub(crate) fn starts_anew(role: &str, layout: Layout) -> bool {
    layout != Layout::Neupy && matches!(role, "cell_init" | "hidden_init")
}

/// NeuPy's class, as it would be, of a separable convolution, which files have as two layers below it.
pub(crate) const SEPARABLE: &str = "SeparableConvolution";
/// The names of those layers.
pub(crate) const SEPARABLE_PARTS: [&str; 2] = ["depthwise", "pointwise"];

/// The tensor of a separable convolution for a role: in a layer below it, or under its own name where netc wrote the file.
fn find_in_separable(index: &HashMap<(&str, &Role), usize>, layer: &str, role: &str) -> Option<usize> {
    let [depthwise, pointwise] = SEPARABLE_PARTS;
    let (part, roles) = match role {
        "depthwise_weight" => (depthwise, vec![Role::Weight, Role::Other("depthwise_kernel".into())]),
        "pointwise_weight" => (pointwise, vec![Role::Weight]),
        _ => (pointwise, vec![Role::from_neupy(role)]),
    };
    let below = ['/', '.'].map(|separator| format!("{layer}{separator}{part}"));
    let found = |name: &String| roles.iter().find_map(|role| index.get(&(name.as_str(), role)).copied());
    below.iter().find_map(found).or_else(|| index.get(&(layer, &Role::from_neupy(role))).copied())
}

/// The tensor of a layer for a role, under any of the names that layouts have for it.
pub(crate) fn find_role(
    index: &HashMap<(&str, &Role), usize>,
    layer: &str,
    role: &str,
    layout: Layout,
    facts: LayerFacts,
) -> Option<usize> {
    if facts.kind == SEPARABLE {
        return find_in_separable(index, layer, role);
    }
    let wanted = Role::from_neupy(role);
    let mut roles = vec![wanted.clone()];
    match wanted {
        // PyTorch calls a normalisation's scale and shift weight and bias.
        Role::Gamma if layout == Layout::Safetensors => roles.push(Role::Weight),
        Role::Beta if layout == Layout::Safetensors => roles.push(Role::Bias),
        // So it does with a parametric rectifier's slopes.
        Role::Alpha if layout == Layout::Safetensors && facts.single => roles.push(Role::Weight),
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
pub(crate) fn fit(
    store: &dyn Store,
    at: usize,
    wanted: &Shape,
    facts: LayerFacts,
    arrangement: Arrangement,
) -> Result<Transform, String> {
    let mut steps: Vec<Step> = stored(store, at, wanted, facts)?.into_iter().collect();
    steps.extend(arrangement.rows.map(Step::Rows));
    steps.extend(arrangement.columns.map(Step::Columns));
    Ok(Transform { steps })
}

/// What the way in which a file's framework stores a tensor asks for.
fn stored(store: &dyn Store, at: usize, wanted: &Shape, facts: LayerFacts) -> Result<Option<Step>, String> {
    let Shape { shape, role, kind } = *wanted;
    let (entry, layout) = (&store.entries()[at], store.layout());
    if facts.kind == "GRU"
        && let Some(order) = gate_order(entry, layout)
    {
        return fit_gates(store, at, wanted, order).map(Some);
    }
    let found = &entry.shape[..];
    if role == "alpha" {
        // Keras keeps the axes that share a slope, PyTorch has one for all channels by default.
        let sides = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|&side| side != 1).collect() };
        return match entry.elements() {
            1 => Ok(Some(Step::Repeat)),
            _ if sides(found) == sides(shape) => Ok(None),
            _ => Err(format!("the net needs {shape:?}, the file has {found:?}")),
        };
    }
    match (store.framework(), kind, shape) {
        (
            Framework::PyTorch,
            ParameterKind::Kernel | ParameterKind::TransposedKernel,
            [window @ .., inputs, outputs],
        ) => {
            let torch = [&[*outputs, *inputs], window].concat();
            // A convolution along one axis: the other side of its window is one.
            let line = [*outputs, *inputs, window.iter().product()];
            let same = found == torch || window.contains(&1) && found == line;
            return if same { Ok(Some(Step::KernelFromPyTorch)) } else { Err(unlike(shape, &torch, found)) };
        }
        (Framework::PyTorch, ParameterKind::Matrix, &[inputs, outputs]) => {
            let torch = [outputs, inputs];
            return if found == torch { Ok(Some(Step::MatrixFromPyTorch)) } else { Err(unlike(shape, &torch, found)) };
        }
        (Framework::Flax, ParameterKind::TransposedKernel, _) => {
            return Err(
                "kernels of transposed convolutions are mirrored in Flax, and are not read from its files".into()
            );
        }
        _ => {}
    }
    let bare = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().skip_while(|&size| size == 1).collect() };
    // Keras stores a depthwise kernel as (window, channels, multiplier): the same values in the same order.
    let depthwise = match (kind, shape, found) {
        (ParameterKind::Kernel, [window @ .., 1, filters], [taps @ .., channels, multiplier]) => {
            window == taps && channels.checked_mul(*multiplier) == Some(*filters)
        }
        _ => false,
    };
    if found != shape && bare(found) != bare(shape) && !depthwise {
        return Err(format!("the net needs {shape:?}, the file has {found:?}"));
    }
    Ok(match (role, &entry.role) {
        // A numbered variable is one of Keras 3, whose statistics are variances.
        ("running_inv_std", Role::RunningVariance | Role::Other(_)) => {
            Some(Step::InverseStd { epsilon: facts.epsilon.unwrap_or(1e-5) })
        }
        _ => None,
    })
}

/// Two shapes that differ. Said in the order of the file, shapes that look alike are seen to.
fn unlike(shape: &[usize], torch: &[usize], found: &[usize]) -> String {
    format!("the net needs {shape:?}, which is {torch:?} in the order of safetensors; the file has {found:?}")
}

/// The order of the gates in a tensor of a GRU; none where NeuPy's names say that it is NeuPy's. Keras' names are its own in
/// every layout.
fn gate_order(entry: &Entry, layout: Layout) -> Option<GateOrder> {
    let keras = match &entry.role {
        Role::Weight | Role::Bias => true,
        Role::Other(name) => name == RECURRENT_KERNEL,
        _ => false,
    };
    if keras || matches!(layout, Layout::Keras | Layout::Keras3) {
        return Some(GateOrder::Keras);
    }
    (layout == Layout::Safetensors && entry.class.as_deref() == Some(torch_recurrent::GRU))
        .then_some(GateOrder::PyTorch)
}

/// How the gates of a GRU of Keras or PyTorch become NeuPy's. All compute the candidate as tanh(x W + b + r * (h U)) where
/// Keras has `reset_after`, and h' = z * h + (1 - z) * c is NeuPy's with u = 1 - z, so that the update gate changes its sign.
fn fit_gates(store: &dyn Store, at: usize, wanted: &Shape, order: GateOrder) -> Result<Step, String> {
    let (entry, shape) = (&store.entries()[at], wanted.shape);
    match (wanted.role, shape, &entry.shape[..]) {
        ("biases", &[width], &[2, found]) if found == width => {
            let values = store.read(at).map_err(|error| error.to_string())?;
            match values.get(width + 2 * width / 3..).is_some_and(|rest| rest.iter().all(|&bias| bias == 0.0)) {
                true => Ok(Step::GateBiases(order)),
                false => {
                    let made = match order {
                        GateOrder::Keras => "it was made with reset_after=True and",
                        GateOrder::PyTorch => "in PyTorch's GRU",
                    };
                    Err(format!("{made} the state has a bias of its own in the hidden gate, which this GRU has not"))
                }
            }
        }
        ("biases", &[width], &[found]) if found == width => Err(
            "it was made with reset_after=False: its reset gate comes before the state's weights, here it comes behind"
                .into(),
        ),
        ("input_weights" | "hidden_weights", ..) if entry.shape == shape => Ok(Step::Gates(order)),
        _ => Err(format!("the net needs {shape:?}, the file has {:?}", entry.shape)),
    }
}

/// Rows of gates as reset, turned update and hidden ones.
fn gates(values: &[f32], width: usize, order: GateOrder) -> Vec<f32> {
    let units = width / 3;
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks(width.max(1)) {
        let (first, second) = row[..2 * units].split_at(units);
        let (reset, update) = if order == GateOrder::Keras { (second, first) } else { (first, second) };
        out.extend_from_slice(reset);
        out.extend(update.iter().map(|value| -value));
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

/// What a transform did to a parameter besides reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// A remark of its own.
    Note(String),
    /// Rows or columns of a matrix, or values of vectors, were put into the order height, width, channels.
    Permuted(&'static str),
}

impl Transform {
    /// The values as the layer takes them.
    pub fn apply(&self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        self.steps.iter().fold(values, |values, step| step.apply(values, shape))
    }

    /// What the report says of it.
    pub fn done(&self, layer: &str, kind: ParameterKind) -> Vec<Done> {
        let of = |step: &Step| match step {
            Step::KernelFromPyTorch | Step::MatrixFromPyTorch | Step::Repeat => None,
            Step::Gates(_) | Step::GateBiases(_) => {
                Some(Done::Note(format!("gates of {layer} were put in NeuPy's order")))
            }
            Step::InverseStd { epsilon } => {
                Some(Done::Note(format!("variances became inverse deviations (epsilon {epsilon})")))
            }
            Step::Rows(_) => Some(Done::Permuted("rows")),
            Step::Columns(_) if kind == ParameterKind::Matrix => Some(Done::Permuted("columns")),
            Step::Columns(_) => Some(Done::Permuted("values")),
        };
        self.steps.iter().filter_map(of).collect()
    }
}

impl Step {
    fn apply(&self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        match (self, shape) {
            (Step::InverseStd { epsilon }, _) => {
                values.into_iter().map(|variance| (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32).collect()
            }
            (Step::KernelFromPyTorch, &[ref window @ .., inputs, outputs]) => {
                let taps: usize = window.iter().product();
                let mut out = vec![0.0; values.len()];
                for (index, slot) in out.iter_mut().enumerate() {
                    let (tap, rest) = (index / (inputs * outputs), index % (inputs * outputs));
                    *slot = values[(rest % outputs * inputs + rest / outputs) * taps + tap];
                }
                out
            }
            (Step::MatrixFromPyTorch, &[inputs, outputs]) => {
                let mut out = vec![0.0; values.len()];
                for (row, out) in out.chunks_exact_mut(outputs.max(1)).enumerate() {
                    out.iter_mut().enumerate().for_each(|(column, out)| *out = values[column * inputs + row]);
                }
                out
            }
            (Step::Repeat, _) => values.first().map_or(Vec::new(), |&value| vec![value; shape.iter().product()]),
            (Step::Rows(segments), &[_, columns]) => {
                let rows: Vec<&[f32]> = values.chunks_exact(columns.max(1)).collect();
                places(segments).filter_map(|place| rows.get(place)).flat_map(|row| row.iter().copied()).collect()
            }
            (Step::Columns(segments), &[.., columns]) => {
                let places: Vec<usize> = places(segments).collect();
                let rows = values.chunks_exact(columns.max(1));
                rows.flat_map(|row| places.iter().filter_map(|&place| row.get(place)).copied()).collect()
            }
            (Step::Gates(order), _) => gates(&values, shape.last().copied().unwrap_or(1), *order),
            (Step::GateBiases(order), &[width]) => {
                let both: Vec<f32> = (0..width).map(|at| values[at] + values[width + at]).collect();
                let mut biases = gates(&both, width, *order);
                // The state's bias of the last gate was found to be zero.
                let hidden = 2 * width / 3..width;
                biases[hidden.clone()].copy_from_slice(&values[hidden]);
                biases
            }
            _ => values,
        }
    }
}
