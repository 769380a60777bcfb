//! Tests of expressions before they are expanded: whether one starts at an `Input`, and whether it is a single layer.

use crate::elaborate::budget::MAX_DEPTH;
use crate::elaborate::elaborator::Elaborator;
use crate::elaborate::environment::{Binding, Closure, Scope};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Argument, CutEnd, CutRange, Expr, ExprKind};
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// Whether an expression starts at an `Input`, so that it needs no input from outside.
    pub(crate) fn starts_at_input(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> bool {
        match &expression.kind {
            ExprKind::Chain(list) => list.first().is_some_and(|first| self.starts_at_input(first, scope)),
            ExprKind::Branches(list) => list.iter().all(|branch| self.starts_at_input(branch, scope)),
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) | ExprKind::As { inner, .. } => {
                self.starts_at_input(inner, scope)
            }
            ExprKind::Cut { inner, range: CutRange::One(_) } if self.is_list(inner, scope) => {
                let item = self.net_in_list(expression, scope);
                item.is_some_and(|item| self.nested(|this| this.starts_at_input(item.expression, &item.scope)))
            }
            ExprKind::Cut { inner, range } => {
                // Layer 0 is the input.
                let from_start = matches!(range, CutRange::Range { start: None | Some(CutEnd::Index(0, _)), .. });
                from_start && self.starts_at_input(inner, scope)
            }
            ExprKind::Repeat { body, .. } => self.starts_at_input(body, scope),
            ExprKind::Block { statements, result } => {
                let inner = Scope::nested(scope);
                for statement in statements {
                    let closure = Closure { expression: &statement.value, scope: inner.clone() };
                    inner.define(&statement.name.text, Binding::Net(closure));
                }
                self.starts_at_input(result, &inner)
            }
            ExprKind::If { arms, otherwise } => {
                let errors = std::mem::take(&mut self.errors);
                let arm = self.chosen_arm(arms, otherwise.as_deref(), scope);
                self.errors = errors;
                arm.ok().flatten().is_some_and(|arm| self.starts_at_input(arm, scope))
            }
            ExprKind::Name(name) => match scope.find(name) {
                Some(Binding::Net(closure)) => {
                    // The expansion reports a `let` that refers to itself.
                    let same = std::ptr::eq(closure.expression, expression);
                    !same && self.nested(|this| this.starts_at_input(closure.expression, &closure.scope))
                }
                Some(Binding::Shared(shared)) => self.starts_at_input(shared.closure.expression, &shared.closure.scope),
                // A tensor that was passed as an argument belongs to the enclosing net.
                Some(_) => false,
                None => self.named_starts_at_input(name, &[], expression.span, scope),
            },
            ExprKind::Call { function, arguments } => {
                self.named_starts_at_input(&function.text, arguments, expression.span, scope)
            }
            _ => false,
        }
    }

    /// The net at an index of a list.
    fn net_in_list(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Option<Closure<'p>> {
        let errors = std::mem::take(&mut self.errors);
        let binding = self.evaluate(expression, scope);
        self.errors = errors;
        match binding {
            Ok(Binding::Net(closure)) if !std::ptr::eq(closure.expression, expression) => Some(closure),
            _ => None,
        }
    }

    /// Whether the operand of `[…]` is a list, so that the brackets index it instead of cutting a net.
    fn is_list(&self, expression: &Expr, scope: &Rc<Scope<'p>>) -> bool {
        match &expression.kind {
            ExprKind::Name(name) => matches!(scope.find(name), Some(Binding::List(_))),
            ExprKind::Cut { inner, .. } => self.is_list(inner, scope),
            _ => false,
        }
    }

    /// Whether a net or layer starts at an input.
    fn named_starts_at_input(
        &mut self,
        name: &str,
        arguments: &'p [Argument],
        span: Span,
        scope: &Rc<Scope<'p>>,
    ) -> bool {
        match self.project.find(name, scope.file) {
            Some(net) => {
                // Without arguments the result is the same for every use.
                if let Some(&known) = self.closed_nets.get(&net).filter(|_| arguments.is_empty()) {
                    return known;
                }
                let outer = std::mem::take(&mut self.is_inconclusive);
                let found = self.nested(|this| {
                    let errors = std::mem::take(&mut this.errors);
                    let inner = this.net_scope(net, span, arguments, scope);
                    this.errors = errors;
                    let body = &this.project.nets[net].item.body;
                    inner.is_ok_and(|inner| this.starts_at_input(body, &inner))
                });
                if arguments.is_empty() && !self.is_inconclusive {
                    self.closed_nets.insert(net, found);
                }
                self.is_inconclusive |= outer;
                found
            }
            None => ops::find(name).is_some_and(|definition| definition.name == ops::input::INPUT.name),
        }
    }

    /// Runs a test one level deeper; false beyond the limits of depth and steps.
    fn nested(&mut self, test: impl FnOnce(&mut Self) -> bool) -> bool {
        self.budget.add_steps(1);
        if self.depth >= MAX_DEPTH || self.budget.is_exhausted() {
            self.is_inconclusive = true;
            return false;
        }
        self.depth += 1;
        let found = test(self);
        self.depth -= 1;
        found
    }

    /// Whether an expression is one layer, so that `as` names it instead of opening a scope.
    pub(crate) fn is_layer(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> bool {
        match &expression.kind {
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) => self.is_layer(inner, scope),
            ExprKind::Name(name) => match scope.find(name) {
                Some(Binding::Net(closure)) => self.nested(|this| this.is_layer(closure.expression, &closure.scope)),
                Some(_) => false,
                None => self.project.find(name, scope.file).is_none() && ops::find(name).is_some(),
            },
            ExprKind::Call { function, .. } => {
                scope.find(&function.text).is_none()
                    && self.project.find(&function.text, scope.file).is_none()
                    && ops::find(&function.text).is_some()
            }
            ExprKind::Cut { inner, range: CutRange::One(_) } if self.is_list(inner, scope) => {
                let item = self.net_in_list(expression, scope);
                item.is_some_and(|item| self.nested(|this| this.is_layer(item.expression, &item.scope)))
            }
            ExprKind::If { arms, otherwise } => {
                let arm = self.chosen_arm(arms, otherwise.as_deref(), scope).ok().flatten();
                arm.is_none_or(|arm| self.is_layer(arm, scope))
            }
            _ => false,
        }
    }
}
