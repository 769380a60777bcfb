//! Attention as exporters write it out: products of projections, a softmax, and a projection of what the heads give.

use crate::import::convert::context::{Context, Converted};
use crate::import::convert::sequences::view::{Heads, Mask, Of, Part, Scores, Source, View};
use crate::import::convert::sequences::views;
use crate::import::tree::{Call, Val};
use crate::onnx::Node;
use crate::onnx::constants::{reshaped, unsqueezed};
use crate::onnx::model::BOOL;
use crate::onnx::parameters::{HIDDEN, Layer};
use crate::weights::bind::attention::parents;

/// Scores that are such themselves.
fn defined(scores: Scores) -> Option<Scores> {
    Some(scores).filter(|scores| scores.undefined_of.is_none())
}

/// What a node makes of the parts of an attention, for its output.
pub(in crate::import::convert) enum Made {
    Scores(Scores),
    View(View),
    Mask(Mask),
}

/// What a node makes of the mask of an attention; none if it does something else.
fn masked(cx: &Context, node: &Node) -> Option<Made> {
    let mask = |index: usize| cx.masks.get(node.input(index)?).cloned();
    let scores = |index: usize| cx.scores.get(node.input(index)?).cloned();
    match node.op.as_str() {
        // Whether values are not 0.
        "Cast" if mask(0).is_some() => mask(0).map(Made::Mask),
        "Cast" if node.int("to", 1) == BOOL => {
            let known = cx.value(node.input(0)?)?;
            let plain = known.images.is_empty() && known.axes.is_sorted() && known.axes.len() + 1 == known.shape.len();
            plain.then(|| Made::Mask(Mask { item: known.item, shape: known.shape.clone() }))
        }
        "Reshape" => {
            let mask = mask(0)?;
            let shape = reshaped(&mask.shape, &cx.integers(node, 1, "shape")?, node.int("allowzero", 0) != 0)?;
            Some(Made::Mask(Mask { shape, ..mask }))
        }
        "Unsqueeze" => {
            let mask = mask(0)?;
            let shape = unsqueezed(&mask.shape, &cx.integers(node, 1, "axes")?)?;
            Some(Made::Mask(Mask { shape, ..mask }))
        }
        // Rows in which nothing is seen are not numbers, and nothing here too.
        "Where" if scores(0).is_some_and(|scores| scores.undefined_of.is_some()) => {
            let (undefined, weights) = (scores(0)?, scores(2)?);
            let is_nothing = cx.constants.values(node.input(1)?)?.iter().all(|&value| value == 0.0);
            (is_nothing && undefined.undefined_of.as_deref() == node.input(2)).then_some(Made::Scores(weights))
        }
        "IsNaN" => {
            let weights = defined(scores(0)?).filter(|scores| scores.normalised)?;
            Some(Made::Scores(Scores { undefined_of: node.input(0).map(str::to_string), ..weights }))
        }
        // Where a constant hides what comes later.
        "Where" if cx.constant(node, 0).is_some() => {
            let place = (1..3).find(|&at| scores(at).is_some())?;
            let scores = defined(scores(place)?).filter(|scores| !scores.normalised)?;
            let hidden = cx.constants.values(node.input(3 - place)?)?;
            let (rows, columns) = (scores.queries.steps, scores.keys.steps);
            let condition = cx.constant(node, 0)?;
            let is_square = condition.shape.ends_with(&[rows, columns]) && condition.len() == rows * columns;
            let values = cx.constants.values(node.input(0)?)?;
            let hides = |at: usize, value: f64| {
                let is_hidden = (value != 0.0) == (place == 2);
                is_hidden == (at % columns > at / columns)
            };
            let causal = values.iter().enumerate().all(|(at, &value)| hides(at, value));
            let fits = is_square && rows == columns && causal && hidden.iter().all(|&value| value < HIDDEN);
            fits.then_some(Made::Scores(Scores { causal: true, ..scores }))
        }
        "Where" => {
            let (mask, scores) = (mask(0)?, defined(scores(1)?)?);
            let hidden = cx.constants.scalar(node.input(2)?)?;
            let keys = (scores.queries.steps, scores.keys.steps);
            let fits = match mask.shape[..] {
                [1, 1, 1, steps] => steps == keys.1,
                [1, 1, rows, steps] => (rows, steps) == keys,
                _ => false,
            };
            let first = scores.mask.is_none() && !scores.normalised && hidden < HIDDEN && fits;
            first.then_some(Made::Scores(Scores { mask: Some(mask.item), ..scores }))
        }
        "Mul" => {
            let place = (0..2).find(|&at| mask(at).is_some())?;
            let mask = mask(place)?;
            if let Some(scores) = scores(1 - place).and_then(defined) {
                // Where nothing is seen, nothing is added.
                let same = scores.normalised && scores.mask == Some(mask.item);
                return same.then_some(Made::Scores(scores));
            }
            let (&rows, &columns) = (mask.shape.get(2)?, mask.shape.get(3)?);
            let constant = cx.constant(node, 1 - place)?;
            let &[_, steps] = &constant.shape[..] else { return None };
            let values = cx.constants.values(node.input(1 - place)?)?;
            let before = |at: usize| f64::from(u8::from(at % steps <= at / steps));
            let causal = values.iter().enumerate().all(|(at, &value)| value == before(at));
            (causal && steps == columns && (rows == 1 || rows == constant.shape[0])).then_some(Made::Mask(mask))
        }
        _ => None,
    }
}

/// What a node makes of the parts of an attention; none if it does something else.
pub(in crate::import::convert) fn step(cx: &Context, node: &Node) -> Option<Made> {
    if let Some(made) = masked(cx, node) {
        return Some(made);
    }
    let scores = |index: usize| cx.scores.get(node.input(index)?).cloned().and_then(defined);
    match node.op.as_str() {
        "MatMul" => match scores(0) {
            Some(weights) => mixed(&weights, &views::of(cx, node.input(1)?)?).map(Made::View),
            None => products(&views::of(cx, node.input(0)?)?, &views::of(cx, node.input(1)?)?).map(Made::Scores),
        },
        "Mul" | "Div" => {
            let place = (0..2).find(|&at| cx.constant(node, at).is_none())?;
            let number = cx.constants.scalar(node.input(1 - place)?)?;
            let factor = match (node.op.as_str(), place) {
                ("Mul", _) => number,
                (_, 0) => 1.0 / number,
                _ => return None,
            };
            if let Some(scores) = scores(place) {
                return Some(Made::Scores(Scores { scale: scores.scale * factor, ..scores }));
            }
            // Only a view that was moved: others are values of layers.
            let view = cx.views.get(node.input(place)?)?.clone();
            Some(Made::View(View { scale: view.scale * factor, ..view }))
        }
        "Add" => {
            let place = (0..2).find(|&at| scores(at).is_some())?;
            let scores = scores(place).filter(|scores| !scores.normalised)?;
            is_causal(cx, node, 1 - place, &scores).then_some(Made::Scores(Scores { causal: true, ..scores }))
        }
        "Softmax" => {
            let scores = scores(0).filter(|scores| !scores.normalised)?;
            let last = cx.opset >= 13 && matches!(node.int("axis", -1), -1 | 2 | 3);
            last.then_some(Made::Scores(Scores { normalised: true, ..scores }))
        }
        "Dropout" | "Identity" => scores(0).map(Made::Scores),
        _ => None,
    }
}

/// Heads, steps and depth of a projection: (…, steps, depth), or with the last two exchanged.
fn projected(view: &View, exchanged: bool) -> Option<(usize, usize)> {
    let rank = view.shape.len();
    let (&[steps, depth], front) =
        (&[view.shape.get(rank.checked_sub(2)?)?, view.shape.last()?], &view.axes[..rank - 2]);
    let (steps, depth, axis) = match exchanged {
        false => (*steps, *depth, view.axes[rank - 1]),
        true => (*depth, *steps, view.axes[rank - 2]),
    };
    let heads: Vec<Part> = front.iter().copied().flatten().collect();
    let count = match heads[..] {
        [] => 1,
        [Part { of: Of::Features, size, stride }] if stride == depth => size,
        _ => return None,
    };
    let along = Part { of: Of::Features, size: depth, stride: 1 };
    (steps == view.steps && view.step.is_none() && !view.backwards && (axis == Some(along) || depth == 1))
        .then_some((count, depth))
}

/// Queries times keys.
fn products(queries: &View, keys: &View) -> Option<Scores> {
    let (heads, depth) = projected(queries, false)?;
    if projected(keys, true)? != (heads, depth) {
        return None;
    }
    let scale = queries.scale * keys.scale;
    let (queries, keys) = (queries.clone(), keys.clone());
    Some(Scores { queries, keys, heads, scale, causal: false, mask: None, normalised: false, undefined_of: None })
}

/// Weights times values.
fn mixed(weights: &Scores, values: &View) -> Option<View> {
    let (heads, depth) = projected(values, false)?;
    let scale = 1.0 / (depth as f64).sqrt();
    let fits = weights.normalised && heads == weights.heads && values.scale == 1.0;
    if !fits || (weights.scale / scale - 1.0).abs() > 1e-3 || values.steps != weights.keys.steps {
        return None;
    }
    let steps = weights.queries.steps;
    let of = Heads {
        queries: weights.queries.clone(),
        keys: weights.keys.clone(),
        values: values.clone(),
        heads,
        causal: weights.causal,
        mask: weights.mask,
    };
    let all = View::sequence(Source::Heads(Box::new(of)), steps, heads * depth);
    // The axes of the product: heads in front, then steps and depth.
    let rank = values.shape.len();
    let mut view = View { shape: values.shape.clone(), axes: values.axes.clone(), ..all };
    view.shape[rank - 2] = steps;
    view.axes[rank - 2] = (steps != 1).then_some(Part { of: Of::Steps, size: steps, stride: 1 });
    Some(view)
}

/// Whether a constant hides from each step those after it.
fn is_causal(cx: &Context, node: &Node, index: usize, scores: &Scores) -> bool {
    let Some(name) = node.input(index) else { return false };
    let (rows, columns) = (scores.queries.steps, scores.keys.steps);
    let values = cx.constants.values(name).filter(|values| values.len() == rows * columns && rows == columns);
    let Some(values) = values else { return false };
    values
        .iter()
        .enumerate()
        .all(|(at, &value)| if at % columns > at / columns { value < HIDDEN } else { value == 0.0 })
}

/// The attention of heads that are projected, as a layer.
fn layer(cx: &mut Context, of: &Heads, output: &Layer) -> Result<usize, String> {
    let name = parent(&output.name).ok_or_else(|| {
        format!("an attention whose output is projected by `{}`: its layers are not named as those of one", output.name)
    })?;
    let projection = |view: &View| match view.source {
        Source::Layer(item) => Some((item, cx.layers.items[item].clone(), view.first)),
        Source::Heads(_) => None,
    };
    let parts = [&of.queries, &of.keys, &of.values].map(projection);
    let [Some(queries), Some(keys), Some(values)] = parts else { return Err("an attention of an attention".into()) };
    let features = of.values.shape.last().copied().unwrap_or(1) * of.heads;
    let places = [queries.2, keys.2, values.2];
    let fits = match (queries.0 == keys.0, keys.0 == values.0) {
        (true, true) => places == [0, features, 2 * features],
        (false, true) => places == [0, 0, features],
        _ => places == [0, 0, 0],
    };
    let has_bias = output.parameter("bias").is_some();
    for (_, item, _) in [&queries, &keys, &values] {
        let known = item.call.name.as_deref().and_then(|name| match name {
            [crate::import::tree::Part::Literal(name)] => parent(name),
            _ => None,
        });
        let bias = item.call.argument("bias") != Some(&Val::Bool(false));
        if !item.call.is(&["Dense"]) || known != Some(name) || bias != has_bias {
            return Err("an attention whose projections are not named as one layer".into());
        }
    }
    let (x, memory) = (queries.1.inputs[0], keys.1.inputs[0]);
    if !fits || values.1.inputs[0] != memory {
        return Err("an attention whose queries, keys and values are taken otherwise".into());
    }
    let call = Call::layer("Attention")
        .with("heads", Val::Int(of.heads as i64))
        .with("causal", Val::Bool(of.causal))
        .with("bias", Val::Bool(has_bias))
        .named(Some(name));
    let inputs = match of.mask {
        Some(mask) => vec![x, memory, mask],
        None if x == memory => vec![x],
        None => vec![x, memory],
    };
    Ok(cx.layers.add(call, &inputs))
}

/// A dense layer on a view: of each step, or of what the heads of an attention give.
pub(in crate::import::convert) fn dense(cx: &mut Context, node: &Node, layer_of: &Layer, view: &View) -> Converted {
    let weight = layer_of.parameter("weight").ok_or("it has no weight")?;
    let &[units, inputs] = &weight.shape[..] else { return Err("its weight is not a matrix".into()) };
    if !view.ends_with_features() || view.step.is_some() || inputs != view.features {
        return Err("its input has its features on several axes".into());
    }
    let item = match &view.source {
        Source::Heads(heads) => layer(cx, heads, layer_of)?,
        Source::Layer(item) => {
            let call = Call::layer("Dense")
                .with("units", Val::Int(units as i64))
                .with("bias", Val::Bool(layer_of.parameter("bias").is_some()))
                .named(Some(&layer_of.name));
            cx.layers.add(call, &[*item])
        }
    };
    // The axes of the input, with other features.
    let mut given = View { source: Source::Layer(item), features: units, ..view.clone() };
    if let (Some(size), Some(axis)) = (given.shape.last_mut(), given.axes.last_mut()) {
        *size = units;
        *axis = (units != 1).then_some(Part { of: Of::Features, size: units, stride: 1 });
    }
    give(cx, &layer_of.output, node, given);
    Ok(())
}

/// Sets the view that a value has, and the layer's output, if it is one.
pub(in crate::import::convert) fn give(cx: &mut Context, name: &str, node: &Node, view: View) {
    let name = if name.is_empty() { node.output() } else { name }.to_string();
    if let Some(known) = views::resolved(cx, &view) {
        cx.define(&name, known);
    }
    cx.views.insert(name, view);
}

/// The attention that a layer is a part of, by its name.
fn parent(layer: &str) -> Option<&str> {
    parents(layer).max_by_key(|parent| parent.len())
}
