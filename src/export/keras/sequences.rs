//! Recurrent layers and attention.

use super::context::{Context, Converted, lacks};
use super::model::{Argument, Call, LAYERS, Tensor, Variables};
use crate::graph::{Node, NodeId};
use crate::ops::attention::Attention;
use crate::ops::sequence::recurrent::{Cell, Recurrent};
use serde_json::json;

/// `LSTM` and `GRU`; Keras' GRU has biases of the state, which are zero where netc's has none.
pub(super) fn recurrent(cx: &mut Context, id: NodeId, layer: &Recurrent, x: Tensor) -> Converted {
    let node = cx.graph.node(id);
    if layer.backwards && !layer.only_final {
        return Err(format!(
            "Keras gives the states of a backward layer from the last step to the first: `{}`",
            node.name
        ));
    }
    let mut config = json!({
        "units": layer.units,
        "return_sequences": !layer.only_final,
        "go_backwards": layer.backwards,
    });
    let class = match layer.cell {
        Cell::Lstm { .. } => "LSTM",
        Cell::Gru { .. } => {
            config["reset_after"] = json!(true);
            "GRU"
        }
    };
    cx.with_variables(node, class, config, x, node.output.clone(), "cell")
}

/// `MultiHeadAttention` with as many features in all heads as its input has.
pub(super) fn attention(cx: &mut Context, id: NodeId, inputs: &[Tensor]) -> Converted {
    let node = cx.graph.node(id);
    let Some(layer) = node.operation.as_any().downcast_ref::<Attention>() else { return Err(lacks(node)) };
    let features = node.output.channels().known().ok_or_else(|| lacks(node))?;
    let depth = features / layer.heads.max(1);
    let config = json!({
        "num_heads": layer.heads,
        "key_dim": depth,
        "value_dim": depth,
        "dropout": layer.dropout,
        "use_bias": layer.bias.is_some(),
    });
    let (query, value, mask) = match *inputs {
        [x] => (x, x, None),
        [x, memory] => (x, memory, None),
        [x, memory, mask] => (x, memory, Some(mask)),
        _ => return Err(lacks(node)),
    };
    let mut keywords = Vec::new();
    if layer.causal {
        keywords.push(("use_causal_mask", Argument::Constant(json!(true))));
    }
    if let Some(mask) = mask {
        // One mask for all queries has an axis less.
        if cx.model.output(mask).sizes.len() != 2 {
            return Err(format!("Keras' attention takes a mask for each query: `{}` has one for all", node.name));
        }
        keywords.push(("attention_mask", Argument::One(mask)));
    }
    let arguments = vec![Argument::One(query), Argument::One(value)];
    let call = Call { arguments, keywords, output: node.output.clone() };
    let (heads, bias) = (layer.heads, layer.bias.is_some());
    cx.call_with_variables(node, ("MultiHeadAttention", LAYERS), config, call, |cx| {
        projections(cx, node, [heads, depth], bias)
    })
}

/// The dense layers of an attention, from the matrices that netc has beside each other.
fn projections(cx: &Context, node: &Node, [heads, depth]: [usize; 2], bias: bool) -> Result<Vec<Variables>, String> {
    let width = heads * depth;
    // Where the columns of queries, keys and values are.
    let places: [(&str, &str, usize); 3] = match cx.parameter(node, "in_proj_weight")? {
        Some(_) => [("query_dense", "in_proj", 0), ("key_dense", "in_proj", 1), ("value_dense", "in_proj", 2)],
        None => [("query_dense", "q_proj", 0), ("key_dense", "kv_proj", 0), ("value_dense", "kv_proj", 1)],
    };
    let mut parts: Vec<Variables> = Vec::new();
    for (part, name, place) in places {
        let (shape, weight) = cx.parameter(node, &format!("{name}_weight"))?.ok_or_else(|| lacks(node))?;
        let (rows, all) = (shape.first().copied().unwrap_or(0), shape.last().copied().unwrap_or(1).max(1));
        let columns = |values: &[f32]| -> Vec<f32> {
            values.chunks_exact(all).flat_map(|row| row.iter().skip(place * width).take(width)).copied().collect()
        };
        let mut variables = vec![(vec![rows, heads, depth], columns(&weight))];
        if bias {
            let (_, biases) = cx.parameter(node, &format!("{name}_bias"))?.ok_or_else(|| lacks(node))?;
            variables.push((vec![heads, depth], columns(&biases)));
        }
        parts.push((part, variables));
    }
    let (shape, weight) = cx.parameter(node, "out_proj_weight")?.ok_or_else(|| lacks(node))?;
    let mut variables = vec![(vec![heads, depth, shape.last().copied().unwrap_or(width)], weight)];
    if bias {
        variables.extend(cx.parameter(node, "out_proj_bias")?);
    }
    parts.push(("output_dense", variables));
    Ok(parts)
}
