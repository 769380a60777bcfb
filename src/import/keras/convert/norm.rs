//! Normalisations, and the learnt scale of ConvNeXt.

use super::context::{Context, Converted, Given, int, number};
use crate::import::keras::config::Layer;
use crate::import::tree::Val;

/// What Keras adds to the variance unless a layer says otherwise.
const EPSILON: f64 = 1e-3;

fn epsilon(layer: &Layer) -> Result<Val, String> {
    layer.number(&["epsilon"], EPSILON).map(number)
}

/// Whether a layer acts along the channels.
fn over_channels(layer: &Layer, given: &Given) -> Result<(), String> {
    let axes = layer.integers(&["axis"])?.unwrap_or(vec![-1]);
    match given.one()?.is_last(&axes)? {
        true => Ok(()),
        false => Err(format!("it acts along {axes:?}, not along the channels, which are last")),
    }
}

/// `BatchNormalization`; Keras counts what stays of the running statistics, netc what a batch changes.
pub(super) fn batch<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    over_channels(layer, given)?;
    if layer.is("renorm", false) {
        return Err("with renormalisation".into());
    }
    let x = given.one()?;
    let alpha = ((1.0 - layer.number(&["momentum"], 0.99)?) * 1e9).round() / 1e9;
    let mut call =
        cx.named("BatchNorm", layer).with("alpha", number(alpha.clamp(0.0, 1.0))).with("epsilon", epsilon(layer)?);
    for (key, argument) in [("center", "beta"), ("scale", "gamma")] {
        if !layer.is(key, true) {
            call = call.with(argument, Val::Bool(false));
        }
    }
    let known = cx.add(call, &[&x])?;
    Ok(super::Known { pixel: x.pixel, ..known })
}

/// Whether a normalisation has both a shift and a scale.
fn is_affine(layer: &Layer) -> Result<(), String> {
    match layer.is("center", true) && layer.is("scale", true) {
        true => Ok(()),
        false => Err("it has no shift or no scale".into()),
    }
}

/// `LayerNormalization` over the channels.
pub(super) fn layer<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    over_channels(layer, given)?;
    is_affine(layer)?;
    if layer.is("rms_scaling", false) {
        return Err("it divides by the root of the mean square".into());
    }
    let call = cx.named("LayerNorm", layer).with("epsilon", epsilon(layer)?);
    cx.add(call, &[&given.one()?])
}

/// `GroupNormalization`; -1 group is one for each channel.
pub(super) fn group<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    over_channels(layer, given)?;
    is_affine(layer)?;
    let x = given.one()?;
    let groups = match layer.integers(&["groups"])?.as_deref() {
        None => 32,
        Some([-1]) => x.channels(),
        Some(_) => layer.size(&["groups"], None)?,
    };
    let call = cx.named("GroupNorm", layer).with("n_groups", int(groups)).with("epsilon", epsilon(layer)?);
    cx.add(call, &[&x])
}

/// `UnitNormalization`
pub(super) fn unit<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    over_channels(layer, given)?;
    // `keras.ops.normalize` divides by at least 1e-7, TensorFlow by 1e-6.
    let call = crate::import::tree::Call::layer("Normalize").with("epsilon", number(1e-7));
    cx.add(call, &[&given.one()?])
}

/// `LayerScale` of ConvNeXt.
pub(super) fn scale<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let call = cx.named("Scale", layer).with("gamma", number(layer.number(&["init_values"], 1.0)?));
    cx.add(call, &[&given.one()?])
}
