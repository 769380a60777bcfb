//! Other sizes of images.

use crate::import::convert::axes::gather;
use crate::import::convert::context::{Context, Converted, needs, number};
use crate::import::convert::known::Known;
use crate::import::tree::{Call, Val, pair};
use crate::onnx::{Node, Value};

/// `Resize` and `Upsample`.
pub(in crate::import::convert) fn resize(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.image(node, 0)?;
    let [.., height, width] = x.shape[..] else { return Err("its input is not an image".into()) };
    let (factors, [rows, columns]) = target(cx, node, &x)?;
    if [rows, columns].iter().any(|side| !(1..1 << 30).contains(side)) {
        return Err(format!("to {rows}x{columns}"));
    }
    if node.int("antialias", 0) != 0 || node.int("exclude_outside", 0) != 0 {
        return Err("with a smoothed border, or smoothed before it is made smaller".into());
    }
    let mode = node.text("mode").unwrap_or("nearest");
    let default = if cx.opset < 11 { "asymmetric" } else { "half_pixel" };
    let coordinates = node.text("coordinate_transformation_mode").unwrap_or(default);
    let nearest = node.text("nearest_mode").unwrap_or(if cx.opset < 11 { "floor" } else { "round_prefer_floor" });
    let refused = || {
        let nearest = if mode == "nearest" { format!(", {nearest}") } else { String::new() };
        format!("from {height}x{width} to {rows}x{columns} with mode={mode}, {coordinates}{nearest}")
    };
    let whole = rows % height == 0 && columns % width == 0;
    // A scale that is not the ratio of the sizes places pixels otherwise.
    let [by_rows, by_columns] = factors;
    let exact = |factor: f64, from: usize, to: usize| (factor * from as f64 - to as f64).abs() < 1e-4;
    let layer = || match (exact(by_rows, height, rows) && exact(by_columns, width, columns), by_rows == by_columns) {
        (true, true) if by_rows.fract() == 0.0 => Call::layer("Resize").with("scale", Val::Int(by_rows as i64)),
        (true, _) => Call::layer("Resize").with("size", Val::Sizes(vec![rows, columns])),
        (false, true) => Call::layer("Resize").with("scale", number(by_rows as f32)),
        (false, false) => {
            let factors = [by_rows, by_columns].map(|factor| match number(factor as f32) {
                Val::Float(factor) => factor,
                _ => factor,
            });
            Call::layer("Resize").with("scale", Val::Numbers(factors.to_vec()))
        }
    };
    let call = match (mode, coordinates, nearest) {
        ("nearest", "half_pixel" | "pytorch_half_pixel", "round_prefer_floor" | "round_prefer_ceil")
        | ("nearest", "asymmetric", "floor")
            if whole && exact(by_rows, height, rows) && exact(by_columns, width, columns) =>
        {
            Call::layer("Upscale").with("scale", pair([rows / height, columns / width]))
        }
        ("nearest", "asymmetric", "floor") if exact(by_rows, height, rows) && exact(by_columns, width, columns) => {
            layer()
        }
        ("nearest", ..) if !matches!(coordinates, "tf_crop_and_resize") => {
            let rule = Nearest { coordinates, rounding: nearest };
            let places = [(2, by_rows, height, rows), (3, by_columns, width, columns)];
            let mut known = x;
            for (axis, factor, from, to) in places {
                let indices = rule.indices(factor, from, to).ok_or_else(&refused)?;
                known = gather::taken(cx, known, axis, &indices)?;
            }
            return cx.give(node, known);
        }
        ("linear" | "cubic", "half_pixel" | "pytorch_half_pixel" | "align_corners", _) => {
            needs("Resize", Some("align_corners"))?;
            if mode == "cubic" && (node.float("cubic_coeff_a", -0.75) + 0.75).abs() > 1e-6 {
                return Err(format!("with a kernel of its own: {}", node.float("cubic_coeff_a", -0.75)));
            }
            if coordinates == "align_corners" && !(exact(by_rows, height, rows) && exact(by_columns, width, columns)) {
                return Err(format!(
                    "by {by_rows} and {by_columns}, which give no whole sizes, with the corners aligned"
                ));
            }
            if coordinates == "pytorch_half_pixel" && (rows == 1 || columns == 1) {
                return Err("to a single row or column, where its coordinates differ".into());
            }
            let name = if mode == "linear" { "bilinear" } else { "bicubic" };
            layer()
                .with("mode", Val::Word(name.into()))
                .with("align_corners", Val::Bool(coordinates == "align_corners"))
        }
        _ => return Err(refused()),
    };
    let item = cx.layers.add(call, &[x.item]);
    cx.give(node, Known { item, shape: vec![x.shape[0], x.shape[1], rows, columns], ..x })
}

/// Which pixel a new one is.
struct Nearest<'n> {
    coordinates: &'n str,
    rounding: &'n str,
}

impl Nearest<'_> {
    /// The old pixels of the new ones along an axis, as ONNX defines them; none for rules that are not known.
    fn indices(&self, factor: f64, from: usize, to: usize) -> Option<Vec<usize>> {
        let size = factor * from as f64;
        let place = |at: f64| {
            Some(match self.coordinates {
                "half_pixel" => (at + 0.5) / factor - 0.5,
                "pytorch_half_pixel" => {
                    if size > 1.0 {
                        (at + 0.5) / factor - 0.5
                    } else {
                        0.0
                    }
                }
                "half_pixel_symmetric" => {
                    let adjusted = to as f64 / size;
                    from as f64 / 2.0 * (1.0 - adjusted) + (at + 0.5) / factor - 0.5
                }
                "asymmetric" => at / factor,
                "align_corners" if to > 1 => at * (from as f64 - 1.0) / (to as f64 - 1.0),
                "align_corners" => 0.0,
                _ => return None,
            })
        };
        let pixel = |place: f64| {
            Some(match self.rounding {
                "round_prefer_floor" => (place - 0.5).ceil(),
                "round_prefer_ceil" => (place + 0.5).floor(),
                "floor" => place.floor(),
                "ceil" => place.ceil(),
                _ => return None,
            })
        };
        let index = |at: usize| Some(pixel(place(at as f64)?)?.clamp(0.0, from as f64 - 1.0) as usize);
        (to <= 1 << 12).then(|| (0..to).map(index).collect::<Option<Vec<usize>>>())?
    }
}

/// The factors of height and width, and the sizes that they give.
fn target(cx: &Context, node: &Node, x: &Known) -> Result<([f64; 2], [usize; 2]), String> {
    let none = "its scales or sizes are not constants for height and width";
    // Opset 9 and 10 have the scales second, before that they are an attribute.
    let scales = match (node.op.as_str(), cx.opset) {
        ("Resize", 11..) => node.input(2).and_then(|name| cx.constants.values(name)),
        _ => match node.attribute("scales") {
            Some(Value::Floats(scales)) => Some(scales.iter().map(|&scale| f64::from(scale)).collect()),
            _ => node.input(1).and_then(|name| cx.constants.values(name)),
        },
    };
    let sizes = node.input(3).and_then(|name| cx.constants.values(name)).filter(|sizes| !sizes.is_empty());
    let axes: Vec<usize> = match node.ints("axes") {
        Some(axes) => axes.iter().map(|&axis| cx.axis(x, axis)).collect::<Result<_, _>>()?,
        None => (0..4).collect(),
    };
    // Of the batch and the channels all is kept.
    let of = |list: &[f64], kept: &dyn Fn(usize) -> f64| -> Option<[f64; 4]> {
        let mut all = [0, 1, 2, 3].map(kept);
        if list.len() != axes.len() {
            return None;
        }
        axes.iter().zip(list).for_each(|(&axis, &value)| all[axis] = value);
        (all[0] == kept(0) && all[1] == kept(1)).then_some(all)
    };
    if let Some(scales) = scales.filter(|scales| !scales.is_empty()) {
        let [.., rows, columns] = of(&scales, &|_| 1.0).ok_or(none)?;
        // In float32, as ONNX Runtime computes it: 10 times 1.3 are 13.
        let size = |factor: f64, axis: usize| (x.size(axis) as f32 * factor as f32).floor().clamp(0.0, 1e9) as usize;
        return Ok(([rows, columns], [size(rows, 2), size(columns, 3)]));
    }
    let [.., rows, columns] = of(&sizes.ok_or(none)?, &|axis| x.size(axis) as f64).ok_or(none)?;
    let factors = [rows / x.size(2) as f64, columns / x.size(3) as f64];
    let one = match node.text("keep_aspect_ratio_policy").unwrap_or("stretch") {
        "stretch" => return Ok((factors, [rows, columns].map(|size| size.clamp(0.0, 1e9) as usize))),
        "not_larger" => factors[0].min(factors[1]),
        _ => factors[0].max(factors[1]),
    };
    let size = |axis: usize| (x.size(axis) as f64 * one).round().clamp(0.0, 1e9) as usize;
    Ok(([one, one], [size(2), size(3)]))
}

/// `DepthToSpace` and `SpaceToDepth`.
pub(in crate::import::convert) fn blocks(cx: &mut Context, node: &Node, layer: &str) -> Converted {
    needs(layer, Some("order"))?;
    let x = cx.image(node, 0)?;
    let block = usize::try_from(node.int("blocksize", 1))
        .ok()
        .filter(|block| (1..1 << 15).contains(block))
        .ok_or("its block size is invalid")?;
    let [batch, channels, height, width] = x.shape[..] else { return Err("its input is not an image".into()) };
    let fits = match layer {
        "DepthToSpace" => channels % (block * block) == 0,
        _ => height % block == 0 && width % block == 0,
    };
    if !fits {
        return Err(format!("its block of {block} does not divide {:?}", x.shape));
    }
    let shape = match layer {
        "DepthToSpace" => vec![batch, channels / (block * block), height * block, width * block],
        _ => vec![batch, channels * block * block, height / block, width / block],
    };
    let order = if node.text("mode") == Some("CRD") { "crd" } else { "dcr" };
    let call = Call::layer(layer).with("block", Val::Int(block as i64)).with("order", Val::Word(order.into()));
    let item = cx.layers.add(call, &[x.item]);
    cx.give(node, Known { item, shape, ..x })
}
