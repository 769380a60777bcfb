//! The elements of a drawing as SVG.

use crate::diagnostics::numbers::thousands;
use crate::graph::{Graph, NodeId};
use crate::view::graph_layout::Point;
use crate::view::graph_layout::boxes::{Boxes, Exit, KIND_SIZE, LayerBox, NAME_SIZE, PAD, SCOPE_COLOURS, SMALL_SIZE};
use crate::view::graph_layout::folds::layers_of_blocks;
use crate::view::graph_layout::scene::{END, Frame, Piece, PlacedBox};
use crate::view::svg_text::{escape, round, text_width};
use std::fmt::Write;

/// The colour of lines and text outside boxes: a grey that is readable on white and on black.
pub(crate) const GREY: &str = "#7a828c";
/// The colour of text in boxes.
pub(crate) const INK: &str = "#1f2328";
const SOFT_INK: &str = "#4d5560";
/// The radius of the corners of links.
const CORNER: f64 = 9.0;

/// An element of text.
pub(crate) struct Words<'a> {
    pub at: Point,
    pub size: f64,
    pub bold: bool,
    pub fill: &'a str,
    pub anchor: &'a str,
}

impl Words<'_> {
    /// Writes the element.
    pub fn write(&self, out: &mut String, text: &str) {
        let bold = if self.bold { " font-weight=\"600\"" } else { "" };
        let anchor = if self.anchor == "start" { String::new() } else { format!(" text-anchor=\"{}\"", self.anchor) };
        let (x, y) = (round(self.at.0), round(self.at.1));
        let (size, fill) = (round(self.size), self.fill);
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{bold}{anchor} fill=\"{fill}\">{}</text>",
            escape(text)
        );
    }
}

/// A rounded rectangle.
pub(crate) fn rectangle(out: &mut String, class: &str, at: Point, size: Point, radius: f64, style: &str) {
    let (x, y, width, height) = (round(at.0), round(at.1), round(size.0), round(size.1));
    let radius = round(radius);
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\" {style}/>"
    );
}

/// The frame of a scope or fold.
pub(crate) fn frame(out: &mut String, frame: &Frame) {
    if frame.fold.is_some() {
        sheets(out, (frame.x, frame.y), (frame.width, frame.height));
    }
    let style = format!("fill=\"{GREY}\" fill-opacity=\"0.07\" stroke=\"{GREY}\" stroke-opacity=\"0.55\"");
    rectangle(out, "scope", (frame.x, frame.y), (frame.width, frame.height), 10.0, &style);
    if frame.label.is_empty() {
        return;
    }
    let at = (frame.x + 10.0, frame.y + 15.0);
    Words { at, size: SMALL_SIZE, bold: true, fill: GREY, anchor: "start" }.write(out, &frame.label);
}

/// The edges of frames under the frame of a fold.
fn sheets(out: &mut String, at: Point, size: Point) {
    let (left, top, right, bottom) = (at.0, at.1, at.0 + size.0, at.1 + size.1);
    for step in [3.0, 6.0] {
        let (x, y) = (right + step, top - step);
        let _ = writeln!(
            out,
            "<path class=\"deck\" fill=\"none\" stroke=\"{GREY}\" stroke-opacity=\"0.55\" d=\"M{} {}Q{} {} {} {}L{} {}Q{} {} {} {}L{} {}Q{} {} {} {}\"/>",
            round(left + step + 1.0),
            round(top - step + 3.0),
            round(left + step + 3.0),
            round(y),
            round(left + step + 10.0),
            round(y),
            round(x - 10.0),
            round(y),
            round(x),
            round(y),
            round(x),
            round(y + 10.0),
            round(x),
            round(bottom - step - 10.0),
            round(x),
            round(bottom - step - 3.0),
            round(x - 3.0),
            round(bottom - step - 1.0),
        );
    }
}

/// Boxes under the box of a fold.
pub(crate) fn deck(out: &mut String, at: Point, size: Point, radius: f64, (fill, line): (&str, &str)) {
    for step in [2.0, 1.0] {
        let corner = (at.0 + 3.0 * step, at.1 - 3.0 * step);
        rectangle(out, "deck", corner, size, radius, &format!("fill=\"{fill}\" stroke=\"{line}\""));
    }
}

/// The sign at the corner of a fold: the number of its blocks. Its description lists their layers.
pub(crate) fn badge(out: &mut String, graph: &Graph, boxes: &Boxes, fold: usize, corner: Point) {
    let one = &boxes.folds[fold];
    let count = one.blocks.len();
    let how = if one.in_series { "identical blocks in sequence" } else { "blocks with shared weights" };
    let mut title = format!("{count} {how}");
    for block in &one.blocks {
        let layers: Vec<&str> = block.iter().map(|&id| graph.node(id).name.as_str()).collect();
        let (first, last) = (layers.first().copied().unwrap_or(""), layers.last().copied().unwrap_or(""));
        let _ = if first == last { write!(title, "\n{first}") } else { write!(title, "\n{first} … {last}") };
    }
    let _ = writeln!(out, "<g class=\"fold\" id=\"fold-{fold}\"><title>{}</title>", escape(&title));
    sign(out, &format!("×{count}"), (corner.0 - 2.0, corner.1));
    out.push_str("</g>\n");
}

/// A sign that ends here, around a middle height.
pub(crate) fn sign(out: &mut String, text: &str, end: Point) {
    let width = (text_width(text, KIND_SIZE, true) + 12.0).ceil();
    let corner = (end.0 - width, end.1 - 8.5);
    rectangle(out, "sign", corner, (width, 17.0), 8.5, "fill=\"#3d4752\" stroke=\"#ffffff\"");
    let middle = (corner.0 + width / 2.0, corner.1 + 12.4);
    Words { at: middle, size: KIND_SIZE, bold: true, fill: "#ffffff", anchor: "middle" }.write(out, text);
}

/// Draws a piece of an edge: straight with round corners between points that share a coordinate, else a curve.
pub(crate) fn piece(out: &mut String, piece: &Piece) {
    let mut points: Vec<Point> = Vec::new();
    for &point in &piece.points {
        // Merges points on one vertical line.
        if let [.., a, b] = points[..]
            && (a.0 - b.0).abs() < 0.05
            && (b.0 - point.0).abs() < 0.05
        {
            points.pop();
        }
        points.push(point);
    }
    let Some(&(x, y)) = points.first() else { return };
    let mut path = format!("M{} {}", round(x), round(y));
    let mut here = (x, y);
    for (index, &to) in points.iter().enumerate().skip(1) {
        let straight = (here.0 - to.0).abs() < 0.05 || (here.1 - to.1).abs() < 0.05;
        if !straight {
            let middle = round((here.1 + to.1) / 2.0);
            let _ =
                write!(path, "C{} {middle} {} {middle} {} {}", round(here.0), round(to.0), round(to.0), round(to.1));
            here = to;
            continue;
        }
        let turns = points.get(index + 1).is_some_and(|next| {
            let level = (here.1 - to.1).abs() < 0.05;
            let vertical_next = (to.0 - next.0).abs() < 0.05;
            let level_next = (to.1 - next.1).abs() < 0.05;
            (level && vertical_next) || (!level && level_next)
        });
        match points.get(index + 1) {
            Some(&next) if turns => {
                let (before, after) = (toward(to, here), toward(to, next));
                let _ = write!(
                    path,
                    "L{} {}Q{} {} {} {}",
                    round(before.0),
                    round(before.1),
                    round(to.0),
                    round(to.1),
                    round(after.0),
                    round(after.1)
                );
                here = after;
            }
            _ => {
                let _ = write!(path, "L{} {}", round(to.0), round(to.1));
                here = to;
            }
        }
    }
    arrow(out, &path, piece.arrives);
}

/// The point near a corner on the way to another point, at most half way.
fn toward(corner: Point, other: Point) -> Point {
    let step = |from: f64, to: f64| {
        from + (to - from).clamp(-CORNER, CORNER).clamp(-(to - from).abs() / 2.0, (to - from).abs() / 2.0)
    };
    (step(corner.0, other.0), step(corner.1, other.1))
}

fn arrow(out: &mut String, path: &str, head: bool) {
    let head = if head { " marker-end=\"url(#arrow)\"" } else { "" };
    let _ = writeln!(out, "<path class=\"edge\" d=\"{path}\"{head}/>");
}

/// Opens the group of a layer, with the layer's index and a description.
fn open_layer(out: &mut String, graph: &Graph, boxes: &Boxes, id: NodeId, fold: Option<usize>) {
    let index = id.0.saturating_sub(graph.open_inputs);
    let mut title = title(graph, boxes, id);
    if let Some(fold) = fold {
        let others = layers_of_blocks(&boxes.folds[fold], id).skip(1);
        let others: Vec<&str> = others.map(|id| graph.node(id).name.as_str()).collect();
        let _ = write!(title, "\nand {}", others.join(", "));
    }
    let _ = writeln!(out, "<g class=\"layer\" id=\"layer-{index}\"><title>{}</title>", escape(&title));
}

/// Opens the group of a scope that is one box, with a description.
fn open_scope(out: &mut String, graph: &Graph, one: &LayerBox) {
    let layers: Vec<&str> = one.layers.iter().map(|&id| graph.node(id).name.as_str()).collect();
    let index = one.layer.0.saturating_sub(graph.open_inputs);
    let title = escape(&format!("{}\n{}", one.kind, layers.join("\n")));
    let _ = writeln!(out, "<g class=\"group\" id=\"group-{index}\"><title>{title}</title>");
}

/// The tooltip of a layer.
fn title(graph: &Graph, boxes: &Boxes, id: NodeId) -> String {
    let node = graph.node(id);
    let mut text = format!("{} = {}", node.name, node.operation.definition().name);
    let settings: Vec<String> =
        node.operation.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !settings.is_empty() {
        let _ = write!(text, "({})", settings.join(", "));
    }
    let inputs: Vec<&str> = node.inputs.iter().map(|&input| graph.node(input).name.as_str()).collect();
    if !inputs.is_empty() {
        let _ = write!(text, "\nof {}", inputs.join(", "));
    }
    text.push_str(&node.epilogue.describe());
    let _ = write!(text, "\n{}", node.output);
    if !node.fused_layers.is_empty() {
        let _ = write!(text, "\nwith {}", node.fused_layers.join(", "));
    }
    let cost = &boxes.costs[id.0];
    if cost.parameters > 0 {
        let _ = write!(text, "\n{} parameters", thousands(cost.parameters));
        if boxes.parameters > cost.parameters {
            let share = 100.0 * cost.parameters as f64 / boxes.parameters as f64;
            let _ = write!(text, ", {share:.1} % of all");
        }
    }
    if let Some(macs) = cost.macs.filter(|&count| count > 0) {
        let _ = write!(text, "\n{} multiply-adds", thousands(macs));
    }
    if node.frozen {
        text.push_str("\nfrozen");
    }
    text
}

/// Draws the double border of a scope that is one box.
pub(crate) fn scope_box(out: &mut String, class: &str, at: Point, size: Point, radius: f64) {
    let (fill, line) = SCOPE_COLOURS;
    rectangle(out, class, at, size, radius, &format!("fill=\"{fill}\" stroke=\"{line}\""));
    let (corner, inner) = ((at.0 + 2.5, at.1 + 2.5), (size.0 - 5.0, size.1 - 5.0));
    rectangle(
        out,
        "inset",
        corner,
        inner,
        radius - 2.0,
        &format!("fill=\"none\" stroke=\"{line}\" stroke-opacity=\"0.7\""),
    );
}

/// Draws a box with its text, tags, bar and marks.
pub(crate) fn layer(out: &mut String, graph: &Graph, boxes: &Boxes, placed: &PlacedBox) {
    let (one, at) = (&boxes.list[placed.index], placed.at);
    let is_frozen = one.layers.iter().all(|&id| graph.node(id).frozen) || !one.is_scope && graph.node(one.layer).frozen;
    let (fill, line) = one.colours();
    let size = (one.width, one.height);
    match one.is_scope {
        true => {
            open_scope(out, graph, one);
            scope_box(out, "box", at, size, 6.0);
        }
        false => {
            open_layer(out, graph, boxes, one.layer, one.fold);
            rectangle(out, "box", at, size, 6.0, &format!("fill=\"{fill}\" stroke=\"{line}\""));
        }
    }
    if is_frozen {
        rectangle(out, "frozen", at, size, 6.0, "fill=\"url(#frozen)\"");
    }
    let right = at.0 + one.width - PAD;
    let words = |x: f64, y: f64, size: f64, bold: bool| {
        let (fill, anchor) = (if bold { INK } else { SOFT_INK }, if x > at.0 + PAD { "end" } else { "start" });
        Words { at: (x, y), size, bold, fill, anchor }
    };
    words(at.0 + PAD, at.1 + 18.0, NAME_SIZE, true).write(out, &one.name);
    if one.is_compact() {
        let inset = if is_frozen { 18.0 } else { 0.0 };
        if !one.kind.is_empty() {
            words(right - inset, at.1 + 18.0, KIND_SIZE, false).write(out, &one.kind);
        }
    } else {
        words(at.0 + PAD, at.1 + 33.0, KIND_SIZE, false).write(out, &one.kind);
        if !one.weight.is_empty() {
            words(right, at.1 + 18.0, SMALL_SIZE, false).write(out, &one.weight);
        }
    }
    if is_frozen {
        snowflake(out, (right - 5.0, at.1 + if one.is_compact() { 14.0 } else { 29.5 }));
    }
    out.push_str("</g>\n");
    for tag in &one.tags {
        let (fill, line) = graph.node(tag.layer).operation.category().colours();
        let corner = (at.0 + tag.x, at.1 + tag.y);
        open_layer(out, graph, boxes, tag.layer, one.fold);
        let style = format!("fill=\"{fill}\" stroke=\"{line}\" stroke-opacity=\"0.7\"");
        rectangle(out, "tag", corner, (tag.width, 15.0), 7.5, &style);
        let middle = (corner.0 + tag.width / 2.0, corner.1 + 11.0);
        Words { at: middle, size: SMALL_SIZE, bold: false, fill: INK, anchor: "middle" }.write(out, &tag.text);
        out.push_str("</g>\n");
    }
    // A fold's bar is of one block, as its number of parameters is.
    let weight = one.parameters(&boxes.costs);
    if weight > 0 {
        let bar_width = one.width - 2.0 * PAD;
        let share = weight as f64 / boxes.parameters.max(1) as f64;
        bar(out, (at.0 + PAD, at.1 + one.height - 7.0), bar_width, share, line);
    }
    if let Some(shape) = &one.shape {
        let x = at.0 + one.width / 2.0;
        let (y, text, end) = match placed.up {
            true => (at.1, at.1 - 5.5, at.1 - END + 2.0),
            false => (at.1 + one.height, at.1 + one.height + 12.5, at.1 + one.height + END - 2.0),
        };
        let words = Words { at: (x + 6.0, text), size: SMALL_SIZE, bold: false, fill: GREY, anchor: "start" };
        words.write(out, shape);
        if one.exit == Some(Exit::Below) {
            arrow(out, &format!("M{} {}L{} {}", round(x), round(y), round(x), round(end)), true);
        }
    }
    if one.exit == Some(Exit::Aside) {
        let (x, y) = (at.0 + one.width, at.1 + one.height / 2.0);
        arrow(out, &format!("M{} {}L{} {}", round(x), round(y), round(x + END - 2.0), round(y)), true);
    }
}

/// Draws a share of the parameters as a bar, on a rail that is all of them.
pub(crate) fn bar(out: &mut String, at: Point, width: f64, share: f64, colour: &str) {
    rectangle(out, "rail", at, (width, 3.0), 1.5, &format!("fill=\"{colour}\" fill-opacity=\"0.22\""));
    rectangle(out, "share", at, ((width * share).max(1.5), 3.0), 1.5, &format!("fill=\"{colour}\""));
}

/// Draws the mark of frozen layers.
pub(crate) fn snowflake(out: &mut String, middle: Point) {
    let mut path = String::new();
    for step in 0..3 {
        let angle = std::f64::consts::PI * (f64::from(step) / 3.0 + 0.5);
        let (dx, dy) = (5.0 * angle.cos(), 5.0 * angle.sin());
        let (x, y) = middle;
        let _ = write!(path, "M{} {}L{} {}", round(x - dx), round(y - dy), round(x + dx), round(y + dy));
    }
    let _ = writeln!(out, "<path class=\"snow\" d=\"{path}\"/>");
}

/// The width of an entry of the legend.
pub(crate) fn legend_width(text: &str) -> f64 {
    (text_width(text, SMALL_SIZE, false) + 40.0).ceil()
}
