//! Draws a net as one self-contained SVG.

pub(crate) mod paint;

use super::category::Category;
use super::graph_layout::boxes::{Boxes, SMALL_SIZE, boxes};
use super::graph_layout::scopes::{Scene, arrange};
use super::layer_table::totals;
use super::svg_text::{escape, round, text_width};
use crate::graph::Graph;
use paint::{GREY, INK, Words, bar, frame, layer, legend_width, piece, rectangle, snowflake};
use std::collections::BTreeSet;
use std::fmt::Write;

const MARGIN: f64 = 20.0;
const TITLE_SIZE: f64 = 16.0;
/// The height of the heading.
const HEAD: f64 = 74.0;
const LEGEND_ROW: f64 = 20.0;

/// Draws a net: layers as boxes from top to bottom, scopes as frames, shapes where they change. Deterministic.
pub fn svg(graph: &Graph) -> String {
    let boxes = boxes(graph);
    match arrange(graph, &boxes) {
        Some(scene) => draw(graph, &boxes, &scene),
        None => too_large(graph),
    }
}

/// An entry of the legend.
enum Entry {
    Category(Category),
    Share,
    Frozen,
}

fn draw(graph: &Graph, boxes: &Boxes, scene: &Scene) -> String {
    let lines = [graph.summary(), totals(&boxes.costs)];
    let head = lines
        .iter()
        .map(|line| text_width(line, 11.0, false))
        .fold(text_width(&graph.name, TITLE_SIZE, true), f64::max);
    let width = (scene.width.max(head) + 2.0 * MARGIN).ceil();
    let entries = legend(graph, boxes);
    let legend_rows = wrap(&entries, width - 2.0 * MARGIN);
    let rows = legend_rows.iter().map(|(row, _)| row + 1).max().unwrap_or(0);
    let top = MARGIN + HEAD;
    let below = top + scene.height + 26.0;
    let height = (below + rows as f64 * LEGEND_ROW + MARGIN - 6.0).ceil();

    let mut out = opening(graph, width, height);
    Words { at: (MARGIN, MARGIN + 14.0), size: TITLE_SIZE, bold: true, fill: GREY, anchor: "start" }
        .write(&mut out, &graph.name);
    for (index, line) in lines.iter().enumerate() {
        let at = (MARGIN, MARGIN + 33.0 + 16.0 * index as f64);
        Words { at, size: 11.0, bold: false, fill: GREY, anchor: "start" }.write(&mut out, line);
    }
    let left = (width - scene.width) / 2.0;
    let _ = writeln!(out, "<g transform=\"translate({} {})\">", round(left), round(top));
    scene.frames.iter().for_each(|one| frame(&mut out, one));
    out.push_str("<g fill=\"none\">\n");
    scene.pieces.iter().for_each(|one| piece(&mut out, one));
    out.push_str("</g>\n");
    let framed = |x: f64, y: f64, label: &str| {
        let mut inside = scene
            .frames
            .iter()
            .filter(|one| x >= one.x && x <= one.x + one.width && y >= one.y && y <= one.y + one.height);
        inside.any(|one| one.label == label)
    };
    for &(index, at) in &scene.boxes {
        let one = &boxes.list[index];
        // The frame shows the scope.
        let name = graph.node(one.layer).name.as_str();
        let scope = one.scopes.join("/");
        let last = one.scopes.last().map_or("", String::as_str);
        let short = name.strip_prefix(&scope).and_then(|rest| rest.strip_prefix('/'));
        let shown = short.filter(|_| framed(at.0, at.1, &scope) || framed(at.0, at.1, last)).unwrap_or(name);
        layer(&mut out, graph, boxes, one, shown, at);
    }
    out.push_str("</g>\n");
    for (entry, (row, x)) in entries.iter().zip(legend_rows) {
        explain(&mut out, entry, (MARGIN + x, below + row as f64 * LEGEND_ROW));
    }
    out.push_str("</svg>\n");
    out
}

fn opening(graph: &Graph, width: f64, height: f64) -> String {
    let (width, height) = (round(width), round(height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"name description\" font-family=\"sans-serif\">\n"
    );
    let _ = writeln!(out, "<title id=\"name\">{}</title>", escape(&graph.name));
    let description = format!(
        "The neural network {}: {}. Each box is a layer, arrows lead from a layer to those that take its output.",
        graph.name,
        graph.summary()
    );
    let _ = writeln!(out, "<desc id=\"description\">{}</desc>", escape(&description));
    let _ = writeln!(
        out,
        "<style>.edge {{ stroke: {GREY}; stroke-width: 1.3; fill: none }} .snow {{ stroke: #2f6fb3; stroke-width: 1.3; stroke-linecap: round }}</style>\n\
         <defs>\n\
         <marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7.4\" refY=\"4\" markerWidth=\"6\" markerHeight=\"6\" orient=\"auto\"><path d=\"M0 0.6L8 4L0 7.4Z\" fill=\"{GREY}\"/></marker>\n\
         <pattern id=\"frozen\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"2\" height=\"6\" fill=\"#ffffff\" fill-opacity=\"0.55\"/></pattern>\n\
         </defs>"
    );
    out
}

fn legend(graph: &Graph, boxes: &Boxes) -> Vec<Entry> {
    let categories: BTreeSet<Category> = graph.ids().map(|id| graph.node(id).operation.category()).collect();
    let mut entries: Vec<Entry> = categories.into_iter().map(Entry::Category).collect();
    if boxes.parameters > 0 {
        entries.push(Entry::Share);
    }
    if graph.nodes.iter().any(|node| node.frozen) {
        entries.push(Entry::Frozen);
    }
    entries
}

impl Entry {
    fn text(&self) -> &'static str {
        match self {
            Entry::Category(category) => category.name(),
            Entry::Share => "share of the parameters",
            Entry::Frozen => "frozen: not trained",
        }
    }
}

/// The row and the left side of each entry.
fn wrap(entries: &[Entry], max_width: f64) -> Vec<(usize, f64)> {
    let (mut row, mut x) = (0, 0.0);
    let mut positions = Vec::new();
    for entry in entries {
        let width = legend_width(entry.text());
        if x > 0.0 && x + width > max_width {
            (row, x) = (row + 1, 0.0);
        }
        positions.push((row, x));
        x += width;
    }
    positions
}

fn explain(out: &mut String, entry: &Entry, at: (f64, f64)) {
    let swatch = (at.0, at.1 - 10.0);
    match entry {
        Entry::Category(category) => {
            let (fill, line) = category.colours();
            rectangle(out, "swatch", swatch, (18.0, 12.0), 3.0, &format!("fill=\"{fill}\" stroke=\"{line}\""));
        }
        Entry::Share => bar(out, (at.0, at.1 - 5.5), 18.0, 0.4, GREY),
        Entry::Frozen => {
            let (fill, line) = Category::Convolution.colours();
            rectangle(out, "swatch", swatch, (18.0, 12.0), 3.0, &format!("fill=\"{fill}\" stroke=\"{line}\""));
            rectangle(out, "swatch", swatch, (18.0, 12.0), 3.0, "fill=\"url(#frozen)\"");
            snowflake(out, (at.0 + 9.0, at.1 - 4.0));
        }
    }
    Words { at: (at.0 + 24.0, at.1), size: SMALL_SIZE, bold: false, fill: GREY, anchor: "start" }
        .write(out, entry.text());
}

/// The message in place of a drawing that is too large to read.
fn too_large(graph: &Graph) -> String {
    let text = format!("{} has {} layers: too many to draw. `netc show` lists them.", graph.name, graph.nodes.len());
    let width = (text_width(&text, 12.0, false) + 2.0 * MARGIN).ceil();
    let mut out = opening(graph, width, 60.0);
    let at = (MARGIN, 35.0);
    rectangle(&mut out, "note", (4.0, 4.0), (width - 8.0, 52.0), 6.0, &format!("fill=\"#e6e8eb\" stroke=\"{GREY}\""));
    Words { at, size: 12.0, bold: false, fill: INK, anchor: "start" }.write(&mut out, &text);
    out.push_str("</svg>\n");
    out
}
