//! Recurrent layers over a sequence, `LSTM` and `GRU`, with NeuPy's gates and parameters (after Lasagne).

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::signature::definition::Default;
use crate::graph::training::{Backward, unbatched};
use crate::graph::{
    Argument, Arguments, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind,
    ParameterSpec, ShapeError,
};
use crate::ops::convolution::window::known_channels;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::recurrent_gradient::{
    RecurrentGatesStep, RecurrentGradientStep, RecurrentInputGradientStep, RecurrentLayer,
};
use crate::plan::steps::sequence::recurrent::{GruStep, LstmStep, Sequence};
use crate::size::product;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// The type of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// Long short-term memory; with peepholes its gates read the cell's state, through weights with this initialiser.
    Lstm { cell_init: Initializer, peepholes: Option<Initializer> },
    /// Gated recurrent unit; after `reset_after`, what the state adds to the gates has biases too.
    Gru { reset_after: bool },
}

/// A recurrent layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    pub cell: Cell,
    pub units: usize,
    /// Whether it returns only the last state, not all.
    pub only_final: bool,
    /// From the last step to the first.
    pub backwards: bool,
    pub input_weights: Initializer,
    pub hidden_weights: Initializer,
    pub biases: Initializer,
    pub hidden_init: Initializer,
    /// Whether the initial states are trained.
    pub learn_init: bool,
    /// The limit of the gates' gradients in training; 0 for none.
    pub gradient_clipping: f64,
}

const N_UNITS: Argument = Argument {
    name: "n_units",
    takes: "integer",
    default: Default::Required,
    doc: "features of the state and the output",
};
const ONLY_RETURN_FINAL: Argument = Argument {
    name: "only_return_final",
    takes: "`true` or `false`",
    default: Default::Bool(true),
    doc: "only the last state, (?, n_units), else all of them, (?, time, n_units)",
};
const INPUT_WEIGHTS: Argument = Argument {
    name: "input_weights",
    takes: "initialiser",
    default: Default::Absent("HeNormal(gain=1)"),
    doc: "initial weights of the input",
};
const HIDDEN_WEIGHTS: Argument = Argument {
    name: "hidden_weights",
    takes: "initialiser",
    default: Default::Absent("HeNormal(gain=1)"),
    doc: "initial weights of the state",
};
const BIASES: Argument =
    Argument { name: "biases", takes: "number or initialiser", default: Default::Int(0), doc: "initial biases" };
const CELL_INIT: Argument = Argument {
    name: "cell_init",
    takes: "number or initialiser",
    default: Default::Int(0),
    doc: "the cell before the first step",
};
const HIDDEN_INIT: Argument = Argument {
    name: "hidden_init",
    takes: "number or initialiser",
    default: Default::Int(0),
    doc: "the state before the first step",
};
const LEARN_INIT: Argument = Argument {
    name: "learn_init",
    takes: "`true` or `false`",
    default: Default::Bool(false),
    doc: "whether the first state is trained",
};
const UNROLL_SCAN: Argument = Argument {
    name: "unroll_scan",
    takes: "`true` or `false`",
    default: Default::Bool(false),
    doc: "no effect; accepted for NeuPy",
};
const BACKWARDS: Argument = Argument {
    name: "backwards",
    takes: "`true` or `false`",
    default: Default::Bool(false),
    doc: "from the last step to the first; the last state is then the first step's",
};
const GRADIENT_CLIPPING: Argument = Argument {
    name: "gradient_clipping",
    takes: "number",
    default: Default::Int(0),
    doc: "limit of the gates' gradients in training, 0 for none; no effect at inference",
};

/// `LSTM(64)`
pub static LSTM: Definition = Definition {
    name: "LSTM",
    aliases: &[],
    kind: "LSTM",
    category: Category::Recurrent,
    summary: "Long short-term memory over a sequence.",
    arguments: &[
        N_UNITS,
        ONLY_RETURN_FINAL,
        INPUT_WEIGHTS,
        HIDDEN_WEIGHTS,
        Argument {
            name: "cell_weights",
            takes: "initialiser",
            default: Default::Absent("HeNormal(gain=1)"),
            doc: "initial weights of the peepholes",
        },
        BIASES,
        CELL_INIT,
        HIDDEN_INIT,
        LEARN_INIT,
        UNROLL_SCAN,
        BACKWARDS,
        Argument {
            name: "peepholes",
            takes: "`true` or `false`",
            default: Default::Bool(false),
            doc: "whether the gates read the cell",
        },
        GRADIENT_CLIPPING,
    ],
    details: "(?, time, n) -> (?, n_units), or all states. With g = x_t * input_weights + biases + h * hidden_weights split into in, forget, cell, out: \
        c' = sigmoid(forget) * c + sigmoid(in) * tanh(cell), h' = sigmoid(out) * tanh(c') (Hochreiter and Schmidhuber, 1997; Gers and \
        Schmidhuber, 2000, for peepholes: in and forget also get c * weight, out gets c' * weight). Parameters input_weights (n, 4 n_units), \
        hidden_weights (n_units, 4 n_units), biases (4 n_units), cell_init and hidden_init (1, n_units), and with peepholes \
        weight_cell_to_ingate, weight_cell_to_forgetgate, weight_cell_to_outgate (n_units).",
    example: "Input(40) >> Embedding(20, 10) >> LSTM(20) >> Sigmoid(1)",
    build: |arguments| {
        let cell_init = arguments.initializer("cell_init", Initializer::Constant(0.0))?;
        let cell_weights = arguments.initializer("cell_weights", Initializer::HeNormal { gain: 1.0 })?;
        let peepholes = arguments.boolean("peepholes")?.then_some(cell_weights);
        build(arguments, Cell::Lstm { cell_init, peepholes })
    },
};

/// `GRU(64)`
pub static GRU: Definition = Definition {
    name: "GRU",
    aliases: &[],
    kind: "GRU",
    category: Category::Recurrent,
    summary: "A gated recurrent unit over a sequence.",
    arguments: &[
        N_UNITS,
        ONLY_RETURN_FINAL,
        INPUT_WEIGHTS,
        HIDDEN_WEIGHTS,
        BIASES,
        HIDDEN_INIT,
        LEARN_INIT,
        UNROLL_SCAN,
        BACKWARDS,
        GRADIENT_CLIPPING,
        Argument {
            name: "reset_after",
            takes: "`true` or `false`",
            default: Default::Bool(false),
            doc: "whether the state's part has biases of its own, as in Keras 2 and later and in PyTorch",
        },
    ],
    details: "(?, time, n) -> (?, n_units), or all states. With i = x_t * input_weights + biases and s = h * hidden_weights, both split into reset, \
        update, hidden: r = sigmoid(i + s), u = sigmoid(i + s), c = tanh(i + r * s), h' = h - u * (h - c) (Cho et al., 2014). With reset_after=true \
        s = h * hidden_weights + hidden_biases: the form that Keras 2 and later (its reset_after=True), cuDNN and PyTorch train, whose files \
        bind then. Parameters input_weights (n, 3 n_units), hidden_weights (n_units, 3 n_units), biases (3 n_units), hidden_init (1, n_units), \
        and hidden_biases (3 n_units).",
    example: "Input(40) >> Embedding(20, 10) >> GRU(20) >> Sigmoid(1)",
    build: |arguments| build(arguments, Cell::Gru { reset_after: arguments.boolean("reset_after")? }),
};

fn build(arguments: &Arguments, cell: Cell) -> Result<Arc<dyn Operation>, Diagnostic> {
    let he_normal = Initializer::HeNormal { gain: 1.0 };
    let zero = Initializer::Constant(0.0);
    // NeuPy's options for unrolling do not change the values.
    arguments.boolean("unroll_scan")?;
    Ok(Arc::new(Recurrent {
        cell,
        units: arguments.integer("n_units", 1)?,
        only_final: arguments.boolean("only_return_final")?,
        backwards: arguments.boolean("backwards")?,
        input_weights: arguments.initializer("input_weights", he_normal)?,
        hidden_weights: arguments.initializer("hidden_weights", he_normal)?,
        biases: arguments.initializer("biases", zero)?,
        hidden_init: arguments.initializer("hidden_init", zero)?,
        learn_init: arguments.boolean("learn_init")?,
        gradient_clipping: arguments.number_within("gradient_clipping", 0.0, f64::MAX)?,
    }))
}

impl Recurrent {
    fn gates(&self) -> usize {
        match self.cell {
            Cell::Lstm { .. } => 4,
            Cell::Gru { .. } => 3,
        }
    }

    /// Steps and features of a sequence.
    fn sequence(&self, input: &TensorType) -> Result<(Size, Size), ShapeError> {
        match input.sizes[..] {
            [steps, features] => Ok((steps, features)),
            _ => {
                let name = self.definition().name;
                let error = ShapeError::new(
                    Code::WrongRank,
                    format!("`{name}` needs a sequence, but gets {input}"),
                    "expects (?, time, features)",
                );
                Err(match input.sizes.len() {
                    1 => error.help(format!("indices become features by `>> Embedding(size, features) >> {name}(…)`")),
                    _ => error.help("an image becomes a sequence by `Reshape`"),
                })
            }
        }
    }
}

impl Operation for Recurrent {
    fn definition(&self) -> &'static Definition {
        match self.cell {
            Cell::Lstm { .. } => &LSTM,
            Cell::Gru { .. } => &GRU,
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![("n_units", self.units.to_string())];
        if !self.only_final {
            list.push(("only_return_final", "false".into()));
        }
        if self.learn_init {
            list.push(("learn_init", "true".into()));
        }
        if self.backwards {
            list.push(("backwards", "true".into()));
        }
        if matches!(self.cell, Cell::Lstm { peepholes: Some(_), .. }) {
            list.push(("peepholes", "true".into()));
        }
        if self.gradient_clipping != 0.0 {
            list.push(("gradient_clipping", self.gradient_clipping.to_string()));
        }
        if self.cell == (Cell::Gru { reset_after: true }) {
            list.push(("reset_after", "true".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (steps, _) = self.sequence(inputs[0])?;
        let units = Size::Known(self.units);
        Ok(TensorType::batched(if self.only_final { vec![units] } else { vec![steps, units] }))
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        self.sequence(inputs[0])?;
        let features = known_channels(self.definition().name, inputs[0])?;
        let (units, width) = (self.units, self.gates().saturating_mul(self.units));
        let part =
            |role, shape: &[usize], initializer| ParameterSpec::new(role, ParameterKind::Recurrent, shape, initializer);
        let first =
            |role, initializer| ParameterSpec { trainable: self.learn_init, ..part(role, &[1, units], initializer) };
        let mut specs = vec![
            part("input_weights", &[features, width], self.input_weights),
            part("hidden_weights", &[units, width], self.hidden_weights),
            part("biases", &[width], self.biases),
        ];
        if let Cell::Lstm { cell_init, .. } = self.cell {
            specs.push(first("cell_init", cell_init));
        }
        specs.push(first("hidden_init", self.hidden_init));
        if let Cell::Lstm { peepholes: Some(weights), .. } = self.cell {
            let roles = ["weight_cell_to_ingate", "weight_cell_to_forgetgate", "weight_cell_to_outgate"];
            specs.extend(roles.map(|role| part(role, &[units], weights)));
        }
        if self.cell == (Cell::Gru { reset_after: true }) {
            specs.push(part("hidden_biases", &[width], self.biases));
        }
        Ok(specs)
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        let [Size::Known(steps), Size::Known(features)] = inputs[0].sizes[..] else { return 0 };
        product([steps, features.saturating_add(self.units), self.gates(), self.units]) as u64
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Sequence
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let x = inputs[0];
        let [batch, steps, _] = x.shape()[..] else { return x.clone() };
        let shape = if self.only_final { vec![batch, self.units] } else { vec![batch, steps, self.units] };
        let mut y = ArrayD::zeros(IxDyn(&shape));
        for image in 0..batch {
            let mut state = State::first(self, parameters);
            for index in 0..steps {
                let step = if self.backwards { steps - 1 - index } else { index };
                let row: Vec<f64> = (0..x.shape()[2]).map(|feature| x[[image, step, feature]]).collect();
                state.advance(&row, parameters);
                for (unit, value) in state.hidden.iter().enumerate() {
                    match self.only_final {
                        true => y[[image, unit]] = *value,
                        false => y[[image, step, unit]] = *value,
                    }
                }
            }
        }
        y
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let [steps, features] = cx.inputs[0][..] else { return Err("its input is not a sequence".into()) };
        let Recurrent { units, only_final, backwards, .. } = *self;
        let sequence = Sequence { steps, features, units, only_final, backwards };
        Ok(Lowered::Step(match self.cell {
            Cell::Lstm { peepholes, .. } => Kernel::Lstm(LstmStep { sequence, peepholes: peepholes.is_some() }),
            Cell::Gru { reset_after } => Kernel::Gru(GruStep { sequence, hidden_biases: reset_after }),
        }))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let layer = match self.lower(&cx.lowering())? {
            Lowered::Step(Kernel::Lstm(step)) => RecurrentLayer::Lstm(step),
            Lowered::Step(Kernel::Gru(step)) => RecurrentLayer::Gru(step),
            _ => return Ok(()),
        };
        let (x, dy, parameters) = (cx.layer.inputs[0], cx.gradient, cx.layer.parameters.clone());
        let (steps, width) = layer.trace_sizes();
        let trace = RecurrentGatesStep { layer: layer.clone(), clip: self.gradient_clipping as f32 };
        let trace = Lowered::Step(Kernel::RecurrentGates(trace));
        let trace = cx.add_step("trace", TensorType::of(&[steps, width]), trace, &[x, dy], &parameters);
        let back = RecurrentInputGradientStep { layer: layer.clone() };
        cx.grad_input(0, Kernel::RecurrentInputGradient(back), &[trace], &parameters[..1]);
        if cx.needs_parameter_grad.contains(&true) {
            let lengths = layer.parameters();
            let step = Lowered::Step(Kernel::RecurrentGradient(RecurrentGradientStep { layer }));
            let all = cx.add_step("parameters", unbatched(&[lengths.iter().sum()]), step, &[x, trace], &[]);
            let mut from = 0;
            for (parameter, len) in lengths.into_iter().enumerate() {
                cx.grad_parameter_slice(parameter, all, from);
                from += len;
            }
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The state of one sample in the reference evaluation; the cell is empty for a GRU.
struct State {
    hidden: Vec<f64>,
    cell: Vec<f64>,
}

impl State {
    fn first(layer: &Recurrent, parameters: &[&ArrayD<f64>]) -> State {
        let values = |index: usize| parameters.get(index).map_or_else(Vec::new, |init| init.iter().copied().collect());
        match layer.cell {
            Cell::Lstm { .. } => State { cell: values(3), hidden: values(4) },
            Cell::Gru { .. } => State { cell: Vec::new(), hidden: values(3) },
        }
    }

    /// One step in time.
    fn advance(&mut self, row: &[f64], parameters: &[&ArrayD<f64>]) {
        let [input_weights, hidden_weights, biases, ..] = parameters else { return };
        let product = |values: &[f64], weights: &ArrayD<f64>, column: usize| -> f64 {
            values.iter().enumerate().map(|(index, value)| value * weights[[index, column]]).sum()
        };
        let (units, previous, is_gru) = (self.hidden.len(), self.hidden.clone(), self.cell.is_empty());
        for unit in 0..units {
            let from_input = |gate: usize| {
                let column = gate * units + unit;
                product(row, input_weights, column) + biases[[column]]
            };
            // An LSTM has other parameters in that place.
            let biases = parameters.get(4).filter(|_| is_gru);
            let from_state = |gate: usize| {
                let column = gate * units + unit;
                product(&previous, hidden_weights, column) + biases.map_or(0.0, |biases| biases[[column]])
            };
            let sum = |gate: usize| from_input(gate) + from_state(gate);
            match self.cell.get_mut(unit) {
                Some(cell) => {
                    let peephole = |gate: usize| parameters.get(5 + gate).map_or(0.0, |weights| weights[[unit]]);
                    let ingate = sigmoid(sum(0) + *cell * peephole(0));
                    let forget = sigmoid(sum(1) + *cell * peephole(1));
                    *cell = forget * *cell + ingate * sum(2).tanh();
                    self.hidden[unit] = sigmoid(sum(3) + *cell * peephole(2)) * cell.tanh();
                }
                None => {
                    let (reset, update) = (sigmoid(sum(0)), sigmoid(sum(1)));
                    let candidate = (from_input(2) + reset * from_state(2)).tanh();
                    self.hidden[unit] = previous[unit] - update * (previous[unit] - candidate);
                }
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
