//! The table of layers that `netc show` prints, as text and as JSON.

use super::number_format::{Cost, costs, magnitude, short_layer, total_multiply_adds};
use super::scopes::{beginning, scoped_names, scopes};
use crate::diagnostics::counted;
use crate::diagnostics::numbers::{bytes, thousands};
use crate::graph::{Graph, NodeId};
use crate::plan::Plan;
use serde_json::{Value, json as object};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;
use unicode_width::UnicodeWidthStr;

/// The minimum width of the inputs column.
const NARROWEST_INPUTS: usize = 16;

/// A column: its title, and whether it is right-aligned.
type Column = (&'static str, bool);

const COLUMNS: [Column; 6] =
    [("#", true), ("name", false), ("layer", false), ("output", false), ("parameters", true), ("multiply-adds", true)];

/// The columns that a narrow terminal does without, the first one first.
const DISPENSABLE: [usize; 3] = [5, 4, 0];
/// The column of layers with their settings, which are cut short before names and sizes are.
const LAYER: usize = 2;
/// The least that remains of a layer.
const NARROWEST_LAYER: usize = 12;

/// The form of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableOptions<'a> {
    /// The width of the terminal: inputs are wrapped, columns left out and settings cut short to fit it; names never are.
    pub width: Option<usize>,
    /// The depth of scopes to which layers are listed; deeper ones are one row for each scope.
    pub depth: Option<usize>,
    /// The plan of a graph after the passes: rows have the number of the step that computes them in place of that of the layer.
    pub plan: Option<&'a Plan>,
}

/// The summary line, the documentation, one row per layer or folded scope, and the totals.
pub fn table(graph: &Graph, docs: &[String], options: TableOptions<'_>) -> String {
    let TableOptions { width, depth, plan } = options;
    let costs: Vec<_> = costs(graph).split_off(graph.open_inputs);
    let layers: Vec<NodeId> = graph.layers().collect();
    let groups = groups(graph, &layers, depth);
    let mut rows: Vec<[String; 6]> = groups
        .iter()
        .map(|(scope, range)| match scope {
            Some(scope) => folded_cells(graph, scope, &layers[range.clone()], &costs[range.clone()]),
            None => cells(graph, layers[range.start], &costs[range.start]),
        })
        .collect();
    if let Some(plan) = plan {
        for (row, (_, range)) in rows.iter_mut().zip(&groups) {
            row[0] = steps_of(graph, plan, &layers[range.clone()]);
        }
    }
    let is_frozen = |range: &Range<usize>| layers[range.clone()].iter().all(|&id| graph.node(id).frozen);
    let marks: Vec<&str> = groups.iter().map(|(_, range)| if is_frozen(range) { "frozen" } else { "" }).collect();
    let inputs: Vec<Vec<&str>> = groups.iter().map(|(_, range)| inputs_text(graph, layers[range.start])).collect();
    let frozen = marks.iter().any(|mark| !mark.is_empty());
    let has_inputs_column = inputs.iter().any(|inputs| !inputs.is_empty());

    let mut widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0).max(COLUMNS[column].0.width()))
        .enumerate()
        .map(|(column, width)| if column == 0 && plan.is_some() { width.max("step".len()) } else { width })
        .collect();
    let mark_width = if frozen { "frozen".len() + 2 } else { 0 };
    let mut shown: Vec<usize> = (0..COLUMNS.len()).collect();
    let taken =
        |shown: &[usize], widths: &[usize]| shown.iter().map(|&column| widths[column] + 2).sum::<usize>() + mark_width;
    // No space follows the last column.
    let least_inputs = if has_inputs_column { NARROWEST_INPUTS } else { 0 };
    let available = width.unwrap_or(usize::MAX).saturating_add(if has_inputs_column { 0 } else { 2 });
    for column in DISPENSABLE {
        if taken(&shown, &widths) + least_inputs > available {
            shown.retain(|&other| other != column);
        }
    }
    let excess = (taken(&shown, &widths) + least_inputs).saturating_sub(available);
    if excess > 0 {
        widths[LAYER] = widths[LAYER].saturating_sub(excess).max(NARROWEST_LAYER).min(widths[LAYER]);
        rows.iter_mut().for_each(|row| shorten(&mut row[LAYER], widths[LAYER]));
    }
    let left = taken(&shown, &widths);
    let inputs_width = width.map(|width| width.saturating_sub(left).max(NARROWEST_INPUTS));

    let sentence = |text: &str| match width {
        Some(width) => textwrap::fill(text, width.max(NARROWEST_INPUTS)),
        None => text.to_string(),
    };
    let mut out = sentence(&graph.summary());
    out.push('\n');
    for line in docs {
        out.push_str(line.trim());
        out.push('\n');
    }
    out.push('\n');
    let mut line = |cells: &[&str], mark: &str, inputs: &[String]| {
        let mut text = String::new();
        for &column in &shown {
            let (cell, (_, right), width) = (cells[column], COLUMNS[column], widths[column]);
            let space = " ".repeat(width.saturating_sub(cell.width()));
            let _ = if right { write!(text, "{space}{cell}  ") } else { write!(text, "{cell}{space}  ") };
        }
        if frozen {
            let _ = write!(text, "{mark:6}  ");
        }
        text.push_str(inputs.first().map_or("", String::as_str));
        out.push_str(text.trim_end());
        out.push('\n');
        for more in inputs.iter().skip(1) {
            let _ = writeln!(out, "{}{more}", " ".repeat(left));
        }
    };
    let mut titles: Vec<&str> = COLUMNS.iter().map(|(title, _)| *title).collect();
    if plan.is_some() {
        titles[0] = "step";
    }
    let inputs_title = if has_inputs_column { vec!["inputs".to_string()] } else { Vec::new() };
    line(&titles, "", &inputs_title);
    for ((row, mark), inputs) in rows.iter().zip(marks).zip(&inputs) {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(&cells, mark, &wrap(inputs, inputs_width));
    }
    out.push('\n');
    let steps = plan.map(|plan| format!("{}: `netc build --emit plan` prints them", counted(plan.steps.len(), "step")));
    for line in [Some(totals(&costs)), outputs(graph), memory(graph, &layers), steps].into_iter().flatten() {
        out.push_str(&sentence(&line));
        out.push('\n');
    }
    out
}

/// The steps that compute layers: `4`, `4..7`, or `-` where a view of others is enough.
fn steps_of(graph: &Graph, plan: &Plan, layers: &[NodeId]) -> String {
    let steps: BTreeSet<usize> = layers.iter().filter_map(|&id| plan.step_of(&graph.node(id).name)).collect();
    match (steps.first(), steps.last()) {
        (Some(first), Some(last)) if first < last => format!("{first}..{last}"),
        (Some(only), _) => only.to_string(),
        _ => "-".into(),
    }
}

/// Cuts a text to a width, with an ellipsis; what is fused into a layer is kept if there is room for it.
fn shorten(text: &mut String, width: usize) {
    let fused = [", added", ", then "].iter().filter_map(|word| text.find(word)).min().unwrap_or(text.len());
    let tail = text.split_off(fused);
    if tail.is_empty() || text.width() + tail.width() <= width || tail.width() + NARROWEST_LAYER > width {
        text.push_str(&tail);
        return cut(text, width);
    }
    cut(text, width - tail.width());
    text.push_str(&tail);
}

fn cut(text: &mut String, width: usize) {
    if text.width() > width {
        let end = text.char_indices().map(|(at, _)| at).take_while(|&at| text[..at].width() < width).last();
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
}

/// The layers in rows: each alone, or with the others of its scope at this depth, which then is named. Layers without a scope
/// between two of one scope belong to it.
pub(super) fn groups(graph: &Graph, layers: &[NodeId], depth: Option<usize>) -> Vec<(Option<String>, Range<usize>)> {
    let names = scoped_names(graph);
    let scope = |index: usize| {
        let name = &names[layers[index].0];
        let depth = depth.filter(|&depth| depth > 0 && scopes(name).len() >= depth)?;
        // The scope as it is written, with its separators.
        Some(beginning(name, depth))
    };
    let mut groups = Vec::new();
    let mut start = 0;
    while start < layers.len() {
        let Some(name) = scope(start) else {
            groups.push((None, start..start + 1));
            start += 1;
            continue;
        };
        let mut end = start + 1;
        let mut next = end;
        while next < layers.len() && scope(next).is_none_or(|other| other == name) {
            next += 1;
            if scope(next - 1).is_some() {
                end = next;
            }
        }
        groups.push((Some(name.to_string()), start..end));
        start = end;
    }
    groups
}

fn folded_cells(graph: &Graph, scope: &str, layers: &[NodeId], costs: &[Cost]) -> [String; 6] {
    let index = |id: NodeId| id.0 - graph.open_inputs;
    let (first, last) = (layers[0], layers[layers.len() - 1]);
    [
        format!("{}..{}", index(first), index(last)),
        format!("{scope}/"),
        counted(layers.len(), "layer"),
        graph.node(last).output.to_string(),
        thousands(costs.iter().map(|cost| cost.parameters).sum()),
        total_multiply_adds(costs).map_or("?".into(), magnitude),
    ]
}

/// `per image: 588.0 KiB in, 4,000 bytes out, 57.5 MiB in the outputs of all layers`; none with unknown sizes.
fn memory(graph: &Graph, layers: &[NodeId]) -> Option<String> {
    let values = |ids: &[NodeId]| {
        ids.iter().try_fold(0u64, |sum, &id| Some(sum.saturating_add(graph.node(id).output.len()? as u64)))
    };
    let is_input = |id: &NodeId| graph.node(*id).inputs.is_empty();
    let inputs: Vec<NodeId> = graph.ids().filter(is_input).collect();
    let [inputs, outputs, all] = [values(&inputs)?, values(&graph.outputs)?, values(layers)?].map(weight_size);
    Some(format!("per image: {inputs} in, {outputs} out, {all} in the outputs of all layers"))
}

/// `outputs: species (?, 2), box (?, 3)`; none for the usual net, whose output is its last layer.
fn outputs(graph: &Graph) -> Option<String> {
    let last = graph.layers().next_back();
    if graph.outputs.len() == 1 && graph.outputs.first().copied() == last {
        return None;
    }
    let each = graph.outputs.iter().zip(graph.output_names());
    let each: Vec<String> = each.map(|(&id, name)| format!("{name} {}", graph.node(id).output)).collect();
    let noun = if each.len() == 1 { "output" } else { "outputs" };
    (!each.is_empty()).then(|| format!("{noun}: {}", each.join(", ")))
}

fn cells(graph: &Graph, id: NodeId, cost: &Cost) -> [String; 6] {
    let node = graph.node(id);
    [
        (id.0 - graph.open_inputs).to_string(),
        node.name.clone(),
        short_layer(graph, id),
        node.output.to_string(),
        thousands(cost.parameters),
        cost.macs.map_or("?".into(), magnitude),
    ]
}

/// The names of a layer's inputs; none if the only input is the previous row.
fn inputs_text(graph: &Graph, id: NodeId) -> Vec<&str> {
    match graph.node(id).inputs[..] {
        [NodeId(before)] if before + 1 == id.0 => Vec::new(),
        ref inputs => inputs.iter().map(|&input| graph.node(input).name.as_str()).collect(),
    }
}

/// Wraps a list of names at this width.
fn wrap(names: &[&str], width: Option<usize>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let comma = if index + 1 < names.len() { "," } else { "" };
        match lines.last_mut() {
            Some(line) if width.is_none_or(|width| line.width() + 1 + name.width() + comma.len() <= width) => {
                let _ = write!(line, " {name}{comma}");
            }
            _ => lines.push(format!("{name}{comma}")),
        }
    }
    lines
}

/// `134,301,514 parameters (40,970 trainable), 15.5 G multiply-adds, 512.3 MiB of weights`
pub(super) fn totals(costs: &[Cost]) -> String {
    let parameters: u64 = costs.iter().map(|cost| cost.parameters).sum();
    let trainable: u64 = costs.iter().map(|cost| cost.trainable).sum();
    let mut text = format!("{} parameters", thousands(parameters));
    if trainable != parameters {
        let _ = write!(text, " ({} trainable)", thousands(trainable));
    }
    let macs = total_multiply_adds(costs).map_or("an unknown number of".into(), magnitude);
    let _ = write!(text, ", {macs} multiply-adds, {} of weights", weight_size(parameters));
    text
}

/// The size of values in f32.
fn weight_size(values: u64) -> String {
    bytes(values.saturating_mul(4))
}

/// The width of the terminal; `None` if stdout is none.
pub fn terminal_width() -> Option<usize> {
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width))
}

/// `{"net", "summary", "outputs": [names], "layers": [{"index", "name", "kind", "settings", "output", "parameters", "macs", "inputs", "frozen"}]}`.
/// Multiply-adds that depend on an unknown size are null.
///
/// With the plan of a graph after the passes each layer also has `"fused"`, the names of the layers fused into it, and `"step"` and
/// `"step_index"`, the description and the number of the step that computes it; null if it needs none.
pub fn json(graph: &Graph, plan: Option<&Plan>) -> Value {
    let layers: Vec<Value> = graph
        .layers()
        .zip(costs(graph).split_off(graph.open_inputs))
        .map(|(id, cost)| {
            let node = graph.node(id);
            let inputs: Vec<&str> = node.inputs.iter().map(|&input| graph.node(input).name.as_str()).collect();
            let settings: BTreeMap<&str, String> = node.operation.settings().into_iter().collect();
            let mut layer = object!({
                "index": id.0 - graph.open_inputs,
                "name": node.name,
                "kind": node.operation.kind(),
                "settings": settings,
                "output": node.output.to_string(),
                "parameters": cost.parameters,
                "macs": cost.macs,
                "inputs": inputs,
                "frozen": node.frozen,
            });
            if let Some(plan) = plan {
                layer["fused"] = node.fused_layers.clone().into();
                let step = plan.step_of(&node.name);
                layer["step"] = step.map(|step| plan.steps[step].kernel.describe()).into();
                layer["step_index"] = step.into();
            }
            layer
        })
        .collect();
    object!({ "net": graph.name, "summary": graph.summary(), "outputs": graph.output_names(), "layers": layers })
}
