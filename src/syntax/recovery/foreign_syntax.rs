//! What parses and is surely meant otherwise: `a > b` between layers, `dropout-2` outside of brackets, `True`.

use crate::diagnostics::{Code, Diagnostic};
use crate::syntax::ast::*;
use crate::syntax::parse::build::Built;

/// An item without such slips.
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

/// An expression of layers without such slips.
pub(crate) fn layers(expr: Expr) -> Built<Expr> {
    layer(&expr).map_or(Ok(expr), Err)
}

fn entries(entries: &[Entry]) -> Option<Diagnostic> {
    entries.iter().find_map(|entry| value(&entry.value))
}

/// Where layers stand.
fn layer(expr: &Expr) -> Option<Diagnostic> {
    match &expr.kind {
        ExprKind::Binary { operator: BinaryOperator::Greater, left, right } => {
            let place = crate::source::Span { start: left.span.end, end: right.span.start, ..expr.span };
            Some(
                Diagnostic::new(Code::Syntax, "a comparison cannot stand among layers")
                    .at(place, "is this `>` meant to be `>>`?")
                    .help("layers are chained with `>>`")
                    .fix(place, " > ", " >> "),
            )
        }
        ExprKind::Binary { operator: BinaryOperator::Subtract | BinaryOperator::Divide, left, right } => {
            let name = leftmost(left)?;
            matches!(right.kind, ExprKind::Int(_) | ExprKind::Name(_)).then(|| {
                Diagnostic::new(Code::Syntax, "this is arithmetic, and cannot stand among layers")
                    .at(expr.span, format!("read as a calculation with `{name}`"))
                    .help("a layer's name with `-`, `/` or `.` is written only after `as` and in a cut, `net[..dropout-2]`")
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

/// Where any value may stand; what it holds may be layers again.
fn value(expr: &Expr) -> Option<Diagnostic> {
    match &expr.kind {
        ExprKind::Name(name) => python(name, expr),
        ExprKind::Chain(parts) | ExprKind::Branches(parts) => parts.iter().find_map(layer),
        ExprKind::Frozen(inner) => layer(inner),
        ExprKind::Repeat { body, .. } => layer(body),
        ExprKind::Block { statements, result } => {
            statements.iter().find_map(|statement| value(&statement.value)).or_else(|| layer(result))
        }
        ExprKind::List(parts) => parts.iter().find_map(value),
        ExprKind::Range { start, end, .. } => value(start).or_else(|| value(end)),
        ExprKind::Map(pairs) => pairs.iter().find_map(|(key, item)| value(key).or_else(|| value(item))),
        ExprKind::Call { arguments, .. } => arguments.iter().find_map(|argument| value(&argument.value)),
        ExprKind::Paren(inner) | ExprKind::As { inner, .. } | ExprKind::Cut { inner, .. } => value(inner),
        ExprKind::If { arms, otherwise } => {
            let arms = arms.iter().find_map(|(condition, body)| value(condition).or_else(|| value(body)));
            arms.or_else(|| otherwise.as_deref().and_then(value))
        }
        ExprKind::Unary { operand, .. } => value(operand),
        ExprKind::Binary { left, right, .. } => value(left).or_else(|| value(right)),
        ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Sizes(_)
        | ExprKind::Open
        | ExprKind::Text(_)
        | ExprKind::Bool(_) => None,
    }
}

fn python(name: &str, expr: &Expr) -> Option<Diagnostic> {
    let (help, word) = match name {
        "True" => ("write `true`", Some("true")),
        "False" => ("write `false`", Some("false")),
        "None" | "null" => ("leave the argument out; an open size is `?`", None),
        _ => return None,
    };
    let diagnostic = Diagnostic::new(Code::Syntax, format!("there is no `{name}`"))
        .at(expr.span, "a word of another language")
        .help(help);
    Some(match word {
        Some(word) => diagnostic.fix(expr.span, name, word),
        None => diagnostic,
    })
}
