//! Signatures: contracts on shapes, with blame on the side that breaks them.

use crate::diagnostics::{Code, Diagnostic, counted};
use crate::elaborate::Aborted;
use crate::elaborate::elaborator::Elaborator;
use crate::elaborate::environment::{Bound, Scope};
use crate::graph::{NodeId, Value, ValueKind};
use crate::source::Span;
use crate::syntax::ast::{ExprKind, ShapePattern, Signature};
use crate::syntax::expression_text;
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    pub(crate) fn check_inputs(
        &mut self,
        net: &str,
        signature: &'p Signature,
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        span: Span,
    ) -> Result<(), Aborted> {
        self.check_shapes(net, &signature.inputs, nodes, scope, (span, signature.span), "takes", true)
    }

    pub(crate) fn check_outputs(
        &mut self,
        net: &str,
        signature: &'p Signature,
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        span: Span,
    ) -> Result<(), Aborted> {
        self.check_shapes(net, &signature.outputs, nodes, scope, (span, signature.span), "promises", false)
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn check_shapes(
        &mut self,
        net: &str,
        patterns: &'p [ShapePattern],
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        (blamed, contract): (Span, Span),
        verb: &str,
        binds: bool,
    ) -> Result<(), Aborted> {
        let does = if binds { "gets" } else { "gives" };
        let broken = |message: String, found: String| {
            Diagnostic::new(Code::Contract, message).at(blamed, found).and(contract, "the contract")
        };
        if patterns.len() != nodes.len() {
            let message = format!("`{net}` {verb} {}, but {does} {}", counted(patterns.len(), "tensor"), nodes.len());
            return Err(self.stop(broken(message, "here".into())));
        }
        for (pattern, &node) in patterns.iter().zip(nodes) {
            let found = self.draft.graph.node(node).output.clone();
            let text: Vec<String> = pattern.sizes.iter().map(expression_text).collect();
            let mut fits = pattern.sizes.len() == found.sizes.len() + 1;
            // What the words of the contract are here.
            let mut meant = Vec::new();
            for (expression, size) in pattern.sizes.iter().skip(1).zip(&found.sizes) {
                if let (ExprKind::Name(word), true) = (&expression.kind, binds)
                    && scope.find(word).is_none()
                {
                    let kind = size.known().map_or(ValueKind::Open, |size| ValueKind::Int(size as i64));
                    scope.define(word, Bound::Data(Value { kind, span: expression.span }));
                    continue;
                }
                if matches!(expression.kind, ExprKind::Open) {
                    continue;
                }
                match self.value(expression, scope)?.kind {
                    ValueKind::Int(wanted) => {
                        let written = expression_text(expression);
                        if written != wanted.to_string() {
                            meant.push(format!("{written} is {wanted}"));
                        }
                        fits &= size.known().is_none_or(|size| i64::try_from(size) == Ok(wanted));
                    }
                    ValueKind::Open => {}
                    _ => fits = false,
                }
            }
            if !fits {
                let message = format!("`{net}` {verb} ({}), but {does} {found}", text.join(", "));
                let mut diagnostic = broken(message, format!("{does} {found}"));
                let origin = self.draft.graph.node(node).origin.span;
                if binds && origin != blamed {
                    diagnostic = diagnostic.and(origin, format!("gives {found}"));
                }
                let batch = !matches!(pattern.sizes.first().map(|size| &size.kind), None | Some(ExprKind::Open));
                if batch && pattern.sizes.len() == found.sizes.len() {
                    diagnostic = diagnostic.help(format!("the batch comes first: `(?, {})`", text.join(", ")));
                }
                if !meant.is_empty() {
                    diagnostic = diagnostic.note(format!("here {}", meant.join(", ")));
                }
                return Err(self.stop(diagnostic));
            }
        }
        Ok(())
    }
}
