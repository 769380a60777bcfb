//! The boxes of a drawing: a layer, and as tags the pointwise layers that follow it alone.

use super::text_width::text_width;
use crate::graph::{Graph, NodeId};
use crate::tensor::TensorType;
use crate::view::category::Category;
use crate::view::number_format::{Cost, costs, magnitude, short_layer};
use std::collections::BTreeSet;

/// Space between a box's border and its text.
pub(crate) const PAD: f64 = 11.0;
/// The height of a row of tags, the space between rows included.
pub(crate) const TAG_ROW: f64 = 18.0;
/// Scopes below this depth are not told apart: a name may hold any number of slashes.
const MAX_DEPTH: usize = 12;
const NARROWEST: f64 = 186.0;

/// A tag in a box.
pub(crate) struct Tag {
    pub layer: NodeId,
    pub text: String,
    /// From the box's left and top.
    pub x: f64,
    pub y: f64,
    pub width: f64,
}

/// A box of the drawing.
pub(crate) struct LayerBox {
    /// The layer that it is of.
    pub layer: NodeId,
    pub family: Category,
    /// Its name's scopes, outermost first.
    pub scopes: Vec<String>,
    pub tags: Vec<Tag>,
    pub kind: String,
    /// The number of its parameters, empty where it has none.
    pub weight: String,
    /// The shape that comes out, where another came in.
    pub shape: Option<String>,
    /// Whether the net gives its output and no layer takes it.
    pub ends: bool,
    pub width: f64,
    pub height: f64,
}

/// The boxes of a graph, and the pairs of boxes that an edge joins, each once.
pub(crate) struct Boxes {
    pub list: Vec<LayerBox>,
    pub edges: Vec<(usize, usize)>,
    pub costs: Vec<Cost>,
    /// How many values all parameters have.
    pub parameters: u64,
}

/// What text sizes a drawing uses.
pub(crate) const NAME_SIZE: f64 = 12.0;
/// See [`NAME_SIZE`].
pub(crate) const KIND_SIZE: f64 = 11.0;
/// See [`NAME_SIZE`].
pub(crate) const SMALL_SIZE: f64 = 10.0;

/// Sorts a graph's layers into boxes.
pub(crate) fn boxes(graph: &Graph) -> Boxes {
    let costs = costs(graph);
    let consumers = graph.consumers();
    let mut home = vec![0; graph.nodes.len()];
    let mut list: Vec<LayerBox> = Vec::new();
    for id in graph.ids() {
        let family = graph.node(id).operation.category();
        let before = graph.node(id).inputs.first().copied();
        let alone = before.filter(|&before| {
            graph.node(id).inputs.len() == 1 && consumers[before.0].len() == 1 && !graph.outputs.contains(&before)
        });
        match alone {
            Some(before) if family.is_pointwise() && joins(graph, &list[home[before.0]], id) => {
                home[id.0] = home[before.0];
                let tag = Tag { layer: id, text: short_layer(graph, id), x: 0.0, y: 0.0, width: 0.0 };
                list[home[id.0]].tags.push(tag);
            }
            _ => {
                home[id.0] = list.len();
                list.push(new_box(graph, id, family));
            }
        }
    }
    let mut edges = Vec::new();
    let mut known = BTreeSet::new();
    for id in graph.ids() {
        for input in &graph.node(id).inputs {
            let edge = (home[input.0], home[id.0]);
            if edge.0 != edge.1 && known.insert(edge) {
                edges.push(edge);
            }
        }
    }
    for one in &mut list {
        finish(graph, one, &costs, &consumers);
    }
    let parameters = costs.iter().map(|cost| cost.parameters).sum();
    Boxes { list, edges, costs, parameters }
}

/// Whether a layer can be a tag of a box: of no other scope, and not trained where the box is frozen or the reverse.
fn joins(graph: &Graph, before: &LayerBox, id: NodeId) -> bool {
    let node = graph.node(id);
    let scopes = scopes(&node.name);
    let same_scope = scopes.is_empty() || scopes == before.scopes;
    same_scope && (node.parameters.is_empty() || node.frozen == graph.node(before.layer).frozen)
}

/// The scopes in a layer's name, outermost first.
fn scopes(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = name.split('/').map(str::to_string).collect();
    parts.pop();
    parts.truncate(MAX_DEPTH);
    parts
}

fn new_box(graph: &Graph, id: NodeId, family: Category) -> LayerBox {
    LayerBox {
        layer: id,
        family,
        scopes: scopes(&graph.node(id).name),
        tags: Vec::new(),
        kind: short_layer(graph, id),
        weight: String::new(),
        shape: None,
        ends: false,
        width: 0.0,
        height: 0.0,
    }
}

/// `224 × 224 × 3`
pub(crate) fn shape_text(output: &TensorType) -> String {
    let sizes: Vec<String> = output.sizes.iter().map(|size| size.to_string()).collect();
    sizes.join(" × ")
}

fn finish(graph: &Graph, one: &mut LayerBox, costs: &[Cost], consumers: &[Vec<NodeId>]) {
    let node = graph.node(one.layer);
    let weight: u64 = one.layers().map(|id| costs[id.0].parameters).sum();
    if weight > 0 {
        one.weight = magnitude(weight);
    }
    let last = one.last();
    one.ends = consumers[last.0].is_empty();
    let output = &graph.node(last).output;
    let changes = node.inputs.iter().all(|&input| graph.node(input).output != *output);
    if changes || one.ends {
        one.shape = Some(shape_text(output));
    }
    let name_width = text_width(&node.name, NAME_SIZE, true);
    let kind_width = text_width(&one.kind, KIND_SIZE, false);
    let weight_width = text_width(&one.weight, SMALL_SIZE, false);
    let first = if one.family.is_compact() { kind_width } else { weight_width };
    // The mark of frozen layers stands at the end of the line of the kind.
    let mark = if node.frozen { 20.0 } else { 0.0 };
    let lines = [name_width + 14.0 + first + mark, if one.family.is_compact() { 0.0 } else { kind_width + mark }];
    // Shapes stand right of the middle, below the box, and may reach a little beyond it.
    let shape_width = one.shape.as_deref().map_or(0.0, |shape| 2.0 * (text_width(shape, SMALL_SIZE, false) - 2.0));
    let widest_tag = one.tags.iter().map(|tag| tag_width(&tag.text)).fold(0.0, f64::max);
    let text = lines.into_iter().fold(widest_tag, f64::max) + 2.0 * PAD;
    one.width = text.max(shape_width).max(NARROWEST).ceil();

    let top = if one.family.is_compact() { 27.0 } else { 41.0 };
    let (mut x, mut y) = (PAD, top - 1.0);
    let right = one.width - PAD;
    for tag in &mut one.tags {
        tag.width = tag_width(&tag.text);
        if x > PAD && x + tag.width > right {
            (x, y) = (PAD, y + TAG_ROW);
        }
        (tag.x, tag.y) = (x, y);
        x += tag.width + 5.0;
    }
    let tags = if one.tags.is_empty() { 0.0 } else { y + TAG_ROW - top + 2.0 };
    let bar = if weight > 0 { 5.0 } else { 0.0 };
    one.height = top + tags + bar;
}

fn tag_width(text: &str) -> f64 {
    (text_width(text, SMALL_SIZE, false) + 12.0).ceil()
}

impl LayerBox {
    /// Its layer and those of its tags.
    pub fn layers(&self) -> impl Iterator<Item = NodeId> {
        std::iter::once(self.layer).chain(self.tags.iter().map(|tag| tag.layer))
    }

    /// The layer whose output leaves it.
    pub fn last(&self) -> NodeId {
        self.tags.last().map_or(self.layer, |tag| tag.layer)
    }
}
