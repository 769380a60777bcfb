//! Elementwise functions, compared by their values: frameworks use one name for different functions and different names for one.

use super::super::{LayerConfig, Model, snake_case};
use crate::kernels::elementwise::activation::Activation;
use serde_json::Value;
use std::fmt;

/// The points at which functions are compared, ascending.
const POINTS: [f64; 17] =
    [-20.0, -8.0, -4.0, -3.2, -2.75, -2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 2.75, 3.2, 4.0, 8.0, 20.0];

/// A function without parameters that a layer applies.
#[derive(Clone, Debug)]
pub(super) struct Function {
    name: String,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    /// At [`POINTS`].
    Elementwise([f64; POINTS.len()]),
    /// Of a softmax of a layer of Keras: the axis, which may count from the end.
    Along(i64),
    /// Of a softmax of a net: the axis, and the number of all with the batch.
    AlongOf { axis: i64, rank: i64 },
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        match (&self.values, &other.values) {
            // A logarithm is not a number below zero.
            (Values::Elementwise(a), Values::Elementwise(b)) => {
                let same =
                    |a: f64, b: f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 2e-5 * (1.0 + a.abs());
                a.iter().zip(b).all(|(&a, &b)| same(a, b))
            }
            (Values::Along(a), Values::Along(b)) => a == b,
            (Values::AlongOf { axis: a, rank }, Values::AlongOf { axis: b, rank: other }) => a - rank == b - other,
            (Values::Along(of_file), Values::AlongOf { axis, rank })
            | (Values::AlongOf { axis, rank }, Values::Along(of_file)) => of_file == axis || *of_file == axis - rank,
            (Values::Elementwise(_), _) | (_, Values::Elementwise(_)) => false,
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Function {
    /// A softmax of a layer of Keras, whose axis may count from the end.
    fn softmax(axis: i64) -> Function {
        let name = if axis == -1 { "softmax".into() } else { format!("softmax(axis={axis})") };
        Function { name, values: Values::Along(axis) }
    }

    /// The softmax of a net along the axis at a place among so many sizes without the batch.
    pub fn softmax_along(place: usize, sizes: usize) -> Function {
        let (axis, rank) = (place as i64 + 1, sizes as i64 + 1);
        let name = if axis + 1 == rank { "softmax".into() } else { format!("softmax(axis={axis})") };
        Function { name, values: Values::AlongOf { axis, rank } }
    }

    fn of(name: impl Into<String>, function: impl Fn(f64) -> f64) -> Function {
        Function { name: name.into(), values: Values::Elementwise(POINTS.map(function)) }
    }

    fn elementwise(&self) -> Option<[f64; POINTS.len()]> {
        match self.values {
            Values::Elementwise(values) => Some(values),
            Values::Along(_) | Values::AlongOf { .. } => None,
        }
    }

    pub fn of_net(activation: Activation) -> Function {
        Function::of(activation.to_string(), |x| f64::from(activation.of(x as f32)))
    }

    pub fn is_linear(&self) -> bool {
        *self == Function::of("", |x| x)
    }

    /// Whether the function is a factor and a shift.
    pub fn is_affine(&self) -> bool {
        let Some(values) = self.elementwise() else { return false };
        let scale = (values[values.len() - 1] - values[0]) / (POINTS[POINTS.len() - 1] - POINTS[0]);
        let shift = values[0] - scale * POINTS[0];
        *self == Function::of("", |x| scale * x + shift)
    }

    /// Whether the function is monotone, so that it commutes with a maximum.
    pub fn is_monotone(&self) -> bool {
        self.elementwise().is_some_and(|values| values.is_sorted_by(|a, b| *a <= *b + 1e-6))
    }

    pub fn keeps_zero(&self) -> bool {
        self.elementwise().is_some_and(|values| values[8].abs() < 1e-6)
    }

    pub fn is_nowhere_negative(&self) -> bool {
        self.elementwise().is_none_or(|values| values.iter().all(|value| *value >= 0.0))
    }

    /// The function in a configuration; `None` if it is unknown.
    pub fn of_keras(value: &Value, model: &Model) -> Option<Function> {
        match value {
            Value::Null => Some(Function::of("linear", |x| x)),
            Value::String(name) => Function::named(name, model),
            // A layer used as a function, or a function serialised by Keras 3.
            Value::Object(map) => {
                let class = map.get("class_name").and_then(Value::as_str)?;
                match map.get("config")? {
                    Value::String(name) => Function::named(name, model),
                    Value::Object(config) => {
                        Function::of_layer(&LayerConfig::new("", "", class, config.clone()), model)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The function of a layer without parameters.
    pub fn of_layer(layer: &LayerConfig, model: &Model) -> Option<Function> {
        let number = |keys: &[&str], default: f64| match layer.get(keys) {
            Some(value) => value.as_f64(),
            None => Some(default),
        };
        Some(match layer.class.as_str() {
            "Activation" => return Function::of_keras(layer.config.get("activation")?, model),
            "ReLU" => {
                let (slope, threshold) = (number(&["negative_slope"], 0.0)?, number(&["threshold"], 0.0)?);
                let most = number(&["max_value"], f64::INFINITY)?;
                let name = match (slope, most) {
                    (0.0, f64::INFINITY) => "relu".into(),
                    (slope, f64::INFINITY) => format!("relu(negative_slope={slope})"),
                    _ => format!("relu(max_value={most})"),
                };
                Function::of(name, |x| match x {
                    x if x >= most => most,
                    x if x >= threshold => x,
                    x => slope * (x - threshold),
                })
            }
            "LeakyReLU" => {
                let slope = number(&["negative_slope", "alpha"], 0.3)?;
                Function::of(format!("leaky relu({slope})"), |x| if x >= 0.0 { x } else { slope * x })
            }
            "ELU" => {
                let alpha = number(&["alpha"], 1.0)?;
                Function::of(format!("elu({alpha})"), |x| if x > 0.0 { x } else { alpha * x.exp_m1() })
            }
            "ThresholdedReLU" => {
                let theta = number(&["theta"], 1.0)?;
                Function::of(format!("thresholded relu({theta})"), |x| if x > theta { x } else { 0.0 })
            }
            // Along the last axis, unless it says otherwise.
            "Softmax" => match layer.get(&["axis"]) {
                None => Function::softmax(-1),
                Some(axis) => Function::softmax(axis.as_i64()?),
            },
            "Rescaling" => {
                let (scale, offset) = (number(&["scale"], 1.0)?, number(&["offset"], 0.0)?);
                Function::of(format!("{scale} x + {offset}"), |x| scale * x + offset)
            }
            // An operation of `keras.ops`.
            "Relu" | "Relu6" | "Sigmoid" | "Tanh" | "Silu" | "HardSilu" | "HardSigmoid" | "Softplus" | "Softsign" => {
                return Function::named(&snake_case(&layer.class), model);
            }
            _ => return None,
        })
    }

    fn named(name: &str, model: &Model) -> Option<Function> {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let relu6 = |x: f64| x.clamp(0.0, 6.0);
        Some(match name {
            "linear" => Function::of(name, |x| x),
            "relu" => Function::of(name, |x| x.max(0.0)),
            "relu6" => Function::of(name, relu6),
            "leaky_relu" => Function::of("leaky relu(0.2)", |x| if x >= 0.0 { x } else { 0.2 * x }),
            "sigmoid" => Function::of(name, sigmoid),
            "tanh" => Function::of(name, f64::tanh),
            "elu" => Function::of(name, |x| if x > 0.0 { x } else { x.exp_m1() }),
            "selu" => Function::of(name, |x| {
                1.050_700_987_355_480_5 * if x > 0.0 { x } else { 1.673_263_242_354_377_2 * x.exp_m1() }
            }),
            "softplus" => Function::of(name, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
            "softsign" => Function::of(name, |x| x / (1.0 + x.abs())),
            "exponential" => Function::of(name, f64::exp),
            "swish" | "silu" => Function::of(name, |x| x * sigmoid(x)),
            "hard_silu" | "hard_swish" => Function::of(name, |x| x * relu6(x + 3.0) / 6.0),
            "gelu" => Function::of(name, |x| 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))),
            // The same name for two functions.
            "hard_sigmoid" if model.keras3 => {
                Function::of("hard_sigmoid of Keras 3: relu6(x + 3) / 6", |x| relu6(x + 3.0) / 6.0)
            }
            "hard_sigmoid" => Function::of(name, |x| (0.2 * x + 0.5).clamp(0.0, 1.0)),
            "softmax" => Function::softmax(-1),
            _ => return None,
        })
    }
}
