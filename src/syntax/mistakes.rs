//! The mistakes that people make, and what is said of each. Every check looks at the words around the place where the
//! grammar stopped; the first that knows the mistake answers.

use super::error::{Failure, ITEMS, RESERVED, span};
use super::parse::Rule;
use super::scan::{Kind, Token};
use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::source::Span;

/// The message for a failure.
pub(super) fn explain(failure: &Failure) -> Diagnostic {
    let checks: [fn(&Failure) -> Option<Diagnostic>; 17] = [
        odd_character,
        number,
        text,
        item_word,
        capital_word,
        item_head,
        foreign_sign,
        keyword_form,
        unnamed_value,
        spaced_bracket,
        comma_in_parentheses,
        colon,
        bar,
        missing_comma,
        called_twice,
        missing_chain,
        missing_operand,
    ];
    checks.iter().find_map(|check| check(failure)).unwrap_or_else(|| expected(failure))
}

impl Failure<'_> {
    /// The token at a distance from the one that cannot stand where it stands.
    fn token(&self, distance: isize) -> Option<Token> {
        self.tokens.get(self.index.checked_add_signed(distance)?).copied()
    }

    /// What that token says; nothing before the start and after the end.
    fn word(&self, distance: isize) -> &str {
        self.token(distance).map_or("", |token| token.text(self.source))
    }

    fn kind(&self, distance: isize) -> Option<Kind> {
        self.token(distance).map(|token| token.kind)
    }

    fn span(&self, token: Token) -> Span {
        span(self.file, token.start, token.end)
    }

    /// The place of the failure: the token there, or the end of the text.
    fn here(&self) -> Span {
        match (self.token(0), self.token(-1)) {
            (Some(token), _) => self.span(token),
            (None, Some(last)) => span(self.file, last.end, last.end),
            (None, None) => span(self.file, self.at, self.at),
        }
    }

    /// From the token before the failure to the one at it.
    fn both(&self) -> Span {
        self.token(-1).map_or(self.here(), |token| self.span(token).to(self.here()))
    }

    /// What was found, for a sentence.
    fn found(&self) -> String {
        match self.token(0) {
            None if self.lone => "the end of the expression".into(),
            None if self.tokens.last().is_some_and(|last| self.source[last.end..].trim().is_empty()) => "the end of the file".into(),
            None => "the end of the item".into(),
            Some(token) if token.kind == Kind::Quote => "a text".into(),
            Some(token) => format!("`{}`", token.text(self.source)),
        }
    }

    fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// Whether a value or layer just ended: an operator could follow.
    fn after_operand(&self) -> bool {
        match self.token(-1) {
            Some(token) => match token.kind {
                Kind::Word => !RESERVED.contains(&token.text(self.source)) || self.word(-2) == "as" || matches!(token.text(self.source), "true" | "false"),
                Kind::Number | Kind::Unquote => true,
                Kind::Sign => matches!(token.text(self.source), ")" | "]" | "}" | "?"),
                _ => false,
            },
            None => false,
        }
    }

    /// Whether the failing token begins a value or layer.
    fn at_operand(&self) -> bool {
        match self.kind(0) {
            Some(Kind::Word) => !matches!(self.word(0), "as" | "and" | "or" | "in" | "else" | "let" | "share") && !ITEMS.contains(&self.word(0)),
            Some(Kind::Number | Kind::Quote) => true,
            Some(Kind::Sign) => matches!(self.word(0), "(" | "[" | "{" | "?"),
            _ => false,
        }
    }

    /// Whether a line ends between the failing token and the one before it.
    fn on_new_line(&self) -> bool {
        match (self.token(-1), self.token(0)) {
            (Some(before), Some(here)) => self.source.get(before.end..here.start).is_some_and(|gap| gap.contains('\n')),
            _ => false,
        }
    }

    /// The innermost open bracket: its index and sign.
    fn bracket(&self) -> Option<(usize, &str)> {
        let index = *self.open.last()?;
        Some((index, self.tokens[index].text(self.source)))
    }

    /// Whether the token at an index touches the one before it.
    fn touches(&self, index: usize) -> bool {
        index > 0 && self.tokens[index - 1].end == self.tokens[index].start
    }

    /// Whether an open bracket holds arguments of a call, or parameters.
    fn is_call(&self, index: usize) -> bool {
        index > 0 && self.tokens[index].is(self.source, "(") && self.tokens[index - 1].kind == Kind::Word && self.touches(index)
    }

    /// Whether an open bracket is a cut.
    fn is_cut(&self, index: usize) -> bool {
        index > 0 && self.tokens[index].is(self.source, "[") && self.touches(index) && !self.tokens[index - 1].is(self.source, "(")
    }

    /// The index of the bracket that the closing one at an index belongs to.
    fn opening(&self, closing: usize) -> Option<usize> {
        let mut depth = 0_usize;
        (0..=closing).rev().find(|&index| {
            match (self.tokens[index].kind, self.tokens[index].text(self.source)) {
                (Kind::Unquote, _) | (Kind::Sign, ")" | "]" | "}") => depth += 1,
                (Kind::Quote, _) | (Kind::Sign, "(" | "[" | "{") => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })
    }

    /// What an operand that ends before an index says, on one line: `Conv(3x3, 64)`.
    fn operand_before(&self, index: usize) -> Option<&str> {
        let end = index.checked_sub(1)?;
        let mut start = self.opening(end)?;
        while start > 0 && self.touches(start) && matches!(self.tokens[start].text(self.source), "(" | "[") {
            start = self.opening(start - 1)?;
        }
        let text = self.source.get(self.tokens[start].start..self.tokens[end].end)?;
        (text.len() <= 40 && !text.contains('\n')).then_some(text)
    }

    /// What the operand that starts at an index says, on one line.
    fn operand_at(&self, index: usize) -> Option<&str> {
        let mut end = index;
        let mut depth = 0_usize;
        for (place, token) in self.tokens.iter().enumerate().skip(index) {
            let opens = matches!(token.text(self.source), "(" | "[" | "{") || token.kind == Kind::Quote;
            if depth == 0 && place > index && !(opens && self.touches(place)) {
                break;
            }
            if opens {
                depth += 1;
            } else if matches!(token.text(self.source), ")" | "]" | "}") || token.kind == Kind::Unquote {
                depth = depth.checked_sub(1)?;
            }
            end = place;
        }
        let text = self.source.get(self.tokens.get(index)?.start..self.tokens.get(end)?.end)?;
        (depth == 0 && text.len() <= 40 && !text.contains('\n')).then_some(text)
    }

    fn error(&self, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Code::Syntax, message).at(self.here(), label)
    }
}

/// Characters that no `.net` text holds, mostly from word processors and other languages.
fn odd_character(failure: &Failure) -> Option<Diagnostic> {
    let c = failure.source.get(failure.at..)?.chars().next()?;
    let here = span(failure.file, failure.at, failure.at + c.len_utf8());
    let code = u32::from(c);
    let unseen = c.is_control() || c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{ad}');
    if unseen && !c.is_ascii_whitespace() {
        return Some(Diagnostic::new(Code::Syntax, format!("a character that is not seen stands here (U+{code:04X})"))
            .at(here, "this is no plain blank")
            .help("replace it by a blank; it often comes from copied text"));
    }
    if failure.kind(0) != Some(Kind::Sign) {
        return None;
    }
    let help = match c {
        '“' | '”' | '„' | '\'' | '‘' | '’' | '`' | '«' => "texts stand in double quotes: `\"…\"`".to_string(),
        '×' => "sizes are written with the letter x: `3x3`".to_string(),
        '→' | '⇒' | '»' | '▷' => "layers are chained with `>>`".to_string(),
        '–' | '—' | '−' => "write the plain minus sign `-`".to_string(),
        '…' => "a range is written with two points, `..`".to_string(),
        ';' => "nothing needs a `;`: entries and items stand on lines of their own".to_string(),
        '%' => "there is no remainder; `/` of integers must be exact".to_string(),
        '!' if failure.word(0) == "!" => "a condition is turned round by `not`".to_string(),
        '&' if failure.word(0) == "&" => "conditions are joined by `and`, branches by `|` in parentheses".to_string(),
        '^' => "there is no power; multiply".to_string(),
        '@' | '$' | '~' | '\\' => String::new(),
        _ if !c.is_ascii() => String::new(),
        _ => return None,
    };
    let named = if c.is_ascii() { format!("`{c}`") } else { format!("`{c}` (U+{code:04X})") };
    let diagnostic = Diagnostic::new(Code::Syntax, format!("{named} has no meaning here")).at(here, "not part of the language");
    Some(if help.is_empty() { diagnostic } else { diagnostic.help(help) })
}

/// Numbers that are none.
fn number(failure: &Failure) -> Option<Diagnostic> {
    let bad = |place, written: &str, label: &str, help: String| {
        Some(Diagnostic::new(Code::Literal, format!("`{written}` is no number")).at(place, label.to_string()).help(help))
    };
    let word = failure.word(0);
    if word == "." && failure.kind(-1) == Some(Kind::Number) && failure.touches(failure.index) {
        let digits = failure.word(-1);
        return bad(failure.both(), &format!("{digits}."), "digits are missing after the point", format!("write `{digits}.0`"));
    }
    if word == "." && failure.kind(1) == Some(Kind::Number) && failure.touches(failure.index + 1) {
        let digits = failure.word(1).to_string();
        let place = failure.token(1).map_or(failure.here(), |next| failure.here().to(failure.span(next)));
        return bad(place, &format!(".{digits}"), "a digit is missing before the point", format!("write `0.{digits}`"));
    }
    if failure.kind(0) != Some(Kind::Number) || is_number(word) {
        return None;
    }
    if failure.word(-1) == "as" || failure.bracket().is_some_and(|(index, _)| failure.is_cut(index)) {
        return Some(failure.error(format!("`{word}` is no layer's name"), "a name starts with a letter or `_`")
            .help(format!("put it in quotes: `\"{word}\"`")));
    }
    let lower = word.to_ascii_lowercase();
    let digits = word.replace('_', "");
    if let Some(hexadecimal) = lower.strip_prefix("0x").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        let value = u64::from_str_radix(hexadecimal, 16).map_or(String::new(), |value| format!(": `{value}`"));
        return bad(failure.here(), word, "numbers are decimal", format!("write it in decimal{value}"));
    }
    if is_number(&lower) {
        return bad(failure.here(), word, "sizes are joined by a small x", format!("write `{lower}`"));
    }
    if is_number(&digits) {
        return bad(failure.here(), word, "numbers have no `_`", format!("write `{digits}`"));
    }
    if lower.ends_with('x') {
        return bad(failure.here(), word, "a size is missing after the `x`", format!("write `{word}?` for a size that is open"));
    }
    bad(failure.here(), word, "digits and letters are mixed", "integers are `64`, floats `0.5` or `1e-3`, sizes `3x3`; a name starts with a letter".into())
}

/// Whether it is an integer, a float or sizes, as the grammar reads them.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split('x').all(|size| digits(size) || size == "?") || {
        let (mantissa, power) = text.split_once(['e', 'E']).map_or((text, None), |(mantissa, power)| (mantissa, Some(power)));
        let power = power.is_none_or(|power| digits(power.strip_prefix(['+', '-']).unwrap_or(power)));
        power && mantissa.split_once('.').map_or(digits(mantissa), |(whole, part)| digits(whole) && digits(part))
    }
}

/// What is wrong inside of quotes.
fn text(failure: &Failure) -> Option<Diagnostic> {
    if failure.kind(0) == Some(Kind::Letters) {
        return Some(Diagnostic::new(Code::Literal, "a `}` alone stands in this text")
            .at(span(failure.file, failure.at, failure.at + 1), "it closes nothing")
            .help("for the brace itself write `}}`"));
    }
    let (brace, sign) = failure.bracket()?;
    let inside = sign == "{" && failure.open.len() > 1 && failure.tokens[failure.open[failure.open.len() - 2]].kind == Kind::Quote;
    if !inside {
        return None;
    }
    let message = if brace + 1 == failure.index { "a value is missing between these braces".to_string() } else { format!("a value in a text is an expression, and {} cannot stand there", failure.found()) };
    Some(failure.error(message, "in a text")
        .and(failure.span(failure.tokens[brace]), "the value starts here")
        .help("`{name}` puts a value into a text; for the braces themselves write `{{` and `}}`"))
}

/// A word at the start of an item that starts none.
fn item_word(failure: &Failure) -> Option<Diagnostic> {
    let ended = [Rule::infix, Rule::item, Rule::EOI].iter().any(|&rule| failure.expects(rule));
    let at_start = failure.index == 0 || (ended && failure.after_operand() && failure.open.is_empty() && failure.on_new_line());
    let first = if at_start { failure.token(0)? } else { *failure.tokens.first()? };
    let word = first.text(failure.source);
    if first.kind != Kind::Word || ITEMS.contains(&word) || failure.lone {
        return None;
    }
    let place = if at_start { failure.index } else { 0 };
    let next = |distance: usize| failure.tokens.get(place + distance).map_or("", |token| token.text(failure.source));
    let names = failure.tokens.get(place + 1).is_some_and(|token| token.kind == Kind::Word) && !RESERVED.contains(&next(1));
    let item = |message: String, label: &str| Some(Diagnostic::new(Code::Syntax, message).at(failure.span(first), label.to_string()));
    if word == "netc" && failure.tokens.get(place + 1).is_some_and(|token| token.kind == Kind::Number) {
        return if place == 0 && failure.source[..first.start].trim().is_empty() { None } else {
            item("the edition stands only once, at the start of a file".into(), "here items are read")
        };
    }
    if next(1) == "=" || next(1) == ":=" {
        return item(format!("`{word}` starts no item"), "an item starts with a reserved word")
            .map(|diagnostic| diagnostic.help(format!("to define a net write `net {word} = …`")));
    }
    if names && matches!(next(2), "=" | "(" | "{" | ":" | ":=") {
        let meant = match word {
            "let" | "share" => {
                return item(format!("`{word}` stands only in a block"), "not between items")
                    .map(|diagnostic| diagnostic.help(format!("here write `net {} = …`", next(1))));
            }
            "import" | "include" | "from" | "load" => Some("use"),
            "def" | "fn" | "func" | "fun" | "function" | "model" | "network" | "module" | "class" | "layer" | "const" | "var" | "define" => Some("net"),
            "pretrained" | "params" | "checkpoint" => Some("weights"),
            "classes" | "names" => Some("labels"),
            "training" | "fit" | "recipe" => Some("train"),
            "assert" | "check" | "test" | "promise" => Some("expect"),
            _ => suggest::nearest(word, ITEMS),
        };
        return item(format!("`{word}` starts no item"), "not an item's word").map(|diagnostic| match meant {
            Some(meant) => diagnostic.help(format!("write `{meant} {} …`", next(1))),
            None => diagnostic.help(format!("items start with {}", suggest::one_of(ITEMS))),
        });
    }
    if matches!(word, "import" | "include") && failure.index <= place + 1 {
        return item(format!("`{word}` starts no item"), "not an item's word").map(|diagnostic| diagnostic.help("write `use \"file.net\"`"));
    }
    None
}

/// `Repeat`, `NET`: reserved words are small.
fn capital_word(failure: &Failure) -> Option<Diagnostic> {
    let before = (failure.index.saturating_sub(1)..=failure.index).rev();
    let call = failure.index.checked_sub(1).and_then(|index| failure.opening(index)).and_then(|index| index.checked_sub(1));
    before.chain(call).find_map(|index| {
        let token = *failure.tokens.get(index)?;
        let word = token.text(failure.source);
        let small = word.to_lowercase();
        (token.kind == Kind::Word && small != word && RESERVED.contains(&small.as_str())).then(|| {
            Diagnostic::new(Code::Syntax, format!("`{word}` is written small"))
                .at(failure.span(token), "a reserved word")
                .help(format!("write `{small}`"))
        })
    })
}

/// The first words of an item: its name, its `=` or `{`.
fn item_head(failure: &Failure) -> Option<Diagnostic> {
    if failure.lone {
        return None;
    }
    let start = (0..failure.index.min(failure.tokens.len())).rev().find(|&index| {
        ITEMS.contains(&failure.tokens[index].text(failure.source)) && failure.tokens[index].kind == Kind::Word
    })?;
    let word = failure.tokens[start].text(failure.source);
    let form = match word {
        "use" => "use \"blocks.net\"",
        "net" => "net NAME = …",
        "weights" => "weights NAME = \"file.h5\"",
        "labels" => "labels NAME = \"file.txt\"",
        "train" => "train NAME { … }",
        "expect" if failure.index == start + 2 => "expect NAME: (?, 224, 224, 3) -> (?, 10)",
        _ => return None,
    };
    let name = failure.tokens.get(start + 1).map_or("", |token| token.text(failure.source));
    let found = failure.word(0);
    match (failure.index - start, word) {
        (1, "use") => {
            let bare = failure.kind(0) == Some(Kind::Word);
            let mut end = failure.index;
            while failure.tokens.get(end + 1).is_some() && failure.touches(end + 1) {
                end += 1;
            }
            let path = failure.tokens.get(end).and_then(|last| failure.source.get(failure.here().start as usize..last.end));
            let help = path.filter(|_| bare).map_or(format!("write `{form}`"), |path| format!("write `use \"{path}\"`"));
            Some(failure.error("`use` names a file in quotes", format!("found {}", failure.found())).help(help))
        }
        (1, _) if RESERVED.contains(&found) => Some(
            Diagnostic::new(Code::ReservedName, format!("`{found}` is a reserved word and names no net")).at(failure.here(), "take another name"),
        ),
        (1, _) => Some(failure.error(format!("a name is missing after `{word}`"), format!("found {}", failure.found())).help(format!("write `{form}`"))),
        (2, _) if matches!(found, "-" | "/" | ".") && failure.touches(failure.index) => {
            let mut end = failure.index;
            while failure.tokens.get(end + 1).is_some() && failure.touches(end + 1) && !matches!(failure.tokens[end + 1].text(failure.source), "(" | "=" | "{" | ":") {
                end += 1;
            }
            let from = failure.tokens[start + 1].start;
            let written = failure.source.get(from..failure.tokens[end].end)?;
            let better: String = written.chars().map(|c| if super::scan::in_word(c) { c } else { '_' }).collect();
            Some(Diagnostic::new(Code::Syntax, format!("`{written}` cannot name a net"))
                .at(span(failure.file, from, failure.tokens[end].end), format!("a name holds letters, digits and `_`, no `{found}`"))
                .help(format!("write `{better}`; only layers' names may hold `-`, `/` and `.`")))
        }
        (2, "train") if found == "=" => {
            Some(failure.error("a recipe stands directly behind its net's name", "no `=` here").help("write `train NAME { key = value … }`"))
        }
        (2, "expect") if found == "(" && !failure.touches(failure.index) => {
            Some(failure.error(format!("a `:` is missing after `expect {name}`"), "found `(`").help(format!("write `{form}`")))
        }
        (2, "train") => Some(failure.error(format!("a `{{` is missing after `train {name}`"), format!("found {}", failure.found()))
            .help("write `train NAME { key = value … }`; the braces hold the recipe's entries")),
        (2, _) if matches!(found, "==" | ":=" | "->" | "=>" | "{" | "") || failure.at_operand() && found != "(" => {
            Some(failure.error(format!("an `=` is missing after `{word} {name}`"), format!("found {}", failure.found())).help(format!("write `{form}`")))
        }
        _ => None,
    }
}

/// The forms of `repeat`, `if`, `frozen`, `let`, `share` and `as`.
fn keyword_form(failure: &Failure) -> Option<Diagnostic> {
    let found = failure.found();
    let missing = |what: &str, after: &str, help: &str| {
        Some(failure.error(format!("{what} is missing after {after}"), format!("found {found}")).help(help.to_string()))
    };
    let repeat_form = "write `repeat(3) { … }`, `repeat i in 1..=3 { … }` or `repeat l in [\"b\", \"c\"] { … }`";
    match failure.word(-1) {
        "repeat" => return missing("a count or a variable", "`repeat`", repeat_form),
        "frozen" => return missing("a `(`", "`frozen`", "write `frozen(vgg16)`"),
        "else" => return missing("a `{`", "`else`", "write `else { … }`"),
        "as" if failure.after_operand() || failure.kind(-2).is_some() => {
            return missing("a name", "`as`", "write `Relu as name`; a name with other signs stands in quotes");
        }
        "let" | "share" if RESERVED.contains(&failure.word(0)) => {
            return Some(Diagnostic::new(Code::ReservedName, format!("`{}` is a reserved word and names no value", failure.word(0)))
                .at(failure.here(), "take another name"));
        }
        word @ ("let" | "share") => return missing("a name", &format!("`{word}`"), &format!("write `{word} name = …`")),
        _ => {}
    }
    if matches!(failure.word(-2), "let" | "share") && failure.kind(-1) == Some(Kind::Word) && !RESERVED.contains(&failure.word(-1)) && failure.expects(Rule::assign) {
        let name = failure.word(-1);
        return missing("an `=`", &format!("`{} {name}`", failure.word(-2)), &format!("write `{} {name} = …`", failure.word(-2)));
    }
    if failure.word(-2) == "repeat" && failure.expects(Rule::kw_in) {
        return missing("`in`", &format!("`repeat {}`", failure.word(-1)), repeat_form);
    }
    if !failure.after_operand() {
        return None;
    }
    // An `if` or `repeat` of this bracket whose `{` has not come yet.
    let from = failure.open.last().map_or(0, |index| index + 1);
    let mut index = failure.index;
    while index > from {
        index = failure.opening(index - 1)?;
        match failure.tokens[index].text(failure.source) {
            "{" | "," | "|" | "=" => return None,
            word @ ("if" | "repeat") if failure.tokens[index].kind == Kind::Word => {
                let what = if word == "if" { "the condition" } else { "what `repeat` goes over" };
                return missing("a `{`", what, if word == "if" { "write `if a == b { … } else { … }`" } else { repeat_form });
            }
            _ => {}
        }
    }
    None
}

/// Operators of other languages.
fn foreign_sign(failure: &Failure) -> Option<Diagnostic> {
    let (before, found, after) = (failure.word(-1), failure.word(0), failure.word(1));
    if found == ">" && matches!(before, "|" | ">" | "-" | ">>" | "=") {
        return Some(Diagnostic::new(Code::Syntax, format!("`{before}>` is no operator")).at(failure.both(), "here").help("layers are chained with `>>`"));
    }
    if found == "*" && before == "*" {
        return Some(Diagnostic::new(Code::Syntax, "there is no `**`").at(failure.both(), "a power").help("multiply: `n * n`"));
    }
    if found == "/" && before == "/" {
        return Some(Diagnostic::new(Code::Syntax, "there is no `//`").at(failure.both(), "here")
            .help("division of integers is `/` and must be exact; a comment starts with `#`"));
    }
    let help = match found {
        "&&" => "conditions are joined by `and`",
        "->" | "=>" => "layers are chained with `>>`",
        "|" if after == ">" => "layers are chained with `>>`",
        ":=" => "a value is given with `=`",
        "||" => "conditions are joined by `or`; branches by one `|` in parentheses",
        "**" => "there is no power; multiply: `n * n`",
        "=" if after == ">" => "layers are chained with `>>`",
        "==" if failure.expects(Rule::assign) => "a value is given with one `=`",
        "=" if failure.expects(Rule::infix) && !failure.expects(Rule::assign) => {
            return Some(failure.error("an `=` cannot stand here", "this gives nothing a value")
                .help("equal is `==`; a net is named by `net NAME = …`, a value of a block by `let NAME = …`"));
        }
        _ => return None,
    };
    Some(failure.error(format!("`{found}` cannot stand here"), "not an operator of this place").help(help))
}

/// `Conv (3x3)`, `vgg16 [..3]`: the bracket must touch the name.
fn spaced_bracket(failure: &Failure) -> Option<Diagnostic> {
    let inside = failure.bracket().filter(|(index, _)| failure.word(0) == "," && !failure.is_call(*index)).map(|(index, _)| index);
    let behind = failure.index.checked_sub(1).filter(|&index| failure.tokens[index].is(failure.source, ")")).and_then(|index| failure.opening(index));
    let index = [Some(failure.index), inside, behind].into_iter().flatten().find(|&index| {
        let Some(token) = failure.tokens.get(index).filter(|token| matches!(token.text(failure.source), "(" | "[") && token.kind == Kind::Sign) else {
            return false;
        };
        let Some(before) = index.checked_sub(1).map(|index| failure.tokens[index]) else { return false };
        let gap = failure.source.get(before.end..token.start).unwrap_or("");
        let named = before.kind == Kind::Word && !RESERVED.contains(&before.text(failure.source));
        let cut = token.is(failure.source, "[") && matches!(before.text(failure.source), ")" | "]");
        (named || cut) && !gap.is_empty() && !gap.contains('\n')
    })?;
    let (name, bracket) = (failure.tokens[index - 1], failure.tokens[index]);
    let (text, sign) = (name.text(failure.source), bracket.text(failure.source));
    let what = if sign == "(" { "a call" } else { "a cut" };
    Some(Diagnostic::new(Code::Syntax, format!("the `{sign}` of {what} touches what is before it"))
        .at(span(failure.file, name.start, bracket.end), "no blank may stand here")
        .help(if name.kind == Kind::Word { format!("write `{text}{sign}…`") } else { format!("write `{text}{sign}…` without the blank") }))
}

/// `(3, 3, 64)`, `(a, b)`: parentheses hold branches or group.
fn comma_in_parentheses(failure: &Failure) -> Option<Diagnostic> {
    let (index, sign) = failure.bracket()?;
    if failure.word(0) != "," || sign != "(" || failure.is_call(index) {
        return None;
    }
    let mut inside = failure.tokens[index + 1..].iter().take_while(|token| !token.is(failure.source, ")"));
    let end = inside.clone().last().map_or(0, |token| token.end);
    let numeric = inside.all(|token| token.kind == Kind::Number || matches!(token.text(failure.source), "," | "-" | "?"));
    let list = failure.source.get(failure.tokens[index].end..end).unwrap_or("").trim().trim_end_matches(',');
    let numbers: Vec<&str> = list.split(',').map(str::trim).collect();
    let whole = numbers.iter().all(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let function = (index > 1 && failure.is_call(index - 1)).then(|| failure.tokens[index - 2].text(failure.source));
    let help = match (numeric, whole, numbers.len()) {
        (true, _, 1) => format!("write `{list}` alone"),
        (true, true, 3) if function.is_some_and(|name| name.starts_with("Conv")) => {
            format!("a size and a number of filters are two arguments: `{}x{}, {}`", numbers[0], numbers[1], numbers[2])
        }
        (true, true, _) => format!("sizes are written `{}`, lists `[{list}]`", numbers.join("x")),
        (true, false, _) => format!("a list is written `[{list}]`"),
        (false, ..) => "branches are separated by `|`, `(a | b)`; a list stands in `[…]`".to_string(),
    };
    Some(failure.error("a `,` cannot stand in these parentheses", "they hold one value, or branches")
        .and(failure.span(failure.tokens[index]), "opened here")
        .help(help))
}

/// `{ x = Relu  x }`, `{ epochs 100 }`.
fn unnamed_value(failure: &Failure) -> Option<Diagnostic> {
    let (brace, sign) = failure.bracket()?;
    if sign != "{" {
        return None;
    }
    let (name, assign) = (failure.tokens.get(brace + 1)?, failure.tokens.get(brace + 2)?);
    if failure.expects(Rule::infix) && name.kind == Kind::Word && assign.is(failure.source, "=") && brace + 3 < failure.index && !failure.expects(Rule::entry) {
        let word = name.text(failure.source);
        return Some(Diagnostic::new(Code::Syntax, "a value of a block is named by `let`")
            .at(failure.span(*name), "not a key of a map, as what follows shows")
            .and(failure.here(), format!("found {}", failure.found()))
            .help(format!("write `let {word} = …`")));
    }
    let key = failure.word(-1);
    (failure.expects(Rule::assign) && !failure.expects(Rule::infix) && failure.kind(-1) == Some(Kind::Word) && failure.word(0) != ":").then(|| {
        failure.error(format!("an `=` is missing after `{key}`"), format!("found {}", failure.found())).help(format!("write `{key} = …`"))
    })
}

/// `f(x)(y)`
fn called_twice(failure: &Failure) -> Option<Diagnostic> {
    (failure.word(0) == "(" && failure.touches(failure.index) && matches!(failure.word(-1), ")" | "]")).then(|| {
        failure.error("only a name is called", "the second call").help("all arguments stand in one pair of parentheses: `f(a, b)`")
    })
}

/// `stride: 2`, `epochs: 100`, and what follows a `:`.
fn colon(failure: &Failure) -> Option<Diagnostic> {
    if failure.expects(Rule::arrow) {
        return Some(failure.error("a signature's `->` is missing", format!("found {}", failure.found())).help("write `(?, h, w, c) -> (?, n)`"));
    }
    if failure.word(-1) == ":" && failure.open.is_empty() {
        return Some(failure.error("a shape is missing after `:`", format!("found {}", failure.found()))
            .help("a signature is written `(?, h, w, c) -> (?, n)`; what a net is follows `=`"));
    }
    if failure.word(0) != ":" {
        return None;
    }
    let word = failure.word(-1);
    let diagnostic = failure.error("a `:` cannot stand here", "values are given with `=`");
    Some(match failure.bracket() {
        Some((index, _)) if failure.is_cut(index) => failure.error("a `:` cannot stand in a cut", "a range is written with `..`")
            .help("`[..a]` leaves a out, `[..=a]` takes it in, `[a..]` starts at a"),
        Some(_) if failure.kind(-1) == Some(Kind::Word) => diagnostic.help(format!("write `{word} = …`")),
        Some(_) => diagnostic.help("write `\"key\" = value`"),
        None => failure.error("a `:` cannot stand here", "it only begins a signature").help("a signature follows the name and parameters: `net f(n): (?, h) -> (?, n) = …`"),
    })
}

/// `a | b` without parentheses.
fn bar(failure: &Failure) -> Option<Diagnostic> {
    (failure.word(0) == "|" && failure.after_operand()).then(|| {
        failure.error("a `|` stands only directly in parentheses", "branches without parentheses")
            .help("write `(a | b) >> Concatenate`")
    })
}

/// `f(a b)`, `[a b]`.
fn missing_comma(failure: &Failure) -> Option<Diagnostic> {
    let (index, sign) = failure.bracket()?;
    let listed = failure.is_call(index) || (sign == "[" && !failure.is_cut(index));
    if !listed || !failure.after_operand() || !failure.at_operand() {
        return None;
    }
    let what = if sign == "[" { "two values of a list" } else { "two arguments" };
    let gap = failure.token(-1).map_or(failure.here(), |before| span(failure.file, before.end, failure.here().start as usize));
    let mut help = "write a `,` there".to_string();
    if failure.kind(1) == Some(Kind::Sign) && failure.word(1) != "=" && failure.kind(0) == Some(Kind::Word) {
        help.push_str("; if one layer feeds the other, write `>>`");
    }
    Some(Diagnostic::new(Code::Syntax, format!("a `,` is missing between {what}"))
        .at(if gap.start == gap.end { failure.here() } else { gap }, "here")
        .help(help))
}

/// Two layers side by side.
fn missing_chain(failure: &Failure) -> Option<Diagnostic> {
    if !failure.after_operand() || !failure.at_operand() || !failure.expects(Rule::infix) {
        return None;
    }
    if failure.bracket().is_some_and(|(index, _)| failure.is_cut(index)) {
        return None;
    }
    let (left, right) = (failure.operand_before(failure.index), failure.operand_at(failure.index));
    let join = match (left, right) {
        (Some(left), Some(right)) => format!("`{left} >> {right}`"),
        _ => "`a >> b`".to_string(),
    };
    if failure.on_new_line() {
        return Some(failure.error(format!("{} follows an expression that has ended", failure.found()), "nothing joins this line to the one before")
            .and(failure.token(-1).map_or(failure.here(), |before| failure.span(before)), "ended here")
            .help(format!("to go on with the chain, begin the line with `>>`: {join}")));
    }
    Some(failure.error(format!("an operator is missing before {}", failure.found()), "nothing joins these two")
        .and(failure.token(-1).map_or(failure.here(), |before| failure.span(before)), "the first ends here")
        .help(format!("if the first feeds the second, write {join}")))
}

/// An operator, comma or bracket with nothing behind it.
fn missing_operand(failure: &Failure) -> Option<Diagnostic> {
    let wanted = [Rule::expr, Rule::prefix, Rule::operand].iter().any(|&rule| failure.expects(rule));
    let before = failure.word(-1);
    if !wanted || failure.after_operand() && before != "?" || before.is_empty() {
        return None;
    }
    let what = match before {
        ">>" | "|" => "a layer or net",
        "if" => "a condition",
        _ => "a value or layer",
    };
    let diagnostic = failure.error(format!("{what} is missing after `{before}`"), format!("found {}", failure.found()));
    Some(if ITEMS.contains(&failure.word(0)) || RESERVED.contains(&failure.word(0)) {
        diagnostic.note(format!("`{}` is a reserved word; as a key or an argument's name it is free", failure.word(0)))
    } else {
        diagnostic
    })
}

/// When no mistake is known: what was found and what could stand there.
fn expected(failure: &Failure) -> Diagnostic {
    let mut words: Vec<&str> = Vec::new();
    for rule in &failure.expected {
        let word = match rule {
            Rule::infix => "an operator such as `>>`",
            Rule::naming | Rule::kw_as => "`as`",
            Rule::expr | Rule::prefix | Rule::operand | Rule::argument => "a value or layer",
            Rule::ident | Rule::word | Rule::parameter => "a name",
            Rule::entry => "an entry `key = value`",
            Rule::layer_name | Rule::cut_end | Rule::index => "a layer's name or index",
            Rule::assign => "`=`",
            Rule::arrow => "`->`",
            Rule::colon => "`:`",
            Rule::comma => "`,`",
            Rule::bar => "`|`",
            Rule::range => "`..`",
            Rule::open_paren | Rule::parameters => "`(`",
            Rule::close_paren => "`)`",
            Rule::open_square => "`[`",
            Rule::close_square => "`]`",
            Rule::open_brace | Rule::body | Rule::entries => "`{`",
            Rule::close_brace => "`}`",
            Rule::text => "a text in quotes",
            Rule::shape | Rule::shapes | Rule::signature => "a shape such as `(?, 10)`",
            Rule::item | Rule::EOI if failure.lone => "the end",
            Rule::item => "an item",
            Rule::kw_in => "`in`",
            Rule::kw_else => "`else`",
            _ => continue,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let label = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("expected {} or {last}", rest.join(", ")),
        Some((last, _)) => format!("expected {last}"),
        None => "this cannot stand here".to_string(),
    };
    failure.error(format!("{} cannot stand here", failure.found()), label)
}
