//! Which words of a text mean the same thing: what rename changes, and where definitions stand.

use crate::source::Span;
use crate::syntax::ast::{
    CutEnd, CutRange, ExpectItem, Expr, ExprKind, File, Ident, ItemKind, LayerName, NetItem, RepeatOver, Signature,
    Text, TextPart,
};
use std::collections::BTreeMap;

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Net,
    Parameter,
    Let,
    Share,
    /// What a `repeat` counts with.
    Variable,
    /// A size that a signature binds.
    Size,
}

impl Kind {
    /// In words.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Net => "net",
            Kind::Parameter => "parameter",
            Kind::Let => "value",
            Kind::Share => "shared layers",
            Kind::Variable => "counter of a `repeat`",
            Kind::Size => "size that the signature binds",
        }
    }
}

/// A thing with a name that the text defines.
#[derive(Clone, Debug)]
pub struct Symbol {
    pub kind: Kind,
    pub name: String,
    /// The name where it is defined.
    pub span: Span,
    /// All of the definition.
    pub whole: Span,
    /// The net that it belongs to.
    net: Option<usize>,
}

/// All names of a text.
#[derive(Debug, Default)]
pub struct Names {
    pub symbols: Vec<Symbol>,
    /// Each place and what is meant there; definitions too.
    pub mentions: Vec<(Span, usize)>,
    nets: BTreeMap<String, usize>,
    /// Innermost last.
    scopes: Vec<BTreeMap<String, usize>>,
    /// The net that is walked through.
    net: Option<usize>,
}

impl Names {
    /// Reads a tree.
    pub fn of(tree: &File) -> Names {
        let mut names = Names::default();
        let items = || {
            tree.items.iter().filter_map(|item| match &item.kind {
                ItemKind::Net(net) => Some((net, item.span)),
                _ => None,
            })
        };
        let mut scopes = Vec::new();
        for (net, span) in items() {
            let symbol = names.define(Kind::Net, &net.name, span, None);
            names.nets.entry(net.name.text.clone()).or_insert(symbol);
            let mut scope = BTreeMap::new();
            for parameter in &net.parameters {
                let end = parameter.default.as_ref().map_or(parameter.name.span, |default| default.span);
                let whole = parameter.name.span.to(end);
                let defined = names.define(Kind::Parameter, &parameter.name, whole, Some(symbol));
                scope.entry(parameter.name.text.clone()).or_insert(defined);
            }
            scopes.push((symbol, scope));
        }
        for ((net, _), (symbol, scope)) in items().zip(scopes) {
            names.net = Some(symbol);
            names.scopes = vec![scope];
            names.net_item(net);
        }
        names.net = None;
        names.scopes.clear();
        for item in &tree.items {
            match &item.kind {
                ItemKind::Weights(item) => names.mention(&item.net),
                ItemKind::Labels(item) => names.mention(&item.net),
                ItemKind::Train(item) => names.mention(&item.net),
                ItemKind::Expect(ExpectItem::Signature { net, .. }) => names.mention(net),
                ItemKind::Expect(ExpectItem::Condition(condition)) => names.expression(condition),
                ItemKind::Use(_) | ItemKind::Net(_) => {}
            }
        }
        if let Some(expression) = &tree.expression {
            names.expression(expression);
        }
        names
    }

    /// What is meant at a byte, and its word there.
    pub fn at(&self, offset: usize) -> Option<(&Symbol, Span)> {
        let here = |span: &Span| (span.start as usize..=span.end as usize).contains(&offset);
        let &(span, symbol) = self.mentions.iter().find(|(span, _)| here(span))?;
        Some((&self.symbols[symbol], span))
    }

    /// All places of what is meant at a byte.
    pub fn all(&self, offset: usize) -> Vec<Span> {
        let Some((symbol, _)) = self.at(offset) else { return Vec::new() };
        let meant = |&&(_, index): &&(Span, usize)| std::ptr::eq(&self.symbols[index], symbol);
        self.mentions.iter().filter(meant).map(|(span, _)| *span).collect()
    }

    fn define(&mut self, kind: Kind, name: &Ident, whole: Span, net: Option<usize>) -> usize {
        self.symbols.push(Symbol { kind, name: name.text.clone(), span: name.span, whole, net });
        self.mentions.push((name.span, self.symbols.len() - 1));
        self.symbols.len() - 1
    }

    /// Defines a name in the innermost scope.
    fn bind(&mut self, kind: Kind, name: &Ident, whole: Span) {
        let symbol = self.define(kind, name, whole, self.net);
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.text.clone(), symbol);
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        let scoped = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        scoped.or_else(|| self.nets.get(name)).copied()
    }

    fn mention(&mut self, name: &Ident) {
        if let Some(symbol) = self.find(&name.text) {
            self.mentions.push((name.span, symbol));
        }
    }

    fn net_item(&mut self, net: &NetItem) {
        for default in net.parameters.iter().filter_map(|parameter| parameter.default.as_ref()) {
            self.expression(default);
        }
        if let Some(Signature { inputs, outputs, .. }) = &net.signature {
            for size in inputs.iter().flat_map(|shape| &shape.sizes) {
                match &size.kind {
                    ExprKind::Name(word) if !self.scopes.iter().any(|scope| scope.contains_key(word)) => {
                        let name = Ident { text: word.clone(), span: size.span };
                        self.bind(Kind::Size, &name, size.span);
                    }
                    _ => self.expression(size),
                }
            }
            for size in outputs.iter().flat_map(|shape| &shape.sizes) {
                self.expression(size);
            }
        }
        self.expression(&net.body);
    }

    fn inside(&mut self, walk: impl FnOnce(&mut Self)) {
        self.scopes.push(BTreeMap::new());
        walk(self);
        self.scopes.pop();
    }

    fn expression(&mut self, expression: &Expr) {
        match &expression.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Sizes(_) | ExprKind::Open | ExprKind::Bool(_) => {}
            ExprKind::Text(text) => self.text(text),
            ExprKind::List(list) | ExprKind::Chain(list) | ExprKind::Branches(list) => {
                list.iter().for_each(|inner| self.expression(inner));
            }
            ExprKind::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                self.expression(key);
                self.expression(value);
            }),
            ExprKind::Name(name) => self.mention(&Ident { text: name.clone(), span: expression.span }),
            ExprKind::Call { function, arguments } => {
                self.mention(function);
                let called = self.find(&function.text);
                for argument in arguments {
                    if let (Some(name), Some(called)) = (&argument.name, called) {
                        self.argument(name, called);
                    }
                    self.expression(&argument.value);
                }
            }
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) => self.expression(inner),
            ExprKind::As { inner, name } => {
                self.expression(inner);
                self.text(&name.text);
            }
            ExprKind::Cut { inner, range } => {
                self.expression(inner);
                let ends = match range {
                    CutRange::One(end) => [Some(end), None],
                    CutRange::Range { start, end, .. } => [start.as_ref(), end.as_ref()],
                };
                for end in ends.into_iter().flatten() {
                    if let CutEnd::Name(LayerName { text, .. }) = end {
                        self.text(text);
                    }
                }
                // `sizes[i]`: in the brackets of a list a word is a value.
                if let (ExprKind::Name(list), CutRange::One(CutEnd::Name(LayerName { text, quoted: false }))) =
                    (&inner.kind, range)
                    && self.scopes.iter().any(|scope| scope.contains_key(list))
                    && let [TextPart::Literal(word)] = &text.parts[..]
                {
                    self.mention(&Ident { text: word.clone(), span: text.span });
                }
            }
            ExprKind::Repeat { over, body } => {
                let variables = match over {
                    RepeatOver::Count(count) => {
                        self.expression(count);
                        &[]
                    }
                    RepeatOver::Range { variable, start, end, .. } => {
                        self.expression(start);
                        self.expression(end);
                        std::slice::from_ref(variable)
                    }
                    RepeatOver::List { pattern, list } => {
                        self.expression(list);
                        pattern.names()
                    }
                };
                self.inside(|names| {
                    for variable in variables {
                        names.bind(Kind::Variable, variable, variable.span);
                    }
                    names.expression(body);
                });
            }
            ExprKind::Block { statements, result } => self.inside(|names| {
                for statement in statements {
                    names.expression(&statement.value);
                    let kind = if statement.shared { Kind::Share } else { Kind::Let };
                    names.bind(kind, &statement.name, statement.name.span.to(statement.value.span));
                }
                names.expression(result);
            }),
            ExprKind::If { arms, otherwise } => {
                for (condition, arm) in arms {
                    self.expression(condition);
                    self.expression(arm);
                }
                if let Some(otherwise) = otherwise {
                    self.expression(otherwise);
                }
            }
            ExprKind::Unary { operand, .. } => self.expression(operand),
            ExprKind::Binary { left, right, .. } | ExprKind::Range { start: left, end: right, .. } => {
                self.expression(left);
                self.expression(right);
            }
        }
    }

    fn text(&mut self, text: &Text) {
        for part in &text.parts {
            if let TextPart::Value(value) = part {
                self.expression(value);
            }
        }
    }

    /// `stride=2` in a mention of a net means that net's parameter.
    fn argument(&mut self, name: &Ident, called: usize) {
        let meant =
            |symbol: &Symbol| symbol.kind == Kind::Parameter && symbol.net == Some(called) && symbol.name == name.text;
        if let Some(symbol) = self.symbols.iter().position(meant) {
            self.mentions.push((name.span, symbol));
        }
    }

    /// Whether two things of one name would meet: in a net, or among the nets.
    pub fn clashes(&self, symbol: &Symbol, name: &str) -> bool {
        self.symbols.iter().any(|other| {
            let near = other.kind == Kind::Net || symbol.kind == Kind::Net || other.net == symbol.net;
            other.name == name && near
        })
    }

    /// The net in which a thing can be meant; none for a net, which can be meant anywhere.
    pub fn home(&self, symbol: &Symbol) -> Option<Span> {
        symbol.net.map(|net| self.symbols[net].whole)
    }
}
