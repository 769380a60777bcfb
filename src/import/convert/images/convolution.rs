//! Convolutions.

use crate::import::convert::context::{Context, Converted, needs};
use crate::import::convert::dense;
use crate::import::convert::images::pool;
use crate::import::convert::images::window::Window;
use crate::import::convert::known::Known;
use crate::import::tree::{Call, Val, pair};
use crate::onnx::Node;

/// `Conv`: a convolution, a depthwise one, or a dense layer where it sees one pixel.
pub(in crate::import::convert) fn convolution(cx: &mut Context, node: &Node) -> Converted {
    let layer = cx.parameters()?;
    let weight = layer.parameter("weight").ok_or("it has no weight")?;
    let [filters, depth, height, width] = match weight.shape[..] {
        [filters, depth, height, width] => [filters, depth, height, width],
        [filters, depth, width] => [filters, depth, 1, width],
        _ => return Err(axes(weight.shape.len())),
    };
    let groups =
        usize::try_from(node.int("group", 1)).ok().filter(|&groups| groups > 0).ok_or("its groups are invalid")?;
    let x = cx.input(node, 0)?;
    if x.axes == [1] && x.shape.len() == 4 && [height, width, groups] == [1; 3] && depth == x.size(1) {
        let known = dense::add(cx, layer, x, filters)?;
        return cx.give(node, known);
    }
    let line = weight.shape.len() == 3;
    let mut x = if line { cx.as_sequence(x)? } else { cx.as_image(x)? };
    let mut window = Window::of(node, &x, Some([height, width]))?;
    if depth.checked_mul(groups) != Some(x.size(1)) || filters % groups != 0 {
        return Err(format!("its weight {:?} does not fit its input {:?}", weight.shape, x.shape));
    }
    let shape = window.shape(&x, filters)?;
    x = pool::padded_line(cx, x, &mut window);
    let depthwise = groups > 1 && depth == 1 && !line;
    let mut call = Call::layer(if depthwise { "DepthwiseConv" } else { "Conv" })
        .with("size", window.size())
        .with("stride", window.argument(window.stride))
        .with("padding", window.padding(&x))
        .with("dilation", window.argument(window.dilation));
    call = match depthwise {
        true => call.with("multiplier", Val::Int((filters / groups) as i64)),
        false => call.with("filters", Val::Int(filters as i64)).with("groups", Val::Int(groups as i64)),
    };
    call = call.with("bias", Val::Bool(layer.parameter("bias").is_some())).named(Some(&layer.name));
    let item = cx.layers.add(call, &[x.item]);
    cx.give(node, Known { item, shape, ..x })
}

/// Why a convolution with a weight of so many axes cannot be expressed.
pub(in crate::import::convert) fn axes(rank: usize) -> String {
    format!("along {} axes: layers convolve sequences (one axis) and images (two)", rank.saturating_sub(2))
}

/// `ConvTranspose`; that of a sequence is one of an image of one row.
pub(in crate::import::convert) fn transposed(cx: &mut Context, node: &Node) -> Converted {
    needs("ConvTranspose", None)?;
    let layer = cx.parameters()?;
    let weight = layer.parameter("weight").ok_or("it has no weight")?;
    let &[channels, depth, height, width] = &weight.shape[..] else {
        return Err(axes(weight.shape.len()));
    };
    let x = cx.input(node, 0)?;
    let line = x.shape.len() == 3;
    let x = if line { cx.as_sequence(x)? } else { cx.as_image(x)? };
    let mut window = Window::of(node, &x, Some([height, width]))?;
    let side = |side: &i64| (0..1 << 30).contains(side);
    let mut extra = match node.ints("output_padding") {
        None => [0, 0],
        Some(&[columns]) if line && side(&columns) => [0, columns as usize],
        Some(&[rows, columns]) if !line && [rows, columns].iter().all(side) => [rows as usize, columns as usize],
        Some(list) => return Err(format!("its output_padding is {list:?}")),
    };
    if channels != x.size(1) {
        return Err(format!("its weight {:?} does not fit its input {:?}", weight.shape, x.shape));
    }
    let groups = usize::try_from(node.int("group", 1)).map_err(|_| "its groups are invalid")?;
    let sizes = if line { [1, x.size(2)] } else { [x.size(2), x.size(3)] };
    // Of a line the axis of its one row is left as it is.
    let wanted = |axis: usize| match (node.ints("output_shape"), node.text("auto_pad")) {
        _ if line && axis == 0 => None,
        (Some(list), _) => (list.len() + axis).checked_sub(2).and_then(|at| usize::try_from(list[at]).ok()),
        (None, Some("SAME_UPPER" | "SAME_LOWER")) => Some(sizes[axis].saturating_mul(window.stride[axis])),
        _ => None,
    };
    let wanted = [wanted(0), wanted(1)];
    let mut given = [0; 2];
    for axis in 0..2 {
        let size = (sizes[axis] - 1) * window.stride[axis] + (window.size[axis] - 1) * window.dilation[axis] + 1;
        if let Some(wanted) = wanted[axis] {
            let all = size + extra[axis];
            let total = all.saturating_sub(wanted);
            extra[axis] += wanted.saturating_sub(all);
            // Of an odd number one side has more.
            let upper = node.text("auto_pad") == Some("SAME_UPPER");
            let before = if upper { total / 2 } else { total - total / 2 };
            window.pads[axis] = [before, total - before];
        }
        let [before, after] = window.pads[axis];
        let out = (size + extra[axis]).checked_sub(before + after).filter(|&out| out > 0);
        given[axis] = out.ok_or("its padding is larger than its output")?;
    }
    let filters = depth.checked_mul(groups).ok_or("its groups are invalid")?;
    let [[top, bottom], [left, right]] = window.pads;
    let sides = match top == bottom && left == right {
        true => pair([top, left]),
        false => Val::List([top, bottom, left, right].map(|side| side as i64).to_vec()),
    };
    let call = Call::layer("ConvTranspose")
        .with("size", Val::Sizes(vec![height, width]))
        .with("filters", Val::Int(filters as i64))
        .with("stride", pair(window.stride))
        .with("padding", sides)
        .with("dilation", pair(window.dilation))
        .with("output_padding", pair(extra))
        .with("groups", Val::Int(groups as i64))
        .with("bias", Val::Bool(layer.parameter("bias").is_some()))
        .named(Some(&layer.name));
    let [rows, columns] = given;
    if line {
        let row = cx.reshaped(x.item, &[1, sizes[1], channels]);
        let item = cx.layers.add(call, &[row]);
        let item = cx.reshaped(item, &[columns, filters]);
        return cx.give(node, Known { item, shape: vec![x.shape[0], filters, columns], ..x });
    }
    let item = cx.layers.add(call, &[x.item]);
    cx.give(node, Known { item, shape: vec![x.shape[0], filters, rows, columns], ..x })
}
