//! Borders around images and along other axes.

use crate::import::convert::axes::shape::part;
use crate::import::convert::context::{Context, Converted, needs, number};
use crate::import::convert::known::Known;
use crate::import::tree::{Call, Val, pair};
use crate::onnx::Node;
use crate::size::product;

/// `Pad` along any axes but the batch.
pub(in crate::import::convert) fn pad(cx: &mut Context, node: &Node) -> Converted {
    let mut x = cx.input(node, 0)?;
    let pads = cx.integers(node, 1, "pads").or_else(|| node.ints("paddings").map(<[i64]>::to_vec));
    let pads = pads.ok_or("its pads are not constants")?;
    let value = match node.input(2) {
        Some(name) => cx.constants.scalar(name).ok_or("its value is not a constant")?,
        None => f64::from(node.float("value", 0.0)),
    };
    let axes = match node.input(3) {
        Some(_) => cx.integers(node, 3, "axes").ok_or("its axes are not constants")?,
        None => (0..(x.shape.len() - cx.front) as i64).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("by {pads:?}"));
    }
    let mut sides: Vec<(usize, [usize; 2])> = Vec::new();
    for (at, &axis) in axes.iter().enumerate() {
        let by = [pads[at], pads[at + axes.len()]];
        if by == [0, 0] {
            continue;
        }
        let axis = cx.axis(&x, axis)?;
        // What is negative is cut off.
        let size = x.size(axis);
        let less = |side: i64| usize::try_from(side.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        let (from, to) = (less(by[0]), size.saturating_sub(less(by[1])));
        x = part(cx, x, axis, from, to)?;
        let side = |side: i64| usize::try_from(side.max(0)).ok().filter(|&side| side < 1 << 30);
        let by = side(by[0]).zip(side(by[1])).ok_or_else(|| format!("by {pads:?}"))?;
        if by != (0, 0) {
            sides.push((axis, [by.0, by.1]));
        }
    }
    let mode = Border::of(node.text("mode").unwrap_or("constant"), value)?;
    // An image is padded where it is.
    let of_image = sides.iter().all(|(axis, _)| *axis > 1);
    if x.shape.len() == 4 && cx.front == 0 && of_image {
        x = cx.as_image(x)?;
        let by = |wanted: usize| sides.iter().find(|(axis, _)| *axis == wanted).map_or([0, 0], |(_, by)| *by);
        let ([top, bottom], [left, right]) = (by(2), by(3));
        if sides.is_empty() {
            return cx.give(node, x);
        }
        x.item = mode.around(cx, x.item, [top, bottom, left, right]);
        x.shape[2] += top + bottom;
        x.shape[3] += left + right;
        return cx.give(node, x);
    }
    for pair in sides.chunks(2) {
        x = bordered(cx, x, pair, mode)?;
    }
    cx.give(node, x)
}

/// What a border is made of.
#[derive(Clone, Copy)]
pub(in crate::import::convert) enum Border {
    Value(f64),
    Mode(&'static str),
}

impl Border {
    fn of(mode: &str, value: f64) -> Result<Border, String> {
        match mode {
            "constant" if value.is_finite() => Ok(Border::Value(value)),
            "constant" => Err(format!("with the value {value}")),
            "reflect" | "edge" => {
                needs("Pad", Some("mode"))?;
                Ok(Border::Mode(if mode == "edge" { "edge" } else { "reflect" }))
            }
            mode => Err(format!("with mode={mode}")),
        }
    }

    /// Adds a border at top, bottom, left and right of an image.
    pub(in crate::import::convert) fn around(self, cx: &mut Context, item: usize, sides: [usize; 4]) -> usize {
        match self {
            Border::Value(0.0) => cx.layers.add(zero_pad(sides), &[item]),
            Border::Value(value) => {
                // The image with zeros around, and the value where there is no image.
                let within = cx.layers.add(zero_pad(sides), &[item]);
                let affine = |scale: f64, shift: f64| {
                    Call::layer("Affine").with("scale", number(scale as f32)).with("shift", number(shift as f32))
                };
                let ones = cx.layers.add(affine(0.0, 1.0), &[item]);
                let ones = cx.layers.add(zero_pad(sides), &[ones]);
                let around = cx.layers.add(affine(-value, value), &[ones]);
                cx.layers.add(Call::layer("Add"), &[within, around])
            }
            Border::Mode(mode) => {
                let size = zero_pad(sides).argument("size").cloned().unwrap_or(Val::Int(0));
                let call = Call::layer("Pad").with("size", size).with("mode", Val::Word(mode.into()));
                cx.layers.add(call, &[item])
            }
        }
    }
}

/// A border along one axis or two, which become the height and width of an image whose channels are all others.
fn bordered(cx: &mut Context, x: Known, sides: &[(usize, [usize; 2])], border: Border) -> Result<Known, String> {
    let x = cx.unflattened(x);
    let padded: Vec<usize> = sides.iter().map(|(axis, _)| *axis).collect();
    let others: Vec<usize> = x.axes.iter().copied().filter(|axis| !padded.contains(axis)).collect();
    let x = cx.ordered(x, &[&padded[..], &others[..]].concat());
    let channels = product(others.iter().map(|&axis| x.size(axis)));
    let (rows, columns) = (x.size(padded[0]), padded.get(1).map_or(1, |&axis| x.size(axis)));
    let [top, bottom] = sides[0].1;
    let [left, right] = sides.get(1).map_or([0, 0], |(_, by)| *by);
    let image = cx.reshaped(x.item, &[rows, columns, channels]);
    let item = border.around(cx, image, [top, bottom, left, right]);
    let mut shape = x.shape.clone();
    sides.iter().for_each(|(axis, [before, after])| shape[*axis] += before + after);
    let known = Known { shape, ..x };
    let item = cx.reshaped(item, &known.sizes());
    Ok(Known { item, ..known })
}

/// `ZeroPad`: top, bottom, left and right.
pub(in crate::import::convert) fn zero_pad([top, bottom, left, right]: [usize; 4]) -> Call {
    let size = match top == bottom && left == right {
        true => pair([top, left]),
        false => Val::List([top, bottom, left, right].map(|side| side as i64).to_vec()),
    };
    Call::layer("ZeroPad").with("size", size)
}
