//! `optimizer = …` and `regularizer = …`. Names, defaults and update rules are NeuPy's, except AdamW's.

use super::choice::Choice;
use super::schedule;
use super::schedule::Schedule;
use crate::diagnostics::Diagnostic;
use crate::graph::signature::definition::Default;
use crate::graph::{Argument, Arguments, Value, ValueKind};
use crate::kernels::training::optimizer::UpdateRule;
use crate::kernels::training::regularizer::Regularizer;

/// The rule by which gradients change the parameters, and the learning rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    pub rule: UpdateRule,
    /// The learning rate before schedules.
    pub step: f64,
    /// A schedule that was written in place of the learning rate.
    pub schedule: Option<Schedule>,
    pub clip_value: Option<f32>,
    pub clip_norm: Option<f32>,
}

const fn step(default: f64) -> Argument {
    Argument { name: "step", takes: "number", default: Default::Float(default), doc: "the learning rate" }
}

const fn number(name: &'static str, default: f64, doc: &'static str) -> Argument {
    Argument { name, takes: "number", default: Default::Float(default), doc }
}

const CLIP_VALUE: Argument = Argument {
    name: "clip_value",
    takes: "number",
    default: Default::Absent("gradients are not clipped"),
    doc: "clips each value of a gradient to plus and minus this",
};
const CLIP_NORM: Argument = Argument {
    name: "clip_norm",
    takes: "number",
    default: Default::Absent("gradients are not clipped"),
    doc: "scales the gradients so that their global norm is at most this (Pascanu et al., 2013)",
};
const BETA1: Argument = number("beta1", 0.9, "the decay rate of the moving average of gradients");
const BETA2: Argument = number("beta2", 0.999, "the decay rate of the moving average of squared gradients");
const EPSILON: Argument = number("epsilon", 1e-7, "added to the denominator");

/// Reads the arguments that all optimizers have: learning rate and gradient clipping.
fn optimizer(arguments: &Arguments, rule: UpdateRule) -> Result<Optimizer, Diagnostic> {
    let positive = |name: &str| -> Result<Option<f32>, Diagnostic> {
        let Some(value) = arguments.given(name) else { return Ok(None) };
        match value.number().filter(|number| *number > 0.0 && number.is_finite()) {
            Some(number) => Ok(Some(number as f32)),
            None => Err(arguments.wrong(name, "takes a number above 0")),
        }
    };
    // NeuPy takes a schedule in place of the learning rate, with the rate as its first argument.
    let (step, schedule) = match arguments.given("step").map(|value| &value.kind) {
        Some(ValueKind::Construct { .. }) => match arguments.given("step").map(schedule::with_value) {
            Some(Ok((step, schedule))) => (step, Some(schedule)),
            Some(Err(error)) => return Err(error),
            None => (0.0, None),
        },
        _ => (arguments.number("step")?, None),
    };
    if step <= 0.0 {
        return Err(arguments.wrong("step", "must be above 0"));
    }
    Ok(Optimizer { rule, step, schedule, clip_value: positive("clip_value")?, clip_norm: positive("clip_norm")? })
}

fn share(arguments: &Arguments, name: &str) -> Result<f32, Diagnostic> {
    Ok(arguments.number_within(name, 0.0, 1.0)? as f32)
}

/// The decay rate of a moving average. At 1 it would never change, and its bias correction would divide by zero.
fn beta(arguments: &Arguments, name: &str) -> Result<f32, Diagnostic> {
    match share(arguments, name)? {
        beta if beta < 1.0 => Ok(beta),
        _ => Err(arguments.wrong(name, "takes a number of at least 0 and below 1")),
    }
}

fn epsilon(arguments: &Arguments) -> Result<f32, Diagnostic> {
    Ok(arguments.number_within("epsilon", 0.0, 1.0)? as f32)
}

/// Every optimizer.
pub static OPTIMIZERS: &[Choice<Optimizer>] = &[
    Choice {
        name: "GradientDescent",
        summary: "w -= step * g",
        arguments: &[step(0.1), CLIP_VALUE, CLIP_NORM],
        build: |arguments| optimizer(arguments, UpdateRule::GradientDescent),
    },
    Choice {
        name: "Momentum",
        summary: "a = momentum * a + g; w -= step * a, with nesterov w -= step * (g + momentum * a)",
        arguments: &[
            step(0.1),
            number("momentum", 0.9, "the share of the previous update that is added"),
            Argument {
                name: "nesterov",
                takes: "`true` or `false`",
                default: Default::Bool(false),
                doc: "Nesterov's accelerated gradient (Nesterov, 1983)",
            },
            CLIP_VALUE,
            CLIP_NORM,
        ],
        build: |arguments| {
            let (momentum, nesterov) = (share(arguments, "momentum")?, arguments.boolean("nesterov")?);
            optimizer(arguments, UpdateRule::Momentum { momentum, nesterov })
        },
    },
    Choice {
        name: "Adam",
        summary: "Kingma and Ba, 2014; epsilon outside the root and the bias correction in the learning rate, as in TensorFlow",
        arguments: &[step(0.001), BETA1, BETA2, EPSILON, CLIP_VALUE, CLIP_NORM],
        build: |arguments| {
            let (beta1, beta2, epsilon) = (beta(arguments, "beta1")?, beta(arguments, "beta2")?, epsilon(arguments)?);
            optimizer(arguments, UpdateRule::Adam { beta1, beta2, epsilon })
        },
    },
    Choice {
        name: "AdamW",
        summary: "Adam with decoupled weight decay (Loshchilov and Hutter, 2019); epsilon is added to the corrected root, as in PyTorch",
        arguments: &[
            step(0.001),
            BETA1,
            BETA2,
            EPSILON,
            number("decay", 0.01, "the weight decay: each update multiplies parameters by 1 - step * decay"),
            CLIP_VALUE,
            CLIP_NORM,
        ],
        build: |arguments| {
            let (beta1, beta2, epsilon) = (beta(arguments, "beta1")?, beta(arguments, "beta2")?, epsilon(arguments)?);
            let decay = arguments.number_within("decay", 0.0, 1e3)? as f32;
            optimizer(arguments, UpdateRule::AdamW { beta1, beta2, epsilon, decay })
        },
    },
    Choice {
        name: "Adamax",
        summary: "Adam with the infinity norm in place of the squares (Kingma and Ba, 2014)",
        arguments: &[step(0.002), BETA1, BETA2, EPSILON, CLIP_VALUE, CLIP_NORM],
        build: |arguments| {
            let (beta1, beta2, epsilon) = (beta(arguments, "beta1")?, beta(arguments, "beta2")?, epsilon(arguments)?);
            optimizer(arguments, UpdateRule::Adamax { beta1, beta2, epsilon })
        },
    },
    Choice {
        name: "Adagrad",
        summary: "a += g^2, from 0.1; w -= step * g / sqrt(a) (Duchi et al., 2011)",
        arguments: &[step(0.1), CLIP_VALUE, CLIP_NORM],
        build: |arguments| optimizer(arguments, UpdateRule::Adagrad),
    },
    Choice {
        name: "Adadelta",
        summary: "scales each step by the ratio of past updates to past gradients (Zeiler, 2012)",
        arguments: &[
            step(1.0),
            number("rho", 0.95, "the decay rate of both moving averages"),
            EPSILON,
            CLIP_VALUE,
            CLIP_NORM,
        ],
        build: |arguments| {
            let (decay, epsilon) = (share(arguments, "rho")?, epsilon(arguments)?);
            optimizer(arguments, UpdateRule::Adadelta { decay, epsilon })
        },
    },
    Choice {
        name: "RMSProp",
        summary: "divides the gradient by the root of the moving average of its squares, which starts at 1 (Hinton, 2012)",
        arguments: &[
            step(0.1),
            number("decay", 0.95, "the decay rate of the moving average of squared gradients"),
            number("momentum", 0.0, "the share of the previous update that is added"),
            EPSILON,
            Argument {
                name: "centered",
                takes: "`true` or `false`",
                default: Default::Bool(false),
                doc: "subtracts the square of the mean gradient (centred RMSProp)",
            },
            CLIP_VALUE,
            CLIP_NORM,
        ],
        build: |arguments| {
            let (decay, momentum) = (share(arguments, "decay")?, share(arguments, "momentum")?);
            let (epsilon, centered) = (epsilon(arguments)?, arguments.boolean("centered")?);
            optimizer(arguments, UpdateRule::RmsProp { decay, momentum, epsilon, centered })
        },
    },
];

/// A penalty, and the roles of the parameters that it leaves out.
pub type ScopedRegularizer = (Regularizer, Vec<String>);

const DECAY_RATE: Argument = number("decay_rate", 0.01, "the weight of the penalty in the loss");
const EXCLUDE: Argument = Argument {
    name: "exclude",
    takes: "list of strings",
    default: Default::Absent("[\"bias\"]"),
    doc: "the roles of parameters without penalty",
};

fn excluded(arguments: &Arguments) -> Result<Vec<String>, Diagnostic> {
    let Some(value) = arguments.given("exclude") else { return Ok(vec!["bias".into()]) };
    let text = |value: &Value| match &value.kind {
        ValueKind::Text(text) | ValueKind::Word(text) => Some(text.clone()),
        _ => None,
    };
    let list = match &value.kind {
        ValueKind::List(list) => list.iter().map(text).collect(),
        _ => None,
    };
    list.ok_or_else(|| arguments.wrong("exclude", "takes a list such as `[\"bias\"]`"))
}

fn penalty(arguments: &Arguments, kind: fn(f32) -> Regularizer) -> Result<ScopedRegularizer, Diagnostic> {
    let rate = arguments.number_within("decay_rate", 0.0, 1e6)? as f32;
    Ok((kind(rate), excluded(arguments)?))
}

/// Every regularizer.
pub static REGULARIZERS: &[Choice<ScopedRegularizer>] = &[
    Choice {
        name: "l1",
        summary: "adds decay_rate * sum |w| of each parameter to the training loss",
        arguments: &[DECAY_RATE, EXCLUDE],
        build: |arguments| penalty(arguments, Regularizer::L1),
    },
    Choice {
        name: "l2",
        summary: "adds decay_rate * sum w^2 of each parameter to the training loss",
        arguments: &[DECAY_RATE, EXCLUDE],
        build: |arguments| penalty(arguments, Regularizer::L2),
    },
    Choice {
        name: "maxnorm",
        summary: "adds decay_rate * max |w| of each parameter to the training loss",
        arguments: &[DECAY_RATE, EXCLUDE],
        build: |arguments| penalty(arguments, Regularizer::MaxNorm),
    },
];
