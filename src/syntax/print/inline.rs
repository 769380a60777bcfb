//! Prints trees on one line: code in diagnostics, and what the formatter writes where it fits.

use crate::source::Span;
use crate::syntax::ast::*;
use crate::syntax::scan::{in_word, starts_word};
use std::fmt::Write;

/// An expression on one line, in canonical style.
pub fn expression_text(expr: &Expr) -> String {
    let mut out = String::new();
    Inline { source: None, tight: false }.expr(expr, &mut out);
    out
}

/// Prints trees on one line.
pub(crate) struct Inline<'a> {
    /// The source of the tree, for numbers and strings as they were written.
    pub source: Option<&'a str>,
    /// Whether arithmetic is written without spaces, as in shapes and ranges: `2*c`.
    pub tight: bool,
}

impl Inline<'_> {
    /// An expression.
    pub fn expr(&self, expr: &Expr, out: &mut String) {
        match &expr.kind {
            ExprKind::Int(value) => self.literal(expr.span, out, |out| out.push_str(&value.to_string())),
            // The debug form keeps a decimal point or an exponent, and parses back to the same number.
            ExprKind::Float(value) => self.literal(expr.span, out, |out| out.push_str(&format!("{value:?}"))),
            ExprKind::Sizes(sizes) => self.literal(expr.span, out, |out| {
                let sizes = sizes.iter().map(|size| size.map_or("?".to_string(), |size| size.to_string()));
                out.push_str(&sizes.collect::<Vec<_>>().join("x"));
            }),
            ExprKind::Open => out.push('?'),
            ExprKind::Text(text) => self.text(text, true, out),
            ExprKind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            ExprKind::List(parts) => self.joined("[", parts, ", ", "]", out, |part, out| self.expr(part, out)),
            ExprKind::Range { start, end, inclusive } => {
                let tight = Inline { tight: true, ..*self };
                tight.around("", start, if *inclusive { "..=" } else { ".." }, out);
                tight.expr(end, out);
            }
            ExprKind::Map(pairs) if pairs.is_empty() => out.push_str("{}"),
            ExprKind::Map(pairs) => self.joined("{ ", pairs, ", ", " }", out, |pair, out| self.pair(pair, out)),
            ExprKind::Name(name) => out.push_str(name),
            ExprKind::Call { function, arguments } => {
                out.push_str(&function.text);
                self.joined("(", arguments, ", ", ")", out, |argument, out| self.argument(argument, out));
            }
            ExprKind::Chain(parts) => self.joined("", parts, " >> ", "", out, |part, out| self.expr(part, out)),
            ExprKind::Branches(parts) => self.joined("(", parts, " | ", ")", out, |part, out| self.expr(part, out)),
            ExprKind::Paren(inner) => self.around("(", inner, ")", out),
            ExprKind::Frozen(inner) => self.around("frozen(", inner, ")", out),
            ExprKind::As { inner, name } => {
                self.expr(inner, out);
                out.push_str(" as ");
                self.layer_name(name, out);
            }
            ExprKind::Cut { inner, range } => {
                self.expr(inner, out);
                self.cut(range, out);
            }
            ExprKind::Repeat { over, body } => {
                self.over(over, out);
                out.push(' ');
                self.body(body, out);
            }
            ExprKind::Block { statements, result } => {
                out.push_str("{ ");
                for statement in statements {
                    self.statement(statement, out);
                    out.push_str("  ");
                }
                self.around("", result, " }", out);
            }
            ExprKind::If { arms, otherwise } => {
                for (index, (condition, body)) in arms.iter().enumerate() {
                    out.push_str(if index == 0 { "if " } else { " else if " });
                    self.around("", condition, " ", out);
                    self.body(body, out);
                }
                if let Some(body) = otherwise {
                    out.push_str(" else ");
                    self.body(body, out);
                }
            }
            ExprKind::Unary { operator, operand } => {
                out.push_str(unary(*operator));
                self.expr(operand, out);
            }
            ExprKind::Binary { operator, left, right } => {
                self.expr(left, out);
                let blank = if self.tight && is_plain(expr) { "" } else { " " };
                let _ = write!(out, "{blank}{}{blank}", binary(*operator));
                self.expr(right, out);
            }
        }
    }

    fn around(&self, open: &str, inner: &Expr, close: &str, out: &mut String) {
        out.push_str(open);
        self.expr(inner, out);
        out.push_str(close);
    }

    fn joined<T>(
        &self,
        open: &str,
        parts: &[T],
        between: &str,
        close: &str,
        out: &mut String,
        print: impl Fn(&T, &mut String),
    ) {
        out.push_str(open);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                out.push_str(between);
            }
            print(part, out);
        }
        out.push_str(close);
    }

    /// Writes a literal as in the source if there is one, else with `print`.
    fn literal(&self, span: Span, out: &mut String, print: impl Fn(&mut String)) {
        match self.source.and_then(|source| source.get(span.range())) {
            Some(written) => out.push_str(written),
            None => print(out),
        }
    }

    /// The `{ … }` of `repeat` and `if`.
    fn body(&self, body: &Expr, out: &mut String) {
        match &body.kind {
            ExprKind::Block { statements, .. } if !statements.is_empty() => self.expr(body, out),
            _ => self.around("{ ", body, " }", out),
        }
    }

    /// A quoted string, or the characters of a bare name.
    pub fn text(&self, text: &Text, quoted: bool, out: &mut String) {
        self.literal(text.span, out, |out| {
            let quote = if quoted { "\"" } else { "" };
            out.push_str(quote);
            for part in &text.parts {
                match part {
                    TextPart::Value(value) => self.around("{", value, "}", out),
                    TextPart::Literal(literal) if !quoted => out.push_str(literal),
                    TextPart::Literal(literal) => escape(literal, out),
                }
            }
            out.push_str(quote);
        });
    }

    /// The name of a layer, bare or quoted.
    pub fn layer_name(&self, name: &LayerName, out: &mut String) {
        self.text(&name.text, name.quoted, out);
    }

    /// `[a..b]`
    pub fn cut(&self, range: &CutRange, out: &mut String) {
        out.push('[');
        match range {
            CutRange::One(end) => self.cut_end(end, out),
            CutRange::Range { start, end, inclusive } => {
                if let Some(start) = start {
                    self.cut_end(start, out);
                }
                out.push_str(if *inclusive { "..=" } else { ".." });
                if let Some(end) = end {
                    self.cut_end(end, out);
                }
            }
        }
        out.push(']');
    }

    fn cut_end(&self, end: &CutEnd, out: &mut String) {
        match end {
            CutEnd::Name(name) => self.layer_name(name, out),
            CutEnd::Index(index, _) => out.push_str(&index.to_string()),
        }
    }

    /// `repeat i in 1..=3`
    pub fn over(&self, over: &RepeatOver, out: &mut String) {
        match over {
            RepeatOver::Count(count) => self.around("repeat(", count, ")", out),
            RepeatOver::List { pattern, list } => {
                self.around(&format!("repeat {} in ", pattern_text(pattern)), list, "", out);
            }
            RepeatOver::Range { variable, start, end, inclusive } => {
                let tight = Inline { tight: true, ..*self };
                tight.around(
                    &format!("repeat {} in ", variable.text),
                    start,
                    if *inclusive { "..=" } else { ".." },
                    out,
                );
                tight.expr(end, out);
            }
        }
    }

    /// `let a = x`
    pub fn statement(&self, statement: &Statement, out: &mut String) {
        let word = if statement.shared { "share" } else { "let" };
        self.around(&format!("{word} {} = ", statement.name.text), &statement.value, "", out);
    }

    /// `stride=2`
    pub fn argument(&self, argument: &Argument, out: &mut String) {
        if let Some(name) = &argument.name {
            out.push_str(&name.text);
            out.push('=');
        }
        self.expr(&argument.value, out);
    }

    /// `"a" = b`
    pub fn pair(&self, (key, value): &(Expr, Expr), out: &mut String) {
        self.around("", key, " = ", out);
        self.expr(value, out);
    }

    /// `stride=1` in the definition of a net.
    pub fn parameter(&self, parameter: &Parameter, out: &mut String) {
        out.push_str(&parameter.name.text);
        if let Some(default) = &parameter.default {
            self.around("=", default, "", out);
        }
    }

    /// `epochs = 100`
    pub fn entry(&self, entry: &Entry, out: &mut String) {
        self.around(&format!("{} = ", entry.key.text), &entry.value, "", out);
    }

    /// `(?, h) -> (?, n)`
    pub fn signature(&self, signature: &Signature, out: &mut String) {
        self.shapes(&signature.inputs, out);
        out.push_str(" -> ");
        self.shapes(&signature.outputs, out);
    }

    fn shapes(&self, shapes: &[ShapePattern], out: &mut String) {
        let tight = Inline { tight: true, ..*self };
        let shape = |shape: &ShapePattern, out: &mut String| {
            tight.joined("(", &shape.sizes, ", ", ")", out, |size, out| tight.expr(size, out));
        };
        match shapes {
            [one] => shape(one, out),
            _ => self.joined("[", shapes, ", ", "]", out, shape),
        }
    }
}

/// `l`, `[a, b]`
pub(crate) fn pattern_text(pattern: &Pattern) -> String {
    let names: Vec<&str> = pattern.names().iter().map(|name| name.text.as_str()).collect();
    match pattern {
        Pattern::Item(_) => names.join(", "),
        Pattern::Parts(..) => format!("[{}]", names.join(", ")),
    }
}

/// Escapes characters for a quoted string.
pub(crate) fn escape(literal: &str, out: &mut String) {
    for c in literal.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '{' => out.push_str("{{"),
            '}' => out.push_str("}}"),
            _ => out.push(c),
        }
    }
}

/// A quoted string that stands for the text.
pub(crate) fn quoted(text: &str) -> String {
    text_of(|out| {
        out.push('"');
        escape(text, out);
        out.push('"');
    })
}

/// The name of a layer as it is written after `as` and in a cut: in quotes if it needs them.
pub fn layer_name_text(name: &str) -> String {
    if is_bare(name) { name.to_string() } else { quoted(name) }
}

/// Whether the grammar accepts the name without quotes.
fn is_bare(name: &str) -> bool {
    let continues = name.chars().zip(name.chars().skip(1)).all(|(c, next)| match c {
        '-' | '/' => in_word(next) || matches!(next, '-' | '/'),
        '.' => in_word(next),
        c => in_word(c),
    });
    continues && name.starts_with(starts_word) && name.ends_with(in_word)
}

/// Whether it is arithmetic of words and integers only. (In `x as a - b`, spaces are needed: `a-b` would be a name.)
fn is_plain(expr: &Expr) -> bool {
    use BinaryOperator::*;
    match &expr.kind {
        ExprKind::Int(_) | ExprKind::Name(_) => true,
        ExprKind::Binary { operator: Add | Subtract | Multiply | Divide, left, right } => {
            is_plain(left) && is_plain(right)
        }
        _ => false,
    }
}

/// A prefix operator with the space after it.
pub(crate) fn unary(operator: UnaryOperator) -> &'static str {
    match operator {
        UnaryOperator::Negate => "-",
        UnaryOperator::Not => "not ",
    }
}

/// The symbol of an operator.
pub(crate) fn binary(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "or",
        BinaryOperator::And => "and",
        BinaryOperator::Equal => "==",
        BinaryOperator::NotEqual => "!=",
        BinaryOperator::Less => "<",
        BinaryOperator::LessEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterEqual => ">=",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
    }
}

/// The output of a printing function.
pub(crate) fn text_of(print: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    print(&mut out);
    out
}
