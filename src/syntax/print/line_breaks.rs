//! Line breaks of the author, which the formatter keeps: decides which expressions take several lines.

use super::format::Formatter;
use crate::syntax::ast::*;

impl Formatter<'_> {
    /// Whether there is a line break between two offsets of the source.
    pub(crate) fn breaks(&self, from: usize, to: usize) -> bool {
        self.source.get(from..to).is_some_and(|gap| gap.contains('\n'))
    }

    /// Whether there is a line break between an offset and an expression.
    fn breaks_before(&self, from: u32, expr: &Expr) -> bool {
        self.breaks(from as usize, expr.span.start as usize)
    }

    /// Whether an expression takes several lines, however short it is.
    pub(crate) fn must_break(&self, expr: &Expr) -> bool {
        self.is_broken(expr)
            || match &expr.kind {
                // These are always printed on one line.
                ExprKind::Text(_) | ExprKind::Range { .. } => false,
                ExprKind::Repeat { body, .. } => self.must_break(body),
                _ => expr.children().into_iter().any(|inner| self.must_break(inner)),
            }
    }

    /// Whether the author broke lines directly inside an expression, outside its sub-expressions.
    fn is_broken(&self, expr: &Expr) -> bool {
        let (start, end) = (expr.span.start, expr.span.end);
        match &expr.kind {
            ExprKind::Chain(_) => self.is_broken_chain(expr),
            ExprKind::Branches(parts) => self.are_apart(start, parts, end),
            ExprKind::Paren(inner) => self.are_apart(start, std::slice::from_ref(inner), end),
            ExprKind::Frozen(inner) => self.breaks_before(start, inner) || self.ends_in_comment(inner, end),
            ExprKind::List(parts) => {
                self.are_listed_apart(start, parts.iter().map(|part| (part.span.start, part.span.end)), end)
            }
            ExprKind::Map(pairs) => {
                self.are_listed_apart(start, pairs.iter().map(|(key, value)| (key.span.start, value.span.end)), end)
            }
            ExprKind::Call { function, arguments } => {
                let ranges = arguments.iter().map(|argument| {
                    let first = argument.name.as_ref().map_or(argument.value.span.start, |name| name.span.start);
                    (first, argument.value.span.end)
                });
                self.are_listed_apart(function.span.end, ranges, end)
            }
            ExprKind::Block { statements, result } => {
                let mut from = start;
                for statement in statements {
                    if self.breaks(from as usize, statement.name.span.start as usize) {
                        return true;
                    }
                    from = statement.value.span.end;
                }
                self.breaks_before(from, result) || self.ends_in_comment(result, end)
            }
            ExprKind::Repeat { over, body } => {
                let from = over.expressions().last().map_or(start, |last| last.span.end);
                self.breaks_before(from, body) || self.ends_in_comment(body, end)
            }
            ExprKind::If { arms, otherwise } => {
                let otherwise = otherwise.as_deref();
                let breaks = |(condition, body): &(Expr, Expr)| self.breaks_before(condition.span.end, body);
                let last = arms.last().map(|(_, body)| body);
                let before_else = last.map_or(start, |body| body.span.end);
                arms.iter().any(breaks)
                    || otherwise.is_some_and(|body| self.breaks_before(before_else, body))
                    || otherwise.or(last).is_some_and(|body| self.ends_in_comment(body, end))
            }
            _ => false,
        }
    }

    /// Whether there is a comment between an expression and the closing bracket around it.
    fn ends_in_comment(&self, inner: &Expr, end: u32) -> bool {
        self.page.has_comment(&(inner.span.end as usize..end as usize))
    }

    /// Whether the author broke a chain before or after a `>>`.
    pub(crate) fn is_broken_chain(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Chain(parts) => parts.windows(2).any(|pair| self.breaks_before(pair[0].span.end, &pair[1])),
            _ => false,
        }
    }

    /// Whether there are line breaks around or between branches.
    fn are_apart(&self, start: u32, parts: &[Expr], end: u32) -> bool {
        let mut from = start;
        for part in parts {
            if self.breaks_before(from, part) {
                return true;
            }
            from = part.span.end;
        }
        self.breaks(from as usize, end as usize)
    }

    /// Whether there are line breaks before or between the items of a list.
    fn are_listed_apart(&self, start: u32, ranges: impl Iterator<Item = (u32, u32)>, end: u32) -> bool {
        let mut from = start;
        for (first, last) in ranges {
            if self.breaks(from as usize, first as usize) {
                return true;
            }
            from = last;
        }
        self.page.has_comment(&(from as usize..end as usize))
    }

    /// Whether an expression, when it does not fit, becomes lines that all begin in one column.
    pub(crate) fn breaks_as_lines(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Chain(_) | ExprKind::Branches(_) | ExprKind::Paren(_) => true,
            ExprKind::As { inner, .. } | ExprKind::Cut { inner, .. } => self.breaks_as_lines(inner),
            ExprKind::Binary { left, .. } => self.breaks_as_lines(left),
            _ => false,
        }
    }

    /// Whether an expression takes several lines that all begin in one column, so that it starts on a line of its own.
    pub(crate) fn hangs(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Chain(parts) => {
                self.is_broken_chain(expr) || parts.first().is_some_and(|first| self.hangs(first))
            }
            ExprKind::Branches(_) | ExprKind::Paren(_) => self.must_break(expr),
            ExprKind::As { inner, .. } | ExprKind::Cut { inner, .. } => self.hangs(inner),
            ExprKind::Binary { left, .. } => self.hangs(left),
            _ => false,
        }
    }
}
