//! The table of layers that `netc show` prints, as text and as JSON.

use super::number_format::{Cost, costs, magnitude, short_layer, thousands, total_multiply_adds, weight_size};
use crate::graph::{Graph, NodeId};
use serde_json::{Value, json as object};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The minimum width of the inputs column.
const NARROWEST_INPUTS: usize = 16;

/// A column: its title, and whether it is right-aligned.
type Column = (&'static str, bool);

const COLUMNS: [Column; 6] =
    [("#", true), ("name", false), ("layer", false), ("output", false), ("parameters", true), ("multiply-adds", true)];

/// The summary line, the documentation, one row per layer and the totals.
/// Inputs are wrapped at `width`, that of a terminal; names are never truncated.
pub fn table(graph: &Graph, docs: &[String], width: Option<usize>) -> String {
    let costs: Vec<_> = costs(graph).split_off(graph.open_inputs);
    let rows: Vec<[String; 6]> = graph.layers().zip(&costs).map(|(id, cost)| cells(graph, id, cost)).collect();
    let marks: Vec<&str> = graph.layers().map(|id| if graph.node(id).frozen { "frozen" } else { "" }).collect();
    let inputs: Vec<Vec<&str>> = graph.layers().map(|id| inputs_text(graph, id)).collect();
    let frozen = marks.iter().any(|mark| !mark.is_empty());
    let has_inputs_column = inputs.iter().any(|inputs| !inputs.is_empty());

    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0).max(COLUMNS[column].0.width()))
        .collect();
    let mut left = widths.iter().map(|width| width + 2).sum::<usize>();
    if frozen {
        left += "frozen".len() + 2;
    }
    let inputs_width = width.map(|width| width.saturating_sub(left).max(NARROWEST_INPUTS));

    let mut out = graph.summary();
    out.push('\n');
    for line in docs {
        out.push_str(line.trim());
        out.push('\n');
    }
    out.push('\n');
    let mut line = |cells: &[&str], mark: &str, inputs: &[String]| {
        let mut text = String::new();
        for ((cell, (_, right)), width) in cells.iter().zip(COLUMNS).zip(&widths) {
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
    let titles: Vec<&str> = COLUMNS.iter().map(|(title, _)| *title).collect();
    let inputs_title = if has_inputs_column { vec!["inputs".to_string()] } else { Vec::new() };
    line(&titles, "", &inputs_title);
    for ((row, mark), inputs) in rows.iter().zip(marks).zip(&inputs) {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(&cells, mark, &wrap(inputs, inputs_width));
    }
    out.push('\n');
    out.push_str(&totals(&costs));
    out.push('\n');
    out
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

/// `134,301,514 parameters (40,970 trainable), 15.5 G multiply-adds, 537.2 MB of weights`
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

/// The width of the terminal; `None` if stdout is none.
pub fn terminal_width() -> Option<usize> {
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width))
}

/// `{"net", "summary", "layers": [{"index", "name", "kind", "output", "parameters", "macs", "inputs"}]}`.
/// Multiply-adds that depend on an unknown size are null.
pub fn json(graph: &Graph) -> Value {
    let layers: Vec<Value> = graph
        .layers()
        .zip(costs(graph).split_off(graph.open_inputs))
        .map(|(id, cost)| {
            let node = graph.node(id);
            let inputs: Vec<&str> = node.inputs.iter().map(|&input| graph.node(input).name.as_str()).collect();
            object!({
                "index": id.0 - graph.open_inputs,
                "name": node.name,
                "kind": node.operation.kind(),
                "output": node.output.to_string(),
                "parameters": cost.parameters,
                "macs": cost.macs,
                "inputs": inputs,
            })
        })
        .collect();
    object!({ "net": graph.name, "summary": graph.summary(), "layers": layers })
}
