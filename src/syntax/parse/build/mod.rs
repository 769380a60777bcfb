//! Builds the tree from pest's pairs: applies operator precedence, converts literals, and checks what the grammar cannot.

mod block;
mod item;

use super::literals::{float, int, sizes};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::{FileId, Span};
use crate::syntax::ast::*;
use crate::syntax::grammar::Rule;
use pest::iterators::Pair;

/// A part of the tree, or its first error.
pub(crate) type Built<T> = std::result::Result<T, Diagnostic>;

/// Max depth of a tree, so that recursive walks over it and its drop fit on a thread's stack.
const MAX_DEPTH: usize = 200;

/// Builds the tree of one parsed text.
pub(crate) struct Builder {
    pub file: FileId,
    /// The offset of the parsed text in the file.
    pub base: usize,
}

/// An operand with its prefix operators.
struct Term<'i> {
    prefixes: Vec<(UnaryOperator, Span)>,
    operand: Option<Pair<'i, Rule>>,
}

/// An infix operator: `>>` or a binary operator.
#[derive(Clone, Copy, PartialEq)]
enum Infix {
    Chain,
    Binary(BinaryOperator),
}

impl Infix {
    fn read(text: &str) -> Self {
        use BinaryOperator::*;
        Infix::Binary(match text {
            "or" => Or,
            "and" => And,
            "==" => Equal,
            "!=" => NotEqual,
            "<" => Less,
            "<=" => LessEqual,
            ">" => Greater,
            ">=" => GreaterEqual,
            "+" => Add,
            "-" => Subtract,
            "*" => Multiply,
            "/" => Divide,
            _ => return Infix::Chain,
        })
    }

    /// The precedence; `not` is between `and` and the comparisons.
    fn level(self) -> u8 {
        use BinaryOperator::*;
        match self {
            Infix::Chain => 0,
            Infix::Binary(Or) => 1,
            Infix::Binary(And) => 2,
            Infix::Binary(Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual) => COMPARISON,
            Infix::Binary(Add | Subtract) => 5,
            Infix::Binary(Multiply | Divide) => 6,
        }
    }
}

const COMPARISON: u8 = 4;

impl Builder {
    /// The span of a pair.
    pub fn span(&self, pair: &Pair<Rule>) -> Span {
        let span = pair.as_span();
        // pest includes the whitespace before a missing optional part: the end is that of the last part present.
        let mut end = span.end();
        let mut last = pair.clone();
        while matches!(
            last.as_rule(),
            Rule::item | Rule::net_item | Rule::weights_item | Rule::labels_item | Rule::expect_item
        ) || matches!(last.as_rule(), Rule::expr | Rule::operand | Rule::choice)
        {
            let Some(part) = last.into_inner().next_back() else { break };
            end = part.as_span().end();
            last = part;
        }
        Span { file: self.file, start: (self.base + span.start()) as u32, end: (self.base + end) as u32 }
    }

    /// The parts of a pair without brackets, commas and reserved words.
    pub fn parts<'i>(&self, pair: Pair<'i, Rule>) -> impl Iterator<Item = Pair<'i, Rule>> + use<'i> {
        pair.into_inner().filter(|part| !is_punctuation(part.as_rule()))
    }

    /// A word with its span.
    pub fn ident(&self, pair: &Pair<Rule>) -> Ident {
        Ident { text: pair.as_str().to_string(), span: self.span(pair) }
    }

    /// The error for a missing part that the grammar guarantees: never a panic.
    pub fn missing(&self, span: Span) -> Diagnostic {
        Diagnostic::new(Code::Syntax, "this cannot be parsed").at(span, "a part is missing here")
    }

    /// Builds an `expr` pair.
    pub fn expr(&self, pair: Pair<Rule>, depth: usize) -> Built<Expr> {
        let span = self.span(&pair);
        let mut terms = vec![Term { prefixes: Vec::new(), operand: None }];
        let mut operators = Vec::new();
        for part in pair.into_inner() {
            let span = self.span(&part);
            match (part.as_rule(), terms.last_mut()) {
                (Rule::prefix, Some(term)) => {
                    let operator = if part.as_str() == "-" { UnaryOperator::Negate } else { UnaryOperator::Not };
                    term.prefixes.push((operator, span));
                }
                (Rule::infix, _) => {
                    operators.push((Infix::read(part.as_str()), span));
                    terms.push(Term { prefixes: Vec::new(), operand: None });
                }
                (_, Some(term)) => term.operand = Some(part),
                (_, None) => {}
            }
        }
        self.level(&mut terms, &operators, span, depth)
    }

    /// Splits at the operators of lowest precedence and builds the parts between them.
    fn level(&self, terms: &mut [Term], operators: &[(Infix, Span)], span: Span, depth: usize) -> Built<Expr> {
        let loosest = operators.iter().map(|(operator, _)| operator.level()).min();
        if loosest.is_none_or(|level| level >= COMPARISON) {
            // `not` applies to a whole comparison.
            let nots = terms.first_mut().map_or(Vec::new(), |term| {
                let nots = term.prefixes.iter().take_while(|(operator, _)| *operator == UnaryOperator::Not).count();
                term.prefixes.drain(..nots).collect()
            });
            if !nots.is_empty() {
                let inner = self.level(terms, operators, span, self.deeper(depth, nots.len(), span)?)?;
                return Ok(wrap(inner, nots));
            }
        }
        let Some(loosest) = loosest else {
            return match terms.first_mut() {
                Some(term) => self.term(term, span, depth),
                None => Err(self.missing(span)),
            };
        };
        let splits: Vec<usize> = (0..operators.len()).filter(|&i| operators[i].0.level() == loosest).collect();
        if loosest == COMPARISON && splits.len() > 1 {
            return Err(Diagnostic::new(Code::Syntax, "comparisons cannot be chained")
                .at(operators[splits[1]].1, "second comparison")
                .and(operators[splits[0]].1, "first comparison")
                .help("combine them with `and`: `a < b and b < c`"));
        }
        let chain = loosest == Infix::Chain.level();
        let mut parts = Vec::new();
        let mut from = 0;
        for (index, &split) in splits.iter().chain([&operators.len()]).enumerate() {
            // Left-associative operators nest the first operand deepest.
            let below = if chain { 1 } else { (splits.len() + 1 - index).min(splits.len()) };
            parts.push(self.level(
                &mut terms[from..=split],
                &operators[from..split],
                span,
                self.deeper(depth, below, span)?,
            )?);
            from = split + 1;
        }
        if chain {
            return Ok(Expr { span: join(&parts, span), kind: ExprKind::Chain(parts) });
        }
        let mut parts = parts.into_iter();
        let mut left = parts.next().ok_or_else(|| self.missing(span))?;
        for (right, &split) in parts.zip(&splits) {
            if let Infix::Binary(operator) = operators[split].0 {
                let span = left.span.to(right.span);
                left = Expr { kind: ExprKind::Binary { operator, left: Box::new(left), right: Box::new(right) }, span };
            }
        }
        Ok(left)
    }

    /// Builds an operand with its prefix operators.
    fn term(&self, term: &mut Term, span: Span, depth: usize) -> Built<Expr> {
        let operand = term.operand.take().ok_or_else(|| self.missing(span))?;
        let inner = self.operand(operand, self.deeper(depth, term.prefixes.len(), span)?)?;
        Ok(wrap(inner, std::mem::take(&mut term.prefixes)))
    }

    /// The depth some levels deeper, or the error beyond the limit.
    pub fn deeper(&self, depth: usize, by: usize, span: Span) -> Built<usize> {
        if depth + by > MAX_DEPTH {
            return Err(Diagnostic::new(Code::TooDeep, "this expression is nested too deeply")
                .at(Span { end: span.end.min(span.start + 1), ..span }, format!("more than {MAX_DEPTH} levels deep"))
                .help("name parts of it with `net` or `let`"));
        }
        Ok(depth + by)
    }

    /// Builds a primary expression with its cuts and names, from left to right.
    fn operand(&self, pair: Pair<Rule>, depth: usize) -> Built<Expr> {
        let span = self.span(&pair);
        let count = pair.clone().into_inner().count();
        let mut parts = pair.into_inner();
        let first = parts.next().ok_or_else(|| self.missing(span))?;
        // One more than the levels of the tree: nested operands need the most stack.
        let mut expr = self.primary(first, self.deeper(depth, count + 1, span)?)?;
        for part in parts {
            let span = Span { end: self.span(&part).end, ..expr.span };
            let inner = Box::new(expr);
            let kind = match part.as_rule() {
                Rule::cut => ExprKind::Cut { inner, range: self.cut(part, depth)? },
                _ => {
                    let name = self.parts(part).next().ok_or_else(|| self.missing(span))?;
                    ExprKind::As { inner, name: self.layer_name(name, depth)? }
                }
            };
            expr = Expr { kind, span };
        }
        Ok(expr)
    }

    fn primary(&self, pair: Pair<Rule>, depth: usize) -> Built<Expr> {
        let span = self.span(&pair);
        let text = pair.as_str();
        let kind = match pair.as_rule() {
            Rule::text => ExprKind::Text(self.text(pair, depth)?),
            Rule::sizes => ExprKind::Sizes(sizes(text, span)?),
            Rule::float => ExprKind::Float(float(text, span)?),
            Rule::int => ExprKind::Int(int(text, span)?),
            Rule::open => ExprKind::Open,
            Rule::truth => ExprKind::Bool(text == "true"),
            Rule::name => ExprKind::Name(text.to_string()),
            Rule::list => ExprKind::List(self.exprs(pair, depth)?),
            Rule::braces => return self.braces(pair, depth),
            Rule::paren => {
                let mut parts = self.exprs(pair, depth)?;
                match parts.len() {
                    1 => ExprKind::Paren(Box::new(parts.remove(0))),
                    _ => ExprKind::Branches(parts),
                }
            }
            Rule::frozen => ExprKind::Frozen(Box::new(self.only(pair, depth)?)),
            Rule::call => self.call(pair, depth)?,
            Rule::repeat => self.repeat(pair, depth)?,
            Rule::choice => self.conditional(pair, depth)?,
            _ => return Err(self.missing(span)),
        };
        Ok(Expr { kind, span })
    }

    /// All expressions of a pair.
    pub fn exprs(&self, pair: Pair<Rule>, depth: usize) -> Built<Vec<Expr>> {
        self.parts(pair).map(|part| self.expr(part, depth)).collect()
    }

    /// The one expression of a pair.
    fn only(&self, pair: Pair<Rule>, depth: usize) -> Built<Expr> {
        let span = self.span(&pair);
        match self.parts(pair).next() {
            Some(part) => self.expr(part, depth),
            None => Err(self.missing(span)),
        }
    }

    fn call(&self, pair: Pair<Rule>, depth: usize) -> Built<ExprKind> {
        let span = self.span(&pair);
        let mut parts = self.parts(pair);
        let function = parts.next().ok_or_else(|| self.missing(span))?;
        let function = self.ident(&function);
        let arguments = parts.map(|part| self.argument(part, depth)).collect::<Built<_>>()?;
        Ok(ExprKind::Call { function, arguments })
    }

    fn argument(&self, pair: Pair<Rule>, depth: usize) -> Built<Argument> {
        let span = self.span(&pair);
        // The ends of a range lie one level deeper.
        let inner = self.deeper(depth, 1, span)?;
        let (mut name, mut inclusive, mut parts) = (None, false, Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::word => name = Some(self.ident(&part)),
                Rule::range => inclusive = part.as_str() == "..=",
                Rule::expr => parts.push(self.expr(part, inner)?),
                _ => {}
            }
        }
        let mut parts = parts.into_iter();
        let value = match (parts.next(), parts.next()) {
            (Some(start), Some(end)) => {
                let span = start.span.to(end.span);
                let kind = ExprKind::Range { start: Box::new(start), end: Box::new(end), inclusive };
                Expr { kind, span }
            }
            (Some(value), None) => value,
            _ => return Err(self.missing(span)),
        };
        Ok(Argument { name, value })
    }
}

/// Brackets, commas and reserved words, which are nodes only for the sake of pest's error positions.
fn is_punctuation(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        kw_use
            | kw_net
            | kw_weights
            | kw_labels
            | kw_train
            | kw_expect
            | kw_let
            | kw_share
            | kw_repeat
            | kw_in
            | kw_if
            | kw_else
            | kw_as
            | kw_frozen
            | kw_and
            | kw_or
            | kw_not
            | assign
            | arrow
            | colon
            | comma
            | bar
            | range
            | open_paren
            | close_paren
            | open_square
            | close_square
            | open_brace
            | close_brace
            | EOI
    )
}

/// The span from the first expression to the last.
fn join(parts: &[Expr], whole: Span) -> Span {
    match (parts.first(), parts.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => whole,
    }
}

/// Applies prefix operators to an expression, the last one innermost.
fn wrap(inner: Expr, prefixes: Vec<(UnaryOperator, Span)>) -> Expr {
    prefixes.into_iter().rev().fold(inner, |operand, (operator, prefix)| {
        let span = prefix.to(operand.span);
        Expr { kind: ExprKind::Unary { operator, operand: Box::new(operand) }, span }
    })
}
