//! What Keras does to photos and tables inside of a model.

use super::activation::affine;
use super::context::{Context, Converted, Given, Known, int, number};
use super::shape::resize;
use crate::import::keras::config::Layer;
use crate::import::tree::{Call, Val};

/// The most channels that are scaled one by one.
const MAX_CHANNELS: usize = 16;

/// `Rescaling`: scale x + offset, with one number or one for each channel.
pub(super) fn rescaling<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let scale = layer.numbers(&["scale"])?.ok_or("it has no scale")?;
    let offset = layer.numbers(&["offset"])?.unwrap_or(vec![0.0]);
    scaled(cx, &given.one()?, &scale, &offset)
}

/// `Normalization`: (x - mean) / max(sqrt(variance), 1e-7). Statistics that it was given are in the file's configuration; those
/// that it learnt by `adapt` are weights, as of a batch normalisation without scale and shift.
pub(super) fn normalization<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    // Without axes there is one mean for all values.
    let axes = match layer.get(&["axis"]) {
        Some(_) => layer.integers(&["axis"])?.unwrap_or_default(),
        None => Vec::new(),
    };
    if !axes.is_empty() && !x.is_last(&axes)? {
        return Err(format!("it acts along {axes:?}, not along the channels, which are last"));
    }
    let invert = layer.is("invert", false);
    let (Some(mean), Some(variance)) = (layer.numbers(&["mean"])?, layer.numbers(&["variance"])?) else {
        if axes.is_empty() || invert {
            return Err("its statistics are weights for all values, or are inverted".into());
        }
        let call = cx
            .named("BatchNorm", layer)
            .with("epsilon", number(1e-14))
            .with("beta", Val::Bool(false))
            .with("gamma", Val::Bool(false));
        return cx.add(call, &[&x]);
    };
    let std: Vec<f64> = variance.iter().map(|variance| variance.max(0.0).sqrt().max(1e-7)).collect();
    let count = mean.len().max(std.len());
    let at = |list: &[f64], index: usize| list.get(index).or(list.first()).copied().unwrap_or(0.0);
    let pairs = (0..count).map(|index| (at(&mean, index), at(&std, index)));
    let (scale, offset): (Vec<f64>, Vec<f64>) =
        pairs.map(|(mean, std)| if invert { (std, mean) } else { (1.0 / std, -mean / std) }).unzip();
    scaled(cx, &x, &scale, &offset)
}

/// scale x + offset, for each channel by itself where they have several numbers.
fn scaled(cx: &mut Context, x: &Known, scale: &[f64], offset: &[f64]) -> Converted {
    let channels = x.channels();
    let at = |list: &[f64], channel: usize| if list.len() == 1 { list.first() } else { list.get(channel) }.copied();
    if scale.is_empty() || offset.is_empty() || [scale, offset].iter().any(|list| ![1, channels].contains(&list.len()))
    {
        return Err(format!("it has {} factors for {channels} channels", scale.len()));
    }
    let alike = |list: &[f64]| list.iter().all(|value| value == &list[0]);
    if alike(scale) && alike(offset) {
        return match (scale[0], offset[0]) {
            (1.0, 0.0) => Ok(x.clone()),
            (scale, offset) => cx.add(affine(scale, offset), &[x]),
        };
    }
    if channels > MAX_CHANNELS {
        return Err(format!("it has constants for each of {channels} channels"));
    }
    let mut parts = Vec::new();
    for channel in 0..channels {
        let (Some(scale), Some(offset)) = (at(scale, channel), at(offset, channel)) else { continue };
        let slice = Call::layer("Slice").with("from", int(channel)).with("to", int(channel + 1));
        let part = cx.add(slice, &[x])?;
        parts.push(cx.add(affine(scale, offset), &[&part])?);
    }
    cx.add(Call::layer("Concatenate"), &parts.iter().collect::<Vec<_>>())
}

/// `Resizing`, where the centres of pixels are half a pixel from the border.
pub(super) fn resizing<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    let size = [layer.size(&["height"], None)?, layer.size(&["width"], None)?];
    if ["crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"].iter().any(|key| layer.is(key, false)) {
        return Err("it keeps the aspect, or smooths".into());
    }
    if x.sizes.get(..2) == Some(&size[..]) {
        return Ok(x);
    }
    match layer.text(&["interpolation"]).unwrap_or("bilinear") {
        "bilinear" => resize(cx, &x, size, "bilinear"),
        word => Err(format!("its interpolation is `{word}`: `bilinear` is taken")),
    }
}

/// `CenterCrop` of an image that is at least as large.
pub(super) fn center_crop<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    let size = [layer.size(&["height"], None)?, layer.size(&["width"], None)?];
    let &[height, width, _] = &x.sizes[..] else { return Err("its input is not an image".into()) };
    let mut sides = Vec::new();
    for (whole, size) in [height, width].into_iter().zip(size) {
        let more = whole.checked_sub(size).ok_or("it enlarges the image first")?;
        sides.extend([more / 2, more - more / 2].map(|side| side as i64));
    }
    match sides.iter().all(|&side| side == 0) {
        true => Ok(x),
        false => cx.add(Call::layer("Crop").with("size", Val::List(sides)), &[&x]),
    }
}
