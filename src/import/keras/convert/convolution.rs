//! Convolutions, over images and along sequences.

use super::activation::behind;
use super::context::{Context, Converted, Given, Known, int};
use super::dense::has_bias;
use crate::import::keras::config::Layer;
use crate::import::tree::{Call, Val, pair};

/// The height and width of a window, or its one size along a sequence.
fn window(layer: &Layer, axes: usize) -> Result<Vec<usize>, String> {
    // Keras 1 has them as three arguments.
    if let (2, Ok(rows), Ok(columns)) = (axes, layer.size(&["nb_row"], None), layer.size(&["nb_col"], None)) {
        return Ok(vec![rows, columns]);
    }
    layer.sizes(&["kernel_size", "filter_length"], axes, None)
}

/// Sizes as an argument: `3x3`, or one number along a sequence.
pub(super) fn sizes(list: &[usize]) -> Val {
    match list {
        &[one] => int(one),
        list => Val::Sizes(list.to_vec()),
    }
}

/// Strides and the like: one number where they are equal.
pub(super) fn steps(list: &[usize]) -> Val {
    match list {
        &[a, b] => pair([a, b]),
        list => int(list.first().copied().unwrap_or(1)),
    }
}

fn strides(layer: &Layer, axes: usize) -> Result<Vec<usize>, String> {
    layer.sizes(&["strides", "subsample", "subsample_length"], axes, Some(1))
}

/// `same` or `valid`; `causal` becomes zeros before the sequence.
fn padding<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, x: Known, extent: usize) -> Result<(Known, Val), String> {
    match layer.text(&["padding", "border_mode"]).unwrap_or("valid") {
        "causal" if x.sizes.len() == 2 && extent > 0 => {
            let before = i64::try_from(extent).unwrap_or(i64::MAX);
            let pad = Call::layer("ZeroPad").with("size", Val::List(vec![before, 0, 0, 0]));
            let padded = cx.on_sequence(&x, |cx, image| cx.add(pad, &[image]))?;
            Ok((padded, Val::Word("valid".into())))
        }
        "causal" => Ok((x, Val::Word("valid".into()))),
        word @ ("same" | "valid") => Ok((x, Val::Word(word.into()))),
        word => Err(format!("its padding is `{word}`")),
    }
}

/// The arguments of every convolution but the filters, and its input, padded where needed.
fn call<'v>(
    cx: &mut Context<'v>,
    layer: &Layer<'v>,
    function: &str,
    x: Known,
    axes: usize,
) -> Result<(Call, Known), String> {
    let (size, stride) = (window(layer, axes)?, strides(layer, axes)?);
    let dilation = layer.sizes(&["dilation_rate", "atrous_rate"], axes, Some(1))?;
    let extent = size[0].saturating_sub(1).saturating_mul(dilation[0]);
    let (x, padding) = padding(cx, layer, x, extent)?;
    let call = cx
        .named(function, layer)
        .with("size", sizes(&size))
        .with("stride", steps(&stride))
        .with("padding", padding)
        .with("dilation", steps(&dilation))
        .with("bias", Val::Bool(has_bias(layer)));
    Ok((call, x))
}

/// `Conv1D`, `Conv2D`: with as many groups as channels it is a depthwise one, over one pixel a dense layer.
pub(super) fn convolution<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>, axes: usize) -> Converted {
    let x = given.one()?;
    let filters = layer.size(&["filters", "nb_filter"], None)?;
    let groups = layer.size(&["groups"], Some(1))?;
    if x.pixel && groups == 1 && window(layer, axes)? == [1, 1] {
        let call = cx.named("Dense", layer).with("units", int(filters)).with("bias", Val::Bool(has_bias(layer)));
        let known = cx.add(call, &[&x])?;
        let known = behind(cx, layer, known)?;
        return Ok(Known { pixel: true, ..known });
    }
    let x = cx.image(x)?;
    let channels = x.channels();
    let depthwise = groups > 1 && groups == channels && filters.is_multiple_of(channels);
    let (call, x) = call(cx, layer, if depthwise { "DepthwiseConv" } else { "Conv" }, x, axes)?;
    let call = match depthwise {
        true => call.with("multiplier", int(filters / channels)),
        false => call.with("filters", int(filters)).with("groups", int(groups)),
    };
    let known = cx.add(call, &[&x])?;
    behind(cx, layer, known)
}

/// `DepthwiseConv1D`, `DepthwiseConv2D`
pub(super) fn depthwise<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>, axes: usize) -> Converted {
    let (call, x) = call(cx, layer, "DepthwiseConv", given.one()?, axes)?;
    let multiplier = layer.size(&["depth_multiplier"], Some(1))?;
    let known = cx.add(call.with("multiplier", int(multiplier)), &[&x])?;
    behind(cx, layer, known)
}

/// `SeparableConv1D`, `SeparableConv2D`
pub(super) fn separable<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>, axes: usize) -> Converted {
    let (call, x) = call(cx, layer, "SeparableConv", given.one()?, axes)?;
    let call = call
        .with("filters", int(layer.size(&["filters", "nb_filter"], None)?))
        .with("depth_multiplier", int(layer.size(&["depth_multiplier"], Some(1))?));
    let known = cx.add(call, &[&x])?;
    behind(cx, layer, known)
}

/// `Conv2DTranspose`: `same` gives size times stride; `valid` is as wide as the stride where the window is narrower
/// (`deconv_output_length` in Keras). With an output padding the borders are TensorFlow's, which crops more at the end.
pub(super) fn transposed<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    let (size, stride) = (window(layer, 2)?, strides(layer, 2)?);
    let dilation = layer.sizes(&["dilation_rate"], 2, Some(1))?;
    let same = match layer.text(&["padding", "border_mode"]).unwrap_or("valid") {
        "same" => true,
        "valid" => false,
        word => return Err(format!("its padding is `{word}`")),
    };
    let extra = layer.get(&["output_padding"]).map(|_| layer.sizes(&["output_padding"], 2, None)).transpose()?;
    let mut call = cx
        .named("ConvTranspose", layer)
        .with("size", Val::Sizes(size.clone()))
        .with("filters", int(layer.size(&["filters", "nb_filter"], None)?))
        .with("stride", steps(&stride))
        .with("dilation", steps(&dilation))
        .with("bias", Val::Bool(has_bias(layer)));
    match extra {
        None if same => call = call.with("padding", Val::Word("same".into())),
        None => {
            let wider = [0, 1].map(|axis| stride[axis].saturating_sub(size[axis]));
            call = call.with("output_padding", pair(wider));
        }
        Some(extra) => {
            // With `same`, half of the window is cropped on both sides before the padding is added.
            let cropped = [0, 1].map(|axis| {
                let extent = size[axis].saturating_sub(1).saturating_mul(dilation[axis]).saturating_add(1);
                if same { 2 * (extent / 2) } else { 0 }
            });
            call = call.with("output_padding", pair([0, 1].map(|axis| extra[axis].saturating_sub(cropped[axis]))));
            let sides: Vec<i64> = std::iter::zip(cropped, &extra)
                .map(|(cropped, &extra)| cropped.saturating_sub(extra))
                .flat_map(|total| [total / 2, total - total / 2])
                .map(|side| i64::try_from(side).unwrap_or(i64::MAX))
                .collect();
            if sides.iter().any(|&side| side > 0) {
                call = call.with("padding", Val::List(sides));
            }
        }
    }
    let known = cx.add(call, &[&x])?;
    behind(cx, layer, known)
}
