//! Layers over sequences: embeddings, recurrent layers and the layers that wrap others.

use super::context::{Context, Converted, Given, int};
use super::dense::has_bias;
use crate::import::keras::config::Layer;
use crate::import::tree::{Call, Val};

/// `Embedding`
pub(super) fn embedding<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    if layer.is("mask_zero", false) {
        return Err("it masks index 0 (mask_zero=True), which the layers after it then skip".into());
    }
    let call = cx
        .named("Embedding", layer)
        .with("input_size", int(layer.size(&["input_dim"], None)?))
        .with("output_size", int(layer.size(&["output_dim"], None)?));
    cx.add(call, &[&given.one()?])
}

/// `LSTM` and `GRU` from a state of zeros.
pub(super) fn recurrent<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>, function: &str) -> Converted {
    let name = cx.name(layer);
    let backwards = layer.is("go_backwards", false);
    if backwards && layer.is("return_sequences", false) {
        return Err("it gives the states of all steps from the last to the first".into());
    }
    one_way(cx, layer, given, function, &name, backwards)
}

fn one_way<'v>(
    cx: &mut Context<'v>,
    layer: &Layer<'v>,
    given: &Given<'v>,
    function: &str,
    name: &str,
    backwards: bool,
) -> Converted {
    for (keys, wanted) in
        [(&["activation"][..], "tanh"), (&["recurrent_activation", "inner_activation"][..], "sigmoid")]
    {
        match layer.get(keys) {
            Some(value) if value.as_str() != Some(wanted) && value["config"].as_str() != Some(wanted) => {
                return Err(format!("its {} is {value}, not {wanted}", keys[0]));
            }
            _ => {}
        }
    }
    if !has_bias(layer) || layer.is("stateful", false) {
        return Err("it has no biases, or keeps its state between batches".into());
    }
    let mut call = Call::layer(function)
        .named(Some(name))
        .with("n_units", int(layer.size(&["units", "output_dim"], None)?))
        .with("only_return_final", Val::Bool(!layer.is("return_sequences", false)))
        .with("backwards", Val::Bool(backwards));
    if function == "GRU" {
        // Without a word in the file, Keras 1 wrote it.
        if !layer.is("reset_after", false) {
            return Err("it applies the reset gate before the weights of the state (reset_after=False)".into());
        }
        call = call.with("reset_after", Val::Bool(true));
    }
    cx.add(call, &[&given.one()?])
}

/// `Bidirectional`: the same layer forwards and backwards, joined.
pub(super) fn bidirectional<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let forward = layer.inner("layer", layer.name).ok_or("it has no layer")?;
    let backward = layer.inner("backward_layer", layer.name);
    let function = match forward.class {
        "LSTM" => "LSTM",
        "GRU" => "GRU",
        class => return Err(format!("its layer is a `{class}`: LSTM and GRU are taken")),
    };
    let join = match layer.text(&["merge_mode"]) {
        Some("concat") => "Concatenate",
        Some("sum") => "Add",
        Some("mul") => "Multiply",
        Some("ave") => "Average",
        other => return Err(format!("it joins both by `{}`", other.unwrap_or("nothing"))),
    };
    if forward.is("go_backwards", false) || backward.as_ref().is_some_and(|layer| !layer.is("go_backwards", false)) {
        return Err("its two layers do not run forwards and backwards".into());
    }
    let name = cx.name(layer);
    let a = one_way(cx, &forward, given, function, &format!("{name}/forward"), false)?;
    let b = one_way(cx, backward.as_ref().unwrap_or(&forward), given, function, &format!("{name}/backward"), true)?;
    cx.add(Call::layer(join), &[&a, &b])
}
