//! Pools and reductions.

use super::context::{Context, Exported, Value};
use super::convolution::Placed;
use crate::graph::Node;
use crate::onnx::model::Value as Attribute;
use crate::ops::pool::reduce::Reduce;
use crate::ops::pool::{GlobalPool, Pool};
use crate::plan::steps::pool::Reduction;

/// `MaxPool` and `AveragePool`, which counts no padding, as netc's.
pub(super) fn pool(cx: &mut Context<'_>, node: &Node, layer: &Pool) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    let mut window = Placed::of(&layer.window, &x.sizes)?;
    let attributes = window.attributes();
    let name = cx.emit(if layer.average { "AveragePool" } else { "MaxPool" }, &[&x.name], attributes);
    let channels = window.channels;
    Ok(Value::new(name, window.output(channels), x.order))
}

/// The operator of a reduction along axes.
fn operator(reduction: Reduction) -> &'static str {
    match reduction {
        Reduction::Average => "ReduceMean",
        Reduction::Maximum => "ReduceMax",
        Reduction::Sum => "ReduceSum",
    }
}

/// One value for each channel: a global pool of an image, a reduction along the steps of a sequence.
pub(super) fn global(cx: &mut Context<'_>, node: &Node, layer: &GlobalPool) -> Exported {
    let x = cx.input(node, 0)?;
    let Some((&channels, pixels)) = x.sizes.split_last().filter(|(_, pixels)| !pixels.is_empty()) else {
        return Ok(x);
    };
    let op = match layer.reduction {
        Reduction::Average => Some("GlobalAveragePool"),
        Reduction::Maximum => Some("GlobalMaxPool"),
        Reduction::Sum => None,
    };
    let name = match op.filter(|_| x.channel_axis() == 1) {
        Some(op) => {
            let pooled = cx.emit(op, &[&x.name], Vec::new());
            cx.emit("Flatten", &[&pooled], Vec::new())
        }
        None => {
            let axes: Vec<i64> = (0..pixels.len()).map(|place| x.axis(place)).collect();
            reduce_along(cx, &x.name, operator(layer.reduction), axes, false)
        }
    };
    Ok(Value::new(name, vec![channels], vec![0]))
}

fn reduce_along(cx: &mut Context<'_>, x: &str, op: &str, mut axes: Vec<i64>, keep: bool) -> String {
    axes.sort_unstable();
    let axes = cx.list(&axes);
    cx.emit(op, &[x, &axes], vec![("keepdims", Attribute::Int(i64::from(keep)))])
}

/// Along axes by their names: height, width and time disappear, channels stay as one.
pub(super) fn reduce(cx: &mut Context<'_>, node: &Node, layer: &Reduce) -> Exported {
    let x = cx.input(node, 0)?;
    let (over_channels, places) = layer.places(x.sizes.len());
    let op = operator(layer.reduction);
    let pixels: Vec<i64> = places.iter().map(|&place| x.axis(place)).collect();
    let (mut y, mut name) = (x.clone(), x.name.clone());
    match (over_channels, pixels.is_empty()) {
        (true, true) => name = reduce_along(cx, &name, op, vec![x.channel_axis()], true),
        (true, false) => {
            let mut axes = [&pixels[..], &[x.channel_axis()]].concat();
            axes.sort_unstable();
            let reduced = reduce_along(cx, &name, op, axes, true);
            let pixels = cx.list(&pixels);
            name = cx.emit("Squeeze", &[&reduced, &pixels], Vec::new());
        }
        (false, _) => name = reduce_along(cx, &name, op, pixels, false),
    }
    if let Some(channels) = y.sizes.last_mut().filter(|_| over_channels) {
        *channels = 1;
    }
    // The indices of the remaining windows, renumbered.
    let kept: Vec<usize> = (0..x.sizes.len()).filter(|place| !places.contains(place)).collect();
    let anew = |place: &usize| kept.iter().position(|known| known == place);
    let order = x.order.iter().filter_map(anew).collect();
    let sizes = kept.iter().map(|&place| y.sizes[place]).collect();
    Ok(Value::new(name, sizes, order))
}
