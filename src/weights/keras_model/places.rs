//! References from the inputs of a layer to the outputs of others: `["name", 0, 0, {}]` in Keras 1 and 2, `keras_history` in Keras 3.

use serde_json::Value;

/// An output of a layer: the layer, the number of its call, and the number of the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'v> {
    pub layer: &'v str,
    pub call: usize,
    pub tensor: usize,
}

/// The output that a value refers to, if it is such a reference. (What follows the three parts of an older one are the keywords
/// of the call.)
pub fn place(value: &Value) -> Option<Place<'_>> {
    let history = match value {
        Value::Array(list) => list,
        Value::Object(map) if map.get("class_name").is_some_and(|class| class == "__keras_tensor__") => {
            value["config"]["keras_history"].as_array()?
        }
        _ => return None,
    };
    let [Value::String(layer), Value::Number(call), Value::Number(tensor), ..] = &history[..] else { return None };
    let number = |number: &serde_json::Number| usize::try_from(number.as_u64()?).ok();
    Some(Place { layer, call: number(call)?, tensor: number(tensor)? })
}

/// All references in a value, in order.
pub fn places(value: &Value) -> Vec<Place<'_>> {
    let mut found = Vec::new();
    gather(value, &mut found);
    found
}

fn gather<'v>(value: &'v Value, found: &mut Vec<Place<'v>>) {
    let own = place(value);
    found.extend(own);
    match value {
        Value::Array(list) => {
            let rest = if own.is_some() { 3 } else { 0 };
            list.iter().skip(rest).for_each(|value| gather(value, found));
        }
        Value::Object(map) if own.is_none() => map.values().for_each(|value| gather(value, found)),
        _ => {}
    }
}
