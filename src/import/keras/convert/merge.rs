//! Layers that join values, and arithmetic with numbers.

use super::activation::{affine, alone};
use super::context::{Argument, Context, Converted, Given, Known};
use crate::import::keras::config::Layer;
use crate::import::tree::{Call, Val};
use serde_json::Value;

/// Sums, products and the like, of values of the model or with a number.
pub(super) fn elementwise<'v>(cx: &mut Context<'v>, _: &Layer<'v>, given: &Given<'v>, function: &str) -> Converted {
    join(cx, function, &given.operands)
}

fn join(cx: &mut Context, function: &str, operands: &[Argument]) -> Converted {
    let mut values = Vec::new();
    let mut constant = None;
    for (place, operand) in operands.iter().enumerate() {
        match operand {
            Argument::Value(known) => values.push(known.clone()),
            Argument::Constant(value) => match value.as_f64() {
                Some(value) if constant.is_none() => constant = Some((place, value)),
                _ => return Err("with a constant that is not a number".into()),
            },
        }
    }
    match (constant, &mut values[..]) {
        (Some((place, value)), [x]) => return with_number(cx, function, x, place, value),
        (Some(_), _) => return Err("of several values and a number".into()),
        (None, [one]) => return Ok(one.clone()),
        (None, []) => return Err("it takes no value of the model".into()),
        (None, _) => {}
    }
    let pixel = values.iter().all(|known| known.pixel);
    // Pixels count for every pixel of an image beside them, but not beside features.
    let image = values.iter().any(|known| known.sizes.len() == 3);
    if !pixel && !image {
        values = values.into_iter().map(|known| cx.image(known)).collect::<Result<_, _>>()?;
    }
    let known = cx.add(Call::layer(function), &values.iter().collect::<Vec<_>>())?;
    Ok(Known { pixel, ..known })
}

/// A sum or product with a number.
fn with_number(cx: &mut Context, function: &str, x: &Known, place: usize, value: f64) -> Converted {
    let (scale, shift) = match (function, place) {
        ("Add", _) => (1.0, value),
        ("Subtract", 0) => (-1.0, value),
        ("Subtract", _) => (1.0, -value),
        ("Multiply", _) => (value, 0.0),
        ("Divide", 1) if value != 0.0 => (1.0 / value, 0.0),
        _ => return Err(format!("with the number {value}")),
    };
    alone(cx, affine(scale, shift), x)
}

/// `Concatenate`
pub(super) fn concatenate<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let mut values = given.values();
    let first = values.first().cloned().ok_or("it takes no value of the model")?;
    if values.len() == 1 {
        return Ok(first);
    }
    let axis = layer.integers(&["axis", "concat_axis"])?.unwrap_or(vec![-1]);
    let last = first.is_last(&axis)?;
    let pixel = last && values.iter().all(|known| known.pixel);
    if !pixel {
        values = values.into_iter().map(|known| cx.image(known)).collect::<Result<_, _>>()?;
    }
    let call = match (last, &axis[..]) {
        (true, _) => Call::layer("Concatenate"),
        (false, &[axis]) => {
            Call::layer("Concatenate").with("axis", Val::Int(i64::try_from(first.axis(axis)?).unwrap_or(i64::MAX)))
        }
        _ => return Err(format!("along {axis:?}")),
    };
    let known = cx.add(call, &values.iter().collect::<Vec<_>>())?;
    Ok(Known { pixel, ..known })
}

/// `TFOpLambda` of Keras 2: arithmetic that was written as `x + y` or with functions of TensorFlow.
pub(super) fn lambda<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let function = layer.text(&["function"]).unwrap_or("");
    let join_as = match function {
        "math.add" | "__operators__.add" => "Add",
        "math.subtract" | "__operators__.sub" => "Subtract",
        "math.multiply" | "__operators__.mul" => "Multiply",
        "math.divide" | "math.truediv" | "__operators__.truediv" => "Divide",
        "math.maximum" => "Maximum",
        "math.minimum" => "Minimum",
        "nn.relu" => return super::activation::operation(cx, given, "relu"),
        "nn.relu6" => return super::activation::operation(cx, given, "relu6"),
        "math.sigmoid" | "nn.sigmoid" => return super::activation::operation(cx, given, "sigmoid"),
        "math.tanh" | "nn.tanh" => return super::activation::operation(cx, given, "tanh"),
        "nn.silu" => return super::activation::operation(cx, given, "silu"),
        other => return Err(format!("it is the function `{other}` of TensorFlow")),
    };
    let mut operands = given.operands.clone();
    // A number on the left is the keyword of the value on the right.
    if let Some(Argument::Constant(value)) = given.keyword("x")
        && value.is_number()
    {
        operands.insert(0, Argument::Constant(value));
    }
    operands.extend(given.keyword("y").cloned().filter(|operand| match operand {
        Argument::Constant(value) => matches!(value, Value::Number(_)),
        Argument::Value(_) => true,
    }));
    join(cx, join_as, &operands)
}
