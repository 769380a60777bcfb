//! Dense layers.

use super::activation::behind;
use super::context::{Context, Converted, Given, int};
use crate::import::keras::config::Layer;
use crate::import::tree::Val;

/// `Dense`: on the last axis; on the channels of an image it is a 1x1 convolution.
pub(super) fn dense<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    let units = int(layer.size(&["units", "output_dim"], None)?);
    let call = match x.sizes.len() {
        3 => cx.named("Conv", layer).with("size", Val::Sizes(vec![1, 1])).with("filters", units),
        _ => cx.named("Dense", layer).with("units", units),
    };
    if layer.get(&["quantization_config"]).is_some() || layer.get(&["lora_rank"]).is_some() {
        return Err("its weights are quantised, or have a low-rank part".into());
    }
    let call = call.with("bias", Val::Bool(has_bias(layer)));
    let known = cx.add(call, &[&x])?;
    behind(cx, layer, known)
}

/// Whether a layer has a bias, which is `bias` in Keras 1.
pub(super) fn has_bias(layer: &Layer) -> bool {
    layer.is("use_bias", layer.is("bias", true))
}
