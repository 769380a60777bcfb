//! Padding and other sizes of images.

use super::pool::zero_pad;
use super::{Context, Converted, Known, needs};
use crate::import::tree::{Call, Val, pair};
use crate::onnx::Node;

/// `Pad` of an image.
pub(super) fn pad(cx: &mut Context, node: &Node) -> Converted {
    let pads = cx.integers(node, 1, "pads").ok_or("its pads are not constants")?;
    if pads.iter().all(|&side| side == 0) {
        let x = cx.input(node, 0)?;
        return cx.give(node, x);
    }
    let x = cx.image(node, 0)?;
    let value = node.input(2).and_then(|name| cx.constants.scalar(name)).unwrap_or(f64::from(node.float("value", 0.0)));
    if node.input(3).is_some() || pads.len() != 8 {
        return Err("it pads some of the axes".into());
    }
    let side = |at: usize| usize::try_from(pads[at]).ok().filter(|&side| side < 1 << 30);
    let sides = [2, 6, 3, 7].map(side);
    let ([Some(top), Some(bottom), Some(left), Some(right)], true) =
        (sides, [0, 1, 4, 5].iter().all(|&at| pads[at] == 0))
    else {
        return Err(format!("by {pads:?}: only height and width are taken, and nothing is cut off"));
    };
    let sides = [top, bottom, left, right];
    let call = match node.text("mode").unwrap_or("constant") {
        "constant" if value == 0.0 => zero_pad(sides),
        "constant" => return Err(format!("with the value {value}")),
        mode @ ("reflect" | "edge") => {
            needs("Pad", Some("mode"))?;
            let size = zero_pad(sides).argument("size").cloned().unwrap_or(Val::Int(0));
            Call::layer("Pad").with("size", size).with("mode", Val::Word(mode.into()))
        }
        mode => return Err(format!("with mode={mode}")),
    };
    let item = cx.layers.add(call, &[x.item]);
    let shape = vec![x.shape[0], x.shape[1], x.size(2) + top + bottom, x.size(3) + left + right];
    cx.give(node, Known { item, shape, ..x })
}

/// `Resize` and `Upsample`.
pub(super) fn resize(cx: &mut Context, node: &Node) -> Converted {
    let x = cx.image(node, 0)?;
    let [.., height, width] = x.shape[..] else { return Err("its input is no image".into()) };
    // Opset 9 and 10 have the scales second, before that they are an attribute.
    let scales = match (node.op.as_str(), cx.opset) {
        ("Resize", 11..) => node.input(2).and_then(|name| cx.constants.values(name)),
        _ => node.input(1).and_then(|name| cx.constants.values(name)),
    };
    let scales = scales.filter(|scales| scales.len() == 4 && scales[..2] == [1.0, 1.0]);
    let sizes = node.input(3).and_then(|name| cx.constants.integers(name)).filter(|sizes| sizes.len() == 4);
    let [rows, columns] = match (&scales, &sizes) {
        (Some(scales), _) => {
            [(height as f64 * scales[2]).floor() as usize, (width as f64 * scales[3]).floor() as usize]
        }
        (None, Some(sizes)) => [sizes[2].max(0) as usize, sizes[3].max(0) as usize],
        (None, None) => return Err("its scales or sizes are not constants for height and width".into()),
    };
    if [rows, columns].iter().any(|side| !(1..1 << 30).contains(side)) {
        return Err(format!("to {rows}x{columns}"));
    }
    let mode = node.text("mode").unwrap_or("nearest");
    let coordinates = node.text("coordinate_transformation_mode").unwrap_or("half_pixel");
    let whole = rows >= height && columns >= width && rows % height == 0 && columns % width == 0 && rows > 0;
    let call = match (mode, coordinates) {
        ("nearest", "half_pixel" | "asymmetric" | "pytorch_half_pixel") if whole => {
            let nearest = node.text("nearest_mode").unwrap_or("round_prefer_floor");
            if coordinates == "asymmetric" && nearest != "floor" && cx.opset >= 11 {
                return Err(format!("with nearest_mode={nearest}"));
            }
            Call::layer("Upscale").with("scale", pair([rows / height, columns / width]))
        }
        ("linear", "half_pixel" | "pytorch_half_pixel" | "align_corners") => {
            needs("Resize", Some("align_corners"))?;
            let call = match whole && rows / height == columns / width {
                true => Call::layer("Resize").with("scale", Val::Int((rows / height) as i64)),
                false => Call::layer("Resize").with("size", Val::Sizes(vec![rows, columns])),
            };
            call.with("mode", Val::Word("bilinear".into()))
                .with("align_corners", Val::Bool(coordinates == "align_corners"))
        }
        _ => return Err(format!("from {height}x{width} to {rows}x{columns} with mode={mode}, {coordinates}")),
    };
    let item = cx.layers.add(call, &[x.item]);
    cx.give(node, Known { item, shape: vec![x.shape[0], x.shape[1], rows, columns], ..x })
}

/// `DepthToSpace` and `SpaceToDepth`.
pub(super) fn blocks(cx: &mut Context, node: &Node, layer: &str) -> Converted {
    needs(layer, Some("order"))?;
    let x = cx.image(node, 0)?;
    let block = usize::try_from(node.int("blocksize", 1))
        .ok()
        .filter(|block| (1..1 << 15).contains(block))
        .ok_or("its block is wrong")?;
    let [batch, channels, height, width] = x.shape[..] else { return Err("its input is no image".into()) };
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
