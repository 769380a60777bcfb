//! The parser. If the whole text does not parse, it is split into items, so that each broken item gives an error of its own
//! and the others are still read.

pub(crate) mod build;
mod literals;

use super::ast::{Expr, File};
use super::grammar::{Grammar, Rule};
use super::recovery;
use super::recovery::misread_syntax;
use super::scan::{Token, TokenKind, scan};
use crate::diagnostics::{Diagnostics, Result};
use crate::source::{FileId, Sources};
use build::{Builder, Built};
use pest::Parser;
use pest::iterators::Pair;

/// Max errors of a file; parsing stops there.
const MAX_ERRORS: usize = 50;

/// Parses a file. The tree has every item that could be parsed.
pub fn parse(sources: &Sources, file: FileId) -> (File, Diagnostics) {
    let source = sources.file(file).text.as_str();
    let mut reader = Reader { source, file, tokens: Vec::new(), tree: empty(), diagnostics: Diagnostics::default() };
    if source.len() > recovery::MAX_FILE_BYTES {
        reader.diagnostics.push(recovery::too_large(file, source.len()));
        return (reader.tree, reader.diagnostics);
    }
    reader.tokens = scan(source);
    if reader.tokens.len() > recovery::MAX_TOKENS {
        reader.diagnostics.push(recovery::too_many(file, reader.tokens.len()));
        return (reader.tree, reader.diagnostics);
    }
    let whole =
        recovery::check_brackets(source, &reader.tokens, file).is_ok().then(|| Grammar::parse(Rule::file, source));
    match whole {
        Some(Ok(mut pairs)) => {
            if let Some(pair) = pairs.next() {
                reader.file(pair);
            }
        }
        _ => reader.pieces(),
    }
    (reader.tree, reader.diagnostics)
}

/// Parses a single expression, such as one from the command line.
///
/// # Errors
/// A syntax error, or a text beyond the limits of size and nesting.
pub fn parse_expression(sources: &Sources, file: FileId) -> Result<Expr> {
    parse_expression_from(sources, file, 0)
}

/// Parses the expression that begins at the offset `from` of a file and fills the rest of it.
///
/// # Errors
/// As [`parse_expression`].
pub fn parse_expression_from(sources: &Sources, file: FileId, from: usize) -> Result<Expr> {
    let source = sources.file(file).text.as_str();
    if source.len() > recovery::MAX_FILE_BYTES {
        return Err(recovery::too_large(file, source.len()).into());
    }
    let mut tokens = scan(source);
    tokens.retain(|token| token.start >= from);
    if tokens.len() > recovery::MAX_TOKENS {
        return Err(recovery::too_many(file, tokens.len()).into());
    }
    recovery::check_brackets(source, &tokens, file)?;
    let builder = Builder { file, base: from };
    match Grammar::parse(Rule::expression, source.get(from..).unwrap_or_default()) {
        Ok(mut pairs) => {
            let expr = pairs.next().and_then(|pair| builder.parts(pair).next());
            Ok(match expr {
                Some(pair) => builder.expr(pair, 0).and_then(misread_syntax::layers)?,
                None => return Err(recovery::empty(file).into()),
            })
        }
        Err(failure) => Err(recovery::explain(source, from, &tokens, file, &failure, true).into()),
    }
}

fn empty() -> File {
    File { edition: None, items: Vec::new(), expression: None }
}

struct Reader<'a> {
    source: &'a str,
    file: FileId,
    tokens: Vec<Token>,
    tree: File,
    diagnostics: Diagnostics,
}

impl Reader<'_> {
    /// The value of a result; its error is recorded.
    fn record<T>(&mut self, built: Built<T>) -> Option<T> {
        built.map_err(|diagnostic| self.diagnostics.push(diagnostic)).ok()
    }

    /// Builds the tree of a file that parsed as a whole.
    fn file(&mut self, pair: Pair<Rule>) {
        let builder = Builder { file: self.file, base: 0 };
        let mut before = 0;
        for part in builder.parts(pair) {
            let range = builder.span(&part).range();
            match part.as_rule() {
                Rule::edition => self.edition(&builder, part),
                Rule::item => {
                    let docs = docs(&self.source[before..range.start], before == 0);
                    self.item(&builder, part, docs);
                }
                _ => {
                    let expr = builder.expr(part, 0).and_then(misread_syntax::layers);
                    self.tree.expression = self.record(expr);
                }
            }
            before = range.end;
        }
        let is_empty = self.tree.items.is_empty() && self.tree.expression.is_none() && self.diagnostics.is_empty();
        if is_empty && before == 0 {
            self.diagnostics.push(recovery::empty(self.file));
        }
    }

    fn item(&mut self, builder: &Builder, pair: Pair<Rule>, docs: Vec<String>) {
        let item = self.record(builder.item(pair, docs).and_then(misread_syntax::item));
        self.tree.items.extend(item);
    }

    fn edition(&mut self, builder: &Builder, pair: Pair<Rule>) {
        let span = builder.span(&pair);
        if let Some(version) = builder.parts(pair).next() {
            let span = builder.span(&version);
            match version.as_str() {
                "1" => self.tree.edition = Some((1, span)),
                other => self.diagnostics.push(recovery::unknown_edition(other, span)),
            }
        } else {
            self.diagnostics.push(builder.missing(span));
        }
    }

    /// Parses the text item by item.
    fn pieces(&mut self) {
        let starts = recovery::item_starts(self.source, &self.tokens);
        let mut bounds = vec![0];
        bounds.extend(starts.iter().filter(|&&start| start > 0));
        bounds.push(self.source.len());
        let (mut from, mut before) = (0, 0);
        for window in bounds.windows(2) {
            let (start, end) = (window[0], window[1]);
            // An unterminated string at the end of the file leaves an empty token there.
            let last_piece = end == self.source.len();
            let count = self.tokens[from..].partition_point(|token| token.start < end || last_piece);
            let tokens = self.tokens[from..from + count].to_vec();
            from += count;
            let last = tokens.iter().rev().find(|token| token.kind != TokenKind::Comment).map(|token| token.end);
            if last.is_some() {
                let docs = docs(&self.source[before..start.max(before)], before == 0);
                let first = tokens.iter().find(|token| token.kind != TokenKind::Comment);
                let edition = before == 0 && first.is_some_and(|token| token.text(self.source) == "netc");
                let rule = match starts.first() {
                    Some(&first) if first > start || edition => Rule::prologue,
                    Some(_) => Rule::piece,
                    None => Rule::file,
                };
                self.piece(rule, start, &self.source[start..end], &tokens, docs);
            }
            before = last.unwrap_or(before);
            if self.diagnostics.iter().count() >= MAX_ERRORS {
                break;
            }
        }
    }

    fn piece(&mut self, rule: Rule, base: usize, text: &str, tokens: &[Token], docs: Vec<String>) {
        if let Err(diagnostic) = recovery::check_brackets(self.source, tokens, self.file) {
            return self.diagnostics.push(diagnostic);
        }
        let builder = Builder { file: self.file, base };
        let mut pairs = match Grammar::parse(rule, text) {
            Ok(pairs) => pairs,
            Err(_) if rule == Rule::prologue && Grammar::parse(Rule::file, text).is_ok() => {
                return self.diagnostics.push(recovery::expression_beside_items(tokens, self.file));
            }
            Err(failure) => {
                return self.diagnostics.push(recovery::explain(self.source, base, tokens, self.file, &failure, false));
            }
        };
        for part in pairs.next().into_iter().flat_map(|pair| builder.parts(pair)) {
            match part.as_rule() {
                Rule::edition => self.edition(&builder, part),
                Rule::item => self.item(&builder, part, docs.clone()),
                _ => {}
            }
        }
    }
}

/// The `##` lines in the whitespace and comments before an item, except on the line of the previous item.
fn docs(before: &str, first: bool) -> Vec<String> {
    before
        .split('\n')
        .skip(usize::from(!first))
        .filter_map(|line| line.trim().strip_prefix("##"))
        .filter(|text| !text.starts_with('#'))
        .map(|text| text.strip_prefix(' ').unwrap_or(text).trim_end().to_string())
        .collect()
}
