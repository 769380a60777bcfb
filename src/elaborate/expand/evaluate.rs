//! Values: arithmetic, lists, templates and the choice between a value and a net.

use super::apply::items_of;
use crate::diagnostics::{Code, Diagnostic, counted, suggest};
use crate::elaborate::Aborted;
use crate::elaborate::elaborator::Elaborator;
use crate::elaborate::environment::{Bound, Closure, Scope};
use crate::elaborate::project::literal;
use crate::graph::signature::definition::Given;
use crate::graph::{Value, ValueKind};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Argument, BinaryOperator, CutEnd, CutRange, Expr, ExprKind, Text, TextPart, UnaryOperator};
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// What an expression is: a value, or a net that is not made yet.
    pub(crate) fn evaluate(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<Bound<'p>, Aborted> {
        let span = expression.span;
        let data = |kind| Ok(Bound::Data(Value { kind, span }));
        self.step(1, span)?;
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
                self.step(usize::try_from(end.saturating_sub(start)).unwrap_or(0), span)?;
                let integer = |value| Value { kind: ValueKind::Int(value), span };
                data(ValueKind::List((start..end).map(integer).collect()))
            }
            ExprKind::Cut { inner, range } => match self.item(inner, range, span, scope) {
                Some(item) => item,
                None => Ok(self.net(expression, scope)),
            },
            ExprKind::Map(entries) => {
                let mut list = Vec::new();
                for (key, value) in entries {
                    list.push((self.value(key, scope)?, self.choice(value, scope)?));
                }
                data(ValueKind::Map(list))
            }
            ExprKind::Name(name) => {
                if let Some(bound) = scope.find(name) {
                    return Ok(match bound {
                        Bound::Data(value) => Bound::Data(self.made(Value { span, ..value })?),
                        Bound::List(list) => {
                            self.step(list.len(), span)?;
                            Bound::List(list)
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
            ExprKind::If { arms, otherwise } => match self.arm(arms, otherwise.as_deref(), scope)? {
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
                    None => Err(self.stop(
                        Diagnostic::new(Code::Arithmetic, "this value cannot be negated").at(operand.span, "here"),
                    )),
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

    fn net(&self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Bound<'p> {
        Bound::Net(Closure { expression, scope: scope.clone() })
    }

    /// A value; a net in its place is an error.
    pub(crate) fn value(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<Value, Aborted> {
        match self.evaluate(expression, scope)? {
            Bound::Data(value) => Ok(value),
            _ => Err(self.net_for_value(expression.span)),
        }
    }

    /// `list[0]`: the item of a list or of sizes, by its index or a value in scope; none where no list is cut.
    pub(crate) fn item(
        &mut self,
        inner: &'p Expr,
        range: &'p CutRange,
        span: Span,
        scope: &Rc<Scope<'p>>,
    ) -> Option<Result<Bound<'p>, Aborted>> {
        let bound = match &inner.kind {
            ExprKind::Name(name) => scope.find(name)?,
            ExprKind::Cut { inner: list, range } => match self.item(list, range, inner.span, scope)? {
                Ok(bound) => bound,
                Err(stop) => return Some(Err(stop)),
            },
            _ => return None,
        };
        let is_value = matches!(bound, Bound::Data(_));
        let Some(items) = items_of(bound) else {
            let error = Diagnostic::new(Code::WrongArgument, "only a list, sizes or a net has parts")
                .at(inner.span, "this is a single value");
            return is_value.then(|| Err(self.stop(error)));
        };
        let index = match range {
            CutRange::One(CutEnd::Index(index, _)) => Some(*index),
            CutRange::One(CutEnd::Name(name)) if !name.quoted => {
                match literal(&name.text).map(|word| scope.find(&word)) {
                    Some(Some(Bound::Data(Value { kind: ValueKind::Int(index), .. }))) => Some(index),
                    _ => None,
                }
            }
            _ => None,
        };
        let count = items.len();
        let Some(index) = index else {
            let error = Diagnostic::new(Code::WrongArgument, "a list's item is named by its index")
                .at(span, format!("the list has {}", counted(count, "item")))
                .help("write `list[0]`, `list[-1]`, or `list[i]` with a number `i` in scope");
            return Some(Err(self.stop(error)));
        };
        let place = if index < 0 { index + count as i64 } else { index };
        let item = usize::try_from(place).ok().and_then(|place| items.into_iter().nth(place));
        Some(item.map(|(item, _)| item).ok_or_else(|| {
            let has = match count {
                0 => "the list is empty".to_string(),
                _ => format!("the list has {}: 0 to {}, or -{count} to -1", counted(count, "item"), count - 1),
            };
            self.stop(Diagnostic::new(Code::WrongArgument, format!("there is no item {index}")).at(span, has))
        }))
    }

    fn list(&mut self, items: &'p [Expr], span: Span, scope: &Rc<Scope<'p>>) -> Result<Bound<'p>, Aborted> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            list.push((self.evaluate(item, scope)?, item.span));
        }
        let values: Option<Vec<Value>> = list
            .iter()
            .map(|(bound, _)| match bound {
                Bound::Data(value) => Some(value.clone()),
                _ => None,
            })
            .collect();
        Ok(match values {
            Some(values) => Bound::Data(self.made(Value { kind: ValueKind::List(values), span })?),
            None => Bound::List(list),
        })
    }

    /// The arguments of a layer or of a construction.
    pub(crate) fn arguments(
        &mut self,
        arguments: &'p [Argument],
        scope: &Rc<Scope<'p>>,
    ) -> Result<Vec<Given>, Aborted> {
        let mut list = Vec::with_capacity(arguments.len());
        let mut stopped = None;
        for argument in arguments {
            let name = argument.name.as_ref().map(|name| (name.text.clone(), name.span));
            match self.choice(&argument.value, scope) {
                Ok(value) => list.push((name, value)),
                Err(stop) => stopped = Some(stop),
            }
        }
        stopped.map_or(Ok(list), Err)
    }

    fn length(&mut self, arguments: &'p [Argument], span: Span, scope: &Rc<Scope<'p>>) -> Result<Bound<'p>, Aborted> {
        let length = match arguments {
            [one] => match self.evaluate(&one.value, scope)? {
                Bound::List(list) => Some(list.len()),
                Bound::Data(Value { kind: ValueKind::List(list), .. }) => Some(list.len()),
                _ => None,
            },
            _ => None,
        };
        match length {
            Some(length) => Ok(Bound::Data(Value { kind: ValueKind::Int(length as i64), span })),
            None => Err(self.stop(Diagnostic::new(Code::WrongArgument, "`len` takes one list").at(span, "here"))),
        }
    }

    /// The arm of an `if` that is chosen; none where no condition holds and there is no `else`.
    pub(crate) fn arm(
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
                Diagnostic::new(Code::WrongArgument, "a condition is `true` or `false`")
                    .at(expression.span, format!("this is {} `{other}`", other.noun())),
            )),
        }
    }

    /// A text with its expressions filled in.
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
                            Diagnostic::new(Code::UnknownName, format!("there is no value `{word}` here"))
                                .at(expression.span, "not a parameter in scope")
                                .meant(
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
        self.step(out.len() / 64, text.span)?;
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
        // `and` and `or` look at the right side only where it matters.
        if let BinaryOperator::And | BinaryOperator::Or = operator {
            let left = self.condition(left, scope)?;
            let decided = (operator == BinaryOperator::Or) == left;
            return Ok(ValueKind::Bool(if decided { left } else { self.condition(right, scope)? }));
        }
        let (a, b) = match operator {
            BinaryOperator::Equal | BinaryOperator::NotEqual => (self.choice(left, scope)?, self.choice(right, scope)?),
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
            let diagnostic = scope.note_references(Diagnostic::new(Code::Arithmetic, message).at(span, "here"));
            self.stop(diagnostic.maybe_help(inexact(&a, &b)))
        })
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a.number(), b.number()) {
        (Some(a), Some(b)) => a == b,
        _ => match (&a.kind, &b.kind) {
            // A bare word and a text of the same letters are the same choice.
            (ValueKind::Word(a) | ValueKind::Text(a), ValueKind::Word(b) | ValueKind::Text(b)) => a == b,
            (ValueKind::List(a), ValueKind::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
            (a, b) => a == b,
        },
    }
}

fn compare(a: &Value, b: &Value, holds: impl Fn(std::cmp::Ordering) -> bool) -> Result<ValueKind, String> {
    match (a.number(), b.number()) {
        (Some(x), Some(y)) => Ok(ValueKind::Bool(x.partial_cmp(&y).is_some_and(holds))),
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
            _ if x % y != 0 => return Err(format!("{x} / {y} is not a whole number")),
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
            let odd = if a.number().is_none() { a } else { b };
            Err(format!("arithmetic takes numbers, and `{odd}` is {}", odd.kind.noun()))
        }
    }
}
