//! Lists in brackets: arguments, parameters, values, pairs.

use crate::syntax::ast::*;
use std::ops::Range;

/// An element of a list in brackets.
#[derive(Clone, Copy)]
pub(crate) enum Element<'e> {
    Value(&'e Expr),
    Argument(&'e Argument),
    Parameter(&'e Parameter),
    Pair(&'e (Expr, Expr)),
}

impl<'e> Element<'e> {
    /// The expression that may need lines of its own.
    pub fn value(self) -> Option<&'e Expr> {
        match self {
            Element::Value(value) => Some(value),
            Element::Argument(argument) => Some(&argument.value),
            Element::Parameter(parameter) => parameter.default.as_ref(),
            Element::Pair((_, value)) => Some(value),
        }
    }

    /// The byte range in the source.
    pub fn range(self) -> Range<usize> {
        let start = match self {
            Element::Value(value) => value.span,
            Element::Argument(argument) => argument.name.as_ref().map_or(argument.value.span, |name| name.span),
            Element::Parameter(parameter) => parameter.name.span,
            Element::Pair((key, _)) => key.span,
        };
        let end = self.value().map_or(start, |value| value.span);
        start.start as usize..end.end as usize
    }

    /// Whether it is a single word, number or string; many of those share a line.
    pub fn is_plain(self) -> bool {
        match self {
            Element::Value(value) => matches!(
                value.kind,
                ExprKind::Int(_)
                    | ExprKind::Float(_)
                    | ExprKind::Sizes(_)
                    | ExprKind::Text(_)
                    | ExprKind::Name(_)
                    | ExprKind::Unary { .. }
            ),
            _ => false,
        }
    }
}

/// A list in brackets with its location in the source.
pub(crate) struct Sequence<'s, 'e> {
    pub open: &'s str,
    pub elements: &'s [Element<'e>],
    pub close: &'s str,
    /// The bytes between the brackets.
    pub inside: Range<usize>,
    /// Whether a trailing comma follows the last element of a list on several lines.
    pub trailing: bool,
}
