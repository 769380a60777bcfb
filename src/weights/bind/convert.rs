//! Conversions between the tensors of a file and the parameters of a layer: frameworks differ in the order of axes, rows and
//! gates, and in statistics.

use super::axis_permutation::{Arrangement, Framework};
use crate::graph::ParameterKind;
use crate::graph::axis::{Segment, places};
use crate::request::Layout;
use crate::weights::layouts::torch_recurrent;
use crate::weights::store::{Entry, Role, Store};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The Keras name of the hidden-state weights of a recurrent layer.
pub(crate) const RECURRENT_KERNEL: &str = "recurrent_kernel";

/// The class of a multi-head attention.
pub(crate) const ATTENTION: &str = "Attention";
/// The role of a GRU's biases of the state.
pub(crate) const HIDDEN_BIASES: &str = "hidden_biases";

/// The steps that convert the values of a file to those of the layer, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Transform {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// Variance (Keras) to inverse standard deviation (NeuPy), with the epsilon of the layer.
    InverseStd {
        epsilon: f64,
    },
    /// Kernel (out, in, window...) to (window..., in, out), for windows of one or two sizes.
    KernelFromPyTorch,
    /// Gates of a GRU: the update gate of Keras and PyTorch selects the old state where that of NeuPy selects the new one.
    Gates(GateOrder),
    /// Biases of a GRU, one row for the input and one for the state, to those of a layer without biases of the state.
    GateBiases(GateOrder),
    /// The row for the input or the one for the state.
    GateRow(GateOrder, usize),
    /// Matrix (out, in) to (in, out).
    MatrixFromPyTorch,
    /// One value for all channels, the default of PyTorch's PReLU.
    Repeat,
    /// The first rows of a table of so many: BERT's has 512 positions, and a shorter text takes the first of them.
    FirstRows(usize),
    /// Reorders rows, or values along the last axis.
    Rows(Arc<[Segment]>),
    Columns(Arc<[Segment]>),
    /// Some of the columns of a matrix, or of the values of a vector.
    Take(Range<usize>),
}

/// The order of the gates of a GRU in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum GateOrder {
    /// Update, reset, hidden.
    Keras,
    /// Reset, update, hidden, as in NeuPy.
    PyTorch,
}

/// What a conversion needs to know about the layer of a parameter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerFacts {
    /// The NeuPy class.
    pub kind: &'static str,
    pub epsilon: Option<f64>,
    /// Whether a parameter of the layer is a constant: see [`crate::graph::Parameter::is_fixed`].
    pub fixed: bool,
    /// Whether the layer has no other parameter.
    pub single: bool,
    /// Whether it is a GRU with biases of the state.
    pub hidden_biases: bool,
}

/// What a net expects of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'g> {
    pub shape: &'g [usize],
    pub role: &'g str,
    pub kind: ParameterKind,
}

/// Whether the role is an initial state that the layout does not store: recurrent layers of Keras and PyTorch start at zero.
pub(crate) fn is_initial_state(role: &str, layout: Layout) -> bool {
    layout != Layout::Neupy && matches!(role, "cell_init" | "hidden_init")
}

/// The class of a separable convolution, which files store as two layers below it.
pub(crate) const SEPARABLE: &str = "SeparableConvolution";
/// The names of those layers.
pub(crate) const SEPARABLE_PARTS: [&str; 2] = ["depthwise", "pointwise"];

/// The tensor of a separable convolution for a role: in a layer below it, or under its own name if netc wrote the file.
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

/// The tensor of a layer for a role, by any of the names that layouts use for it.
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
    let expected = Role::from_neupy(role);
    let mut roles = vec![expected.clone()];
    match expected {
        // PyTorch calls the scale and shift of a normalisation weight and bias,
        Role::Gamma if layout.has_torch_names() => {
            roles.push(Role::Weight);
            // torchvision calls a learnt scale `layer_scale`, Transformers `layer_scale_parameter`.
            let scales = ["layer_scale", "layer_scale_parameter"].map(|name| Role::Other(name.into()));
            roles.extend(scales.into_iter().filter(|_| facts.kind == "Scale"));
        }
        Role::Beta if layout.has_torch_names() => roles.push(Role::Bias),
        // and the slopes of a PReLU weight.
        Role::Alpha if layout.has_torch_names() && facts.single => roles.push(Role::Weight),
        // Keras 3 numbers the variables of a layer: if a normalisation has three, the first is gamma or beta, whichever it has.
        Role::Gamma | Role::Beta if facts.fixed => roles.push(Role::Other("vars/0".into())),
        Role::RunningMean if facts.fixed => roles.push(Role::Other("vars/1".into())),
        Role::RunningInvStd => {
            roles.push(Role::RunningVariance);
            roles.extend(facts.fixed.then(|| Role::Other("vars/2".into())));
        }
        Role::InputWeights => roles.push(Role::Weight),
        Role::HiddenWeights => roles.push(Role::Other(RECURRENT_KERNEL.into())),
        Role::Biases => roles.push(Role::Bias),
        // One tensor has both rows.
        Role::Other(name) if name == HIDDEN_BIASES => roles.extend([Role::Biases, Role::Bias]),
        Role::Weight => roles.push(Role::Other("depthwise_kernel".into())),
        _ => {}
    }
    roles.iter().find_map(|role| index.get(&(layer, role)).copied())
}

/// How a tensor of a file is converted to a parameter, or why it cannot be.
pub(crate) fn conversion(
    store: &dyn Store,
    at: usize,
    expected: &Shape,
    facts: LayerFacts,
    arrangement: Arrangement,
) -> Result<Transform, String> {
    let mut steps: Vec<Step> = storage_step(store, at, expected, facts)?.into_iter().collect();
    steps.extend(arrangement.rows.map(Step::Rows));
    steps.extend(arrangement.columns.map(Step::Columns));
    Ok(Transform { steps })
}

/// The step that converts from how the framework stores the tensor, if one is needed.
fn storage_step(store: &dyn Store, at: usize, expected: &Shape, facts: LayerFacts) -> Result<Option<Step>, String> {
    let Shape { shape, role, kind } = *expected;
    let (entry, layout) = (&store.entries()[at], store.layout());
    if facts.kind == "GRU"
        && let Some(order) = gate_order(entry, layout)
    {
        return fit_gates(store, at, expected, order, facts).map(Some);
    }
    let actual = &entry.shape[..];
    let sides = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|&side| side != 1).collect() };
    if role == "alpha" {
        // Keras keeps shared axes with size 1; PyTorch has one slope for all channels by default.
        return match entry.elements() {
            1 => Ok(Some(Step::Repeat)),
            _ if sides(actual) == sides(shape) => Ok(None),
            _ => Err(format!("the net needs {shape:?}, the file has {actual:?}")),
        };
    }
    match (store.framework(), kind, shape) {
        (
            Framework::PyTorch,
            ParameterKind::Kernel | ParameterKind::TransposedKernel,
            [window @ .., inputs, outputs],
        ) => {
            let torch = [&[*outputs, *inputs], window].concat();
            // A 1D convolution: its window has size 1 along the other axis. A 1x1 kernel may be a matrix.
            let line = [*outputs, *inputs, window.iter().product()];
            let matrix = window.iter().all(|&size| size == 1) && actual == [*outputs, *inputs];
            let same = actual == torch || window.contains(&1) && actual == line || matrix;
            return if same { Ok(Some(Step::KernelFromPyTorch)) } else { Err(shape_mismatch(shape, &torch, actual)) };
        }
        (Framework::PyTorch, ParameterKind::Matrix, &[inputs, outputs]) => {
            let torch = [outputs, inputs];
            // A 1x1 kernel over one pixel is a matrix.
            return if actual == torch || actual == [outputs, inputs, 1, 1] {
                Ok(Some(Step::MatrixFromPyTorch))
            } else {
                Err(shape_mismatch(shape, &torch, actual))
            };
        }
        (Framework::PyTorch, ParameterKind::Values, &[1, rows, width])
            if facts.kind == "PositionEmbedding"
                && matches!(*actual, [table, features] if table > rows && features == width) =>
        {
            return Ok(Some(Step::FirstRows(actual[0])));
        }
        (Framework::Flax, ParameterKind::TransposedKernel, _) => {
            return Err("Flax mirrors the kernels of transposed convolutions, which netc does not support".into());
        }
        _ => {}
    }
    let bare = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().skip_while(|&size| size == 1).collect() };
    // Keras stores a depthwise kernel as (window, channels, multiplier): the same values in the same order.
    let depthwise = match (kind, shape, actual) {
        (ParameterKind::Kernel, [window @ .., 1, filters], [taps @ .., channels, multiplier]) => {
            window == taps && channels.checked_mul(*multiplier) == Some(*filters)
        }
        _ => false,
    };
    // torchvision stores a layer scale as (channels, 1, 1).
    let vector = kind == ParameterKind::Vector && sides(actual) == sides(shape);
    let heads = facts.kind == ATTENTION && splits_heads(actual, shape);
    if actual != shape && bare(actual) != bare(shape) && !depthwise && !vector && !heads {
        return Err(format!("the net needs {shape:?}, the file has {actual:?}"));
    }
    Ok(match (role, &entry.role) {
        // Numbered variables are from Keras 3, which stores variances.
        ("running_inv_std", Role::RunningVariance | Role::Other(_)) => {
            Some(Step::InverseStd { epsilon: facts.epsilon.unwrap_or(1e-5) })
        }
        _ => None,
    })
}

/// Whether a Keras tensor has the values of a matrix or a bias in the same order: (features, heads, depth) and (heads, depth) of
/// queries, keys and values, (heads, depth, features) of the output.
fn splits_heads(actual: &[usize], shape: &[usize]) -> bool {
    match (actual, shape) {
        (&[a, b, c], &[inputs, outputs]) => {
            a == inputs && Some(outputs) == b.checked_mul(c) || c == outputs && Some(inputs) == a.checked_mul(b)
        }
        (&[heads, depth], &[outputs]) => heads.checked_mul(depth) == Some(outputs),
        _ => false,
    }
}

/// Two shapes that differ, with the expected one in the axis order of the file too.
fn shape_mismatch(shape: &[usize], torch: &[usize], actual: &[usize]) -> String {
    format!("the net needs {shape:?}, which is {torch:?} in PyTorch's axis order; the file has {actual:?}")
}

/// The order of the gates in a tensor of a GRU; `None` for NeuPy's order. The names of Keras mean its order in every layout.
fn gate_order(entry: &Entry, layout: Layout) -> Option<GateOrder> {
    let keras = match &entry.role {
        Role::Weight | Role::Bias => true,
        Role::Other(name) => name == RECURRENT_KERNEL,
        _ => false,
    };
    if keras || matches!(layout, Layout::Keras | Layout::Keras3) {
        return Some(GateOrder::Keras);
    }
    (layout.has_torch_names() && entry.class.as_deref() == Some(torch_recurrent::GRU)).then_some(GateOrder::PyTorch)
}

/// How the gates of a Keras or PyTorch GRU are converted to NeuPy's. All compute the candidate as tanh(x W + b + r * (h U)),
/// Keras with `reset_after`. With u = 1 - z, h' = z * h + (1 - z) * c is NeuPy's update: the update gate is negated.
fn fit_gates(
    store: &dyn Store,
    at: usize,
    expected: &Shape,
    order: GateOrder,
    facts: LayerFacts,
) -> Result<Step, String> {
    let (entry, shape) = (&store.entries()[at], expected.shape);
    match (expected.role, shape, &entry.shape[..]) {
        ("biases", &[width], &[2, actual]) if actual == width && facts.hidden_biases => Ok(Step::GateRow(order, 0)),
        (HIDDEN_BIASES, &[width], &[2, actual]) if actual == width => Ok(Step::GateRow(order, 1)),
        ("biases", &[width], &[2, actual]) if actual == width => {
            let values = store.read(at).map_err(|error| error.to_string())?;
            match values.get(width + 2 * width / 3..).is_some_and(|rest| rest.iter().all(|&bias| bias == 0.0)) {
                true => Ok(Step::GateBiases(order)),
                false => {
                    let made = match order {
                        GateOrder::Keras => "with reset_after=True",
                        GateOrder::PyTorch => "in PyTorch's GRU",
                    };
                    Err(format!(
                        "{made} the hidden gate has a separate bias for the state, which this GRU does not have; \
                         `GRU(…, reset_after=true)` has it"
                    ))
                }
            }
        }
        ("biases" | HIDDEN_BIASES, &[width], &[actual]) if actual == width => {
            Err("with reset_after=False the reset gate is applied before the weights of the state, here after them"
                .into())
        }
        ("input_weights" | "hidden_weights", ..) if entry.shape == shape => Ok(Step::Gates(order)),
        _ => Err(format!("the net needs {shape:?}, the file has {:?}", entry.shape)),
    }
}

/// Reorders each row of gates to reset, negated update, hidden.
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

/// The values of a GRU with the gates in Keras' order: the inverse of the conversion from Keras.
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

/// What a transform changed in a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// As text.
    Note(String),
    /// Rows or columns of a matrix, or values of a vector, were reordered to height, width, channels.
    Permuted(&'static str),
}

impl Transform {
    /// Converts the values to those of the layer.
    pub fn apply(&self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        self.steps.iter().fold(values, |values, step| step.apply(values, shape))
    }

    /// Selects columns of the result.
    pub fn take_columns(&mut self, columns: Range<usize>) {
        self.steps.push(Step::Take(columns));
    }

    /// The changes, for the report.
    pub fn changes(&self, layer: &str, kind: ParameterKind) -> Vec<Change> {
        let of = |step: &Step| match step {
            Step::KernelFromPyTorch | Step::MatrixFromPyTorch | Step::Repeat | Step::Take(_) => None,
            Step::Gates(_) | Step::GateBiases(_) | Step::GateRow(..) => {
                Some(Change::Note(format!("gates of {layer} were reordered")))
            }
            Step::InverseStd { epsilon } => Some(Change::Note(format!(
                "variances were converted to inverse standard deviations (epsilon {epsilon})"
            ))),
            Step::FirstRows(rows) => Some(Change::Note(format!("{layer} has the first of {rows} positions"))),
            Step::Rows(_) => Some(Change::Permuted("rows")),
            Step::Columns(_) if kind == ParameterKind::Matrix => Some(Change::Permuted("columns")),
            Step::Columns(_) => Some(Change::Permuted("values")),
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
            (Step::FirstRows(_), _) => values.into_iter().take(shape.iter().product()).collect(),
            (Step::Rows(segments), &[_, columns]) => {
                let rows: Vec<&[f32]> = values.chunks_exact(columns.max(1)).collect();
                places(segments).filter_map(|place| rows.get(place)).flat_map(|row| row.iter().copied()).collect()
            }
            (Step::Columns(segments), &[.., columns]) => {
                let places: Vec<usize> = places(segments).collect();
                let rows = values.chunks_exact(columns.max(1));
                rows.flat_map(|row| places.iter().filter_map(|&place| row.get(place)).copied()).collect()
            }
            (Step::Take(columns), &[.., width]) => {
                let rows = values.chunks_exact(width.max(1));
                rows.filter_map(|row| row.get(columns.clone())).flatten().copied().collect()
            }
            (Step::Gates(order), _) => gates(&values, shape.last().copied().unwrap_or(1), *order),
            (Step::GateBiases(order), &[width]) => {
                let both: Vec<f32> = (0..width).map(|at| values[at] + values[width + at]).collect();
                let mut biases = gates(&both, width, *order);
                // The state's bias of the last gate is zero, which was checked.
                let hidden = 2 * width / 3..width;
                biases[hidden.clone()].copy_from_slice(&values[hidden]);
                biases
            }
            (Step::GateRow(order, row), &[width]) => {
                gates(values.get(row * width..(row + 1) * width).unwrap_or_default(), width, *order)
            }
            _ => values,
        }
    }
}
