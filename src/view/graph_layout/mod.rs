//! The layout of a drawing: the positions of boxes and frames, and the routes of the links between them.

pub(crate) mod boxes;
mod columns;
mod fold_names;
pub(crate) mod folds;
mod groups;
mod layered;
mod rank_order;
pub(crate) mod scene;
mod similar;
mod types;
mod u_shape;

pub(crate) use types::Point;

use crate::graph::Graph;
use boxes::Boxes;

/// The boxes of a graph: scopes below a depth are one box each, pointwise layers are tags of the layer before them unless
/// each is a `step` of its own, and equal blocks are folded unless all shall be seen.
pub(crate) fn boxes_of(graph: &Graph, depth: Option<usize>, steps: bool, expand: bool) -> Boxes {
    let (mut boxes, inputs) = boxes::boxes(graph, depth, steps);
    match expand {
        true => folds::mark_blocks(graph, &mut boxes, &inputs),
        false => folds::fold(graph, &mut boxes, &inputs),
    }
    boxes
}
