//! What stands between the text and pest: bounds, brackets, the places where a broken text is split, and where a
//! failure lies. The messages for known mistakes are in [`explain`].

mod explain;
mod item_errors;
pub(crate) mod misread_syntax;
mod parse_failure;
mod token_errors;

use super::parse::grammar::Rule;
use super::scan::{Token, TokenKind};
use super::words::{ITEMS, KEYWORDS, span};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::{FileId, Span};
use parse_failure::Failure;
use pest::error::{ErrorVariant, InputLocation};

/// Bytes that a file may have.
pub(super) const MAX_FILE_BYTES: usize = 4_000_000;

/// Words and signs that a file may have; they, not the bytes, cost time and memory.
pub(super) const MAX_TOKENS: usize = 500_000;

/// Brackets, one inside another.
const MAX_BRACKET_DEPTH: usize = 64;

/// Signs before one operand.
const MAX_PREFIXES: usize = 16;

pub(super) fn too_large(file: FileId, bytes: usize) -> Diagnostic {
    Diagnostic::new(Code::TooDeep, "this file is too large for a spec")
        .at(span(file, 0, 0), format!("{:.1} MB", bytes as f64 / 1e6))
        .note("a spec may have 4 MB; those of the largest networks have a few kB")
        .help("is this a weights file? The spec names it: `weights NAME = \"file.h5\"`")
}

pub(super) fn too_many(file: FileId, count: usize) -> Diagnostic {
    Diagnostic::new(Code::TooDeep, "this file has too many words and signs for a spec")
        .at(span(file, 0, 0), format!("{count} of them"))
        .note(format!("a spec may have {MAX_TOKENS}"))
        .help("use `repeat` and nets of your own; long lists of labels may stand in a file of their own")
}

pub(super) fn empty(file: FileId) -> Diagnostic {
    Diagnostic::new(Code::Syntax, "there is nothing in this file")
        .at(span(file, 0, 0), "an item or an expression is missing")
        .help("the shortest net is one expression: `Input(4) >> Softmax(2)`")
}

pub(super) fn expression_beside_items(tokens: &[Token], file: FileId) -> Diagnostic {
    let mut code = tokens.iter().filter(|token| token.kind != TokenKind::Comment);
    let start = code.next().map_or(0, |token| token.start);
    let end = code.next_back().map_or(start, |token| token.end);
    Diagnostic::new(Code::Syntax, "an expression stands beside items")
        .at(span(file, start, end), "this has no name")
        .help("a file is a list of items, or one expression; give it a name: `net NAME = …`")
}

pub(super) fn edition(written: &str, place: Span) -> Diagnostic {
    let error = match written.parse::<u64>() {
        Ok(_) => format!("edition {written} is not known"),
        Err(_) => format!("`{written}` is no edition"),
    };
    Diagnostic::new(Code::Edition, error)
        .at(place, "this program knows edition 1")
        .help("write `netc 1`, or leave the line out")
}

fn nested(place: Span) -> Diagnostic {
    Diagnostic::new(Code::TooDeep, "this expression is nested too deeply")
        .at(place, "one inside another up to here")
        .help("give parts of it names of their own, with `net` or `let`")
}

/// The order of the brackets, their depth, and runs of prefixes: all that could make a parser slow or deep. Every error
/// here is one: in a text that parses, each bracket has its partner.
pub(super) fn check_brackets(source: &str, tokens: &[Token], file: FileId) -> Result<(), Diagnostic> {
    let place = |token: &Token| span(file, token.start, token.end);
    let mut open: Vec<&Token> = Vec::new();
    let mut prefixes = 0;
    let mut last = 0;
    for token in tokens.iter().filter(|token| token.kind != TokenKind::Comment) {
        let text = token.text(source);
        prefixes = if token.is(source, "-") || token.is(source, "not") { prefixes + 1 } else { 0 };
        if prefixes > MAX_PREFIXES {
            return Err(Diagnostic::new(Code::TooDeep, "too many signs before one value")
                .at(place(token), format!("more than {MAX_PREFIXES} in a row")));
        }
        match (token.kind, text) {
            (TokenKind::OpenQuote, _) | (TokenKind::Symbol, "(" | "[" | "{") => {
                open.push(token);
                if open.len() > MAX_BRACKET_DEPTH {
                    return Err(Diagnostic::new(Code::TooDeep, "the brackets are nested too deeply")
                        .at(place(token), format!("more than {MAX_BRACKET_DEPTH} are open here"))
                        .help("give parts of it names of their own, with `net` or `let`"));
                }
            }
            (TokenKind::Unterminated, _) => return Err(broken_text(source, &open, token, file)),
            (TokenKind::CloseQuote, _) | (TokenKind::Symbol, ")" | "]" | "}") => match open.pop() {
                Some(opening) if partner(opening.text(source)) == text => {}
                Some(opening) => return Err(crossed(source, opening, token, last, file)),
                None => {
                    return Err(Diagnostic::new(Code::Syntax, format!("this `{text}` closes nothing"))
                        .at(place(token), "no bracket is open here")
                        .help("take it away, or open it before")
                        .fix(place(token), text, ""));
                }
            },
            _ => {}
        }
        last = token.end;
    }
    match open.last() {
        None => Ok(()),
        Some(opening) => {
            let text = opening.text(source);
            Err(Diagnostic::new(Code::Unclosed, format!("this `{text}` is never closed"))
                .at(place(opening), "opened here")
                .and(span(file, last, last), format!("a `{}` is missing up to here", partner(text)))
                .insert(span(file, last, last), partner(text)))
        }
    }
}

fn partner(opening: &str) -> &str {
    match opening {
        "(" => ")",
        "[" => "]",
        "{" => "}",
        other => other,
    }
}

fn crossed(source: &str, opening: &Token, closing: &Token, last: usize, file: FileId) -> Diagnostic {
    let (open, close) = (opening.text(source), closing.text(source));
    let missing = partner(open);
    // The `}` of a text's value that finds another bracket open, or the other way round.
    let wanted = if open == "\"" { "the text that starts here is not closed" } else { "opened here" };
    Diagnostic::new(Code::Unclosed, format!("this `{open}` is not closed before the `{close}`"))
        .at(span(file, opening.start, opening.end), wanted)
        .and(span(file, last, closing.end), format!("a `{missing}` is missing before this"))
        .insert(span(file, last, last), missing)
}

/// A text that its line's end cuts off.
fn broken_text(source: &str, open: &[&Token], end: &Token, file: FileId) -> Diagnostic {
    let quote = open.iter().find(|token| token.kind == TokenKind::OpenQuote);
    let inner = open.iter().skip_while(|token| token.kind != TokenKind::OpenQuote).nth(1);
    let from = quote.map_or(end.start, |token| token.start);
    let place = span(file, from, from + 1);
    match inner {
        Some(inner) => {
            Diagnostic::new(Code::Unclosed, format!("a `{}` in this text is never closed", inner.text(source)))
                .at(span(file, inner.start, inner.end), "opened here")
                .and(place, "in the text that starts here")
                .help("a value in a text is written `{name}`; for a brace itself write `{{`")
        }
        None => Diagnostic::new(Code::Unclosed, "this text is never closed")
            .at(place, "the text starts here")
            .and(span(file, end.start, end.start), "and its line ends without a `\"`")
            .help("close it with `\"`; a line's end in a text is written `\\n`"),
    }
}

/// Where a broken text is split: at the words that begin an item, and at lines that likely should.
pub(super) fn item_starts(source: &str, tokens: &[Token]) -> Vec<usize> {
    let tokens: Vec<Token> = tokens.iter().copied().filter(|token| token.kind != TokenKind::Comment).collect();
    let mut starts = Vec::new();
    let mut depth = 0_usize;
    let mut in_text = false;
    for (index, token) in tokens.iter().enumerate() {
        match (token.kind, token.text(source)) {
            (TokenKind::OpenQuote, _) => in_text = true,
            (TokenKind::CloseQuote | TokenKind::Unterminated, _) => in_text = false,
            (TokenKind::Symbol, "(" | "[" | "{") => depth += 1,
            (TokenKind::Symbol, ")" | "]" | "}") => depth = depth.saturating_sub(1),
            (TokenKind::Word, word) if !in_text => {
                let line = source[..token.start].rfind('\n').map_or(0, |at| at + 1);
                let indent = source[line..token.start].trim_start_matches('\u{feff}');
                if indent.trim().is_empty() && begins_item(source, word, &tokens[index + 1..], depth, indent.is_empty())
                {
                    starts.push(token.start);
                    depth = 0;
                }
            }
            _ => {}
        }
    }
    starts
}

fn begins_item(source: &str, word: &str, rest: &[Token], depth: usize, flush_left: bool) -> bool {
    let follows = |index: usize, text: &str| rest.get(index).is_some_and(|token| token.is(source, text));
    let kind = |index: usize| rest.get(index).map(|token| token.kind);
    if ITEMS.contains(&word) {
        // A key of a block may be any word: `labels = …`.
        return if flush_left {
            depth == 0 || !follows(0, "=")
        } else {
            matches!(kind(0), Some(TokenKind::Word | TokenKind::OpenQuote))
        };
    }
    if !flush_left || KEYWORDS.contains(&word) {
        return false;
    }
    // `network bird = …`, `bird = …`
    let named = kind(0) == Some(TokenKind::Word)
        && !["as", "and", "or", "in"].iter().any(|word| follows(0, word))
        && ["=", "(", "{", ":", ":="].iter().any(|sign| follows(1, sign));
    named
        || (depth == 0 && (follows(0, "=") || follows(0, ":=")))
        || (word == "netc" && kind(0) == Some(TokenKind::Number))
}

/// The message for a text that pest refused. `base` is where the parsed piece starts in the file.
pub(super) fn explain(
    source: &str,
    base: usize,
    tokens: &[Token],
    file: FileId,
    refused: &pest::error::Error<Rule>,
    lone: bool,
) -> Diagnostic {
    let at = base
        + match refused.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
    let expected = match &refused.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.clone(),
        // The only other refusal is that of pest's guard of the stack: `if if if …` nests without brackets.
        ErrorVariant::CustomError { .. } => return nested(span(file, at.min(source.len()), at.min(source.len()))),
    };
    let tokens: Vec<Token> = tokens.iter().copied().filter(|token| token.kind != TokenKind::Comment).collect();
    let index = tokens.partition_point(|token| token.end <= at);
    let mut open = Vec::new();
    for (place, token) in tokens[..index].iter().enumerate() {
        match (token.kind, token.text(source)) {
            (TokenKind::OpenQuote, _) | (TokenKind::Symbol, "(" | "[" | "{") => open.push(place),
            (TokenKind::CloseQuote | TokenKind::Unterminated, _) | (TokenKind::Symbol, ")" | "]" | "}") => {
                open.pop();
            }
            _ => {}
        }
    }
    explain::explain(&Failure { source, file, tokens, index, at, expected, open, lone })
}
