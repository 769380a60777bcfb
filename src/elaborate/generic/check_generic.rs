//! What can be checked of a net whose parameters have no values: the names in it, and the arguments of what it mentions.

use crate::check::lints::words;
use crate::diagnostics::Diagnostics;
use crate::elaborate::budget::MAX_DEPTH;
use crate::elaborate::elaborator::Elaborator;
use crate::elaborate::environment::Scope;
use crate::elaborate::{Aborted, Spec};
use crate::graph::{Arguments, Definition, Value, ValueKind};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Argument, CutEnd, CutRange, Expr, ExprKind, LayerName, RepeatOver, Text, TextPart};
use std::rc::Rc;

impl Spec {
    /// What is wrong with a net whichever values its parameters have.
    pub fn check_generic(&self, net: usize) -> Diagnostics {
        let definition = &self.project.nets[net];
        let mut check_generic = GenericCheck {
            elaborator: Elaborator::new(&self.project, &self.sources),
            scope: Scope::of_file(definition.file),
            open: definition.item.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect(),
        };
        if let Some(signature) = &definition.item.signature {
            let sizes = signature.inputs.iter().flat_map(|pattern| &pattern.sizes);
            check_generic.open.extend(sizes.filter_map(|size| match &size.kind {
                ExprKind::Name(name) => Some(name.as_str()),
                _ => None,
            }));
        }
        for parameter in &definition.item.parameters {
            parameter.default.iter().for_each(|default| check_generic.value(default));
        }
        check_generic.net(&definition.item.body);
        check_generic.elaborator.take_errors()
    }
}

struct GenericCheck<'p> {
    elaborator: Elaborator<'p>,
    scope: Rc<Scope<'p>>,
    /// Names that stand for something that is not known.
    open: Vec<&'p str>,
}

impl<'p> GenericCheck<'p> {
    /// An expression that stands where a net does.
    fn net(&mut self, expression: &'p Expr) {
        match &expression.kind {
            ExprKind::Chain(list) | ExprKind::Branches(list) => list.iter().for_each(|inner| self.net(inner)),
            ExprKind::List(list) => list.iter().for_each(|inner| self.value(inner)),
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) => self.net(inner),
            ExprKind::As { inner, name } => {
                self.text(&name.text);
                self.net(inner);
            }
            ExprKind::Cut { inner, range } => {
                let ends = match range {
                    CutRange::One(end) => [Some(end), None],
                    CutRange::Range { start, end, .. } => [start.as_ref(), end.as_ref()],
                };
                for end in ends.into_iter().flatten() {
                    if let CutEnd::Name(LayerName { text, .. }) = end {
                        self.text(text);
                    }
                }
                self.net(inner);
            }
            ExprKind::Repeat { over, body } => {
                let names = self.open.len();
                match over {
                    RepeatOver::Count(count) => self.value(count),
                    RepeatOver::Range { variable, start, end, .. } => {
                        self.value(start);
                        self.value(end);
                        self.open.push(&variable.text);
                    }
                    RepeatOver::List { pattern, list } => {
                        self.value(list);
                        self.open.extend(pattern.names().iter().map(|name| name.text.as_str()));
                    }
                }
                self.net(body);
                self.open.truncate(names);
            }
            ExprKind::Block { statements, result } => {
                let names = self.open.len();
                for statement in statements {
                    self.value(&statement.value);
                    self.open.push(&statement.name.text);
                }
                self.net(result);
                self.open.truncate(names);
            }
            ExprKind::If { arms, otherwise } => {
                for (condition, arm) in arms {
                    self.value(condition);
                    self.net(arm);
                }
                otherwise.iter().for_each(|arm| self.net(arm));
            }
            ExprKind::Name(name) => self.mention(name, &[], expression.span),
            ExprKind::Call { function, arguments } => self.mention(&function.text, arguments, expression.span),
            _ => {
                self.elaborator.value_in_chain(expression.span);
            }
        }
    }

    /// An expression that may be a value or a net.
    fn value(&mut self, expression: &'p Expr) {
        match &expression.kind {
            ExprKind::Name(_) => {}
            ExprKind::Call { function, arguments } => match self.is_net(&function.text) {
                true => self.mention(&function.text, arguments, expression.span),
                false => arguments.iter().for_each(|argument| self.value(&argument.value)),
            },
            ExprKind::List(list) => list.iter().for_each(|inner| self.value(inner)),
            ExprKind::Map(entries) => entries.iter().for_each(|(key, value)| {
                self.value(key);
                self.value(value);
            }),
            ExprKind::Unary { operand, .. } => self.value(operand),
            ExprKind::Binary { left, right, .. } | ExprKind::Range { start: left, end: right, .. } => {
                self.value(left);
                self.value(right);
            }
            ExprKind::Paren(inner) => self.value(inner),
            ExprKind::If { arms, otherwise } => {
                for (condition, arm) in arms {
                    self.value(condition);
                    self.value(arm);
                }
                otherwise.iter().for_each(|arm| self.value(arm));
            }
            ExprKind::Text(text) => self.text(text),
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Sizes(_) | ExprKind::Open | ExprKind::Bool(_) => {}
            _ => self.net(expression),
        }
    }

    fn text(&mut self, text: &'p Text) {
        for part in &text.parts {
            if let TextPart::Value(expression) = part {
                self.value(expression);
            }
        }
    }

    fn is_net(&self, name: &str) -> bool {
        self.elaborator.project.find(name, self.scope.file).is_some() || ops::find(name).is_some()
    }

    fn mention(&mut self, name: &str, arguments: &'p [Argument], span: Span) {
        if self.open.contains(&name) {
            return;
        }
        if let Some(net) = self.elaborator.project.find(name, self.scope.file) {
            arguments.iter().for_each(|argument| self.value(&argument.value));
            // What it needs and has is found while its arguments are sorted; none of them is evaluated.
            let _ = self.elaborator.sort_arguments(net, span, arguments);
        } else if let Some(definition) = ops::find(name) {
            self.layer(definition, arguments, span);
        } else {
            self.elaborator.unknown_mention(name, span, &self.scope, &self.open);
        }
    }

    /// A layer: all of its arguments where their values are known, else their names and number.
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
        self.elaborator.wrong_values(errors);
    }

    /// A value that depends on nothing that is open.
    fn known(&mut self, expression: &'p Expr) -> Option<Result<Value, Aborted>> {
        let text = self.elaborator.sources.text(expression.span);
        if words(text).any(|(_, word)| self.open.contains(&word)) || self.elaborator.depth > MAX_DEPTH {
            return None;
        }
        let scope = self.scope.clone();
        Some(self.elaborator.choice(expression, &scope))
    }
}
