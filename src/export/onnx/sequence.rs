//! Layers over sequences: embeddings, tokens, recurrent layers.

use super::context::{Arrangement, Context, Exported, Value, in_order};
use crate::graph::{Node, ParameterId};
use crate::onnx::model::INT64;
use crate::onnx::model::Value as Attribute;
use crate::ops::sequence::recurrent::{Cell, Recurrent};

/// `Gather` of the rows of a table.
pub(super) fn embedding(cx: &mut Context<'_>, node: &Node) -> Exported {
    let x = cx.input_in_order(node, 0)?;
    let table = *node.parameters.first().ok_or("it has no table")?;
    let shape = cx.graph.parameters[table.0].shape.clone();
    let table = cx.parameter(table, "weight", Arrangement::plain(&shape));
    let indices = cx.emit("Cast", &[&x.name], vec![("to", Attribute::Int(INT64))]);
    let name = cx.emit("Gather", &[&table, &indices], Vec::new());
    let sizes = [&x.sizes[..], &shape[1..]].concat();
    let order = in_order(sizes.len());
    Ok(Value::new(name, sizes, order))
}

/// A step in front of a sequence.
pub(super) fn class_token(cx: &mut Context<'_>, node: &Node) -> Exported {
    let x = cx.input_in_order(node, 0)?;
    let token = *node.parameters.first().ok_or("it has no token")?;
    let shape = cx.graph.parameters[token.0].shape.clone();
    let token = cx.parameter(token, "weight", Arrangement::plain(&shape));
    let token = cx.for_each_sample(&x.name, 0, &token, &shape);
    let name = cx.emit("Concat", &[&token, &x.name], vec![("axis", Attribute::Int(1))]);
    Ok(Value { name, sizes: vec![x.sizes[0] + 1, x.sizes[1]], ..x })
}

/// Values that are added to each step.
pub(super) fn positions(cx: &mut Context<'_>, node: &Node) -> Exported {
    let x = cx.input_in_order(node, 0)?;
    let values = *node.parameters.first().ok_or("it has no values")?;
    let shape = cx.graph.parameters[values.0].shape.clone();
    let values = cx.parameter(values, "weight", Arrangement::plain(&shape));
    let name = cx.emit("Add", &[&x.name, &values], Vec::new());
    Ok(Value { name, ..x })
}

/// The gates of a matrix or vector of netc in ONNX's order, each with its sign: a row for each unit of a gate.
#[derive(Clone, Copy)]
struct Gates {
    /// For each gate of ONNX that of netc, and whether its sign changes.
    order: &'static [(usize, bool)],
    units: usize,
}

/// ONNX: input, output, forget, cell; netc: input, forget, cell, output.
const LSTM: &[(usize, bool)] = &[(0, false), (3, false), (1, false), (2, false)];
/// ONNX: update, reset, hidden; netc: reset, update, hidden. ONNX's update gate keeps the state, netc's takes the new one.
const GRU: &[(usize, bool)] = &[(1, true), (0, false), (2, false)];

impl Gates {
    fn width(self) -> usize {
        self.order.len() * self.units
    }

    /// (rows, gates) as (gates, rows).
    fn rows(self, values: &[f32]) -> Vec<f32> {
        let width = self.width().max(1);
        let mut out = Vec::with_capacity(values.len());
        for &(gate, negative) in self.order {
            for unit in 0..self.units {
                let column = values.iter().skip(gate * self.units + unit).step_by(width);
                out.extend(column.map(|&value| if negative { -value } else { value }));
            }
        }
        out
    }
}

/// `LSTM` and `GRU`, whose sequences have the time before the batch.
pub(super) fn recurrent(cx: &mut Context<'_>, node: &Node, layer: &Recurrent) -> Exported {
    let x = cx.input(node, 0)?;
    let [steps, features] = x.sizes[..] else { return Err("its input is not a sequence".into()) };
    let units = layer.units;
    let (op, gates) = match layer.cell {
        Cell::Lstm { .. } => ("LSTM", Gates { order: LSTM, units }),
        Cell::Gru { .. } => ("GRU", Gates { order: GRU, units }),
    };
    let part = |role: &str| -> Result<ParameterId, String> {
        cx.graph.parameter(node, role).ok_or_else(|| format!("it has no {role}"))
    };
    let (weights, states, biases) = (part("input_weights")?, part("hidden_weights")?, part("biases")?);
    let initial = [part("hidden_init"), part("cell_init")];
    let (hidden_biases, peepholes) = (
        part("hidden_biases").ok(),
        match layer.cell {
            Cell::Lstm { peepholes: Some(_), .. } => Some([
                part("weight_cell_to_ingate")?,
                part("weight_cell_to_outgate")?,
                part("weight_cell_to_forgetgate")?,
            ]),
            _ => None,
        },
    );
    let moves = vec![x.axis(0), 0, x.axis(1)];
    let over_time = cx.emit("Transpose", &[&x.name], vec![("perm", Attribute::Ints(moves))]);
    let width = gates.width();
    let matrix = move |values: &[Vec<f32>]| gates.rows(values.first().map_or(&[], Vec::as_slice));
    let weights = cx.computed(&[weights], "W", &[1, width, features], matrix);
    let states = cx.computed(&[states], "R", &[1, width, units], matrix);
    let of_biases: Vec<ParameterId> = std::iter::once(biases).chain(hidden_biases).collect();
    let biases = cx.computed(&of_biases, "B", &[1, 2 * width], move |values| {
        let mut all: Vec<f32> = values.iter().flat_map(|values| gates.rows(values)).collect();
        all.resize(2 * width, 0.0);
        all
    });
    let mut inputs = vec![over_time, weights, states, biases, String::new()];
    for state in initial {
        let Some(state) = state.ok() else { continue };
        // States that begin at zero are left out.
        inputs.push(match cx.read(state)?.iter().all(|&value| value == 0.0) {
            true => String::new(),
            false => {
                let part = cx.graph.parameters[state.0].role;
                let first = cx.parameter(state, part, Arrangement::plain(&[1, units]).shaped(&[1, 1, units]));
                cx.for_each_sample(&x.name, 1, &first, &[1, 1, units])
            }
        });
    }
    if let Some(peepholes) = peepholes {
        inputs.push(cx.computed(&peepholes, "P", &[1, 3 * units], |values| values.concat()));
    }
    while inputs.last().is_some_and(String::is_empty) {
        inputs.pop();
    }
    let mut attributes = vec![("hidden_size", Attribute::Int(units as i64))];
    if layer.backwards {
        attributes.push(("direction", Attribute::Text("reverse".into())));
    }
    if op == "GRU" {
        attributes.push(("linear_before_reset", Attribute::Int(1)));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let outputs = cx.emit_many(op, &inputs, attributes, 2);
    // The direction is an axis of the outputs.
    let squeeze = |cx: &mut Context<'_>, output: usize, axis: i64| {
        let axes = cx.list(&[axis]);
        let output = outputs.get(output).map_or("", String::as_str);
        cx.emit("Squeeze", &[output, &axes], Vec::new())
    };
    if layer.only_final {
        let name = squeeze(cx, 1, 0);
        return Ok(Value::new(name, vec![units], vec![0]));
    }
    let all = squeeze(cx, 0, 1);
    let name = cx.emit("Transpose", &[&all], vec![("perm", Attribute::Ints(vec![1, 0, 2]))]);
    Ok(Value::new(name, vec![steps, units], vec![0, 1]))
}
