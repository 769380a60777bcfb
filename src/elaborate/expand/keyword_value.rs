//! Values where no net is allowed: `padding=same` is the keyword, even if a net is named `same`.

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::budget::MAX_DEPTH;
use crate::elaborate::elaborator::{Aborted, Elaborator};
use crate::elaborate::environment::{Binding, Scope};
use crate::graph::{Value, ValueKind};
use crate::source::Span;
use crate::syntax::ast::{BinaryOperator, Expr, ExprKind, Ident};
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// Evaluates an expression where no net is allowed. The name of a net is a keyword there, also if a `let` or parameter
    /// that is a net shadows the keyword.
    pub(crate) fn keyword_value(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<Value, Aborted> {
        let span = expression.span;
        match &expression.kind {
            ExprKind::Paren(inner) => return self.keyword_value(inner, scope),
            ExprKind::If { arms, otherwise } => {
                return match self.chosen_arm(arms, otherwise.as_deref(), scope)? {
                    Some(chosen) => self.keyword_value(chosen, scope),
                    None => Err(self.net_for_value(span)),
                };
            }
            ExprKind::List(items) => {
                let items = items.iter().map(|item| self.keyword_value(item, scope)).collect::<Result<_, Aborted>>()?;
                return Ok(self.budget.count_value(Value { kind: ValueKind::List(items), span })?);
            }
            // A word or a call with a factor; products of numbers are arithmetic.
            ExprKind::Binary { operator: BinaryOperator::Multiply, left, right }
                if matches!(right.kind, ExprKind::Name(_) | ExprKind::Call { .. }) =>
            {
                let scaled = self.keyword_value(right, scope)?;
                if matches!(scaled.kind, ValueKind::Word(_) | ValueKind::Construct { .. })
                    && let Some(factor) = self.keyword_value(left, scope)?.number()
                {
                    let kind = ValueKind::Scaled(factor, Box::new(scaled));
                    return Ok(self.budget.count_value(Value { kind, span })?);
                }
            }
            _ => {}
        }
        let binding = self.evaluate(expression, scope)?;
        match (self.as_keyword_value(binding, span, 0)?, &expression.kind) {
            (Some(value), _) => Ok(value),
            (None, ExprKind::Name(word)) => Ok(self.word(word, span)),
            (None, _) => Err(self.net_for_value(span)),
        }
    }

    /// The name or the call of a net as a value; `None` for other nets.
    fn as_keyword_value(&mut self, binding: Binding<'p>, span: Span, depth: usize) -> Result<Option<Value>, Aborted> {
        let closure = match binding {
            Binding::Data(value) => return Ok(Some(value)),
            Binding::List(items) => {
                let items = items.into_iter().map(|(item, span)| self.as_keyword_value(item, span, depth));
                let items = items.collect::<Result<Option<Vec<Value>>, Aborted>>()?;
                return Ok(items.map(|items| Value { kind: ValueKind::List(items), span }));
            }
            Binding::Net(closure) => closure,
            Binding::Signal(_) | Binding::Shared(_) => return Ok(None),
        };
        let mut expression = closure.expression;
        while let ExprKind::Paren(inner) = &expression.kind {
            expression = inner;
        }
        let (ExprKind::Name(name) | ExprKind::Call { function: Ident { text: name, .. }, .. }) = &expression.kind
        else {
            return Ok(None);
        };
        match (closure.scope.find(name), &expression.kind) {
            // The name of a parameter that was passed on.
            (Some(binding @ Binding::Net(_)), ExprKind::Name(_)) if depth < MAX_DEPTH => {
                self.as_keyword_value(binding, span, depth + 1)
            }
            (Some(_), _) => Ok(None),
            (None, ExprKind::Call { function, arguments }) => {
                let arguments = self.arguments(arguments, &closure.scope)?;
                self.keyword_spans.push(span);
                self.keyword_names.insert(function.span);
                Ok(Some(Value { kind: ValueKind::Construct { name: name.clone(), arguments }, span }))
            }
            (None, _) => {
                self.keyword_names.insert(expression.span);
                Ok(Some(self.word(name, span)))
            }
        }
    }

    fn word(&mut self, word: &str, span: Span) -> Value {
        self.keyword_spans.push(span);
        Value { kind: ValueKind::Word(word.to_string()), span }
    }

    pub(crate) fn net_for_value(&mut self, span: Span) -> Aborted {
        self.stop(net_for_value(span))
    }

    /// Reports the errors in the arguments of a layer. If the name of a net is not a valid keyword, the error is about the
    /// net.
    pub(crate) fn report_argument_errors(&mut self, errors: Diagnostics) -> Aborted {
        for error in errors.iter() {
            let span = error.labels.iter().find(|label| label.primary).map(|label| label.span);
            let net = span.filter(|span| error.code == Code::WrongArgument && self.keyword_spans.contains(span));
            let about_net = net.map(|span| net_for_value(span).note(error.message.clone()));
            _ = self.stop(about_net.unwrap_or_else(|| error.clone()));
        }
        Aborted
    }
}

fn net_for_value(span: Span) -> Diagnostic {
    Diagnostic::new(Code::NotANet, "expected a value, found a net").at(span, "this is a net")
}
