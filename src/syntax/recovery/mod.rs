//! Error handling around pest: limits, unbalanced brackets, splitting a broken text into items, and explaining failures.
//!
//! The messages for known mistakes are in [`explain`].

mod explain;
mod item_errors;
pub(crate) mod misread_syntax;
mod parse_failure;
mod token_errors;

use super::scan::{Token, TokenKind};
use super::words::{ITEMS, KEYWORDS, span};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::{FileId, Span};
use crate::syntax::grammar::Rule;
use parse_failure::Failure;
use pest::error::{ErrorVariant, InputLocation};

/// Max size of a file, in bytes.
pub(super) const MAX_FILE_BYTES: usize = 4_000_000;

/// Max tokens of a file; they cost more time and memory than bytes.
pub(super) const MAX_TOKENS: usize = 500_000;

/// Max depth of brackets.
const MAX_BRACKET_DEPTH: usize = 64;

/// Max prefix operators before one operand.
const MAX_PREFIXES: usize = 16;

pub(super) fn too_large(file: FileId, bytes: usize) -> Diagnostic {
    Diagnostic::new(Code::TooDeep, "this file is too large for a spec")
        .at(span(file, 0, 0), format!("{:.1} MB", bytes as f64 / 1e6))
        .note("the limit is 4 MB; the specs of the largest networks have a few kB")
        .help("is this a weights file? Name it in a spec: `weights NAME = \"file.h5\"`")
}

pub(super) fn too_many(file: FileId, count: usize) -> Diagnostic {
    Diagnostic::new(Code::TooDeep, "this file has too many tokens for a spec")
        .at(span(file, 0, 0), format!("{count} tokens"))
        .note(format!("the limit is {MAX_TOKENS}"))
        .help("use `repeat` and nets of your own; put long lists of labels into a separate file")
}

pub(super) fn empty(file: FileId) -> Diagnostic {
    Diagnostic::new(Code::Syntax, "this file is empty")
        .at(span(file, 0, 0), "expected an item or an expression")
        .help("the shortest spec is one expression: `Input(4) >> Softmax(2)`")
}

pub(super) fn expression_beside_items(tokens: &[Token], file: FileId) -> Diagnostic {
    let mut code = tokens.iter().filter(|token| token.kind != TokenKind::Comment);
    let start = code.next().map_or(0, |token| token.start);
    let end = code.next_back().map_or(start, |token| token.end);
    Diagnostic::new(Code::Syntax, "an expression between items has no name")
        .at(span(file, start, end), "this has no name")
        .help("a file is a list of items or a single expression; name this one: `net NAME = …`")
}

pub(super) fn unknown_edition(written: &str, version: Span) -> Diagnostic {
    let error = match written.parse::<u64>() {
        Ok(_) => format!("unknown edition {written}"),
        Err(_) => format!("`{written}` is not an edition"),
    };
    Diagnostic::new(Code::Edition, error)
        .at(version, "this version of netc supports edition 1")
        .help("write `netc 1`, or leave the line out")
}

fn nested_too_deeply(end: Span) -> Diagnostic {
    Diagnostic::new(Code::TooDeep, "this expression is nested too deeply")
        .at(end, "the limit is reached here")
        .help("name parts of it with `net` or `let`")
}

/// Checks the balance and depth of brackets and the length of runs of prefixes, which could make the parser slow or deep.
///
/// # Errors
/// The first violation. Each is an error of the text too: text that parses has balanced brackets.
pub(super) fn check_brackets(source: &str, tokens: &[Token], file: FileId) -> Result<(), Diagnostic> {
    let span_of = |token: &Token| span(file, token.start, token.end);
    let mut open: Vec<&Token> = Vec::new();
    let mut prefixes = 0;
    let mut last = 0;
    for token in tokens.iter().filter(|token| token.kind != TokenKind::Comment) {
        let text = token.text(source);
        prefixes = if token.is(source, "-") || token.is(source, "not") { prefixes + 1 } else { 0 };
        if prefixes > MAX_PREFIXES {
            return Err(Diagnostic::new(Code::TooDeep, "too many prefix operators")
                .at(span_of(token), format!("more than {MAX_PREFIXES} in a row")));
        }
        match (token.kind, text) {
            (TokenKind::OpenQuote, _) | (TokenKind::Symbol, "(" | "[" | "{") => {
                open.push(token);
                if open.len() > MAX_BRACKET_DEPTH {
                    return Err(Diagnostic::new(Code::TooDeep, "the brackets are nested too deeply")
                        .at(span_of(token), format!("more than {MAX_BRACKET_DEPTH} are open here"))
                        .help("name parts of it with `net` or `let`"));
                }
            }
            (TokenKind::Unterminated, _) => return Err(unterminated_string(source, &open, token, file)),
            (TokenKind::CloseQuote, _) | (TokenKind::Symbol, ")" | "]" | "}") => match open.pop() {
                Some(opening) if closing_of(opening.text(source)) == text => {}
                Some(opening) => return Err(mismatched(source, opening, token, last, file)),
                None => {
                    return Err(Diagnostic::new(Code::Syntax, format!("unmatched `{text}`"))
                        .at(span_of(token), "no bracket is open here")
                        .help("remove it, or add the opening bracket")
                        .fix(span_of(token), text, ""));
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
                .at(span_of(opening), "opened here")
                .and(span(file, last, last), format!("a `{}` is missing by here", closing_of(text)))
                .insert(span(file, last, last), closing_of(text)))
        }
    }
}

fn closing_of(opening: &str) -> &str {
    match opening {
        "(" => ")",
        "[" => "]",
        "{" => "}",
        other => other,
    }
}

fn mismatched(source: &str, opening: &Token, closing: &Token, last: usize, file: FileId) -> Diagnostic {
    let (open, close) = (opening.text(source), closing.text(source));
    let missing = closing_of(open);
    // In a template the `}` may meet another open bracket, or the reverse.
    let wanted = if open == "\"" { "the string that starts here is not closed" } else { "opened here" };
    Diagnostic::new(Code::Unclosed, format!("this `{open}` is not closed before the `{close}`"))
        .at(span(file, opening.start, opening.end), wanted)
        .and(span(file, last, closing.end), format!("a `{missing}` is missing before this"))
        .insert(span(file, last, last), missing)
}

/// The error for a string that its line ends.
fn unterminated_string(source: &str, open: &[&Token], end: &Token, file: FileId) -> Diagnostic {
    let quote = open.iter().find(|token| token.kind == TokenKind::OpenQuote);
    let inner = open.iter().skip_while(|token| token.kind != TokenKind::OpenQuote).nth(1);
    let start = quote.map_or(end.start, |token| token.start);
    let quote = span(file, start, start + 1);
    match inner {
        Some(inner) => {
            Diagnostic::new(Code::Unclosed, format!("a `{}` in this string is never closed", inner.text(source)))
                .at(span(file, inner.start, inner.end), "opened here")
                .and(quote, "in the string that starts here")
                .help("write `{name}` for a value in a string, and `{{` for a brace")
        }
        None => Diagnostic::new(Code::Unclosed, "this string is never closed")
            .at(quote, "the string starts here")
            .and(span(file, end.start, end.start), "the line ends without a `\"`")
            .help("close it with `\"`; write `\\n` for a line break in a string"),
    }
}

/// The offsets at which a broken text is split: at keywords that start an item, and at lines that look like an item.
pub(super) fn item_starts(source: &str, tokens: &[Token]) -> Vec<usize> {
    let tokens: Vec<Token> = tokens.iter().copied().filter(|token| token.kind != TokenKind::Comment).collect();
    let mut starts = Vec::new();
    let mut depth = 0_usize;
    let mut in_string = false;
    for (index, token) in tokens.iter().enumerate() {
        match (token.kind, token.text(source)) {
            (TokenKind::OpenQuote, _) => in_string = true,
            (TokenKind::CloseQuote | TokenKind::Unterminated, _) => in_string = false,
            (TokenKind::Symbol, "(" | "[" | "{") => depth += 1,
            (TokenKind::Symbol, ")" | "]" | "}") => depth = depth.saturating_sub(1),
            (TokenKind::Word, word) if !in_string => {
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
        // Any word may be a key of a block: `labels = …`.
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

/// The diagnostic for text that pest rejects. `base` is the offset of the parsed text in the file, `lone` whether it is an
/// expression from the command line.
pub(super) fn explain(
    source: &str,
    base: usize,
    tokens: &[Token],
    file: FileId,
    error: &pest::error::Error<Rule>,
    lone: bool,
) -> Diagnostic {
    let at = base
        + match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.clone(),
        // The only other error is pest's limit on recursion: `if if if …` nests without brackets.
        ErrorVariant::CustomError { .. } => {
            return nested_too_deeply(span(file, at.min(source.len()), at.min(source.len())));
        }
    };
    let tokens: Vec<Token> = tokens.iter().copied().filter(|token| token.kind != TokenKind::Comment).collect();
    let index = tokens.partition_point(|token| token.end <= at);
    let mut open = Vec::new();
    for (position, token) in tokens[..index].iter().enumerate() {
        match (token.kind, token.text(source)) {
            (TokenKind::OpenQuote, _) | (TokenKind::Symbol, "(" | "[" | "{") => open.push(position),
            (TokenKind::CloseQuote | TokenKind::Unterminated, _) | (TokenKind::Symbol, ")" | "]" | "}") => {
                open.pop();
            }
            _ => {}
        }
    }
    explain::explain(&Failure { source, file, tokens, index, at, expected, open, lone })
}
