//! Checks a net whose parameters have no values: the names in it and the arguments of the nets and layers it uses.

use crate::diagnostics::Diagnostics;
use crate::elaborate::Spec;
use crate::elaborate::budget::MAX_DEPTH;
use crate::elaborate::elaborator::{Aborted, Elaborator};
use crate::elaborate::environment::Scope;
use crate::graph::{Arguments, Definition, Value, ValueKind};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Argument, Expr, ExprKind};
use crate::syntax::scan::words;
use std::rc::Rc;

impl Spec {
    /// The errors of a net that do not depend on the values of its parameters.
    pub fn check_generic(&self, net: usize) -> Diagnostics {
        let definition = &self.project.nets[net];
        let mut check = GenericCheck {
            elaborator: Elaborator::new(&self.project, &self.sources),
            scope: Scope::of_file(definition.file),
            unknown: definition.item.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect(),
        };
        if let Some(signature) = &definition.item.signature {
            let sizes = signature.inputs.iter().flat_map(|pattern| &pattern.sizes);
            check.unknown.extend(sizes.filter_map(|size| match &size.kind {
                ExprKind::Name(name) => Some(name.as_str()),
                _ => None,
            }));
        }
        for parameter in &definition.item.parameters {
            parameter.default.iter().for_each(|default| check.value(default));
        }
        check.net(&definition.item.body);
        check.elaborator.take_errors()
    }
}

struct GenericCheck<'p> {
    elaborator: Elaborator<'p>,
    scope: Rc<Scope<'p>>,
    /// Names in scope whose values are unknown.
    unknown: Vec<&'p str>,
}

impl<'p> GenericCheck<'p> {
    /// Checks an expression where a net is expected.
    fn net(&mut self, expression: &'p Expr) {
        match &expression.kind {
            ExprKind::Chain(list) | ExprKind::Branches(list) => list.iter().for_each(|inner| self.net(inner)),
            ExprKind::List(list) => list.iter().for_each(|inner| self.value(inner)),
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) => self.net(inner),
            ExprKind::As { inner, name } => {
                name.text.expressions().for_each(|value| self.value(value));
                self.net(inner);
            }
            ExprKind::Cut { inner, range } => {
                range.expressions().for_each(|value| self.value(value));
                self.net(inner);
            }
            ExprKind::Repeat { over, body } => {
                let outer = self.unknown.len();
                over.expressions().for_each(|value| self.value(value));
                self.unknown.extend(over.names().iter().map(|name| name.text.as_str()));
                self.net(body);
                self.unknown.truncate(outer);
            }
            ExprKind::Block { statements, result } => {
                let outer = self.unknown.len();
                for statement in statements {
                    self.value(&statement.value);
                    self.unknown.push(&statement.name.text);
                }
                self.net(result);
                self.unknown.truncate(outer);
            }
            ExprKind::If { arms, otherwise } => {
                for (condition, arm) in arms {
                    self.value(condition);
                    self.net(arm);
                }
                otherwise.iter().for_each(|arm| self.net(arm));
            }
            ExprKind::Name(name) => self.reference(name, &[], expression.span),
            ExprKind::Call { function, arguments } => self.reference(&function.text, arguments, expression.span),
            _ => {
                self.elaborator.value_in_chain(expression.span);
            }
        }
    }

    /// Checks an expression where a value or a net is allowed.
    fn value(&mut self, expression: &'p Expr) {
        match &expression.kind {
            ExprKind::Call { function, arguments } if self.is_net(&function.text) => {
                self.reference(&function.text, arguments, expression.span);
            }
            ExprKind::Chain(_)
            | ExprKind::Branches(_)
            | ExprKind::Frozen(_)
            | ExprKind::As { .. }
            | ExprKind::Cut { .. }
            | ExprKind::Repeat { .. }
            | ExprKind::Block { .. } => self.net(expression),
            _ => expression.children().into_iter().for_each(|inner| self.value(inner)),
        }
    }

    fn is_net(&self, name: &str) -> bool {
        self.elaborator.project.find(name, self.scope.file).is_some() || ops::find(name).is_some()
    }

    fn reference(&mut self, name: &str, arguments: &'p [Argument], span: Span) {
        if self.unknown.contains(&name) {
            return;
        }
        if let Some(net) = self.elaborator.project.find(name, self.scope.file) {
            arguments.iter().for_each(|argument| self.value(&argument.value));
            // Sorting the arguments reports missing and unknown ones; none is evaluated.
            let _ = self.elaborator.sort_arguments(net, span, arguments);
        } else if let Some(definition) = ops::find(name) {
            self.layer(definition, arguments, span);
        } else {
            self.elaborator.unknown_name(name, span, &self.scope, &self.unknown);
        }
    }

    /// Checks a layer: its arguments if all their values are known, else their names and number.
    fn layer(&mut self, definition: &'static Definition, arguments: &'p [Argument], span: Span) {
        let mut given = Vec::with_capacity(arguments.len());
        let mut known = true;
        for argument in arguments {
            self.value(&argument.value);
            let name = argument.name.as_ref().map(|name| (name.text.clone(), name.span));
            match self.known(&argument.value) {
                Some(Ok(value)) => given.push((name, value)),
                Some(Err(Aborted)) => return,
                None => {
                    known = false;
                    given.push((name, Value { kind: ValueKind::Open, span: argument.value.span }));
                }
            }
        }
        let errors = match known {
            true => definition.make(given, span).err().unwrap_or_default(),
            false => Arguments::sort(definition.name, definition.arguments, given, span).1,
        };
        self.elaborator.report_argument_errors(errors);
    }

    /// The value of an expression that does not depend on unknown names.
    fn known(&mut self, expression: &'p Expr) -> Option<Result<Value, Aborted>> {
        let text = self.elaborator.sources.text(expression.span);
        if words(text).any(|(_, word)| self.unknown.contains(&word)) || self.elaborator.depth > MAX_DEPTH {
            return None;
        }
        let scope = self.scope.clone();
        Some(self.elaborator.keyword_value(expression, &scope))
    }
}
