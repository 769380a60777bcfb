//! A parse failure: its position, the tokens around it and the rules that were expected.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::{FileId, Span};
use crate::syntax::grammar::Rule;
use crate::syntax::scan::{Token, TokenKind};
use crate::syntax::words::{ITEMS, KEYWORDS, span};

/// A parse failure.
pub(crate) struct Failure<'a> {
    pub source: &'a str,
    pub file: FileId,
    /// The tokens of the parsed text, without comments.
    pub tokens: Vec<Token>,
    /// The index of the unexpected token; the number of tokens at an unexpected end.
    pub index: usize,
    /// The offset of the failure.
    pub at: usize,
    /// The rules that were expected there.
    pub expected: Vec<Rule>,
    /// The indices of the brackets before `index` that are still open there.
    pub open: Vec<usize>,
    /// Whether the text is a single expression from the command line.
    pub lone: bool,
}

impl Failure<'_> {
    /// The token at a distance from the unexpected one.
    pub fn token(&self, distance: isize) -> Option<Token> {
        self.tokens.get(self.index.checked_add_signed(distance)?).copied()
    }

    /// The text of that token; empty before the start and after the end.
    pub fn word(&self, distance: isize) -> &str {
        self.token(distance).map_or("", |token| token.text(self.source))
    }

    pub fn kind(&self, distance: isize) -> Option<TokenKind> {
        self.token(distance).map(|token| token.kind)
    }

    pub fn span(&self, token: Token) -> Span {
        span(self.file, token.start, token.end)
    }

    /// The span of the unexpected token, or the end of the text.
    pub fn here(&self) -> Span {
        match (self.token(0), self.token(-1)) {
            (Some(token), _) => self.span(token),
            (None, Some(last)) => span(self.file, last.end, last.end),
            (None, None) => span(self.file, self.at, self.at),
        }
    }

    /// The span from the token before the unexpected one to that one.
    pub fn both(&self) -> Span {
        self.token(-1).map_or(self.here(), |token| self.span(token).to(self.here()))
    }

    /// The unexpected token without an article: "unexpected …".
    pub fn unexpected(&self) -> String {
        let found = self.found();
        found.trim_start_matches("the ").trim_start_matches("a ").to_string()
    }

    /// The unexpected token, for a message: "found …".
    pub fn found(&self) -> String {
        match self.token(0) {
            None if self.lone => "the end of the expression".into(),
            None if self.tokens.last().is_some_and(|last| self.source[last.end..].trim().is_empty()) => {
                "the end of the file".into()
            }
            None => "the end of the item".into(),
            Some(token) if token.kind == TokenKind::OpenQuote => "a string".into(),
            Some(token) => format!("`{}`", token.text(self.source)),
        }
    }

    pub fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// Whether the previous token ends an operand, so that an operator could follow.
    pub fn after_operand(&self) -> bool {
        match self.token(-1) {
            Some(token) => match token.kind {
                TokenKind::Word => {
                    !KEYWORDS.contains(&token.text(self.source))
                        || self.word(-2) == "as"
                        || matches!(token.text(self.source), "true" | "false")
                }
                TokenKind::Number | TokenKind::CloseQuote => true,
                TokenKind::Symbol => matches!(token.text(self.source), ")" | "]" | "}" | "?"),
                _ => false,
            },
            None => false,
        }
    }

    /// Whether the unexpected token starts an operand.
    pub fn at_operand(&self) -> bool {
        match self.kind(0) {
            Some(TokenKind::Word) => {
                !matches!(self.word(0), "as" | "and" | "or" | "in" | "else" | "let" | "share")
                    && !ITEMS.contains(&self.word(0))
            }
            Some(TokenKind::Number | TokenKind::OpenQuote) => true,
            Some(TokenKind::Symbol) => matches!(self.word(0), "(" | "[" | "{" | "?"),
            _ => false,
        }
    }

    /// Whether there is a line break before the unexpected token.
    pub fn on_new_line(&self) -> bool {
        match (self.token(-1), self.token(0)) {
            (Some(before), Some(here)) => self.source.get(before.end..here.start).is_some_and(|gap| gap.contains('\n')),
            _ => false,
        }
    }

    /// The index and text of the innermost open bracket.
    pub fn bracket(&self) -> Option<(usize, &str)> {
        let index = *self.open.last()?;
        Some((index, self.tokens[index].text(self.source)))
    }

    /// Whether the token at an index directly follows the one before it.
    pub fn touches(&self, index: usize) -> bool {
        index > 0 && self.tokens[index - 1].end == self.tokens[index].start
    }

    /// Whether an open bracket is that of a call or of parameters.
    pub fn is_call(&self, index: usize) -> bool {
        index > 0
            && self.tokens[index].is(self.source, "(")
            && self.tokens[index - 1].kind == TokenKind::Word
            && self.touches(index)
    }

    /// Whether an open bracket is that of a cut.
    pub fn is_cut(&self, index: usize) -> bool {
        index > 0
            && self.tokens[index].is(self.source, "[")
            && self.touches(index)
            && !self.tokens[index - 1].is(self.source, "(")
    }

    /// The index of the opening bracket of the closing one at an index.
    pub fn opening(&self, closing: usize) -> Option<usize> {
        let mut depth = 0_usize;
        (0..=closing).rev().find(|&index| {
            match (self.tokens[index].kind, self.tokens[index].text(self.source)) {
                (TokenKind::CloseQuote, _) | (TokenKind::Symbol, ")" | "]" | "}") => depth += 1,
                (TokenKind::OpenQuote, _) | (TokenKind::Symbol, "(" | "[" | "{") => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })
    }

    /// The text of the operand that ends before an index, if it is short and on one line: `Conv(3x3, 64)`.
    pub fn operand_before(&self, index: usize) -> Option<&str> {
        let end = index.checked_sub(1)?;
        let mut start = self.opening(end)?;
        while start > 0 && self.touches(start) && matches!(self.tokens[start].text(self.source), "(" | "[") {
            start = self.opening(start - 1)?;
        }
        let text = self.source.get(self.tokens[start].start..self.tokens[end].end)?;
        (text.len() <= 40 && !text.contains('\n')).then_some(text)
    }

    /// The text of the operand that starts at an index, if it is short and on one line.
    pub fn operand_at(&self, index: usize) -> Option<&str> {
        let mut end = index;
        let mut depth = 0_usize;
        for (position, token) in self.tokens.iter().enumerate().skip(index) {
            let opens = matches!(token.text(self.source), "(" | "[" | "{") || token.kind == TokenKind::OpenQuote;
            if depth == 0 && position > index && !(opens && self.touches(position)) {
                break;
            }
            if opens {
                depth += 1;
            } else if matches!(token.text(self.source), ")" | "]" | "}") || token.kind == TokenKind::CloseQuote {
                depth = depth.checked_sub(1)?;
            }
            end = position;
        }
        let text = self.source.get(self.tokens.get(index)?.start..self.tokens.get(end)?.end)?;
        (depth == 0 && text.len() <= 40 && !text.contains('\n')).then_some(text)
    }

    /// A syntax error at the unexpected token.
    pub fn error(&self, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Code::Syntax, message).at(self.here(), label)
    }
}
