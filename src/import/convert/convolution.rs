//! Convolutions.

use super::window::Window;
use super::{Context, Converted, Known, dense, needs};
use crate::import::tree::{Call, Val, pair};
use crate::onnx::Node;

/// `Conv`: a convolution, a depthwise one, or a dense layer where it sees one pixel.
pub(super) fn convolution(cx: &mut Context, node: &Node) -> Converted {
    let layer = cx.parameters()?;
    let weight = layer.parameter("weight").ok_or("it has no weight")?;
    let &[filters, depth, height, width] = &weight.shape[..] else {
        return Err(axes(weight.shape.len()));
    };
    let groups =
        usize::try_from(node.int("group", 1)).ok().filter(|&groups| groups > 0).ok_or("its groups are wrong")?;
    let x = cx.input(node, 0)?;
    if x.axes == [1] && x.shape.len() == 4 && [height, width, groups] == [1; 3] && depth == x.size(1) {
        let known = dense::add(cx, layer, x, filters)?;
        return cx.give(node, known);
    }
    let x = cx.as_image(x)?;
    let window = Window::of(node, &x, Some([height, width]))?;
    if depth.checked_mul(groups) != Some(x.size(1)) || filters % groups != 0 {
        return Err(format!("its weight {:?} does not fit its input {:?}", weight.shape, x.shape));
    }
    let depthwise = groups > 1 && depth == 1;
    let mut call = Call::layer(if depthwise { "DepthwiseConv" } else { "Conv" })
        .with("size", Val::Sizes(vec![height, width]))
        .with("stride", pair(window.stride))
        .with("padding", window.padding(&x))
        .with("dilation", pair(window.dilation));
    call = match depthwise {
        true => call.with("multiplier", Val::Int((filters / groups) as i64)),
        false => call.with("filters", Val::Int(filters as i64)).with("groups", Val::Int(groups as i64)),
    };
    call = call.with("bias", Val::Bool(layer.parameter("bias").is_some())).named(Some(&layer.name));
    let [rows, columns] = window.output(&x)?;
    let item = cx.layers.add(call, &[x.item]);
    cx.give(node, Known { item, shape: vec![x.shape[0], filters, rows, columns], ..x })
}

/// Why a convolution with a weight of so many axes cannot be expressed.
pub(super) fn axes(rank: usize) -> String {
    format!("along {} axes: only two are taken", rank.saturating_sub(2))
}

/// `ConvTranspose`
pub(super) fn transposed(cx: &mut Context, node: &Node) -> Converted {
    needs("ConvTranspose", None)?;
    let layer = cx.parameters()?;
    let weight = layer.parameter("weight").ok_or("it has no weight")?;
    let &[channels, depth, height, width] = &weight.shape[..] else {
        return Err(axes(weight.shape.len()));
    };
    if node.ints("output_shape").is_some() || !matches!(node.text("auto_pad"), None | Some("NOTSET" | "VALID")) {
        return Err("its padding is said by the size of its output".into());
    }
    let x = cx.image(node, 0)?;
    let window = Window::of(node, &x, Some([height, width]))?;
    let extra = match node.ints("output_padding") {
        None => [0, 0],
        Some(&[rows, columns]) if [rows, columns].iter().all(|side| (0..1 << 30).contains(side)) => {
            [rows as usize, columns as usize]
        }
        Some(list) => return Err(format!("its output_padding is {list:?}")),
    };
    let [[top, bottom], [left, right]] = window.pads;
    if top != bottom || left != right || channels != x.size(1) {
        return Err("its padding differs on two sides".into());
    }
    let groups = usize::try_from(node.int("group", 1)).map_err(|_| "its groups are wrong")?;
    let mut shape = vec![x.shape[0], depth * groups];
    for (axis, extra) in extra.into_iter().enumerate() {
        let [before, after] = window.pads[axis];
        let size = (x.size(axis + 2) - 1) * window.stride[axis] + (window.size[axis] - 1) * window.dilation[axis] + 1;
        let out = (size + extra).checked_sub(before + after).filter(|&out| out > 0);
        shape.push(out.ok_or("its padding is larger than its output")?);
    }
    let call = Call::layer("ConvTranspose")
        .with("size", Val::Sizes(vec![height, width]))
        .with("filters", Val::Int(shape[1] as i64))
        .with("stride", pair(window.stride))
        .with("padding", if window.is_padded() { pair([top, left]) } else { Val::Int(0) })
        .with("dilation", pair(window.dilation))
        .with("output_padding", pair(extra))
        .with("groups", Val::Int(groups as i64))
        .with("bias", Val::Bool(layer.parameter("bias").is_some()))
        .named(Some(&layer.name));
    let item = cx.layers.add(call, &[x.item]);
    cx.give(node, Known { item, shape, ..x })
}
