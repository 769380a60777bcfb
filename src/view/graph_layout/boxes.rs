//! The boxes of a drawing: a layer, with the pointwise layers that follow it as tags, or all layers of a scope.

use crate::diagnostics::counted;
use crate::graph::{Graph, NodeId};
use crate::tensor::TensorType;
use crate::view::category::Category;
use crate::view::layer_table::groups;
use crate::view::number_format::{Cost, costs, magnitude, short_layer};
use crate::view::scopes::scopes;
use crate::view::svg_text::text_width;
use std::collections::BTreeSet;

/// The space between a box's border and its text.
pub(crate) const PAD: f64 = 11.0;
/// The height of a row of tags, with the space between rows.
pub(crate) const TAG_ROW: f64 = 18.0;
/// The minimum widths of boxes, if the drawing fits a page with it and if not.
pub(super) const MIN_WIDTHS: [f64; 2] = [186.0, 140.0];

/// The colours of the fill and the line of a scope that is one box.
pub(crate) const SCOPE_COLOURS: (&str, &str) = ("#f4f5f7", "#8c959f");

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
    /// All of its layers, in order.
    pub layers: Vec<NodeId>,
    /// Whether it is a scope below the requested depth, drawn as one box.
    pub is_scope: bool,
    pub category: Category,
    /// Its name as it is drawn: of a fold the common part, in a frame without what the frame says.
    pub name: String,
    pub has_generated_name: bool,
    /// The scopes in its name, outermost first.
    pub scopes: Vec<String>,
    pub tags: Vec<Tag>,
    pub kind: String,
    /// The number of parameters; empty if there are none.
    pub weight: String,
    /// The output shape, if it differs from the input shape.
    pub shape: Option<String>,
    /// Where the arrow of an output of the net leaves it; none if none of its layers gives one.
    pub exit: Option<Exit>,
    /// The fold that it stands for a layer of.
    pub fold: Option<usize>,
    /// The scope of the block that it is in, if its own name has none.
    pub block: Option<Vec<String>>,
    pub width: f64,
    pub height: f64,
}

/// A side of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Where links leave, if there are none.
    Below,
    /// To the right: below it, links lead on.
    Aside,
}

/// The input of a box: a box, and which of its layers gives the value.
pub(super) type Input = (usize, usize);

/// The boxes of a graph, and the pairs of boxes with an edge, each once.
pub(crate) struct Boxes {
    pub list: Vec<LayerBox>,
    pub edges: Vec<(usize, usize)>,
    pub folds: Vec<Fold>,
    pub costs: Vec<Cost>,
    /// The number of values in all parameters.
    pub parameters: u64,
}

/// Equal blocks of a net that are drawn once.
pub(crate) struct Fold {
    /// The layers of each block, equally many and in the same order. The first block is the one that is drawn.
    pub blocks: Vec<Vec<NodeId>>,
    /// What differs in the names of the blocks, or the inputs that share one block.
    pub label: String,
    /// Whether the blocks are one after the other. Else they have common weights and an input each.
    pub in_series: bool,
}

/// The font sizes of a drawing.
pub(crate) const NAME_SIZE: f64 = 12.0;
/// See [`NAME_SIZE`].
pub(crate) const KIND_SIZE: f64 = 11.0;
/// See [`NAME_SIZE`].
pub(crate) const SMALL_SIZE: f64 = 10.0;

/// Groups the layers of a graph into boxes; scopes below a depth are one box each, and with `steps` each layer is one.
pub(crate) fn boxes(graph: &Graph, depth: Option<usize>, steps: bool) -> (Boxes, Vec<Vec<Input>>) {
    let costs = costs(graph);
    let consumers = graph.consumers();
    let layers: Vec<NodeId> = graph.layers().collect();
    let mut scope_at: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    let scopes: Vec<_> =
        groups(graph, &layers, depth).into_iter().filter_map(|(name, range)| Some((name?, range))).collect();
    for (index, (_, range)) in scopes.iter().enumerate() {
        layers[range.clone()].iter().for_each(|id| scope_at[id.0] = Some(index));
    }
    let mut home = vec![0; graph.nodes.len()];
    let mut list: Vec<LayerBox> = Vec::new();
    for id in graph.ids() {
        let category = graph.node(id).operation.category();
        if let Some(scope) = scope_at[id.0] {
            let (name, range) = &scopes[scope];
            if layers[range.start] == id {
                list.push(scope_of(graph, &format!("{name}/"), &layers[range.clone()]));
            }
            home[id.0] = list.len() - 1;
            continue;
        }
        let before = graph.node(id).inputs.first().copied();
        let only_input = before.filter(|&before| {
            graph.node(id).inputs.len() == 1 && consumers[before.0].len() == 1 && !graph.outputs.contains(&before)
        });
        match only_input {
            Some(before) if !steps && category.is_pointwise() && can_be_tag(graph, &list[home[before.0]], id) => {
                home[id.0] = home[before.0];
                let tag = Tag { layer: id, text: short_layer(graph, id), x: 0.0, y: 0.0, width: 0.0 };
                let one = &mut list[home[id.0]];
                one.tags.push(tag);
                one.layers.push(id);
            }
            _ => {
                home[id.0] = list.len();
                list.push(new_box(graph, id, category));
            }
        }
    }
    let mut edges = Vec::new();
    let mut known = BTreeSet::new();
    let mut inputs = vec![Vec::new(); list.len()];
    for id in graph.ids() {
        for input in &graph.node(id).inputs {
            let edge = (home[input.0], home[id.0]);
            if edge.0 == edge.1 {
                continue;
            }
            let position = list[edge.0].layers.iter().position(|layer| layer == input).unwrap_or(0);
            inputs[edge.1].push((edge.0, position));
            if known.insert(edge) {
                edges.push(edge);
            }
        }
    }
    for one in &mut list {
        describe(graph, one, &costs, &consumers);
    }
    let parameters = costs.iter().map(|cost| cost.parameters).sum();
    (Boxes { list, edges, folds: Vec::new(), costs, parameters }, inputs)
}

/// Whether a layer can be a tag of a box: it must be in the same scope or one around it,
/// and both frozen or both trained.
fn can_be_tag(graph: &Graph, before: &LayerBox, id: NodeId) -> bool {
    let node = graph.node(id);
    let same_scope = before.scopes.starts_with(&scopes(&node.name));
    // A norm after a merge begins what follows, if the text names it.
    let begins = before.category.is_compact() && !node.parameters.is_empty() && !node.has_generated_name();
    !before.is_scope
        && !begins
        && same_scope
        && (node.parameters.is_empty() || node.frozen == graph.node(before.layer).frozen)
}

fn new_box(graph: &Graph, id: NodeId, category: Category) -> LayerBox {
    let name = &graph.node(id).name;
    LayerBox {
        layer: id,
        layers: vec![id],
        is_scope: false,
        category,
        name: name.clone(),
        has_generated_name: graph.node(id).has_generated_name(),
        scopes: scopes(name),
        tags: Vec::new(),
        kind: short_layer(graph, id),
        weight: String::new(),
        shape: None,
        exit: None,
        fold: None,
        block: None,
        width: 0.0,
        height: 0.0,
    }
}

/// All layers of a scope.
pub(super) fn scope_of(graph: &Graph, name: &str, layers: &[NodeId]) -> LayerBox {
    LayerBox {
        layers: layers.to_vec(),
        is_scope: true,
        name: name.to_string(),
        has_generated_name: false,
        scopes: scopes(name.trim_end_matches('/')),
        kind: counted(layers.len(), "layer"),
        ..new_box(graph, layers[0], Category::Shape)
    }
}

/// `224 × 224 × 3`
pub(crate) fn shape_text(output: &TensorType) -> String {
    let sizes: Vec<String> = output.sizes.iter().map(|size| size.to_string()).collect();
    sizes.join(" × ")
}

/// What a box says about its parameters and its output.
fn describe(graph: &Graph, one: &mut LayerBox, costs: &[Cost], consumers: &[Vec<NodeId>]) {
    let weight = one.parameters(costs);
    let has_weights = |id: &NodeId| {
        let mut parameters = graph.node(*id).parameters.iter().map(|parameter| &graph.parameters[parameter.0]);
        parameters.any(|parameter| !parameter.is_fixed())
    };
    if weight > 0 {
        one.weight = magnitude(weight);
    } else if one.layers.iter().any(has_weights) {
        // Those of an earlier layer.
        one.weight = "shared".into();
    }
    let last = one.last();
    let leads_on = |id: &NodeId| consumers[id.0].iter().any(|next| !one.layers.contains(next));
    one.exit = match one.layers.iter().any(|id| graph.outputs.contains(id)) {
        true if one.layers.iter().any(leads_on) => Some(Exit::Aside),
        true => Some(Exit::Below),
        false => None,
    };
    let output = &graph.node(last).output;
    let changes = graph.node(one.layer).inputs.iter().all(|&input| graph.node(input).output != *output);
    if changes || one.exit.is_some() {
        one.shape = Some(shape_text(output));
    }
    // `identity-1` needs no word about what it is.
    if one.is_compact() && one.has_generated_name && is_identity(graph, one.layer) {
        one.kind = String::new();
    }
}

fn is_identity(graph: &Graph, id: NodeId) -> bool {
    graph.node(id).operation.kind() == "Identity"
}

/// Determines the size of a box from its texts.
pub(super) fn measure(graph: &Graph, one: &mut LayerBox, min_width: f64) {
    let node = graph.node(one.layer);
    let name_width = text_width(&one.name, NAME_SIZE, true);
    let kind_width = text_width(&one.kind, KIND_SIZE, false);
    let weight_width = text_width(&one.weight, SMALL_SIZE, false);
    let first = if one.is_compact() { kind_width } else { weight_width };
    // Frozen layers have a mark at the end of the line of the kind.
    let mark = if node.frozen { 20.0 } else { 0.0 };
    let lines = [
        name_width + if first > 0.0 { 14.0 } else { 0.0 } + first + mark,
        if one.is_compact() { 0.0 } else { kind_width + mark },
    ];
    // Shapes are below the box, to the right of its middle, and may extend a little beyond it.
    let shape_width = one.shape.as_deref().map_or(0.0, |shape| 2.0 * (text_width(shape, SMALL_SIZE, false) - 2.0));
    let widest_tag = one.tags.iter().map(|tag| tag_width(&tag.text)).fold(0.0, f64::max);
    let text = lines.into_iter().fold(widest_tag, f64::max) + 2.0 * PAD;
    // What passes is no more than a line with a name.
    let min_width = if is_identity(graph, one.layer) { 0.0 } else { min_width };
    one.width = text.max(shape_width).max(min_width).ceil();

    let top = if one.is_compact() { 27.0 } else { 41.0 };
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
    let bar = if one.weight.is_empty() { 0.0 } else { 5.0 };
    one.height = top + tags + bar;
}

fn tag_width(text: &str) -> f64 {
    (text_width(text, SMALL_SIZE, false) + 12.0).ceil()
}

impl LayerBox {
    /// The layer that gives its output.
    pub fn last(&self) -> NodeId {
        self.layers.last().copied().unwrap_or(self.layer)
    }

    /// The colours of its fill and line: a scope has layers of several categories.
    pub fn colours(&self) -> (&'static str, &'static str) {
        if self.is_scope { SCOPE_COLOURS } else { self.category.colours() }
    }

    /// Whether it has a single line of text.
    pub fn is_compact(&self) -> bool {
        self.category.is_compact() && !self.is_scope
    }

    /// The number of values in the parameters of its layers.
    pub fn parameters(&self, costs: &[Cost]) -> u64 {
        self.layers.iter().map(|id| costs[id.0].parameters).sum()
    }
}
