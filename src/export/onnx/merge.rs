//! Layers that join values.

use super::activation;
use super::context::{Context, Exported, Value};
use crate::graph::Node;
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::combine::Merge;
use crate::onnx::model::Value as Attribute;
use crate::ops::merge::Elementwise;
use crate::ops::merge::concatenate::Concatenate;
use crate::ops::merge::gated_average::GatedAverage;

/// The inputs of a layer, all in the order of the first that has most axes.
fn inputs(cx: &mut Context<'_>, node: &Node) -> Result<Vec<Value>, String> {
    let values = (0..node.inputs.len()).map(|index| cx.input(node, index)).collect::<Result<Vec<_>, _>>()?;
    let rank = values.iter().map(|value| value.sizes.len()).max().unwrap_or(0);
    let order = values.iter().find(|value| value.sizes.len() == rank).map(|value| value.order.clone());
    let order = order.ok_or("it has no inputs")?;
    let in_order = |value: Value| if value.sizes.len() == rank { cx.in_order_of(&value, &order) } else { value };
    Ok(values.into_iter().map(in_order).collect())
}

/// Sums, products and the like. A value for each channel counts for every pixel.
pub(super) fn elementwise(cx: &mut Context<'_>, node: &Node, layer: &Elementwise) -> Exported {
    let mut values = inputs(cx, node)?;
    let whole =
        values.iter().max_by_key(|value| value.sizes.iter().product::<usize>()).cloned().ok_or("it has no inputs")?;
    for value in &mut values {
        if value.sizes.len() < whole.sizes.len() && value.sizes.len() == 1 {
            let sizes: Vec<usize> = whole
                .order
                .iter()
                .map(|&axis| if axis + 1 == whole.sizes.len() { value.sizes[0] } else { 1 })
                .collect();
            value.name = cx.reshape(&value.name, &sizes);
        }
    }
    let names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
    let name = match (layer.merge, names.len()) {
        (Merge::Maximum, _) => cx.emit("Max", &names, Vec::new()),
        (Merge::Minimum, _) => cx.emit("Min", &names, Vec::new()),
        (Merge::Average, _) => cx.emit("Mean", &names, Vec::new()),
        (Merge::Add, 3..) => cx.emit("Sum", &names, Vec::new()),
        (Merge::Add, _) => in_turn(cx, "Add", &names, false),
        (Merge::Multiply, _) => in_turn(cx, "Mul", &names, false),
        (Merge::Subtract, _) => in_turn(cx, "Sub", &names, false),
        (Merge::Divide, _) => in_turn(cx, "Div", &names, false),
        (Merge::SubtractFrom, _) => in_turn(cx, "Sub", &names, true),
        (Merge::DivideInto, _) => in_turn(cx, "Div", &names, true),
    };
    Ok(Value { name, ..whole })
}

/// An operator of two values, for several; `reversed` if the later one comes first.
fn in_turn(cx: &mut Context<'_>, op: &str, names: &[&str], reversed: bool) -> String {
    let mut names = names.iter();
    let first = names.next().map_or(String::new(), ToString::to_string);
    names.fold(first, |before, name| match reversed {
        true => cx.emit(op, &[name, &before], Vec::new()),
        false => cx.emit(op, &[&before, name], Vec::new()),
    })
}

pub(super) fn concatenate(cx: &mut Context<'_>, node: &Node, layer: &Concatenate) -> Exported {
    let values = inputs(cx, node)?;
    let first = values.first().cloned().ok_or("it has no inputs")?;
    let place = layer.axis_of(first.sizes.len() + 1).ok_or("its input does not have its axis")?;
    let names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
    let name = match names[..] {
        [one] => one.to_string(),
        _ => cx.emit("Concat", &names, vec![("axis", Attribute::Int(first.axis(place)))]),
    };
    let mut sizes = first.sizes.clone();
    sizes[place] = values.iter().map(|value| value.sizes[place]).sum();
    Ok(Value { name, sizes, ..first })
}

/// The sum of branches, each times its share of the gate.
pub(super) fn gated(cx: &mut Context<'_>, node: &Node, layer: &GatedAverage) -> Exported {
    let gate = cx.input(node, layer.gate_index)?;
    let branches: Vec<Value> = {
        let mut others = node.clone();
        others.inputs.remove(layer.gate_index);
        inputs(cx, &others)?
    };
    let whole = branches.first().cloned().ok_or("it has no branches")?;
    let mut parts = Vec::new();
    for (share, branch) in branches.iter().enumerate() {
        let mut weight = cx.slice(&gate.name, 1, share, share + 1);
        if whole.sizes.len() > 1 {
            weight = cx.reshape(&weight, &vec![1; whole.sizes.len()]);
        }
        parts.push(cx.emit("Mul", &[&weight, &branch.name], Vec::new()));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let name = match parts[..] {
        [one] => activation::elementwise(cx, one, Activation::Linear),
        _ => cx.emit("Sum", &parts, Vec::new()),
    };
    Ok(Value { name, ..whole })
}
