//! Nested models: one that takes a value and gives one becomes a net of its own; others are written out in place.

use super::config::{Layer, Model};
use super::convert::{Context, Given, Known, Part};
use super::walk::walk;
use crate::import::layers::Layers;
use crate::import::tree::{Call, Val};

/// Converts one call of a nested model and returns what it gives.
///
/// # Errors
/// As [`walk`].
pub(super) fn convert<'v>(
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
