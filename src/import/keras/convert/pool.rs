//! Pools, and reductions of an image or a sequence.

use super::context::{Context, Converted, Given, Known};
use super::convolution::{sizes, steps};
use crate::import::keras::config::Layer;
use crate::import::tree::{Call, Val};

/// `MaxPooling2D`, `AveragePooling1D` and the like.
pub(super) fn pool<'v>(
    cx: &mut Context<'v>,
    layer: &Layer<'v>,
    given: &Given<'v>,
    function: &str,
    axes: usize,
) -> Converted {
    let size = layer.sizes(&["pool_size", "pool_length"], axes, Some(2))?;
    let stride = match layer.get(&["strides", "stride"]) {
        None => size.clone(),
        Some(_) => layer.sizes(&["strides", "stride"], axes, None)?,
    };
    let mut call = Call::layer(function).with("size", sizes(&size));
    if stride != size {
        call = call.with("stride", steps(&stride));
    }
    match layer.text(&["padding", "border_mode"]).unwrap_or("valid") {
        word @ ("same" | "valid") => call = call.with("padding", Val::Word(word.into())),
        word => return Err(format!("its padding is `{word}`")),
    }
    cx.add(call, &[&given.one()?])
}

/// `GlobalAveragePooling2D` and the like; kept axes are an image of one pixel, or a sequence of one step.
pub(super) fn global<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>, function: &str) -> Converted {
    over_all(cx, &given.one()?, function, layer.is("keepdims", false))
}

fn over_all(cx: &mut Context, x: &Known, function: &str, keep: bool) -> Converted {
    let axes = x.sizes.len();
    if axes < 2 {
        return Err(format!("its input {:?} is neither an image nor a sequence", x.sizes));
    }
    let known = cx.add(Call::layer("GlobalPool").with("function", Val::Word(function.into())), &[x])?;
    match (keep, axes) {
        (false, _) => Ok(known),
        (true, 3) => Ok(Known { pixel: true, ..known }),
        (true, _) => {
            let shape = Val::Sizes(vec![1, known.channels()]);
            cx.add(Call::layer("Reshape").with("shape", shape), &[&known])
        }
    }
}

/// The operations `mean`, `max` and `sum` along axes.
pub(super) fn reduce<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>, function: &str) -> Converted {
    let x = given.one()?;
    let keep = layer.is("keepdims", false);
    let axes = layer.integers(&["axis"])?.ok_or("over all axes")?;
    let mut axes = axes.into_iter().map(|axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    let all: Vec<usize> = (1..x.sizes.len()).collect();
    if axes == all && x.sizes.len() > 1 {
        let function = if function == "Mean" { "avg" } else { &function.to_lowercase() };
        return over_all(cx, &x, function, keep);
    }
    let names: &[&str] = match x.sizes.len() {
        3 => &["height", "width", "channels"],
        2 => &["time", "channels"],
        _ => &["channels"],
    };
    let &[axis] = &axes[..] else { return Err(format!("over the axes {axes:?}")) };
    // The channels stay as one, the others disappear.
    let channels = axis == names.len();
    if channels != keep {
        return Err(format!("over axis {axis}, with keepdims={keep}"));
    }
    cx.add(Call::layer(function).with("axis", Val::Word(names[axis - 1].into())), &[&x])
}
