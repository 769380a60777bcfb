//! Where the author broke lines, and which expressions therefore take several.

use super::format::Formatter;
use crate::syntax::ast::*;

impl Formatter<'_> {
    /// Whether a line ends between two places of the source.
    pub(crate) fn breaks(&self, from: usize, to: usize) -> bool {
        self.source.get(from..to).is_some_and(|gap| gap.contains('\n'))
    }

    /// Whether a line ends between an expression and what stands before it.
    fn breaks_before(&self, from: u32, expr: &Expr) -> bool {
        self.breaks(from as usize, expr.span.start as usize)
    }

    /// Whether an expression takes several lines, however short it is.
    pub(crate) fn must_break(&self, expr: &Expr) -> bool {
        let any = |parts: &[Expr]| parts.iter().any(|part| self.must_break(part));
        let (start, end) = (expr.span.start, expr.span.end);
        match &expr.kind {
            ExprKind::Chain(parts) => self.is_broken_chain(expr) || any(parts),
            ExprKind::Branches(parts) => self.are_apart(start, parts, end) || any(parts),
            ExprKind::Paren(inner) => self.are_apart(start, std::slice::from_ref(inner), end) || self.must_break(inner),
            ExprKind::Frozen(inner) => {
                self.breaks_before(start, inner) || self.ends_in_comment(inner, end) || self.must_break(inner)
            }
            ExprKind::List(parts) => {
                self.are_listed_apart(start, parts.iter().map(|part| (part.span.start, part.span.end)), end)
                    || any(parts)
            }
            ExprKind::Map(pairs) => {
                self.are_listed_apart(start, pairs.iter().map(|(key, value)| (key.span.start, value.span.end)), end)
                    || pairs.iter().any(|(key, value)| self.must_break(key) || self.must_break(value))
            }
            ExprKind::Call { function, arguments } => {
                let ranges = arguments.iter().map(|argument| {
                    (
                        argument.name.as_ref().map_or(argument.value.span.start, |name| name.span.start),
                        argument.value.span.end,
                    )
                });
                self.are_listed_apart(function.span.end, ranges, end)
                    || arguments.iter().any(|argument| self.must_break(&argument.value))
            }
            ExprKind::As { inner, .. } | ExprKind::Cut { inner, .. } => self.must_break(inner),
            ExprKind::Unary { operand, .. } => self.must_break(operand),
            ExprKind::Binary { left, right, .. } => self.must_break(left) || self.must_break(right),
            ExprKind::Block { statements, result } => {
                let mut from = start;
                for statement in statements {
                    if self.breaks(from as usize, statement.name.span.start as usize)
                        || self.must_break(&statement.value)
                    {
                        return true;
                    }
                    from = statement.value.span.end;
                }
                self.breaks_before(from, result) || self.ends_in_comment(result, end) || self.must_break(result)
            }
            ExprKind::Repeat { over, body } => {
                let from = match over {
                    RepeatOver::Count(last)
                    | RepeatOver::Range { end: last, .. }
                    | RepeatOver::List { list: last, .. } => last.span.end,
                };
                self.breaks_before(from, body) || self.ends_in_comment(body, end) || self.must_break(body)
            }
            ExprKind::If { arms, otherwise } => {
                let mut from = start;
                for (condition, body) in arms {
                    if self.must_break(condition)
                        || self.breaks_before(condition.span.end, body)
                        || self.must_break(body)
                    {
                        return true;
                    }
                    from = body.span.end;
                }
                let last = otherwise.as_deref();
                last.is_some_and(|body| self.breaks_before(from, body) || self.must_break(body))
                    || last.or(arms.last().map(|(_, body)| body)).is_some_and(|body| self.ends_in_comment(body, end))
            }
            _ => false,
        }
    }

    /// Whether a comment stands between an expression and the bracket that closes around it.
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

    /// Whether lines end around or between branches.
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

    /// Whether lines end before or between the things of a list.
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
