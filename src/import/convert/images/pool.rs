//! Pools, and means over an image.

use crate::import::convert::context::{Context, Converted};
use crate::import::convert::images::border::{Border, zero_pad};
use crate::import::convert::images::window::Window;
use crate::import::convert::known::Known;
use crate::import::convert::merge;
use crate::import::convert::reduce;
use crate::import::tree::{Call, Val, pair};
use crate::onnx::Node;

/// `MaxPool`
pub(in crate::import::convert) fn max(cx: &mut Context, node: &Node) -> Converted {
    if node.outputs.len() > 1 && !node.outputs[1].is_empty() {
        return Err("it also returns the indices of its maxima".into());
    }
    pool(cx, node, "MaxPool")
}

/// `AveragePool`: one that counts its padding pads with zeros first.
pub(in crate::import::convert) fn average(cx: &mut Context, node: &Node) -> Converted {
    pool(cx, node, "AvgPool")
}

fn pool(cx: &mut Context, node: &Node, layer: &'static str) -> Converted {
    let x = cx.input(node, 0)?;
    let kind = Kind { layer, counts_padding: node.int("count_include_pad", 0) != 0 };
    let known = windowed(cx, node, x, kind)?;
    cx.give(node, known)
}

/// What a pool gives of each window.
#[derive(Clone, Copy)]
struct Kind {
    layer: &'static str,
    /// Whether a mean counts zeros around the image.
    counts_padding: bool,
}

/// `LpPool`: the norm of each window, whose padding is zeros.
pub(in crate::import::convert) fn by_norm(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.input(node, 0)?;
    let (before, after) = norm(node)?;
    let pixels: f64 = node.ints("kernel_shape").unwrap_or_default().iter().map(|&side| side as f64).product();
    let x = Known { item: cx.layers.add(before, &[x.item]), ..x };
    let mean = windowed(cx, node, x, Kind { layer: "AvgPool", counts_padding: true })?;
    let mut known = Known { item: cx.layers.add(merge::factor(pixels), &[mean.item]), ..mean };
    if let Some(after) = after {
        known.item = cx.layers.add(after, &[known.item]);
    }
    cx.give(node, known)
}

/// `GlobalLpPool`
pub(in crate::import::convert) fn global_by_norm(cx: &mut Context, node: &Node) -> Converted {
    let (before, after) = norm(node)?;
    let after: Vec<Call> = after.into_iter().collect();
    cx.has_batch()?;
    let x = cx.input(node, 0)?;
    let pixels: Vec<usize> = (2..x.shape.len()).collect();
    let known = reduce::through(cx, x, &[before], "sum", &after, &pixels)?;
    cx.give(node, known)
}

/// What is summed for a norm, and what is taken of the sum.
fn norm(node: &Node) -> Result<(Call, Option<Call>), String> {
    match node.int("p", 2) {
        1 => Ok((Call::layer("Absolute"), None)),
        2 => Ok((Call::layer("Square"), Some(Call::layer("Sqrt")))),
        p => Err(format!("by the norm of order {p}")),
    }
}

fn windowed(cx: &mut Context, node: &Node, x: Known, kind: Kind) -> Result<Known, String> {
    match x.shape.len() {
        5 => {
            cx.has_batch()?;
            volume(cx, node, x, kind)
        }
        3 => {
            let x = cx.as_sequence(x)?;
            let window = Window::of(node, &x, None)?;
            if window.dilation == [1, 1] {
                return of_windows(cx, x, window, kind);
            }
            // Along an image of one row.
            let (steps, channels) = (x.size(2), x.size(1));
            let item = cx.reshaped(x.item, &[1, steps, channels]);
            let row = Known { item, shape: vec![x.shape[0], channels, 1, steps], axes: vec![2, 3, 1], ..x.clone() };
            let row = of_windows(cx, row, Window { line: false, ..window }, kind)?;
            let item = cx.reshaped(row.item, &[row.size(3), channels]);
            Ok(Known { item, shape: vec![x.shape[0], channels, row.size(3)], ..x })
        }
        _ => {
            let x = cx.as_image(x)?;
            let window = Window::of(node, &x, None)?;
            of_windows(cx, x, window, kind)
        }
    }
}

/// The pool of (channels, depth, height, width): one of all its images, then one along the depth.
fn volume(cx: &mut Context, node: &Node, x: Known, kind: Kind) -> Result<Known, String> {
    let [batch, channels, depth, height, width] = x.shape[..] else { return Err("its input is not a volume".into()) };
    let (images, along) = Window::of_volume(node)?;
    let x = cx.ordered(x, &[3, 4, 2, 1]);
    let item = cx.reshaped(x.item, &[height, width, depth * channels]);
    let flat = Known { item, shape: vec![batch, depth * channels, height, width], axes: vec![2, 3, 1], ..x };
    let flat = of_windows(cx, flat, images, kind)?;
    let (height, width) = (flat.size(2), flat.size(3));
    let item = cx.reshaped(flat.item, &[height, width, depth, channels]);
    let axes = vec![3, 4, 2, 1];
    let x = Known { item, shape: vec![batch, channels, depth, height, width], axes, images: Vec::new() };
    if along.size == [1, 1] && along.stride == [1, 1] {
        return Ok(x);
    }
    let x = cx.ordered(x, &[2, 3, 4, 1]);
    let item = cx.reshaped(x.item, &[depth, 1, height * width * channels]);
    let shape = vec![batch, height * width * channels, depth, 1];
    let rows = of_windows(cx, Known { item, shape, axes: vec![2, 3, 1], images: Vec::new() }, along, kind)?;
    let depth = rows.size(2);
    let item = cx.reshaped(rows.item, &[depth, height, width, channels]);
    let shape = vec![batch, channels, depth, height, width];
    Ok(Known { item, shape, axes: vec![2, 3, 4, 1], images: Vec::new() })
}

/// The pool of an image or a sequence.
fn of_windows(cx: &mut Context, x: Known, mut window: Window, kind: Kind) -> Result<Known, String> {
    let Kind { layer, counts_padding } = kind;
    let line = window.line;
    let shape = window.shape(&x, x.shape[1])?;
    if window.dilation != [1, 1] {
        return dilated(cx, x, window, kind);
    }
    let pixels = if line { [1, x.size(2)] } else { [x.size(2), x.size(3)] };
    if layer == "AvgPool" && window.size == pixels && !window.is_padded() {
        let pixels: Vec<usize> = (2..x.shape.len()).collect();
        let known = reduce::over(cx, x, "avg", &pixels)?;
        return Ok(cx.ordered(known, &[1]));
    }
    if window.size == [1, 1] && window.stride == [1, 1] && !window.is_padded() {
        return Ok(x);
    }
    let [rows, columns] = window.output(&x)?;
    let mut from = x.clone();
    if layer == "AvgPool" && window.is_padded() && counts_padding {
        from = zeros_around(cx, from, &mut window);
        // Zeros are pixels then, so that a last window that begins in them would count.
        if window.output(&from)? != [rows, columns] {
            return Err("its means include the padding, and it rounds sizes up".into());
        }
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
    Ok(Known { item, shape, ..x })
}

/// The most pixels of a window whose pixels are apart: each is a branch.
const MAX_TAPS: usize = 27;

/// A pool whose windows have gaps: the image is cropped for each pixel of a window, and the crops are joined.
fn dilated(cx: &mut Context, x: Known, mut window: Window, kind: Kind) -> Result<Known, String> {
    let [rows, columns] = window.output(&x)?;
    if [0, 1].iter().all(|&axis| window.stride[axis].is_multiple_of(window.dilation[axis])) && !kind.counts_padding {
        return on_grid(cx, x, window, kind, [rows, columns]);
    }
    let dilation = window.dilation;
    let wrong = || format!("its dilation is {dilation:?}");
    let plain = Window { ceil: false, ..window };
    if window.size[0] * window.size[1] > MAX_TAPS {
        return Err(wrong());
    }
    if plain.output(&x)? != [rows, columns] {
        // What the last windows have beyond the image is no maximum.
        if kind.layer != "MaxPool" {
            return Err(format!("{}, and it rounds sizes up", wrong()));
        }
        window.reach(&x, [rows, columns]);
    }
    let join = if kind.layer == "MaxPool" { "Maximum" } else { "Average" };
    let from = match (window.is_padded(), kind) {
        (false, _) => x.clone(),
        (true, Kind { layer: "MaxPool", .. }) => {
            let [[top, bottom], [left, right]] = std::mem::take(&mut window.pads);
            // Less than any value there is.
            let border = Border::Value(f64::from(f32::MIN));
            let item = border.around(cx, x.item, [top, bottom, left, right]);
            let shape = vec![x.shape[0], x.shape[1], x.size(2) + top + bottom, x.size(3) + left + right];
            Known { item, shape, ..x.clone() }
        }
        (true, Kind { counts_padding: true, .. }) => zeros_around(cx, x.clone(), &mut window),
        _ => return Err(wrong()),
    };
    let [height, width] = [from.size(2), from.size(3)];
    let mut taps = Vec::new();
    for row in 0..window.size[0] {
        for column in 0..window.size[1] {
            let [top, left] = [row * window.dilation[0], column * window.dilation[1]];
            let bottom = height.checked_sub(top + (rows - 1) * window.stride[0] + 1).ok_or_else(wrong)?;
            let right = width.checked_sub(left + (columns - 1) * window.stride[1] + 1).ok_or_else(wrong)?;
            let mut item = from.item;
            if [top, bottom, left, right] != [0; 4] {
                let sides = [top, bottom, left, right].map(|side| side as i64).to_vec();
                item = cx.layers.add(Call::layer("Crop").with("size", Val::List(sides)), &[item]);
            }
            if window.stride != [1, 1] {
                let call = Call::layer("MaxPool").with("size", Val::Sizes(vec![1, 1]));
                item = cx.layers.add(call.with("stride", pair(window.stride)), &[item]);
            }
            taps.push(item);
        }
    }
    let item = if taps.len() == 1 { taps[0] } else { cx.layers.add(Call::layer(join), &taps) };
    Ok(Known { item, shape: vec![x.shape[0], x.shape[1], rows, columns], ..x })
}

/// A pool whose windows begin on the grid of their pixels: one without a dilation, of the image without what is between.
fn on_grid(cx: &mut Context, x: Known, window: Window, kind: Kind, windows: [usize; 2]) -> Result<Known, String> {
    let Window { dilation, pads, .. } = window;
    // From the border before the image on, every so many pixels: the first of them in the image, and how many are before it.
    let first = [0, 1].map(|axis| (dilation[axis] - pads[axis][0] % dilation[axis]) % dilation[axis]);
    let sides = [x.size(2), x.size(3)];
    if sides.iter().zip(first).any(|(&side, first)| side <= first) {
        return Err(format!("its dilation is {dilation:?}"));
    }
    let mut item = x.item;
    if first != [0, 0] {
        let sides = [first[0], 0, first[1], 0].map(|side| side as i64).to_vec();
        item = cx.layers.add(Call::layer("Crop").with("size", Val::List(sides)), &[item]);
    }
    let call = Call::layer("MaxPool").with("size", Val::Sizes(vec![1, 1])).with("stride", pair(dilation));
    item = cx.layers.add(call, &[item]);
    let size = |axis: usize| (sides[axis] - first[axis]).div_ceil(dilation[axis]);
    let grid = Known { item, shape: vec![x.shape[0], x.shape[1], size(0), size(1)], ..x };
    let before = |axis: usize| [(pads[axis][0] + first[axis]) / dilation[axis], 0];
    let stride = [0, 1].map(|axis| window.stride[axis] / dilation[axis]);
    let mut plain = Window { stride, dilation: [1, 1], pads: [before(0), before(1)], ceil: false, ..window };
    plain.reach(&grid, windows);
    of_windows(cx, grid, plain, kind)
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
pub(in crate::import::convert) fn padded_line(cx: &mut Context, x: Known, window: &mut Window) -> Known {
    let differs = window.line && matches!(window.padding(&x), Val::List(_));
    if differs { zeros_around(cx, x, window) } else { x }
}

/// `GlobalAveragePool`, `GlobalMaxPool`
pub(in crate::import::convert) fn global(cx: &mut Context, node: &Node, function: &str) -> Converted {
    cx.has_batch()?;
    let x = cx.input(node, 0)?;
    let pixels: Vec<usize> = (2..x.shape.len()).collect();
    let known = reduce::over(cx, x, function, &pixels)?;
    let known = cx.ordered(known, &[1]);
    cx.give(node, known)
}
