//! Finds text that parses, but certainly not as intended: `a > b` between layers, `dropout-2` outside of brackets, `True`.

use crate::diagnostics::{Code, Diagnostic};
use crate::syntax::ast::*;
use crate::syntax::parse::build::Built;

/// Returns an item that has no such slip, else its first one.
pub(crate) fn item(item: Item) -> Built<Item> {
    let slip = match &item.kind {
        ItemKind::Use(_) => None,
        ItemKind::Net(net) => {
            let defaults = net.parameters.iter().filter_map(|parameter| parameter.default.as_ref());
            defaults.into_iter().find_map(value).or_else(|| layer(&net.body))
        }
        ItemKind::Weights(weights) => value(&weights.file).or_else(|| entries(&weights.options)),
        ItemKind::Labels(labels) => value(&labels.source),
        ItemKind::Train(train) => entries(&train.entries),
        ItemKind::Expect(ExpectItem::Condition(condition)) => value(condition),
        ItemKind::Expect(ExpectItem::Signature { .. }) => None,
    };
    slip.map_or(Ok(item), Err)
}

/// Returns an expression of layers that has no such slip, else its first one.
pub(crate) fn layers(expr: Expr) -> Built<Expr> {
    layer(&expr).map_or(Ok(expr), Err)
}

fn entries(entries: &[Entry]) -> Option<Diagnostic> {
    entries.iter().find_map(|entry| value(&entry.value))
}

/// The slip in an expression where layers are expected.
fn layer(expr: &Expr) -> Option<Diagnostic> {
    match &expr.kind {
        ExprKind::Binary { operator: BinaryOperator::Greater, left, right } => {
            let sign = crate::source::Span { start: left.span.end, end: right.span.start, ..expr.span };
            Some(
                Diagnostic::new(Code::Syntax, "expected a layer, found a comparison")
                    .at(sign, "should this `>` be `>>`?")
                    .help("layers are chained with `>>`")
                    .fix(sign, " > ", " >> "),
            )
        }
        ExprKind::Binary { operator: BinaryOperator::Subtract | BinaryOperator::Divide, left, right } => {
            let name = leftmost(left)?;
            matches!(right.kind, ExprKind::Int(_) | ExprKind::Name(_)).then(|| {
                Diagnostic::new(Code::Syntax, "expected a layer, found arithmetic")
                    .at(expr.span, format!("this is a calculation with `{name}`"))
                    .help(
                        "layer names with `-`, `/` or `.` are allowed only after `as` and in a cut, `net[..dropout-2]`",
                    )
            })
        }
        ExprKind::Paren(inner) => layer(inner),
        _ => value(expr),
    }
}

/// The name at the start of `max-pooling-5`.
fn leftmost(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        ExprKind::Binary { operator: BinaryOperator::Subtract | BinaryOperator::Divide, left, .. } => leftmost(left),
        _ => None,
    }
}

/// The slip in an expression where any value is allowed. Its parts may be layers again.
fn value(expr: &Expr) -> Option<Diagnostic> {
    match &expr.kind {
        ExprKind::Name(name) => python(name, expr),
        ExprKind::Chain(parts) | ExprKind::Branches(parts) => parts.iter().find_map(layer),
        ExprKind::Frozen(inner) => layer(inner),
        ExprKind::Repeat { over, body } => over.expressions().find_map(value).or_else(|| layer(body)),
        ExprKind::Block { statements, result } => {
            statements.iter().find_map(|statement| value(&statement.value)).or_else(|| layer(result))
        }
        _ => expr.children().into_iter().find_map(value),
    }
}

fn python(name: &str, expr: &Expr) -> Option<Diagnostic> {
    let (help, word) = match name {
        "True" => ("write `true`", Some("true")),
        "False" => ("write `false`", Some("false")),
        "None" | "null" => ("leave the argument out; an unknown size is `?`", None),
        _ => return None,
    };
    let diagnostic = Diagnostic::new(Code::Syntax, format!("there is no `{name}`"))
        .at(expr.span, "a keyword of another language")
        .help(help);
    Some(match word {
        Some(word) => diagnostic.fix(expr.span, name, word),
        None => diagnostic,
    })
}
