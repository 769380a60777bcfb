//! The boxes of a drawing: a layer, with the pointwise layers that follow it as tags.

use crate::graph::{Graph, NodeId};
use crate::tensor::TensorType;
use crate::view::category::Category;
use crate::view::number_format::{Cost, costs, magnitude, short_layer};
use crate::view::svg_text::text_width;
use std::collections::BTreeSet;

/// The space between a box's border and its text.
pub(crate) const PAD: f64 = 11.0;
/// The height of a row of tags, with the space between rows.
pub(crate) const TAG_ROW: f64 = 18.0;
/// The maximum depth of scopes; deeper ones are merged, as names may have any number of slashes.
const MAX_DEPTH: usize = 12;
const MIN_WIDTH: f64 = 186.0;

/// A tag in a box.
pub(crate) struct Tag {
    pub layer: NodeId,
    pub text: String,
    /// Relative to the upper left corner of the box.
    pub x: f64,
    pub y: f64,
    pub width: f64,
}

/// A box of the drawing.
pub(crate) struct LayerBox {
    /// Its first layer.
    pub layer: NodeId,
    pub category: Category,
    /// The scopes in its name, outermost first.
    pub scopes: Vec<String>,
    pub tags: Vec<Tag>,
    pub kind: String,
    /// The number of parameters; empty if there are none.
    pub weight: String,
    /// The output shape, if it differs from the input shape.
    pub shape: Option<String>,
    /// Whether its output is an output of the net and no layer's input.
    pub ends: bool,
    pub width: f64,
    pub height: f64,
}

/// The boxes of a graph, and the pairs of boxes with an edge, each once.
pub(crate) struct Boxes {
    pub list: Vec<LayerBox>,
    pub edges: Vec<(usize, usize)>,
    pub costs: Vec<Cost>,
    /// The number of values in all parameters.
    pub parameters: u64,
}

/// The font sizes of a drawing.
pub(crate) const NAME_SIZE: f64 = 12.0;
/// See [`NAME_SIZE`].
pub(crate) const KIND_SIZE: f64 = 11.0;
/// See [`NAME_SIZE`].
pub(crate) const SMALL_SIZE: f64 = 10.0;

/// Groups the layers of a graph into boxes.
pub(crate) fn boxes(graph: &Graph) -> Boxes {
    let costs = costs(graph);
    let consumers = graph.consumers();
    let mut home = vec![0; graph.nodes.len()];
    let mut list: Vec<LayerBox> = Vec::new();
    for id in graph.ids() {
        let category = graph.node(id).operation.category();
        let before = graph.node(id).inputs.first().copied();
        let only_input = before.filter(|&before| {
            graph.node(id).inputs.len() == 1 && consumers[before.0].len() == 1 && !graph.outputs.contains(&before)
        });
        match only_input {
            Some(before) if category.is_pointwise() && can_be_tag(graph, &list[home[before.0]], id) => {
                home[id.0] = home[before.0];
                let tag = Tag { layer: id, text: short_layer(graph, id), x: 0.0, y: 0.0, width: 0.0 };
                list[home[id.0]].tags.push(tag);
            }
            _ => {
                home[id.0] = list.len();
                list.push(new_box(graph, id, category));
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

/// Whether a layer can be a tag of a box: it must be in the same scope, and both frozen or both trained.
fn can_be_tag(graph: &Graph, before: &LayerBox, id: NodeId) -> bool {
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

fn new_box(graph: &Graph, id: NodeId, category: Category) -> LayerBox {
    LayerBox {
        layer: id,
        category,
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
    let first = if one.category.is_compact() { kind_width } else { weight_width };
    // Frozen layers have a mark at the end of the line of the kind.
    let mark = if node.frozen { 20.0 } else { 0.0 };
    let lines = [name_width + 14.0 + first + mark, if one.category.is_compact() { 0.0 } else { kind_width + mark }];
    // Shapes are below the box, to the right of its middle, and may extend a little beyond it.
    let shape_width = one.shape.as_deref().map_or(0.0, |shape| 2.0 * (text_width(shape, SMALL_SIZE, false) - 2.0));
    let widest_tag = one.tags.iter().map(|tag| tag_width(&tag.text)).fold(0.0, f64::max);
    let text = lines.into_iter().fold(widest_tag, f64::max) + 2.0 * PAD;
    one.width = text.max(shape_width).max(MIN_WIDTH).ceil();

    let top = if one.category.is_compact() { 27.0 } else { 41.0 };
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

    /// The layer that gives its output.
    pub fn last(&self) -> NodeId {
        self.tags.last().map_or(self.layer, |tag| tag.layer)
    }
}
