//! Expansion: what an expression does to the outputs that come in, layer by layer.

use super::Stop;
use super::draft::{Draft, Piece};
use super::environment::{Bound, Closure, Scope, Shared};
use super::project::Project;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::graph::{Arguments, Definition, Mention, NodeId, Origin, ShapeFault, Value, ValueKind};
use crate::ops;
use crate::source::{Sources, Span};
use crate::syntax::ast::{Argument, CutRange, Expr, ExprKind, RepeatOver, Signature, Statement};
use crate::syntax::expression_text;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Nets inside nets at the most.
const DEEPEST: usize = 64;
/// Layers of one net at the most.
const MOST_LAYERS: usize = 100_000;
/// Repetitions of one `repeat` at the most.
const MOST_REPEATS: i64 = 10_000;

/// The outputs that come in; none where a net begins.
pub(super) type Flow = Option<Vec<NodeId>>;

/// Expands nets.
#[derive(Debug)]
pub struct Elaborator<'p> {
    pub project: &'p Project,
    pub sources: &'p Sources,
    pub faults: Diagnostics,
    /// Whether a net may begin with a cut that has a start: what comes in is then left open, for `show`.
    pub open: bool,
    pub(super) draft: Draft,
    frozen: bool,
    depth: usize,
    /// What was written before the element of a chain that is being applied: it gives what comes in.
    before: Option<Span>,
    /// Complete nets that were mentioned without arguments.
    made: HashMap<usize, Piece>,
}

impl<'p> Elaborator<'p> {
    /// Of one project.
    pub fn new(project: &'p Project, sources: &'p Sources) -> Self {
        Elaborator {
            project,
            sources,
            faults: Diagnostics::default(),
            open: false,
            draft: Draft::default(),
            frozen: false,
            depth: 0,
            before: None,
            made: HashMap::new(),
        }
    }

    /// Notes a mistake and gives up the expression that it is in.
    pub(super) fn stop(&mut self, diagnostic: Diagnostic) -> Stop {
        self.faults.push(diagnostic);
        Stop
    }

    /// Builds a piece of its own, with `placeholders` of the given nodes' types in place of what comes in.
    pub(super) fn separately(
        &mut self,
        name: &str,
        flow: &Flow,
        complete: bool,
        build: impl FnOnce(&mut Self, Flow) -> Result<Vec<NodeId>, Stop>,
    ) -> Result<Piece, Stop> {
        let mut inner = Draft::default();
        let inside = flow.as_ref().map(|nodes| {
            let placed = nodes.iter().filter_map(|&node| {
                let node = self.draft.graph.node(node);
                let input = ops::input::Input { shape: node.output.clone(), image: None };
                inner.insert(std::sync::Arc::new(input), &[], false, node.origin.clone()).ok()
            });
            placed.collect::<Vec<NodeId>>()
        });
        inner.placeholders = inner.len();
        let outer = std::mem::replace(&mut self.draft, inner);
        let (frozen, before) = (std::mem::take(&mut self.frozen), self.before.take());
        let outputs = build(self, inside);
        (self.frozen, self.before) = (frozen, before);
        let inner = std::mem::replace(&mut self.draft, outer);
        inner.finish(name, &outputs?, complete).map_err(|diagnostic| self.stop(diagnostic))
    }

    /// A net of the project as a piece of its own, with its defaults.
    pub fn complete(&mut self, net: usize) -> Result<Piece, Stop> {
        if let Some(piece) = self.made.get(&net) {
            return Ok(piece.clone());
        }
        let definition = &self.project.nets[net];
        let span = definition.item.name.span;
        let scope = self.net_scope(net, span, &[], &Scope::of_file(definition.file))?;
        let piece = self.complete_in(net, scope, span)?;
        self.made.insert(net, piece.clone());
        Ok(piece)
    }

    fn complete_in(&mut self, net: usize, scope: Rc<Scope<'p>>, span: Span) -> Result<Piece, Stop> {
        let item = &self.project.nets[net].item;
        self.separately(&item.name.text, &None, true, |this, flow| {
            let outputs = this.body(net, &scope, flow, span)?;
            let all = 0..this.draft.len();
            this.draft.note_net(all, &item.name.text);
            Ok(outputs)
        })
    }

    /// Whether an expression starts at an `Input` and so needs nothing that comes in.
    pub(super) fn starts_at_input(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> bool {
        match &expression.kind {
            ExprKind::Chain(list) => list.first().is_some_and(|first| self.starts_at_input(first, scope)),
            ExprKind::Branches(list) => list.iter().all(|branch| self.starts_at_input(branch, scope)),
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) | ExprKind::As { inner, .. } => {
                self.starts_at_input(inner, scope)
            }
            ExprKind::Cut { inner, range } => {
                let from_start = matches!(range, CutRange::Range { start: None, .. });
                from_start && self.starts_at_input(inner, scope)
            }
            ExprKind::Repeat { body, .. } => self.starts_at_input(body, scope),
            ExprKind::Block { statements, result } => {
                let inner = Scope::inside(scope);
                for statement in statements {
                    let closure = Closure { expression: &statement.value, scope: inner.clone() };
                    inner.define(&statement.name.text, Bound::Net(closure));
                }
                self.starts_at_input(result, &inner)
            }
            ExprKind::If { arms, otherwise } => {
                let faults = self.faults.clone();
                let arm = self.arm(arms, otherwise.as_deref(), scope);
                self.faults = faults;
                arm.ok().flatten().is_some_and(|arm| self.starts_at_input(arm, scope))
            }
            ExprKind::Name(name) => match scope.find(name) {
                Some(Bound::Net(closure)) => {
                    // A `let` may not lead back to itself; the expansion says so.
                    let same = std::ptr::eq(closure.expression, expression);
                    !same && self.guarded(|this| this.starts_at_input(closure.expression, &closure.scope))
                }
                Some(Bound::Shared(shared)) => self.starts_at_input(shared.closure.expression, &shared.closure.scope),
                // A value that was handed over lives in the net around: what uses it cannot stand alone.
                Some(_) => false,
                None => self.named_starts_at_input(name, &[], expression.span, scope),
            },
            ExprKind::Call { function, arguments } => {
                self.named_starts_at_input(&function.text, arguments, expression.span, scope)
            }
            _ => false,
        }
    }

    fn named_starts_at_input(
        &mut self,
        name: &str,
        arguments: &'p [Argument],
        span: Span,
        scope: &Rc<Scope<'p>>,
    ) -> bool {
        match self.project.find(name, scope.file) {
            Some(net) => self.guarded(|this| {
                let faults = this.faults.clone();
                let inner = this.net_scope(net, span, arguments, scope);
                this.faults = faults;
                let body = &this.project.nets[net].item.body;
                inner.is_ok_and(|inner| this.starts_at_input(body, &inner))
            }),
            None => ops::find(name).is_some_and(|definition| definition.name == ops::input::INPUT.name),
        }
    }

    fn guarded(&mut self, look: impl FnOnce(&mut Self) -> bool) -> bool {
        if self.depth >= DEEPEST {
            return false;
        }
        self.depth += 1;
        let found = look(self);
        self.depth -= 1;
        found
    }

    /// Applies an expression to what comes in and gives what comes out.
    pub(super) fn apply(
        &mut self,
        expression: &'p Expr,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Stop> {
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
                let start = self.draft.len();
                let outputs = self.apply(inner, scope, flow)?;
                match self.is_layer(inner, scope) && self.draft.len() == start + 1 {
                    true => self.draft.name(NodeId(start), text),
                    false => self.draft.scope(start..self.draft.len(), &text),
                }
                Ok(outputs)
            }
            ExprKind::Cut { inner, range } => self.cut(inner, range, expression.span, scope, flow),
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
            _ => Err(self.stop(
                Diagnostic::new(Code::NotANet, "a value stands where a net is needed")
                    .at(expression.span, "this is a value")
                    .help("values are arguments: `Dense(10)`"),
            )),
        }
    }

    fn identity(&mut self, span: Span, scope: &Rc<Scope<'p>>, flow: Flow) -> Result<Vec<NodeId>, Stop> {
        self.layer(&ops::shape::IDENTITY, &[], span, scope, flow)
    }

    fn chain(&mut self, list: &'p [Expr], scope: &Rc<Scope<'p>>, flow: Flow) -> Result<Vec<NodeId>, Stop> {
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

    fn branches(&mut self, list: &'p [Expr], scope: &Rc<Scope<'p>>, flow: Flow) -> Result<Vec<NodeId>, Stop> {
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
                Ok(more) => outputs.extend(more),
                Err(stop) => stopped = Some(stop),
            }
        }
        stopped.map_or(Ok(outputs), Err)
    }

    fn apply_bound(&mut self, bound: Bound<'p>, span: Span, flow: Flow) -> Result<Vec<NodeId>, Stop> {
        match bound {
            Bound::Net(closure) => {
                self.depth += 1;
                let outputs = match self.depth > DEEPEST {
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

    fn too_deep(&mut self, span: Span) -> Stop {
        self.stop(
            Diagnostic::new(Code::Limit, format!("more than {DEEPEST} nets stand inside each other")).at(span, "here"),
        )
    }

    /// One set of parameters for every mention: the first mention's.
    fn shared(&mut self, shared: &Shared<'p>, flow: Flow) -> Result<Vec<NodeId>, Stop> {
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

    fn repeat(
        &mut self,
        over: &'p RepeatOver,
        body: &'p Expr,
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Stop> {
        let integer = |kind| Value { kind: ValueKind::Int(kind), span };
        let (variable, values): (Option<&str>, Vec<Bound<'p>>) = match over {
            RepeatOver::Count(count) => {
                let count = self.integer(count, scope)?;
                self.check_repeats(count, span)?;
                (None, (0..count).map(|index| Bound::Data(integer(index))).collect())
            }
            RepeatOver::Range { variable, start, end, inclusive } => {
                let (start, end) = (self.integer(start, scope)?, self.integer(end, scope)?);
                let end = if *inclusive { end.saturating_add(1) } else { end };
                self.check_repeats(end.saturating_sub(start), span)?;
                (Some(&variable.text), (start..end).map(|index| Bound::Data(integer(index))).collect())
            }
            RepeatOver::List { variable, list } => {
                let items = match self.evaluate(list, scope)? {
                    Bound::List(items) => items.into_iter().map(|(item, _)| item).collect(),
                    Bound::Data(Value { kind: ValueKind::List(items), .. }) => {
                        items.into_iter().map(Bound::Data).collect()
                    }
                    _ => {
                        return Err(self.stop(
                            Diagnostic::new(Code::WrongArgument, "`repeat … in` goes over a list or a range")
                                .at(list.span, "this is neither")
                                .help("a range is written `1..=3`"),
                        ));
                    }
                };
                (Some(&variable.text), items)
            }
        };
        if values.is_empty() {
            return self.identity(span, scope, flow);
        }
        let mut flow = flow;
        for value in values {
            let inner = Scope::inside(scope);
            if let Some(variable) = variable {
                inner.define(variable, value);
            }
            flow = Some(self.apply(body, &inner, flow)?);
        }
        Ok(flow.unwrap_or_default())
    }

    fn check_repeats(&mut self, count: i64, span: Span) -> Result<(), Stop> {
        match count > MOST_REPEATS {
            true => Err(self.stop(
                Diagnostic::new(Code::Limit, format!("{count} repetitions are too many"))
                    .at(span, format!("at most {MOST_REPEATS}")),
            )),
            false => Ok(()),
        }
    }

    fn integer(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> Result<i64, Stop> {
        match self.value(expression, scope)?.kind {
            ValueKind::Int(value) => Ok(value),
            other => Err(self.stop(
                Diagnostic::new(Code::WrongArgument, "an integer is needed")
                    .at(expression.span, format!("this is {} `{other}`", other.noun())),
            )),
        }
    }

    fn block(
        &mut self,
        statements: &'p [Statement],
        result: &'p Expr,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Stop> {
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

    /// Whether an expression is one layer, so that `as` names it instead of opening a scope.
    fn is_layer(&mut self, expression: &'p Expr, scope: &Rc<Scope<'p>>) -> bool {
        match &expression.kind {
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) => self.is_layer(inner, scope),
            ExprKind::Name(name) => match scope.find(name) {
                Some(Bound::Net(closure)) => self.guarded(|this| this.is_layer(closure.expression, &closure.scope)),
                Some(_) => false,
                None => self.project.find(name, scope.file).is_none() && ops::find(name).is_some(),
            },
            ExprKind::Call { function, .. } => {
                scope.find(&function.text).is_none()
                    && self.project.find(&function.text, scope.file).is_none()
                    && ops::find(&function.text).is_some()
            }
            ExprKind::If { arms, otherwise } => {
                let arm = self.arm(arms, otherwise.as_deref(), scope).ok().flatten();
                arm.is_none_or(|arm| self.is_layer(arm, scope))
            }
            _ => false,
        }
    }

    /// A word, with arguments perhaps: something in scope, a net, or a layer.
    fn mention(
        &mut self,
        name: &str,
        arguments: &'p [Argument],
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Stop> {
        if let Some(bound) = scope.find(name) {
            if let Some(argument) = arguments.first() {
                return Err(self.stop(
                    Diagnostic::new(Code::TooManyArguments, format!("`{name}` is a value and takes no arguments"))
                        .at(argument.value.span, "here"),
                ));
            }
            return self.apply_bound(bound, span, flow);
        }
        if let Some(net) = self.project.find(name, scope.file) {
            return self.net_mention(net, arguments, span, scope, flow);
        }
        if let Some(definition) = ops::find(name) {
            return self.layer(definition, arguments, span, scope, flow);
        }
        let known: Vec<String> = scope
            .names()
            .into_iter()
            .chain(self.project.names(scope.file))
            .chain(ops::names().map(str::to_string))
            .collect();
        Err(self.stop(
            Diagnostic::new(Code::UnknownName, format!("there is no layer or net `{name}`"))
                .at(span, "not known")
                .maybe_help(suggest::did_you_mean(name, known.iter().map(String::as_str))),
        ))
    }

    /// The scope of a net's body: its parameters, bound.
    fn net_scope(
        &mut self,
        net: usize,
        span: Span,
        arguments: &'p [Argument],
        caller: &Rc<Scope<'p>>,
    ) -> Result<Rc<Scope<'p>>, Stop> {
        let definition = &self.project.nets[net];
        let item = &definition.item;
        let name = item.name.text.clone();
        let mention = Rc::new(Mention { net: name.clone(), span, outer: caller.mention.clone() });
        let scope = Scope::of_net(definition.file, mention);
        let mut given: Vec<Option<Bound<'p>>> = vec![None; item.parameters.len()];
        let mut position = 0;
        let mut stopped = None;
        for argument in arguments {
            let place = match &argument.name {
                None => {
                    position += 1;
                    Some(position - 1).filter(|&place| place < given.len())
                }
                Some(word) => item.parameters.iter().position(|parameter| parameter.name.text == word.text),
            };
            let Some(place) = place else {
                let names: Vec<&str> = item.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect();
                stopped = Some(match &argument.name {
                    Some(word) => self.stop(
                        Diagnostic::new(Code::UnknownArgument, format!("`{name}` has no parameter `{}`", word.text))
                            .at(word.span, "not a parameter")
                            .and(item.name.span, "defined here")
                            .maybe_help(suggest::did_you_mean(&word.text, names)),
                    ),
                    None => self.stop(
                        Diagnostic::new(Code::TooManyArguments, format!("`{name}` gets too many arguments"))
                            .at(argument.value.span, format!("it has {} parameter(s)", names.len()))
                            .and(item.name.span, "defined here"),
                    ),
                });
                continue;
            };
            if given[place].is_some() {
                stopped = Some(
                    self.stop(
                        Diagnostic::new(
                            Code::TooManyArguments,
                            format!("`{}` of `{name}` is given twice", item.parameters[place].name.text),
                        )
                        .at(argument.value.span, "again here"),
                    ),
                );
                continue;
            }
            match self.evaluate(&argument.value, caller) {
                Ok(bound) => given[place] = Some(bound),
                Err(stop) => stopped = Some(stop),
            }
        }
        for (parameter, bound) in item.parameters.iter().zip(given) {
            let bound = match (bound, &parameter.default) {
                (Some(bound), _) => bound,
                (None, Some(default)) => match self.evaluate(default, &scope) {
                    Ok(bound) => bound,
                    Err(stop) => {
                        stopped = Some(stop);
                        continue;
                    }
                },
                (None, None) => {
                    if stopped.is_none() {
                        stopped = Some(
                            self.stop(
                                Diagnostic::new(
                                    Code::MissingArgument,
                                    format!("`{name}` needs `{}`", parameter.name.text),
                                )
                                .at(span, "not given here")
                                .and(parameter.name.span, "has no default"),
                            ),
                        );
                    }
                    continue;
                }
            };
            scope.define(&parameter.name.text, bound);
        }
        stopped.map_or(Ok(scope), Err)
    }

    fn net_mention(
        &mut self,
        net: usize,
        arguments: &'p [Argument],
        span: Span,
        caller: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Stop> {
        let item = &self.project.nets[net].item;
        let name = &item.name.text;
        let mut around = caller.mention.as_deref();
        while let Some(mention) = around {
            if mention.net == *name {
                return Err(self.stop(
                    Diagnostic::new(Code::Recursion, format!("`{name}` contains itself"))
                        .at(span, "mentioned here again")
                        .and(mention.span, "while it is expanded from here"),
                ));
            }
            around = mention.outer.as_deref();
        }
        if self.depth >= DEEPEST {
            return Err(self.too_deep(span));
        }
        self.depth += 1;
        let outputs = self.expand(net, arguments, span, caller, flow);
        self.depth -= 1;
        outputs
    }

    fn expand(
        &mut self,
        net: usize,
        arguments: &'p [Argument],
        span: Span,
        caller: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Stop> {
        let scope = self.net_scope(net, span, arguments, caller)?;
        let item = &self.project.nets[net].item;
        if self.starts_at_input(&item.body, &scope) {
            let piece = match arguments.is_empty() {
                true => self.complete(net)?,
                false => self.complete_in(net, scope, span)?,
            };
            let all = vec![true; piece.graph.nodes.len()];
            let outputs = piece.graph.outputs.clone();
            return self.put(&piece, &all, &outputs, span, flow);
        }
        let start = self.draft.len();
        let outputs = self.body(net, &scope, flow, span)?;
        self.draft.note_net(start..self.draft.len(), &item.name.text);
        Ok(outputs)
    }

    /// The body of a net, its signature kept.
    fn body(&mut self, net: usize, scope: &Rc<Scope<'p>>, flow: Flow, span: Span) -> Result<Vec<NodeId>, Stop> {
        let item = &self.project.nets[net].item;
        let Some(signature) = &item.signature else { return self.apply(&item.body, scope, flow) };
        if let Some(nodes) = &flow {
            self.check_inputs(&item.name.text, signature, nodes, scope, span)?;
        }
        let start = self.draft.len();
        let outputs = self.apply(&item.body, scope, flow.clone())?;
        if flow.is_none() {
            let inputs: Vec<NodeId> = (start..self.draft.len())
                .map(NodeId)
                .filter(|&id| self.draft.graph.node(id).inputs.is_empty())
                .collect();
            self.check_inputs(&item.name.text, signature, &inputs, scope, item.name.span)?;
        }
        self.check_outputs(&item.name.text, signature, &outputs, scope, item.body.span)?;
        Ok(outputs)
    }

    /// Adds a finished piece, its inputs fed by what comes in.
    pub(super) fn put(
        &mut self,
        piece: &Piece,
        keep: &[bool],
        outputs: &[NodeId],
        span: Span,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Stop> {
        let inputs: Vec<NodeId> = piece.graph.inputs().into_iter().filter(|id| keep[id.0]).collect();
        let mut sources = HashMap::new();
        if let Some(flow) = flow {
            if flow.len() != inputs.len() {
                return Err(self.stop(
                    Diagnostic::new(
                        Code::NeedsMerge,
                        format!("`{}` has {} input(s), but {} come in", piece.graph.name, inputs.len(), flow.len()),
                    )
                    .at(span, "here"),
                ));
            }
            sources = inputs.into_iter().zip(flow).collect();
        }
        self.place(piece, keep, sources, outputs, span)
    }

    /// Adds part of a finished piece, with `sources` in place of what it does not keep.
    pub(super) fn place(
        &mut self,
        piece: &Piece,
        keep: &[bool],
        sources: HashMap<NodeId, NodeId>,
        outputs: &[NodeId],
        span: Span,
    ) -> Result<Vec<NodeId>, Stop> {
        self.check_size(piece.graph.nodes.len(), span)?;
        let frozen = self.frozen;
        match self.draft.splice(piece, keep, &sources, frozen) {
            Ok(ids) => {
                // Layers of a net that is complete by itself know its definition only; now they know this mention.
                let kept = piece.graph.ids().filter(|id| keep[id.0]);
                for new in kept.filter_map(|id| ids.get(&id).copied()) {
                    let origin = &mut self.draft.graph.nodes[new.0].origin;
                    origin.mention = origin.mention.as_deref().map(|mention| mentioned(mention, span));
                }
                Ok(outputs.iter().filter_map(|output| ids.get(output).copied()).collect())
            }
            Err((id, fault)) => {
                let node = piece.graph.node(id);
                let fed: Vec<NodeId> = match node.inputs.is_empty() {
                    true => sources.get(&id).copied().into_iter().collect(),
                    false => node.inputs.iter().filter_map(|input| sources.get(input).copied()).collect(),
                };
                let diagnostic = self.shape_diagnostic(fault, node.origin.span, &fed);
                Err(self.stop(diagnostic.and(span, "through this mention")))
            }
        }
    }

    fn check_size(&mut self, more: usize, span: Span) -> Result<(), Stop> {
        match self.draft.len() + more > MOST_LAYERS {
            true => Err(self.stop(
                Diagnostic::new(Code::Limit, format!("the net has more than {MOST_LAYERS} layers")).at(span, "here"),
            )),
            false => Ok(()),
        }
    }

    fn layer(
        &mut self,
        definition: &'static Definition,
        arguments: &'p [Argument],
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Stop> {
        let given = self.arguments(arguments, scope)?;
        let bound = Arguments::bind(definition.name, definition.arguments, given, span).map_err(|faults| {
            self.faults.extend(faults);
            Stop
        })?;
        let operation = (definition.build)(&bound).map_err(|diagnostic| self.stop(diagnostic))?;
        let begins = definition.name == ops::input::INPUT.name;
        let Some(inputs) = flow.or(begins.then(Vec::new)) else {
            let text = self.sources.text(span);
            return Err(self.stop(
                Diagnostic::new(Code::Fragment, format!("`{}` has no input", definition.name))
                    .at(span, "nothing comes in here")
                    .help(format!("a complete net starts at an input: `Input(224x224x3) >> {text}`")),
            ));
        };
        self.check_size(1, span)?;
        let origin = Origin { span, mention: scope.mention.clone(), layers: Vec::new() };
        match self.draft.insert(operation, &inputs, self.frozen, origin) {
            Ok(id) => Ok(vec![id]),
            Err(fault) => {
                let mut diagnostic = self.shape_diagnostic(fault, span, &inputs);
                let mut around = scope.mention.as_deref();
                // The outermost mention is the net that is compiled, at its own definition.
                while let Some(mention) = around.filter(|mention| mention.outer.is_some()) {
                    diagnostic = diagnostic.and(mention.span, format!("in `{}`, mentioned here", mention.net));
                    around = mention.outer.as_deref();
                }
                Err(self.stop(diagnostic))
            }
        }
    }

    /// A shape fault with the consumer's place and need, and the producers' with what they give.
    pub(super) fn shape_diagnostic(&self, fault: ShapeFault, span: Span, inputs: &[NodeId]) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(fault.code, fault.message).at(span, fault.expected);
        let shown: Vec<NodeId> = match fault.input {
            Some(index) => inputs.first().into_iter().chain(inputs.get(index)).copied().collect(),
            None => inputs.iter().take(2).copied().collect(),
        };
        for (place, &id) in shown.iter().enumerate() {
            if shown[..place].contains(&id) {
                continue;
            }
            let node = self.draft.graph.node(id);
            let place = self.before.filter(|_| inputs.len() == 1).unwrap_or(node.origin.span);
            diagnostic = diagnostic.and(place, format!("gives {}", node.output));
        }
        diagnostic.maybe_help(fault.help)
    }

    fn check_inputs(
        &mut self,
        net: &str,
        signature: &'p Signature,
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        span: Span,
    ) -> Result<(), Stop> {
        self.check_shapes(net, &signature.inputs, nodes, scope, (span, signature.span), "takes", true)
    }

    fn check_outputs(
        &mut self,
        net: &str,
        signature: &'p Signature,
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        span: Span,
    ) -> Result<(), Stop> {
        self.check_shapes(net, &signature.outputs, nodes, scope, (span, signature.span), "promises", false)
    }

    #[allow(clippy::too_many_arguments)]
    fn check_shapes(
        &mut self,
        net: &str,
        patterns: &'p [crate::syntax::ast::ShapePattern],
        nodes: &[NodeId],
        scope: &Rc<Scope<'p>>,
        (blamed, contract): (Span, Span),
        verb: &str,
        binds: bool,
    ) -> Result<(), Stop> {
        let does = if binds { "gets" } else { "gives" };
        let broken = |message: String, found: String| {
            Diagnostic::new(Code::Contract, message).at(blamed, found).and(contract, "the contract")
        };
        if patterns.len() != nodes.len() {
            let message = format!("`{net}` {verb} {} tensor(s), but {does} {}", patterns.len(), nodes.len());
            return Err(self.stop(broken(message, "here".into())));
        }
        for (pattern, &node) in patterns.iter().zip(nodes) {
            let found = self.draft.graph.node(node).output.clone();
            let text: Vec<String> = pattern.sizes.iter().map(expression_text).collect();
            let mut fits = pattern.sizes.len() == found.sizes.len() + 1;
            for (expression, size) in pattern.sizes.iter().skip(1).zip(&found.sizes) {
                if let (ExprKind::Name(word), true) = (&expression.kind, binds)
                    && scope.find(word).is_none()
                {
                    let kind = size.known().map_or(ValueKind::Open, |size| ValueKind::Int(size as i64));
                    scope.define(word, Bound::Data(Value { kind, span: expression.span }));
                    continue;
                }
                if matches!(expression.kind, ExprKind::Open) {
                    continue;
                }
                match self.value(expression, scope)?.kind {
                    ValueKind::Int(wanted) => {
                        fits &= size.known().is_none_or(|size| i64::try_from(size) == Ok(wanted));
                    }
                    ValueKind::Open => {}
                    _ => fits = false,
                }
            }
            if !fits {
                let message = format!("`{net}` {verb} ({}), but {does} {found}", text.join(", "));
                let mut diagnostic = broken(message, format!("{does} {found}"));
                let origin = self.draft.graph.node(node).origin.span;
                if binds && origin != blamed {
                    diagnostic = diagnostic.and(origin, format!("gives {found}"));
                }
                return Err(self.stop(diagnostic));
            }
        }
        Ok(())
    }
}

/// A path of mentions with another place at its outer end.
fn mentioned(mention: &Mention, span: Span) -> Rc<Mention> {
    Rc::new(match &mention.outer {
        Some(outer) => Mention { net: mention.net.clone(), span: mention.span, outer: Some(mentioned(outer, span)) },
        None => Mention { net: mention.net.clone(), span, outer: None },
    })
}
