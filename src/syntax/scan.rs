//! A lexer for everything but the parser itself: limits, error messages, the comments of the formatter, the language server.

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// `net`, `Relu`, `x`
    Word,
    /// Anything that starts with a digit: `64`, `3x3`, `1e-3`, and also invalid numbers such as `3rd`.
    Number,
    /// An operator, a bracket, or an invalid character.
    Symbol,
    /// `"` at the start of a string.
    OpenQuote,
    /// Characters of a string.
    Chars,
    /// `"` at the end of a string.
    CloseQuote,
    /// The end of a line inside a string; an empty token.
    Unterminated,
    /// `# …` to the end of the line.
    Comment,
}

/// A token and its byte range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    /// The text of the token.
    pub fn text(self, source: &str) -> &str {
        source.get(self.start..self.end).unwrap_or("")
    }

    /// Whether it is the given symbol or word.
    pub fn is(self, source: &str, text: &str) -> bool {
        matches!(self.kind, TokenKind::Symbol | TokenKind::Word) && self.text(source) == text
    }
}

/// Symbols of more than one character, the longest first.
const SYMBOLS: [&str; 13] = ["..=", ">>", ">=", "<=", "==", "!=", "->", "..", "||", "&&", "**", ":=", "=>"];

/// Whether a character may start a word.
pub(crate) fn starts_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Whether a character may continue a word.
pub(crate) fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// All tokens of a text, including comments. Never fails: an invalid character is a symbol of its own.
pub(crate) fn scan(source: &str) -> Vec<Token> {
    Scanner { source, at: 0, tokens: Vec::new(), modes: Vec::new() }.run()
}

/// The words of a text outside comments and strings, with their byte offsets.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let words = scan(text).into_iter().filter(|token| token.kind == TokenKind::Word);
    words.map(|token| (token.start, token.text(text)))
}

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// `{ … }` of code.
    Braces,
    /// A string.
    String,
    /// `{…}` in a string.
    Template,
}

struct Scanner<'a> {
    source: &'a str,
    /// The next byte.
    at: usize,
    tokens: Vec<Token>,
    modes: Vec<Mode>,
}

impl Scanner<'_> {
    fn run(mut self) -> Vec<Token> {
        while let Some(c) = self.rest().chars().next() {
            match (self.modes.last(), c) {
                (_, '\n') => self.end_line(),
                (Some(Mode::String), _) => self.in_string(c),
                (_, _) if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
                (_, '#') => self.push_while(TokenKind::Comment, |c| c != '\n'),
                (_, '"') => {
                    self.push(TokenKind::OpenQuote, 1);
                    self.modes.push(Mode::String);
                }
                (_, _) if c.is_ascii_digit() || (c == '?' && self.rest().starts_with("?x")) => self.number(),
                (_, _) if starts_word(c) => self.push_while(TokenKind::Word, in_word),
                (_, _) => self.symbol(c),
            }
        }
        self.end_line();
        self.tokens
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        self.tokens.push(Token { kind, start: self.at, end: self.at + length });
        self.at += length;
    }

    fn push_while(&mut self, kind: TokenKind, inside: impl Fn(char) -> bool) {
        let length = self.rest().find(|c| !inside(c)).unwrap_or(self.rest().len());
        self.push(kind, length);
    }

    /// A string ends with its line, even inside a template.
    fn end_line(&mut self) {
        if let Some(first) = self.modes.iter().position(|&mode| mode == Mode::String) {
            self.modes.truncate(first);
            self.push(TokenKind::Unterminated, 0);
        }
        self.at += 1;
    }

    fn in_string(&mut self, c: char) {
        let rest = self.rest();
        if c == '"' {
            self.push(TokenKind::CloseQuote, 1);
            self.modes.pop();
        } else if c == '{' && !rest.starts_with("{{") {
            self.push(TokenKind::Symbol, 1);
            self.modes.push(Mode::Template);
        } else {
            let mut length = 0;
            let mut chars = rest.chars().peekable();
            while let Some(c) = chars.next() {
                match (c, chars.peek()) {
                    ('"' | '\n', _) => break,
                    ('{', Some('{')) | ('\\', Some('"' | '\\' | '{')) => {
                        chars.next();
                        length += 2;
                    }
                    ('{', _) => break,
                    _ => length += c.len_utf8(),
                }
            }
            self.push(TokenKind::Chars, length);
        }
    }

    fn number(&mut self) {
        let bytes = self.rest().as_bytes();
        let mut length = 1;
        while let Some(&byte) = bytes.get(length) {
            let digit_follows = bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
            let exponent = matches!(bytes[length - 1], b'e' | b'E')
                && digit_follows
                && bytes[..length - 1].iter().all(|b| b.is_ascii_digit() || *b == b'.');
            let continues = byte.is_ascii_alphanumeric()
                || byte == b'_'
                || (byte == b'.' && digit_follows && !bytes[..length].contains(&b'.'))
                || (byte == b'?' && bytes[length - 1] == b'x')
                || (matches!(byte, b'+' | b'-') && exponent);
            if !continues {
                break;
            }
            length += 1;
        }
        self.push(TokenKind::Number, length);
    }

    fn symbol(&mut self, c: char) {
        let known = SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol));
        self.push(TokenKind::Symbol, known.map_or(c.len_utf8(), |symbol| symbol.len()));
        match (c, self.modes.last()) {
            ('{', _) => self.modes.push(Mode::Braces),
            ('}', Some(Mode::Braces | Mode::Template)) => {
                self.modes.pop();
            }
            _ => {}
        }
    }
}
