//! Where a text fails, and the words around that place: what messages are made of.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::{FileId, Span};
use crate::syntax::parse::grammar::Rule;
use crate::syntax::scan::{Token, TokenKind};
use crate::syntax::words::{ITEMS, KEYWORDS, span};

/// Where a text fails, and all that a message may be made of.
pub(crate) struct Failure<'a> {
    pub source: &'a str,
    pub file: FileId,
    /// The tokens of the piece that was parsed, without comments.
    pub tokens: Vec<Token>,
    /// The first token that cannot stand where it stands; the number of tokens where the end came too early.
    pub index: usize,
    /// The byte where it fails.
    pub at: usize,
    /// What the grammar could have gone on with there.
    pub expected: Vec<Rule>,
    /// For each token before `index` that opens a bracket which is still open there: its index.
    pub open: Vec<usize>,
    /// Whether the text is a single expression of the command line.
    pub lone: bool,
}

impl Failure<'_> {
    /// The token at a distance from the one that cannot stand where it stands.
    pub fn token(&self, distance: isize) -> Option<Token> {
        self.tokens.get(self.index.checked_add_signed(distance)?).copied()
    }

    /// What that token says; nothing before the start and after the end.
    pub fn word(&self, distance: isize) -> &str {
        self.token(distance).map_or("", |token| token.text(self.source))
    }

    pub fn kind(&self, distance: isize) -> Option<TokenKind> {
        self.token(distance).map(|token| token.kind)
    }

    pub fn span(&self, token: Token) -> Span {
        span(self.file, token.start, token.end)
    }

    /// The place of the failure: the token there, or the end of the text.
    pub fn here(&self) -> Span {
        match (self.token(0), self.token(-1)) {
            (Some(token), _) => self.span(token),
            (None, Some(last)) => span(self.file, last.end, last.end),
            (None, None) => span(self.file, self.at, self.at),
        }
    }

    /// From the token before the failure to the one at it.
    pub fn both(&self) -> Span {
        self.token(-1).map_or(self.here(), |token| self.span(token).to(self.here()))
    }

    /// What was found, for a sentence.
    pub fn found(&self) -> String {
        match self.token(0) {
            None if self.lone => "the end of the expression".into(),
            None if self.tokens.last().is_some_and(|last| self.source[last.end..].trim().is_empty()) => {
                "the end of the file".into()
            }
            None => "the end of the item".into(),
            Some(token) if token.kind == TokenKind::OpenQuote => "a text".into(),
            Some(token) => format!("`{}`", token.text(self.source)),
        }
    }

    pub fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// Whether a value or layer just ended: an operator could follow.
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

    /// Whether the failing token begins a value or layer.
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

    /// Whether a line ends between the failing token and the one before it.
    pub fn on_new_line(&self) -> bool {
        match (self.token(-1), self.token(0)) {
            (Some(before), Some(here)) => self.source.get(before.end..here.start).is_some_and(|gap| gap.contains('\n')),
            _ => false,
        }
    }

    /// The innermost open bracket: its index and sign.
    pub fn bracket(&self) -> Option<(usize, &str)> {
        let index = *self.open.last()?;
        Some((index, self.tokens[index].text(self.source)))
    }

    /// Whether the token at an index touches the one before it.
    pub fn touches(&self, index: usize) -> bool {
        index > 0 && self.tokens[index - 1].end == self.tokens[index].start
    }

    /// Whether an open bracket holds arguments of a call, or parameters.
    pub fn is_call(&self, index: usize) -> bool {
        index > 0
            && self.tokens[index].is(self.source, "(")
            && self.tokens[index - 1].kind == TokenKind::Word
            && self.touches(index)
    }

    /// Whether an open bracket is a cut.
    pub fn is_cut(&self, index: usize) -> bool {
        index > 0
            && self.tokens[index].is(self.source, "[")
            && self.touches(index)
            && !self.tokens[index - 1].is(self.source, "(")
    }

    /// The index of the bracket that the closing one at an index belongs to.
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

    /// What an operand that ends before an index says, on one line: `Conv(3x3, 64)`.
    pub fn operand_before(&self, index: usize) -> Option<&str> {
        let end = index.checked_sub(1)?;
        let mut start = self.opening(end)?;
        while start > 0 && self.touches(start) && matches!(self.tokens[start].text(self.source), "(" | "[") {
            start = self.opening(start - 1)?;
        }
        let text = self.source.get(self.tokens[start].start..self.tokens[end].end)?;
        (text.len() <= 40 && !text.contains('\n')).then_some(text)
    }

    /// What the operand that starts at an index says, on one line.
    pub fn operand_at(&self, index: usize) -> Option<&str> {
        let mut end = index;
        let mut depth = 0_usize;
        for (place, token) in self.tokens.iter().enumerate().skip(index) {
            let opens = matches!(token.text(self.source), "(" | "[" | "{") || token.kind == TokenKind::OpenQuote;
            if depth == 0 && place > index && !(opens && self.touches(place)) {
                break;
            }
            if opens {
                depth += 1;
            } else if matches!(token.text(self.source), ")" | "]" | "}") || token.kind == TokenKind::CloseQuote {
                depth = depth.checked_sub(1)?;
            }
            end = place;
        }
        let text = self.source.get(self.tokens.get(index)?.start..self.tokens.get(end)?.end)?;
        (depth == 0 && text.len() <= 40 && !text.contains('\n')).then_some(text)
    }

    pub fn error(&self, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Code::Syntax, message).at(self.here(), label)
    }
}
