//! Functions: as layers, as arguments of layers, and as operations.

use super::context::{Argument, Context, Converted, Given, Known, number};
use crate::import::keras::config::Layer;
use crate::import::tree::{Call, Val};
use serde_json::Value;

/// The function that a layer applies to what it gives.
pub(super) fn behind<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, x: Known) -> Converted {
    match layer.get(&["activation"]) {
        None => Ok(x),
        Some(value) => function(cx, layer, value, x),
    }
}

/// `Activation`
pub(super) fn activation<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    behind(cx, layer, given.one()?)
}

/// A function by its name, or a layer that is used as one.
fn function<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, value: &'v Value, x: Known) -> Converted {
    let name = match value {
        Value::String(name) => name.as_str(),
        Value::Object(map) => match map.get("config").and_then(Value::as_str) {
            Some(name) => name,
            None => {
                let inner = Layer::of_function(layer.name, map).ok_or("its function is unknown")?;
                let given = Given { operands: vec![Argument::Value(x)], ..Given::default() };
                return match inner.class {
                    "ReLU" => relu(cx, &inner, &given),
                    "LeakyReLU" => leaky_relu(cx, &inner, &given),
                    "ELU" => elu(cx, &inner, &given),
                    "Softmax" => softmax(cx, &inner, &given),
                    class => Err(format!("its function is the layer `{class}`")),
                };
            }
        },
        _ => return Err("its function is unknown".into()),
    };
    named(cx, name, x)
}

/// An operation of `keras.ops` that is one of the named functions.
pub(super) fn operation<'v>(cx: &mut Context<'v>, given: &Given<'v>, name: &str) -> Converted {
    named(cx, name, given.one()?)
}

/// A layer without arguments.
pub(super) fn plain<'v>(cx: &mut Context<'v>, given: &Given<'v>, layer: &str) -> Converted {
    alone(cx, Call::layer(layer), &given.one()?)
}

/// A layer that acts on each value by itself.
pub(super) fn alone(cx: &mut Context, call: Call, x: &Known) -> Converted {
    let known = cx.add(call, &[x])?;
    Ok(Known { pixel: x.pixel, ..known })
}

/// Layers one after another.
fn chain(cx: &mut Context, calls: impl IntoIterator<Item = Call>, x: &Known) -> Converted {
    let mut known = x.clone();
    for call in calls {
        known = alone(cx, call, &known)?;
    }
    Ok(known)
}

/// What `join` makes of the value and a function of it.
fn with_itself(cx: &mut Context, join: &str, calls: impl IntoIterator<Item = Call>, x: &Known) -> Converted {
    let other = chain(cx, calls, x)?;
    let known = cx.add(Call::layer(join), &[x, &other])?;
    Ok(Known { pixel: x.pixel, ..known })
}

/// scale x + shift
pub(super) fn affine(scale: f64, shift: f64) -> Call {
    Call::layer("Affine").with("scale", number(scale)).with("shift", number(shift))
}

/// The functions of `keras.activations`.
fn named(cx: &mut Context, name: &str, x: Known) -> Converted {
    let layer = |function: &str| Call::layer(function);
    let call = match name {
        "linear" => return Ok(x),
        "relu" => layer("Relu"),
        "relu6" => layer("Relu6"),
        "leaky_relu" => layer("LeakyRelu").with("alpha", number(0.2)),
        "sigmoid" => layer("Sigmoid"),
        "tanh" => layer("Tanh"),
        "elu" => layer("Elu"),
        "softplus" => layer("Softplus"),
        "exponential" => layer("Exp"),
        "swish" | "silu" => layer("Swish"),
        "hard_swish" | "hard_silu" => layer("HardSwish"),
        "gelu" => layer("Gelu"),
        // relu6(x + 3) / 6 in Keras 3, 0.2 x + 0.5 in those before.
        "hard_sigmoid" if cx.keras3 => layer("HardSigmoid").with("alpha", number(1.0 / 6.0)),
        "hard_sigmoid" => layer("HardSigmoid"),
        "softmax" => layer("Softmax"),
        "log_softmax" => return chain(cx, [layer("Softmax"), layer("Log")], &x),
        // Klambauer et al., 2017, arXiv 1706.02515.
        "selu" => return exponential(cx, 1.050_700_987_355_480_5, 1.673_263_242_354_377_2, &x),
        "softsign" => return with_itself(cx, "Divide", [layer("Absolute"), affine(1.0, 1.0)], &x),
        // Misra, 2019, arXiv 1908.08681.
        "mish" => return with_itself(cx, "Multiply", [layer("Softplus"), layer("Tanh")], &x),
        "log_sigmoid" => return chain(cx, [affine(-1.0, 0.0), layer("Softplus"), affine(-1.0, 0.0)], &x),
        "tanh_shrink" => return with_itself(cx, "Subtract", [layer("Tanh")], &x),
        other => return Err(format!("its function is `{other}`, which no layer computes")),
    };
    alone(cx, call, &x)
}

/// scale * (x for x > 0, else alpha * (exp(x) - 1)), as the sum of both halves.
fn exponential(cx: &mut Context, scale: f64, alpha: f64, x: &Known) -> Converted {
    let above = chain(cx, [Call::layer("Relu"), affine(scale, 0.0)], x)?;
    let negative = Call::layer("Clip").with("min", number(-100.0)).with("max", number(0.0));
    let below = [negative, Call::layer("Exp"), affine(scale * alpha, -scale * alpha)];
    let below = chain(cx, below, x)?;
    let known = cx.add(Call::layer("Add"), &[&above, &below])?;
    Ok(Known { pixel: x.pixel, ..known })
}

/// `ReLU`: with a slope below zero, or an upper limit.
pub(super) fn relu<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let slope = layer.number(&["negative_slope"], 0.0)?;
    let threshold = layer.number(&["threshold"], 0.0)?;
    let most = layer.get(&["max_value"]).map(|_| layer.number(&["max_value"], 0.0)).transpose()?;
    let call = match (slope, most, threshold) {
        (0.0, None, 0.0) => Call::layer("Relu"),
        (0.0, Some(6.0), 0.0) => Call::layer("Relu6"),
        (0.0, Some(most), 0.0) if most > 0.0 => Call::layer("Clip").with("min", number(0.0)).with("max", number(most)),
        (slope, None, 0.0) => Call::layer("LeakyRelu").with("alpha", number(slope)),
        _ => return Err("it has a threshold, or both a slope and an upper limit".into()),
    };
    alone(cx, call, &given.one()?)
}

/// `LeakyReLU`: the slope is `alpha` in Keras 1 and 2, `negative_slope` in Keras 3, and 0.3 in all.
pub(super) fn leaky_relu<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let slope = layer.number(&["negative_slope", "alpha"], 0.3)?;
    alone(cx, Call::layer("LeakyRelu").with("alpha", number(slope)), &given.one()?)
}

pub(super) fn elu<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    match layer.number(&["alpha"], 1.0)? {
        1.0 => alone(cx, Call::layer("Elu"), &given.one()?),
        alpha => exponential(cx, 1.0, alpha, &given.one()?),
    }
}

/// `PReLU`: the slope differs along the axes that are not shared.
pub(super) fn prelu<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    let shared = layer.integers(&["shared_axes"])?.unwrap_or_default();
    let shared = shared.into_iter().map(|axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?;
    let own: Vec<i64> =
        (1..x.rank()).filter(|axis| !shared.contains(axis)).filter_map(|axis| i64::try_from(axis).ok()).collect();
    let mut call = cx.named("PRelu", layer);
    if own != [x.rank() as i64 - 1] {
        call = call.with("alpha_axes", Val::List(own));
    }
    cx.add(call, &[&x])
}

/// `Softmax`, along the last axis or another one.
pub(super) fn softmax<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    let axes = layer.integers(&["axis"])?.unwrap_or(vec![-1]);
    if x.is_last(&axes)? {
        return alone(cx, Call::layer("Softmax"), &x);
    }
    let axis = match axes[..] {
        [axis] => x.axis(axis)?,
        _ => return Err(format!("along {axes:?}")),
    };
    let names: &[&str] = if x.sizes.len() == 3 { &["height", "width"] } else { &["time"] };
    let name = names.get(axis - 1).filter(|_| !x.pixel).ok_or_else(|| format!("along axis {axis}"))?;
    alone(cx, Call::layer("Softmax").with("axis", Val::Word((*name).into())), &x)
}

/// The operation `gelu`, which is approximate unless it says otherwise.
pub(super) fn gelu<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let call = Call::layer("Gelu").with("tanh", Val::Bool(layer.is("approximate", true)));
    alone(cx, call, &given.one()?)
}

/// The operation `clip`; its bounds may be arguments of the call.
pub(super) fn clip<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let bound = |key: &str, place: usize| match given.operands.get(place) {
        Some(Argument::Constant(value)) => value.as_f64().ok_or("its bounds are not numbers".to_string()),
        _ => layer.get(&[key]).and_then(Value::as_f64).ok_or("its bounds are not numbers".to_string()),
    };
    let call = Call::layer("Clip").with("min", number(bound("x_min", 1)?)).with("max", number(bound("x_max", 2)?));
    alone(cx, call, &given.one()?)
}

/// The operation `power` with a constant exponent.
pub(super) fn power<'v>(cx: &mut Context<'v>, _: &Layer<'v>, given: &Given<'v>) -> Converted {
    let [Argument::Value(x), Argument::Constant(exponent)] = &given.operands[..] else {
        return Err("its exponent is not a number".into());
    };
    let exponent = exponent.as_f64().ok_or("its exponent is not a number")?;
    alone(cx, Call::layer("Power").with("p", number(exponent)), x)
}
