//! Draws a net as one self-contained SVG.

pub(crate) mod paint;

use super::category::Category;
use super::graph_layout::boxes::{Boxes, SMALL_SIZE};
use super::graph_layout::boxes_of;
use super::graph_layout::scene::{Scene, arrange};
use super::layer_table::totals;
use super::svg_text::{escape, round, text_width};
use crate::graph::Graph;
use paint::{GREY, INK, Words, badge, bar, deck, frame, layer, legend_width, piece, rectangle, scope_box, snowflake};
use std::collections::BTreeSet;
use std::fmt::Write;

const MARGIN: f64 = 20.0;
const TITLE_SIZE: f64 = 16.0;
/// The height of the heading.
const HEAD: f64 = 74.0;
const LEGEND_ROW: f64 = 20.0;

/// What a drawing shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrawingOptions {
    /// Whether equal blocks are drawn one by one, not once with their number.
    pub expand: bool,
    /// The depth of scopes to which layers are drawn; deeper ones are one box for each scope.
    pub depth: Option<usize>,
    /// Whether the graph is one after the passes, each layer of which has a box of its own: a step.
    pub steps: bool,
}

/// Draws a net: layers as boxes, scopes as frames, shapes where they change, equal blocks once with their number. Deterministic.
pub fn svg(graph: &Graph) -> String {
    svg_with(graph, DrawingOptions::default())
}

/// See [`svg`]; a net that is too large to draw has a picture that says so.
pub fn svg_with(graph: &Graph, options: DrawingOptions) -> String {
    drawn(graph, options).unwrap_or_else(|error| notice(graph, &error))
}

/// A net that nobody could read a drawing of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{net} has {layers} layers: too many to draw")]
pub struct TooManyLayers {
    pub net: String,
    pub layers: usize,
}

/// As [`svg_with`].
///
/// # Errors
/// A net that is too large to draw.
pub fn drawn(graph: &Graph, options: DrawingOptions) -> Result<String, TooManyLayers> {
    let mut boxes = boxes_of(graph, options.depth, options.steps, options.expand);
    match arrange(graph, &mut boxes, !options.expand) {
        Some(scene) => Ok(draw(graph, &boxes, &scene)),
        None => Err(TooManyLayers { net: graph.name.clone(), layers: graph.nodes.len() - graph.open_inputs }),
    }
}

/// An entry of the legend.
enum Entry {
    Category(Category),
    Share,
    Frozen,
    Scope,
    Fold,
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
    let single = scene.boxes.iter().filter(|placed| {
        let fold = boxes.list[placed.index].fold;
        fold.is_some() && scene.frames.iter().all(|frame| frame.fold != fold)
    });
    let single: Vec<_> = single.collect();
    for placed in &single {
        let one = &boxes.list[placed.index];
        deck(&mut out, placed.at, (one.width, one.height), 6.0, one.colours());
    }
    out.push_str("<g fill=\"none\">\n");
    scene.pieces.iter().for_each(|one| piece(&mut out, one));
    out.push_str("</g>\n");
    scene.boxes.iter().for_each(|placed| layer(&mut out, graph, boxes, placed));
    for one in &scene.frames {
        if let Some(fold) = one.fold {
            badge(&mut out, graph, boxes, fold, (one.x + one.width, one.y));
        }
    }
    for placed in single {
        let one = &boxes.list[placed.index];
        if let Some(fold) = one.fold {
            badge(&mut out, graph, boxes, fold, (placed.at.0 + one.width, placed.at.1));
        }
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
    if boxes.list.iter().any(|one| one.is_scope) {
        entries.push(Entry::Scope);
    }
    if boxes.folds.iter().any(|fold| fold.in_series) {
        entries.push(Entry::Fold);
    }
    entries
}

impl Entry {
    fn text(&self) -> &'static str {
        match self {
            Entry::Category(category) => category.name(),
            Entry::Share => "share of the parameters",
            Entry::Frozen => "frozen: not trained",
            Entry::Scope => "several layers",
            Entry::Fold => "number of identical blocks in sequence",
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
        Entry::Scope => scope_box(out, "swatch", swatch, (18.0, 12.0), 3.0),
        Entry::Fold => paint::sign(out, "×3", (at.0 + 26.0, at.1 - 4.0)),
    }
    let text = at.0 + if matches!(entry, Entry::Fold) { 32.0 } else { 24.0 };
    Words { at: (text, at.1), size: SMALL_SIZE, bold: false, fill: GREY, anchor: "start" }.write(out, entry.text());
}

/// The message in place of a drawing.
fn notice(graph: &Graph, error: &TooManyLayers) -> String {
    let text = format!("{error}. `netc show` lists them.");
    let width = (text_width(&text, 12.0, false) + 2.0 * MARGIN).ceil();
    let mut out = opening(graph, width, 60.0);
    let at = (MARGIN, 35.0);
    rectangle(&mut out, "note", (4.0, 4.0), (width - 8.0, 52.0), 6.0, &format!("fill=\"#e6e8eb\" stroke=\"{GREY}\""));
    Words { at, size: 12.0, bold: false, fill: INK, anchor: "start" }.write(&mut out, &text);
    out.push_str("</svg>\n");
    out
}
