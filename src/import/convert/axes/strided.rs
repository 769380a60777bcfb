//! Every second row or column of an image, and images of all of them beside each other as channels (YOLOv5's `Focus`, the merging of
//! patches of Swin transformers): blocks of pixels that become channels.

use crate::import::convert::axes::gather;
use crate::import::convert::axes::shape::part;
use crate::import::convert::context::{Context, Converted, needs};
use crate::import::convert::known::{Known, Strided};
use crate::import::convert::merge;
use crate::import::tree::{Call, Val, pair};
use crate::onnx::Node;

/// The most channels of images beside each other.
const MAX_CHANNELS: usize = 1 << 16;

/// Every `step`-th value along an axis of pixels or steps, as a layer; none along the channels.
pub(in crate::import::convert) fn taken(
    cx: &mut Context,
    x: &Known,
    axis: usize,
    start: usize,
    step: usize,
    count: usize,
) -> Result<Option<Known>, String> {
    let x = cx.unflattened(x.clone());
    let place = x.axes.iter().position(|&known| known == axis);
    let (window, stride) = match (x.axes.len(), place) {
        (3, Some(place @ 0..2)) => {
            let mut stride = [1, 1];
            stride[place] = step;
            (Val::Sizes(vec![1, 1]), pair(stride))
        }
        (2, Some(0)) => (Val::Int(1), Val::Int(step as i64)),
        _ => return Ok(None),
    };
    let size = x.size(axis);
    let end = if (size - start).div_ceil(step) == count { size } else { start + (count - 1) * step + 1 };
    let x = part(cx, x, axis, start, end)?;
    let call =
        Call::layer("MaxPool").with("size", window).with("stride", stride).with("padding", Val::Word("valid".into()));
    let item = cx.layers.add(call, &[x.item]);
    let mut shape = x.shape.clone();
    shape[axis] = count;
    Ok(Some(Known { item, shape, ..x }))
}

/// Values beside each other.
pub(in crate::import::convert) fn concatenate(cx: &mut Context, node: &Node) -> Converted {
    match beside(cx, node) {
        Some(known) => cx.give(node, known),
        None => merge::concatenate(cx, node),
    }
}

/// Images of every n-th row and column of one image beside each other, as the channels of blocks of its pixels.
fn beside(cx: &mut Context, node: &Node) -> Option<Known> {
    let parts = node.inputs.iter().map(|name| cx.strided.get(name).cloned()).collect::<Option<Vec<Strided>>>()?;
    let first = parts.first()?.clone();
    let [block, _] = first.step;
    let alike =
        |part: &Strided| part.of.item == first.of.item && part.of.axes == first.of.axes && part.step == [block; 2];
    let x = first.of.clone();
    let &[rows, columns, channels] = &x.axes[..] else { return None };
    let axis = cx.axis(&x, node.int("axis", 1)).ok()?;
    if parts.len() < 2
        || block < 2
        || axis != channels
        || !parts.iter().all(alike)
        || needs("SpaceToDepth", None).is_err()
    {
        return None;
    }
    let each = x.size(channels);
    let item = cx.layers.add(Call::layer("SpaceToDepth").with("block", Val::Int(block as i64)), &[x.item]);
    let mut shape = x.shape.clone();
    shape[rows] /= block;
    shape[columns] /= block;
    shape[channels] = each.checked_mul(block * block)?;
    let blocks = Known { item, shape, ..x };
    // The block of row 1 and column 0 is the one after those of row 0.
    let from = |part: &Strided| (part.start[0] * block + part.start[1]) * each;
    if each.saturating_mul(parts.len()) > MAX_CHANNELS {
        return None;
    }
    let places: Vec<usize> = parts.iter().flat_map(|part| from(part)..from(part) + each).collect();
    gather::taken(cx, blocks, channels, &places).ok()
}
