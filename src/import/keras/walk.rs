//! A model from its inputs to its outputs: each call of a layer becomes layers of the language, as soon as what it takes is known.

use super::config::{Layer, Model, Operand};
use super::convert::{self, Context, Given, Known, MAX_LAYERS, Part};
use crate::import::layers::Layers;
use crate::import::tree::{Call, Val};
use crate::weights::keras_model::Place;
use std::collections::{BTreeSet, HashMap};

/// What the calls of the layers of a model give, by layer and call: its tensors, or nothing where a layer before could not be
/// expressed.
type Values = HashMap<(usize, usize), Vec<Known>>;

/// Converts the layers of a model that `outputs` need and returns what these are; `None` for one that is not known.
///
/// # Errors
/// References that lead nowhere, calls in a circle, and more layers than a spec may have.
pub(super) fn walk<'v>(
    cx: &mut Context<'v>,
    model: &'v Model<'v>,
    inputs: Vec<Known>,
    outputs: &[Place<'_>],
) -> Result<Vec<Option<Known>>, String> {
    let mut values = Values::new();
    for (place, known) in model.inputs.iter().zip(inputs) {
        values.insert(key(model, *place)?, vec![known]);
    }
    let calls = needed(model, outputs)?;
    let mut used: HashMap<usize, usize> = HashMap::new();
    calls.keys().for_each(|(layer, _)| *used.entry(*layer).or_default() += 1);
    let mut waiting: HashMap<(usize, usize), usize> = HashMap::new();
    let mut readers: HashMap<(usize, usize), Vec<(usize, usize)>> = HashMap::new();
    let mut ready = BTreeSet::new();
    for (&call, from) in &calls {
        let open: BTreeSet<_> = from.iter().filter(|from| !values.contains_key(from)).copied().collect();
        open.iter().for_each(|&from| readers.entry(from).or_default().push(call));
        if open.is_empty() && !values.contains_key(&call) {
            ready.insert(call);
        }
        waiting.insert(call, open.len());
    }
    let mut done = calls.keys().filter(|call| values.contains_key(call)).count();
    while let Some(call) = ready.pop_first() {
        done += 1;
        let layer = &model.layers[call.0];
        let given = given(model, layer, call.1, &values)?;
        let found = match &layer.model {
            Some(inner) => nested(cx, layer, inner, given, used.get(&call.0).copied().unwrap_or(1) > 1)?,
            None => convert::layer(cx, layer, given, used.get(&call.0).copied().unwrap_or(1) > 1),
        };
        if cx.made() > MAX_LAYERS {
            return Err(format!("becomes more than {MAX_LAYERS} layers"));
        }
        values.insert(call, found);
        for reader in readers.remove(&call).unwrap_or_default() {
            if let Some(open) = waiting.get_mut(&reader) {
                *open = open.saturating_sub(1);
                if *open == 0 {
                    ready.insert(reader);
                }
            }
        }
    }
    if done < calls.len() {
        return Err("calls layers in a cycle".into());
    }
    outputs
        .iter()
        .map(|place| Ok(values.get(&key(model, *place)?).and_then(|tensors| tensors.get(place.tensor)).cloned()))
        .collect()
}

/// A layer and its call.
type Called = (usize, usize);

/// The calls that the outputs need, each with those that give what it takes.
fn needed(model: &Model, outputs: &[Place<'_>]) -> Result<HashMap<Called, Vec<Called>>, String> {
    let mut calls = HashMap::new();
    let mut open: Vec<(usize, usize)> = outputs.iter().map(|place| key(model, *place)).collect::<Result<_, _>>()?;
    while let Some(call) = open.pop() {
        if calls.contains_key(&call) {
            continue;
        }
        let of_call = model.layers[call.0].calls.get(call.1);
        let from: Vec<(usize, usize)> = of_call
            .into_iter()
            .flat_map(|call| call.tensors())
            .map(|place| key(model, place))
            .collect::<Result<_, _>>()?;
        open.extend(&from);
        calls.insert(call, from);
    }
    Ok(calls)
}

/// The layer and the number of the call that a reference means. Where a layer is called once, that is meant, whatever its number:
/// some versions count calls in other models too.
fn key(model: &Model, place: Place<'_>) -> Result<(usize, usize), String> {
    let at = *model.index.get(place.layer).ok_or_else(|| format!("refers to a missing layer `{}`", place.layer))?;
    let calls = model.layers[at].calls.len().max(1);
    match place.call {
        _ if calls == 1 => Ok((at, 0)),
        call if call < calls => Ok((at, call)),
        call => Err(format!("refers to call {call} of the layer `{}`, which is called {calls} times", place.layer)),
    }
}

/// What a call is given, as far as it is known.
fn given<'v>(model: &Model, layer: &Layer<'v>, call: usize, values: &Values) -> Result<Given<'v>, String> {
    let mut given = Given::default();
    let Some(call) = layer.calls.get(call) else { return Ok(given) };
    let mut known = |place: Place<'_>| -> Result<Option<Known>, String> {
        let found = values.get(&key(model, place)?).and_then(|tensors| tensors.get(place.tensor)).cloned();
        given.missing |= found.is_none();
        Ok(found)
    };
    let (mut operands, mut keywords) = (Vec::new(), Vec::new());
    for operand in &call.operands {
        match operand {
            Operand::Tensor(place) => operands.extend(known(*place)?.map(convert::Argument::Value)),
            Operand::Constant(value) => operands.push(convert::Argument::Constant(value)),
        }
    }
    for (name, operand) in &call.keywords {
        match operand {
            Operand::Tensor(place) => {
                keywords.extend(known(*place)?.map(|known| (*name, convert::Argument::Value(known))));
            }
            Operand::Constant(value) => keywords.push((*name, convert::Argument::Constant(value))),
        }
    }
    (given.operands, given.keywords) = (operands, keywords);
    Ok(given)
}

/// Converts one call of a nested model and returns what it gives: one that takes a value and gives one becomes a net of its own,
/// others are written out in place.
///
/// # Errors
/// As [`walk`].
fn nested<'v>(
    cx: &mut Context<'v>,
    layer: &'v Layer<'v>,
    model: &'v Model<'v>,
    given: Given<'v>,
    shared: bool,
) -> Result<Vec<Known>, String> {
    let inputs = given.values();
    if given.missing || inputs.len() != model.inputs.len() {
        return Ok(Vec::new());
    }
    let mut images = Vec::new();
    for known in inputs {
        images.push(cx.image(known)?);
    }
    cx.path.push(layer.name);
    let around = cx.within_shared;
    cx.within_shared |= shared;
    let found = match (&images[..], &model.outputs[..]) {
        ([input], [_]) => part(cx, model, input),
        _ => walk(cx, model, images, &model.outputs).map(|found| found.into_iter().flatten().collect()),
    };
    cx.within_shared = around;
    cx.path.pop();
    found
}

/// A model as a net; each call of it mentions the net.
fn part<'v>(cx: &mut Context<'v>, model: &'v Model<'v>, input: &Known) -> Result<Vec<Known>, String> {
    let path: Vec<String> = cx.path.iter().map(|name| name.to_string()).collect();
    if !cx.parts.iter().any(|part| part.path == path) {
        let around = std::mem::take(&mut cx.layers);
        let shared = std::mem::replace(&mut cx.within_shared, false);
        let call = Call::layer("Input").with("shape", Val::Sizes(input.sizes.clone()));
        let inside = cx.add(call, &[]).map(|root| Known { guessed: input.guessed, ..root });
        let found = inside.and_then(|root| walk(cx, model, vec![root], &model.outputs));
        // An image of one pixel leaves the net as an image.
        let output = match found.map(|mut found| found.pop().flatten()) {
            Ok(Some(output)) => cx.image(output).map(Some),
            Ok(None) => Ok(None),
            Err(reason) => Err(reason),
        };
        let mut layers: Layers = std::mem::replace(&mut cx.layers, around);
        cx.within_shared = shared;
        let Some(output) = output? else { return Ok(Vec::new()) };
        // Nothing in it acts outside of training.
        if output.item == 0 {
            return Ok(vec![Known { guessed: output.guessed, ..input.clone() }]);
        }
        layers.outputs = vec![output.item];
        let name = cx.word(model.name);
        cx.parts.push(Part { name, path: path.clone(), layers, input: input.sizes.clone(), output });
    }
    let Some(part) = cx.parts.iter().find(|part| part.path == path) else { return Ok(Vec::new()) };
    if part.input != input.sizes {
        return Err(format!("calls `{}` with inputs of different sizes", model.name));
    }
    let (call, output) = (Call { function: part.name.clone(), arguments: Vec::new(), name: None }, part.output.clone());
    let known = cx.push_model(call, input, output.sizes);
    Ok(vec![Known { guessed: known.guessed || output.guessed, ..known }])
}
