//! Layers that arrange values: flattening, axes, borders, sizes.

use super::context::{Argument, Context, Converted, Given, Known, int};
use crate::import::keras::config::Layer;
use crate::import::tree::{Call, Val, pair};
use crate::size::product;
use serde_json::Value;

/// `Flatten`
pub(super) fn flatten<'v>(cx: &mut Context<'v>, _: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    match x.sizes.len() {
        1 => Ok(Known { pixel: false, ..x }),
        _ => cx.add(Call::layer("Flatten"), &[&x]),
    }
}

/// `Reshape`, with `batch` axes in front of the sizes.
pub(super) fn reshape<'v>(
    cx: &mut Context<'v>,
    layer: &Layer<'v>,
    given: &Given<'v>,
    keys: &[&str],
    batch: usize,
) -> Converted {
    let x = given.one()?;
    let asked = layer.integers(keys)?.ok_or("it has no sizes")?;
    if batch == 1 && asked.first() != Some(&-1) {
        return Err("it changes the size of the batch".into());
    }
    let asked = &asked[batch.min(asked.len())..];
    let total = product(x.sizes.iter().copied());
    let known = product(asked.iter().filter(|&&size| size != -1).map(|&size| usize::try_from(size).unwrap_or(0)));
    let open = asked.iter().filter(|&&size| size == -1).count();
    if known == 0 || open > 1 || !total.is_multiple_of(known) || open == 0 && known != total {
        return Err(format!("it makes {asked:?} of {:?}", x.sizes));
    }
    let sizes: Vec<usize> = asked.iter().map(|&size| usize::try_from(size).unwrap_or(total / known)).collect();
    let same = sizes == x.sizes && !x.pixel;
    match &sizes[..] {
        _ if same => Ok(x),
        // Features as one pixel, and back.
        &[1, 1, channels] if x.sizes == [channels] => Ok(Known { pixel: true, ..x }),
        &[features] if x.sizes == [features] => Ok(Known { pixel: false, ..x }),
        &[_] => cx.add(Call::layer("Flatten"), &[&x]),
        [] => Err("it leaves no axis".into()),
        _ => cx.add(Call::layer("Reshape").with("shape", Val::Sizes(sizes)), &[&x]),
    }
}

/// `Permute`, whose numbers count from 1, and the operation `transpose`, which has the batch as axis 0.
pub(super) fn permute<'v>(
    cx: &mut Context<'v>,
    layer: &Layer<'v>,
    given: &Given<'v>,
    keys: &[&str],
    without_batch: usize,
) -> Converted {
    let x = given.one()?;
    let dims = layer.integers(keys)?.ok_or("it has no axes")?;
    let mut perm = vec![0; without_batch];
    perm.extend(dims);
    let in_order = (0i64..).take(x.rank()).collect::<Vec<_>>();
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted != in_order || perm[0] != 0 {
        return Err(format!("it gives the axes {perm:?}"));
    }
    match perm == in_order {
        true => Ok(x),
        false => cx.add(Call::layer("Transpose").with("perm", Val::List(perm)), &[&x]),
    }
}

/// `RepeatVector`: the features as each of n steps.
pub(super) fn repeat<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let x = given.one()?;
    let &[features] = &x.sizes[..] else { return Err(format!("its input {:?} has several axes", x.sizes)) };
    let steps = layer.size(&["n"], None)?;
    let reshape = Call::layer("Reshape").with("shape", Val::Sizes(vec![1, features]));
    let step = cx.add(reshape, &[&x])?;
    cx.on_sequence(&step, |cx, image| up(cx, image, [steps, 1]))
}

/// `ZeroPadding2D`, `Cropping1D` and the like: one number, one for each axis, or two for each.
pub(super) fn sides<'v>(
    cx: &mut Context<'v>,
    layer: &Layer<'v>,
    given: &Given<'v>,
    function: &str,
    axes: usize,
) -> Converted {
    let x = given.one()?;
    let value = layer.get(&["padding", "cropping"]);
    let pairs = pairs(value, axes).ok_or_else(|| "its sides are not sizes".to_string())?;
    let number = |side: usize| i64::try_from(side).unwrap_or(i64::MAX);
    if axes == 1 {
        let sides = Val::List(vec![number(pairs[0][0]), number(pairs[0][1]), 0, 0]);
        let call = Call::layer(function).with("size", sides);
        return cx.on_sequence(&x, |cx, image| cx.add(call, &[image]));
    }
    let [rows, columns] = [pairs[0], pairs[1]];
    if [rows, columns] == [[0; 2]; 2] {
        return Ok(x);
    }
    let size = match rows[0] == rows[1] && columns[0] == columns[1] {
        true => pair([rows[0], columns[0]]),
        false => Val::List([rows, columns].as_flattened().iter().map(|&side| number(side)).collect()),
    };
    cx.add(Call::layer(function).with("size", size), &[&x])
}

/// What is before and after each axis; 1 everywhere if nothing is said.
fn pairs(value: Option<&Value>, axes: usize) -> Option<Vec<[usize; 2]>> {
    let size = |value: &Value| usize::try_from(value.as_u64()?).ok().filter(|&size| size < 1 << 30);
    let Some(value) = value else { return Some(vec![[1; 2]; axes]) };
    match value {
        Value::Array(list) => {
            // Along one axis, two numbers are its sides.
            if let (1, [before, after]) = (axes, &list[..]) {
                return Some(vec![[size(before)?, size(after)?]]);
            }
            let pairs = list.iter().map(|value| match value.as_array().map(Vec::as_slice) {
                Some([before, after]) => Some([size(before)?, size(after)?]),
                Some(_) => None,
                None => size(value).map(|size| [size; 2]),
            });
            pairs.collect::<Option<Vec<_>>>().filter(|pairs| pairs.len() == axes)
        }
        one => size(one).map(|size| vec![[size; 2]; axes]),
    }
}

/// `UpSampling1D`, `UpSampling2D`: pixels are repeated, or interpolated between their centres.
pub(super) fn up_sampling<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>, axes: usize) -> Converted {
    let x = given.one()?;
    let scale = layer.sizes(&["size", "length"], axes, Some(2))?;
    match (layer.text(&["interpolation"]).unwrap_or("nearest"), &scale[..]) {
        ("nearest", &[rows, columns]) => up(cx, &x, [rows, columns]),
        ("nearest", &[steps]) => cx.on_sequence(&x, |cx, image| up(cx, image, [steps, 1])),
        ("bilinear", &[rows, columns]) => {
            let &[height, width, _] = &x.sizes[..] else { return Err("its input is not an image".into()) };
            let size = [height.saturating_mul(rows), width.saturating_mul(columns)];
            resize(cx, &x, size, "bilinear")
        }
        (word, _) => Err(format!("its interpolation is `{word}`, which differs between the backends of Keras")),
    }
}

fn up(cx: &mut Context, x: &Known, scale: [usize; 2]) -> Converted {
    cx.add(Call::layer("Upscale").with("scale", pair(scale)), &[x])
}

/// An image interpolated to a size.
pub(super) fn resize(cx: &mut Context, x: &Known, size: [usize; 2], mode: &str) -> Converted {
    let size = match size {
        [a, b] if a == b => int(a),
        [a, b] => Val::Sizes(vec![a, b]),
    };
    cx.add(Call::layer("Resize").with("size", size).with("mode", Val::Word(mode.into())), &[x])
}

/// `x[..., from:to]`: a range of channels.
pub(super) fn item<'v>(cx: &mut Context<'v>, _: &Layer<'v>, given: &Given<'v>) -> Converted {
    let [Argument::Value(x), Argument::Constant(key)] = &given.operands[..] else {
        return Err("its index is not a constant".into());
    };
    let key = key.as_array().filter(|key| key.len() == x.rank()).ok_or("it takes single elements")?;
    let bound = |value: &Value, name: &str| match &value["config"][name] {
        Value::Null => Some(None),
        value => usize::try_from(value.as_u64()?).ok().map(Some),
    };
    let slices: Option<Vec<[Option<usize>; 3]>> = key
        .iter()
        .map(|value| {
            let is_slice = value["class_name"] == "__slice__";
            is_slice.then(|| Some([bound(value, "start")?, bound(value, "stop")?, bound(value, "step")?]))?
        })
        .collect();
    let slices = slices.ok_or("it takes single elements, or counts from the end")?;
    let whole = |slice: &[Option<usize>; 3]| matches!(slice, [None | Some(0), None, None | Some(1)]);
    match slices.split_last() {
        Some((&[from, to, None | Some(1)], others)) if others.iter().all(whole) => {
            let (from, to) = (from.unwrap_or(0), to.unwrap_or(x.channels()).min(x.channels()));
            let call = Call::layer("Slice").with("from", int(from)).with("to", int(to));
            cx.add(call, &[x])
        }
        _ => Err("it takes a part of another axis than the channels".into()),
    }
}
