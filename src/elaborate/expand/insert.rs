//! Layers and finished pieces are added to the net that is built; what does not fit is told with the places that disagree.

use crate::diagnostics::{Code, Diagnostic, counted};
use crate::elaborate::Aborted;
use crate::elaborate::elaborator::{Elaborator, Flow};
use crate::elaborate::environment::Scope;
use crate::elaborate::graph_builder::Subgraph;
use crate::graph::{Definition, Mention, NodeId, Origin, ShapeError};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::Argument;
use std::collections::HashMap;
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// Adds a finished piece, its inputs fed by what comes in.
    pub(crate) fn put(
        &mut self,
        piece: &Subgraph,
        keep: &[bool],
        outputs: &[NodeId],
        span: Span,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let inputs: Vec<NodeId> = piece.graph.inputs().into_iter().filter(|id| keep[id.0]).collect();
        let mut sources = HashMap::new();
        if let Some(flow) = flow {
            if flow.len() != inputs.len() {
                return Err(self.stop(
                    Diagnostic::new(
                        Code::NeedsMerge,
                        format!(
                            "`{}` has {}, but gets {}",
                            piece.graph.name,
                            counted(inputs.len(), "input"),
                            counted(flow.len(), "tensor")
                        ),
                    )
                    .at(span, "here"),
                ));
            }
            sources = inputs.into_iter().zip(flow).collect();
        }
        self.place(piece, keep, sources, outputs, span)
    }

    /// Adds part of a finished piece, with `sources` in place of what it does not keep.
    pub(crate) fn place(
        &mut self,
        piece: &Subgraph,
        keep: &[bool],
        sources: HashMap<NodeId, NodeId>,
        outputs: &[NodeId],
        span: Span,
    ) -> Result<Vec<NodeId>, Aborted> {
        self.check_size(piece.graph.nodes.len(), span)?;
        let frozen = self.frozen;
        match self.draft.splice(piece, keep, &sources, frozen) {
            Ok(ids) => {
                // Layers of a net that is complete by itself know its definition only; now they know this mention.
                let kept = piece.graph.ids().filter(|id| keep[id.0]);
                for new in kept.filter_map(|id| ids.get(&id).copied()) {
                    let origin = &mut self.draft.graph.nodes[new.0].origin;
                    origin.mention = origin.mention.as_deref().map(|mention| mentioned(mention, span));
                }
                Ok(outputs.iter().filter_map(|output| ids.get(output).copied()).collect())
            }
            Err((id, error)) => {
                let node = piece.graph.node(id);
                let fed: Vec<NodeId> = match node.inputs.is_empty() {
                    true => sources.get(&id).copied().into_iter().collect(),
                    false => node.inputs.iter().filter_map(|input| sources.get(input).copied()).collect(),
                };
                let diagnostic = self.shape_diagnostic(error, node.origin.span, &fed);
                Err(self.stop(diagnostic.and(span, "through this mention")))
            }
        }
    }

    pub(crate) fn layer(
        &mut self,
        definition: &'static Definition,
        arguments: &'p [Argument],
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let given = self.arguments(arguments, scope)?;
        let operation = definition.make(given, span).map_err(|errors| self.wrong_values(errors))?;
        let begins = definition.name == ops::input::INPUT.name;
        let Some(inputs) = flow.or(begins.then(Vec::new)) else {
            let text = self.sources.text(span);
            return Err(self.stop(
                Diagnostic::new(Code::Fragment, format!("`{}` has no input", definition.name))
                    .at(span, "nothing comes in here")
                    .help(format!("a complete net starts at an input: `Input(224x224x3) >> {text}`")),
            ));
        };
        self.check_size(1, span)?;
        let origin = Origin { span, mention: scope.mention.clone(), layers: Vec::new() };
        match self.draft.insert(operation, &inputs, self.frozen, origin) {
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

    /// A shape error with the consumer's place and need, and the producers' with what they give.
    pub(crate) fn shape_diagnostic(&self, error: ShapeError, span: Span, inputs: &[NodeId]) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(error.code, error.message).at(span, error.expected);
        let shown: Vec<NodeId> = match error.input {
            Some(index) => inputs.first().into_iter().chain(inputs.get(index)).copied().collect(),
            None => inputs.iter().take(2).copied().collect(),
        };
        for (place, &id) in shown.iter().enumerate() {
            if shown[..place].contains(&id) {
                continue;
            }
            let node = self.draft.graph.node(id);
            let place = self.before.filter(|_| inputs.len() == 1).unwrap_or(node.origin.span);
            diagnostic = match self.before.is_none() && id.0 < self.draft.placeholders {
                true => diagnostic.and(place, format!("takes {}", node.output)),
                false => diagnostic.and(place, format!("gives {}", node.output)),
            };
        }
        diagnostic.maybe_help(error.help)
    }
}

/// A path of mentions with another place at its outer end.
fn mentioned(mention: &Mention, span: Span) -> Rc<Mention> {
    Rc::new(match &mention.outer {
        Some(outer) => Mention { net: mention.net.clone(), span: mention.span, outer: Some(mentioned(outer, span)) },
        None => Mention { net: mention.net.clone(), span, outer: None },
    })
}
