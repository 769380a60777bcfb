//! Name resolution for tools: every definition in a file and the references to it, for renaming, navigation and lints.

use crate::source::Span;
use crate::syntax::ast::{
    CutEnd, CutRange, ExpectItem, Expr, ExprKind, File, Ident, ItemKind, LayerName, NetItem, Signature, TextPart,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The kind of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Net,
    Parameter,
    Let,
    Share,
    /// The variable of a `repeat`.
    Variable,
    /// A size that a signature binds.
    Size,
}

impl Kind {
    /// The noun for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Net => "net",
            Kind::Parameter => "parameter",
            Kind::Let => "value",
            Kind::Share => "shared layers",
            Kind::Variable => "variable of a `repeat`",
            Kind::Size => "size bound by the signature",
        }
    }
}

/// A definition in the file.
#[derive(Clone, Debug)]
pub struct Symbol {
    pub kind: Kind,
    pub name: String,
    /// The name in the definition.
    pub span: Span,
    /// The whole definition.
    pub definition: Span,
    /// The symbol of the net that contains it.
    net: Option<usize>,
}

/// The name of a layer or scope in the file: defined after `as`, or used as an end of a cut.
#[derive(Clone, Debug)]
pub struct LayerReference {
    pub name: String,
    /// The name, with its quotes.
    pub span: Span,
    /// The expression that `as` names, without parentheses around it; for an end of a cut the whole cut.
    pub target: Span,
    /// The net that is cut; `None` for a name after `as`.
    pub cut: Option<String>,
}

/// All names of a file.
#[derive(Debug, Default)]
pub struct Names {
    pub symbols: Vec<Symbol>,
    /// Every reference with the index of its symbol, definitions included.
    pub references: Vec<(Span, usize)>,
    /// Names that this file does not define: nets of other files, layers, keywords.
    pub unresolved: Vec<(Span, String)>,
    /// Names of layers, except templates.
    pub layers: Vec<LayerReference>,
    nets: BTreeMap<String, usize>,
    /// The names of all nets in scope, including those of other files.
    visible_nets: BTreeSet<String>,
    /// Where names of nets are keywords.
    keyword_names: HashSet<Span>,
    /// Innermost last.
    scopes: Vec<BTreeMap<String, usize>>,
    /// The symbol of the net that is being resolved.
    net: Option<usize>,
}

impl Names {
    /// Resolves the names of a file, in which `visible_nets` are in scope. The names of nets at `keyword_names` are keywords.
    pub(super) fn of(tree: &File, visible_nets: Vec<String>, keyword_names: HashSet<Span>) -> Names {
        let mut names = Names { visible_nets: visible_nets.into_iter().collect(), keyword_names, ..Names::default() };
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
                let definition = parameter.name.span.to(end);
                let defined = names.define(Kind::Parameter, &parameter.name, definition, Some(symbol));
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
                ItemKind::Weights(item) => names.reference(&item.net),
                ItemKind::Labels(item) => names.reference(&item.net),
                ItemKind::Train(item) => names.reference(&item.net),
                ItemKind::Expect(ExpectItem::Signature { net, .. }) => names.reference(net),
                ItemKind::Expect(ExpectItem::Condition(condition)) => names.expression(condition),
                ItemKind::Use(_) | ItemKind::Net(_) => {}
            }
        }
        if let Some(expression) = &tree.expression {
            names.expression(expression);
        }
        names
    }

    /// The symbol of the reference at an offset, and the span of the reference.
    pub fn at(&self, offset: usize) -> Option<(&Symbol, Span)> {
        let &(span, symbol) = self.references.iter().find(|(span, _)| touches(*span, offset))?;
        Some((&self.symbols[symbol], span))
    }

    /// The name of a layer at an offset.
    pub fn layer_at(&self, offset: usize) -> Option<&LayerReference> {
        self.layers.iter().find(|layer| touches(layer.span, offset))
    }

    /// All references to the symbol at an offset, with its definition.
    pub fn all(&self, offset: usize) -> Vec<Span> {
        let Some((symbol, _)) = self.at(offset) else { return Vec::new() };
        let is_same = |&&(_, index): &&(Span, usize)| std::ptr::eq(&self.symbols[index], symbol);
        self.references.iter().filter(is_same).map(|(span, _)| *span).collect()
    }

    fn define(&mut self, kind: Kind, name: &Ident, definition: Span, net: Option<usize>) -> usize {
        self.symbols.push(Symbol { kind, name: name.text.clone(), span: name.span, definition, net });
        self.references.push((name.span, self.symbols.len() - 1));
        self.symbols.len() - 1
    }

    /// Defines a name in the innermost scope.
    fn bind(&mut self, kind: Kind, name: &Ident, definition: Span) {
        let symbol = self.define(kind, name, definition, self.net);
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.text.clone(), symbol);
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        let scoped = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        scoped.or_else(|| self.nets.get(name)).copied()
    }

    fn reference(&mut self, name: &Ident) {
        match self.find(&name.text) {
            Some(symbol) if self.symbols[symbol].kind == Kind::Net && self.keyword_names.contains(&name.span) => {}
            Some(symbol) => self.references.push((name.span, symbol)),
            None => self.unresolved.push((name.span, name.text.clone())),
        }
    }

    fn layer(&mut self, name: &LayerName, target: Span, cut: Option<&str>) {
        if let [TextPart::Literal(literal)] = &name.text.parts[..] {
            let cut = cut.map(str::to_string);
            self.layers.push(LayerReference { name: literal.clone(), span: name.text.span, target, cut });
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

    fn in_scope(&mut self, walk: impl FnOnce(&mut Self)) {
        self.scopes.push(BTreeMap::new());
        walk(self);
        self.scopes.pop();
    }

    fn expression(&mut self, expression: &Expr) {
        match &expression.kind {
            ExprKind::Name(name) => self.reference(&Ident { text: name.clone(), span: expression.span }),
            ExprKind::Call { function, arguments } => {
                self.reference(function);
                let called = self.find(&function.text);
                for argument in arguments {
                    if let (Some(name), Some(called)) = (&argument.name, called) {
                        self.argument(name, called);
                    }
                    match called.is_none() && self.takes_keywords(&function.text) {
                        true => self.keyword_value(&argument.value),
                        false => self.expression(&argument.value),
                    }
                }
            }
            ExprKind::As { inner, name } => {
                self.children(expression);
                self.layer(name, without_parentheses(inner).span, None);
            }
            ExprKind::Cut { inner, range } => {
                self.children(expression);
                self.cut(inner, range, expression.span);
            }
            ExprKind::Repeat { over, body } => {
                over.expressions().for_each(|inner| self.expression(inner));
                self.in_scope(|names| {
                    for variable in over.names() {
                        names.bind(Kind::Variable, variable, variable.span);
                    }
                    names.expression(body);
                });
            }
            ExprKind::Block { statements, result } => self.in_scope(|names| {
                for statement in statements {
                    names.expression(&statement.value);
                    let kind = if statement.shared { Kind::Share } else { Kind::Let };
                    names.bind(kind, &statement.name, statement.name.span.to(statement.value.span));
                }
                names.expression(result);
            }),
            _ => self.children(expression),
        }
    }

    fn children(&mut self, expression: &Expr) {
        expression.children().into_iter().for_each(|inner| self.expression(inner));
    }

    fn cut(&mut self, inner: &Expr, range: &CutRange, span: Span) {
        let is_local = |names: &Self, name: &str| names.scopes.iter().any(|scope| scope.contains_key(name));
        for end in range.ends() {
            if let (CutEnd::Name(name), Some(net)) = (end, net_of(inner).filter(|net| !is_local(self, net))) {
                self.layer(name, span, Some(net));
            }
        }
        // `sizes[i]`: in the brackets of a list a name is a value.
        if let (ExprKind::Name(list), CutRange::One(CutEnd::Name(LayerName { text, quoted: false }))) =
            (&inner.kind, range)
            && is_local(self, list)
            && let [TextPart::Literal(word)] = &text.parts[..]
        {
            self.reference(&Ident { text: word.clone(), span: text.span });
        }
    }

    /// Whether the arguments of an unresolved name are values: those of a layer, or of a value such as `HeNormal`.
    fn takes_keywords(&self, name: &str) -> bool {
        !self.visible_nets.contains(name) && name != "len"
    }

    /// Resolves an expression where no net is allowed: the name of a net is a keyword there.
    fn keyword_value(&mut self, expression: &Expr) {
        match &expression.kind {
            ExprKind::Paren(inner) => self.keyword_value(inner),
            ExprKind::List(list) => list.iter().for_each(|inner| self.keyword_value(inner)),
            ExprKind::Name(name) => {
                let is_value = |symbol: usize| !matches!(self.symbols[symbol].kind, Kind::Net | Kind::Share);
                if self.find(name).is_some_and(is_value) {
                    self.expression(expression);
                }
            }
            _ => self.expression(expression),
        }
    }

    /// `stride=2` in a call of a net refers to the parameter of that net.
    fn argument(&mut self, name: &Ident, called: usize) {
        let is_parameter =
            |symbol: &Symbol| symbol.kind == Kind::Parameter && symbol.net == Some(called) && symbol.name == name.text;
        if let Some(symbol) = self.symbols.iter().position(is_parameter) {
            self.references.push((name.span, symbol));
        }
    }

    /// Whether a symbol would clash with another one under a new name: in its net, or among the nets.
    pub fn clashes(&self, symbol: &Symbol, name: &str) -> bool {
        self.symbols.iter().any(|other| {
            let in_reach = other.kind == Kind::Net || symbol.kind == Kind::Net || other.net == symbol.net;
            other.name == name && in_reach
        })
    }

    /// The net that contains a symbol and all references to it; `None` for a net.
    pub fn enclosing_net(&self, symbol: &Symbol) -> Option<Span> {
        symbol.net.map(|net| self.symbols[net].definition)
    }
}

fn touches(span: Span, offset: usize) -> bool {
    (span.start as usize..=span.end as usize).contains(&offset)
}

/// An expression without the parentheses or `frozen(…)` around it.
fn without_parentheses(expression: &Expr) -> &Expr {
    match &expression.kind {
        ExprKind::Paren(inner) | ExprKind::Frozen(inner) => without_parentheses(inner),
        _ => expression,
    }
}

/// The net that is cut, possibly more than once.
fn net_of(expression: &Expr) -> Option<&str> {
    match &without_parentheses(expression).kind {
        ExprKind::Name(name) => Some(name),
        ExprKind::Call { function, .. } => Some(&function.text),
        ExprKind::Cut { inner, .. } => net_of(inner),
        _ => None,
    }
}
