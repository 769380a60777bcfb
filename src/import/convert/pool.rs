//! Pools, and means over an image.

use super::window::Window;
use super::{Context, Converted, Known};
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
    let x = cx.input(node, 0)?;
    let line = x.shape.len() == 3;
    let x = if line { cx.as_sequence(x)? } else { cx.as_image(x)? };
    let mut window = Window::of(node, &x, None)?;
    if window.dilation != [1, 1] {
        return Err(format!("its dilation is {:?}", window.dilation));
    }
    let shape = window.shape(&x, x.shape[1])?;
    let pixels = if line { [1, x.size(2)] } else { [x.size(2), x.size(3)] };
    if layer == "AvgPool" && window.size == pixels && !window.is_padded() {
        return over_all(cx, node, x, "avg", shape, vec![1]);
    }
    if window.size == [1, 1] && window.stride == [1, 1] && !window.is_padded() {
        return cx.give(node, x);
    }
    let [rows, columns] = window.output(&x)?;
    let mut from = x.clone();
    if layer == "AvgPool" && window.is_padded() && node.int("count_include_pad", 0) != 0 {
        if window.ceil {
            return Err("it counts its padding and rounds sizes up".into());
        }
        from = zeros_around(cx, from, &mut window);
    }
    if window.pads.iter().zip(window.size).any(|(pads, size)| pads.iter().any(|&pad| pad > 0 && pad >= size)) {
        return Err("its padding is as large as its window".into());
    }
    // Where no window goes over the end, rounding up changes nothing.
    let plain = Window { ceil: false, ..window }.output(&from)?;
    let mut call = Call::layer(layer).with("size", window.size());
    if window.stride != window.size {
        call = call.with("stride", window.argument(window.stride));
    }
    let padding = window.padding(&from);
    if line && matches!(padding, Val::List(_)) {
        return Err("its padding along a sequence differs on two sides".into());
    }
    if plain != [rows, columns] {
        if padding == Val::Word("same".into()) {
            return Err("it rounds sizes up and pads two sides differently".into());
        }
        call = call.with("ceil", Val::Bool(true));
    }
    let item = cx.layers.add(call.with("padding", padding), &[from.item]);
    cx.give(node, Known { item, shape, ..x })
}

/// Zeros around an image or a sequence, as wide as a window's padding, which has none then.
fn zeros_around(cx: &mut Context, x: Known, window: &mut Window) -> Known {
    let [[top, bottom], [left, right]] = std::mem::take(&mut window.pads);
    let mut shape = x.shape.clone();
    let (item, columns) = if window.line {
        let row = cx.reshaped(x.item, &[1, x.size(2), x.size(1)]);
        let row = cx.layers.add(zero_pad([top, bottom, left, right]), &[row]);
        (cx.reshaped(row, &[x.size(2) + left + right, x.size(1)]), 2)
    } else {
        shape[2] += top + bottom;
        (cx.layers.add(zero_pad([top, bottom, left, right]), &[x.item]), 3)
    };
    shape[columns] += left + right;
    Known { item, shape, ..x }
}

/// A sequence with the zeros that a window needs where its own padding cannot give them: different ones on two sides.
pub(super) fn padded_line(cx: &mut Context, x: Known, window: &mut Window) -> Known {
    let differs = window.line && matches!(window.padding(&x), Val::List(_));
    if differs { zeros_around(cx, x, window) } else { x }
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
    cx.has_batch()?;
    let x = cx.input(node, 0)?;
    let [batch, channels, ..] = x.shape[..] else { return Err("its input is no image".into()) };
    let shape = std::iter::once(batch).chain([channels]).chain(vec![1; x.shape.len() - 2]).collect();
    over_all(cx, node, x, function, shape, vec![1])
}

/// Gives one value for each channel.
fn over_all(cx: &mut Context, node: &Node, x: Known, function: &str, shape: Vec<usize>, axes: Vec<usize>) -> Converted {
    let pixels: Vec<usize> = (2..x.shape.len()).collect();
    let known = super::reduce::over(cx, x, function, &pixels)?;
    let known = cx.ordered(known, &[1]);
    cx.give(node, Known { shape, axes, ..known })
}
