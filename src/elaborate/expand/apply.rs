//! Applies expressions to tensors, layer by layer: chains, branches, repeats, blocks.

use crate::diagnostics::{Code, Diagnostic, counted};
use crate::elaborate::budget::{MAX_DEPTH, MAX_NAME_LEN};
use crate::elaborate::elaborator::{Aborted, Elaborator, Flow};
use crate::elaborate::environment::{Binding, Closure, Scope, Shared};
use crate::graph::{NodeId, Value, ValueKind};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Ident, Pattern, RepeatOver, Statement};
use std::cell::RefCell;
use std::rc::Rc;

impl<'p> Elaborator<'p> {
    /// Applies an expression to its input tensors and returns its outputs.
    pub(crate) fn apply(
        &mut self,
        expression: &'p Expr,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        self.budget.step(1, expression.span)?;
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
                        Diagnostic::new(Code::WrongArgument, format!("`{text}` is not a valid layer name"))
                            .at(name.text.span, "a name consists of letters, digits, `_`, `-`, `.` and inner `/`"),
                    ));
                }
                if text.len() > MAX_NAME_LEN {
                    return Err(self.stop(
                        Diagnostic::new(Code::Limit, format!("a layer name of {} bytes is too long", text.len()))
                            .at(name.text.span, format!("the limit is {MAX_NAME_LEN} bytes")),
                    ));
                }
                let start = self.builder.len();
                let outputs = self.apply(inner, scope, flow)?;
                self.budget.step((self.builder.len() - start) * (1 + text.len() / 32), expression.span)?;
                match self.is_layer(inner, scope) && self.builder.len() == start + 1 {
                    true => self.builder.name(NodeId(start), text),
                    false => self.builder.scope(start..self.builder.len(), &text),
                }
                Ok(outputs)
            }
            ExprKind::Cut { inner, range } => match self.list_item(inner, range, expression.span, scope) {
                Some(item) => {
                    let item = item?;
                    self.apply_binding(item, expression.span, flow)
                }
                None => self.cut(inner, range, expression.span, scope, flow),
            },
            ExprKind::Repeat { over, body } => self.repeat(over, body, expression.span, scope, flow),
            ExprKind::Block { statements, result } => self.block(statements, result, scope, flow),
            ExprKind::If { arms, otherwise } => match self.chosen_arm(arms, otherwise.as_deref(), scope)? {
                Some(arm) => self.apply(arm, scope, flow),
                None => self.identity(expression.span, scope, flow),
            },
            ExprKind::Name(name) => self.reference(name, &[], expression.span, scope, flow),
            ExprKind::Call { function, arguments } => {
                self.reference(&function.text, arguments, expression.span, scope, flow)
            }
            _ => Err(self.value_in_chain(expression.span)),
        }
    }

    pub(crate) fn value_in_chain(&mut self, span: Span) -> Aborted {
        self.stop(
            Diagnostic::new(Code::NotANet, "expected a net, found a value")
                .at(span, "this is a value")
                .help("values are passed as arguments: `Dense(10)`"),
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
            let start = self.builder.len();
            let fed = flow.clone();
            let outer = self.upstream;
            if index > 0 {
                self.upstream = Some(list[0].span.to(list[index - 1].span));
            }
            let outputs = self.apply(element, scope, flow);
            self.upstream = outer;
            let outputs = outputs?;
            if let (true, Some(fed)) = (index > 0, fed) {
                let used = |id: &NodeId| {
                    outputs.contains(id)
                        || self.builder.graph.nodes[start..].iter().any(|node| node.inputs.contains(id))
                };
                if !fed.iter().any(used) {
                    let earlier = list[index - 1].span;
                    return Err(self.stop(
                        Diagnostic::new(Code::ValueInChain, "the output of the chain up to here is not used")
                            .at(element.span, "this value is computed already and takes no input")
                            .and(list[0].span.to(earlier), "this would be discarded")
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
            // A list of nets expands into branches.
            let spread = match &branch.kind {
                ExprKind::Name(name) => scope.find(name),
                ExprKind::List(_) => self.evaluate(branch, scope).ok(),
                _ => None,
            };
            let result = match spread {
                Some(Binding::List(items)) => items.into_iter().try_fold(Vec::new(), |mut all, (item, span)| {
                    all.extend(self.apply_binding(item, span, flow.clone())?);
                    Ok(all)
                }),
                _ => self.apply(branch, scope, flow.clone()),
            };
            match result {
                Ok(more) => {
                    self.budget.step(more.len(), branch.span)?;
                    outputs.extend(more);
                }
                Err(stop) => stopped = Some(stop),
            }
        }
        stopped.map_or(Ok(outputs), Err)
    }

    pub(crate) fn apply_binding(
        &mut self,
        binding: Binding<'p>,
        span: Span,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        match binding {
            Binding::Net(closure) => {
                self.depth += 1;
                let outputs = match self.depth > MAX_DEPTH {
                    true => Err(self.budget.too_deep(span).into()),
                    false => self.apply(closure.expression, &closure.scope, flow),
                };
                self.depth -= 1;
                outputs
            }
            Binding::Signal(nodes) => Ok(nodes),
            Binding::Shared(shared) => self.shared(&shared, flow),
            Binding::List(_) => Err(self.stop(
                Diagnostic::new(Code::NotANet, "expected a net, found a list of nets")
                    .at(span, "a list expands into branches only inside `( … | … )`"),
            )),
            Binding::Data(value) => Err(self.stop(
                Diagnostic::new(Code::NotANet, format!("expected a net, found {}", value.kind.described()))
                    .at(span, "a net is needed here"),
            )),
        }
    }

    /// Applies shared layers: all uses have the parameters of the first.
    pub(crate) fn shared(&mut self, shared: &Shared<'p>, flow: Flow) -> Result<Vec<NodeId>, Aborted> {
        let start = self.builder.len();
        let outputs = self.apply(shared.closure.expression, &shared.closure.scope, flow)?;
        *shared.uses.borrow_mut() += 1;
        let uses = *shared.uses.borrow();
        let nodes = &mut self.builder.graph.nodes[start..];
        match &*shared.parameters.borrow() {
            None => {}
            Some(first) => {
                for (node, parameters) in nodes.iter_mut().zip(first) {
                    node.parameters.clone_from(parameters);
                }
                self.builder.scope(start..self.builder.len(), &format!("{}-{uses}", shared.name));
                return Ok(outputs);
            }
        }
        *shared.parameters.borrow_mut() = Some(nodes.iter().map(|node| node.parameters.clone()).collect());
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
        // The names of the pattern, and their values in each iteration.
        let (names, values): (&[Ident], Vec<Vec<Binding<'p>>>) = match over {
            RepeatOver::Count(count) => {
                let count = self.integer(count, scope)?;
                if count < 0 {
                    return Err(self.stop(
                        Diagnostic::new(Code::WrongArgument, format!("`repeat` cannot run {count} times"))
                            .at(span, "the count must be 0 or more"),
                    ));
                }
                self.check_repeats(count, span)?;
                (&[], vec![Vec::new(); count as usize])
            }
            RepeatOver::Range { variable, start, end, inclusive } => {
                let (start, end) = (self.integer(start, scope)?, self.integer(end, scope)?);
                let end = if *inclusive { end.saturating_add(1) } else { end };
                self.check_repeats(end.saturating_sub(start), span)?;
                let values = (start..end).map(|index| vec![Binding::Data(integer(index))]).collect();
                (std::slice::from_ref(variable), values)
            }
            RepeatOver::List { pattern, list } => {
                let binding = self.evaluate(list, scope)?;
                let Some(items) = items_of(binding) else {
                    return Err(self.stop(
                        Diagnostic::new(Code::WrongArgument, "`repeat … in` needs a list or a range")
                            .at(list.span, "this is neither")
                            .help("a range is written `1..=3`"),
                    ));
                };
                let values = items.into_iter().map(|(item, item_span)| match pattern {
                    Pattern::Item(_) => Ok(vec![item]),
                    Pattern::Parts(names, span) => self.destructure(item, item_span, names.len(), *span),
                });
                (pattern.names(), values.collect::<Result<_, Aborted>>()?)
            }
        };
        if values.is_empty() {
            return self.identity(span, scope, flow);
        }
        let mut flow = flow;
        for values in values {
            let inner = Scope::nested(scope);
            for (name, value) in names.iter().zip(values) {
                inner.define(&name.text, value);
            }
            flow = Some(self.apply(body, &inner, flow)?);
        }
        Ok(flow.unwrap_or_default())
    }

    /// The elements of an item, which must be as many as the names of a pattern.
    fn destructure(
        &mut self,
        item: Binding<'p>,
        item_span: Span,
        count: usize,
        pattern: Span,
    ) -> Result<Vec<Binding<'p>>, Aborted> {
        let found = match &item {
            Binding::Data(value) => format!("this is {}", value.kind.described()),
            _ => "this is a net".to_string(),
        };
        match items_of(item) {
            Some(elements) if elements.len() == count => Ok(elements.into_iter().map(|(element, _)| element).collect()),
            elements => {
                let found = elements.map_or(found, |list| format!("this has {}", counted(list.len(), "element")));
                let message = format!("every item must have {count} elements");
                Err(self.stop(
                    Diagnostic::new(Code::WrongArgument, message)
                        .at(item_span, found)
                        .and(pattern, format!("{count} names")),
                ))
            }
        }
    }

    pub(crate) fn integer(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<i64, Aborted> {
        match self.value(expression, scope)?.kind {
            ValueKind::Int(value) => Ok(value),
            other => Err(self.stop(
                Diagnostic::new(Code::WrongArgument, "expected an integer")
                    .at(expression.span, format!("this is {}", other.described())),
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
        let outer = self.lets.len();
        self.lets.extend(statements.iter().map(|statement| (statement.name.text.as_str(), statement.name.span)));
        let outputs = self.block_body(statements, result, scope, flow);
        self.lets.truncate(outer);
        outputs
    }

    fn block_body(
        &mut self,
        statements: &'p [Statement],
        result: &'p Expr,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let inner = Scope::nested(scope);
        for statement in statements {
            if ops::find(&statement.name.text).is_some() {
                return Err(self.stop(
                    Diagnostic::new(Code::ReservedName, format!("`{}` is the name of a layer", statement.name.text))
                        .at(statement.name.span, "choose another name for this value"),
                ));
            }
            let closure = Closure { expression: &statement.value, scope: inner.clone() };
            let binding = match statement.shared {
                true => Binding::Shared(Rc::new(Shared {
                    name: statement.name.text.clone(),
                    closure,
                    parameters: RefCell::new(None),
                    uses: RefCell::new(0),
                })),
                false => match self.evaluate(&statement.value, &inner)? {
                    Binding::Net(_) | Binding::Shared(_) => {
                        Binding::Signal(self.apply(&statement.value, &inner, flow.clone())?)
                    }
                    other => other,
                },
            };
            if inner.define(&statement.name.text, binding) {
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

/// The items of a list or of sizes, with their spans.
pub(crate) fn items_of(binding: Binding<'_>) -> Option<Vec<(Binding<'_>, Span)>> {
    match binding {
        Binding::List(items) => Some(items),
        Binding::Data(Value { kind: ValueKind::List(items), .. }) => {
            Some(items.into_iter().map(|item| (Binding::Data(item.clone()), item.span)).collect())
        }
        Binding::Data(Value { kind: ValueKind::Sizes(sizes), span }) => {
            let kind = |size: Option<i64>| size.map_or(ValueKind::Open, ValueKind::Int);
            Some(sizes.into_iter().map(|size| (Binding::Data(Value { kind: kind(size), span }), span)).collect())
        }
        _ => None,
    }
}
