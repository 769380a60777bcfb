//! Expansion: what an expression does to the outputs that come in, layer by layer.

use crate::diagnostics::{Code, Diagnostic, counted};
use crate::elaborate::Aborted;
use crate::elaborate::budget::{MAX_DEPTH, MAX_NAME_LEN};
use crate::elaborate::elaborator::{Elaborator, Flow};
use crate::elaborate::environment::{Bound, Closure, Scope, Shared};
use crate::graph::{NodeId, Value, ValueKind};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Ident, Pattern, RepeatOver, Statement};
use std::cell::RefCell;
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// Applies an expression to what comes in and gives what comes out.
    pub(crate) fn apply(
        &mut self,
        expression: &'p Expr,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        self.step(1, expression.span)?;
        match &expression.kind {
            ExprKind::Chain(list) => self.chain(list, scope, flow),
            ExprKind::Branches(list) => self.branches(list, scope, flow),
            ExprKind::Paren(inner) => self.apply(inner, scope, flow),
            ExprKind::Frozen(inner) => {
                let before = std::mem::replace(&mut self.frozen, true);
                let outputs = self.apply(inner, scope, flow);
                self.frozen = before;
                outputs
            }
            ExprKind::As { inner, name } => {
                let text = self.text(&name.text, scope)?;
                if text.is_empty() || text.starts_with('/') || text.ends_with('/') || text.chars().any(char::is_control)
                {
                    return Err(self.stop(
                        Diagnostic::new(Code::WrongArgument, format!("`{text}` cannot be a layer's name"))
                            .at(name.text.span, "a name has letters, digits, `_`, `-`, `.` and inner `/`"),
                    ));
                }
                if text.len() > MAX_NAME_LEN {
                    return Err(self.stop(
                        Diagnostic::new(Code::Limit, format!("a layer's name has {} bytes", text.len()))
                            .at(name.text.span, format!("at most {MAX_NAME_LEN}")),
                    ));
                }
                let start = self.draft.len();
                let outputs = self.apply(inner, scope, flow)?;
                self.step((self.draft.len() - start) * (1 + text.len() / 32), expression.span)?;
                match self.is_layer(inner, scope) && self.draft.len() == start + 1 {
                    true => self.draft.name(NodeId(start), text),
                    false => self.draft.scope(start..self.draft.len(), &text),
                }
                Ok(outputs)
            }
            ExprKind::Cut { inner, range } => match self.item(inner, range, expression.span, scope) {
                Some(item) => {
                    let item = item?;
                    self.apply_bound(item, expression.span, flow)
                }
                None => self.cut(inner, range, expression.span, scope, flow),
            },
            ExprKind::Repeat { over, body } => self.repeat(over, body, expression.span, scope, flow),
            ExprKind::Block { statements, result } => self.block(statements, result, scope, flow),
            ExprKind::If { arms, otherwise } => match self.arm(arms, otherwise.as_deref(), scope)? {
                Some(arm) => self.apply(arm, scope, flow),
                None => self.identity(expression.span, scope, flow),
            },
            ExprKind::Name(name) => self.mention(name, &[], expression.span, scope, flow),
            ExprKind::Call { function, arguments } => {
                self.mention(&function.text, arguments, expression.span, scope, flow)
            }
            _ => Err(self.value_in_chain(expression.span)),
        }
    }

    pub(crate) fn value_in_chain(&mut self, span: Span) -> Aborted {
        self.stop(
            Diagnostic::new(Code::NotANet, "a value stands where a net is needed")
                .at(span, "this is a value")
                .help("values are arguments: `Dense(10)`"),
        )
    }

    pub(crate) fn identity(&mut self, span: Span, scope: &Rc<Scope<'p>>, flow: Flow) -> Result<Vec<NodeId>, Aborted> {
        self.layer(&ops::stochastic::IDENTITY, &[], span, scope, flow)
    }

    pub(crate) fn chain(
        &mut self,
        list: &'p [Expr],
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let mut flow = flow;
        for (index, element) in list.iter().enumerate() {
            let start = self.draft.len();
            let fed = flow.clone();
            let around = self.before;
            if index > 0 {
                self.before = Some(list[0].span.to(list[index - 1].span));
            }
            let outputs = self.apply(element, scope, flow);
            self.before = around;
            let outputs = outputs?;
            if let (true, Some(fed)) = (index > 0, fed) {
                let used = |id: &NodeId| {
                    outputs.contains(id) || self.draft.graph.nodes[start..].iter().any(|node| node.inputs.contains(id))
                };
                if !fed.iter().any(used) {
                    let earlier = list[index - 1].span;
                    return Err(self.stop(
                        Diagnostic::new(Code::ValueInChain, "what comes in is not used")
                            .at(element.span, "takes no input: it was computed already")
                            .and(list[0].span.to(earlier), "would be thrown away")
                            .help("start a chain with the value, or make it a branch: `(… | value) >> Concatenate`"),
                    ));
                }
            }
            flow = Some(outputs);
        }
        Ok(flow.unwrap_or_default())
    }

    pub(crate) fn branches(
        &mut self,
        list: &'p [Expr],
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let mut outputs = Vec::new();
        let mut stopped = None;
        for branch in list {
            // A list of nets spreads into branches.
            let spread = match &branch.kind {
                ExprKind::Name(name) => scope.find(name),
                ExprKind::List(_) => self.evaluate(branch, scope).ok(),
                _ => None,
            };
            let result = match spread {
                Some(Bound::List(items)) => items.into_iter().try_fold(Vec::new(), |mut all, (item, span)| {
                    all.extend(self.apply_bound(item, span, flow.clone())?);
                    Ok(all)
                }),
                _ => self.apply(branch, scope, flow.clone()),
            };
            match result {
                Ok(more) => {
                    self.step(more.len(), branch.span)?;
                    outputs.extend(more);
                }
                Err(stop) => stopped = Some(stop),
            }
        }
        stopped.map_or(Ok(outputs), Err)
    }

    pub(crate) fn apply_bound(&mut self, bound: Bound<'p>, span: Span, flow: Flow) -> Result<Vec<NodeId>, Aborted> {
        match bound {
            Bound::Net(closure) => {
                self.depth += 1;
                let outputs = match self.depth > MAX_DEPTH {
                    true => Err(self.too_deep(span)),
                    false => self.apply(closure.expression, &closure.scope, flow),
                };
                self.depth -= 1;
                outputs
            }
            Bound::Signal(nodes) => Ok(nodes),
            Bound::Shared(shared) => self.shared(&shared, flow),
            Bound::List(_) => Err(self.stop(
                Diagnostic::new(Code::NotANet, "a list of nets stands where one net is needed")
                    .at(span, "a list spreads only inside `( … | … )`"),
            )),
            Bound::Data(value) => Err(self.stop(
                Diagnostic::new(Code::NotANet, format!("`{value}` is {}, not a net", value.kind.noun()))
                    .at(span, "a net is needed here"),
            )),
        }
    }

    /// One set of parameters for every mention: the first mention's.
    pub(crate) fn shared(&mut self, shared: &Shared<'p>, flow: Flow) -> Result<Vec<NodeId>, Aborted> {
        let start = self.draft.len();
        let outputs = self.apply(shared.closure.expression, &shared.closure.scope, flow)?;
        *shared.mentions.borrow_mut() += 1;
        let mentions = *shared.mentions.borrow();
        let nodes = &mut self.draft.graph.nodes[start..];
        match &*shared.first.borrow() {
            None => {}
            Some(first) => {
                for (node, parameters) in nodes.iter_mut().zip(first) {
                    node.parameters.clone_from(parameters);
                }
                self.draft.scope(start..self.draft.len(), &format!("{}-{mentions}", shared.name));
                return Ok(outputs);
            }
        }
        *shared.first.borrow_mut() = Some(nodes.iter().map(|node| node.parameters.clone()).collect());
        Ok(outputs)
    }

    pub(crate) fn repeat(
        &mut self,
        over: &'p RepeatOver,
        body: &'p Expr,
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let integer = |kind| Value { kind: ValueKind::Int(kind), span };
        // The names that are bound, and for each repetition their values.
        let (names, values): (&[Ident], Vec<Vec<Bound<'p>>>) = match over {
            RepeatOver::Count(count) => {
                let count = self.integer(count, scope)?;
                if count < 0 {
                    return Err(self.stop(
                        Diagnostic::new(Code::WrongArgument, format!("`repeat` cannot go {count} times"))
                            .at(span, "takes a count from 0"),
                    ));
                }
                self.check_repeats(count, span)?;
                (&[], vec![Vec::new(); count as usize])
            }
            RepeatOver::Range { variable, start, end, inclusive } => {
                let (start, end) = (self.integer(start, scope)?, self.integer(end, scope)?);
                let end = if *inclusive { end.saturating_add(1) } else { end };
                self.check_repeats(end.saturating_sub(start), span)?;
                let values = (start..end).map(|index| vec![Bound::Data(integer(index))]).collect();
                (std::slice::from_ref(variable), values)
            }
            RepeatOver::List { pattern, list } => {
                let bound = self.evaluate(list, scope)?;
                let Some(items) = items_of(bound) else {
                    return Err(self.stop(
                        Diagnostic::new(Code::WrongArgument, "`repeat … in` goes over a list or a range")
                            .at(list.span, "this is neither")
                            .help("a range is written `1..=3`"),
                    ));
                };
                let values = items.into_iter().map(|(item, place)| match pattern {
                    Pattern::Item(_) => Ok(vec![item]),
                    Pattern::Parts(names, span) => self.parts(item, place, names.len(), *span),
                });
                (pattern.names(), values.collect::<Result<_, Aborted>>()?)
            }
        };
        if values.is_empty() {
            return self.identity(span, scope, flow);
        }
        let mut flow = flow;
        for values in values {
            let inner = Scope::inside(scope);
            for (name, value) in names.iter().zip(values) {
                inner.define(&name.text, value);
            }
            flow = Some(self.apply(body, &inner, flow)?);
        }
        Ok(flow.unwrap_or_default())
    }

    /// The parts of an item that a pattern names: as many as it has names.
    fn parts(&mut self, item: Bound<'p>, place: Span, count: usize, pattern: Span) -> Result<Vec<Bound<'p>>, Aborted> {
        let found = match &item {
            Bound::Data(value) => format!("this is {} `{value}`", value.kind.noun()),
            _ => "this is a net".to_string(),
        };
        match items_of(item) {
            Some(parts) if parts.len() == count => Ok(parts.into_iter().map(|(part, _)| part).collect()),
            parts => {
                let found = parts.map_or(found, |parts| format!("this has {}", counted(parts.len(), "part")));
                let message = format!("each item is taken apart into {count}");
                Err(self.stop(
                    Diagnostic::new(Code::WrongArgument, message)
                        .at(place, found)
                        .and(pattern, format!("{count} names")),
                ))
            }
        }
    }

    pub(crate) fn integer(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<i64, Aborted> {
        match self.value(expression, scope)?.kind {
            ValueKind::Int(value) => Ok(value),
            other => Err(self.stop(
                Diagnostic::new(Code::WrongArgument, "an integer is needed")
                    .at(expression.span, format!("this is {} `{other}`", other.noun())),
            )),
        }
    }

    pub(crate) fn block(
        &mut self,
        statements: &'p [Statement],
        result: &'p Expr,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let around = self.lets.len();
        self.lets.extend(statements.iter().map(|statement| (statement.name.text.as_str(), statement.name.span)));
        let outputs = self.block_inside(statements, result, scope, flow);
        self.lets.truncate(around);
        outputs
    }

    fn block_inside(
        &mut self,
        statements: &'p [Statement],
        result: &'p Expr,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let inner = Scope::inside(scope);
        for statement in statements {
            if ops::find(&statement.name.text).is_some() {
                return Err(self.stop(
                    Diagnostic::new(Code::ReservedName, format!("`{}` is a layer", statement.name.text))
                        .at(statement.name.span, "a value needs another name"),
                ));
            }
            let closure = Closure { expression: &statement.value, scope: inner.clone() };
            let bound = match statement.shared {
                true => Bound::Shared(Rc::new(Shared {
                    name: statement.name.text.clone(),
                    closure,
                    first: RefCell::new(None),
                    mentions: RefCell::new(0),
                })),
                false => match self.evaluate(&statement.value, &inner)? {
                    Bound::Net(_) | Bound::Shared(_) => {
                        Bound::Signal(self.apply(&statement.value, &inner, flow.clone())?)
                    }
                    other => other,
                },
            };
            if inner.define(&statement.name.text, bound) {
                let first = statements.iter().find(|other| other.name.text == statement.name.text);
                return Err(self.stop(
                    Diagnostic::new(Code::DuplicateItem, format!("`{}` is defined twice", statement.name.text))
                        .at(statement.name.span, "again here")
                        .maybe_and(first.map(|first| first.name.span), "first here"),
                ));
            }
        }
        self.apply(result, &inner, flow)
    }
}

/// The items of a list or of sizes, with their places.
pub(crate) fn items_of(bound: Bound<'_>) -> Option<Vec<(Bound<'_>, Span)>> {
    match bound {
        Bound::List(items) => Some(items),
        Bound::Data(Value { kind: ValueKind::List(items), .. }) => {
            Some(items.into_iter().map(|item| (Bound::Data(item.clone()), item.span)).collect())
        }
        Bound::Data(Value { kind: ValueKind::Sizes(sizes), span }) => {
            let kind = |size: Option<i64>| size.map_or(ValueKind::Open, ValueKind::Int);
            Some(sizes.into_iter().map(|size| (Bound::Data(Value { kind: kind(size), span }), span)).collect())
        }
        _ => None,
    }
}
