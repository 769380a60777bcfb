//! Inlay hints: the shape after each element of a chain, where it changes.

use super::documents::Document;
use crate::graph::{Graph, Node, NodeId};
use crate::source::{FileId, Span};
use crate::syntax::ast::{Expr, ExprKind, File};
use crate::syntax::visit::{Visit, walk_expr};
use crate::tensor::TensorType;
use lsp_types::{InlayHint, InlayHintKind, InlayHintLabel, Range};
use std::collections::BTreeMap;

/// The hints in the visible range.
pub fn hints(document: &Document, visible: Range) -> Vec<InlayHint> {
    let mut hints: BTreeMap<usize, String> = BTreeMap::new();
    let (from, to) = (document.text.offset(visible.start), document.text.offset(visible.end));
    let graphs: Vec<SourceMap> =
        document.snapshot.graphs.iter().map(|graph| SourceMap::of(graph, document.snapshot.root)).collect();
    for chain in chains(&document.analysis.tree) {
        let mut before: Option<TensorType> = None;
        for (index, element) in chain.iter().enumerate() {
            let after = shape_after(document, &graphs, element, chain.get(index + 1));
            let (Some(shape), end) = (&after, element.span.end as usize) else {
                before = None;
                continue;
            };
            if before.as_ref() != Some(shape) && (from..=to).contains(&end) {
                hints.insert(end, shape.to_string());
            }
            before = after;
        }
    }
    hints.into_iter().map(|(end, shape)| hint(document, end, shape)).collect()
}

fn hint(document: &Document, end: usize, shape: String) -> InlayHint {
    InlayHint {
        position: document.text.position(end),
        label: InlayHintLabel::String(shape),
        kind: Some(InlayHintKind::TYPE),
        text_edits: None,
        tooltip: None,
        padding_left: Some(true),
        padding_right: None,
        data: None,
    }
}

/// The spans of the nodes of a graph in the root file.
struct SourceMap<'g> {
    graph: &'g Graph,
    consumers: Vec<Vec<NodeId>>,
    /// For each node its own span and those of the uses of nets that led to it.
    spans: Vec<Vec<Span>>,
}

impl<'g> SourceMap<'g> {
    fn of(graph: &'g Graph, root: FileId) -> Self {
        let spans = graph.nodes.iter().map(|node| spans(node, root)).collect();
        SourceMap { graph, consumers: graph.consumers(), spans }
    }

    /// Whether each node comes from the expression at some bytes.
    fn nodes_within(&self, start: usize, end: usize) -> Vec<bool> {
        let within = |span: &Span| span.start as usize >= start && span.end as usize <= end;
        self.spans.iter().map(|spans| spans.iter().any(within)).collect()
    }

    /// The types of the outputs of a set of nodes.
    fn outputs(&self, set: &[bool]) -> Vec<&'g TensorType> {
        let leaves = |id: &NodeId| {
            let consumers = &self.consumers[id.0];
            set[id.0] && (consumers.iter().any(|consumer| !set[consumer.0]) || self.graph.outputs.contains(id))
        };
        self.graph.ids().filter(leaves).map(|id| &self.graph.node(id).output).collect()
    }

    /// The types of the inputs of a set of nodes.
    fn inputs(&self, set: &[bool]) -> Vec<&'g TensorType> {
        let inputs = self.graph.ids().filter(|id| set[id.0]).flat_map(|id| &self.graph.node(id).inputs);
        inputs.filter(|input| !set[input.0]).map(|&input| &self.graph.node(input).output).collect()
    }
}

fn spans(node: &Node, root: FileId) -> Vec<Span> {
    let mut spans = vec![node.origin.span];
    let mut around = node.origin.mention.as_deref();
    // The outermost entry is the net itself, at its definition.
    while let Some(mention) = around.filter(|mention| mention.outer.is_some()) {
        spans.push(mention.span);
        around = mention.outer.as_deref();
    }
    spans.retain(|span| span.file == root);
    spans
}

/// The shape after an element of a chain, if all graphs and all uses agree on it.
/// The output of a cut of another file's net is only known from the input of the next element.
fn shape_after(document: &Document, graphs: &[SourceMap], element: &Expr, next: Option<&Expr>) -> Option<TensorType> {
    let range = |element: &Expr| {
        let (start, end) = (element.span.start as usize, element.span.end as usize);
        Some((document.to_snapshot(start)?, document.to_snapshot(end)?))
    };
    let (start, end) = range(element)?;
    let mut shapes: Vec<&TensorType> = Vec::new();
    for graph in graphs {
        let nodes = graph.nodes_within(start, end);
        if nodes.contains(&true) {
            shapes.extend(graph.outputs(&nodes));
        } else if let Some((start, end)) = next.and_then(range) {
            shapes.extend(graph.inputs(&graph.nodes_within(start, end)));
        }
    }
    let first = *shapes.first()?;
    shapes.iter().all(|shape| *shape == first).then(|| first.clone())
}

/// All chains in the nets of a file, nested ones included.
fn chains(tree: &File) -> Vec<&[Expr]> {
    let mut chains = Chains(Vec::new());
    chains.visit_file(tree);
    chains.0
}

struct Chains<'t>(Vec<&'t [Expr]>);

impl<'t> Visit<'t> for Chains<'t> {
    fn visit_expr(&mut self, expr: &'t Expr) {
        if let ExprKind::Chain(list) = &expr.kind {
            self.0.push(list);
        }
        walk_expr(self, expr);
    }
}
