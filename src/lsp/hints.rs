//! The shape after each element of a chain, where it changes.

use super::documents::Document;
use crate::graph::{Graph, Node, NodeId};
use crate::source::{FileId, Span};
use crate::syntax::ast::{Expr, ExprKind, File, ItemKind, RepeatOver};
use crate::tensor::TensorType;
use lsp_types::{InlayHint, InlayHintKind, InlayHintLabel, Range};
use std::collections::BTreeMap;

/// The hints of the lines that are seen.
pub fn hints(document: &Document, seen: Range) -> Vec<InlayHint> {
    let mut hints: BTreeMap<usize, String> = BTreeMap::new();
    let (from, to) = (document.text.offset(seen.start), document.text.offset(seen.end));
    let graphs: Vec<Places> =
        document.known.graphs.iter().map(|graph| Places::of(graph, document.known.root)).collect();
    for chain in chains(&document.now.tree) {
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

/// Which nodes of a graph were written where in the text.
struct Places<'g> {
    graph: &'g Graph,
    consumers: Vec<Vec<NodeId>>,
    /// For each node the spans in the text that led to it: its own and those of mentions.
    spans: Vec<Vec<Span>>,
}

impl<'g> Places<'g> {
    fn of(graph: &'g Graph, root: FileId) -> Self {
        let spans = graph.nodes.iter().map(|node| spans(node, root)).collect();
        Places { graph, consumers: graph.consumers(), spans }
    }

    /// Which nodes an element made.
    fn made(&self, start: usize, end: usize) -> Vec<bool> {
        let within = |span: &Span| span.start as usize >= start && span.end as usize <= end;
        self.spans.iter().map(|spans| spans.iter().any(within)).collect()
    }

    /// What leaves a set of nodes.
    fn leaving(&self, set: &[bool]) -> Vec<&'g TensorType> {
        let leaves = |id: &NodeId| {
            let consumers = &self.consumers[id.0];
            set[id.0] && (consumers.iter().any(|consumer| !set[consumer.0]) || self.graph.outputs.contains(id))
        };
        self.graph.ids().filter(leaves).map(|id| &self.graph.node(id).output).collect()
    }

    /// What comes into a set of nodes.
    fn entering(&self, set: &[bool]) -> Vec<&'g TensorType> {
        let inputs = self.graph.ids().filter(|id| set[id.0]).flat_map(|id| &self.graph.node(id).inputs);
        inputs.filter(|input| !set[input.0]).map(|&input| &self.graph.node(input).output).collect()
    }
}

fn spans(node: &Node, root: FileId) -> Vec<Span> {
    let mut spans = vec![node.origin.span];
    let mut around = node.origin.mention.as_deref();
    // The outermost mention is the net itself, at its own definition.
    while let Some(mention) = around.filter(|mention| mention.outer.is_some()) {
        spans.push(mention.span);
        around = mention.outer.as_deref();
    }
    spans.retain(|span| span.file == root);
    spans
}

/// The shape after an element, where every graph and every mention agrees on it.
/// What a cut of another file's net made is only known by what comes into the next element.
fn shape_after(document: &Document, graphs: &[Places], element: &Expr, next: Option<&Expr>) -> Option<TensorType> {
    let place = |element: &Expr| {
        let (start, end) = (element.span.start as usize, element.span.end as usize);
        Some((document.in_known(start)?, document.in_known(end)?))
    };
    let (start, end) = place(element)?;
    let mut shapes: Vec<&TensorType> = Vec::new();
    for places in graphs {
        let made = places.made(start, end);
        if made.contains(&true) {
            shapes.extend(places.leaving(&made));
        } else if let Some((start, end)) = next.and_then(place) {
            shapes.extend(places.entering(&places.made(start, end)));
        }
    }
    let first = *shapes.first()?;
    shapes.iter().all(|shape| *shape == first).then(|| first.clone())
}

/// All chains of a text, also those inside others.
fn chains(tree: &File) -> Vec<&[Expr]> {
    let mut found = Vec::new();
    let bodies = tree.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Net(net) => Some(&net.body),
        _ => None,
    });
    bodies.chain(&tree.expression).for_each(|body| collect(body, &mut found));
    found
}

fn collect<'t>(expression: &'t Expr, found: &mut Vec<&'t [Expr]>) {
    match &expression.kind {
        ExprKind::Chain(list) => {
            found.push(list);
            list.iter().for_each(|inner| collect(inner, found));
        }
        ExprKind::Branches(list) | ExprKind::List(list) => list.iter().for_each(|inner| collect(inner, found)),
        ExprKind::Call { arguments, .. } => arguments.iter().for_each(|argument| collect(&argument.value, found)),
        ExprKind::Paren(inner) | ExprKind::Frozen(inner) | ExprKind::As { inner, .. } | ExprKind::Cut { inner, .. } => {
            collect(inner, found)
        }
        ExprKind::Repeat { over, body } => {
            if let RepeatOver::List { list, .. } = over {
                collect(list, found);
            }
            collect(body, found);
        }
        ExprKind::Block { statements, result } => {
            statements.iter().for_each(|statement| collect(&statement.value, found));
            collect(result, found);
        }
        ExprKind::If { arms, otherwise } => {
            arms.iter().for_each(|(_, arm)| collect(arm, found));
            otherwise.iter().for_each(|otherwise| collect(otherwise, found));
        }
        _ => {}
    }
}
