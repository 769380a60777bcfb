//! Attention, written out as products and a softmax: opset 23 has an operator for it, which few programs run.

use super::context::{Context, Exported, Value};
use super::dense::projection;
use crate::graph::Node;
use crate::onnx::model::Value as Attribute;
use crate::onnx::model::{BOOL, FLOAT};
use crate::ops::attention::Attention;

/// The score of a key that is not seen; its weight is zero, and no product of it overflows.
const UNSEEN: f32 = -1e30;

/// The projection of this name.
fn project(cx: &mut Context<'_>, node: &Node, x: &Value, name: &str, units: usize) -> Result<String, String> {
    let of_role = |part: &str| cx.graph.parameter(node, &format!("{name}_{part}"));
    let weight = of_role("weight").ok_or_else(|| format!("it has no {name}_weight"))?;
    let bias = of_role("bias");
    let parts = ["weight", "bias"].map(|part| format!("{name}.{part}"));
    let features = x.sizes.last().copied().unwrap_or(1);
    Ok(projection(cx, &x.name, (weight, bias), parts.each_ref().map(String::as_str), [features, units]))
}

pub(super) fn attention(cx: &mut Context<'_>, node: &Node, layer: &Attention) -> Exported {
    let x = cx.input_in_order(node, 0)?;
    let [queries, features] = x.sizes[..] else { return Err("its input is not a sequence".into()) };
    let memory = if node.inputs.len() > 1 { Some(cx.input_in_order(node, 1)?) } else { None };
    let keys = memory.as_ref().map_or(queries, |memory| memory.sizes[0]);
    let split = |cx: &mut Context<'_>, name: &str, parts: usize| {
        let sizes = cx.list(&vec![features as i64; parts]);
        cx.emit_many("Split", &[name, &sizes], vec![("axis", Attribute::Int(2))], parts)
    };
    let parts = match &memory {
        None => {
            let all = project(cx, node, &x, "in_proj", 3 * features)?;
            split(cx, &all, 3)
        }
        Some(memory) => {
            let q = project(cx, node, &x, "q_proj", features)?;
            let kv = project(cx, node, memory, "kv_proj", 2 * features)?;
            [vec![q], split(cx, &kv, 2)].concat()
        }
    };
    let [q, k, v] = &parts[..] else { return Err("it has no queries, keys and values".into()) };
    let depth = features / layer.heads;
    // (batch, steps, features) as (batch, heads, steps, depth), or with the steps last.
    let heads = |cx: &mut Context<'_>, name: &str, steps: usize, order: [i64; 4]| {
        let heads = cx.reshape(name, &[steps, layer.heads, depth]);
        cx.emit("Transpose", &[&heads], vec![("perm", Attribute::Ints(order.to_vec()))])
    };
    let q = heads(cx, q, queries, [0, 2, 1, 3]);
    let k = heads(cx, k, keys, [0, 2, 3, 1]);
    let v = heads(cx, v, keys, [0, 2, 1, 3]);
    let products = cx.emit("MatMul", &[&q, &k], Vec::new());
    let factor = cx.scalar((1.0 / (depth as f64).sqrt()) as f32);
    let mut scores = cx.emit("Mul", &[&products, &factor], Vec::new());
    if layer.causal {
        let later = |at: usize| if at % keys > at / keys { UNSEEN } else { 0.0 };
        let mask = cx.constant(&[queries, keys], (0..queries * keys).map(later).collect());
        scores = cx.emit("Add", &[&scores, &mask], Vec::new());
    }
    let mask = if node.inputs.len() > 2 { Some(seen(cx, node, queries, keys)?) } else { None };
    if let Some(seen) = &mask {
        let unseen = cx.scalar(UNSEEN);
        scores = cx.emit("Where", &[seen, &scores, &unseen], Vec::new());
    }
    let mut weights = cx.emit("Softmax", &[&scores], Vec::new());
    if let Some(seen) = &mask {
        // A step that sees nothing gives zeros.
        let mut factor = cx.emit("Cast", &[seen], vec![("to", Attribute::Int(FLOAT))]);
        if layer.causal {
            let before = |at: usize| if at % keys > at / keys { 0.0 } else { 1.0 };
            let causal = cx.constant(&[queries, keys], (0..queries * keys).map(before).collect());
            factor = cx.emit("Mul", &[&factor, &causal], Vec::new());
        }
        weights = cx.emit("Mul", &[&weights, &factor], Vec::new());
    }
    let mixed = cx.emit("MatMul", &[&weights, &v], Vec::new());
    let beside = cx.emit("Transpose", &[&mixed], vec![("perm", Attribute::Ints(vec![0, 2, 1, 3]))]);
    let name = cx.reshape(&beside, &[queries, features]);
    let joined = Value::new(name, vec![queries, features], vec![0, 1]);
    let name = project(cx, node, &joined, "out_proj", features)?;
    Ok(Value { name, ..joined })
}

/// Which keys a query sees, for all heads.
fn seen(cx: &mut Context<'_>, node: &Node, queries: usize, keys: usize) -> Result<String, String> {
    let mask = cx.input_in_order(node, 2)?;
    let rows = if mask.sizes.len() == 1 { 1 } else { queries };
    let seen = cx.emit("Cast", &[&mask.name], vec![("to", Attribute::Int(BOOL))]);
    Ok(cx.reshape(&seen, &[1, rows, keys]))
}
