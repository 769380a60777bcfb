//! The elements of a drawing as SVG.

use crate::graph::{Graph, NodeId};
use crate::view::graph_layout::Point;
use crate::view::graph_layout::boxes::{Boxes, KIND_SIZE, LayerBox, NAME_SIZE, PAD, SMALL_SIZE};
use crate::view::graph_layout::scopes::{END, Frame, Piece};
use crate::view::number_format::thousands;
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

/// The frame of a scope.
pub(crate) fn frame(out: &mut String, frame: &Frame) {
    let style = format!("fill=\"{GREY}\" fill-opacity=\"0.07\" stroke=\"{GREY}\" stroke-opacity=\"0.55\"");
    rectangle(out, "scope", (frame.x, frame.y), (frame.width, frame.height), 10.0, &style);
    let at = (frame.x + 10.0, frame.y + 15.0);
    Words { at, size: SMALL_SIZE, bold: true, fill: GREY, anchor: "start" }.write(out, &frame.label);
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
fn open_layer(out: &mut String, graph: &Graph, boxes: &Boxes, id: NodeId) {
    let index = id.0.saturating_sub(graph.open_inputs);
    let title = escape(&title(graph, boxes, id));
    let _ = writeln!(out, "<g class=\"layer\" id=\"layer-{index}\"><title>{title}</title>");
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
    let _ = write!(text, "\n{}", node.output);
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

/// Draws a box with its text, tags, bar and marks.
pub(crate) fn layer(out: &mut String, graph: &Graph, boxes: &Boxes, one: &LayerBox, name: &str, at: Point) {
    let node = graph.node(one.layer);
    let (fill, line) = one.category.colours();
    let size = (one.width, one.height);
    open_layer(out, graph, boxes, one.layer);
    rectangle(out, "box", at, size, 6.0, &format!("fill=\"{fill}\" stroke=\"{line}\""));
    if node.frozen {
        rectangle(out, "frozen", at, size, 6.0, "fill=\"url(#frozen)\"");
    }
    let right = at.0 + one.width - PAD;
    let words = |x: f64, y: f64, size: f64, bold: bool| {
        let (fill, anchor) = (if bold { INK } else { SOFT_INK }, if x > at.0 + PAD { "end" } else { "start" });
        Words { at: (x, y), size, bold, fill, anchor }
    };
    words(at.0 + PAD, at.1 + 18.0, NAME_SIZE, true).write(out, name);
    if one.category.is_compact() {
        let inset = if node.frozen { 18.0 } else { 0.0 };
        words(right - inset, at.1 + 18.0, KIND_SIZE, false).write(out, &one.kind);
    } else {
        words(at.0 + PAD, at.1 + 33.0, KIND_SIZE, false).write(out, &one.kind);
        if !one.weight.is_empty() {
            words(right, at.1 + 18.0, SMALL_SIZE, false).write(out, &one.weight);
        }
    }
    if node.frozen {
        snowflake(out, (right - 5.0, at.1 + if one.category.is_compact() { 14.0 } else { 29.5 }));
    }
    out.push_str("</g>\n");
    for tag in &one.tags {
        let (fill, line) = graph.node(tag.layer).operation.category().colours();
        let corner = (at.0 + tag.x, at.1 + tag.y);
        open_layer(out, graph, boxes, tag.layer);
        let style = format!("fill=\"{fill}\" stroke=\"{line}\" stroke-opacity=\"0.7\"");
        rectangle(out, "tag", corner, (tag.width, 15.0), 7.5, &style);
        let middle = (corner.0 + tag.width / 2.0, corner.1 + 11.0);
        Words { at: middle, size: SMALL_SIZE, bold: false, fill: INK, anchor: "middle" }.write(out, &tag.text);
        out.push_str("</g>\n");
    }
    let weight: u64 = one.layers().map(|id| boxes.costs[id.0].parameters).sum();
    if weight > 0 {
        let bar_width = one.width - 2.0 * PAD;
        let share = weight as f64 / boxes.parameters.max(1) as f64;
        bar(out, (at.0 + PAD, at.1 + one.height - 7.0), bar_width, share, line);
    }
    if let Some(shape) = &one.shape {
        let (x, y) = (at.0 + one.width / 2.0, at.1 + one.height);
        Words { at: (x + 6.0, y + 12.5), size: SMALL_SIZE, bold: false, fill: GREY, anchor: "start" }.write(out, shape);
        if one.ends {
            arrow(out, &format!("M{} {}L{} {}", round(x), round(y), round(x), round(y + END - 2.0)), true);
        }
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
