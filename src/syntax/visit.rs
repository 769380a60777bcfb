//! Traversal of syntax trees: the direct sub-expressions of a node, and a visitor.
//!
//! Code that only wants to reach expressions uses these and needs no edit when the language gains a construct. A visitor
//! overrides the methods of the nodes that it wants to see, and calls the `walk_…` function to go on below them:
//!
//! ```
//! use netc::source::Sources;
//! use netc::syntax::ast::{Expr, ExprKind};
//! use netc::syntax::parse;
//! use netc::syntax::visit::{Visit, walk_expr};
//!
//! /// Collects the names of the layers and nets that are called.
//! struct Calls<'t>(Vec<&'t str>);
//!
//! impl<'t> Visit<'t> for Calls<'t> {
//!     fn visit_expr(&mut self, expr: &'t Expr) {
//!         if let ExprKind::Call { function, .. } = &expr.kind {
//!             self.0.push(&function.text);
//!         }
//!         walk_expr(self, expr);
//!     }
//! }
//!
//! let mut sources = Sources::default();
//! let file = sources.add_text("a.net", "net a = Input(4) >> repeat(2) { Relu(8) >> Dropout(0.5) }");
//! let (tree, _) = parse(&sources, file);
//! let mut calls = Calls(Vec::new());
//! calls.visit_file(&tree);
//! assert_eq!(calls.0, ["Input", "Relu", "Dropout"]);
//! ```

use super::ast::*;

impl Expr {
    /// The direct sub-expressions in source order, including those in the templates of strings and names.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Sizes(_)
            | ExprKind::Open
            | ExprKind::Bool(_)
            | ExprKind::Name(_) => Vec::new(),
            ExprKind::Text(text) => text.expressions().collect(),
            ExprKind::List(items) | ExprKind::Chain(items) | ExprKind::Branches(items) => items.iter().collect(),
            ExprKind::Range { start, end, .. } => vec![start, end],
            ExprKind::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).collect(),
            ExprKind::Call { arguments, .. } => arguments.iter().map(|argument| &argument.value).collect(),
            ExprKind::Paren(inner) | ExprKind::Frozen(inner) => vec![inner],
            ExprKind::As { inner, name } => one(inner).chain(name.text.expressions()).collect(),
            ExprKind::Cut { inner, range } => one(inner).chain(range.expressions()).collect(),
            ExprKind::Repeat { over, body } => over.expressions().chain(one(body)).collect(),
            ExprKind::Block { statements, result } => {
                statements.iter().map(|statement| &statement.value).chain(one(result)).collect()
            }
            ExprKind::If { arms, otherwise } => {
                let arms = arms.iter().flat_map(|(condition, arm)| [condition, arm]);
                arms.chain(otherwise.as_deref()).collect()
            }
            ExprKind::Unary { operand, .. } => vec![operand],
            ExprKind::Binary { left, right, .. } => vec![left, right],
        }
    }
}

fn one(expr: &Expr) -> impl Iterator<Item = &Expr> {
    std::iter::once(expr)
}

impl Text {
    /// The expressions in `{…}`.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter_map(|part| match part {
            TextPart::Value(value) => Some(value),
            TextPart::Literal(_) => None,
        })
    }
}

impl CutRange {
    /// The ends that are written.
    pub fn ends(&self) -> impl Iterator<Item = &CutEnd> {
        let (start, end) = match self {
            CutRange::One(end) => (Some(end), None),
            CutRange::Range { start, end, .. } => (start.as_ref(), end.as_ref()),
        };
        start.into_iter().chain(end)
    }

    /// The expressions in the templates of the layer names.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let texts = self.ends().filter_map(|end| match end {
            CutEnd::Name(name) => Some(&name.text),
            CutEnd::Index(..) => None,
        });
        texts.flat_map(Text::expressions)
    }
}

impl RepeatOver {
    /// The count, the ends of the range or the list.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let (first, second) = match self {
            RepeatOver::Count(one) | RepeatOver::List { list: one, .. } => (one, None),
            RepeatOver::Range { start, end, .. } => (start, Some(end)),
        };
        std::iter::once(&**first).chain(second.map(|end| &**end))
    }

    /// The names that every iteration binds.
    pub fn names(&self) -> &[Ident] {
        match self {
            RepeatOver::Count(_) => &[],
            RepeatOver::Range { variable, .. } => std::slice::from_ref(variable),
            RepeatOver::List { pattern, .. } => pattern.names(),
        }
    }
}

/// A visitor of a syntax tree. Every method walks on by default, in source order.
pub trait Visit<'t> {
    fn visit_file(&mut self, file: &'t File) {
        walk_file(self, file);
    }

    fn visit_item(&mut self, item: &'t Item) {
        walk_item(self, item);
    }

    fn visit_net(&mut self, net: &'t NetItem) {
        walk_net(self, net);
    }

    fn visit_signature(&mut self, signature: &'t Signature) {
        walk_signature(self, signature);
    }

    fn visit_expr(&mut self, expr: &'t Expr) {
        walk_expr(self, expr);
    }
}

/// Visits the items of a file, or its expression.
pub fn walk_file<'t, V: Visit<'t> + ?Sized>(visitor: &mut V, file: &'t File) {
    file.items.iter().for_each(|item| visitor.visit_item(item));
    file.expression.iter().for_each(|expression| visitor.visit_expr(expression));
}

/// Visits the net, signature and expressions of an item.
pub fn walk_item<'t, V: Visit<'t> + ?Sized>(visitor: &mut V, item: &'t Item) {
    let entries = |visitor: &mut V, entries: &'t [Entry]| {
        entries.iter().for_each(|entry| visitor.visit_expr(&entry.value));
    };
    match &item.kind {
        ItemKind::Use(text) => text.expressions().for_each(|value| visitor.visit_expr(value)),
        ItemKind::Net(net) => visitor.visit_net(net),
        ItemKind::Weights(weights) => {
            visitor.visit_expr(&weights.file);
            entries(visitor, &weights.options);
        }
        ItemKind::Labels(labels) => visitor.visit_expr(&labels.source),
        ItemKind::Train(train) => entries(visitor, &train.entries),
        ItemKind::Expect(ExpectItem::Signature { signature, .. }) => visitor.visit_signature(signature),
        ItemKind::Expect(ExpectItem::Condition(condition)) => visitor.visit_expr(condition),
    }
}

/// Visits the defaults, the signature and the body of a net.
pub fn walk_net<'t, V: Visit<'t> + ?Sized>(visitor: &mut V, net: &'t NetItem) {
    let defaults = net.parameters.iter().filter_map(|parameter| parameter.default.as_ref());
    defaults.for_each(|default| visitor.visit_expr(default));
    net.signature.iter().for_each(|signature| visitor.visit_signature(signature));
    visitor.visit_expr(&net.body);
}

/// Visits the sizes of a signature.
pub fn walk_signature<'t, V: Visit<'t> + ?Sized>(visitor: &mut V, signature: &'t Signature) {
    let shapes = signature.inputs.iter().chain(&signature.outputs);
    shapes.flat_map(|shape| &shape.sizes).for_each(|size| visitor.visit_expr(size));
}

/// Visits the direct sub-expressions of an expression.
pub fn walk_expr<'t, V: Visit<'t> + ?Sized>(visitor: &mut V, expr: &'t Expr) {
    expr.children().into_iter().for_each(|child| visitor.visit_expr(child));
}
