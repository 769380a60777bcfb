//! Dense layers.

use super::context::{Context, Converted};
use super::known::Known;
use super::reduce;
use super::sequences::attention;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::parameters::Layer;

/// `Gemm` and `MatMul` with a matrix of parameters.
pub(super) fn dense(cx: &mut Context, node: &Node) -> Converted {
    if let (Some(name), Some(layer)) = (node.input(0), cx.layer())
        && cx.value(name).is_none()
        && let Some(view) = cx.views.get(name).cloned()
    {
        return attention::dense(cx, node, layer, &view);
    }
    let mut x = cx.input(node, 0)?;
    if node.op == "Gemm" && node.int("transA", 0) != 0 {
        if cx.front == 0 || x.shape.len() != 3 {
            return Err("it moves values between the images of a batch".into());
        }
        x.shape.swap(1, 2);
        x.axes.iter_mut().for_each(|axis| *axis = 3 - *axis);
    }
    let Some(layer) = cx.layer() else {
        return Err(match cx.constant(node, 1) {
            Some(matrix) if matrix.shape.len() == 2 && node.op == "Gemm" => {
                let bias = cx.constant(node, 2).map(|bias| bias.shape.clone());
                match bias {
                    Some(bias) => format!("its bias has the shape {bias:?}, not one value for each output"),
                    None => "its bias is a value of the model".into(),
                }
            }
            Some(matrix) => format!("its matrix has the shape {:?}, or factors", matrix.shape),
            None => "a product of two values of the model".into(),
        });
    };
    let units = layer.parameter("weight").and_then(|weight| weight.shape.first().copied()).ok_or("it has no weight")?;
    let mut known = add(cx, layer, x, units)?;
    if cx.constant(node, 1).is_some_and(|matrix| matrix.shape.len() == 1) {
        let last = known.shape.len() - 1;
        known = reduce::without(cx, known, &[last]);
    }
    cx.give(node, known)
}

/// Adds a dense layer on the last axis of features or of a sequence; on the channels of an image it is a 1x1 convolution.
pub(super) fn add(cx: &mut Context, layer: &Layer, x: Known, units: usize) -> Result<Known, String> {
    // A 1x1 convolution of one pixel is along axis 1, a matrix product along the last.
    let last = if x.axes == [1] { 1 } else { x.shape.len() - 1 };
    let x = super::norm::last(cx, x, last);
    let inputs = layer.parameter("weight").and_then(|weight| weight.shape.get(1).copied());
    if inputs != Some(x.size(last)) {
        return Err(format!("its matrix takes {} features, its input is {:?}", inputs.unwrap_or(0), x.shape));
    }
    let call = match x.axes.len() {
        3 => Call::layer("Conv").with("size", Val::Sizes(vec![1, 1])).with("filters", Val::Int(units as i64)),
        _ => Call::layer("Dense").with("units", Val::Int(units as i64)),
    };
    let call = call.with("bias", Val::Bool(layer.parameter("bias").is_some())).named(Some(&layer.name));
    let item = cx.layers.add(call, &[x.item]);
    let mut shape = x.shape.clone();
    shape[last] = units;
    Ok(Known { item, shape, images: Vec::new(), ..x })
}
