//! Mistaken characters, numbers, texts and operators.

use super::parse_failure::Failure;
use crate::diagnostics::{Code, Diagnostic};
use crate::syntax::parse::grammar::Rule;
use crate::syntax::scan::TokenKind;
use crate::syntax::words::{KEYWORDS, span};

/// Characters that no `.net` text holds, mostly from word processors and other languages.
pub(crate) fn odd_character(failure: &Failure) -> Option<Diagnostic> {
    let c = failure.source.get(failure.at..)?.chars().next()?;
    let here = span(failure.file, failure.at, failure.at + c.len_utf8());
    let code = u32::from(c);
    let unseen = c.is_control() || c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{ad}');
    if unseen && !c.is_ascii_whitespace() {
        return Some(
            Diagnostic::new(Code::Syntax, format!("a character that is not seen stands here (U+{code:04X})"))
                .at(here, "this is no plain blank")
                .help("replace it by a blank; it often comes from copied text")
                .fix(here, c, " "),
        );
    }
    if failure.kind(0) != Some(TokenKind::Symbol) {
        return None;
    }
    let help = match c {
        '“' | '”' | '„' | '\'' | '‘' | '’' | '`' | '«' => {
            "texts stand in double quotes: `\"…\"`".to_string()
        }
        '×' => "sizes are written with the letter x: `3x3`".to_string(),
        '→' | '⇒' | '»' | '▷' => "layers are chained with `>>`".to_string(),
        '–' | '—' | '−' => "write the plain minus sign `-`".to_string(),
        '…' => "a range is written with two points, `..`".to_string(),
        ';' => "nothing needs a `;`: entries and items stand on lines of their own".to_string(),
        '%' if failure.kind(-1) == Some(TokenKind::Number)
            && !matches!(failure.kind(1), Some(TokenKind::Number | TokenKind::Word)) =>
        {
            "a share is a number from 0 to 1, as `0.1` for ten in a hundred".to_string()
        }
        '%' => "there is no remainder; `/` of integers must be exact".to_string(),
        '!' if failure.word(0) == "!" => "a condition is turned round by `not`".to_string(),
        '&' if failure.word(0) == "&" => "conditions are joined by `and`, branches by `|` in parentheses".to_string(),
        '^' => "there is no power; multiply".to_string(),
        '@' | '$' | '~' | '\\' => String::new(),
        _ if !c.is_ascii() => String::new(),
        _ => return None,
    };
    let named = if c.is_ascii() { format!("`{c}`") } else { format!("`{c}` (U+{code:04X})") };
    let diagnostic =
        Diagnostic::new(Code::Syntax, format!("{named} has no meaning here")).at(here, "not part of the language");
    let diagnostic = if help.is_empty() { diagnostic } else { diagnostic.help(help) };
    let better = match c {
        '×' => "x",
        '→' | '⇒' | '»' | '▷' => ">>",
        '–' | '—' | '−' => "-",
        '…' => "..",
        ';' => "",
        _ => return Some(diagnostic),
    };
    Some(diagnostic.fix(here, c, better))
}

/// Numbers that are none.
pub(crate) fn number(failure: &Failure) -> Option<Diagnostic> {
    let bad = |place, written: &str, label: &str, help: String| {
        Diagnostic::new(Code::Literal, format!("`{written}` is no number")).at(place, label.to_string()).help(help)
    };
    let better = |place, written: &str, label: &str, number: String| {
        Some(bad(place, written, label, format!("write `{number}`")).fix(place, written, number))
    };
    let word = failure.word(0);
    if word == "." && failure.kind(-1) == Some(TokenKind::Number) && failure.touches(failure.index) {
        let digits = failure.word(-1);
        let label = "digits are missing after the point";
        return better(failure.both(), &format!("{digits}."), label, format!("{digits}.0"));
    }
    if word == "." && failure.kind(1) == Some(TokenKind::Number) && failure.touches(failure.index + 1) {
        let digits = failure.word(1).to_string();
        let place = failure.token(1).map_or(failure.here(), |next| failure.here().to(failure.span(next)));
        return better(place, &format!(".{digits}"), "a digit is missing before the point", format!("0.{digits}"));
    }
    if failure.kind(0) != Some(TokenKind::Number) || is_number(word) {
        return None;
    }
    if failure.word(-1) == "as" || failure.bracket().is_some_and(|(index, _)| failure.is_cut(index)) {
        return Some(
            failure
                .error(format!("`{word}` is no layer's name"), "a name starts with a letter or `_`")
                .help(format!("put it in quotes: `\"{word}\"`"))
                .fix(failure.here(), word, format!("\"{word}\"")),
        );
    }
    let lower = word.to_ascii_lowercase();
    let digits = word.replace('_', "");
    if let Some(hexadecimal) = lower.strip_prefix("0x").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        let value = u64::from_str_radix(hexadecimal, 16).map_or(String::new(), |value| format!(": `{value}`"));
        return Some(bad(failure.here(), word, "numbers are decimal", format!("write it in decimal{value}")));
    }
    if is_number(&lower) {
        return better(failure.here(), word, "sizes are joined by a small x", lower);
    }
    if is_number(&digits) {
        return better(failure.here(), word, "numbers have no `_`", digits);
    }
    if lower.ends_with('x') {
        let help = format!("write `{word}?` for a size that is open");
        return Some(bad(failure.here(), word, "a size is missing after the `x`", help));
    }
    let help = "integers are `64`, floats `0.5` or `1e-3`, sizes `3x3`; a name starts with a letter";
    Some(bad(failure.here(), word, "digits and letters are mixed", help.into()))
}

/// Whether it is an integer, a float or sizes, as the grammar reads them.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split('x').all(|size| digits(size) || size == "?") || {
        let (mantissa, power) =
            text.split_once(['e', 'E']).map_or((text, None), |(mantissa, power)| (mantissa, Some(power)));
        let power = power.is_none_or(|power| digits(power.strip_prefix(['+', '-']).unwrap_or(power)));
        power && mantissa.split_once('.').map_or(digits(mantissa), |(whole, part)| digits(whole) && digits(part))
    }
}

/// What is wrong inside of quotes.
pub(crate) fn text(failure: &Failure) -> Option<Diagnostic> {
    if failure.kind(0) == Some(TokenKind::Chars) {
        return Some(
            Diagnostic::new(Code::Literal, "a `}` alone stands in this text")
                .at(span(failure.file, failure.at, failure.at + 1), "it closes nothing")
                .help("for the brace itself write `}}`")
                .fix(span(failure.file, failure.at, failure.at + 1), "}", "}}"),
        );
    }
    let (brace, sign) = failure.bracket()?;
    let inside = sign == "{"
        && failure.open.len() > 1
        && failure.tokens[failure.open[failure.open.len() - 2]].kind == TokenKind::OpenQuote;
    if !inside {
        return None;
    }
    let message = if brace + 1 == failure.index {
        "a value is missing between these braces".to_string()
    } else {
        format!("a value in a text is an expression, and {} cannot stand there", failure.found())
    };
    Some(
        failure
            .error(message, "in a text")
            .and(failure.span(failure.tokens[brace]), "the value starts here")
            .help("`{name}` puts a value into a text; for the braces themselves write `{{` and `}}`"),
    )
}

/// Operators of other languages.
pub(crate) fn foreign_sign(failure: &Failure) -> Option<Diagnostic> {
    let (before, found, after) = (failure.word(-1), failure.word(0), failure.word(1));
    if found == "/" && matches!(after, "/" | "*") {
        return Some(
            failure
                .error(format!("there is no `/{after}`"), "a comment of another language")
                .help("a comment starts with `#`"),
        );
    }
    if found == ">" && matches!(before, "|" | ">" | "-" | ">>" | "=") {
        return Some(
            Diagnostic::new(Code::Syntax, format!("`{before}>` is no operator"))
                .at(failure.both(), "here")
                .help("layers are chained with `>>`")
                .fix(failure.both(), format!("{before}>"), ">>"),
        );
    }
    if found == "*" && before == "*" {
        return Some(
            Diagnostic::new(Code::Syntax, "there is no `**`").at(failure.both(), "a power").help("multiply: `n * n`"),
        );
    }
    if found == "/" && before == "/" {
        return Some(
            Diagnostic::new(Code::Syntax, "there is no `//`")
                .at(failure.both(), "here")
                .help("division of integers is `/` and must be exact; a comment starts with `#`"),
        );
    }
    let (help, better) = match found {
        "&&" => ("conditions are joined by `and`", "and"),
        "->" | "=>" => ("layers are chained with `>>`", ">>"),
        "|" | "=" if after == ">" => ("layers are chained with `>>`", ""),
        ":=" => ("a value is given with `=`", "="),
        "||" => ("conditions are joined by `or`; branches by one `|` in parentheses", ""),
        "**" => ("there is no power; multiply: `n * n`", ""),
        "==" if failure.expects(Rule::assign) => ("a value is given with one `=`", "="),
        "=" if failure.expects(Rule::infix) && !failure.expects(Rule::assign) => {
            return Some(
                failure
                    .error("an `=` cannot stand here", "this gives nothing a value")
                    .help("equal is `==`; a net is named by `net NAME = …`, a value of a block by `let NAME = …`"),
            );
        }
        _ => return None,
    };
    let diagnostic = failure.error(format!("`{found}` cannot stand here"), "not an operator of this place").help(help);
    Some(if better.is_empty() { diagnostic } else { diagnostic.fix(failure.here(), found, better) })
}

/// `nn.ReLU()`, `vgg16.h5`: words joined by a point.
pub(crate) fn pointed_name(failure: &Failure) -> Option<Diagnostic> {
    let words = failure.kind(-1) == Some(TokenKind::Word) && failure.kind(1) == Some(TokenKind::Word);
    if failure.word(0) != "." || !words || !failure.touches(failure.index) || !failure.touches(failure.index + 1) {
        return None;
    }
    let (first, last) = (failure.word(-1), failure.word(1));
    let whole = format!("{first}.{last}");
    let file =
        matches!(last, "h5" | "hdf5" | "keras" | "safetensors" | "txt" | "csv" | "npy" | "npz" | "net" | "jpg" | "png");
    let help = match file {
        true => format!("a file's name is a text: `\"{whole}\"`"),
        false => {
            format!("layers have no prefix, as in `{last}`; layer names with a point stand after `as` and in cuts only")
        }
    };
    let place = failure.both().to(failure.token(1).map_or(failure.here(), |token| failure.span(token)));
    Some(
        Diagnostic::new(Code::Syntax, format!("`{whole}` is no name"))
            .at(place, "a name has letters, digits and `_`")
            .help(help),
    )
}

/// `Conv (3x3)`, `vgg16 [..3]`: the bracket must touch the name.
pub(crate) fn spaced_bracket(failure: &Failure) -> Option<Diagnostic> {
    let inside = failure
        .bracket()
        .filter(|(index, _)| failure.word(0) == "," && !failure.is_call(*index))
        .map(|(index, _)| index);
    let behind = failure
        .index
        .checked_sub(1)
        .filter(|&index| failure.tokens[index].is(failure.source, ")"))
        .and_then(|index| failure.opening(index));
    let index = [Some(failure.index), inside, behind].into_iter().flatten().find(|&index| {
        let Some(token) = failure
            .tokens
            .get(index)
            .filter(|token| matches!(token.text(failure.source), "(" | "[") && token.kind == TokenKind::Symbol)
        else {
            return false;
        };
        let Some(before) = index.checked_sub(1).map(|index| failure.tokens[index]) else { return false };
        let gap = failure.source.get(before.end..token.start).unwrap_or("");
        let named = before.kind == TokenKind::Word && !KEYWORDS.contains(&before.text(failure.source));
        let cut = token.is(failure.source, "[") && matches!(before.text(failure.source), ")" | "]");
        (named || cut) && !gap.is_empty() && !gap.contains('\n')
    })?;
    let (name, bracket) = (failure.tokens[index - 1], failure.tokens[index]);
    let (text, sign) = (name.text(failure.source), bracket.text(failure.source));
    let what = if sign == "(" { "a call" } else { "a cut" };
    Some(
        Diagnostic::new(Code::Syntax, format!("the `{sign}` of {what} touches what is before it"))
            .at(span(failure.file, name.start, bracket.end), "no blank may stand here")
            .fix(
                span(failure.file, name.end, bracket.start),
                failure.source.get(name.end..bracket.start).unwrap_or(""),
                "",
            )
            .help(if name.kind == TokenKind::Word {
                format!("write `{text}{sign}…`")
            } else {
                format!("write `{text}{sign}…` without the blank")
            }),
    )
}

/// `(3, 3, 64)`, `(a, b)`: parentheses hold branches or group.
pub(crate) fn comma_in_parentheses(failure: &Failure) -> Option<Diagnostic> {
    let (index, sign) = failure.bracket()?;
    if failure.word(0) != "," || sign != "(" || failure.is_call(index) {
        return None;
    }
    let mut inside = failure.tokens[index + 1..].iter().take_while(|token| !token.is(failure.source, ")"));
    let end = inside.clone().last().map_or(0, |token| token.end);
    let numeric =
        inside.all(|token| token.kind == TokenKind::Number || matches!(token.text(failure.source), "," | "-" | "?"));
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
    Some(
        failure
            .error("a `,` cannot stand in these parentheses", "they hold one value, or branches")
            .and(failure.span(failure.tokens[index]), "opened here")
            .help(help),
    )
}

/// `stride: 2`, `epochs: 100`, and what follows a `:`.
pub(crate) fn colon(failure: &Failure) -> Option<Diagnostic> {
    if failure.expects(Rule::arrow) {
        return Some(
            failure
                .error("a signature's `->` is missing", format!("found {}", failure.found()))
                .help("write `(?, h, w, c) -> (?, n)`"),
        );
    }
    if failure.word(-1) == ":" && failure.open.is_empty() {
        return Some(
            failure
                .error("a shape is missing after `:`", format!("found {}", failure.found()))
                .help("a signature is written `(?, h, w, c) -> (?, n)`; what a net is follows `=`"),
        );
    }
    if failure.word(0) != ":" {
        return None;
    }
    let word = failure.word(-1);
    if failure.bracket().is_some_and(|(index, _)| index > 1 && failure.tokens[index - 2].is(failure.source, "net")) {
        return Some(
            failure
                .error("a parameter has no type", "only the whole net has a signature")
                .help(format!("write `{word}` alone, or `{word}=…` for a default")),
        );
    }
    // What is behind the colon moves to where the style has it: `stride=2`, `epochs = 100`.
    let end = failure.token(1).map_or(failure.here().end as usize, |next| next.start);
    let place = span(failure.file, failure.here().start as usize, end);
    let equals = if failure.bracket().is_some_and(|(_, sign)| sign == "{") { " = " } else { "=" };
    let diagnostic = failure.error("a `:` cannot stand here", "values are given with `=`").fix(
        place,
        failure.source.get(place.range()).unwrap_or(""),
        equals,
    );
    Some(match failure.bracket() {
        Some((index, _)) if failure.is_cut(index) => failure
            .error("a `:` cannot stand in a cut", "a range is written with `..`")
            .help("`[..a]` leaves a out, `[..=a]` takes it in, `[a..]` starts at a")
            .fix(failure.here(), ":", ".."),
        Some(_) if failure.kind(-1) == Some(TokenKind::Word) => diagnostic.help(format!("write `{word} = …`")),
        Some(_) => diagnostic.help("write `\"key\" = value`"),
        None => failure
            .error("a `:` cannot stand here", "it only begins a signature")
            .help("a signature follows the name and parameters: `net f(n): (?, h) -> (?, n) = …`"),
    })
}

/// `a | b` without parentheses.
pub(crate) fn bar(failure: &Failure) -> Option<Diagnostic> {
    (failure.word(0) == "|" && failure.after_operand()).then(|| {
        failure
            .error("a `|` stands only directly in parentheses", "branches without parentheses")
            .help("write `(a | b) >> Concatenate`")
    })
}
