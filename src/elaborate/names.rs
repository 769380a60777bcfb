//! Which words of a text mean the same thing: which nets are used, what rename changes, and where definitions stand.

use crate::source::Span;
use crate::syntax::ast::{
    CutEnd, CutRange, ExpectItem, Expr, ExprKind, File, Ident, ItemKind, LayerName, NetItem, RepeatOver, Signature,
    Text, TextPart,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

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

/// A layer's or scope's name in the text.
#[derive(Clone, Debug)]
pub struct LayerWord {
    pub name: String,
    /// The name, its quotes too.
    pub span: Span,
    /// What is named, parentheses around it left out; for an end of a cut all that is cut.
    pub of: Span,
    /// The net that is cut by it; none where it names what was written.
    pub cut: Option<String>,
}

/// All names of a text.
#[derive(Debug, Default)]
pub struct Names {
    pub symbols: Vec<Symbol>,
    /// Each place and what is meant there; definitions too.
    pub mentions: Vec<(Span, usize)>,
    /// Words that this text gives no meaning: nets of other files, layers, choices.
    pub foreign: Vec<(Span, String)>,
    /// Names of layers, those in which nothing is filled in.
    pub layers: Vec<LayerWord>,
    nets: BTreeMap<String, usize>,
    /// The names of all nets that the text sees, those of other files too.
    seen: BTreeSet<String>,
    /// Where names of nets are words.
    choices: HashSet<Span>,
    /// Innermost last.
    scopes: Vec<BTreeMap<String, usize>>,
    /// The net that is walked through.
    net: Option<usize>,
}

impl Names {
    /// Reads the tree of a file that sees these nets; where a net's name is known to be a word, it is left out.
    pub(super) fn of(tree: &File, seen: Vec<String>, choices: HashSet<Span>) -> Names {
        let mut names = Names { seen: seen.into_iter().collect(), choices, ..Names::default() };
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
        let &(span, symbol) = self.mentions.iter().find(|(span, _)| touches(*span, offset))?;
        Some((&self.symbols[symbol], span))
    }

    /// The layer's name at a byte.
    pub fn layer_at(&self, offset: usize) -> Option<&LayerWord> {
        self.layers.iter().find(|word| touches(word.span, offset))
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
        match self.find(&name.text) {
            Some(symbol) if self.symbols[symbol].kind == Kind::Net && self.choices.contains(&name.span) => {}
            Some(symbol) => self.mentions.push((name.span, symbol)),
            None => self.foreign.push((name.span, name.text.clone())),
        }
    }

    fn layer(&mut self, name: &LayerName, of: Span, cut: Option<&str>) {
        if let [TextPart::Literal(literal)] = &name.text.parts[..] {
            let cut = cut.map(str::to_string);
            self.layers.push(LayerWord { name: literal.clone(), span: name.text.span, of, cut });
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
                    match called.is_none() && self.takes_choices(&function.text) {
                        true => self.choice(&argument.value),
                        false => self.expression(&argument.value),
                    }
                }
            }
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) => self.expression(inner),
            ExprKind::As { inner, name } => {
                self.expression(inner);
                self.text(&name.text);
                self.layer(name, bare(inner).span, None);
            }
            ExprKind::Cut { inner, range } => {
                self.expression(inner);
                let ends = match range {
                    CutRange::One(end) => [Some(end), None],
                    CutRange::Range { start, end, .. } => [start.as_ref(), end.as_ref()],
                };
                for end in ends.into_iter().flatten() {
                    if let CutEnd::Name(name) = end {
                        self.text(&name.text);
                        let net = net_of(inner).filter(|net| !self.scopes.iter().any(|scope| scope.contains_key(*net)));
                        if let Some(net) = net {
                            self.layer(name, expression.span, Some(net));
                        }
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

    /// Whether arguments of a name that the text gives no meaning are values: those of a layer, or of a choice such as
    /// `HeNormal`.
    fn takes_choices(&self, name: &str) -> bool {
        !self.seen.contains(name) && name != "len"
    }

    /// A value where no net can stand: a net's name is a word there.
    fn choice(&mut self, expression: &Expr) {
        match &expression.kind {
            ExprKind::Paren(inner) => self.choice(inner),
            ExprKind::List(list) => list.iter().for_each(|inner| self.choice(inner)),
            ExprKind::Name(name) => {
                let is_value = |symbol: usize| !matches!(self.symbols[symbol].kind, Kind::Net | Kind::Share);
                if self.find(name).is_some_and(is_value) {
                    self.expression(expression);
                }
            }
            _ => self.expression(expression),
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

fn touches(span: Span, offset: usize) -> bool {
    (span.start as usize..=span.end as usize).contains(&offset)
}

/// An expression without the parentheses around it.
fn bare(expression: &Expr) -> &Expr {
    match &expression.kind {
        ExprKind::Paren(inner) | ExprKind::Frozen(inner) => bare(inner),
        _ => expression,
    }
}

/// The net that is cut, once or again.
fn net_of(expression: &Expr) -> Option<&str> {
    match &bare(expression).kind {
        ExprKind::Name(name) => Some(name),
        ExprKind::Call { function, .. } => Some(&function.text),
        ExprKind::Cut { inner, .. } => net_of(inner),
        _ => None,
    }
}
