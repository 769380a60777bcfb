//! Layers that act only in training.

use super::context::{Context, Converted, Given, Known, number};
use crate::import::keras::config::Layer;
use crate::import::tree::Call;

/// `Dropout`; one that drops whole axes together, such as EfficientNet's stochastic depth, is left out.
pub(super) fn dropout<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    if layer.get(&["noise_shape"]).is_some() {
        return left_out(cx, layer, given);
    }
    let x = given.one()?;
    match layer.number(&["rate", "p"], 0.5)? {
        rate if rate > 0.0 && rate < 1.0 => {
            let known = cx.add(Call::layer("Dropout").with("proba", number(rate)), &[&x])?;
            Ok(Known { pixel: x.pixel, ..known })
        }
        _ => Ok(x),
    }
}

/// `GaussianNoise`
pub(super) fn noise<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let call = Call::layer("GaussianNoise").with("std", number(layer.number(&["stddev", "sigma"], 1.0)?));
    cx.add(call, &[&given.one()?])
}

/// A layer that gives its input outside of training.
pub(super) fn left_out<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    cx.left_out.push(format!("{} ({})", layer.name, layer.class));
    Ok(x)
}
