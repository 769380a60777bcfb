//! Recurrent layers and embeddings. ONNX has the time before the batch.

use super::attention::give;
use super::views::{self, Of, Part, Source, View};
use super::{Context, Converted, Known};
use crate::import::tree::{Call, Val};
use crate::onnx::Node;

/// `LSTM` and `GRU` of one direction that begin with zeros.
pub(super) fn layer(cx: &mut Context, node: &Node, name: &str) -> Converted {
    let layer = cx.parameters()?;
    let sequence = node.input(0).and_then(|name| views::of(cx, name)).ok_or("its input is no sequence")?;
    let Source::Layer(item) = sequence.source else { return Err("its input is no sequence".into()) };
    let [time, batch, features] = sequence.shape[..] else { return Err("its input is no sequence".into()) };
    if node.int("layout", 0) != 0 || batch != 1 || (time, features) != (sequence.steps, sequence.features) {
        return Err("its input has its axes in another order".into());
    }
    if node.text("activations").is_some() || node.attribute("activations").is_some() || node.input(4).is_some() {
        return Err("with activations of its own, or sequences of several lengths".into());
    }
    if node.attribute("clip").is_some() || node.int("input_forget", 0) != 0 {
        return Err("with clipped or joined gates".into());
    }
    for index in [5, 6] {
        let is_zero = |name| cx.constants.values(name).is_some_and(|values| values.iter().all(|&value| value == 0.0));
        if node.input(index).is_some_and(|name| !is_zero(name)) && (index == 5 || name == "LSTM") {
            return Err("its first state is not zero".into());
        }
    }
    let backwards = match node.text("direction").unwrap_or("forward") {
        "forward" => false,
        "reverse" => true,
        other => return Err(format!("it is {other}")),
    };
    let units = usize::try_from(node.int("hidden_size", 0)).map_err(|_| "its size is wrong")?;
    let mut call = Call::layer(name)
        .with("n_units", Val::Int(units as i64))
        .with("only_return_final", Val::Bool(false))
        .with("backwards", Val::Bool(backwards))
        .named(Some(&layer.name));
    if name == "GRU" {
        if node.int("linear_before_reset", 0) == 0 {
            return Err("its reset gate acts before the product with the state".into());
        }
        // Only the bias of the state's hidden part cannot be added to that of the input.
        let biases = node.input(3).map(|name| cx.constants.values(name).unwrap_or_else(|| vec![1.0; 6 * units]));
        let apart = biases.is_some_and(|biases| biases.iter().skip(5 * units).any(|&bias| bias != 0.0));
        call = call.with("reset_after", Val::Bool(apart));
    }
    if layer.parameter("weight_cell_to_ingate").is_some() {
        call = call.with("peepholes", Val::Bool(true));
    }
    let item = cx.layers.add(call, &[item]);
    let output = |index: usize| node.outputs.get(index).filter(|name| !name.is_empty()).cloned();
    let all = View::sequence(Source::Layer(item), time, units);
    let of_features = (units != 1).then_some(Part { of: Of::Features, size: units, stride: 1 });
    if let Some(name) = output(0) {
        let view =
            View { shape: vec![time, 1, 1, units], axes: vec![all.axes[1], None, None, of_features], ..all.clone() };
        give(cx, &name, node, view);
    }
    if let Some(name) = output(1) {
        let step = Some(if backwards { 0 } else { time - 1 });
        let view = View { shape: vec![1, 1, units], axes: vec![None, None, of_features], step, ..all };
        give(cx, &name, node, view);
    }
    Ok(())
}

/// `Gather` of the rows of a table.
pub(super) fn embedding(cx: &mut Context, node: &Node) -> Converted {
    let layer = cx.layer().ok_or("of values that no layer takes apart")?;
    let indices = cx.input(node, 1)?;
    let table = layer.parameter("weight").ok_or("it has no table")?;
    let &[rows, features] = &table.shape[..] else { return Err("its table is no matrix".into()) };
    let call = Call::layer("Embedding")
        .with("input_size", Val::Int(rows as i64))
        .with("output_size", Val::Int(features as i64))
        .named(Some(&layer.name));
    let item = cx.layers.add(call, &[indices.item]);
    let rank = indices.shape.len();
    let shape = [&indices.shape[..], &[features]].concat();
    let axes = [&indices.axes[..], &[rank]].concat();
    cx.give(node, Known { item, shape, axes, permuted: false })
}
