//! Builds what is in braces: blocks, maps, the bodies of `repeat` and `if`.

use super::{Builder, Built};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::*;
use crate::syntax::grammar::Rule;
use pest::iterators::Pair;

impl Builder {
    pub(crate) fn repeat(&self, pair: Pair<Rule>, depth: usize) -> Built<ExprKind> {
        let span = self.span(&pair);
        let (mut over, mut body) = (None, None);
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::binding => over = Some(self.binding(part, depth)?),
                Rule::body => body = Some(self.body(part, depth)?),
                _ => over = Some(RepeatOver::Count(Box::new(self.expr(part, depth)?))),
            }
        }
        match (over, body) {
            (Some(over), Some(body)) => Ok(ExprKind::Repeat { over, body: Box::new(body) }),
            _ => Err(self.missing(span)),
        }
    }

    fn binding(&self, pair: Pair<Rule>, depth: usize) -> Built<RepeatOver> {
        let span = self.span(&pair);
        // These nest without brackets, whose depth is limited elsewhere.
        let depth = self.deeper(depth, 2, span)?;
        let (mut pattern, mut first, mut second, mut range) = (None, None, None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::pattern => pattern = Some(self.pattern(part)?),
                Rule::range => range = Some(part.as_str() == "..="),
                Rule::expr if first.is_none() => first = Some(Box::new(self.expr(part, depth)?)),
                Rule::expr => second = Some(Box::new(self.expr(part, depth)?)),
                _ => {}
            }
        }
        match (pattern, first, range, second) {
            (Some(Pattern::Item(variable)), Some(start), Some(inclusive), Some(end)) => {
                Ok(RepeatOver::Range { variable, start, end, inclusive })
            }
            (Some(Pattern::Parts(_, names)), Some(start), Some(_), Some(end)) => {
                Err(Diagnostic::new(Code::Syntax, "the items of a range are single integers")
                    .at(names, "expects lists")
                    .and(start.span.to(end.span), "a range")
                    .help("write one name: `repeat i in 1..=3 { … }`"))
            }
            (Some(pattern), Some(list), None, None) => Ok(RepeatOver::List { pattern, list }),
            _ => Err(self.missing(span)),
        }
    }

    /// `l`, `[a, b]`
    fn pattern(&self, pair: Pair<Rule>) -> Built<Pattern> {
        let span = self.span(&pair);
        let parts = pair.as_str().starts_with('[');
        let mut names: Vec<Ident> = self.parts(pair).map(|part| self.ident(&part)).collect();
        match (parts, names.pop()) {
            (false, Some(name)) => Ok(Pattern::Item(name)),
            (true, Some(last)) => {
                names.push(last);
                for (index, name) in names.iter().enumerate() {
                    if let Some(first) = names[..index].iter().find(|other| other.text == name.text) {
                        return Err(Diagnostic::new(Code::DuplicateItem, format!("`{}` is bound twice", name.text))
                            .at(name.span, "again here")
                            .and(first.span, "first here"));
                    }
                }
                Ok(Pattern::Parts(names, span))
            }
            (_, None) => Err(self.missing(span)),
        }
    }

    /// The `{ … }` of a `repeat` or `if`: an expression, or a block if it has statements.
    fn body(&self, pair: Pair<Rule>, depth: usize) -> Built<Expr> {
        let span = self.span(&pair);
        let (statements, mut rest) = self.statements(pair, depth)?;
        match (statements.is_empty(), rest.pop()) {
            (true, Some(result)) => Ok(result),
            (false, Some(result)) => Ok(Expr { kind: ExprKind::Block { statements, result: Box::new(result) }, span }),
            (_, None) => Err(self.missing(span)),
        }
    }

    pub(crate) fn conditional(&self, pair: Pair<Rule>, depth: usize) -> Built<ExprKind> {
        let span = self.span(&pair);
        let (mut arms, mut otherwise, mut condition) = (Vec::new(), None, None);
        for part in self.parts(pair) {
            match (part.as_rule(), condition.take()) {
                (Rule::expr, _) => condition = Some(self.expr(part, self.deeper(depth, 2, span)?)?),
                (_, Some(condition)) => arms.push((condition, self.body(part, depth)?)),
                (_, None) => otherwise = Some(Box::new(self.body(part, depth)?)),
            }
        }
        if arms.is_empty() { Err(self.missing(span)) } else { Ok(ExprKind::If { arms, otherwise }) }
    }

    /// The `let`s and `share`s in braces, and the expressions after them.
    fn statements(&self, pair: Pair<Rule>, depth: usize) -> Built<(Vec<Statement>, Vec<Expr>)> {
        let (mut statements, mut rest) = (Vec::new(), Vec::new());
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::statement => statements.push(self.statement(part, depth)?),
                _ => rest.push(self.expr(part, depth)?),
            }
        }
        Ok((statements, rest))
    }

    fn statement(&self, pair: Pair<Rule>, depth: usize) -> Built<Statement> {
        let span = self.span(&pair);
        let shared = pair.as_str().starts_with("share");
        let mut parts = self.parts(pair);
        match (parts.next(), parts.next()) {
            (Some(name), Some(value)) => {
                Ok(Statement { shared, name: self.ident(&name), value: self.expr(value, depth)? })
            }
            _ => Err(self.missing(span)),
        }
    }

    /// `{ … }` as a value: a map if `=` follows the first expression, else a block.
    pub(crate) fn braces(&self, pair: Pair<Rule>, depth: usize) -> Built<Expr> {
        let span = self.span(&pair);
        let assign = pair.clone().into_inner().find(|part| part.as_rule() == Rule::assign);
        let assign = assign.map(|part| self.span(&part));
        let (statements, mut rest) = self.statements(pair, depth)?;
        let kind = match (assign, statements.last()) {
            (Some(assign), Some(last)) => {
                return Err(Diagnostic::new(Code::Syntax, "unexpected `=` in a block")
                    .at(assign, "only a map or a `let` has `=`")
                    .and(last.name.span, "this makes it a block")
                    .help("name a value of a block with `let NAME = …`"));
            }
            (None, Some(last)) if rest.is_empty() => {
                return Err(Diagnostic::new(Code::Syntax, "a block must end with an expression")
                    .at(Span { start: span.end.saturating_sub(1), ..span }, "an expression is missing before this")
                    .help(format!("end it with its result, such as `{}`", last.name.text)));
            }
            (None, _) if !rest.is_empty() => {
                let result = Box::new(rest.remove(0));
                ExprKind::Block { statements, result }
            }
            _ => {
                let mut pairs = Vec::new();
                let mut rest = rest.into_iter();
                while let (Some(key), Some(value)) = (rest.next(), rest.next()) {
                    pairs.push((key, value));
                }
                ExprKind::Map(pairs)
            }
        };
        Ok(Expr { kind, span })
    }
}
