//! Evaluates expressions: arithmetic, lists, string templates, conditions.

use super::apply::items_of;
use crate::diagnostics::{Code, Diagnostic, counted, suggest};
use crate::elaborate::elaborator::{Aborted, Elaborator};
use crate::elaborate::environment::{Binding, Closure, Scope};
use crate::elaborate::project::literal;
use crate::graph::signature::definition::Given;
use crate::graph::{Value, ValueKind};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Argument, BinaryOperator, CutEnd, CutRange, Expr, ExprKind, Text, TextPart, UnaryOperator};
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// Evaluates an expression to a value, or to a net that is not expanded yet.
    pub(crate) fn evaluate(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<Binding<'p>, Aborted> {
        let span = expression.span;
        let data = |kind| Ok(Binding::Data(Value { kind, span }));
        self.budget.step(1, span)?;
        match &expression.kind {
            ExprKind::Int(value) => data(ValueKind::Int(*value)),
            ExprKind::Float(value) => data(ValueKind::Float(*value)),
            ExprKind::Bool(value) => data(ValueKind::Bool(*value)),
            ExprKind::Open => data(ValueKind::Open),
            ExprKind::Sizes(sizes) => data(ValueKind::Sizes(sizes.clone())),
            ExprKind::Text(text) => {
                let text = self.text(text, scope)?;
                data(ValueKind::Text(text))
            }
            ExprKind::List(items) => self.list(items, span, scope),
            ExprKind::Range { start, end, inclusive } => {
                let (start, end) = (self.integer(start, scope)?, self.integer(end, scope)?);
                let end = if *inclusive { end.saturating_add(1) } else { end };
                self.check_repeats(end.saturating_sub(start), span)?;
                self.budget.step(usize::try_from(end.saturating_sub(start)).unwrap_or(0), span)?;
                let integer = |value| Value { kind: ValueKind::Int(value), span };
                data(ValueKind::List((start..end).map(integer).collect()))
            }
            ExprKind::Cut { inner, range } => match self.list_item(inner, range, span, scope) {
                Some(item) => item,
                None => Ok(self.net(expression, scope)),
            },
            ExprKind::Map(entries) => {
                let mut list = Vec::new();
                for (key, value) in entries {
                    list.push((self.keyword_value(key, scope)?, self.keyword_value(value, scope)?));
                }
                data(ValueKind::Map(list))
            }
            ExprKind::Name(name) => {
                if let Some(binding) = scope.find(name) {
                    return Ok(match binding {
                        Binding::Data(value) => Binding::Data(self.budget.count_value(Value { span, ..value })?),
                        Binding::List(list) => {
                            self.budget.step(list.len(), span)?;
                            Binding::List(list)
                        }
                        other => other,
                    });
                }
                if self.project.find(name, scope.file).is_some() || ops::find(name).is_some() {
                    return Ok(self.net(expression, scope));
                }
                data(ValueKind::Word(name.clone()))
            }
            ExprKind::Call { function, arguments } => {
                let name = &function.text;
                if scope.find(name).is_some()
                    || self.project.find(name, scope.file).is_some()
                    || ops::find(name).is_some()
                {
                    return Ok(self.net(expression, scope));
                }
                if name == "len" {
                    return self.length(arguments, span, scope);
                }
                let arguments = self.arguments(arguments, scope)?;
                data(ValueKind::Construct { name: name.clone(), arguments })
            }
            ExprKind::Paren(inner) => self.evaluate(inner, scope),
            ExprKind::If { arms, otherwise } => match self.chosen_arm(arms, otherwise.as_deref(), scope)? {
                Some(chosen) => self.evaluate(chosen, scope),
                None => Ok(self.net(expression, scope)),
            },
            ExprKind::Unary { operator, operand } => {
                let value = self.value(operand, scope)?;
                let kind = match (operator, value.kind) {
                    (UnaryOperator::Negate, ValueKind::Int(value)) => value.checked_neg().map(ValueKind::Int),
                    (UnaryOperator::Negate, ValueKind::Float(value)) => Some(ValueKind::Float(-value)),
                    (UnaryOperator::Not, ValueKind::Bool(value)) => Some(ValueKind::Bool(!value)),
                    _ => None,
                };
                match kind {
                    Some(kind) => data(kind),
                    None => {
                        let needs = match operator {
                            UnaryOperator::Negate => "`-` needs a number",
                            UnaryOperator::Not => "`not` needs `true` or `false`",
                        };
                        Err(self.stop(Diagnostic::new(Code::Arithmetic, needs).at(operand.span, "invalid operand")))
                    }
                }
            }
            ExprKind::Binary { operator, left, right } => {
                let kind = self.binary(*operator, left, right, span, scope)?;
                data(kind)
            }
            ExprKind::Chain(_)
            | ExprKind::Branches(_)
            | ExprKind::As { .. }
            | ExprKind::Repeat { .. }
            | ExprKind::Block { .. }
            | ExprKind::Frozen(_) => Ok(self.net(expression, scope)),
        }
    }

    fn net(&self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Binding<'p> {
        Binding::Net(Closure { expression, scope: scope.clone() })
    }

    /// Evaluates an expression to a value; a net is an error.
    pub(crate) fn value(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<Value, Aborted> {
        match self.evaluate(expression, scope)? {
            Binding::Data(value) => Ok(value),
            _ => Err(self.net_for_value(expression.span)),
        }
    }

    /// `list[0]`: an item of a list or of sizes, by an integer or a name in scope; `None` if the operand is a net.
    pub(crate) fn list_item(
        &mut self,
        inner: &'p Expr,
        range: &'p CutRange,
        span: Span,
        scope: &Rc<Scope<'p>>,
    ) -> Option<Result<Binding<'p>, Aborted>> {
        let binding = match &inner.kind {
            ExprKind::Name(name) => scope.find(name)?,
            ExprKind::Cut { inner: list, range } => match self.list_item(list, range, inner.span, scope)? {
                Ok(binding) => binding,
                Err(stop) => return Some(Err(stop)),
            },
            _ => return None,
        };
        let is_value = matches!(binding, Binding::Data(_));
        let Some(items) = items_of(binding) else {
            let error = Diagnostic::new(Code::WrongArgument, "only a list, sizes or a net can be indexed")
                .at(inner.span, "this is a single value");
            return is_value.then(|| Err(self.stop(error)));
        };
        let index = match range {
            CutRange::One(CutEnd::Index(index, _)) => Some(*index),
            CutRange::One(CutEnd::Name(name)) if !name.quoted => {
                match literal(&name.text).map(|word| scope.find(&word)) {
                    Some(Some(Binding::Data(Value { kind: ValueKind::Int(index), .. }))) => Some(index),
                    _ => None,
                }
            }
            _ => None,
        };
        let count = items.len();
        let Some(index) = index else {
            let error = Diagnostic::new(Code::WrongArgument, "the index of a list must be an integer")
                .at(span, format!("the list has {}", counted(count, "item")))
                .help("write `list[0]`, `list[-1]`, or `list[i]` with an integer `i` in scope");
            return Some(Err(self.stop(error)));
        };
        let position = if index < 0 { index + count as i64 } else { index };
        let item = usize::try_from(position).ok().and_then(|position| items.into_iter().nth(position));
        Some(item.map(|(item, _)| item).ok_or_else(|| {
            let has = match count {
                0 => "the list is empty".to_string(),
                _ => format!("the list has {}: 0 to {}, or -{count} to -1", counted(count, "item"), count - 1),
            };
            self.stop(Diagnostic::new(Code::WrongArgument, format!("there is no item {index}")).at(span, has))
        }))
    }

    fn list(&mut self, items: &'p [Expr], span: Span, scope: &Rc<Scope<'p>>) -> Result<Binding<'p>, Aborted> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            list.push((self.evaluate(item, scope)?, item.span));
        }
        let values: Option<Vec<Value>> = list
            .iter()
            .map(|(binding, _)| match binding {
                Binding::Data(value) => Some(value.clone()),
                _ => None,
            })
            .collect();
        Ok(match values {
            Some(values) => Binding::Data(self.budget.count_value(Value { kind: ValueKind::List(values), span })?),
            None => Binding::List(list),
        })
    }

    /// Evaluates the arguments of a layer or of a value such as `Normal(std=0.1)`.
    pub(crate) fn arguments(
        &mut self,
        arguments: &'p [Argument],
        scope: &Rc<Scope<'p>>,
    ) -> Result<Vec<Given>, Aborted> {
        let mut list = Vec::with_capacity(arguments.len());
        let mut stopped = None;
        for argument in arguments {
            let name = argument.name.as_ref().map(|name| (name.text.clone(), name.span));
            match self.keyword_value(&argument.value, scope) {
                Ok(value) => list.push((name, value)),
                Err(stop) => stopped = Some(stop),
            }
        }
        stopped.map_or(Ok(list), Err)
    }

    fn length(&mut self, arguments: &'p [Argument], span: Span, scope: &Rc<Scope<'p>>) -> Result<Binding<'p>, Aborted> {
        let length = match arguments {
            [one] => match self.evaluate(&one.value, scope)? {
                Binding::List(list) => Some(list.len()),
                Binding::Data(Value { kind: ValueKind::List(list), .. }) => Some(list.len()),
                _ => None,
            },
            _ => None,
        };
        match length {
            Some(length) => Ok(Binding::Data(Value { kind: ValueKind::Int(length as i64), span })),
            None => {
                Err(self
                    .stop(Diagnostic::new(Code::WrongArgument, "`len` takes one list").at(span, "invalid argument")))
            }
        }
    }

    /// The arm of an `if` that is taken; `None` if no condition is true and there is no `else`.
    pub(crate) fn chosen_arm(
        &mut self,
        arms: &'p [(Expr, Expr)],
        otherwise: Option<&'p Expr>,
        scope: &Rc<Scope<'p>>,
    ) -> Result<Option<&'p Expr>, Aborted> {
        for (condition, arm) in arms {
            if self.condition(condition, scope)? {
                return Ok(Some(arm));
            }
        }
        Ok(otherwise)
    }

    fn condition(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<bool, Aborted> {
        match self.value(expression, scope)?.kind {
            ValueKind::Bool(value) => Ok(value),
            other => Err(self.stop(
                Diagnostic::new(Code::WrongArgument, "a condition must be `true` or `false`")
                    .at(expression.span, format!("this is {}", other.described())),
            )),
        }
    }

    /// A string with its expressions filled in.
    pub(crate) fn text(&mut self, text: &'p Text, scope: &Rc<Scope<'p>>) -> Result<String, Aborted> {
        let mut out = String::new();
        for part in &text.parts {
            match part {
                TextPart::Literal(literal) => out.push_str(literal),
                TextPart::Value(expression) => match self.value(expression, scope)?.kind {
                    ValueKind::Text(text) => out.push_str(&text),
                    ValueKind::Word(word) => {
                        let names = scope.names();
                        return Err(self.stop(
                            Diagnostic::new(Code::UnknownName, format!("there is no value `{word}` in scope"))
                                .at(expression.span, "unknown name")
                                .suggest_name(
                                    expression.span,
                                    &word,
                                    suggest::nearest(&word, names.iter().map(String::as_str)),
                                ),
                        ));
                    }
                    kind => out.push_str(&kind.to_string()),
                },
            }
        }
        self.budget.step(out.len() / 64, text.span)?;
        Ok(out)
    }

    fn binary(
        &mut self,
        operator: BinaryOperator,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
        scope: &Rc<Scope<'p>>,
    ) -> Result<ValueKind, Aborted> {
        // `and` and `or` short-circuit.
        if let BinaryOperator::And | BinaryOperator::Or = operator {
            let left = self.condition(left, scope)?;
            let decided = (operator == BinaryOperator::Or) == left;
            return Ok(ValueKind::Bool(if decided { left } else { self.condition(right, scope)? }));
        }
        let (a, b) = match operator {
            BinaryOperator::Equal | BinaryOperator::NotEqual => {
                (self.keyword_value(left, scope)?, self.keyword_value(right, scope)?)
            }
            _ => (self.value(left, scope)?, self.value(right, scope)?),
        };
        let result = match operator {
            BinaryOperator::Equal => Ok(ValueKind::Bool(equal(&a, &b))),
            BinaryOperator::NotEqual => Ok(ValueKind::Bool(!equal(&a, &b))),
            BinaryOperator::Less => compare(&a, &b, |order| order.is_lt()),
            BinaryOperator::LessEqual => compare(&a, &b, |order| order.is_le()),
            BinaryOperator::Greater => compare(&a, &b, |order| order.is_gt()),
            BinaryOperator::GreaterEqual => compare(&a, &b, |order| order.is_ge()),
            _ => calculate(operator, &a, &b),
        };
        let inexact = |x: &Value, y: &Value| match (&x.kind, &y.kind) {
            (ValueKind::Int(x), ValueKind::Int(y)) if *y != 0 && operator == BinaryOperator::Divide => {
                Some(format!("write `{x}.0 / {y}` for the fraction"))
            }
            _ => None,
        };
        result.map_err(|message| {
            let diagnostic =
                scope.note_references(Diagnostic::new(Code::Arithmetic, message).at(span, "in this expression"));
            self.stop(diagnostic.maybe_help(inexact(&a, &b)))
        })
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a.number(), b.number()) {
        (Some(a), Some(b)) => a == b,
        _ => match (&a.kind, &b.kind) {
            // A keyword equals a string with the same characters.
            (ValueKind::Word(a) | ValueKind::Text(a), ValueKind::Word(b) | ValueKind::Text(b)) => a == b,
            (ValueKind::List(a), ValueKind::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
            (a, b) => a == b,
        },
    }
}

fn compare(a: &Value, b: &Value, test: impl Fn(std::cmp::Ordering) -> bool) -> Result<ValueKind, String> {
    match (a.number(), b.number()) {
        (Some(x), Some(y)) => Ok(ValueKind::Bool(x.partial_cmp(&y).is_some_and(test))),
        _ => Err(format!("{} and {} cannot be compared", a.kind.noun(), b.kind.noun())),
    }
}

fn calculate(operator: BinaryOperator, a: &Value, b: &Value) -> Result<ValueKind, String> {
    if let (&ValueKind::Int(x), &ValueKind::Int(y)) = (&a.kind, &b.kind) {
        let result = match operator {
            BinaryOperator::Add => x.checked_add(y),
            BinaryOperator::Subtract => x.checked_sub(y),
            BinaryOperator::Multiply => x.checked_mul(y),
            _ if y == 0 => return Err("division by zero".into()),
            _ if x % y != 0 => return Err(format!("{x} / {y} is not an integer")),
            _ => x.checked_div(y),
        };
        return result.map(ValueKind::Int).ok_or_else(|| "the result does not fit in 64 bits".into());
    }
    match (a.number(), b.number()) {
        (Some(x), Some(y)) => Ok(ValueKind::Float(match operator {
            BinaryOperator::Add => x + y,
            BinaryOperator::Subtract => x - y,
            BinaryOperator::Multiply => x * y,
            _ if y == 0.0 => return Err("division by zero".into()),
            _ => x / y,
        })),
        _ => {
            let operand = if a.number().is_none() { a } else { b };
            Err(format!("arithmetic needs numbers, but `{operand}` is {}", operand.kind.noun()))
        }
    }
}
