//! Words where only values can stand: `padding=same` means the choice, also beside a net that is named `same`.

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Aborted;
use crate::elaborate::budget::MAX_DEPTH;
use crate::elaborate::elaborator::Elaborator;
use crate::elaborate::environment::{Bound, Scope};
use crate::graph::{Value, ValueKind};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Ident};
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// A value where no net can stand: a net's name is a word there, and a `let` or parameter that is a net hides none.
    pub(crate) fn choice(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<Value, Aborted> {
        let span = expression.span;
        match &expression.kind {
            ExprKind::Paren(inner) => return self.choice(inner, scope),
            ExprKind::If { arms, otherwise } => {
                return match self.arm(arms, otherwise.as_deref(), scope)? {
                    Some(chosen) => self.choice(chosen, scope),
                    None => Err(self.net_for_value(span)),
                };
            }
            ExprKind::List(items) => {
                let items = items.iter().map(|item| self.choice(item, scope)).collect::<Result<_, Aborted>>()?;
                return self.made(Value { kind: ValueKind::List(items), span });
            }
            _ => {}
        }
        let bound = self.evaluate(expression, scope)?;
        match (self.as_choice(bound, span, 0)?, &expression.kind) {
            (Some(value), _) => Ok(value),
            (None, ExprKind::Name(word)) => Ok(self.word(word, span)),
            (None, _) => Err(self.net_for_value(span)),
        }
    }

    /// What the name or the call of a net is as a value; none for what can only be a net.
    fn as_choice(&mut self, bound: Bound<'p>, span: Span, depth: usize) -> Result<Option<Value>, Aborted> {
        let closure = match bound {
            Bound::Data(value) => return Ok(Some(value)),
            Bound::List(items) => {
                let items = items.into_iter().map(|(item, span)| self.as_choice(item, span, depth));
                let items = items.collect::<Result<Option<Vec<Value>>, Aborted>>()?;
                return Ok(items.map(|items| Value { kind: ValueKind::List(items), span }));
            }
            Bound::Net(closure) => closure,
            Bound::Signal(_) | Bound::Shared(_) => return Ok(None),
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
            // The name of a parameter that was handed on.
            (Some(bound @ Bound::Net(_)), ExprKind::Name(_)) if depth < MAX_DEPTH => {
                self.as_choice(bound, span, depth + 1)
            }
            (Some(_), _) => Ok(None),
            (None, ExprKind::Call { function, arguments }) => {
                let arguments = self.arguments(arguments, &closure.scope)?;
                self.words.push(span);
                self.choices.insert(function.span);
                Ok(Some(Value { kind: ValueKind::Construct { name: name.clone(), arguments }, span }))
            }
            (None, _) => {
                self.choices.insert(expression.span);
                Ok(Some(self.word(name, span)))
            }
        }
    }

    fn word(&mut self, word: &str, span: Span) -> Value {
        self.words.push(span);
        Value { kind: ValueKind::Word(word.to_string()), span }
    }

    pub(crate) fn net_for_value(&mut self, span: Span) -> Aborted {
        self.stop(net_for_value(span))
    }

    /// Notes what is wrong with the values of a layer. Where a net's name is no choice, the net was meant.
    pub(crate) fn wrong_values(&mut self, errors: Diagnostics) -> Aborted {
        for error in errors.iter() {
            let place = error.labels.iter().find(|label| label.primary).map(|label| label.span);
            let net = place.filter(|place| error.code == Code::WrongArgument && self.words.contains(place));
            let told = net.map(|place| net_for_value(place).note(error.message.clone()));
            _ = self.stop(told.unwrap_or_else(|| error.clone()));
        }
        Aborted
    }
}

fn net_for_value(span: Span) -> Diagnostic {
    Diagnostic::new(Code::NotANet, "a net stands where a value is needed").at(span, "this is a net")
}
