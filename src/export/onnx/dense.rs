//! Dense layers.

use super::activation;
use super::context::{Arrangement, Context, Exported, Value};
use crate::graph::{Node, NodeId, ParameterId};
use crate::onnx::model::Value as Attribute;
use crate::ops::activation::prelu::PRelu;
use crate::ops::dense::{Dense, Function};
use crate::ops::stochastic::Stochastic;

/// A dense layer, its function, or both.
pub(super) fn dense(cx: &mut Context<'_>, node: &Node, layer: &Dense) -> Exported {
    let x = match layer.units {
        Some(_) => product(cx, node, layer)?,
        None => cx.input(node, 0)?,
    };
    activation::apply(cx, x, layer.function)
}

/// The product with the weight, and the bias: `Gemm` for features, with PyTorch's weight, `MatMul` for each step of a sequence.
pub(super) fn product(cx: &mut Context<'_>, node: &Node, layer: &Dense) -> Exported {
    let units = layer.units.ok_or("it has no weight")?;
    let x = cx.input_in_order(node, 0)?;
    let parameters = &node.parameters;
    let weight = *parameters.first().ok_or("it has no weight")?;
    let bias = layer.bias.and_then(|_| parameters.get(1).copied());
    let features = x.sizes.last().copied().unwrap_or(1);
    if x.sizes.len() > 1 {
        let name = projection(cx, &x.name, (weight, bias), ["weight", "bias"], [features, units]);
        let sizes = [&x.sizes[..x.sizes.len() - 1], &[units]].concat();
        return Ok(Value { name, sizes, ..x });
    }
    // (units, features), the rows in the order in which the model flattened an image.
    let arrangement = match &x.flattened {
        None => Arrangement::permuted(&[features, units], &[1, 0]),
        Some((sizes, order)) => {
            let view = [&sizes[..], &[units]].concat();
            let order = [&[sizes.len()], &order[..]].concat();
            Arrangement::permuted(&view, &order).shaped(&[units, features])
        }
    };
    let weight = cx.parameter(weight, "weight", arrangement);
    let mut inputs = vec![x.name.clone(), weight];
    inputs.extend(bias.map(|bias| cx.parameter(bias, "bias", Arrangement::plain(&[units]))));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let name = cx.emit("Gemm", &inputs, vec![("transB", Attribute::Int(1))]);
    Ok(Value::new(name, vec![units], vec![0]))
}

/// `PRelu`: its slopes stand along the axes of the model.
pub(super) fn prelu(cx: &mut Context<'_>, node: &Node, layer: &PRelu) -> Exported {
    let x = match &layer.dense {
        Some(dense) => product(cx, node, dense)?,
        None => cx.input(node, 0)?,
    };
    let places = layer.resolve(x.sizes.len()).map_err(|axis| format!("it has no axis {axis}"))?;
    if x.flattened.is_some() {
        return Err("its slopes are for a flattened image".into());
    }
    let slopes = node.parameters.last().copied().ok_or("it has no slopes")?;
    // The slopes have the axes of the spec, in its order; the model has them in its own, and sizes of 1 between.
    let view: Vec<usize> = places.iter().map(|&place| x.sizes[place]).collect();
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&at| x.axis(places[at]));
    let first = order.first().map_or(1, |&at| x.axis(places[at]) as usize);
    let shape: Vec<usize> = (first - 1..x.order.len())
        .map(|at| if places.contains(&x.order[at]) { x.sizes[x.order[at]] } else { 1 })
        .collect();
    let arrangement = Arrangement::permuted(&view, &order).shaped(&shape);
    let part = if layer.dense.is_some() { "alpha" } else { "weight" };
    let slopes = cx.parameter(slopes, part, arrangement);
    let name = cx.emit("PRelu", &[&x.name, &slopes], Vec::new());
    Ok(Value { name, ..x })
}

/// x * weight + bias along the last axis.
pub(super) fn projection(
    cx: &mut Context<'_>,
    x: &str,
    (weight, bias): (ParameterId, Option<ParameterId>),
    [of_weight, of_bias]: [&str; 2],
    [features, units]: [usize; 2],
) -> String {
    let weight = cx.parameter(weight, of_weight, Arrangement::plain(&[features, units]));
    let y = cx.emit("MatMul", &[x, &weight], Vec::new());
    match bias {
        Some(bias) => {
            let bias = cx.parameter(bias, of_bias, Arrangement::plain(&[units]));
            cx.emit("Add", &[&y, &bias], Vec::new())
        }
        None => y,
    }
}

/// Whether the values of an output may be in any order: only weights of dense layers read them, whose rows can be in the same.
pub(super) fn is_read_by_rows(cx: &Context<'_>, id: NodeId) -> bool {
    let readers = cx.readers(id);
    let by_rows = |&reader: &NodeId| {
        let operation = cx.graph.node(reader).operation.as_any();
        if operation.downcast_ref::<PRelu>().is_some_and(|layer| layer.dense.is_some()) {
            return true;
        }
        match operation.downcast_ref::<Dense>() {
            Some(Dense { units: Some(_), .. }) => true,
            Some(Dense { function: Function::Elementwise(_), .. }) => is_read_by_rows(cx, reader),
            Some(_) => false,
            None => operation.is::<Stochastic>() && is_read_by_rows(cx, reader),
        }
    };
    !readers.is_empty() && !cx.graph.outputs.contains(&id) && readers.iter().all(by_rows)
}
