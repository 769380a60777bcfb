//! Layers that move values. Those that only count axes anew cost nothing.

use super::context::{Context, Exported, Value, channels_first, in_order};
use super::dense::is_read_by_rows;
use crate::graph::{Node, NodeId};
use crate::kernels::movement::border::Border;
use crate::kernels::movement::resample::Interpolation;
use crate::onnx::model::Value as Attribute;
use crate::ops::shape::pad::{Crop, Pad, Sides};
use crate::ops::shape::rearrange::{BlockOrder, Kind, Rearrange};
use crate::ops::shape::resize::{Resize, Target, Upscale};
use crate::ops::shape::{Slice, Transpose};

/// `Reshape` and `Flatten`.
pub(super) fn reshape(cx: &mut Context<'_>, node: &Node, id: NodeId) -> Exported {
    let x = cx.input(node, 0)?;
    let sizes = node.output.known().ok_or("its sizes are open")?;
    if let [_] = sizes[..] {
        return flatten(cx, &x, sizes, is_read_by_rows(cx, id));
    }
    if let Some(order) = kept_order(&x, &sizes) {
        let ordered: Vec<usize> = order.iter().map(|&axis| sizes[axis]).collect();
        let name = cx.reshape(&x.name, &ordered);
        return Ok(Value::new(name, sizes, order));
    }
    let x = cx.in_order_of(&x, &in_order(x.sizes.len()));
    let name = cx.reshape(&x.name, &sizes);
    let order = in_order(sizes.len());
    Ok(Value::new(name, sizes, order))
}

/// The order of the output's axes where only axes of size 1 come or go, so that no value moves: channels first, if possible.
fn kept_order(x: &Value, sizes: &[usize]) -> Option<Vec<usize>> {
    let large = |sizes: &[usize]| -> Vec<usize> { (0..sizes.len()).filter(|&axis| sizes[axis] != 1).collect() };
    let (old, new) = (large(&x.sizes), large(sizes));
    let same = old.len() == new.len() && old.iter().zip(&new).all(|(&a, &b)| x.sizes[a] == sizes[b]);
    // The places of the large axes among each other, in the order of the model.
    let places = |order: &[usize], large: &[usize]| -> Vec<usize> {
        order.iter().filter_map(|axis| large.iter().position(|known| known == axis)).collect()
    };
    let mut orders = [channels_first(sizes.len()), in_order(sizes.len())].into_iter();
    orders.find(|order| same && places(order, &new) == places(&x.order, &old))
}

/// All values as features: of an image in the order of the model, if only weights read them, whose rows get the same.
fn flatten(cx: &mut Context<'_>, x: &Value, sizes: Vec<usize>, by_rows: bool) -> Exported {
    if x.sizes.len() == 1 {
        return Ok(x.clone());
    }
    let is_kept = kept_order(x, &sizes).is_some();
    let from = if by_rows || is_kept { x.clone() } else { cx.in_order_of(x, &in_order(x.sizes.len())) };
    let name = cx.emit("Flatten", &[&from.name], Vec::new());
    let flattened = (!from.is_in_order() && !is_kept).then_some((from.sizes, from.order));
    Ok(Value { flattened, ..Value::new(name, sizes, vec![0]) })
}

/// Another order of netc's axes is another order in which the model has them.
pub(super) fn transpose(cx: &mut Context<'_>, node: &Node, layer: &Transpose) -> Exported {
    let x = cx.input(node, 0)?;
    // Axis i of the output is axis `from[i]` of the input.
    let from: Vec<usize> = layer.order.iter().skip(1).map(|axis| axis - 1).collect();
    let sizes = from.iter().map(|&axis| x.sizes[axis]).collect();
    let order = x.order.iter().filter_map(|axis| from.iter().position(|known| known == axis)).collect();
    Ok(Value::new(x.name, sizes, order))
}

/// A range of channels.
pub(super) fn slice(cx: &mut Context<'_>, node: &Node, layer: &Slice) -> Exported {
    let x = cx.input(node, 0)?;
    let name = cx.slice(&x.name, x.channel_axis(), layer.from, layer.to);
    let mut sizes = x.sizes.clone();
    if let Some(last) = sizes.last_mut() {
        *last = layer.to - layer.from;
    }
    Ok(Value { name, sizes, ..x })
}

pub(super) fn pad(cx: &mut Context<'_>, node: &Node, layer: &Pad) -> Exported {
    let x = cx.input(node, 0)?;
    let Sides { top, bottom, left, right } = layer.sides;
    let (mut before, mut after) = (vec![0; x.sizes.len() + 1], vec![0; x.sizes.len() + 1]);
    for (place, sides) in [[top, bottom], [left, right]].into_iter().enumerate() {
        let axis = x.axis(place) as usize;
        (before[axis], after[axis]) = (sides[0] as i64, sides[1] as i64);
    }
    let pads = cx.list(&[before, after].concat());
    let mode = match layer.border {
        Border::Zero => "constant",
        Border::Reflect => "reflect",
        Border::Edge => "edge",
    };
    let name = cx.emit("Pad", &[&x.name, &pads], vec![("mode", Attribute::Text(mode.into()))]);
    let sizes = vec![x.sizes[0] + top + bottom, x.sizes[1] + left + right, x.sizes[2]];
    Ok(Value { name, sizes, ..x })
}

pub(super) fn crop(cx: &mut Context<'_>, node: &Node, layer: &Crop) -> Exported {
    let x = cx.input(node, 0)?;
    let Sides { top, bottom, left, right } = layer.sides;
    let sizes = node.output.known().ok_or("its sizes are open")?;
    let (starts, axes) = (cx.list(&[top as i64, left as i64]), cx.list(&[x.axis(0), x.axis(1)]));
    let ends = cx.list(&[(x.sizes[0] - bottom) as i64, (x.sizes[1] - right) as i64]);
    let name = cx.emit("Slice", &[&x.name, &starts, &ends, &axes], Vec::new());
    Ok(Value { name, sizes, ..x })
}

/// `DepthToSpace`, `SpaceToDepth` where ONNX has the order, else axes that are split, moved and joined.
pub(super) fn rearrange(cx: &mut Context<'_>, node: &Node, layer: &Rearrange) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    let [height, width, channels] = x.sizes[..] else { return Err("its input is not an image".into()) };
    let sizes = node.output.known().ok_or("its sizes are open")?;
    let k = layer.count;
    let block = ("blocksize", Attribute::Int(k as i64));
    let (split, order): (Vec<usize>, &[i64]) = match layer.kind {
        Kind::DepthToSpace(order) => {
            let mode = if order == BlockOrder::Dcr { "DCR" } else { "CRD" };
            let name = cx.emit("DepthToSpace", &[&x.name], vec![block, ("mode", Attribute::Text(mode.into()))]);
            return Ok(Value { name, sizes, ..x });
        }
        Kind::SpaceToDepth(BlockOrder::Dcr) => {
            let name = cx.emit("SpaceToDepth", &[&x.name], vec![block]);
            return Ok(Value { name, sizes, ..x });
        }
        Kind::SpaceToDepth(BlockOrder::Crd) => (vec![channels, height / k, k, width / k, k], &[0, 1, 3, 5, 2, 4]),
        Kind::Shuffle => (vec![k, channels / k, height, width], &[0, 2, 1, 3, 4]),
    };
    let parts = cx.reshape(&x.name, &split);
    let moved = cx.emit("Transpose", &[&parts], vec![("perm", Attribute::Ints(order.to_vec()))]);
    let name = cx.reshape(&moved, &[sizes[2], sizes[0], sizes[1]]);
    Ok(Value { name, sizes, ..x })
}

/// Pixels repeated.
pub(super) fn upscale(cx: &mut Context<'_>, node: &Node, layer: &Upscale) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    let sizes = node.output.known().ok_or("its sizes are open")?;
    let scales = cx.constant(&[4], vec![1.0, 1.0, layer.scale[0] as f32, layer.scale[1] as f32]);
    let name = cx.emit("Resize", &[&x.name, "", &scales], nearest());
    Ok(Value { name, sizes, ..x })
}

fn nearest() -> super::context::Attributes {
    let text = |text: &str| Attribute::Text(text.into());
    vec![
        ("mode", text("nearest")),
        ("coordinate_transformation_mode", text("asymmetric")),
        ("nearest_mode", text("floor")),
    ]
}

/// Interpolation, as PyTorch's.
pub(super) fn resize(cx: &mut Context<'_>, node: &Node, layer: &Resize) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    let sizes = node.output.known().ok_or("its sizes are open")?;
    let text = |text: &str| Attribute::Text(text.into());
    let transformation = if layer.align_corners { "align_corners" } else { "half_pixel" };
    let mut attributes = match layer.interpolation {
        Interpolation::Nearest => nearest(),
        Interpolation::Bilinear => {
            vec![("mode", text("linear")), ("coordinate_transformation_mode", text(transformation))]
        }
        Interpolation::Bicubic => vec![
            ("mode", text("cubic")),
            ("coordinate_transformation_mode", text(transformation)),
            ("cubic_coeff_a", Attribute::Float(-0.75)),
        ],
    };
    attributes.push(("axes", Attribute::Ints(vec![2, 3])));
    let name = match layer.target {
        // A scale and the size that it gives are two things where it is a fraction.
        Target::Scale(scale) => {
            let scales = cx.constant(&[2], scale.iter().map(|&scale| scale as f32).collect());
            cx.emit("Resize", &[&x.name, "", &scales], attributes)
        }
        Target::Size(size) => {
            let size = cx.list(&size.map(|side| side as i64));
            cx.emit("Resize", &[&x.name, "", "", &size], attributes)
        }
    };
    Ok(Value { name, sizes, ..x })
}
