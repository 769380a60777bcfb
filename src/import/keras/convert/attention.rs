//! Attention.

use super::context::{Argument, Context, Converted, Given, int, number};
use crate::import::keras::config::Layer;
use crate::import::tree::Val;

/// `MultiHeadAttention`, called with queries, values and keys; the keys are the values where they are not given.
pub(super) fn multi_head<'v>(cx: &mut Context<'v>, layer: &Layer<'v>, given: &Given<'v>) -> Converted {
    let place = |at: usize, name: &str| match given.operands.get(at).or(given.keyword(name)) {
        Some(Argument::Value(known)) => Some(known.clone()),
        _ => None,
    };
    let query = place(0, "query").ok_or("it has no queries")?;
    let value = place(1, "value").ok_or("it has no values")?;
    let key = place(2, "key").unwrap_or_else(|| value.clone());
    if key.item != value.item {
        return Err("its keys are not its values".into());
    }
    let heads = layer.size(&["num_heads"], None)?;
    let depth = layer.size(&["key_dim"], None)?;
    let features = query.channels();
    let of_value = layer.size(&["value_dim"], Some(depth))?;
    if heads.checked_mul(depth) != Some(features) || of_value != depth {
        return Err(format!(
            "its {heads} heads of {depth} and {of_value} are not the {features} features of the queries together"
        ));
    }
    if layer.sizes(&["output_shape"], 1, Some(features))? != [features] {
        return Err("its output has another number of features".into());
    }
    if query.sizes.len() != 2 || layer.integers(&["attention_axes"])?.is_some_and(|axes| axes != [1]) {
        return Err("it attends along other axes than time".into());
    }
    if layer.is("use_gate", false) || layer.get(&["sliding_window"]).is_some() {
        return Err("it has a gate or a sliding window".into());
    }
    for mask in ["query_mask", "value_mask", "key_mask"] {
        if given.keyword(mask).is_some() {
            return Err(format!("it has a {mask}"));
        }
    }
    let call = cx
        .named("Attention", layer)
        .with("heads", int(heads))
        .with("causal", Val::Bool(given.is("use_causal_mask")))
        .with("dropout", number(layer.number(&["dropout"], 0.0)?))
        .with("bias", Val::Bool(layer.is("use_bias", true)));
    let mask = place(3, "attention_mask");
    match (mask, query.item == value.item) {
        (None, true) => cx.add(call, &[&query]),
        (None, false) => cx.add(call, &[&query, &value]),
        (Some(mask), _) => cx.add(call, &[&query, &value, &mask]),
    }
}
