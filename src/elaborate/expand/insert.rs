//! Inserts layers and subgraphs into the net that is being built, and reports shape errors with the producers involved.

use crate::diagnostics::{Code, Diagnostic, counted};
use crate::elaborate::elaborator::{Aborted, Elaborator, Flow};
use crate::elaborate::environment::Scope;
use crate::elaborate::graph_builder::Subgraph;
use crate::graph::{Definition, Mention, NodeId, Origin, ShapeError};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::Argument;
use std::collections::HashMap;
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// Inserts the kept nodes of a subgraph, its inputs fed by `flow`.
    pub(crate) fn insert_subgraph(
        &mut self,
        subgraph: &Subgraph,
        keep: &[bool],
        outputs: &[NodeId],
        span: Span,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let inputs: Vec<NodeId> = subgraph.graph.inputs().into_iter().filter(|id| keep[id.0]).collect();
        let mut sources = HashMap::new();
        if let Some(flow) = flow {
            if flow.len() != inputs.len() {
                return Err(self.stop(
                    Diagnostic::new(
                        Code::NeedsMerge,
                        format!(
                            "`{}` has {}, but gets {}",
                            subgraph.graph.name,
                            counted(inputs.len(), "input"),
                            counted(flow.len(), "tensor")
                        ),
                    )
                    .at(span, "used here"),
                ));
            }
            sources = inputs.into_iter().zip(flow).collect();
        }
        self.splice(subgraph, keep, sources, outputs, span)
    }

    /// Inserts the kept nodes of a subgraph, with `sources` in place of the other nodes that feed them.
    pub(crate) fn splice(
        &mut self,
        subgraph: &Subgraph,
        keep: &[bool],
        sources: HashMap<NodeId, NodeId>,
        outputs: &[NodeId],
        span: Span,
    ) -> Result<Vec<NodeId>, Aborted> {
        self.budget.add_layers(self.builder.len(), subgraph.graph.nodes.len(), span)?;
        let frozen = self.frozen;
        match self.builder.splice(subgraph, keep, &sources, frozen) {
            Ok(ids) => {
                // The layers of a cached complete net have its definition as their origin: it becomes this use.
                let kept = subgraph.graph.ids().filter(|id| keep[id.0]);
                let mut copies = HashMap::new();
                for new in kept.filter_map(|id| ids.get(&id).copied()) {
                    let mention = &mut self.builder.graph.nodes[new.0].origin.mention;
                    *mention = mention.as_ref().map(|mention| with_outermost_span(mention, span, &mut copies));
                }
                Ok(outputs.iter().filter_map(|output| ids.get(output).copied()).collect())
            }
            Err((id, error)) => {
                let node = subgraph.graph.node(id);
                let fed: Vec<NodeId> = match node.inputs.is_empty() {
                    true => sources.get(&id).copied().into_iter().collect(),
                    false => node.inputs.iter().filter_map(|input| sources.get(input).copied()).collect(),
                };
                let diagnostic = self.shape_diagnostic(error, node.origin.span, &fed);
                Err(self.stop(diagnostic.and(span, "used here")))
            }
        }
    }

    /// Inserts a layer.
    pub(crate) fn layer(
        &mut self,
        definition: &'static Definition,
        arguments: &'p [Argument],
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let given = self.arguments(arguments, scope)?;
        let operation = definition.make(given, span).map_err(|errors| self.report_argument_errors(errors))?;
        let begins = definition.name == ops::input::INPUT.name;
        let Some(inputs) = flow.or(begins.then(Vec::new)) else {
            let text = self.sources.text(span);
            return Err(self.stop(
                Diagnostic::new(Code::Fragment, format!("`{}` has no input", definition.name))
                    .at(span, "no input here")
                    .help(format!("a complete net starts at an input: `Input(224x224x3) >> {text}`")),
            ));
        };
        self.budget.add_layers(self.builder.len(), 1, span)?;
        let origin = Origin { span, mention: scope.mention.clone(), layers: Vec::new() };
        match self.builder.insert(operation, &inputs, self.frozen, origin) {
            Ok(id) => Ok(vec![id]),
            Err(error) => {
                let before = error.before;
                let mut diagnostic = self.shape_diagnostic(error, span, &inputs);
                for layer in before {
                    diagnostic = diagnostic.insert(span, format!("{layer} >> "));
                }
                Err(self.stop(scope.note_references(diagnostic)))
            }
        }
    }

    /// The diagnostic of a shape error, with labels on the consumer and on the producers of its inputs.
    pub(crate) fn shape_diagnostic(&self, error: ShapeError, span: Span, inputs: &[NodeId]) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(error.code, error.message).at(span, error.expected);
        let shown: Vec<NodeId> = match error.input {
            Some(index) => inputs.first().into_iter().chain(inputs.get(index)).copied().collect(),
            None => inputs.iter().take(2).copied().collect(),
        };
        for (index, &id) in shown.iter().enumerate() {
            if shown[..index].contains(&id) {
                continue;
            }
            let node = self.builder.graph.node(id);
            let producer = self.upstream.filter(|_| inputs.len() == 1).unwrap_or(node.origin.span);
            diagnostic = match self.upstream.is_none() && id.0 < self.builder.placeholders {
                true => diagnostic.and(producer, format!("takes {}", node.output)),
                false => diagnostic.and(producer, format!("gives {}", node.output)),
            };
        }
        diagnostic.maybe_help(error.help)
    }
}

/// A stack of uses with another span for the outermost one. Layers of one use stay of one: `copies` has what each became.
fn with_outermost_span(
    mention: &Rc<Mention>,
    span: Span,
    copies: &mut HashMap<*const Mention, Rc<Mention>>,
) -> Rc<Mention> {
    if let Some(copy) = copies.get(&Rc::as_ptr(mention)) {
        return Rc::clone(copy);
    }
    let net = mention.net.clone();
    let copy = Rc::new(match &mention.outer {
        Some(outer) => Mention { net, span: mention.span, outer: Some(with_outermost_span(outer, span, copies)) },
        None => Mention { net, span, outer: None },
    });
    copies.insert(Rc::as_ptr(mention), Rc::clone(&copy));
    copy
}
