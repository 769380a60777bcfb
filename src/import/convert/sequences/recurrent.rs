//! Recurrent layers. ONNX has the time before the batch.

use crate::import::convert::context::{Context, Converted};
use crate::import::convert::sequences::attention::give;
use crate::import::convert::sequences::view::{Of, Part, Source, View};
use crate::import::convert::sequences::views;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;

/// `LSTM` and `GRU` that begin with zeros; both directions are two layers beside each other.
pub(in crate::import::convert) fn layer(cx: &mut Context, node: &Node, name: &str) -> Converted {
    let layer = cx.parameters()?;
    let mut sequence = match node.input(0) {
        Some(name) if cx.displaced.contains_key(name) => time_first(cx, name)?,
        Some(name) => views::of(cx, name).ok_or("its input is not a sequence")?,
        None => return Err("its input is not a sequence".into()),
    };
    // A layer that goes backwards sees the steps of the model forwards.
    let flipped = std::mem::replace(&mut sequence.backwards, false);
    // Some of the features are a layer's.
    if !sequence.ends_with_features()
        && let Some(known) = sequence.transposed(&[1, 0, 2]).and_then(|view| views::resolved(cx, &view))
        && let (&[_, steps, features], [1, 2]) = (&known.shape[..], &known.axes[..])
    {
        let of_layer = View::sequence(Source::Layer(known.item), steps, features);
        sequence = of_layer.transposed(&[1, 0, 2]).unwrap_or(sequence);
    }
    if let (true, Source::Layer(item)) = (sequence.is_crosswise(), &sequence.source) {
        if !cx.explicit {
            return Err("its steps are not those of a sequence of PyTorch".into());
        }
        let crosswise = Call::layer("Transpose").with("perm", Val::List(vec![0, 2, 1]));
        let item = cx.layers.add(crosswise, &[*item]);
        let of_layer = View::sequence(Source::Layer(item), sequence.features, sequence.steps);
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
        .with("backwards", Val::Bool((direction == "reverse") != flipped))
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
                backwards: flipped,
                ..all.clone()
            };
            give(cx, &name, node, view);
        }
        if let Some(name) = output(1) {
            let step = Some(if (direction == "reverse") != flipped { 0 } else { time - 1 });
            let view = View { shape: vec![1, 1, units], axes: vec![None, None, of_features], step, ..all };
            give(cx, &name, node, view);
        }
        return Ok(());
    }
    let second = cx.backwards.get(&cx.node).copied().ok_or("its parameters are not constants")?;
    let call = call.with("backwards", Val::Bool(!flipped)).named(Some(&second.name));
    let back = cx.layers.add(call, &[input]);
    cx.whole.extend([item, back].into_iter().filter(|_| both));
    if let Some(name) = output(0).filter(|_| is_read(cx, 0)) {
        let joined = cx.layers.add(Call::layer("Concatenate"), &[item, back]);
        let all = View::sequence(Source::Layer(joined), time, 2 * units);
        let of_direction = Some(Part { of: Of::Features, size: 2, stride: units });
        let axes = vec![all.axes[1], of_direction, None, of_features];
        give(cx, &name, node, View { shape: vec![time, 2, 1, units], axes, backwards: flipped, ..all });
    }
    if let Some(name) = output(1).filter(|_| is_read(cx, 1)) {
        let (first, last) = if flipped { (time - 1, 0) } else { (0, time - 1) };
        let states = [(item, last), (back, first)].map(|(item, step)| views::one_step(cx, item, step, time, units));
        let joined = cx.layers.add(Call::layer("Concatenate"), &states);
        give(cx, &name, node, View::of_directions(joined, units));
    }
    Ok(())
}

/// A value whose batch is its second axis, as a sequence.
fn time_first(cx: &mut Context, name: &str) -> Result<View, String> {
    let displaced = cx.displaced.get(name).cloned().ok_or("its input is not a sequence")?;
    let &[_, steps, features] = &displaced.known.shape[..] else { return Err("its input is not a sequence".into()) };
    if displaced.place != 1 || !cx.explicit {
        return Err("its input has its axes in another order".into());
    }
    let known = cx.ordered(displaced.known, &[1, 2]);
    let of_layer = View::sequence(Source::Layer(known.item), steps, features);
    of_layer.transposed(&[1, 0, 2]).ok_or_else(|| "its input is not a sequence".into())
}

/// Final states of several layers, each of one direction or two, as rows of one value, of which rows are taken again: whether the
/// node does one of these.
pub(in crate::import::convert) fn beside(cx: &mut Context, node: &Node) -> bool {
    // (directions, batch, units)
    let rows = |name: &String| -> Option<Vec<View>> {
        let states = cx.views.get(name).filter(|view| matches!(view.shape[..], [1 | 2, 1, _]))?;
        let is_state = states.step.is_some() || states.flat;
        (0..states.shape[0]).map(|at| states.range(0, at, at + 1)).collect::<Option<Vec<_>>>().filter(|_| is_state)
    };
    match node.op.as_str() {
        "Concat" if node.int("axis", 0) == 0 && node.inputs.len() > 1 => {
            let Some(all) = node.inputs.iter().map(rows).collect::<Option<Vec<_>>>() else { return false };
            cx.beside.insert(node.output().to_string(), all.concat());
            true
        }
        "Gather" if node.int("axis", 0) == 0 => {
            let Some(rows) = node.input(0).and_then(|name| cx.beside.get(name)) else { return false };
            let index = node.input(1).and_then(|name| cx.constants.get(name).zip(cx.constants.scalar(name)));
            let Some((_, index)) = index.filter(|(constant, _)| constant.shape.is_empty()) else { return false };
            let at = if index < 0.0 { index + rows.len() as f64 } else { index };
            let Some(view) = rows.get(at as usize).filter(|_| at >= 0.0).cloned() else { return false };
            give(cx, node.output(), node, view.without(0));
            true
        }
        _ => false,
    }
}
