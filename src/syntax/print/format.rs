//! The formatter. What fits on a line stays there; chains, branches, lists and blocks that the author broke stay broken, in
//! canonical form. Comments are not part of the tree: they are taken from the source and kept at their position.

use super::bracketed_list::{Element, Sequence};
use super::inline::{Inline, text_of};
use super::lines::{Page, WIDTH, width};
use super::tree::ast_text;
use crate::source::Sources;
use crate::syntax::ast::*;
use crate::syntax::parse::parse;
use crate::syntax::scan::{TokenKind, scan};
use std::ops::Range;

/// The file in canonical form. It must have been parsed from `source` without errors.
///
/// The result is parsed and formatted again until nothing changes. If its tree differs (a bug of the formatter), the source is
/// returned unchanged.
pub fn format(source: &str, file: &File) -> String {
    let tree = ast_text(file);
    let mut text = lay_out(source, file);
    for _ in 0..MAX_ROUNDS {
        let mut sources = Sources::default();
        let id = sources.add_text("", text.as_str());
        let (file, diagnostics) = parse(&sources, id);
        if !diagnostics.is_empty() || ast_text(&file) != tree {
            return source.to_string();
        }
        let next = lay_out(&text, &file);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// Max rounds of formatting; one round is usually enough.
const MAX_ROUNDS: usize = 4;

fn lay_out(source: &str, file: &File) -> String {
    let comments =
        scan(source).into_iter().filter(|token| token.kind == TokenKind::Comment).map(|token| token.start..token.end);
    let page = Page::new(source, comments.collect());
    let mut formatter = Formatter { source, inline: Inline { source: Some(source), tight: false }, page };
    formatter.file(file);
    formatter.page.finish()
}

/// Writes a tree onto a page.
pub(crate) struct Formatter<'a> {
    pub source: &'a str,
    pub inline: Inline<'a>,
    pub page: Page<'a>,
}

impl Formatter<'_> {
    fn file(&mut self, file: &File) {
        if let Some((edition, span)) = file.edition {
            self.page.comments(0, span.start as usize, 0, true);
            self.page.start_line(0);
            self.page.push(&format!("netc {edition}"));
            self.page.mark(span.end as usize);
        }
        for (index, item) in file.items.iter().enumerate() {
            let range = item.span.range();
            let first = self.page.item_comments(range.start, index > 0);
            self.item(item);
            self.page.inner_comments(range.end);
            self.page.close_item(first, range.end);
        }
        if let Some(expression) = &file.expression {
            self.page.comments(0, expression.span.start as usize, 0, true);
            self.page.start_line(0);
            let indent = if self.is_broken_chain(expression) || !self.fits(&self.flat(expression)) { 2 } else { 0 };
            self.expr(expression, indent);
            self.page.inner_comments(expression.span.end as usize);
            self.page.mark(expression.span.end as usize);
        }
        self.page.comments(0, self.source.len(), 0, true);
    }

    fn item(&mut self, item: &Item) {
        let end = item.span.end as usize;
        match &item.kind {
            ItemKind::Use(file) => {
                self.page.push("use ");
                let text = text_of(|out| self.inline.text(file, true, out));
                self.page.push(&text);
            }
            ItemKind::Net(net) => self.net(net),
            ItemKind::Weights(weights) => {
                self.page.push(&format!("weights {} =", weights.net.text));
                self.value(&weights.file, " ", 0);
                let after = weights.file.span.end as usize;
                if end > after {
                    self.page.push(" ");
                    self.entries(&weights.options, after..end.saturating_sub(1));
                }
            }
            ItemKind::Labels(labels) => {
                self.page.push(&format!("labels {} =", labels.net.text));
                self.value(&labels.source, " ", 0);
            }
            ItemKind::Train(train) => {
                self.page.push(&format!("train {} ", train.net.text));
                self.entries(&train.entries, train.net.span.end as usize..end.saturating_sub(1));
            }
            ItemKind::Expect(ExpectItem::Signature { net, signature }) => {
                let signature = text_of(|out| self.inline.signature(signature, out));
                self.page.push(&format!("expect {}: {signature}", net.text));
            }
            ItemKind::Expect(ExpectItem::Condition(condition)) => {
                self.page.push("expect ");
                self.expr(condition, 2);
            }
        }
    }

    fn net(&mut self, net: &NetItem) {
        self.page.push(&format!("net {}", net.name.text));
        let body = net.body.span.start as usize;
        let after = net.signature.as_ref().map_or(body, |signature| signature.span.start as usize);
        if let Some(last) = net.parameters.last() {
            let elements: Vec<Element> = net.parameters.iter().map(Element::Parameter).collect();
            let end = Element::Parameter(last).range().end;
            let close = self.source[end..after].find(')').map_or(end, |at| end + at);
            self.sequence(
                &Sequence {
                    open: "(",
                    elements: &elements,
                    close: ")",
                    inside: net.name.span.end as usize..close,
                    trailing: true,
                },
                0,
            );
        }
        if let Some(signature) = &net.signature {
            let signature = text_of(|out| self.inline.signature(signature, out));
            self.page.push(&format!(": {signature}"));
        }
        self.page.push(" =");
        self.value(&net.body, " ", 0);
    }

    /// Writes `{ key = value … }`: one entry per line with aligned `=`, or all on one line if the author did.
    fn entries(&mut self, entries: &[Entry], inside: Range<usize>) {
        let flat = text_of(|out| {
            out.push_str("{ ");
            for (index, entry) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                self.inline.entry(entry, out);
            }
            out.push_str(" }");
        });
        let broken = entries.iter().any(|entry| self.must_break(&entry.value))
            || entries.iter().any(|entry| self.breaks(inside.start, entry.key.span.start as usize))
            || self.page.has_comment(&inside);
        if entries.is_empty() && !broken {
            return self.page.push("{}");
        }
        if !broken && self.fits(&flat) {
            return self.page.push(&flat);
        }
        let widest = entries.iter().map(|entry| entry.key.text.chars().count()).max().unwrap_or(0);
        self.page.push("{");
        let mut end = 0;
        for entry in entries {
            self.page.comments(end, entry.key.span.start as usize, 2, end > 0);
            self.page.next_line(2, end > 0 && self.page.blank_before(entry.key.span.start as usize));
            let name = &entry.key.text;
            self.page.push(&format!("{name}{} =", " ".repeat(widest - name.chars().count())));
            self.value(&entry.value, " ", 2);
            end = entry.value.span.end as usize;
        }
        self.page.comments(end, inside.end, 2, end > 0);
        self.page.next_line(0, false);
        self.page.push("}");
    }

    /// What follows an `=`: on the same line after `gap`, or on lines of its own one step deeper.
    pub(crate) fn value(&mut self, expr: &Expr, gap: &str, indent: usize) {
        let start = expr.span.start as usize;
        let flat = width(&self.flat(expr));
        let moves = !self.must_break(expr)
            && self.page.column() + gap.len() + flat > WIDTH
            && (indent + 2 + flat <= WIDTH || self.breaks_as_lines(expr));
        if self.page.has_comment_before(start) || moves || self.hangs(expr) {
            self.page.comments(0, start, indent + 2, false);
            self.page.next_line(indent + 2, false);
            self.expr(expr, indent + 2);
        } else {
            self.page.push(gap);
            self.expr(expr, indent);
        }
    }

    /// Writes an expression from the current column; further lines are indented.
    pub(crate) fn expr(&mut self, expr: &Expr, indent: usize) {
        if !self.must_break(expr) {
            let flat = self.flat(expr);
            if self.fits(&flat) {
                return self.page.push(&flat);
            }
        }
        let end = expr.span.end as usize;
        let inside = expr.span.start as usize + 1..end.saturating_sub(1);
        match &expr.kind {
            ExprKind::Chain(parts) => self.chain(expr, parts, indent),
            ExprKind::Branches(parts) => self.branches(parts, end),
            ExprKind::Paren(inner) => self.branches(std::slice::from_ref(inner), end),
            ExprKind::List(parts) => {
                let elements: Vec<Element> = parts.iter().map(Element::Value).collect();
                self.sequence(&Sequence { open: "[", elements: &elements, close: "]", inside, trailing: true }, indent);
            }
            ExprKind::Map(pairs) => {
                let elements: Vec<Element> = pairs.iter().map(Element::Pair).collect();
                self.sequence(
                    &Sequence { open: "{ ", elements: &elements, close: " }", inside, trailing: true },
                    indent,
                );
            }
            ExprKind::Call { function, arguments } => {
                let elements: Vec<Element> = arguments.iter().map(Element::Argument).collect();
                self.page.push(&function.text);
                let inside = function.span.end as usize + 1..inside.end;
                self.sequence(&Sequence { open: "(", elements: &elements, close: ")", inside, trailing: true }, indent);
            }
            ExprKind::Frozen(inner) => {
                let inside = expr.span.start as usize + "frozen(".len()..inside.end;
                let elements = [Element::Value(inner)];
                self.sequence(
                    &Sequence { open: "frozen(", elements: &elements, close: ")", inside, trailing: false },
                    indent,
                );
            }
            ExprKind::As { inner, name } => {
                self.expr(inner, indent);
                let name = text_of(|out| self.inline.layer_name(name, out));
                self.page.push(&format!(" as {name}"));
            }
            ExprKind::Cut { inner, range } => {
                self.expr(inner, indent);
                let cut = text_of(|out| self.inline.cut(range, out));
                self.page.push(&cut);
            }
            ExprKind::Block { statements, result } => self.block(statements, result, end, indent),
            ExprKind::Repeat { over, body } => {
                let over = text_of(|out| self.inline.over(over, out));
                self.page.push(&over);
                self.body(body, end, indent);
            }
            ExprKind::If { arms, otherwise } => {
                for (index, (condition, body)) in arms.iter().enumerate() {
                    self.page.push(if index == 0 { "if " } else { " else if " });
                    self.expr(condition, indent + 2);
                    let next = arms.get(index + 1).map(|(condition, _)| condition).or(otherwise.as_deref());
                    self.body(body, next.map_or(end, |next| next.span.start as usize), indent);
                }
                if let Some(body) = otherwise {
                    self.page.push(" else");
                    self.body(body, end, indent);
                }
            }
            ExprKind::Unary { operator, operand } => {
                self.page.push(super::inline::unary(*operator));
                self.expr(operand, indent);
            }
            ExprKind::Binary { operator, left, right } => {
                self.expr(left, indent);
                self.page.push(&format!(" {} ", super::inline::binary(*operator)));
                self.expr(right, indent);
            }
            _ => {
                let flat = self.flat(expr);
                self.page.push(&flat);
            }
        }
    }

    /// Writes a chain on several lines: broken where the author did, else before each `>>`.
    fn chain(&mut self, expr: &Expr, parts: &[Expr], indent: usize) {
        let broken = self.is_broken_chain(expr);
        let holds_lines = parts.iter().any(|part| self.must_break(part));
        let mut lines: Vec<Vec<&Expr>> = Vec::new();
        for part in parts {
            let joins = match lines.last().and_then(|line| line.last()) {
                Some(before) if broken => !self.breaks(before.span.end as usize, part.span.start as usize),
                Some(_) => holds_lines,
                None => false,
            };
            match lines.last_mut() {
                Some(line) if joins => line.push(part),
                _ => lines.push(vec![part]),
            }
        }
        let mut end = 0;
        for line in lines {
            let flat: usize = line.iter().map(|part| width(&self.flat(part)) + 4).sum();
            let one = line.iter().any(|part| self.must_break(part)) || indent + flat <= WIDTH + 1;
            for (index, part) in line.into_iter().enumerate() {
                if end > 0 && (index == 0 || !one) {
                    self.page.comments(end, part.span.start as usize, indent, false);
                    self.page.next_line(indent, false);
                    self.page.push(">> ");
                } else if end > 0 {
                    self.page.push(" >> ");
                }
                self.expr(part, indent);
                end = part.span.end as usize;
            }
        }
    }

    /// Writes branches below one another, or an expression in parentheses.
    fn branches(&mut self, parts: &[Expr], end: usize) {
        let column = self.page.column();
        self.page.push("(");
        let mut before = 0;
        for part in parts {
            let start = part.span.start as usize;
            if before > 0 {
                self.page.comments(before, start, column, false);
                self.page.next_line(column, false);
                self.page.push("| ");
            } else if self.page.has_comment_before(start) {
                self.page.comments(0, start, column + 2, false);
                self.page.next_line(column + 2, false);
            } else {
                self.page.push(" ");
            }
            self.expr(part, column + 2);
            before = part.span.end as usize;
        }
        self.page.comments(before, end.saturating_sub(1), column, false);
        self.page.next_line(column, false);
        self.page.push(")");
    }

    fn block(&mut self, statements: &[Statement], result: &Expr, end: usize, indent: usize) {
        self.page.push("{");
        let mut before = 0;
        for statement in statements {
            let word = if statement.shared { "share" } else { "let" };
            let name = statement.name.span.start as usize;
            let start = self.source[..name].trim_end().len().saturating_sub(word.len());
            self.page.comments(before, name, indent + 2, before > 0);
            self.page.next_line(indent + 2, before > 0 && self.page.blank_before(start));
            self.page.push(&format!("{word} {} =", statement.name.text));
            self.value(&statement.value, " ", indent + 2);
            before = statement.value.span.end as usize;
        }
        let start = result.span.start as usize;
        self.page.comments(before, start, indent + 2, before > 0);
        self.page.next_line(indent + 2, before > 0 && self.page.blank_before(start));
        self.expr(result, indent + 2);
        self.page.comments(result.span.end as usize, end.saturating_sub(1), indent + 2, false);
        self.page.next_line(indent, false);
        self.page.push("}");
    }

    /// Writes the `{ … }` of a `repeat` or `if` on several lines. `end` is the offset of what follows.
    fn body(&mut self, body: &Expr, end: usize, indent: usize) {
        self.page.push(" ");
        match &body.kind {
            ExprKind::Block { statements, result } if !statements.is_empty() => {
                self.block(statements, result, body.span.end as usize, indent);
            }
            _ => self.block(&[], body, end, indent),
        }
    }

    pub(crate) fn flat(&self, expr: &Expr) -> String {
        text_of(|out| self.inline.expr(expr, out))
    }

    pub(crate) fn fits(&self, text: &str) -> bool {
        self.page.column() + width(text) <= WIDTH
    }
}
