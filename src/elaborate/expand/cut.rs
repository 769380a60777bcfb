//! Cuts: selects a part of a net by the names or indices of its layers. On a graph with branches an end keeps all its
//! ancestors, a start all its descendants.

use crate::diagnostics::{Code, Diagnostic, counted, suggest};
use crate::elaborate::elaborator::{Aborted, Elaborator, Flow};
use crate::elaborate::environment::Scope;
use crate::elaborate::graph_builder::Subgraph;
use crate::graph::scope::{is_in, scopes};
use crate::graph::{Graph, NodeId};
use crate::ops::input::Input;
use crate::source::Span;
use crate::syntax::ast::{CutEnd, CutRange, Expr, ExprKind};
use crate::syntax::layer_name_text;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

/// The part of a subgraph that a cut selects.
#[derive(Debug)]
struct Selection {
    /// Whether each node is kept.
    keep: Vec<bool>,
    outputs: Vec<NodeId>,
    /// The nodes outside that feed it.
    sources: Vec<NodeId>,
}

impl<'p> Elaborator<'p> {
    /// Applies a part of a net to its input tensors.
    pub(crate) fn cut(
        &mut self,
        inner: &'p Expr,
        range: &'p CutRange,
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        // A complete net is expanded without the input, which feeds the cut instead.
        let complete = self.starts_at_input(inner, scope);
        let inside = if complete { None } else { flow.clone() };
        let name = self.sources.text(inner.span).to_string();
        // A complete net without arguments is expanded once, however often it is cut.
        let named = match &inner.kind {
            ExprKind::Name(name) if complete && scope.find(name).is_none() => self.project.find(name, scope.file),
            _ => None,
        };
        let subgraph = match named.filter(|&net| !scope.is_inside(&self.project.nets[net].item.name.text)) {
            Some(net) => self.complete(net)?,
            None => Rc::new(self.build_subgraph(&name, &inside, false, |this, flow| this.apply(inner, scope, flow))?),
        };
        let (start, end, inclusive) = match range {
            CutRange::One(end) => (Some(end), Some(end), true),
            CutRange::Range { start, end, inclusive } => (start.as_ref(), end.as_ref(), *inclusive),
        };
        let start = start.map(|end| self.find_layers(&subgraph, end, scope)).transpose()?;
        let end = end.map(|end| self.find_layers(&subgraph, end, scope)).transpose()?;
        let end = end.as_deref().map(|end| (end, inclusive));
        let selection = select(&subgraph, start.as_deref(), end).map_err(|diagnostic| {
            let branches = (diagnostic.code == Code::HangingEdge).then_some(start.as_deref()).flatten();
            let help = branches.map(|start| earlier_start(&subgraph, start, end));
            self.stop(diagnostic.at(span, "this cut").maybe_help(help))
        })?;
        self.splice_cut(&subgraph, selection, span, flow)
    }

    fn splice_cut(
        &mut self,
        subgraph: &Subgraph,
        selection: Selection,
        span: Span,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let Selection { keep, outputs, sources } = selection;
        if sources.is_empty() {
            return self.insert_subgraph(subgraph, &keep, &outputs, span, flow);
        }
        let open = self.allows_open_inputs && self.builder.len() == 0;
        let Some(flow) = flow.or_else(|| open.then(|| self.insert_placeholders(subgraph, &sources))) else {
            let first = subgraph.graph.node(sources[0]);
            return Err(self.stop(
                Diagnostic::new(Code::Fragment, "a cut with a start is a fragment: it has no input")
                    .at(span, format!("needs an input of {}", first.output))
                    .help(format!("put an input of that shape before it: `Input({}) >> …`", sizes(first))),
            ));
        };
        if flow.len() != sources.len() {
            let shapes: Vec<String> = sources.iter().map(|&id| subgraph.graph.node(id).output.to_string()).collect();
            return Err(self.stop(
                Diagnostic::new(
                    Code::NeedsMerge,
                    format!("the cut takes {}, but gets {}", counted(sources.len(), "tensor"), flow.len()),
                )
                .at(span, format!("takes {}", shapes.join(" and "))),
            ));
        }
        for (&source, &given) in sources.iter().zip(&flow) {
            let (wanted, found) = (&subgraph.graph.node(source).output, &self.builder.graph.node(given).output);
            if source.0 >= subgraph.placeholders && !wanted.agrees(found) {
                let diagnostic = Diagnostic::new(Code::Mismatch, format!("the cut needs {wanted}, but gets {found}"))
                    .at(span, format!("the input of the cut is {wanted}"))
                    .and(self.builder.graph.node(given).origin.span, format!("gives {found}"));
                return Err(self.stop(diagnostic));
            }
        }
        let sources: HashMap<NodeId, NodeId> = sources.into_iter().zip(flow).collect();
        self.splice(subgraph, &keep, sources, &outputs, span)
    }

    /// Adds placeholders for the inputs of a fragment.
    fn insert_placeholders(&mut self, subgraph: &Subgraph, sources: &[NodeId]) -> Vec<NodeId> {
        let mut list = Vec::with_capacity(sources.len());
        for &source in sources {
            let node = subgraph.graph.node(source);
            let input = Input { shape: node.output.clone(), image: None };
            if let Ok(id) = self.builder.insert(Arc::new(input), &[], false, node.origin.clone()) {
                self.builder.name(id, node.name.clone());
                list.push(id);
            }
        }
        self.builder.placeholders = self.builder.len();
        list
    }

    /// The layers that an end of a cut refers to: of this name, or in the scope of this name.
    fn find_layers(
        &mut self,
        subgraph: &Subgraph,
        end: &'p CutEnd,
        scope: &Rc<Scope<'p>>,
    ) -> Result<Vec<NodeId>, Aborted> {
        let graph = &subgraph.graph;
        let layers = subgraph.placeholders..graph.nodes.len();
        match end {
            CutEnd::Index(index, span) => {
                let count = layers.len() as i64;
                let position = if *index < 0 { index + count } else { *index };
                match (0..count).contains(&position) {
                    true => Ok(vec![NodeId(layers.start + position as usize)]),
                    false => Err(self.stop(
                        Diagnostic::new(Code::UnknownLayer, format!("there is no layer {index}"))
                            .at(*span, format!("the net has {count} layers: 0 to {}, or -{count} to -1", count - 1)),
                    )),
                }
            }
            CutEnd::Name(name) => {
                let text = self.text(&name.text, scope)?;
                let inside = |id: &NodeId| is_in(&subgraph.scopes[id.0], &text) || is_in(&graph.node(*id).name, &text);
                let found: Vec<NodeId> = layers.clone().map(NodeId).filter(inside).collect();
                if !found.is_empty() {
                    return Ok(found);
                }
                let names: BTreeSet<&str> = layers
                    .flat_map(|index| {
                        let (name, scope) = (graph.nodes[index].name.as_str(), subgraph.scopes[index].as_str());
                        [scope].into_iter().chain(scopes(name))
                    })
                    .collect();
                let error = Diagnostic::new(Code::UnknownLayer, format!("`{}` has no layer `{text}`", graph.name))
                    .at(name.text.span, "no layer or scope has this name");
                let near = super::foreign_layer::meant(self.project, graph, &text)
                    .filter(|_| !text.is_empty())
                    .or_else(|| suggest::nearest(&text, names));
                Err(self.stop(match near {
                    Some(near) => error.help(suggest::question(near)).fix(
                        name.text.span,
                        layer_name_text(&text),
                        layer_name_text(near),
                    ),
                    None => error.help("`netc show` lists the layers"),
                }))
            }
        }
    }
}

fn sizes(node: &crate::graph::Node) -> String {
    let list: Vec<String> = node.output.sizes.iter().map(|size| size.to_string()).collect();
    list.join("x")
}

fn select(
    subgraph: &Subgraph,
    start: Option<&[NodeId]>,
    end: Option<(&[NodeId], bool)>,
) -> Result<Selection, Diagnostic> {
    let graph = &subgraph.graph;
    let mut keep = vec![true; graph.nodes.len()];
    keep[..subgraph.placeholders].fill(false);
    let mut outputs = graph.outputs.clone();
    if let Some((end, inclusive)) = end {
        outputs = match inclusive {
            // The outputs of the layer or scope.
            true => {
                let consumers = graph.consumers();
                // Layers without a name of their own between those of the scope are in it too.
                let between = graph.ancestors(end);
                let leaves = |id: &&NodeId| {
                    let consumers = &consumers[id.0];
                    consumers.is_empty() || consumers.iter().any(|&consumer| !between[consumer.0]) || end.len() == 1
                };
                end.iter().filter(leaves).copied().collect()
            }
            // The inputs of the layer or scope.
            false => {
                let feeds = end.iter().flat_map(|&id| graph.node(id).inputs.iter().copied());
                let from_end = graph.descendants(end);
                distinct(feeds.filter(|&id| !from_end[id.0]))
            }
        };
        let reached = graph.ancestors(&outputs);
        keep.iter_mut().zip(reached).for_each(|(keep, reached)| *keep &= reached);
    }
    let mut sources = Vec::new();
    if let Some(start) = start {
        let reached = graph.descendants(start);
        let feeds = start.iter().flat_map(|&id| graph.node(id).inputs.iter().copied());
        sources = distinct(feeds.filter(|&id| !reached[id.0]));
        keep.iter_mut().zip(reached).for_each(|(keep, reached)| *keep &= reached);
        outputs.retain(|output| keep[output.0]);
    } else {
        sources.extend((0..subgraph.placeholders).map(NodeId));
    }
    let empty = || {
        Diagnostic::new(Code::EmptyCut, "the cut is empty")
            .help("`..a` ends before a, `..=a` includes it; the start must not come after the end")
    };
    if outputs.is_empty() || !keep.contains(&true) {
        return Err(empty());
    }
    if outputs.iter().any(|output| !keep[output.0] && !sources.contains(output)) {
        return Err(empty());
    }
    for id in graph.ids().filter(|id| keep[id.0]) {
        let node = graph.node(id);
        let dangling = node.inputs.iter().find(|input| !keep[input.0] && !sources.contains(input));
        if let Some(&input) = dangling {
            return Err(dangling_edge(graph, input, id));
        }
    }
    Ok(Selection { keep, outputs, sources })
}

fn dangling_edge(graph: &Graph, from: NodeId, to: NodeId) -> Diagnostic {
    let (from, to) = (graph.node(from), graph.node(to));
    Diagnostic::new(
        Code::HangingEdge,
        format!("the cut leaves the edge from `{}` to `{}` dangling", from.name, to.name),
    )
    .note(format!("`{}` gives {} and is cut off, but `{}` is kept and needs it", from.name, from.output, to.name))
}

/// The help for a start inside of a branch: the last layer before it where the cut can start.
fn earlier_start(subgraph: &Subgraph, start: &[NodeId], end: Option<(&[NodeId], bool)>) -> String {
    /// Layers that are tried, each of which takes time in proportion to the net.
    const TRIED: usize = 100;
    let first = start.iter().map(|id| id.0).min().unwrap_or(0);
    let mut earlier = (subgraph.placeholders..first).rev().take(TRIED).map(NodeId);
    match earlier.find(|&id| select(subgraph, Some(&[id]), end).is_ok()) {
        Some(id) => {
            let name = layer_name_text(&subgraph.graph.node(id).name);
            format!("start before the branches split, with `{name}..`, or after the merge")
        }
        None => "start before the branches split, or after the merge".to_string(),
    }
}

fn distinct(ids: impl Iterator<Item = NodeId>) -> Vec<NodeId> {
    let mut list = Vec::new();
    for id in ids {
        if !list.contains(&id) {
            list.push(id);
        }
    }
    list
}
