//! Recurrent layers and embeddings. ONNX has the time before the batch.

use crate::import::convert::context::{Context, Converted};
use crate::import::convert::known::Known;
use crate::import::convert::sequences::attention::give;
use crate::import::convert::sequences::view::{Of, Part, Source, View};
use crate::import::convert::sequences::views;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;

/// `LSTM` and `GRU` that begin with zeros; both directions are two layers beside each other.
pub(in crate::import::convert) fn layer(cx: &mut Context, node: &Node, name: &str) -> Converted {
    let layer = cx.parameters()?;
    let mut sequence = node.input(0).and_then(|name| views::of(cx, name)).ok_or("its input is not a sequence")?;
    // Some of the features are a layer's.
    if !sequence.ends_with_features()
        && let Some(known) = sequence.transposed(&[1, 0, 2]).and_then(|view| views::resolved(cx, &view))
        && let &[_, steps, features] = &known.shape[..]
    {
        let of_layer = View::sequence(Source::Layer(known.item), steps, features);
        sequence = of_layer.transposed(&[1, 0, 2]).unwrap_or(sequence);
    }
    let Source::Layer(input) = sequence.source else { return Err("its input is not a sequence".into()) };
    let [time, batch, features] = sequence.shape[..] else { return Err("its input is not a sequence".into()) };
    let fits = (time, features) == (sequence.steps, sequence.features) && sequence.ends_with_features();
    if node.int("layout", 0) != 0 || batch != 1 || !fits {
        return Err("its input has its axes in another order".into());
    }
    let lengths = node.input(4).is_some_and(|name| {
        let lengths = cx.constants.values(name);
        !lengths.is_some_and(|lengths| lengths.iter().all(|&length| length == time as f64))
    });
    if node.text("activations").is_some() || node.attribute("activations").is_some() || lengths {
        return Err("with activations of its own, or sequences of several lengths".into());
    }
    if node.attribute("clip").is_some() || node.int("input_forget", 0) != 0 {
        return Err("with clipped or joined gates".into());
    }
    for index in [5, 6] {
        let is_zero = |name| cx.constants.values(name).is_some_and(|values| values.iter().all(|&value| value == 0.0));
        if node.input(index).is_some_and(|name| !is_zero(name)) && (index == 5 || name == "LSTM") {
            return Err("its initial state is not zero".into());
        }
    }
    let units = usize::try_from(node.int("hidden_size", 0)).map_err(|_| "its hidden size is invalid")?;
    let direction = node.text("direction").unwrap_or("forward");
    let mut call = Call::layer(name)
        .with("n_units", Val::Int(units as i64))
        .with("only_return_final", Val::Bool(false))
        .with("backwards", Val::Bool(direction == "reverse"))
        .named(Some(&layer.name));
    if name == "GRU" {
        if node.int("linear_before_reset", 0) == 0 {
            return Err("its reset gate is applied before the product with the state".into());
        }
        // Only the bias of the state's hidden part cannot be added to that of the input.
        let biases = node.input(3).map(|name| cx.constants.values(name).unwrap_or_else(|| vec![1.0; 6 * units]));
        let hidden = |biases: &[f64]| biases.iter().skip(5 * units).any(|&bias| bias != 0.0);
        let apart = biases.is_some_and(|biases| biases.chunks(6 * units.max(1)).any(hidden));
        call = call.with("reset_after", Val::Bool(apart));
    }
    if layer.parameter("weight_cell_to_ingate").is_some() {
        call = call.with("peepholes", Val::Bool(true));
    }
    let output = |index: usize| node.outputs.get(index).filter(|name| !name.is_empty()).cloned();
    let is_read = |cx: &Context, index: usize| output(index).is_some_and(|name| cx.read.contains(&name));
    if is_read(cx, 2) {
        return Err("it also returns its last cell state".into());
    }
    let item = cx.layers.add(call.clone(), &[input]);
    let both = is_read(cx, 0) && is_read(cx, 1);
    let of_features = (units != 1).then_some(Part { of: Of::Features, size: units, stride: 1 });
    if direction != "bidirectional" {
        cx.whole.extend(both.then_some(item));
        let all = View::sequence(Source::Layer(item), time, units);
        if let Some(name) = output(0) {
            let view = View {
                shape: vec![time, 1, 1, units],
                axes: vec![all.axes[1], None, None, of_features],
                ..all.clone()
            };
            give(cx, &name, node, view);
        }
        if let Some(name) = output(1) {
            let step = Some(if direction == "reverse" { 0 } else { time - 1 });
            let view = View { shape: vec![1, 1, units], axes: vec![None, None, of_features], step, ..all };
            give(cx, &name, node, view);
        }
        return Ok(());
    }
    let second = cx.backwards.get(&cx.node).copied().ok_or("its parameters are not constants")?;
    let call = call.with("backwards", Val::Bool(true)).named(Some(&second.name));
    let back = cx.layers.add(call, &[input]);
    cx.whole.extend([item, back].into_iter().filter(|_| both));
    if let Some(name) = output(0).filter(|_| is_read(cx, 0)) {
        let joined = cx.layers.add(Call::layer("Concatenate"), &[item, back]);
        let all = View::sequence(Source::Layer(joined), time, 2 * units);
        let of_direction = Some(Part { of: Of::Features, size: 2, stride: units });
        let axes = vec![all.axes[1], of_direction, None, of_features];
        give(cx, &name, node, View { shape: vec![time, 2, 1, units], axes, ..all });
    }
    if let Some(name) = output(1).filter(|_| is_read(cx, 1)) {
        let states = [(item, time - 1), (back, 0)].map(|(item, step)| views::one_step(cx, item, step, time, units));
        let joined = cx.layers.add(Call::layer("Concatenate"), &states);
        give(cx, &name, node, View::of_directions(joined, units));
    }
    Ok(())
}

/// Final states of several layers as rows of one value, of which rows are taken again: whether the node does one of these.
pub(in crate::import::convert) fn beside(cx: &mut Context, node: &Node) -> bool {
    let is_state =
        |name: &String| matches!(cx.views.get(name), Some(View { shape, .. }) if shape.len() == 3 && shape[0] == 1);
    match node.op.as_str() {
        "Concat" if node.int("axis", 0) == 0 && node.inputs.len() > 1 && node.inputs.iter().all(is_state) => {
            cx.beside.insert(node.output().to_string(), node.inputs.clone());
            true
        }
        "Gather" if node.int("axis", 0) == 0 => {
            let Some(rows) = node.input(0).and_then(|name| cx.beside.get(name)) else { return false };
            let index = node.input(1).and_then(|name| cx.constants.get(name).zip(cx.constants.scalar(name)));
            let Some((constant, index)) = index.filter(|(constant, _)| constant.shape.is_empty()) else { return false };
            let _ = constant;
            let at = if index < 0.0 { index + rows.len() as f64 } else { index };
            let Some(view) = rows.get(at as usize).and_then(|name| cx.views.get(name)) else { return false };
            let view = view.clone().without(0);
            give(cx, node.output(), node, view);
            true
        }
        _ => false,
    }
}

/// `Gather` of the rows of a table.
pub(in crate::import::convert) fn embedding(cx: &mut Context, node: &Node) -> Converted {
    let layer = cx.parameters()?;
    let indices = cx.input(node, 1)?;
    let table = layer.parameter("weight").ok_or("it has no table")?;
    let &[rows, features] = &table.shape[..] else { return Err("its table is not a matrix".into()) };
    let call = Call::layer("Embedding")
        .with("input_size", Val::Int(rows as i64))
        .with("output_size", Val::Int(features as i64))
        .named(Some(&layer.name));
    let item = cx.layers.add(call, &[indices.item]);
    let rank = indices.shape.len();
    let shape = [&indices.shape[..], &[features]].concat();
    let axes = [&indices.axes[..], &[rank]].concat();
    cx.give(node, Known { item, shape, axes, images: Vec::new() })
}
