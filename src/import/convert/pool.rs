//! Pools, and means over an image.

use super::window::Window;
use super::{Context, Converted, Known, needs};
use crate::import::tree::{Call, Val, pair};
use crate::onnx::Node;

/// `MaxPool`
pub(super) fn max(cx: &mut Context, node: &Node) -> Converted {
    if node.outputs.len() > 1 && !node.outputs[1].is_empty() {
        return Err("it gives the places of its maxima too".into());
    }
    pool(cx, node, "MaxPool")
}

/// `AveragePool`: one that counts its padding pads with zeros first.
pub(super) fn average(cx: &mut Context, node: &Node) -> Converted {
    pool(cx, node, "AvgPool")
}

fn pool(cx: &mut Context, node: &Node, layer: &str) -> Converted {
    let x = cx.image(node, 0)?;
    let mut window = Window::of(node, &x, None)?;
    if window.dilation != [1, 1] {
        return Err(format!("its dilation is {:?}", window.dilation));
    }
    let [rows, columns] = window.output(&x)?;
    let shape = vec![x.shape[0], x.shape[1], rows, columns];
    if layer == "AvgPool" && window.size == [x.size(2), x.size(3)] && !window.is_padded() {
        return over_all(cx, node, x, "avg", shape, vec![1]);
    }
    if window.size == [1, 1] && window.stride == [1, 1] && !window.is_padded() {
        return cx.give(node, x);
    }
    let mut from = x.clone();
    if layer == "AvgPool" && window.is_padded() && node.int("count_include_pad", 0) != 0 {
        if window.ceil {
            return Err("it counts its padding and rounds sizes up".into());
        }
        let [[top, bottom], [left, right]] = window.pads;
        from.item = cx.layers.add(zero_pad([top, bottom, left, right]), &[x.item]);
        from.shape[2] += top + bottom;
        from.shape[3] += left + right;
        window.pads = [[0; 2]; 2];
    }
    if window.pads.iter().zip(window.size).any(|(pads, size)| pads.iter().any(|&pad| pad >= size)) {
        return Err("its padding is as large as its window".into());
    }
    // Where no window goes over the end, rounding up changes nothing.
    let plain = Window { ceil: false, ..window }.output(&from)?;
    let mut call = Call::layer(layer).with("size", Val::Sizes(window.size.to_vec()));
    if window.stride != window.size {
        call = call.with("stride", pair(window.stride));
    }
    let padding = window.padding(&from);
    if plain != [rows, columns] {
        if padding == Val::Word("same".into()) {
            return Err("it rounds sizes up and pads two sides differently".into());
        }
        call = call.with("ceil", Val::Bool(true));
    }
    let item = cx.layers.add(call.with("padding", padding), &[from.item]);
    cx.give(node, Known { item, shape, ..x })
}

/// `ZeroPad`: top, bottom, left and right.
pub(super) fn zero_pad([top, bottom, left, right]: [usize; 4]) -> Call {
    let size = match top == bottom && left == right {
        true => pair([top, left]),
        false => Val::List([top, bottom, left, right].map(|side| side as i64).to_vec()),
    };
    Call::layer("ZeroPad").with("size", size)
}

/// `GlobalAveragePool`, `GlobalMaxPool`
pub(super) fn global(cx: &mut Context, node: &Node, function: &str) -> Converted {
    let x = cx.input(node, 0)?;
    let [batch, channels, ..] = x.shape[..] else { return Err("its input is no image".into()) };
    let shape = std::iter::once(batch).chain([channels]).chain(vec![1; x.shape.len() - 2]).collect();
    over_all(cx, node, x, function, shape, vec![1])
}

/// `ReduceMean` and the like over height and width.
pub(super) fn reduce(cx: &mut Context, node: &Node, function: &str) -> Converted {
    let x = cx.input(node, 0)?;
    let axes = cx.integers(node, 1, "axes").ok_or("over all axes")?;
    let axes = axes.into_iter().map(|axis| x.axis(axis)).collect::<Result<Vec<usize>, _>>()?;
    let keep = node.int("keepdims", 1) != 0;
    let gone = |axis: usize| axes.contains(&axis);
    let new = |axis: usize| if keep { axis } else { axis - (0..axis).filter(|&axis| gone(axis)).count() };
    let mut shape = Vec::new();
    for (axis, &size) in x.shape.iter().enumerate() {
        match (gone(axis), keep) {
            (false, _) => shape.push(size),
            (true, true) => shape.push(1),
            (true, false) => {}
        }
    }
    let left: Vec<usize> = x.axes.iter().copied().filter(|&axis| !gone(axis)).collect();
    let over_pixels = left.len() == 1 && x.axes.last() == left.first() && x.axes.len() != 2;
    if !over_pixels {
        return along(cx, node, x, function, &axes, keep);
    }
    over_all(cx, node, x, function, shape, vec![new(left[0])])
}

/// Along one axis by its name: height, width and time disappear, channels stay as one.
fn along(cx: &mut Context, node: &Node, x: Known, function: &str, gone: &[usize], keep: bool) -> Converted {
    let names: &[&str] = match x.axes.len() {
        3 => &["height", "width", "channels"],
        2 => &["time", "channels"],
        _ => &[],
    };
    let &[axis] = gone else { return Err(format!("over the axes {gone:?}")) };
    let place = x.axes.iter().position(|&known| known == axis).filter(|&place| place < names.len());
    let place = place.ok_or_else(|| format!("over axis {axis}"))?;
    let layer = match function {
        "avg" => "Mean",
        "max" => "Max",
        _ => "Sum",
    };
    needs(layer, None)?;
    let channels = names[place] == "channels";
    if channels && !keep {
        return Err("over the channels, which it takes away".into());
    }
    let call = Call::layer(layer).with("axis", Val::Word(names[place].into()));
    let item = cx.layers.add(call, &[x.item]);
    let (mut shape, mut axes) = (x.shape.clone(), x.axes.clone());
    shape[axis] = 1;
    if !channels {
        axes.remove(place);
    }
    if !keep {
        shape.remove(axis);
        axes.iter_mut().filter(|known| **known > axis).for_each(|known| *known -= 1);
    }
    cx.give(node, Known { item, shape, axes, permuted: false })
}

/// Gives one value for each channel.
fn over_all(cx: &mut Context, node: &Node, x: Known, function: &str, shape: Vec<usize>, axes: Vec<usize>) -> Converted {
    if x.axes.len() == 1 {
        return cx.give(node, Known { shape, axes, ..x });
    }
    if x.axes.len() != 3 {
        return Err("its input is no image".into());
    }
    let call = Call::layer("GlobalPool").with("function", Val::Word(function.into()));
    let item = cx.layers.add(call, &[x.item]);
    cx.give(node, Known { item, shape, axes, permuted: false })
}
