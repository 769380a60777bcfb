//! A cheap first look at the text: its tokens. Bounds, error messages and the formatter's comments stand on it.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `net`, `Relu`, `x`
    Word,
    /// What starts with a digit: `64`, `3x3`, `1e-3`, and also what is no number, `3rd`.
    Number,
    /// An operator, a bracket, or a character that the language does not know.
    Sign,
    /// `"`, at the start of a text.
    Quote,
    /// Characters of a text.
    Letters,
    /// `"`, at the end of a text.
    Unquote,
    /// A text whose line ended before its `"`; has no length.
    Broken,
    /// `# …` to the end of the line.
    Comment,
}

/// A token and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    /// What was written.
    pub fn text(self, source: &str) -> &str {
        source.get(self.start..self.end).unwrap_or("")
    }

    /// Whether it is this sign or word.
    pub fn is(self, source: &str, text: &str) -> bool {
        matches!(self.kind, Kind::Sign | Kind::Word) && self.text(source) == text
    }
}

/// Signs of more than one character, the longest first.
const SIGNS: [&str; 13] = ["..=", ">>", ">=", "<=", "==", "!=", "->", "..", "||", "&&", "**", ":=", "=>"];

/// Whether a word may start with it.
pub(crate) fn starts_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Whether a word may go on with it.
pub(crate) fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// All tokens of a text, comments too. Never fails: what belongs to nothing is a sign of its own.
pub(crate) fn scan(source: &str) -> Vec<Token> {
    Scanner { source, at: 0, tokens: Vec::new(), modes: Vec::new() }.run()
}

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// A `{` of code.
    Brace,
    /// The characters of a text.
    Text,
    /// The `{…}` in a text.
    Template,
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
    modes: Vec<Mode>,
}

impl Scanner<'_> {
    fn run(mut self) -> Vec<Token> {
        while let Some(c) = self.rest().chars().next() {
            match (self.modes.last(), c) {
                (_, '\n') => self.end_line(),
                (Some(Mode::Text), _) => self.in_text(c),
                (_, _) if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
                (_, '#') => self.push_while(Kind::Comment, |c| c != '\n'),
                (_, '"') => {
                    self.push(Kind::Quote, 1);
                    self.modes.push(Mode::Text);
                }
                (_, _) if c.is_ascii_digit() || (c == '?' && self.rest().starts_with("?x")) => self.number(),
                (_, _) if starts_word(c) => self.push_while(Kind::Word, in_word),
                (_, _) => self.sign(c),
            }
        }
        self.end_line();
        self.tokens
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn push(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token { kind, start: self.at, end: self.at + length });
        self.at += length;
    }

    fn push_while(&mut self, kind: Kind, inside: impl Fn(char) -> bool) {
        let length = self.rest().find(|c| !inside(c)).unwrap_or(self.rest().len());
        self.push(kind, length);
    }

    /// A text ends on its line, also one that holds an open `{`.
    fn end_line(&mut self) {
        if let Some(first) = self.modes.iter().position(|&mode| mode == Mode::Text) {
            self.modes.truncate(first);
            self.push(Kind::Broken, 0);
        }
        self.at += 1;
    }

    fn in_text(&mut self, c: char) {
        let rest = self.rest();
        if c == '"' {
            self.push(Kind::Unquote, 1);
            self.modes.pop();
        } else if c == '{' && !rest.starts_with("{{") {
            self.push(Kind::Sign, 1);
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
            self.push(Kind::Letters, length);
        }
    }

    fn number(&mut self) {
        let bytes = self.rest().as_bytes();
        let mut length = 1;
        while let Some(&byte) = bytes.get(length) {
            let digit_follows = bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
            let power = matches!(bytes[length - 1], b'e' | b'E')
                && digit_follows
                && bytes[..length - 1].iter().all(|b| b.is_ascii_digit() || *b == b'.');
            let goes_on = byte.is_ascii_alphanumeric()
                || byte == b'_'
                || (byte == b'.' && digit_follows && !bytes[..length].contains(&b'.'))
                || (byte == b'?' && bytes[length - 1] == b'x')
                || (matches!(byte, b'+' | b'-') && power);
            if !goes_on {
                break;
            }
            length += 1;
        }
        self.push(Kind::Number, length);
    }

    fn sign(&mut self, c: char) {
        let known = SIGNS.iter().find(|sign| self.rest().starts_with(**sign));
        self.push(Kind::Sign, known.map_or(c.len_utf8(), |sign| sign.len()));
        match (c, self.modes.last()) {
            ('{', _) => self.modes.push(Mode::Brace),
            ('}', Some(Mode::Brace | Mode::Template)) => {
                self.modes.pop();
            }
            _ => {}
        }
    }
}
