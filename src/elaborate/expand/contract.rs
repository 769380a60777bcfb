//! Checks the signatures of nets against the shapes of their inputs and outputs.

use crate::diagnostics::{Code, Diagnostic, counted};
use crate::elaborate::elaborator::{Aborted, Elaborator};
use crate::elaborate::environment::{Binding, Scope};
use crate::graph::{NodeId, Value, ValueKind};
use crate::source::Span;
use crate::syntax::ast::{ExprKind, ShapePattern, Signature};
use crate::syntax::expression_text;
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// Checks the inputs of a net, and binds the sizes that its signature names. `span` is the use of the net.
    pub(crate) fn check_inputs(
        &mut self,
        net: &str,
        signature: &'p Signature,
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        span: Span,
    ) -> Result<(), Aborted> {
        self.check_shapes(net, &signature.inputs, nodes, scope, (span, signature.span), true)
    }

    /// Checks the outputs of a net. `span` is its body.
    pub(crate) fn check_outputs(
        &mut self,
        net: &str,
        signature: &'p Signature,
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        span: Span,
    ) -> Result<(), Aborted> {
        self.check_shapes(net, &signature.outputs, nodes, scope, (span, signature.span), false)
    }

    fn check_shapes(
        &mut self,
        net: &str,
        patterns: &'p [ShapePattern],
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        (span, signature): (Span, Span),
        are_inputs: bool,
    ) -> Result<(), Aborted> {
        let (expects, does) = if are_inputs { ("takes", "gets") } else { ("must return", "returns") };
        let error = |message: String, found: String| {
            Diagnostic::new(Code::Contract, message).at(span, found).and(signature, "the signature")
        };
        if patterns.len() != nodes.len() {
            let message =
                format!("`{net}` {expects} {}, but {does} {}", counted(patterns.len(), "tensor"), nodes.len());
            return Err(self.stop(error(message, format!("{does} {}", counted(nodes.len(), "tensor")))));
        }
        for (pattern, &node) in patterns.iter().zip(nodes) {
            let found = self.builder.graph.node(node).output.clone();
            let text: Vec<String> = pattern.sizes.iter().map(expression_text).collect();
            let mut fits = pattern.sizes.len() == found.sizes.len() + 1;
            // The values of the signature's expressions.
            let mut values = Vec::new();
            for (expression, size) in pattern.sizes.iter().skip(1).zip(&found.sizes) {
                if let (ExprKind::Name(word), true) = (&expression.kind, are_inputs)
                    && scope.find(word).is_none()
                {
                    let kind = size.known().map_or(ValueKind::Open, |size| ValueKind::Int(size as i64));
                    scope.define(word, Binding::Data(Value { kind, span: expression.span }));
                    continue;
                }
                if matches!(expression.kind, ExprKind::Open) {
                    continue;
                }
                match self.value(expression, scope)?.kind {
                    ValueKind::Int(wanted) => {
                        let written = expression_text(expression);
                        if written != wanted.to_string() {
                            values.push(format!("{written} is {wanted}"));
                        }
                        fits &= size.known().is_none_or(|size| i64::try_from(size) == Ok(wanted));
                    }
                    ValueKind::Open => {}
                    _ => fits = false,
                }
            }
            if !fits {
                let message = format!("`{net}` {expects} ({}), but {does} {found}", text.join(", "));
                let mut diagnostic = error(message, format!("{does} {found}"));
                let origin = self.builder.graph.node(node).origin.span;
                if are_inputs && origin != span {
                    diagnostic = diagnostic.and(origin, format!("gives {found}"));
                }
                let lacks_batch = !matches!(pattern.sizes.first().map(|size| &size.kind), None | Some(ExprKind::Open));
                if lacks_batch && pattern.sizes.len() == found.sizes.len() {
                    diagnostic = diagnostic.help(format!("the batch comes first: `(?, {})`", text.join(", ")));
                }
                if !values.is_empty() {
                    diagnostic = diagnostic.note(format!("here {}", values.join(", ")));
                }
                return Err(self.stop(diagnostic));
            }
        }
        Ok(())
    }
}
